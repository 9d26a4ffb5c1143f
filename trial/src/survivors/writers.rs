//! People who write without a pause, all to the same reader.

use std::{sync::Arc, time::Duration};

use threefold_client::{Client, Options, Writer};
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use super::pulse::Pulse;
use crate::{
    devices::PASSWORD,
    ledger::{Ledger, Outcome},
    people::{failed, outcome},
};

/// Everybody; the last one is written to.
pub const NAMES: [&str; 4] = ["alva", "bruno", "celia", "reader"];
/// Who is written to, by the place among the names.
pub const READER: usize = NAMES.len() - 1;
/// Messages of one writer on their way at a time.
const IN_FLIGHT: usize = 16;
/// Between two messages of a writer.
const PAUSE: Duration = Duration::from_millis(10);
/// Longer than any gap should be: no message is given up before.
const PATIENCE: Duration = Duration::from_secs(30);

/// The writers, at work.
pub struct Writers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Registers everybody, and lets the writers begin.
    pub async fn start(addresses: &[String], ledger: &Ledger, pulse: &Pulse) -> anyhow::Result<Self> {
        let servers: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
        let (stop, stopping) = watch::channel(false);
        let mut clients = Vec::new();
        for name in NAMES {
            let client = Client::new(Options { timeout: PATIENCE, ..Options::new(servers.clone()) })?;
            let session = client.register(name, PASSWORD, "trial").await?;
            clients.push(client.with_session(session)?);
        }
        let mut tasks = Vec::new();
        for (user, client) in clients.into_iter().enumerate().take(READER) {
            let pen = Pen { user, writer: client.writer()?, ledger: ledger.clone(), pulse: pulse.clone() };
            tasks.push(tokio::spawn(pen.write(stopping.clone())));
        }
        Ok(Self { stop, tasks })
    }

    /// Ends them, once the outcome of every message is known.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}

/// What one writer writes with.
struct Pen {
    user: usize,
    writer: Writer,
    ledger: Ledger,
    pulse: Pulse,
}

impl Pen {
    async fn write(self, stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut waiting = JoinSet::new();
        let mut number = 0;
        while !*stop.borrow() {
            let Ok(place) = places.clone().acquire_owned().await else { break };
            number += 1;
            let body = format!("{} {number}", NAMES[self.user]);
            let entry = self.ledger.enter(self.user, READER, number, body.clone());
            let (ledger, pulse, sent) = (self.ledger.clone(), self.pulse.clone(), Instant::now());
            match self.writer.send(NAMES[READER], body).await {
                Ok(receipt) => drop(waiting.spawn(async move {
                    let outcome = outcome(receipt).await;
                    if matches!(outcome, Outcome::Acknowledged(_)) {
                        pulse.acknowledged(sent);
                    }
                    ledger.settle(entry, outcome);
                    drop(place);
                })),
                Err(error) => ledger.settle(entry, failed(error)),
            }
            while waiting.try_join_next().is_some() {}
            sleep(PAUSE).await;
        }
        while waiting.join_next().await.is_some() {}
    }
}
