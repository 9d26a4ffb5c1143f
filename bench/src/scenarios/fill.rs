//! A crowd that fills conversations as fast as the servers take it.

use std::time::{Duration, Instant};

use anyhow::bail;
use futures::future::try_join_all;
use rand::Rng as _;
use threefold_proto::chat;

use crate::{
    cluster::connect,
    device::{Account, Device, Heard, UNANSWERED, numbered, to},
};

/// Devices that fill, at most.
const FILLERS: usize = 64;
/// Messages that each keeps in flight: half of what it may.
const IN_FLIGHT: usize = UNANSWERED / 2;
/// Bytes of a message.
const BYTES: usize = 200;
/// Between two lines about how far it is.
const WORD_EVERY: Duration = Duration::from_secs(20);

/// Accounts of which each talks with each other.
pub struct Crowd {
    accounts: Vec<Account>,
    /// Messages written so far, by it and beside it.
    written: u64,
}

impl Crowd {
    /// Registers the fewest accounts that have so many conversations with each other.
    ///
    /// # Errors
    /// When a server is lost or refuses.
    pub async fn new(addresses: &[String], conversations: usize) -> anyhow::Result<Self> {
        let connections = connect(addresses, 1).await?;
        let accounts = Account::register_many(&connections, accounts_for(conversations)).await?;
        Ok(Self { accounts, written: 0 })
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
        let fillers = self.accounts.len().min(FILLERS);
        let connections = connect(addresses, fillers).await?;
        let recipients: Vec<chat::Recipient> = self.accounts.iter().map(|account| to(&account.name)).collect();
        let began = Instant::now();
        // The devices take turns among the accounts, so that every account writes and none has too many instances.
        let (share, rounds) = (messages.div_ceil(fillers as u64), self.accounts.len().div_ceil(fillers));
        let accounts = &self.accounts;
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
                    write(Device::open(connection, account, instance).await?, *own, recipients, count).await?;
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
                () = tokio::time::sleep(WORD_EVERY) => eprintln!("filling with {messages} messages: {:.0} s", began.elapsed().as_secs_f64()),
            }
        }
        self.written += messages;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Writes `count` messages of one account to all others in turn, from a random one on.
async fn write(mut device: Device, own: usize, recipients: &[chat::Recipient], count: u64) -> anyhow::Result<()> {
    let others = recipients.len() - 1;
    let offset = rand::rng().random_range(0..others);
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && device.in_flight() < IN_FLIGHT {
            let step = 1 + (offset + sent as usize) % others;
            device.put_message(&recipients[(own + step) % recipients.len()], numbered(sent, BYTES))?;
            sent += 1;
        }
        device.flush()?;
        let mut next = Some(device.hear().await?);
        while let Some(heard) = next {
            let Heard::Accepted = heard else { bail!("a device that does not subscribe heard {heard:?}") };
            answered += 1;
            next = device.heard_already()?;
        }
    }
    Ok(())
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
