//! A crowd that fills conversations as fast as the servers take it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use rand::Rng as _;
use threefold_proto::chat;
use tokio::time::{sleep, timeout};

use crate::{
    cluster::connect,
    device::{Account, Device, Heard, UNANSWERED, numbered, to},
    grpc::Connection,
};

/// Devices that fill, at most.
const FILLERS: usize = 64;
/// Messages that each keeps in flight: half of what it may.
const IN_FLIGHT: usize = UNANSWERED / 2;
/// Bytes of a message.
const BYTES: usize = 200;
/// How often a device begins again after an error, and after what pause.
const TRIES: u32 = 30;
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than a server lets a write wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two lines about how far it is.
const WORD_EVERY: Duration = Duration::from_secs(20);

/// What a message says, by its number.
pub type Text = fn(u64) -> String;

/// Accounts of which each talks with each other.
pub struct Crowd {
    accounts: Vec<Account>,
    /// Messages written so far, by it and beside it.
    written: u64,
    /// How often a stream ended with an error while filling, and was begun again.
    interruptions: AtomicU64,
}

impl Crowd {
    /// Registers the fewest accounts that have so many conversations with each other.
    ///
    /// # Errors
    /// When a server is lost or refuses.
    pub async fn new(addresses: &[String], conversations: usize) -> anyhow::Result<Self> {
        let connections = connect(addresses, 1).await?;
        let accounts = Account::register_many(&connections, accounts_for(conversations)).await?;
        Ok(Self { accounts, written: 0, interruptions: AtomicU64::new(0) })
    }

    /// The accounts.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// How many conversations they have.
    pub fn conversations(&self) -> usize {
        self.accounts.len() * (self.accounts.len() - 1) / 2
    }

    /// Messages written so far, by it and beside it.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How often a stream ended with an error while filling, and was begun again.
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::Relaxed)
    }

    /// Takes messages into account that others wrote beside it.
    pub fn add_written(&mut self, messages: u64) {
        self.written += messages;
    }

    /// Two that talk with each other.
    pub fn random_pair(&self) -> (&Account, &Account) {
        let count = self.accounts.len();
        let (one, step) = (rand::rng().random_range(0..count), rand::rng().random_range(1..count));
        (&self.accounts[one], &self.accounts[(one + step) % count])
    }

    /// Writes so many more messages, to all conversations evenly; gives the seconds it took.
    ///
    /// # Errors
    /// When a server is lost or refuses.
    pub async fn fill(&mut self, addresses: &[String], messages: u64) -> anyhow::Result<f64> {
        self.fill_with(addresses, messages, |number| numbered(number, BYTES)).await
    }

    /// The same with other texts, by their number.
    ///
    /// # Errors
    /// When a server is lost or refuses.
    pub async fn fill_with(&mut self, addresses: &[String], messages: u64, text: Text) -> anyhow::Result<f64> {
        let fillers = self.accounts.len().min(FILLERS);
        let connections = connect(addresses, fillers).await?;
        let recipients: Vec<chat::Recipient> = self.accounts.iter().map(|account| to(&account.name)).collect();
        let began = Instant::now();
        // The devices take turns among the accounts, so that every account writes and none has too many instances.
        let (share, rounds) = (messages.div_ceil(fillers as u64), self.accounts.len().div_ceil(fillers));
        let (accounts, interruptions) = (&self.accounts, &self.interruptions);
        let filling = (0..fillers).map(|filler| {
            let (connection, recipients) = (&connections[filler % connections.len()], &recipients);
            let owns: Vec<usize> =
                (0..rounds).map(|round| filler + round * fillers).filter(|own| *own < recipients.len()).collect();
            let todo = share.min(messages.saturating_sub(filler as u64 * share));
            async move {
                for (turn, own) in owns.iter().enumerate() {
                    let (turns, turn) = (owns.len() as u64, turn as u64);
                    let count = todo * (turn + 1) / turns - todo * turn / turns;
                    let account = &accounts[*own];
                    let instance = account.open_instance(connection).await?;
                    Filler { account, own: *own, recipients, connection, instance, interruptions, text }
                        .fill(count)
                        .await?;
                }
                anyhow::Ok(())
            }
        });
        let all = try_join_all(filling);
        tokio::pin!(all);
        loop {
            tokio::select! {
                           biased;
                           done = &mut all => { done?; break }
                           () = sleep(WORD_EVERY) => {
            let seconds = began.elapsed().as_secs_f64(); eprintln!("filling with {messages} messages: {seconds:.0} s"); }
                       }
        }
        self.written += messages;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// One account that fills.
struct Filler<'a> {
    account: &'a Account,
    /// Its place among the recipients.
    own: usize,
    recipients: &'a [chat::Recipient],
    connection: &'a Connection,
    instance: u64,
    interruptions: &'a AtomicU64,
    text: Text,
}

impl Filler<'_> {
    /// Writes `count` messages to all others in turn. What is interrupted is repeated from the first unanswered message on, with the same
    /// request ids.
    async fn fill(&self, count: u64) -> anyhow::Result<()> {
        let offset = rand::rng().random_range(0..self.recipients.len() - 1);
        let (mut accepted, mut tries) = (0, 0);
        while let Err(error) = self.write(count, offset, &mut accepted).await {
            tries += 1;
            if tries > TRIES {
                return Err(error);
            }
            self.interruptions.fetch_add(1, Ordering::Relaxed);
            sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn write(&self, count: u64, offset: usize, accepted: &mut u64) -> anyhow::Result<()> {
        let mut device = Device::resume(self.connection, self.account, self.instance, *accepted).await?;
        while *accepted < count {
            while device.written() < count && device.in_flight() < IN_FLIGHT {
                let number = device.written() + 1;
                let step = 1 + (offset + number as usize) % (self.recipients.len() - 1);
                let to = &self.recipients[(self.own + step) % self.recipients.len()];
                device.put_message(to, (self.text)(number))?;
            }
            device.flush()?;
            let mut next = Some(timeout(PATIENCE, device.hear()).await.context("no answer")??);
            while let Some(heard) = next {
                let Heard::Accepted = heard else { bail!("a device that does not subscribe heard {heard:?}") };
                *accepted += 1;
                next = device.heard_already()?;
            }
        }
        Ok(())
    }
}

/// The fewest people of whom so many pairs can be made, and two at least.
fn accounts_for(conversations: usize) -> usize {
    (2..).find(|people| people * (people - 1) / 2 >= conversations).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_people_as_their_conversations_need() {
        assert_eq!([0, 1, 2, 3, 4, 6, 7].map(accounts_for), [2, 2, 3, 3, 4, 4, 5]);
        assert_eq!(accounts_for(50_000), 317);
    }
}
