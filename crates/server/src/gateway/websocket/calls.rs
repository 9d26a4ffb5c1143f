//! The calls by their names: one table, and a test that compares it with the services of `chat.proto`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use threefold_core::Rejection;
use threefold_proto::{
    chat,
    convert::{Refusal, Token},
    json,
};
use tokio::time::Instant;

use crate::gateway::{Caller, Gateway, door::Door};

/// What a call has come to.
pub(super) struct Answer {
    /// The reply, in JSON.
    pub reply: String,
    /// What it means for the connection.
    pub effect: Effect,
}

/// What a call does to its connection.
pub(super) enum Effect {
    /// Nothing.
    None,
    /// From now on it is this caller's.
    Binds(Caller),
    /// Its session has ended.
    Ends,
}

/// Those that need no session; all but one are calls of `chat.proto`.
const OPEN: [&str; 4] = ["register", "login", RESUME, "status"];
/// Shows a session that was opened before: what gRPC says with every call, said once.
const RESUME: &str = "resume";

/// With what a connection is taken up again.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    token: String,
}

/// Whether a call, if it succeeds, gives its connection a session.
pub(super) fn binds(name: &str) -> bool {
    matches!(name, "register" | "login" | RESUME)
}

fn again<T: DeserializeOwned + Serialize>(with: Value) -> Result<String, Refusal> {
    json::write(&json::from_value::<T>(with)?)
}

macro_rules! table {
    (
        ($gateway:ident, $caller:ident, $deadline:ident)
        $($name:literal: $request:ident as $type:ty => $answer:expr;)*
    ) => {
        /// Those that need a session.
        #[cfg(test)]
        const WITH_SESSION: &[&str] = &[$($name),*];

        /// The request of that call, written again.
        pub(super) fn understood(name: &str, with: Value) -> Result<String, Refusal> {
            match name {
                $($name => again::<$type>(with),)*
                "register" => again::<chat::RegisterRequest>(with),
                "login" => again::<chat::LoginRequest>(with),
                RESUME => again::<Resume>(with),
                "status" => again::<chat::StatusRequest>(with),
                _ => Err(Refusal::invalid(format!("there is no call {name:?}"))),
            }
        }

        async fn with_session<D: Door>(
            $gateway: &Gateway<D>,
            $caller: &Caller,
            name: &str,
            with: Value,
            $deadline: Instant,
        ) -> Result<String, Refusal> {
            match name {
                $($name => {
                    let $request: $type = json::from_value(with)?;
                    json::write(&$answer?)
                })*
                _ => Err(Refusal::invalid(format!("there is no call {name:?}"))),
            }
        }
    };
}

table! {
    (gateway, caller, deadline)
    "logout": _request as chat::LogoutRequest => gateway.log_out(caller, deadline).await;
    "who_am_i": request as chat::WhoAmIRequest => gateway.who_am_i_now(caller, request, deadline).await;
    "delete_account": request as chat::DeleteAccountRequest => gateway.delete_account(caller, request, deadline).await;
    "change_password": request as chat::ChangePasswordRequest => gateway.change_password(caller, request, deadline).await;
    "list_sessions": _request as chat::ListSessionsRequest => Ok::<_, Refusal>(gateway.list_sessions(caller));
    "end_session": request as chat::EndSessionRequest => gateway.end_session(caller, request, deadline).await;
    "open_instance": request as chat::OpenInstanceRequest => gateway.open_instance(caller, request, deadline).await;
    "search_accounts": request as chat::SearchAccountsRequest => gateway.search_accounts(caller, request, deadline).await;
    "list_online": request as chat::ListOnlineRequest => gateway.list_online(caller, request, deadline).await;
    "set_display_name": request as chat::SetDisplayNameRequest => gateway.set_display_name(caller, request, deadline).await;
    "administer": request as chat::AdministerRequest => gateway.administer(caller, request, deadline).await;
    "list_administration": request as chat::ListAdministrationRequest => gateway.list_administration(caller, request);
    "send_message": request as chat::SendMessageRequest => gateway.send_message(caller, request, deadline).await;
    "history": request as chat::HistoryRequest => gateway.history(caller, request, deadline).await;
    "search_messages": request as chat::SearchMessagesRequest =>
        gateway.search_messages(caller, request, deadline).await;
    "list_conversations": request as chat::ListConversationsRequest =>
        gateway.list_conversations(caller, request, deadline).await;
    "mark_read": request as chat::MarkReadRequest => gateway.mark_read(caller, request, deadline).await;
    "delete_messages": request as chat::DeleteMessagesRequest => gateway.delete_messages(caller, request, deadline).await;
    "edit_message": request as chat::EditMessageRequest => gateway.edit_message(caller, request, deadline).await;
    "react": request as chat::ReactRequest => gateway.react(caller, request, deadline).await;
    "list_reactions": request as chat::ListReactionsRequest => gateway.list_reactions(caller, request, deadline).await;
    "get_messages": request as chat::GetMessagesRequest => gateway.get_messages(caller, request, deadline).await;
    "list_attachments": request as chat::ListAttachmentsRequest => gateway.list_attachments(caller, request);
    "discard_attachment": request as chat::DiscardAttachmentRequest =>
        gateway.discard_attachment(caller, request, deadline).await;
    "create_room": request as chat::CreateRoomRequest => gateway.create_room(caller, request, deadline).await;
    "join_room": request as chat::JoinRoomRequest => gateway.join_room(caller, request, deadline).await;
    "leave_room": request as chat::LeaveRoomRequest => gateway.leave_room(caller, request, deadline).await;
    "invite_to_room": request as chat::InviteToRoomRequest => gateway.invite_to_room(caller, request, deadline).await;
    "remove_from_room": request as chat::RemoveFromRoomRequest => gateway.remove_from_room(caller, request, deadline).await;
    "set_role": request as chat::SetRoleRequest => gateway.set_role(caller, request, deadline).await;
    "change_room": request as chat::ChangeRoomRequest => gateway.change_room(caller, request, deadline).await;
    "decline_invitation": request as chat::DeclineInvitationRequest => gateway.decline_invitation(caller, request, deadline).await;
    "get_room": request as chat::GetRoomRequest => gateway.get_room(caller, request, deadline).await;
    "list_rooms": request as chat::ListRoomsRequest => gateway.list_rooms(caller, request, deadline).await;
    "list_members": request as chat::ListMembersRequest => gateway.list_members(caller, request, deadline).await;
    "create_bot": request as chat::CreateBotRequest => gateway.create_bot(caller, request, deadline).await;
    "set_bot_token": request as chat::SetBotTokenRequest => gateway.set_bot_token(caller, request, deadline).await;
    "delete_bot": request as chat::DeleteBotRequest => gateway.delete_bot(caller, request, deadline).await;
    "list_bots": request as chat::ListBotsRequest => gateway.list_bots(caller, request, deadline).await;
    "create_webhook": request as chat::CreateWebhookRequest => gateway.create_webhook(caller, request, deadline).await;
    "delete_webhook": request as chat::DeleteWebhookRequest => gateway.delete_webhook(caller, request, deadline).await;
    "list_webhooks": request as chat::ListWebhooksRequest => gateway.list_webhooks(caller, request, deadline).await;
    "list_invitations": request as chat::ListInvitationsRequest => gateway.list_invitations(caller, request, deadline).await;
}

