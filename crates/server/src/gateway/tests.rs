//! The client port end to end: real sockets, real gRPC, the real state machine; a server alone in memory.

mod about_messages;
mod limits;
mod lookups;

use std::{net::SocketAddr, time::Duration};

use threefold_core::Position;
use threefold_proto::{
    chat::{
        self, ErrorCode, chat_client::ChatClient, cluster_client::ClusterClient, history_request::From, recipient::To,
    },
    convert::{Token, error_of_status},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{Origins, door::Door as _, http, testing::Solo};

const PASSWORD: &str = "correct horse";
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a port of its own.
pub(super) struct Server {
    pub door: Solo,
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<std::io::Result<()>>,
}

pub(super) async fn start() -> Server {
    start_with(Solo::new()).await
}

pub(super) async fn start_with(door: Solo) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { stopped.await.unwrap_or_default() };
    let served = tokio::spawn(http::serve(listener, door.gateway(), Origins::default(), shutdown));
    Server { door, address, stop, served }
}

impl Server {
    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn chat(&self) -> ChatClient<Channel> {
        ChatClient::new(self.channel().await)
    }

    /// Registers, and logs in with that.
    async fn user(&self, name: &str) -> User {
        let mut chat = self.chat().await;
        let token = Token::new(rand::random());
        let reply = chat.register(register(name, PASSWORD, &token)).await.unwrap().into_inner();
        assert_eq!(reply.servers.len(), 2);
        User { chat, token, instance: reply.instance, number: 0 }
    }

    /// What an HTTP/1 client gets.
    pub(super) async fn get(&self, path: &str) -> String {
        self.ask("GET", path, "").await
    }

    /// The same with another method, and further header lines.
    async fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let at = self.address;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }
}

fn register(name: &str, password: &str, token: &Token) -> chat::RegisterRequest {
    chat::RegisterRequest {
        name: name.into(),
        password: password.into(),
        token: token.as_bytes().to_vec().into(),
        device: "laptop".into(),
    }
}

fn log_in(name: &str, password: &str, token: &Token) -> chat::LoginRequest {
    chat::LoginRequest {
        name: name.into(),
        password: password.into(),
        token: token.as_bytes().to_vec().into(),
        device: "phone".into(),
    }
}

fn to(name: &str) -> Option<chat::Recipient> {
    Some(chat::Recipient { to: Some(To::User(name.into())) })
}

struct User {
    chat: ChatClient<Channel>,
    token: Token,
    instance: u64,
    number: u64,
}

