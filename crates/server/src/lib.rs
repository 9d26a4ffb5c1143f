//! One server of a Threefold cluster.

pub mod config;
pub mod node;
pub mod peer;
pub mod storage;

use std::future::Future;

/// Why a server could not start, or had to stop: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Runs one server until `shutdown` (a stub).
///
/// # Errors
/// When it cannot start.
pub async fn run(_config: config::Config, shutdown: impl Future<Output = ()> + Send) -> Result<(), StartError> {
    shutdown.await;
    Ok(())
}
