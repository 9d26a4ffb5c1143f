//! What this server knows of the cluster.

use std::time::Duration;

use threefold_core::query;
use threefold_proto::chat;
use tokio::{sync::Mutex, time::Instant};

use super::{Gateway, door::Door};

/// How long another server may take to tell its part; a dead one must not hold the answer up.
const SERVER_PATIENCE: Duration = Duration::from_millis(500);

/// What was gathered last, and when that began. Whoever asks needs no session, and each answer asks all servers: so one at a time is gathered, for
/// all who came before it began.
#[derive(Default)]
pub(super) struct Gathered(Mutex<Option<(Instant, chat::ClusterStatus)>>);

impl<D: Door> Gateway<D> {
    /// The state of the cluster, or this server's own part of it.
    pub(super) async fn status(&self, request: &chat::StatusRequest) -> chat::ClusterStatus {
        let door = self.door();
        if !request.local {
            let came = Instant::now();
            let mut last = self.shared.gathered.0.lock().await;
            if let Some((begun, status)) = &*last
                && *begun >= came
            {
                return status.clone();
            }
            let begun = Instant::now();
            let status = door.status(SERVER_PATIENCE).await;
            *last = Some((begun, status.clone()));
            return status;
        }
        let recovery_id = door.recovery_id();
        chat::ClusterStatus {
            servers: vec![door.local_status()],
            // A server that holds no cluster's history yet, for it waits to be admitted or has lost its disk, knows of nobody; that is not to say
            // that there is nobody.
            empty: !recovery_id.is_empty() && !door.read(query::any_account),
            recovery_id: recovery_id.into(),
            ..chat::ClusterStatus::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::Solo;

    #[tokio::test]
    async fn who_comes_first_is_told_so() {
        let gateway = Solo::new().gateway();
        let own = chat::StatusRequest { local: true };
        assert!(gateway.status(&own).await.empty);
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_ask_the_servers_once_or_twice() {
        let solo = Solo::new();
        let gateway = solo.gateway();
        let everything = chat::StatusRequest::default();
        let answers = futures::future::join_all((0..500).map(|_| gateway.status(&everything))).await;
        assert!(answers.iter().all(|status| status.servers.len() == 1));
        assert!((1..=2).contains(&solo.gathered()), "{}", solo.gathered());
        // Nobody is told what was gathered before they asked.
        gateway.status(&everything).await;
        gateway.status(&everything).await;
        assert!((3..=4).contains(&solo.gathered()), "{}", solo.gathered());
    }
}
