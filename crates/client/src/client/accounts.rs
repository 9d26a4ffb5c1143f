//! Accounts and sessions.

use threefold_proto::chat::{
    ChangePasswordRequest, DeleteAccountRequest, EndSessionRequest, ErrorCode, ListSessionsRequest, LoginRequest,
    LogoutRequest, OpenInstanceRequest, RegisterRequest, Session as SessionInfo, SessionReply, WhoAmIReply,
    WhoAmIRequest,
};

use super::{Client, Failure};
use crate::{Error, Session, Token};

impl Client {
    /// Creates an account, and a first session for this device.
    ///
    /// # Errors
    /// Refused if the name is taken or malformed, or the password too short; see [`Error`].
    pub async fn register(&self, name: &str, password: &str, device: &str) -> Result<Session, Error> {
        self.register_with(Token::generate()?, name, password, device).await
    }

    /// The same with a token of the caller's: one that goes on trying later, or that must be able to repeat itself, gives
    /// the same one again. It must be random and stay secret.
    ///
    /// # Errors
    /// As for [`Client::register`].
    pub async fn register_with(
        &self,
        token: Token,
        name: &str,
        password: &str,
        device: &str,
    ) -> Result<Session, Error> {
        // One token for all tries: a repeated registration is recognised by it.
        let request = RegisterRequest {
            name: name.to_owned(),
            password: password.to_owned(),
            token: token.as_bytes().to_vec().into(),
            device: device.to_owned(),
        };
        let reply = self.call(request, |mut chat, request| async move { chat.register(request).await }).await?;
        Ok(self.opened(token, reply))
    }

    /// Opens a session for this device.
    ///
    /// # Errors
    /// Refused if the name or the password is wrong; see [`Error`].
    pub async fn log_in(&self, name: &str, password: &str, device: &str) -> Result<Session, Error> {
        let token = Token::generate()?;
        let request = LoginRequest {
            name: name.to_owned(),
            password: password.to_owned(),
            token: token.as_bytes().to_vec().into(),
            device: device.to_owned(),
        };
        let reply = self.call(request, |mut chat, request| async move { chat.login(request).await }).await?;
        Ok(self.opened(token, reply))
    }

    fn opened(&self, token: Token, reply: SessionReply) -> Session {
        self.pool.servers.learn(&self.scheme(), &reply.servers);
        Session {
            token,
            account: reply.account,
            session: reply.session,
            name: reply.name,
            expires_at_ms: reply.expires_at_ms,
            delivered_up_to: reply.delivered_up_to,
            position: reply.position,
            cursor: None,
            recovery_id: Vec::new(),
            servers: self.servers(),
        }
    }

    /// Ends this session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn log_out(&self) -> Result<(), Error> {
        self.require_identity()?;
        let result = self.call(LogoutRequest {}, |mut chat, request| async move { chat.logout(request).await }).await;
        done_before(result.map(drop), ErrorCode::SessionInvalid)
    }

    /// Who is logged in here, and where a device without a cursor starts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn who_am_i(&self) -> Result<WhoAmIReply, Error> {
        self.ask_who_am_i(false).await
    }

    /// A position behind everything that was acknowledged to anybody before this call. Needs a leader.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn consistent_position(&self) -> Result<u64, Error> {
        Ok(self.ask_who_am_i(true).await?.position)
    }

    async fn ask_who_am_i(&self, consistent: bool) -> Result<WhoAmIReply, Error> {
        self.require_identity()?;
        let request = WhoAmIRequest { consistent };
        let reply = self.call(request, |mut chat, request| async move { chat.who_am_i(request).await }).await?;
        self.pool.servers.learn(&self.scheme(), &reply.servers);
        self.saw(reply.position);
        Ok(reply)
    }

    /// Deletes this account for ever.
    ///
    /// # Errors
    /// Refused if the password is wrong; see [`Error`].
    pub async fn delete_account(&self, password: &str) -> Result<(), Error> {
        self.require_identity()?;
        let request = DeleteAccountRequest { password: password.to_owned() };
        let result = self.call(request, |mut chat, request| async move { chat.delete_account(request).await }).await;
        done_before(result.map(drop), ErrorCode::SessionInvalid)
    }

    /// Changes this account's password, which ends all its other sessions.
    ///
    /// # Errors
    /// Refused if the old password is wrong or the new one too short; see [`Error`].
    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), Error> {
        self.require_identity()?;
        match self.try_change_password(old, new).await {
            // The old password is wrong: perhaps because the try that got no answer has changed it. The new one tells.
            Err(failure) if failure.unsure && failure.error.is_refusal(ErrorCode::WrongCredential) => {
                Ok(self.try_change_password(new, new).await?)
            }
            result => Ok(result?),
        }
    }

    async fn try_change_password(&self, old: &str, new: &str) -> Result<(), Failure> {
        let request = ChangePasswordRequest { old_password: old.to_owned(), new_password: new.to_owned() };
        self.call(request, |mut chat, request| async move { chat.change_password(request).await }).await.map(drop)
    }

    /// This account's sessions.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        self.require_identity()?;
        let call =
            self.call(ListSessionsRequest {}, |mut chat, request| async move { chat.list_sessions(request).await });
        Ok(call.await?.sessions)
    }

    /// Ends a session of this account.
    ///
    /// # Errors
    /// Refused if there is no such session; see [`Error`].
    pub async fn end_session(&self, session: u64) -> Result<(), Error> {
        self.require_identity()?;
        let request = EndSessionRequest { session };
        let result = self.call(request, |mut chat, request| async move { chat.end_session(request).await }).await;
        done_before(result.map(drop), ErrorCode::UnknownSession)
    }

    /// A new instance, for a writer. A retry with the same nonce gets the same one.
    pub(crate) async fn open_instance(&self, nonce: u64) -> Result<u64, Error> {
        let request = OpenInstanceRequest { nonce };
        let reply = self.call(request, |mut chat, request| async move { chat.open_instance(request).await }).await?;
        Ok(reply.instance)
    }
}

/// A refusal that says "this is so already" is a success if an earlier try, whose answer was lost, may have made it so.
fn done_before(result: Result<(), Failure>, already: ErrorCode) -> Result<(), Error> {
    match result {
        Err(failure) if failure.unsure && failure.error.is_refusal(already) => Ok(()),
        result => Ok(result?),
    }
}
