//! When people were last there: presence itself is off the log and vanishes with its server, so each server writes down
//! now and then who came or went.
//!
//! Promises: a burst of comings and goings costs a command for every [`SEEN_ACCOUNTS`] accounts, and an account at most one
//! every [`GATHER`]. Left out: the departures of a server that is killed; those people were last seen when they
//! came, or when they come back elsewhere.

use std::time::Duration;

use threefold_core::{AccountId, Command, bounds::SEEN_ACCOUNTS};
use tokio::time::{Instant, sleep};

use super::Node;

/// Between two times: nobody looks at "last seen" more closely.
const GATHER: Duration = Duration::from_secs(10);
/// How long one command may take. What is not written is told when the account moves again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes down who came or went here, for ever.
pub async fn keep(node: Node) {
    let presence = node.inner.presence.clone();
    let mut changes = presence.changes();
    while changes.changed().await.is_ok() {
        sleep(GATHER).await;
        changes.mark_unchanged();
        let moved: Vec<AccountId> = presence.take_moved().into_iter().collect();
        for accounts in moved.chunks(SEEN_ACCOUNTS) {
            let command = Command::MarkSeen { accounts: accounts.to_vec() };
            if let Err(error) = node.submit(&command, Instant::now() + PATIENCE).await {
                tracing::debug!(%error, "who came and went is not written down");
            }
        }
    }
}
