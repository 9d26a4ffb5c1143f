//! One fake server: the gRPC services over the shared state, with what the server does wrong in between.

mod calls;
mod conversation;

use std::{pin::Pin, sync::Arc, time::Duration};

use calls::{account_info, check_password, no_bots, no_rooms, not_here, status, take_one, token_of};
use conversation::Conversation;

use threefold_proto::chat::{
    self, ClientFrame, ErrorCode, ServerFrame, Write, chat_server::Chat, cluster_server::Cluster,
    history_request::From, write_result::Result as Answer,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, state::refusal};

/// Between two looks whether something is still held.
const HELD: Duration = Duration::from_millis(5);

#[derive(Clone)]
pub(super) struct Service {
    shared: Arc<Shared>,
    index: usize,
}

type Result<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Chat for Service {
    async fn register(&self, request: Request<chat::RegisterRequest>) -> Result<chat::SessionReply> {
        let request = request.into_inner();
        self.call(|state| {
            if let Some(session) = state.sessions.get(request.token.as_ref()).cloned() {
                return Ok(self.session_reply(state, &session));
            }
            if state.account_named(&request.name).is_some() {
                return Err(refusal(ErrorCode::NameTaken, "the name is taken"));
            }
            let id = state.next_id();
            let (name, password) = (request.name.clone(), request.password.clone());
            state.accounts.push(super::state::Account { id, name, password, delivered_up_to: id });
            let session = state.open_session(id, &request.token, &request.device);
            Ok(self.session_reply(state, &session))
        })
        .await
    }

    async fn login(&self, request: Request<chat::LoginRequest>) -> Result<chat::SessionReply> {
        let request = request.into_inner();
        self.call(|state| {
            if let Some(session) = state.sessions.get(request.token.as_ref()).cloned() {
                return Ok(self.session_reply(state, &session));
            }
            let id = state.account_named(&request.name).map(|account| account.id).unwrap_or_default();
            check_password(state, id, &request.password)?;
            let session = state.open_session(id, &request.token, &request.device);
            Ok(self.session_reply(state, &session))
        })
        .await
    }

    async fn logout(&self, request: Request<chat::LogoutRequest>) -> Result<chat::LogoutReply> {
        self.authenticated(request, |state, session, _| {
            state.sessions.retain(|_, known| known.id != session.id);
            Ok(chat::LogoutReply {})
        })
        .await
    }

    async fn who_am_i(&self, request: Request<chat::WhoAmIRequest>) -> Result<chat::WhoAmIReply> {
        self.behave(|behaviour| behaviour.asked_who_am_i += 1);
        while self.behave(|behaviour| behaviour.hold_who_am_i) {
            tokio::time::sleep(HELD).await;
        }
        self.authenticated(request, |state, session, _| {
            let reply = self.session_reply(state, &session);
            Ok(chat::WhoAmIReply {
                account: reply.account,
                session: reply.session,
                name: reply.name,
                device: session.device,
                administrator: false,
                expires_at_ms: reply.expires_at_ms,
                delivered_up_to: reply.delivered_up_to,
                servers: reply.servers,
                position: reply.position,
                display_name: String::new(),
                bot: false,
            })
        })
        .await
    }

    async fn delete_account(&self, request: Request<chat::DeleteAccountRequest>) -> Result<chat::DeleteAccountReply> {
        self.authenticated(request, |state, session, request| {
            check_password(state, session.account, &request.password)?;
            state.sessions.retain(|_, known| known.account != session.account);
            state.accounts.retain(|known| known.id != session.account);
            Ok(chat::DeleteAccountReply {})
        })
        .await
    }

    async fn change_password(
        &self,
        request: Request<chat::ChangePasswordRequest>,
    ) -> Result<chat::ChangePasswordReply> {
        self.authenticated(request, |state, session, request| {
            check_password(state, session.account, &request.old_password)?;
            for account in state.accounts.iter_mut().filter(|known| known.id == session.account) {
                account.password.clone_from(&request.new_password);
            }
            state.sessions.retain(|_, known| known.account != session.account || known.id == session.id);
            Ok(chat::ChangePasswordReply {})
        })
        .await
    }

    async fn list_sessions(&self, request: Request<chat::ListSessionsRequest>) -> Result<chat::ListSessionsReply> {
        self.authenticated(request, |state, session, _| {
            let own = state.sessions.values().filter(|known| known.account == session.account);
            let sessions = own.map(|known| chat::Session {
                session: known.id,
                device: known.device.clone(),
                opened_at_ms: known.id,
                expires_at_ms: known.id + 1,
                current: known.id == session.id,
            });
            Ok(chat::ListSessionsReply { sessions: sessions.collect() })
        })
        .await
    }

    async fn end_session(&self, request: Request<chat::EndSessionRequest>) -> Result<chat::EndSessionReply> {
        self.authenticated(request, |state, session, request| {
            let before = state.sessions.len();
            state.sessions.retain(|_, known| known.account != session.account || known.id != request.session);
            if state.sessions.len() == before {
                return Err(refusal(ErrorCode::UnknownSession, "no such session"));
            }
            Ok(chat::EndSessionReply {})
        })
        .await
    }

    async fn open_instance(&self, request: Request<chat::OpenInstanceRequest>) -> Result<chat::OpenInstanceReply> {
        let refused = self.behave(|behaviour| behaviour.refuse_instances);
        self.authenticated(request, |state, session, request| {
            if let Some(code) = refused {
                return Err(refusal(code, "no instance for now"));
            }
            Ok(chat::OpenInstanceReply { instance: state.instance_for(session.id, request.nonce) })
        })
        .await
    }

    async fn search_accounts(
        &self,
        request: Request<chat::SearchAccountsRequest>,
    ) -> Result<chat::SearchAccountsReply> {
        self.authenticated(request, |state, _, request| {
            let pattern = request.pattern.replace('*', "");
            let fits =
                |account: &&super::state::Account| account.name.contains(&pattern) && account.name > request.after;
            let mut accounts: Vec<_> =
                state.accounts.iter().filter(fits).map(|account| account_info(state, account)).collect();
            accounts.sort_by(|a, b| a.name.cmp(&b.name));
            let limit = if request.limit == 0 { 50 } else { request.limit as usize };
            let more = accounts.len() > limit;
            accounts.truncate(limit);
            Ok(chat::SearchAccountsReply { accounts, more })
        })
        .await
    }

    async fn list_online(&self, request: Request<chat::ListOnlineRequest>) -> Result<chat::ListOnlineReply> {
        self.authenticated(request, |state, _, request| {
            let accounts = state.accounts.iter().map(|account| account_info(state, account));
            let mut accounts: Vec<_> =
                accounts.filter(|account| account.online && account.account > request.after).collect();
            accounts.sort_by_key(|account| account.account);
            let more = request.limit > 0 && accounts.len() > request.limit as usize;
            accounts.truncate(if request.limit == 0 { usize::MAX } else { request.limit as usize });
            Ok(chat::ListOnlineReply { accounts, more })
        })
        .await
    }

    async fn set_display_name(&self, _: Request<chat::SetDisplayNameRequest>) -> Result<chat::SetDisplayNameReply> {
        Err(not_here())
    }

    type UploadAttachmentStream = ReceiverStream<std::result::Result<chat::UploadReply, Status>>;
    type DownloadAttachmentStream = ReceiverStream<std::result::Result<chat::DownloadReply, Status>>;

    async fn upload_attachment(
        &self,
        _: Request<Streaming<chat::UploadFrame>>,
    ) -> Result<Self::UploadAttachmentStream> {
        Err(not_here())
    }

    async fn download_attachment(
        &self,
        _: Request<chat::DownloadAttachmentRequest>,
    ) -> Result<Self::DownloadAttachmentStream> {
        Err(not_here())
    }

    async fn list_attachments(&self, _: Request<chat::ListAttachmentsRequest>) -> Result<chat::ListAttachmentsReply> {
        Err(not_here())
    }

    async fn discard_attachment(
        &self,
        _: Request<chat::DiscardAttachmentRequest>,
    ) -> Result<chat::DiscardAttachmentReply> {
        Err(not_here())
    }

    async fn administer(&self, _: Request<chat::AdministerRequest>) -> Result<chat::AdministerReply> {
        Err(not_here())
    }

    async fn list_administration(
        &self,
        _: Request<chat::ListAdministrationRequest>,
    ) -> Result<chat::ListAdministrationReply> {
        Err(not_here())
    }

    async fn send_message(&self, request: Request<chat::SendMessageRequest>) -> Result<chat::SendMessageReply> {
        self.authenticated(request, |state, session, request| {
            let operation = request.send.map(chat::write::Operation::Send);
            match state.write(&session, &Write { request: request.request, operation, answered: 0 }) {
                Answer::Sent(sent) => Ok(chat::SendMessageReply { sent: Some(sent) }),
                Answer::Error(error) => Err(error),
                _ => Err(refusal(ErrorCode::Internal, "another kind")),
            }
        })
        .await
    }

    async fn history(&self, request: Request<chat::HistoryRequest>) -> Result<chat::HistoryReply> {
        self.authenticated(request, |state, session, request| {
            let conversation = match state.find(session.account, request.r#in.as_ref()) {
                Err(error) if error.code() == ErrorCode::UnknownConversation => 0,
                other => other?,
            };
            let limit = if request.limit == 0 { 50 } else { request.limit as usize };
            let of = state.messages().filter(|message| message.conversation == conversation);
            let mut messages: Vec<_> = of.map(|message| state.seen_by(session.account, message)).collect();
            let more = match request.from.unwrap_or(From::Before(0)) {
                From::Before(before) => {
                    messages.retain(|message| before == 0 || message.id < before);
                    let surplus = messages.len().saturating_sub(limit);
                    messages.drain(..surplus).next().is_some()
                }
                From::After(after) => {
                    messages.retain(|message| message.id > after);
                    let more = messages.len() > limit;
                    messages.truncate(limit);
                    more
                }
                From::Around(_) | From::AtMs(_) => {
                    return Err(refusal(ErrorCode::Internal, "the fake knows pages before and after only"));
                }
            };
            Ok(chat::HistoryReply { messages, more, ..Default::default() })
        })
        .await
    }

    async fn search_messages(
        &self,
        request: Request<chat::SearchMessagesRequest>,
    ) -> Result<chat::SearchMessagesReply> {
        self.authenticated(request, |state, session, request| {
            let is_known = |conversation| {
                let members = state.conversations.get(&conversation);
                members.is_some_and(|members| members.contains(&session.account))
            };
            let found = |message: &chat::Message| {
                let start = message.body.find(&request.query)?;
                let start = message.body[..start].chars().count() as u32;
                let mark = chat::Mark { start, end: start + request.query.chars().count() as u32 };
                Some(chat::FoundMessage { message: Some(message.clone()), marks: vec![mark] })
            };
            let own = state.messages().filter(|message| is_known(message.conversation));
            let mut found: Vec<_> = own
                .map(|message| state.seen_by(session.account, message))
                .collect::<Vec<_>>()
                .iter()
                .filter_map(found)
                .collect();
            found.reverse();
            Ok(chat::SearchMessagesReply { found, complete: true, ..Default::default() })
        })
        .await
    }

    async fn list_conversations(
        &self,
        request: Request<chat::ListConversationsRequest>,
    ) -> Result<chat::ListConversationsReply> {
        self.authenticated(request, |state, session, request| {
            let account = session.account;
            let own =
                state.conversations.iter().filter(|(id, members)| members.contains(&account) && **id > request.after);
            let conversations = own.map(|(id, _)| {
                let of = || state.messages().filter(|message| message.conversation == *id);
                let last = of().last().map(|message| state.seen_by(account, message));
                chat::Conversation {
                    conversation: *id,
                    peer_name: last.as_ref().map(|last| last.peer_name.clone()).unwrap_or_default(),
                    unread: state.unread(account, *id),
                    read_up_to: state.read.get(&(account, *id)).copied().unwrap_or_default(),
                    messages: of().count() as u64,
                    last,
                    ..Default::default()
                }
            });
            let conversations = conversations.filter(|known| !request.unread_only || known.unread > 0).collect();
            Ok(chat::ListConversationsReply { conversations, more: false })
        })
        .await
    }

    async fn mark_read(&self, _: Request<chat::MarkReadRequest>) -> Result<chat::MarkReadReply> {
        Err(Status::unimplemented("the fake takes this on streams only"))
    }

    async fn delete_messages(&self, _: Request<chat::DeleteMessagesRequest>) -> Result<chat::DeleteMessagesReply> {
        Err(Status::unimplemented("the fake takes this on streams only"))
    }

    async fn edit_message(&self, _: Request<chat::EditMessageRequest>) -> Result<chat::EditMessageReply> {
        Err(Status::unimplemented("the fake takes this on streams only"))
    }

    async fn create_bot(&self, _: Request<chat::CreateBotRequest>) -> Result<chat::CreateBotReply> {
        Err(no_bots())
    }

    async fn set_bot_token(&self, _: Request<chat::SetBotTokenRequest>) -> Result<chat::SetBotTokenReply> {
        Err(no_bots())
    }

    async fn delete_bot(&self, _: Request<chat::DeleteBotRequest>) -> Result<chat::DeleteBotReply> {
        Err(no_bots())
    }

    async fn list_bots(&self, _: Request<chat::ListBotsRequest>) -> Result<chat::ListBotsReply> {
        Err(no_bots())
    }

    async fn create_webhook(&self, _: Request<chat::CreateWebhookRequest>) -> Result<chat::CreateWebhookReply> {
        Err(no_bots())
    }

    async fn delete_webhook(&self, _: Request<chat::DeleteWebhookRequest>) -> Result<chat::DeleteWebhookReply> {
        Err(no_bots())
    }

    async fn list_webhooks(&self, _: Request<chat::ListWebhooksRequest>) -> Result<chat::ListWebhooksReply> {
        Err(no_bots())
    }

    async fn react(&self, _: Request<chat::ReactRequest>) -> Result<chat::ReactReply> {
        Err(Status::unimplemented("the fake knows no reactions"))
    }

    async fn list_reactions(&self, _: Request<chat::ListReactionsRequest>) -> Result<chat::ListReactionsReply> {
        Err(Status::unimplemented("the fake knows no reactions"))
    }

    async fn get_messages(&self, request: Request<chat::GetMessagesRequest>) -> Result<chat::GetMessagesReply> {
        self.authenticated(request, |state, session, request| {
            let seen = |id| state.messages().find(|message| message.id == id);
            let found = request.messages.into_iter().filter_map(seen);
            let messages = found.map(|message| state.seen_by(session.account, message)).collect();
            Ok(chat::GetMessagesReply { messages })
        })
        .await
    }

    async fn create_room(&self, _: Request<chat::CreateRoomRequest>) -> Result<chat::CreateRoomReply> {
        Err(no_rooms())
    }

    async fn join_room(&self, _: Request<chat::JoinRoomRequest>) -> Result<chat::JoinRoomReply> {
        Err(no_rooms())
    }

    async fn leave_room(&self, _: Request<chat::LeaveRoomRequest>) -> Result<chat::LeaveRoomReply> {
        Err(no_rooms())
    }

    async fn invite_to_room(&self, _: Request<chat::InviteToRoomRequest>) -> Result<chat::InviteToRoomReply> {
        Err(no_rooms())
    }

    async fn remove_from_room(&self, _: Request<chat::RemoveFromRoomRequest>) -> Result<chat::RemoveFromRoomReply> {
        Err(no_rooms())
    }

    async fn set_role(&self, _: Request<chat::SetRoleRequest>) -> Result<chat::SetRoleReply> {
        Err(no_rooms())
    }

    async fn change_room(&self, _: Request<chat::ChangeRoomRequest>) -> Result<chat::ChangeRoomReply> {
        Err(no_rooms())
    }

    async fn decline_invitation(
        &self,
        _: Request<chat::DeclineInvitationRequest>,
    ) -> Result<chat::DeclineInvitationReply> {
        Err(no_rooms())
    }

    async fn get_room(&self, _: Request<chat::GetRoomRequest>) -> Result<chat::GetRoomReply> {
        Err(no_rooms())
    }

    async fn list_rooms(&self, _: Request<chat::ListRoomsRequest>) -> Result<chat::ListRoomsReply> {
        Err(no_rooms())
    }

    async fn list_members(&self, _: Request<chat::ListMembersRequest>) -> Result<chat::ListMembersReply> {
        Err(no_rooms())
    }

    async fn list_invitations(&self, _: Request<chat::ListInvitationsRequest>) -> Result<chat::ListInvitationsReply> {
        Err(no_rooms())
    }

    type ConverseStream = Pin<Box<dyn Stream<Item = std::result::Result<ServerFrame, Status>> + Send>>;

    async fn converse(&self, request: Request<Streaming<ClientFrame>>) -> Result<Self::ConverseStream> {
        let token = token_of(&request);
        let session = self.shared.state().sessions.get(&token).cloned();
        let invalid = refusal(ErrorCode::SessionInvalid, "not logged in");
        let session = session.ok_or_else(|| status(&invalid))?;
        let (sender, receiver) = mpsc::channel(16);
        let left = self.behave(|behaviour| behaviour.frames_per_stream);
        let conversation =
            Conversation { service: self.clone(), token, session, sender, left, cursor: None, online: false };
        tokio::spawn(conversation.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn status(&self, _: Request<chat::StatusRequest>) -> Result<chat::ClusterStatus> {
        let servers = self.servers();
        self.call(|state| {
            let describe = |(index, address): (usize, String)| chat::ServerStatus {
                id: index as u64 + 1,
                name: format!("server-{}", index + 1),
                client_address: address,
                role: if index == 0 { "leader" } else { "follower" }.to_owned(),
                term: 1,
                last_index: state.position() / 4096,
                applied_index: state.position() / 4096,
                voter: true,
                ..chat::ServerStatus::default()
            };
            Ok(chat::ClusterStatus {
                state: "normal".to_owned(),
                detail: "all servers are there".to_owned(),
                servers: servers.into_iter().enumerate().map(describe).collect(),
                recovery_id: state.recovery_id.clone().into(),
                ..chat::ClusterStatus::default()
            })
        })
        .await
    }
}
