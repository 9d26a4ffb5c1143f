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
    devices::{Device, PASSWORD},
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
/// The longest an impatient sender waits: sometimes long enough for an answer, often not.
const PATIENCE: Duration = Duration::from_millis(150);
/// The longest a part-timer stays, or stays away.
const SHIFT: Duration = Duration::from_secs(8);

/// Whether a user is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Here,
    Away,
    /// For good: the trial is over.
    Gone,
}

/// Waits until the user is there; false once they are gone for good.
pub async fn here(presence: &mut watch::Receiver<Presence>) -> bool {
    let decided = presence.wait_for(|presence| *presence != Presence::Away).await;
    decided.is_ok_and(|presence| *presence == Presence::Here)
}

/// The pairs that talk with each other.
pub fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NAMES.len()).flat_map(|user| (1..=PARTNERS).map(move |step| (user, (user + step) % NAMES.len())))
}

/// Half of the users are away half of the time.
pub fn part_time(user: usize) -> bool {
    user % 2 == 1
}

/// Some users send by a new process each time, and kill it when it takes too long for them.
pub fn impatient(user: usize) -> bool {
    user % 10 == 8
}

/// One user, registered.
pub struct Person {
    user: usize,
    client: Client,
}

/// What somebody talks with.
pub struct Voice {
    user: usize,
    partners: Vec<usize>,
    texts: Arc<Mutex<Texts>>,
    ledger: Ledger,
    /// The average between two messages.
    pause: Duration,
    dice: StdRng,
    number: u64,
}

impl Voice {
    pub fn new(user: usize, texts: Arc<Mutex<Texts>>, ledger: Ledger, pause: Duration, dice: StdRng) -> Self {
        let other = |(a, b): (usize, usize)| match user {
            _ if a == user => Some(b),
            _ if b == user => Some(a),
            _ => None,
        };
        Self { user, partners: pairs().filter_map(other).collect(), texts, ledger, pause, dice, number: 0 }
    }

    /// The next message: its place in the ledger, to whom, and what.
    fn next(&mut self) -> (usize, &'static str, String) {
        self.number += 1;
        let recipient = self.partners[self.dice.random_range(0..self.partners.len())];
        let body = self.texts.lock().unwrap_or_else(PoisonError::into_inner).next();
        let entry = self.ledger.enter(self.user, recipient, self.number, body.clone());
        (entry, NAMES[recipient], body)
    }

    async fn pause(&mut self) {
        sleep(self.pause.mul_f64(self.dice.random_range(0.0..2.0))).await;
    }
}

impl Person {
    /// Registers, at the server of that address.
    pub async fn register(user: usize, address: &str) -> Result<Self, Error> {
        let options = Options { timeout: SEND_PATIENCE, ..Options::new(vec![format!("http://{address}")]) };
        let client = Client::new(options)?;
        let session = client.register(NAMES[user], PASSWORD, "trial").await?;
        Ok(Self { user, client: client.with_session(session)? })
    }

    /// Sends one message after another while the user is there, until they are gone; then waits for the outcome of all.
    pub async fn talk(
        self,
        mut voice: Voice,
        device: Device,
        mut presence: watch::Receiver<Presence>,
    ) -> anyhow::Result<Statistics> {
        if impatient(self.user) {
            while here(&mut presence).await {
                let (entry, recipient, body) = voice.next();
                let life = PATIENCE.mul_f64(voice.dice.random_range(0.0..1.0));
                let outcome = device.send(recipient, &body, life).await?;
                voice.ledger.settle(entry, outcome);
                voice.pause().await;
            }
            return Ok(Statistics::default());
        }
        let writer = self.client.writer()?;
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut waiting = JoinSet::new();
        while here(&mut presence).await {
            // Not acknowledged in time means unknown outcome, and the place is free again: this always ends.
            let Ok(place) = places.clone().acquire_owned().await else { break };
            let (entry, recipient, body) = voice.next();
            let ledger = voice.ledger.clone();
            match writer.send(recipient, body).await {
                Ok(receipt) => drop(waiting.spawn(async move {
                    ledger.settle(entry, outcome(receipt).await);
                    drop(place);
                })),
                Err(error) => ledger.settle(entry, failed(error)),
            }
            while waiting.try_join_next().is_some() {}
            voice.pause().await;
        }
        while waiting.join_next().await.is_some() {}
        Ok(writer.statistics())
    }
}

/// What becomes of a message; waited for at most so long as no sender waits.
pub async fn outcome(receipt: Receipt<MessageSent>) -> Outcome {
    match timeout(SEND_PATIENCE * 2, receipt).await {
        Ok(Ok(sent)) => Outcome::Acknowledged(sent.id),
        Ok(Err(error)) => failed(error),
        Err(_) => Outcome::Unknown("the library gave no answer".to_owned()),
    }
}

/// What is known of a message when sending it has failed.
pub fn failed(error: Error) -> Outcome {
    match error {
        Error::Unavailable { cause, .. } => Outcome::NotSent(cause),
        Error::OutcomeUnknown(why) => Outcome::Unknown(why),
        Error::Refused { .. } | Error::Usage(_) | Error::Local(_) | Error::Protocol(_) => {
            Outcome::Refused(error.to_string())
        }
    }
}

/// Comes and goes until `stop` is set, then is gone.
pub async fn come_and_go(
    presence: watch::Sender<Presence>,
    part_time: bool,
    mut stop: watch::Receiver<bool>,
    seed: u64,
) {
    let mut dice = StdRng::seed_from_u64(seed);
    let stopped = stop.wait_for(|stop| *stop);
    tokio::pin!(stopped);
    loop {
        if part_time {
            presence.send_replace(if dice.random_bool(0.5) { Presence::Here } else { Presence::Away });
        }
        let shift = sleep(SHIFT.mul_f64(dice.random_range(0.2..1.0)));
        tokio::select! {
            _ = &mut stopped => break,
            () = shift => {}
        }
    }
    presence.send_replace(Presence::Gone);
}
