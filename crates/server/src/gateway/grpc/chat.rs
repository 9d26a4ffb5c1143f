//! The Chat service, call by call.

use std::{
    future::ready,
    net::{IpAddr, Ipv6Addr},
};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use threefold_proto::{
    chat::{self, chat_server::Chat, download_reply},
    convert::{self, Refusal},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{Service, answer, deadline, refused};
use crate::gateway::{
    attachments::{piped, stream::REPLIES},
    door::Door,
    http::ClientAddress,
};

/// Where a request comes from. (Who came by no connection of ours would count as one address.)
fn from<T>(request: &Request<T>) -> IpAddr {
    request.extensions().get::<ClientAddress>().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| address.0)
}

#[async_trait]
impl<D: Door> Chat for Service<D> {
    type UploadAttachmentStream = BoxStream<'static, Result<chat::UploadReply, Status>>;
    type DownloadAttachmentStream = BoxStream<'static, Result<chat::DownloadReply, Status>>;
    type ConverseStream = stream::Empty<Result<chat::ServerFrame, Status>>;

    async fn register(&self, request: Request<chat::RegisterRequest>) -> Result<Response<chat::SessionReply>, Status> {
        let (deadline, from) = (deadline::of(request.metadata()), from(&request));
        answer(self.gateway.register(request.into_inner(), from, deadline).await)
    }

    async fn login(&self, request: Request<chat::LoginRequest>) -> Result<Response<chat::SessionReply>, Status> {
        let (deadline, from) = (deadline::of(request.metadata()), from(&request));
        answer(self.gateway.log_in(request.into_inner(), from, deadline).await)
    }

    async fn logout(&self, request: Request<chat::LogoutRequest>) -> Result<Response<chat::LogoutReply>, Status> {
        let (caller, _, deadline) = self.admit(request).await?;
        answer(self.gateway.log_out(&caller, deadline).await)
    }

