//! Somebody who asks the same thing by each way in, and is told a code or none.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use prost::Message as _;
use serde_json::{Value, json};
use threefold_client::chat::{self, ErrorCode, chat_client::ChatClient};
use tokio::runtime::Runtime;
use tonic::{Request, Status, transport::Channel};

use super::files;
use crate::harness::{Cluster, PATIENCE, Page, until};

/// What somebody is told: nothing where they may, else a code.
pub type Told = Result<Value, String>;

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Grpc,
    WebSocket,
    Tcp,
    Http,
}

/// One who asks; without a name, somebody who never logged in.
pub struct Asker {
    name: String,
    secret: String,
    token: String,
    server: String,
    port: String,
    page: Page,
    channel: Channel,
    lines: BufReader<TcpStream>,
}

fn lines(port: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

impl Asker {
    /// Nobody, at that server.
    pub fn nobody(runtime: &Runtime, cluster: &Cluster, place: usize) -> Self {
        let server = &cluster.servers[place % cluster.servers.len()];
        let endpoint = Channel::from_shared(format!("http://{}", server.client)).unwrap();
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self {
            name: String::new(),
            secret: String::new(),
            token: "0".repeat(64),
            server: server.client.clone(),
            port: server.chat.clone(),
            page: Page::open(&server.client).unwrap(),
            channel,
            lines: lines(&server.chat),
        }
    }

    /// Logs in by all three ways, after registering or with what a bot has.
    pub fn log_in(mut self, name: &str, secret: &str, is_new: bool) -> Self {
        (self.name, self.secret) = (name.to_owned(), secret.to_owned());
        self.token = (0..64).map(|_| char::from_digit(rand::random_range(0..16), 16).unwrap()).collect();
        let with = json!({"name": name, "password": secret, "token": self.token, "device": "test"});
        let call = if is_new { "register" } else { "login" };
        self.call(call, &with).unwrap();
        let told = self.line(&json!({"cmd": "login", "src": name, "body": secret}));
        assert!(told.is_ok(), "{told:?}");
        self
    }

    /// Asks by that way. `with` is the call's request, of a write all but its request id; or, on the TCP port, the command.
    pub fn ask(&mut self, runtime: &Runtime, way: Way, call: &str, with: &Value, is_write: bool) -> Told {
        let mut with = with.clone();
        if is_write && way != Way::Tcp {
            // A new instance each, so that no number depends on what became of the one before.
            let opened = self.call("open_instance", &json!({"nonce": rand::random_range(1..1_u64 << 53)}));
            let instance = opened.map_or(json!(1), |opened| opened["instance"].clone());
            with["request"] = json!({"instance": instance, "number": 1});
        }
        until("an answer", || {
            let told = match way {
                Way::WebSocket => self.call(call, &with),
                Way::Grpc if files::CALLS.contains(&call) => {
                    runtime.block_on(files::over_grpc(self.channel.clone(), &self.token, call, with.clone()))
                }
                Way::Grpc => runtime.block_on(grpc(self.channel.clone(), &self.token, call, with.clone())),
                Way::Tcp => self.line(&with),
                Way::Http => files::over_http(&self.token, &self.server, call, &with),
            };
            // Nothing is known then; it is asked again, under the same number.
            if told == Err("UNAVAILABLE".to_owned()) { None } else { Some(told) }
        })
    }

    /// One call over WebSocket. A page that was silent for long was let go of meanwhile: it is taken up again.
    fn call(&mut self, call: &str, with: &Value) -> Told {
        loop {
            if let Ok(answer) = self.page.call(call, with.clone()) {
                return answer.map_err(|error| code_of(&error));
            }
            self.page = Page::open(&self.server).unwrap();
            if !self.name.is_empty() && call != "register" && call != "login" {
                // Where there is no session any more, the call itself is told so.
                let _ = self.page.call("resume", json!({"token": self.token}));
            }
        }
    }

    /// One command of the chat TCP port, which lets go of who says nothing for long: then anew.
    fn line(&mut self, command: &Value) -> Told {
        until("an answer of the chat TCP port", || {
            let told = self.try_line(command);
            if told.is_none() {
                self.lines = lines(&self.port);
                if !self.name.is_empty() {
                    self.try_line(&json!({"cmd": "login", "src": self.name, "body": self.secret}));
                }
            }
            told
        })
    }

    /// None where the connection has ended.
    fn try_line(&mut self, command: &Value) -> Option<Told> {
        self.lines.get_mut().write_all(format!("{command}\n").as_bytes()).ok()?;
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).ok()?;
            let reply: Value = serde_json::from_str(&line).ok()?;
            // What others said meanwhile, or a farewell.
            if reply["cmd"] != command["cmd"] {
                continue;
            }
            return Some(match reply["error"].as_bool().unwrap() {
                true => Err(reply["code"].as_str().unwrap().to_owned()),
                false => Ok(reply),
            });
        }
    }
}

