//! What administrators did, as administrators see it.

use threefold_core::query::{Administered, AdministrationInfo};

use crate::chat;

/// One act, of an administrator who is called `by_name` now.
#[must_use]
pub fn administration(act: AdministrationInfo, by_name: String) -> chat::Administration {
    let AdministrationInfo { position, at_ms, by, account, name, what, by_configuration } = act;
    let what = match what {
        Administered::Disabled => chat::Administered::Disabled,
        Administered::Enabled => chat::Administered::Enabled,
        Administered::PasswordReset => chat::Administered::PasswordReset,
        Administered::Deleted => chat::Administered::Deleted,
        Administered::NameFreed => chat::Administered::NameFreed,
        Administered::Granted => chat::Administered::Granted,
        Administered::Revoked => chat::Administered::Revoked,
    };
    chat::Administration {
        position: position.0,
        time_ms: at_ms,
        by: by.0,
        by_name,
        account: account.0,
        name,
        what: what.into(),
        by_configuration,
    }
}