    async fn who_am_i(&self, request: Request<chat::WhoAmIRequest>) -> Result<Response<chat::WhoAmIReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.who_am_i_now(&caller, request, deadline).await)
    }

    async fn delete_account(
        &self,
        request: Request<chat::DeleteAccountRequest>,
    ) -> Result<Response<chat::DeleteAccountReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.delete_account(&caller, request, deadline).await)
    }

    async fn change_password(
        &self,
        request: Request<chat::ChangePasswordRequest>,
    ) -> Result<Response<chat::ChangePasswordReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.change_password(&caller, request, deadline).await)
    }

    async fn list_sessions(
        &self,
        request: Request<chat::ListSessionsRequest>,
    ) -> Result<Response<chat::ListSessionsReply>, Status> {
        let (caller, _, _) = self.admit(request).await?;
        answer(Ok(self.gateway.list_sessions(&caller)))
    }

    async fn end_session(
        &self,
        request: Request<chat::EndSessionRequest>,
    ) -> Result<Response<chat::EndSessionReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.end_session(&caller, request, deadline).await)
    }

    async fn open_instance(
        &self,
        request: Request<chat::OpenInstanceRequest>,
    ) -> Result<Response<chat::OpenInstanceReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.open_instance(&caller, request, deadline).await)
    }

    async fn search_accounts(
        &self,
        request: Request<chat::SearchAccountsRequest>,
    ) -> Result<Response<chat::SearchAccountsReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.search_accounts(&caller, request, deadline).await)
    }

    async fn list_online(
        &self,
        request: Request<chat::ListOnlineRequest>,
    ) -> Result<Response<chat::ListOnlineReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_online(&caller, request, deadline).await)
    }

    async fn set_display_name(
        &self,
        request: Request<chat::SetDisplayNameRequest>,
    ) -> Result<Response<chat::SetDisplayNameReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.set_display_name(&caller, request, deadline).await)
    }

    async fn administer(
        &self,
        request: Request<chat::AdministerRequest>,
    ) -> Result<Response<chat::AdministerReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.administer(&caller, request, deadline).await)
    }

    async fn list_administration(
        &self,
        request: Request<chat::ListAdministrationRequest>,
    ) -> Result<Response<chat::ListAdministrationReply>, Status> {
        let (caller, request, _) = self.admit(request).await?;
        answer(self.gateway.list_administration(&caller, request))
    }

    async fn send_message(
        &self,
        request: Request<chat::SendMessageRequest>,
    ) -> Result<Response<chat::SendMessageReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.send_message(&caller, request, deadline).await)
    }

    async fn history(&self, request: Request<chat::HistoryRequest>) -> Result<Response<chat::HistoryReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.history(&caller, request, deadline).await)
    }

    async fn search_messages(
        &self,
        request: Request<chat::SearchMessagesRequest>,
    ) -> Result<Response<chat::SearchMessagesReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.search_messages(&caller, request, deadline).await)
    }

    async fn list_conversations(
        &self,
        request: Request<chat::ListConversationsRequest>,
    ) -> Result<Response<chat::ListConversationsReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_conversations(&caller, request, deadline).await)
    }

    async fn mark_read(
        &self,
        request: Request<chat::MarkReadRequest>,
    ) -> Result<Response<chat::MarkReadReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.mark_read(&caller, request, deadline).await)
    }

    async fn delete_messages(
        &self,
        request: Request<chat::DeleteMessagesRequest>,
    ) -> Result<Response<chat::DeleteMessagesReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.delete_messages(&caller, request, deadline).await)
    }

    async fn edit_message(
        &self,
        request: Request<chat::EditMessageRequest>,
    ) -> Result<Response<chat::EditMessageReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.edit_message(&caller, request, deadline).await)
    }

    async fn react(&self, request: Request<chat::ReactRequest>) -> Result<Response<chat::ReactReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.react(&caller, request, deadline).await)
    }

    async fn list_reactions(
        &self,
        request: Request<chat::ListReactionsRequest>,
    ) -> Result<Response<chat::ListReactionsReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_reactions(&caller, request, deadline).await)
    }

    async fn get_messages(
        &self,
        request: Request<chat::GetMessagesRequest>,
    ) -> Result<Response<chat::GetMessagesReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.get_messages(&caller, request, deadline).await)
    }

    async fn upload_attachment(
        &self,
        request: Request<Streaming<chat::UploadFrame>>,
    ) -> Result<Response<Self::UploadAttachmentStream>, Status> {
        let (caller, incoming, _) = self.admit(request).await?;
        let incoming = incoming.map(|frame| frame.map_err(|status| Refusal::invalid(status.message()))).boxed();
        let (replies, outgoing) = mpsc::channel(REPLIES);
        let gateway = self.gateway.clone();
        tokio::spawn(async move { gateway.take_upload(&caller, incoming, replies).await });
        let outgoing = ReceiverStream::new(outgoing).map(|reply| reply.map_err(|refusal| refused(&refusal)));
        Ok(Response::new(outgoing.boxed()))
    }

    async fn download_attachment(
        &self,
        request: Request<chat::DownloadAttachmentRequest>,
    ) -> Result<Response<Self::DownloadAttachmentStream>, Status> {
        let (caller, request, _) = self.admit(request).await?;
        let download = self.gateway.open_download(&caller, &request).map_err(|refusal| refused(&refusal))?;
        let attachment = convert::attachment(download.attached().clone());
        let reply = |reply| chat::DownloadReply { reply: Some(reply) };
        let first = stream::once(ready(Ok(reply(download_reply::Reply::Attachment(attachment)))));
        let content = piped(download).map(move |piece| match piece {
            Ok(piece) => Ok(reply(download_reply::Reply::Content(piece))),
            Err(refusal) => Err(refused(&refusal)),
        });
        Ok(Response::new(first.chain(content).boxed()))
    }

    async fn list_attachments(
        &self,
        request: Request<chat::ListAttachmentsRequest>,
    ) -> Result<Response<chat::ListAttachmentsReply>, Status> {
        let (caller, request, _) = self.admit(request).await?;
        answer(self.gateway.list_attachments(&caller, request))
    }

    async fn discard_attachment(
        &self,
        request: Request<chat::DiscardAttachmentRequest>,
    ) -> Result<Response<chat::DiscardAttachmentReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.discard_attachment(&caller, request, deadline).await)
    }

    async fn create_room(
        &self,
        request: Request<chat::CreateRoomRequest>,
    ) -> Result<Response<chat::CreateRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.create_room(&caller, request, deadline).await)
    }

    async fn join_room(
        &self,
        request: Request<chat::JoinRoomRequest>,
    ) -> Result<Response<chat::JoinRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.join_room(&caller, request, deadline).await)
    }

    async fn leave_room(
        &self,
        request: Request<chat::LeaveRoomRequest>,
    ) -> Result<Response<chat::LeaveRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.leave_room(&caller, request, deadline).await)
    }

    async fn invite_to_room(
        &self,
        request: Request<chat::InviteToRoomRequest>,
    ) -> Result<Response<chat::InviteToRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.invite_to_room(&caller, request, deadline).await)
    }

    async fn remove_from_room(
        &self,
        request: Request<chat::RemoveFromRoomRequest>,
    ) -> Result<Response<chat::RemoveFromRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.remove_from_room(&caller, request, deadline).await)
    }

    async fn set_role(&self, request: Request<chat::SetRoleRequest>) -> Result<Response<chat::SetRoleReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.set_role(&caller, request, deadline).await)
    }

    async fn change_room(
        &self,
        request: Request<chat::ChangeRoomRequest>,
    ) -> Result<Response<chat::ChangeRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.change_room(&caller, request, deadline).await)
    }

    async fn decline_invitation(
        &self,
        request: Request<chat::DeclineInvitationRequest>,
    ) -> Result<Response<chat::DeclineInvitationReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.decline_invitation(&caller, request, deadline).await)
    }

    async fn get_room(&self, request: Request<chat::GetRoomRequest>) -> Result<Response<chat::GetRoomReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.get_room(&caller, request, deadline).await)
    }

    async fn list_rooms(
        &self,
        request: Request<chat::ListRoomsRequest>,
    ) -> Result<Response<chat::ListRoomsReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_rooms(&caller, request, deadline).await)
    }

    async fn list_members(
        &self,
        request: Request<chat::ListMembersRequest>,
    ) -> Result<Response<chat::ListMembersReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_members(&caller, request, deadline).await)
    }

    async fn list_invitations(
        &self,
        request: Request<chat::ListInvitationsRequest>,
    ) -> Result<Response<chat::ListInvitationsReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_invitations(&caller, request, deadline).await)
    }

    async fn create_bot(
        &self,
        request: Request<chat::CreateBotRequest>,
    ) -> Result<Response<chat::CreateBotReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.create_bot(&caller, request, deadline).await)
    }

    async fn set_bot_token(
        &self,
        request: Request<chat::SetBotTokenRequest>,
    ) -> Result<Response<chat::SetBotTokenReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.set_bot_token(&caller, request, deadline).await)
    }

    async fn delete_bot(
        &self,
        request: Request<chat::DeleteBotRequest>,
    ) -> Result<Response<chat::DeleteBotReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.delete_bot(&caller, request, deadline).await)
    }

    async fn list_bots(
        &self,
        request: Request<chat::ListBotsRequest>,
    ) -> Result<Response<chat::ListBotsReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_bots(&caller, request, deadline).await)
    }

    async fn create_webhook(
        &self,
        request: Request<chat::CreateWebhookRequest>,
    ) -> Result<Response<chat::CreateWebhookReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.create_webhook(&caller, request, deadline).await)
    }

    async fn delete_webhook(
        &self,
        request: Request<chat::DeleteWebhookRequest>,
    ) -> Result<Response<chat::DeleteWebhookReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.delete_webhook(&caller, request, deadline).await)
    }

    async fn list_webhooks(
        &self,
        request: Request<chat::ListWebhooksRequest>,
    ) -> Result<Response<chat::ListWebhooksReply>, Status> {
        let (caller, request, deadline) = self.admit(request).await?;
        answer(self.gateway.list_webhooks(&caller, request, deadline).await)
    }

    async fn converse(
        &self,
        _: Request<Streaming<chat::ClientFrame>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        Err(Status::internal("this call is taken by `converse.rs`"))
    }
}