pub fn code_of(error: &Value) -> String {
    error["code"].as_str().unwrap().to_uppercase()
}

/// The calls of `chat.proto` by their names in JSON, over gRPC.
async fn grpc(channel: Channel, token: &str, call: &str, with: Value) -> Told {
    let mut chat = ChatClient::new(channel);
    macro_rules! calls {
        ($($name:ident: $type:ident),* $(,)?) => {
            match call {
                $(stringify!($name) => {
                    let with: chat::$type = serde_json::from_value(with).unwrap();
                    let mut request = Request::new(with);
                    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
                    let reply = chat.$name(request).await.map_err(|status| code_of_status(&status))?;
                    Ok(serde_json::to_value(reply.into_inner()).unwrap())
                })*
                _ => panic!("no call {call}"),
            }
        };
    }
    calls! {
        who_am_i: WhoAmIRequest,
        delete_account: DeleteAccountRequest,
        change_password: ChangePasswordRequest,
        list_sessions: ListSessionsRequest,
        end_session: EndSessionRequest,
        open_instance: OpenInstanceRequest,
        search_accounts: SearchAccountsRequest,
        list_online: ListOnlineRequest,
        set_display_name: SetDisplayNameRequest,
        administer: AdministerRequest,
        list_administration: ListAdministrationRequest,
        send_message: SendMessageRequest,
        history: HistoryRequest,
        search_messages: SearchMessagesRequest,
        list_conversations: ListConversationsRequest,
        mark_read: MarkReadRequest,
        delete_messages: DeleteMessagesRequest,
        edit_message: EditMessageRequest,
        react: ReactRequest,
        list_reactions: ListReactionsRequest,
        get_messages: GetMessagesRequest,
        list_attachments: ListAttachmentsRequest,
        discard_attachment: DiscardAttachmentRequest,
        create_room: CreateRoomRequest,
        join_room: JoinRoomRequest,
        leave_room: LeaveRoomRequest,
        invite_to_room: InviteToRoomRequest,
        remove_from_room: RemoveFromRoomRequest,
        set_role: SetRoleRequest,
        change_room: ChangeRoomRequest,
        decline_invitation: DeclineInvitationRequest,
        get_room: GetRoomRequest,
        list_rooms: ListRoomsRequest,
        list_members: ListMembersRequest,
        list_invitations: ListInvitationsRequest,
        create_bot: CreateBotRequest,
        set_bot_token: SetBotTokenRequest,
        delete_bot: DeleteBotRequest,
        list_bots: ListBotsRequest,
        create_webhook: CreateWebhookRequest,
        delete_webhook: DeleteWebhookRequest,
        list_webhooks: ListWebhooksRequest,
    }
}

pub fn code_of_status(status: &Status) -> String {
    let error = chat::Error::decode(status.details()).unwrap();
    ErrorCode::try_from(error.code).unwrap().as_str_name().to_owned()
}
