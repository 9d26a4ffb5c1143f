//! `create`, `login`, `logout` and `delete`.

use threefold_core::Rejection;
use threefold_proto::{
    chat,
    convert::Refusal,
    framing::{Details, Request},
};
use tokio::time::Instant;

use super::{
    connection::{Connection, Echo, Ending},
    session::{self, Session},
    writes::deadline,
};
use crate::{gateway::door::Door, net::ClientSocket};

impl<D: Door, S: ClientSocket> Connection<D, S> {
    /// Logs in, and ends the session that the connection had before.
    pub(super) async fn log_in(&mut self, echo: Echo, request: Request, is_new: bool) -> Result<(), Ending> {
        // What was delivered here is not delivered to the next session again.
        self.mark_before().await?;
        let session = match Session::open(&self.gateway, self.from, (request.src, request.body), is_new).await {
            Ok(session) => session,
            Err(refusal) => return self.respond(echo.refusal(&refusal)).await,
        };
        if let Some(before) = &self.session {
            session::end(&self.gateway, before.caller.token);
        }
        self.end_surplus(&session);
        let echo = Echo { src: session.name.clone(), ..echo };
        let details = Details::LoggedIn { account: session.caller.session.account.0 };
        let body = format!("logged in as {}", session.name);
        self.session = Some(session);
        self.respond(echo.reply(body, details)).await
    }

    /// Logs out. What was delivered is marked before.
    pub(super) async fn log_out(&mut self, echo: Echo) -> Result<(), Ending> {
        self.mark_before().await?;
        let Some(session) = &self.session else { return Ok(()) };
        match self.gateway.log_out(&session.caller, deadline()).await {
            // One that is over is what was asked for.
            Ok(_) | Err(Refusal::Rejected(Rejection::SessionInvalid)) => {
                self.session = None;
                self.respond(echo.reply("logged out".to_owned(), Details::Nothing)).await
            }
            Err(refusal) => self.respond(echo.refusal(&refusal)).await,
        }
    }

    /// Deletes the account that is logged in.
    pub(super) async fn delete_account(&mut self, echo: Echo, request: Request) -> Result<(), Ending> {
        let Some(session) = &self.session else { return Ok(()) };
        let deletion = chat::DeleteAccountRequest { password: request.body };
        match self.gateway.delete_account(&session.caller, deletion, deadline()).await {
            Ok(_) => {
                self.session = None;
                self.respond(echo.reply("the account is deleted".to_owned(), Details::Nothing)).await
            }
            Err(refusal) => self.respond(echo.refusal(&refusal)).await,
        }
    }

    /// Puts a mark of what was delivered in line, before what ends the session or opens another. Nobody waits for its answer,
    /// and nothing else is waited for where these commands are dealt with.
    async fn mark_before(&mut self) -> Result<(), Ending> {
        self.mark(true).await?;
        self.marking = None;
        Ok(())
    }

    /// Ends the account's sessions of this port that are too many. Nobody waits for it.
    fn end_surplus(&self, session: &Session<D>) {
        let surplus = session.surplus(&self.gateway);
        if surplus.is_empty() {
            return;
        }
        let gateway = self.gateway.clone();
        tokio::spawn(async move {
            let until: Instant = deadline();
            for command in surplus {
                if let Err(error) = gateway.door().submit(&command, until).await {
                    tracing::debug!(%error, "a session of this port too many not ended");
                }
            }
        });
    }
}