impl User {
    fn with<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.to_authorization().parse().unwrap());
        request
    }

    fn next(&mut self) -> Option<chat::RequestId> {
        self.number += 1;
        Some(chat::RequestId { instance: self.instance, number: self.number })
    }

    async fn say(&mut self, name: &str, body: &str) -> Result<chat::MessageSent, Status> {
        let request = self.next();
        self.say_as(request, name, body).await
    }

    async fn say_as(
        &mut self,
        request: Option<chat::RequestId>,
        name: &str,
        body: &str,
    ) -> Result<chat::MessageSent, Status> {
        let send = Some(chat::SendMessage { to: to(name), body: body.into(), ..chat::SendMessage::default() });
        let request = self.with(chat::SendMessageRequest { request, send });
        Ok(self.chat.send_message(request).await?.into_inner().sent.unwrap())
    }

    async fn history(&mut self, with: &str, limit: u32, from: Option<From>) -> Result<chat::HistoryReply, Status> {
        let request = self.with(chat::HistoryRequest { r#in: to(with), limit, from, position: 0, consistent: false });
        Ok(self.chat.history(request).await?.into_inner())
    }

    async fn search(&mut self, request: chat::SearchMessagesRequest) -> Result<chat::SearchMessagesReply, Status> {
        let request = self.with(request);
        Ok(self.chat.search_messages(request).await?.into_inner())
    }

    async fn conversations(&mut self, unread_only: bool) -> Vec<chat::Conversation> {
        let request = self.with(chat::ListConversationsRequest { unread_only, ..Default::default() });
        self.chat.list_conversations(request).await.unwrap().into_inner().conversations
    }

    async fn who_am_i(&mut self) -> Result<chat::WhoAmIReply, Status> {
        let request = self.with(chat::WhoAmIRequest::default());
        Ok(self.chat.who_am_i(request).await?.into_inner())
    }
}

fn code<T>(result: Result<T, Status>) -> ErrorCode {
    error_of_status(&result.err().unwrap()).code()
}

#[tokio::test]
async fn sessions_from_registration_to_deletion() {
    let server = start().await;
    let mut ann = server.user("Ann").await;
    let me = ann.who_am_i().await.unwrap();
    assert_eq!((me.name.as_str(), me.device.as_str(), me.administrator), ("Ann", "laptop", true));

    let token = ann.token.clone();
    let again = ann.chat.register(register("Ann", PASSWORD, &token)).await.unwrap().into_inner();
    assert_eq!(again.session, me.session, "a retry");
    let taken = ann.chat.register(register("ANN", PASSWORD, &Token::new(rand::random()))).await;
    assert_eq!(code(taken), ErrorCode::NameTaken);

    let phone = Token::new(rand::random());
    let unknown = ann.chat.login(log_in("nobody", PASSWORD, &phone)).await.unwrap_err();
    let wrong = ann.chat.login(log_in("ann", "wrong horse", &phone)).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (wrong.code(), wrong.message()));
    assert_eq!(code::<()>(Err(wrong)), ErrorCode::WrongCredential);
    let reply = ann.chat.login(log_in("ann", PASSWORD, &phone)).await.unwrap().into_inner();

    let request = ann.with(chat::ListSessionsRequest {});
    let sessions = ann.chat.list_sessions(request).await.unwrap().into_inner().sessions;
    assert_eq!(sessions.iter().map(|session| session.current).collect::<Vec<_>>(), [true, false]);
    let request = ann.with(chat::EndSessionRequest { session: reply.session });
    ann.chat.end_session(request).await.unwrap();
    let mut on_phone = User { chat: ann.chat.clone(), token: phone, instance: reply.instance, number: 0 };
    assert_eq!(code(on_phone.who_am_i().await), ErrorCode::SessionInvalid);

    let change = chat::ChangePasswordRequest { old_password: PASSWORD.into(), new_password: "better horse".into() };
    let request = ann.with(change.clone());
    ann.chat.change_password(request).await.unwrap();
    let request = ann.with(change);
    assert_eq!(code(ann.chat.change_password(request).await), ErrorCode::WrongCredential);
    let request = ann.with(chat::DeleteAccountRequest { password: PASSWORD.into() });
    assert_eq!(code(ann.chat.delete_account(request).await), ErrorCode::WrongCredential);
    let request = ann.with(chat::DeleteAccountRequest { password: "better horse".into() });
    ann.chat.delete_account(request).await.unwrap();
    assert_eq!(code(ann.who_am_i().await), ErrorCode::SessionInvalid);
    let gone = ann.chat.login(log_in("ann", "better horse", &Token::new(rand::random()))).await;
    assert_eq!(code(gone), ErrorCode::WrongCredential);
}

