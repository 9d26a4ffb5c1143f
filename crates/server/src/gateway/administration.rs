//! What administrators do, and what people call themselves.
//!
//! Who is an administrator is the state's business, except for those whom this server's configuration names: they are
//! administrators through this server, whatever the state says. So a cluster whose only administrator is lost can be helped.

use threefold_core::{Position, query, text};
use threefold_proto::{
    chat,
    convert::{self, Names as _, Refusal},
};
use tokio::time::Instant;

use super::{Caller, Gateway, door::Door};

/// Those whom the configuration makes administrators, by folded name.
#[derive(Clone, Debug, Default)]
pub(super) struct Administrators {
    names: Vec<String>,
}

impl Administrators {
    pub fn new(names: &[String]) -> Self {
        Self { names: names.iter().map(|name| text::fold_name(name)).collect() }
    }

    fn are(&self, name: &str) -> bool {
        self.names.contains(&text::fold_name(name))
    }
}

impl<D: Door> Gateway<D> {
    /// Chooses what people are shown beside the caller's name.
    pub(super) async fn set_display_name(
        &self,
        caller: &Caller,
        request: chat::SetDisplayNameRequest,
        deadline: Instant,
    ) -> Result<chat::SetDisplayNameReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let set = request.set.ok_or_else(|| Refusal::invalid("no display name"))?;
        let position = self.write_plain(caller, id, set.try_into()?, deadline).await?;
        Ok(chat::SetDisplayNameReply { position: position.0 })
    }

    /// Does something to an account.
    pub(super) async fn administer(
        &self,
        caller: &Caller,
        request: chat::AdministerRequest,
        deadline: Instant,
    ) -> Result<chat::AdministerReply, Refusal> {
        let id = convert::request_id(request.request)?;
        let administer = request.administer.ok_or_else(|| Refusal::invalid("nothing to do"))?;
        let position = self.write_plain(caller, id, administer.try_into()?, deadline).await?;
        Ok(chat::AdministerReply { position: position.0 })
    }

    /// What administrators did.
    pub(super) fn list_administration(
        &self,
        caller: &Caller,
        request: chat::ListAdministrationRequest,
    ) -> Result<chat::ListAdministrationReply, Refusal> {
        let limit = convert::page_limit(request.limit)?;
        let before = (request.before != 0).then_some(Position(request.before));
        let (reader, by_configuration) = (caller.session.account, self.is_configured(caller));
        let page = self.door().read(|store| query::administration(store, reader, by_configuration, before, limit))?;
        let mut names = self.directory().of(self.door(), caller.session.account);
        let acts = page.items.into_iter().map(|act| {
            let by_name = names.account(act.by);
            convert::administration(act, by_name)
        });
        Ok(chat::ListAdministrationReply { acts: acts.collect(), more: page.more })
    }

    /// Whether the caller is an administrator, as far as this server knows.
    pub(super) fn administers(&self, caller: &Caller) -> bool {
        let (account, by_configuration) = (caller.session.account, self.is_configured(caller));
        self.door().read(|store| query::administers(store, account, by_configuration))
    }

    /// Whether this server's configuration names the caller. What that means, the state's rules say.
    pub(super) fn is_configured(&self, caller: &Caller) -> bool {
        let account = self.door().read(|store| query::account(store, caller.session.account));
        account.and_then(|account| account.name).is_some_and(|name| self.shared.administrators.are(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_ignoring_case() {
        let administrators = Administrators::new(&["Root".to_owned()]);
        assert!(administrators.are("rOOt") && !administrators.are("roots") && !administrators.are(""));
    }
}
