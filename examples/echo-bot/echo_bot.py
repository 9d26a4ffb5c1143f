#!/usr/bin/env python3
"""A bot that answers direct messages with what they say, over gRPC.

    pip install grpcio protobuf          # or: apt install python3-grpcio python3-protobuf
    threefold bot create echo            # shows the bot's token, once
    THREEFOLD_BOT_TOKEN=... ./echo_bot.py echo --servers 127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402

It answers every message exactly once from its first start on, whatever is killed in between: a server, the leader, or the bot itself. What that
takes is all here: a file that holds the place in the events and the answers that nobody has acknowledged yet, and the next server when one is lost.
Where its session has ended (as with a new token) it logs in again and goes on where it was.
"""

import argparse
import json
import os
import queue
import random
import sys
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "threefold.chat.v1.Chat"
# Worth another try, at another server, with the same request number. Anything else a server refuses it refuses for good.
TRY_AGAIN = {"UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "OUT_OF_ORDER"}
# The session is no good any more, or its numbers are not.
LOG_IN_AGAIN = {"SESSION_INVALID", "UNKNOWN_INSTANCE"}


def length_delimited(data):
    """The fields of an encoded message that have a length (which is all there is in what reflection answers)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag, size = varint() >> 3, varint()
        yield tag, data[at:at + size]
        at += size


class Schema:
    """The messages of chat.proto, as a server describes them itself: gRPC reflection, so nothing is generated beforehand."""

    def __init__(self, channel):
        call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        # ServerReflectionRequest.file_containing_symbol and ServerReflectionResponse.file_descriptor_response are fields 4.
        question = b"\x22" + bytes([len(SERVICE)]) + SERVICE.encode()
        answer = next(iter(call(iter([question]), timeout=5)))
        files = next(value for tag, value in length_delimited(answer) if tag == 4)
        self.pool = descriptor_pool.DescriptorPool()
        # A FileDescriptorResponse is on the wire what a FileDescriptorSet is.
        for file in descriptor_pb2.FileDescriptorSet.FromString(files).file:
            self.pool.Add(file)

    def __getattr__(self, name):
        kind = self.pool.FindMessageTypeByName(f"threefold.chat.v1.{name}")
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(kind)
        return message_factory.MessageFactory(self.pool).GetPrototype(kind)

    def code(self, number):
        return self.pool.FindEnumTypeByName("threefold.chat.v1.ErrorCode").values_by_number[number].name


class Refused(Exception):
    """For good: another try would get the same answer."""


class LoggedOut(Exception):
    """Worth another try, after another log-in."""


class Unavailable(Exception):
    """Worth another try, elsewhere."""


class Bot:
    def __init__(self, name, token, servers, state_file):
        self.name, self.token, self.servers, self.state_file = name, token, servers, state_file
        self.state = {}
        if os.path.exists(state_file):
            with open(state_file, encoding="utf-8") as file:
                self.state = json.load(file)

    def save(self):
        """Whole or not at all, and on the disk before anything depends on it."""
        with open(self.state_file + ".new", "w", encoding="utf-8") as file:
            os.chmod(file.name, 0o600)
            json.dump(self.state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, self.state_file)

    def run(self):
        wait = 0.1
        while True:
            server = self.servers[0]
            try:
                with grpc.insecure_channel(server, options=[("grpc.keepalive_time_ms", 10_000)]) as channel:
                    schema = Schema(channel)
                    if "session" not in self.state:
                        self.log_in(channel, schema)
                    print(f"at {server}", flush=True)
                    wait = 0.1
                    self.converse(channel, schema)
            except LoggedOut as error:
                # Its place stays, and so does what is unanswered.
                print(f"logged out: {error}", flush=True)
                self.state.pop("session", None)
                self.save()
            except (Unavailable, grpc.RpcError, StopIteration) as error:
                print(f"lost {server}: {type(error).__name__}", flush=True)
            # The next one, a little later each time, and not all bots in the same instant.
            self.servers.append(self.servers.pop(0))
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, 5)

    def log_in(self, channel, schema):
        """A bot logs in as anybody does; its token stands in the place of a password. The session's own token is ours to draw."""
        session = os.urandom(32)
        request = schema.LoginRequest(name=self.name, password=self.token, token=session, device="echo bot")
        call = channel.unary_unary(f"/{SERVICE}/Login", request.__class__.SerializeToString, schema.SessionReply.FromString)
        try:
            reply = call(request, timeout=10)
        except grpc.RpcError as error:
            raise self.judged(schema, error) from error
        if "cursor" not in self.state:
            # What was said before the bot was there it leaves alone.
            self.state.update(cursor=reply.position, recovery_id="", unanswered={})
        unanswered = [answer for _, answer in sorted(self.state["unanswered"].items(), key=lambda item: int(item[0]))]
        # The numbers of the old session are nobody's, and nothing more comes of them: what did come is in the history.
        left = [answer for answer in unanswered if not self.is_answered(channel, schema, session, reply.account, answer)]
        self.state.update(
            session=session.hex(), account=reply.account, instance=reply.instance, number=len(left),
            unanswered={str(number): answer for number, answer in enumerate(left, start=1)})
        self.learn(reply.servers)
        self.save()

    def is_answered(self, channel, schema, session, account, answer):
        """Whether an answer of ours stands in the conversation behind what it answers."""
        after = answer["to"]
        while True:
            request = schema.HistoryRequest(**{"in": {"conversation": answer["conversation"]}, "after": after, "limit": 200, "consistent": True})
            call = channel.unary_unary(f"/{SERVICE}/History", request.__class__.SerializeToString, schema.HistoryReply.FromString)
            try:
                page = call(request, timeout=10, metadata=[("authorization", f"Bearer {session.hex()}")])
            except grpc.RpcError as error:
                raise self.judged(schema, error) from error
            if any(one.author == account and one.reply_to == answer["to"] for one in page.messages):
                return True
            if not page.more or not page.messages:
                return False
            after = page.messages[-1].id

    def learn(self, servers):
        self.servers += [server for server in servers if server not in self.servers]

    def judged(self, schema, error):
        """What the status of a call means: its details are one encoded Error."""
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                told = schema.Error.FromString(value)
                code = schema.code(told.code)
                kind = Unavailable if code in TRY_AGAIN else LoggedOut if code in LOG_IN_AGAIN else Refused
                return kind(f"{code}: {told.message}")
        return Unavailable(str(error.code()))

    def converse(self, channel, schema):
        state, outgoing = self.state, queue.SimpleQueue()
        call = channel.stream_stream(
            f"/{SERVICE}/Converse", schema.ClientFrame.SerializeToString, schema.ServerFrame.FromString)

        def write(number, answer):
            outgoing.put(schema.ClientFrame(write={
                "request": {"instance": state["instance"], "number": int(number)},
                "send": {"to": {"conversation": answer["conversation"]}, "body": answer["body"], "reply_to": answer["to"]}}))

        recovery_id = bytes.fromhex(state["recovery_id"])
        outgoing.put(schema.ClientFrame(subscribe={"after": state["cursor"], "recovery_id": recovery_id}))
        # Perhaps some of these were carried out: the cluster knows by their numbers, and does nothing twice.
        for number in sorted(state["unanswered"], key=int):
            write(number, state["unanswered"][number])
        frames = call(iter(outgoing.get, None), metadata=[("authorization", f"Bearer {state['session']}")])
        try:
            for frame in frames:
                kind = frame.WhichOneof("frame")
                if kind == "subscribed":
                    state["recovery_id"] = frame.subscribed.recovery_id.hex()
                    self.learn(frame.subscribed.servers)
                elif kind == "event":
                    state["cursor"] = frame.event.id
                    answer = self.answer(frame.event)
                    if answer:
                        state["number"] += 1
                        state["unanswered"][str(state["number"])] = answer
                    # The cursor moves together with what was done about the event, and before that is sent.
                    self.save()
                    if answer:
                        write(state["number"], answer)
                elif kind == "caught_up":
                    state["cursor"] = max(state["cursor"], frame.caught_up.position)
                elif kind == "result":
                    code = schema.code(frame.result.error.code)
                    if frame.result.HasField("error") and code in TRY_AGAIN:
                        raise Unavailable(code)
                    if frame.result.HasField("error") and code in LOG_IN_AGAIN:
                        raise LoggedOut(code)
                    answer = state["unanswered"].pop(str(frame.result.request.number), None)
                    if frame.result.HasField("error") and answer:
                        print(f"not answered: {code}: {frame.result.error.message} (message {answer['to']})", flush=True)
                    self.save()
            raise Unavailable("the stream ended")
        except grpc.RpcError as error:
            raise self.judged(schema, error) from error
        finally:
            outgoing.put(None)

    def answer(self, event):
        """What to answer, if anything: to the direct messages of others."""
        message = event.message
        if event.WhichOneof("body") != "message" or message.author == self.state["account"] or not message.peer_name:
            return None
        if message.deleted:
            return None
        return {"conversation": message.conversation, "to": message.id, "body": f"echo: {message.body}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the bot's name")
    parser.add_argument("--servers", default="127.0.0.1:7400", help="addresses of servers, separated by commas; others are learned")
    parser.add_argument("--state", default="echo-bot.json", help="where it keeps its session and its place")
    arguments = parser.parse_args()
    token = os.environ.get("THREEFOLD_BOT_TOKEN", "")
    try:
        Bot(arguments.name, token, arguments.servers.split(","), arguments.state).run()
    except Refused as error:
        sys.exit(f"refused: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