/// Answers a call of a connection that is, or is not yet, this caller's.
pub(super) async fn answer<D: Door>(
    gateway: &Gateway<D>,
    caller: Option<Caller>,
    from: IpAddr,
    name: &str,
    with: Value,
    deadline: Instant,
) -> Result<Answer, Refusal> {
    if OPEN.contains(&name) {
        if caller.is_some() && binds(name) {
            let words = "this connection has a session already; another one needs a connection of its own";
            return Err(Refusal::invalid(words));
        }
        return open(gateway, from, name, with, deadline).await;
    }
    let caller = caller.ok_or(Refusal::Rejected(Rejection::SessionInvalid))?;
    // Anew with every call: it may have ended, or be due for renewal.
    let caller = gateway.authenticate(caller.token, deadline).await?;
    let reply = with_session(gateway, &caller, name, with, deadline).await?;
    let effect = match name {
        "logout" | "delete_account" => Effect::Ends,
        _ => Effect::None,
    };
    Ok(Answer { reply, effect })
}

async fn open<D: Door>(
    gateway: &Gateway<D>,
    from: IpAddr,
    name: &str,
    with: Value,
    deadline: Instant,
) -> Result<Answer, Refusal> {
    match name {
        "register" => {
            let request: chat::RegisterRequest = json::from_value(with)?;
            let token = Token::from_bytes(&request.token)?;
            let reply = gateway.register(request, from, deadline).await?;
            bound(gateway, &token, reply, deadline).await
        }
        "login" => {
            let request: chat::LoginRequest = json::from_value(with)?;
            let token = Token::from_bytes(&request.token)?;
            let reply = gateway.log_in(request, from, deadline).await?;
            bound(gateway, &token, reply, deadline).await
        }
        RESUME => {
            let request: Resume = json::from_value(with)?;
            let token = Token::from_hexadecimal(&request.token);
            let token = token.ok_or_else(|| Refusal::invalid("a token is written as 64 hexadecimal digits"))?;
            let caller = gateway.authenticate(token.hash(), deadline).await?;
            let reply = json::write(&gateway.who_am_i(&caller)?)?;
            Ok(Answer { reply, effect: Effect::Binds(caller) })
        }
        _ => {
            let request: chat::StatusRequest = json::from_value(with)?;
            let reply = json::write(&gateway.status(&request).await)?;
            Ok(Answer { reply, effect: Effect::None })
        }
    }
}

async fn bound<D: Door>(
    gateway: &Gateway<D>,
    token: &Token,
    reply: impl Serialize,
    deadline: Instant,
) -> Result<Answer, Refusal> {
    let caller = gateway.authenticate(token.hash(), deadline).await?;
    Ok(Answer { reply: json::write(&reply)?, effect: Effect::Binds(caller) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_of_the_services_is_here() {
        let here: BTreeSet<&str> = WITH_SESSION.iter().copied().chain(OPEN).filter(|name| *name != RESUME).collect();
        let there: BTreeSet<&str> = threefold_proto::CALLS.iter().copied().collect();
        assert_eq!(here, there, "calls in this table, and calls in chat.proto");
    }
}