#[tokio::test]
async fn messages_are_found_by_their_words() {
    let server = start().await;
    let (mut ann, mut bob, mut eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let mut ids = Vec::new();
    for body in ["Ünder the bridge", "nothing", "a Bridge too far"] {
        ids.push(ann.say("bob", body).await.unwrap().id);
    }
    let ask = |query: &str| chat::SearchMessagesRequest { query: query.into(), ..Default::default() };
    let reply = bob.search(ask("bridge")).await.unwrap();
    let found: Vec<_> = reply.found.iter().map(|found| found.message.as_ref().unwrap().id).collect();
    assert_eq!((found, reply.more_before, reply.complete), (vec![ids[2], ids[0]], 0, true));
    let newest = &reply.found[0];
    assert_eq!(newest.marks, [chat::Mark { start: 2, end: 8 }]);
    assert_eq!(newest.message.as_ref().unwrap().author_name, "ann");
    let page = bob.search(chat::SearchMessagesRequest { limit: 1, ..ask("bridge") }).await.unwrap();
    assert_eq!((page.found.len(), page.more_before), (1, ids[2]));
    let page = bob.search(chat::SearchMessagesRequest { before: page.more_before, ..ask("bridge") }).await.unwrap();
    assert_eq!((page.found.len(), page.more_before), (1, 0));
    let in_with = |name: &str| chat::SearchMessagesRequest { r#in: to(name), ..ask("UNDER bri*") };
    assert_eq!(bob.search(in_with("ANN")).await.unwrap().found.len(), 1);
    assert_eq!(bob.search(in_with("eve")).await.unwrap().found, [], "never talked with");
    assert_eq!(code(bob.search(in_with("nobody")).await), ErrorCode::UnknownUser);
    let from = |name: &str| chat::SearchMessagesRequest { from: name.into(), ..ask("bridge") };
    assert_eq!(bob.search(from("Ann")).await.unwrap().found.len(), 2);
    assert_eq!(bob.search(from("bob")).await.unwrap().found, []);
    assert_eq!(code(bob.search(from("nobody")).await), ErrorCode::UnknownUser);
    // A stranger finds nothing, and may not even ask there.
    assert_eq!(eve.search(ask("bridge")).await.unwrap().found, []);
    let conversation = newest.message.as_ref().unwrap().conversation;
    let there = Some(chat::Recipient { to: Some(To::Conversation(conversation)) });
    let strange = eve.search(chat::SearchMessagesRequest { r#in: there, ..ask("bridge") }).await;
    assert_eq!(code(strange), ErrorCode::UnknownConversation);
    for bad in ["", "?!", "a*", &"x".repeat(300)] {
        assert_eq!(code(bob.search(ask(bad)).await), ErrorCode::SearchInvalid, "{bad:?}");
    }
    let too_many = bob.search(chat::SearchMessagesRequest { limit: 51, ..ask("bridge") }).await;
    assert_eq!(code(too_many), ErrorCode::Invalid);
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let server = start().await;
    let mut ann = server.user("ann").await;
    let request = ann.with(chat::LogoutRequest {});
    ann.chat.logout(request).await.unwrap();
    assert_eq!(code(ann.who_am_i().await), ErrorCode::SessionInvalid);
    assert_eq!(
        code(ann.chat.who_am_i(chat::WhoAmIRequest::default()).await),
        ErrorCode::SessionInvalid,
        "no token at all"
    );
}

#[tokio::test]
async fn messages_are_sent_read_and_deleted() {
    let server = start().await;
    let (mut ann, mut bob) = (server.user("ann").await, server.user("bob").await);
    let first = ann.say("BOB", "one").await.unwrap();
    ann.say("bob", "two").await.unwrap();
    let third = ann.say("bob", "three").await.unwrap();

    let unread = bob.conversations(true).await;
    assert_eq!((unread[0].peer_name.as_str(), unread[0].unread, unread[0].messages), ("ann", 3, 3));
    assert_eq!(unread[0].last.as_ref().unwrap().body, "three");
    let page = bob.history("ann", 2, None).await.unwrap();
    assert!(page.more);
    assert_eq!(page.messages.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["two", "three"]);
    let last = &page.messages[1];
    assert_eq!((last.author_name.as_str(), last.peer_name.as_str(), last.number), ("ann", "ann", 3));
    let page = bob.history("ann", 2, Some(From::Before(page.messages[0].id))).await.unwrap();
    assert_eq!((page.messages.len(), page.messages[0].body.as_str(), page.more), (1, "one", false));

    let mark = Some(chat::MarkRead { r#in: to("ann"), up_to: 0 });
    let request = bob.next();
    for _ in 0..2 {
        let request = bob.with(chat::MarkReadRequest { request, mark: mark.clone() });
        bob.chat.mark_read(request).await.unwrap();
        assert_eq!(bob.conversations(true).await, []);
    }
    let messages = vec![first.id, third.id];
    let delete = Some(chat::DeleteMessages { conversation: 0, messages, for_everyone: true });
    let request = bob.next();
    let request = bob.with(chat::DeleteMessagesRequest { request, delete: delete.clone() });
    assert_eq!(code(bob.chat.delete_messages(request).await), ErrorCode::Forbidden);
    let request = ann.next();
    let request = ann.with(chat::DeleteMessagesRequest { request, delete });
    ann.chat.delete_messages(request).await.unwrap();
    let page = bob.history("ann", 0, None).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.deleted).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(page.messages[0].body, "");

    let messages = vec![page.messages[1].id];
    let delete = Some(chat::DeleteMessages { conversation: 0, messages, for_everyone: false });
    let request = ann.next();
    for _ in 0..2 {
        // The retry no longer sees the message, and is the same request all the same.
        let request = ann.with(chat::DeleteMessagesRequest { request, delete: delete.clone() });
        ann.chat.delete_messages(request).await.unwrap();
        assert_eq!(ann.history("bob", 0, None).await.unwrap().messages.len(), 2);
    }
    assert_eq!(bob.history("ann", 0, None).await.unwrap().messages.len(), 3);
}

#[tokio::test]
async fn a_repeated_request_is_answered_once() {
    let server = start().await;
    let (mut ann, _bob) = (server.user("ann").await, server.user("bob").await);
    let request = ann.next();
    let first = ann.say_as(request, "bob", "hello").await.unwrap();
    assert_eq!(ann.say_as(request, "bob", "hello").await.unwrap(), first);
    assert_eq!(code(ann.say_as(request, "bob", "other").await), ErrorCode::RequestMismatch);
    assert_eq!(ann.history("bob", 0, None).await.unwrap().messages.len(), 1);
    let request = ann.with(chat::OpenInstanceRequest { nonce: 5 });
    let opened = ann.chat.open_instance(request).await.unwrap().into_inner();
    let request = ann.with(chat::OpenInstanceRequest { nonce: 5 });
    assert_eq!(ann.chat.open_instance(request).await.unwrap().into_inner(), opened);
}

#[tokio::test]
async fn people_are_found_and_seen_online() {
    let server = start().await;
    let (mut ann, mut bob) = (server.user("ann").await, server.user("bob").await);
    let subscribe = chat::client_frame::Frame::Subscribe(chat::Subscribe::default());
    let frame = chat::ClientFrame { frame: Some(subscribe) };
    let request = bob.with(tokio_stream::once(frame));
    let mut events = bob.chat.converse(request).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some());

    let request = ann.with(chat::SearchAccountsRequest::default());
    let found = ann.chat.search_accounts(request).await.unwrap().into_inner().accounts;
    let seen: Vec<_> = found.iter().map(|account| (account.name.as_str(), account.online)).collect();
    assert_eq!(seen, [("ann", false), ("bob", true)]);
    let request = ann.with(chat::ListOnlineRequest::default());
    assert_eq!(ann.chat.list_online(request).await.unwrap().into_inner().accounts[0].name, "bob");
    let too_many = chat::SearchAccountsRequest { limit: 201, ..Default::default() };
    let request = ann.with(too_many);
    assert_eq!(code(ann.chat.search_accounts(request).await), ErrorCode::Invalid);
}

#[tokio::test]
async fn bad_input_is_refused_with_words() {
    let server = start().await;
    let (mut ann, _bob) = (server.user("ann").await, server.user("bob").await);
    let fresh = || Token::new(rand::random());
    for (name, password) in [("", PASSWORD), ("two words", PASSWORD), (&"n".repeat(33), PASSWORD), ("carl", "short")] {
        assert_eq!(code(ann.chat.register(register(name, password, &fresh())).await), ErrorCode::Invalid);
    }
    let mut request = register("carl", PASSWORD, &fresh());
    request.token = vec![1, 2, 3].into();
    assert_eq!(code(ann.chat.register(request).await), ErrorCode::Invalid);

    assert_eq!(code(ann.say("nobody", "hello").await), ErrorCode::UnknownUser);
    assert_eq!(code(ann.say("bob", "").await), ErrorCode::Invalid);
    assert_eq!(code(ann.say("bob", &"x".repeat(20_000)).await), ErrorCode::Invalid);
    ann.say("bob", "the refused ones used up their numbers").await.unwrap();
    let request = ann.next();
    assert_eq!(code(ann.say_as(request, "bob", &"x".repeat(100_000)).await), ErrorCode::Invalid);
    assert_eq!(code(ann.say_as(request, "bob", &"x".repeat(300_000)).await), ErrorCode::Invalid);
    ann.say_as(request, "bob", "these two did not").await.unwrap();

    assert_eq!(code(ann.history("nobody", 0, None).await), ErrorCode::UnknownUser);
    assert_eq!(ann.history("ann", 0, None).await.unwrap().messages, []);
    assert_eq!(code(ann.history("bob", 201, None).await), ErrorCode::Invalid);
}

#[tokio::test]
async fn a_read_waits_for_what_its_client_has_seen() {
    let server = start().await;
    let mut ann = server.user("ann").await;
    let position = server.door.position();
    let ahead =
        |position: Position| chat::HistoryRequest { r#in: to("ann"), position: position.0, ..Default::default() };
    let request = ann.with(ahead(position));
    ann.chat.history(request).await.unwrap();
    let mut request = ann.with(ahead(Position(position.0 + 5000)));
    request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
    assert_eq!(code(ann.chat.history(request).await), ErrorCode::Unavailable);
}

#[tokio::test]
async fn without_a_leader_calls_are_unavailable_and_sessions_not_invalid() {
    let server = start().await;
    let mut ann = server.user("ann").await;
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
    server.door.set_unavailable(true);
    assert_eq!(code(ann.say("ann", "hello").await), ErrorCode::Unavailable);
    assert_eq!(
        code(ann.chat.login(log_in("ann", PASSWORD, &Token::new(rand::random()))).await),
        ErrorCode::Unavailable
    );
    ann.who_am_i().await.unwrap();
    let consistent = ann.with(chat::WhoAmIRequest { consistent: true });
    assert_eq!(code(ann.chat.who_am_i(consistent).await), ErrorCode::Unavailable, "nobody says how far all is");
    let mut stranger = User { chat: ann.chat.clone(), token: Token::new(rand::random()), instance: 1, number: 0 };
    assert_eq!(code(stranger.who_am_i().await), ErrorCode::Unavailable, "opened elsewhere, perhaps");
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn status_health_and_reflection_need_no_session() {
    let server = start().await;
    let channel = server.channel().await;
    let mut cluster = ClusterClient::new(channel.clone());
    let status = cluster.status(chat::StatusRequest { local: true }).await.unwrap().into_inner();
    assert_eq!((&*status.servers[0].role, status.empty), ("leader", true));
    server.user("ann").await;
    assert!(!cluster.status(chat::StatusRequest { local: true }).await.unwrap().into_inner().empty);
    let status = cluster.status(chat::StatusRequest { local: false }).await.unwrap().into_inner();
    assert_eq!(status.state, "normal");

    let mut health = HealthClient::new(channel.clone());
    for service in ["", "threefold.chat.v1.Chat"] {
        let reply = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(reply.status, 1, "{service}");
    }
    let mut reflection = ServerReflectionClient::new(channel);
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut replies = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = replies.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"threefold.chat.v1.Chat".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("peer")), "{names:?}");
}

#[tokio::test]
async fn pages_of_the_cluster_may_fetch_and_no_others() {
    let server = start().await;
    let own = format!("http://{}", server.address);
    let ask = async |method: &str, origin: &str| {
        let headers = format!("origin: {origin}\r\naccess-control-request-method: POST\r\n");
        server.ask(method, "/attachments/1/2/3", &headers).await.to_ascii_lowercase()
    };
    // Those of the other member (see the door in memory) too, to which this server is another site.
    for origin in [&own, "http://127.0.0.1:2"] {
        let allowed = format!("access-control-allow-origin: {origin}\r\n");
        let first = ask("OPTIONS", origin).await;
        assert!(first.starts_with("http/1.1 204") && first.contains(&allowed), "{first}");
        assert!(first.contains("access-control-allow-headers: authorization"), "{first}");
        let answer = ask("GET", origin).await;
        assert!(answer.starts_with("http/1.1 401") && answer.contains(&allowed), "{answer}");
    }
    for origin in ["http://evil.example", "http://127.0.0.1:3", "null"] {
        for method in ["OPTIONS", "GET"] {
            assert!(!ask(method, origin).await.contains("allow-origin"), "{method} from {origin}");
        }
    }
}

#[tokio::test]
async fn other_bytes_disturb_nobody() {
    let server = start().await;
    let mut ann = server.user("ann").await;
    assert!(server.get("/").await.contains("Threefold"));
    assert!(server.get("/nothing").await.starts_with("HTTP/1.1 404"));
    let garbage: [&[u8]; 5] = [
        &[0; 100],
        &[255; 4096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff",
        b"\r\n\r\n",
        b"\x16\x03\x01",
    ];
    for bytes in garbage {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
    }
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/threefold.chat.v9.Chat/Nothing");
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<chat::Ping, chat::Pong>::default();
    let unknown = client.unary(Request::new(chat::Ping::default()), path, codec).await;
    assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
    ann.who_am_i().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_then_the_server() {
    let server = start().await;
    let mut ann = server.user("ann").await;
    let frame = chat::ClientFrame { frame: Some(chat::client_frame::Frame::Subscribe(chat::Subscribe::default())) };
    let request = ann.with(tokio_stream::once(frame));
    let mut events = ann.chat.converse(request).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some());
    server.stop.send(()).unwrap();
    let ended = loop {
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(error_of_status(&ended).code(), ErrorCode::Unavailable);
    timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
}
