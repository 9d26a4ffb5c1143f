//! Streams over the real state machine, without a transport.

use std::time::Duration;

use futures::{StreamExt as _, future::poll_immediate};
use threefold_core::{Command, Rejection, Reply};
use threefold_proto::{
    chat::{
        ClientFrame, ErrorCode, RequestId, ServerFrame, client_frame, recipient::To, server_frame::Frame, write_result,
    },
    convert::{FORWARDED_BYTES, Token},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::gateway::testing::{RECOVERY_ID, Solo};

struct User {
    caller: Caller,
    instance: u64,
}

async fn user(door: &Solo, name: &str) -> User {
    let token = Token::new(rand::random()).hash();
    let register =
        Command::Register { name: name.into(), password_hash: "hash".into(), token_hash: token, device: "test".into() };
    let Reply::SessionOpened { instance, .. } = door.apply(&register).reply else { panic!("not registered") };
    let caller = door.gateway().authenticate(token, Instant::now()).await.unwrap();
    User { caller, instance }
}

/// The client's end of a stream.
struct Client {
    out: mpsc::UnboundedSender<Result<ClientFrame, Refusal>>,
    frames: Frames,
    instance: u64,
}

fn connect(gateway: &Gateway<Solo>, user: &User) -> Client {
    let (out, incoming) = mpsc::unbounded_channel();
    let frames = gateway.converse(user.caller.clone(), UnboundedReceiverStream::new(incoming)).unwrap();
    Client { out, frames, instance: user.instance }
}

impl Client {
    fn send(&self, frame: client_frame::Frame) {
        let _ = self.out.send(Ok(ClientFrame { frame: Some(frame) }));
    }

    fn subscribe(&self, after: u64) {
        self.send(client_frame::Frame::Subscribe(chat::Subscribe { after, ..Default::default() }));
    }

    fn write(&self, number: u64, operation: Option<chat::write::Operation>) {
        self.write_answered(number, 0, operation);
    }

    fn write_answered(&self, number: u64, answered: u64, operation: Option<chat::write::Operation>) {
        let request = Some(RequestId { instance: self.instance, number });
        self.send(client_frame::Frame::Write(chat::Write { request, operation, answered }));
    }

    fn say(&self, number: u64, to: &str, body: &str) {
        let to = Some(chat::Recipient { to: Some(To::User(to.into())) });
        self.write(
            number,
            Some(chat::write::Operation::Send(chat::SendMessage {
                to,
                body: body.into(),
                ..chat::SendMessage::default()
            })),
        );
    }

    async fn next(&mut self) -> Frame {
        self.frames.next().await.unwrap().unwrap().into_frame().frame.unwrap()
    }

    async fn result(&mut self) -> chat::WriteResult {
        match self.next().await {
            Frame::Result(result) => result,
            other => panic!("{other:?}"),
        }
    }

    async fn error_code(&mut self) -> ErrorCode {
        match self.result().await.result {
            Some(write_result::Result::Error(error)) => error.code(),
            other => panic!("{other:?}"),
        }
    }

    /// The text of the next message, past everything else.
    async fn message(&mut self) -> String {
        loop {
            if let Frame::Event(chat::Event { body: Some(chat::event::Body::Message(message)), .. }) = self.next().await
            {
                return message.body;
            }
        }
    }

    /// The last word, past everything else.
    async fn last_word(&mut self) -> Option<Refusal> {
        while let Some(frame) = self.frames.next().await {
            if let Err(refusal) = frame {
                return Some(refusal);
            }
        }
        None
    }
}

const SESSION_INVALID: Refusal = Refusal::Rejected(Rejection::SessionInvalid);

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_writes() {
    let door = Solo::new();
    let (ann, _bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let mut client = connect(&door.gateway(), &ann);
    for number in 1..=50 {
        client.say(number, "bob", &number.to_string());
    }
    let mut last = 0;
    for number in 1..=50 {
        let result = client.result().await;
        assert_eq!(result.request.unwrap().number, number);
        let Some(write_result::Result::Sent(sent)) = result.result else { panic!("{result:?}") };
        assert!(sent.id > last);
        last = sent.id;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_starts_at_the_cursor_and_goes_on() {
    let door = Solo::new();
    let (ann, bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let gateway = door.gateway();
    let mut sender = connect(&gateway, &ann);
    sender.say(1, "bob", "before");
    let Some(write_result::Result::Sent(sent)) = sender.result().await.result else { panic!() };

    let mut reader = connect(&gateway, &bob);
    reader.subscribe(0);
    let Frame::Subscribed(subscribed) = reader.next().await else { panic!() };
    assert_eq!(subscribed.recovery_id, RECOVERY_ID.as_slice());
    assert_eq!(reader.message().await, "before");
    assert!(matches!(reader.next().await, Frame::CaughtUp(told) if told.position >= sent.id));
    sender.say(2, "bob", "after");
    assert_eq!(reader.message().await, "after");

    let mut late = connect(&gateway, &bob);
    late.subscribe(sent.id);
    assert_eq!(late.message().await, "after");
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_replaces_the_old_one() {
    let door = Solo::new();
    let (ann, _bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let mut client = connect(&door.gateway(), &ann);
    client.say(1, "bob", "one");
    client.result().await;
    client.subscribe(0);
    assert_eq!(client.message().await, "one");
    client.subscribe(0);
    assert_eq!(client.message().await, "one");
}

#[tokio::test(start_paused = true)]
async fn who_has_said_everything_still_gets_results_and_events() {
    let door = Solo::new();
    let (ann, bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let gateway = door.gateway();
    let mut writer = connect(&gateway, &ann);
    writer.say(1, "bob", "one");
    let mut reader = connect(&gateway, &bob);
    reader.subscribe(0);
    (writer.out, reader.out) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
    writer.result().await;
    assert_eq!(writer.last_word().await, None, "nothing more to come");
    assert_eq!(reader.message().await, "one");
    let other = connect(&gateway, &ann);
    other.say(2, "bob", "two");
    assert_eq!(reader.message().await, "two");
}

#[tokio::test(start_paused = true)]
async fn bad_content_uses_its_number_up_and_nonsense_does_not() {
    let door = Solo::new();
    let (ann, _bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let mut client = connect(&door.gateway(), &ann);
    client.say(1, "bob", &"x".repeat(20_000));
    assert_eq!(client.error_code().await, ErrorCode::Invalid);
    client.say(2, "nobody", "hello");
    assert_eq!(client.error_code().await, ErrorCode::UnknownUser);
    client.write(3, None);
    assert_eq!(client.error_code().await, ErrorCode::Invalid);
    client.say(3, "bob", "hello");
    assert!(matches!(client.result().await.result, Some(write_result::Result::Sent(_))));
    client.say(9, "bob", "hello");
    assert_eq!(client.error_code().await, ErrorCode::OutOfOrder);
    client.say(4, "bob", &"x".repeat(FORWARDED_BYTES + 1));
    let last = client.last_word().await;
    assert!(matches!(last, Some(Refusal::Rejected(Rejection::Invalid(_)))), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_client_has_had_answered_is_forgotten() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let mut client = connect(&door.gateway(), &ann);
    let mark = || Some(chat::write::Operation::MarkDelivered(chat::MarkDelivered { up_to: 1 }));
    for (number, answered) in [(1, 0), (1, 0), (2, 1)] {
        client.write_answered(number, answered, mark());
        let result = client.result().await.result;
        assert!(matches!(result, Some(write_result::Result::Done(_))), "{result:?}");
    }
    client.write(1, mark());
    assert_eq!(client.error_code().await, ErrorCode::ReplyForgotten);
}

#[tokio::test(start_paused = true)]
async fn a_write_may_name_what_an_earlier_one_makes() {
    let door = Solo::new();
    let (ann, _bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let mut client = connect(&door.gateway(), &ann);
    let mark = |name: &str| {
        let place = Some(chat::Recipient { to: Some(To::User(name.into())) });
        Some(chat::write::Operation::MarkRead(chat::MarkRead { r#in: place, up_to: 0 }))
    };
    client.say(1, "bob", "hello");
    client.write(2, mark("bob"));
    client.write(3, mark("nobody"));
    client.write(3, mark("bob"));
    client.say(4, "bob", "goes on");
    assert!(matches!(client.result().await.result, Some(write_result::Result::Sent(_))));
    assert!(matches!(client.result().await.result, Some(write_result::Result::Done(_))));
    assert_eq!(client.error_code().await, ErrorCode::UnknownConversation);
    assert!(matches!(client.result().await.result, Some(write_result::Result::Done(_))), "an open retry");
    assert!(matches!(client.result().await.result, Some(write_result::Result::Sent(_))));
}

#[tokio::test(start_paused = true)]
async fn a_client_with_too_much_in_flight_is_read_no_further() {
    let door = Solo::new();
    let (ann, _bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let before = door.applied();
    door.hold_answers();
    let mut client = connect(&door.gateway(), &ann);
    for number in 1..=2 * write::IN_FLIGHT as u64 {
        client.say(number, "bob", "x");
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(door.applied() - before, write::IN_FLIGHT as u64);
    door.release_answers();
    for _ in 0..2 * write::IN_FLIGHT {
        client.result().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_let_go_and_disturbs_nobody() {
    let door = Solo::new();
    let (ann, bob) = (user(&door, "ann").await, user(&door, "bob").await);
    let gateway = door.gateway();
    let mut idle = connect(&gateway, &bob);
    idle.subscribe(0);
    let mut sender = connect(&gateway, &ann);
    for number in 1..=2 * outlet::FRAMES as u64 {
        sender.say(number, "bob", "x");
        sender.result().await;
    }
    sleep(Duration::from_secs(40)).await;
    assert!(matches!(idle.last_word().await, Some(Refusal::Overloaded(_))));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_history_is_void() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let mut client = connect(&door.gateway(), &ann);
    let recovery_id = vec![7; 16].into();
    client.send(client_frame::Frame::Subscribe(chat::Subscribe { recovery_id, ..Default::default() }));
    assert_eq!(client.last_word().await, Some(Refusal::CursorInvalid));
}

#[tokio::test(start_paused = true)]
async fn a_server_behind_the_cursor_sends_its_client_on() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let mut client = connect(&door.gateway(), &ann);
    client.subscribe(1 << 40);
    assert!(matches!(client.last_word().await, Some(Refusal::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_ends_its_stream() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let mut client = connect(&door.gateway(), &ann);
    client.subscribe(0);
    assert!(matches!(client.next().await, Frame::Subscribed(_)));
    door.apply(&Command::EndSession { session: ann.caller.token, target: None });
    loop {
        match client.frames.next().await.unwrap().map(Told::into_frame) {
            Ok(ServerFrame { frame: Some(Frame::Event(event)) })
                if matches!(event.body, Some(chat::event::Body::SessionEnded(_))) =>
            {
                break;
            }
            Ok(_) => {}
            Err(refusal) => panic!("{refusal} before the event"),
        }
    }
    assert_eq!(client.last_word().await, Some(SESSION_INVALID));
}

/// The next frame that tells of a message, as it leaves the stream.
async fn told_of_a_message(client: &mut Client) -> Told {
    loop {
        let told = client.frames.next().await.unwrap().unwrap();
        let frame = match &told {
            Told::Own(frame) => frame.frame.as_ref(),
            Told::Shared(shared) => shared.frame().frame.as_ref(),
        };
        if matches!(frame, Some(Frame::Event(chat::Event { body: Some(chat::event::Body::Message(_)), .. }))) {
            return told;
        }
    }
}

fn room_name(told: Told) -> String {
    match told.into_frame().frame {
        Some(Frame::Event(chat::Event { body: Some(chat::event::Body::Message(message)), .. })) => message.room_name,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn members_share_what_is_said_and_who_has_left_is_told_apart() {
    let door = Solo::new();
    let people = [user(&door, "ann").await, user(&door, "bob").await, user(&door, "cy").await];
    for one in &people {
        door.set_attending(one.caller.session.account, true);
    }
    let gateway = door.gateway();
    let mut clients = people.each_ref().map(|one| connect(&gateway, one));
    let operate = async |client: &mut Client, number, operation| {
        client.write(number, Some(operation));
        assert!(client.result().await.result.is_some());
    };
    use chat::write::Operation;
    let tea = |name: &str| Some(chat::Recipient { to: Some(To::Room(name.to_owned())) });
    let create = chat::CreateRoom { name: "tea".into(), topic: String::new(), public: true };
    let say = |room: &str| chat::SendMessage { to: tea(room), body: "hello".into(), ..Default::default() };
    operate(&mut clients[0], 1, Operation::CreateRoom(create)).await;
    operate(&mut clients[1], 1, Operation::JoinRoom(chat::JoinRoom { room: tea("tea") })).await;
    operate(&mut clients[2], 1, Operation::JoinRoom(chat::JoinRoom { room: tea("tea") })).await;
    operate(&mut clients[0], 2, Operation::Send(say("tea"))).await;
    // The third has left since, and the room is called otherwise now.
    operate(&mut clients[2], 2, Operation::LeaveRoom(chat::LeaveRoom { room: tea("tea") })).await;
    door.set_attending(people[2].caller.session.account, false);
    let rename = chat::ChangeRoom { room: tea("tea"), name: Some("secret".into()), topic: None, public: None };
    operate(&mut clients[0], 3, Operation::ChangeRoom(rename)).await;
    for client in &clients {
        client.subscribe(0);
    }
    let [first, second, third] = &mut clients;
    let (ann_told, bob_told) = (told_of_a_message(first).await, told_of_a_message(second).await);
    let (Told::Shared(one), Told::Shared(other)) = (&ann_told, &bob_told) else { panic!("each was told by itself") };
    assert!(std::sync::Arc::ptr_eq(one, other), "made once");
    assert_eq!(room_name(ann_told), "secret");
    let cy_told = told_of_a_message(third).await;
    assert!(matches!(cy_told, Told::Own(_)));
    assert_eq!(room_name(cy_told), "tea", "by the name that it had when they left");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_ends_ends_its_streams() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let gateway = door.gateway();
    let mut listening = connect(&gateway, &ann);
    listening.subscribe(0);
    let mut writing = connect(&gateway, &ann);
    assert!(matches!(listening.next().await, Frame::Subscribed(_)));
    door.apply(&Command::DeleteAccount { session: ann.caller.token, credential_version: 1 });
    assert_eq!(listening.last_word().await, Some(SESSION_INVALID));
    writing.say(1, "ann", "still there?");
    assert_eq!(writing.error_code().await, ErrorCode::SessionInvalid);
    assert_eq!(writing.last_word().await, Some(SESSION_INVALID));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_online_unless_invisible() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let gateway = door.gateway();
    let mut client = connect(&gateway, &ann);
    client.send(client_frame::Frame::Ping(chat::Ping { number: 7 }));
    assert!(matches!(client.next().await, Frame::Pong(chat::Pong { number: 7 })));
    assert_eq!(door.online(), []);
    client.subscribe(0);
    assert!(matches!(client.next().await, Frame::Subscribed(_)));
    assert_eq!(door.online(), [ann.caller.session.account]);
    client.send(client_frame::Frame::Subscribe(chat::Subscribe { invisible: true, ..Default::default() }));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(door.online(), []);
    client.subscribe(0);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(door.online(), [ann.caller.session.account]);
    drop(client);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(door.online(), []);
}

#[tokio::test(start_paused = true)]
async fn a_closing_gateway_and_an_unavailable_server_say_so() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let gateway = door.gateway();
    let mut client = connect(&gateway, &ann);
    door.set_unavailable(true);
    client.say(1, "ann", "hello");
    assert_eq!(client.error_code().await, ErrorCode::Unavailable);
    door.set_unavailable(false);
    client.say(1, "ann", "hello");
    assert!(matches!(client.result().await.result, Some(write_result::Result::Sent(_))));
    assert!(poll_immediate(client.frames.next()).await.is_none());
    gateway.close();
    assert!(matches!(client.last_word().await, Some(Refusal::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_no_member_any_more_sends_its_clients_away() {
    let door = Solo::new();
    let ann = user(&door, "ann").await;
    let gateway = door.gateway();
    let mut client = connect(&gateway, &ann);
    door.set_retired(Some("removed"));
    let Some(Refusal::Unavailable(why)) = client.last_word().await else { panic!("not sent away") };
    assert_eq!(why, "removed");
    let refused = gateway.authenticate(ann.caller.token, Instant::now()).await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))));
    door.set_retired(None);
    assert!(gateway.authenticate(ann.caller.token, Instant::now()).await.is_ok());
}

#[tokio::test]
async fn a_frozen_cluster_is_told_with_its_reason_and_so_is_its_thaw() {
    let door = Solo::new();
    let anna = user(&door, "anna").await;
    let mut client = connect(&door.gateway(), &anna);
    for (word, detail) in [
        (Word::Frozen, "waiting for server-2: it may know more"),
        (Word::Frozen, "waiting for server-3: it may know more"),
        (Word::SoleSurvivor, "server-1 goes on alone"),
        (Word::Normal, "all are in sync"),
    ] {
        door.set_condition(word, detail);
        let Frame::Condition(told) = client.next().await else { panic!("something else") };
        assert_eq!((told.state.as_str(), told.detail.as_str()), (word.word(), detail));
    }
}

/// Nothing is refused on a stream: it is read more slowly.
#[tokio::test(start_paused = true)]
async fn an_account_that_writes_too_much_is_slowed_down() {
    let door = Solo::with_limits(&crate::config::Limits::new(10, 0, 0));
    let ann = user(&door, "ann").await;
    let gateway = door.gateway();
    let start = Instant::now();
    let (mut one, mut two) = (connect(&gateway, &ann), connect(&gateway, &ann));
    two.instance = open_instance(&door, &ann);
    for number in 1..=100 {
        one.say(number, "ann", "flood");
        two.say(number, "ann", "flood");
    }
    for client in [&mut one, &mut two] {
        for number in 1..=100 {
            let result = client.result().await;
            assert_eq!(result.request.unwrap().number, number);
            assert!(matches!(result.result, Some(write_result::Result::Sent(_))), "{result:?}");
        }
    }
    // 100 at once, then ten a second.
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
}

fn open_instance(door: &Solo, user: &User) -> u64 {
    match door.apply(&Command::OpenInstance { session: user.caller.token, nonce: 1 }).reply {
        Reply::InstanceOpened { instance } => instance,
        other => panic!("{other:?}"),
    }
}

/// What waits for a client that says nothing, apart from the line to it.
#[tokio::test]
async fn the_task_of_an_idle_stream_is_small() {
    let solo = Solo::new();
    let caller = user(&solo, "ann").await.caller;
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let (outlet, _frames) = outlet::new();
    let window = Arc::new(Semaphore::new(write::IN_FLIGHT));
    let conversation = Conversation { gateway: solo.gateway(), caller, outlet, window };
    let incoming = UnboundedReceiverStream::new(mpsc::unbounded_channel().1);
    let (pending, answers) = mpsc::unbounded_channel();
    let (subscribe, subscriptions) = mpsc::channel(1);
    // Its parts have memory of their own.
    let parts = size_of_val(&conversation.read(incoming, pending, subscribe))
        + size_of_val(&conversation.answer(answers))
        + size_of_val(&conversation.follow(subscriptions))
        + size_of_val(&conversation.around());
    let incoming = UnboundedReceiverStream::new(mpsc::unbounded_channel().1);
    let task = size_of_val(&conversation.run(incoming, place));
    assert!(parts < 2560 && task < 512, "{parts} bytes and {task}");
}
