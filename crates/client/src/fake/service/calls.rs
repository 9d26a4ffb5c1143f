//! How a fake server carries out a call, with what it does wrong in between.

use prost::Message as _;
use std::sync::Arc;
use threefold_proto::chat::{self, Error, ErrorCode};
use tonic::{Code, Request, Response, Status};

use super::{Result, Service};
use crate::fake::{
    Shared,
    state::{SessionEntry, State, refusal},
};

pub(super) fn status(error: &Error) -> Status {
    let code = match error.code() {
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::SessionInvalid => Code::Unauthenticated,
        _ => Code::FailedPrecondition,
    };
    Status::with_details(code, error.message.clone(), error.encode_to_vec().into())
}

impl Service {
    pub(in crate::fake) fn new(shared: Arc<Shared>, index: usize) -> Self {
        Self { shared, index }
    }

    pub(super) fn behave<T>(&self, look: impl FnOnce(&mut crate::fake::Behaviour) -> T) -> T {
        look(&mut self.shared.nodes()[self.index].behaviour)
    }

    /// Carries out a call, with what this server does wrong.
    pub(super) async fn call<T>(&self, run: impl FnOnce(&mut State) -> std::result::Result<T, Error>) -> Result<T> {
        if self.behave(|behaviour| behaviour.silent) {
            std::future::pending::<()>().await;
        }
        let unavailable = || status(&refusal(ErrorCode::Unavailable, "no leader"));
        if self.behave(|behaviour| behaviour.unavailable) {
            return Err(unavailable());
        }
        let result = run(&mut self.shared.state());
        self.shared.changed.send_modify(|version| *version += 1);
        if self.behave(|behaviour| take_one(&mut behaviour.lose_answers)) {
            return Err(unavailable());
        }
        result.map(Response::new).map_err(|error| status(&error))
    }

    /// As `call`, on behalf of a session.
    pub(super) async fn authenticated<Q, T>(
        &self,
        request: Request<Q>,
        run: impl FnOnce(&mut State, SessionEntry, Q) -> std::result::Result<T, Error>,
    ) -> Result<T> {
        let token = token_of(&request);
        self.call(|state| {
            let session = state.sessions.get(&token).cloned();
            let session = session.ok_or_else(|| refusal(ErrorCode::SessionInvalid, "not logged in"))?;
            run(state, session, request.into_inner())
        })
        .await
    }

    pub(super) fn servers(&self) -> Vec<String> {
        let strip = |address: &str| address.trim_start_matches("http://").to_owned();
        self.shared.nodes().iter().map(|node| strip(&node.address)).collect()
    }

    pub(super) fn session_reply(&self, state: &State, session: &SessionEntry) -> chat::SessionReply {
        let account = state.accounts.iter().find(|account| account.id == session.account);
        chat::SessionReply {
            account: session.account,
            session: session.id,
            instance: session.first_instance,
            name: account.map(|account| account.name.clone()).unwrap_or_default(),
            expires_at_ms: 1,
            delivered_up_to: account.map(|account| account.delivered_up_to).unwrap_or_default(),
            servers: self.servers(),
            position: state.position(),
        }
    }
}

/// Counts down; false at zero.
pub(super) fn take_one(count: &mut u32) -> bool {
    let some = *count > 0;
    *count = count.saturating_sub(1);
    some
}

pub(super) fn token_of<T>(request: &Request<T>) -> Vec<u8> {
    let value = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    crate::token::decode_hex(value.trim_start_matches("Bearer ")).unwrap_or_default()
}

pub(super) fn check_password(state: &State, account: u64, password: &str) -> std::result::Result<(), Error> {
    let right = state.accounts.iter().any(|known| known.id == account && known.password == password);
    if right { Ok(()) } else { Err(refusal(ErrorCode::WrongCredential, "wrong name or password")) }
}

pub(super) fn account_info(state: &State, account: &crate::fake::state::Account) -> chat::Account {
    let online = state.online.get(&account.id).is_some_and(|count| *count > 0);
    chat::Account {
        account: account.id,
        name: account.name.clone(),
        online,
        registered_at_ms: account.id,
        administrator: false,
        ..chat::Account::default()
    }
}

/// What no test of the client library needs of a cluster.
pub(super) fn not_here() -> Status {
    Status::unimplemented("the fake cluster does not do that")
}

pub(super) fn no_bots() -> Status {
    Status::unimplemented("the fake has no bots")
}

pub(super) fn no_rooms() -> Status {
    Status::unimplemented("the fake has no rooms")
}
