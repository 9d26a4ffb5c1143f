//! Users: who talks with whom, when they are there, and how they send.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use threefold_client::{Client, Error, Options, Receipt, Statistics, chat::MessageSent};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    devices::PASSWORD,
    ledger::{Ledger, Outcome},
    texts::Texts,
};

/// The users.
pub const NAMES: [&str; 20] = [
    "ada", "bela", "chidi", "dagny", "emre", "fatima", "goran", "hanako", "ines", "jomo", "katya", "lars", "mei",
    "nuria", "olu", "priya", "quentin", "rosa", "sven", "tuyet",
];
/// Everybody talks with the next so many, and so with twice as many.
const PARTNERS: usize = 3;
/// Messages of one sender on their way at a time.
const IN_FLIGHT: usize = 16;
/// A message that is not acknowledged in this time has an unknown outcome.
const SEND_PATIENCE: Duration = Duration::from_secs(20);
/// The longest a part-timer stays, or stays away.
const SHIFT: Duration = Duration::from_secs(8);

/// The pairs that talk with each other.
pub fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NAMES.len()).flat_map(|user| (1..=PARTNERS).map(move |step| (user, (user + step) % NAMES.len())))
}

/// Half of the users are away half of the time.
pub fn part_time(user: usize) -> bool {
    user % 2 == 1
}

/// One user, registered.
pub struct Person {
    user: usize,
    client: Client,
    partners: Vec<usize>,
}

impl Person {
    /// Registers, at the server of that address.
    pub async fn register(user: usize, address: &str) -> Result<Self, Error> {
        let options = Options { timeout: SEND_PATIENCE, ..Options::new(vec![format!("http://{address}")]) };
        let client = Client::new(options)?;
        let session = client.register(NAMES[user], PASSWORD, "trial").await?;
        let other = |(a, b): (usize, usize)| match user {
            _ if a == user => Some(b),
            _ if b == user => Some(a),
            _ => None,
        };
        Ok(Self { user, client: client.with_session(session)?, partners: pairs().filter_map(other).collect() })
    }

    /// Sends one message after another while `online` says so, until its sender is gone; then waits for the outcome of
    /// all.
    pub async fn talk(
        self,
        mut online: watch::Receiver<bool>,
        texts: Arc<Mutex<Texts>>,
        ledger: Ledger,
        pause: Duration,
        seed: u64,
    ) -> Result<Statistics, Error> {
        let mut dice = StdRng::seed_from_u64(seed);
        let writer = self.client.writer()?;
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut waiting = JoinSet::new();
        let mut number = 0;
        while online.wait_for(|online| *online).await.is_ok() {
            // Not acknowledged in time means unknown outcome, and the place is free again: this always ends.
            let Ok(place) = places.clone().acquire_owned().await else { break };
            number += 1;
            let recipient = self.partners[dice.random_range(0..self.partners.len())];
            let body = texts.lock().unwrap_or_else(PoisonError::into_inner).next();
            let entry = ledger.enter(self.user, recipient, number, body.clone());
            match writer.send(NAMES[recipient], body).await {
                Ok(receipt) => {
                    let ledger = ledger.clone();
                    waiting.spawn(async move {
                        ledger.settle(entry, outcome(receipt).await);
                        drop(place);
                    });
                }
                Err(error) => ledger.settle(entry, failed(error)),
            }
            while waiting.try_join_next().is_some() {}
            sleep(pause.mul_f64(dice.random_range(0.0..2.0))).await;
        }
        while waiting.join_next().await.is_some() {}
        Ok(writer.statistics())
    }
}

async fn outcome(receipt: Receipt<MessageSent>) -> Outcome {
    match timeout(SEND_PATIENCE * 2, receipt).await {
        Ok(Ok(sent)) => Outcome::Acknowledged(sent.id),
        Ok(Err(error)) => failed(error),
        Err(_) => Outcome::Unknown("the library gave no answer".to_owned()),
    }
}

fn failed(error: Error) -> Outcome {
    match error {
        Error::Unavailable { cause, .. } => Outcome::NotSent(cause),
        Error::OutcomeUnknown(why) => Outcome::Unknown(why),
        Error::Refused { .. } | Error::Usage(_) | Error::Protocol(_) => Outcome::Refused(error.to_string()),
    }
}

/// Comes and goes until `online` has no receivers or `stop` is set.
pub async fn come_and_go(online: watch::Sender<bool>, part_time: bool, mut stop: watch::Receiver<bool>, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    if !part_time {
        let _ = stop.wait_for(|stop| *stop).await;
        return;
    }
    loop {
        online.send_replace(dice.random_bool(0.5));
        let shift = sleep(SHIFT.mul_f64(dice.random_range(0.2..1.0)));
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = shift => {}
        }
    }
}
