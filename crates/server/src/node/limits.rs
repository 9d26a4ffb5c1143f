//! Rate limits: how much one account may write, how often one address may register, how often a password may be guessed.
//!
//! What counts is the cluster's leader, which keeps the buckets in memory: three servers must not triple a limit. Guesses and
//! registrations are slow anyway and ask it first. Writes must not wait for it: each server lets an account's writes through by
//! buckets of its own and reports them, many at once, to the leader; an account that writes at several servers is told by that.
//!
//! Promises: what is over a limit learns when to come back; what is kept is bounded; a new leader begins with full buckets.
//! Nothing of this is replicated, and nothing decides what `apply` does. The buckets are the generic cell rate
//! algorithm (ITU-T I.371, annex A): one instant a key, at which its bucket will be full again.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use threefold_core::{AccountId, text};
use threefold_proto::peer::{self, charge};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::Node;
use crate::{
    config::{Limits, Rate},
    peer::channels::{Lane, answered},
};

/// Keys kept, each: some 10 MB. Full buckets go first; beyond that a new key is let through uncounted.
const KEYS: usize = 100_000;
/// Between two reports to the leader: what several servers together let through too much is what fits into this.
const REPORT_PAUSE: Duration = Duration::from_millis(100);
/// Accounts in one report.
const REPORTED: usize = 1_000;
/// However much was written too much, one waits no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is limited, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Writes of an account.
    Writes(AccountId),
    /// Failed log-ins under a name, folded, whether somebody has it or not, from anywhere: much more than from one address.
    FailedLogins(String),
    /// Failed log-ins under a name from an address; from none: by one who is logged in.
    FailedLoginsAt(String, Option<IpAddr>),
    /// Failed log-ins from an address.
    FailedLoginsFrom(IpAddr),
    /// Registrations from an address.
    Registrations(IpAddr),
}

impl Key {
    /// Failed log-ins under this name, from anywhere.
    #[must_use]
    pub fn failed_logins(name: &str) -> Self {
        Self::FailedLogins(folded(name))
    }

    /// Failed log-ins under this name, from this address.
    #[must_use]
    pub fn failed_logins_at(name: &str, address: Option<IpAddr>) -> Self {
        Self::FailedLoginsAt(folded(name), address.map(household))
    }

    /// Failed log-ins from this address.
    #[must_use]
    pub fn failed_logins_from(address: IpAddr) -> Self {
        Self::FailedLoginsFrom(household(address))
    }

    /// Registrations from this address.
    #[must_use]
    pub fn registrations(address: IpAddr) -> Self {
        Self::Registrations(household(address))
    }

    fn to_wire(&self, amount: u32) -> peer::Charge {
        let bytes = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let key = match self {
            Self::Writes(account) => charge::Key::Writes(account.0),
            Self::FailedLogins(name) => charge::Key::FailedLogins(name.clone()),
            Self::FailedLoginsAt(name, address) => charge::Key::FailedLoginsAt(peer::FailedLoginsAt {
                name: name.clone(),
                address: address.as_ref().map(bytes).unwrap_or_default().into(),
            }),
            Self::FailedLoginsFrom(address) => charge::Key::FailedLoginsFrom(bytes(address).into()),
            Self::Registrations(address) => charge::Key::Registrations(bytes(address).into()),
        };
        peer::Charge { key: Some(key), amount }
    }

    fn from_wire(key: charge::Key) -> Option<Self> {
        let address = |bytes: &[u8]| match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        };
        Some(match key {
            charge::Key::Writes(account) => Self::Writes(AccountId(account)),
            charge::Key::FailedLogins(name) => Self::failed_logins(&name),
            charge::Key::FailedLoginsAt(peer::FailedLoginsAt { name, address: bytes }) => {
                let address = if bytes.is_empty() { None } else { Some(address(&bytes)?) };
                Self::failed_logins_at(&name, address)
            }
            charge::Key::FailedLoginsFrom(bytes) => Self::FailedLoginsFrom(address(&bytes)?),
            charge::Key::Registrations(bytes) => Self::Registrations(address(&bytes)?),
        })
    }
}

/// What is no name is nobody's, and must not fill the memory.
fn folded(name: &str) -> String {
    if text::check_name(name).is_ok() { text::fold_name(name) } else { String::new() }
}

/// A subscriber has 2^64 addresses of IPv6, or more: they count as one.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        address @ IpAddr::V4(_) => address,
    }
}

/// The buckets of one server.
#[derive(Debug)]
struct Buckets {
    limits: Limits,
    /// When each bucket that is not full will be.
    full_at: BTreeMap<Key, Instant>,
}

impl Buckets {
    fn rate(&self, key: &Key) -> Option<Rate> {
        match key {
            Key::Writes(_) => self.limits.writes,
            Key::FailedLogins(_) => self.limits.failed_logins,
            Key::FailedLoginsAt(..) => self.limits.failed_logins_at,
            Key::FailedLoginsFrom(_) => self.limits.failed_logins_from,
            Key::Registrations(_) => self.limits.registrations,
        }
    }

    /// Takes that much if it is there; else says how long until it will be.
    fn take(&mut self, key: &Key, amount: u32, now: Instant) -> Result<(), Duration> {
        let Some(rate) = self.rate(key) else { return Ok(()) };
        let full_at = self.full_at.get(key).copied().unwrap_or(now).max(now) + rate.every * amount;
        let debt = full_at - now;
        let bound = rate.every * rate.burst;
        if debt > bound {
            return Err(debt - bound);
        }
        self.keep(key, full_at, now);
        Ok(())
    }

    /// Takes that much, there or not, and says how long until there is something again.
    fn take_anyway(&mut self, key: &Key, amount: u32, now: Instant) -> Duration {
        let Some(rate) = self.rate(key) else { return Duration::ZERO };
        let bound = rate.every * rate.burst;
        let full_at = self.full_at.get(key).copied().unwrap_or(now).max(now) + rate.every * amount;
        let full_at = full_at.min(now + bound + LONGEST_WAIT);
        self.keep(key, full_at, now);
        (full_at - now).saturating_sub(bound)
    }

    /// Puts back what was taken for nothing.
    fn give_back(&mut self, key: &Key, amount: u32) {
        if let Some(rate) = self.rate(key)
            && let Some(full_at) = self.full_at.get_mut(key)
        {
            *full_at = full_at.checked_sub(rate.every * amount).unwrap_or(*full_at);
        }
    }

    /// Leaves nothing in it until then, and no burst then.
    fn empty_until(&mut self, key: &Key, until: Instant, now: Instant) {
        if let Some(rate) = self.rate(key) {
            self.keep(key, until + rate.every * rate.burst.saturating_sub(1), now);
        }
    }

    fn keep(&mut self, key: &Key, full_at: Instant, now: Instant) {
        if let Some(known) = self.full_at.get_mut(key) {
            *known = full_at;
            return;
        }
        if self.full_at.len() >= KEYS {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() < KEYS {
            self.full_at.insert(key.clone(), full_at);
        }
    }
}

/// A server's part in the limits.
#[derive(Debug)]
pub struct Keeper {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug)]
struct Inner {
    /// What this server lets through by itself.
    own: Buckets,
    /// What counts, while this server leads.
    all: Buckets,
    /// Writes let through and not yet reported.
    unreported: BTreeMap<AccountId, u32>,
    /// Until when the leader wants an account to wait.
    held: BTreeMap<AccountId, Instant>,
}

impl Keeper {
    /// With these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        let buckets = || Buckets { limits: limits.clone(), full_at: BTreeMap::new() };
        let inner = Inner { own: buckets(), all: buckets(), unreported: BTreeMap::new(), held: BTreeMap::new() };
        Arc::new(Self { inner: Mutex::new(inner), news: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write of the account.
    ///
    /// # Errors
    /// Not counted: it is too much now; how long to wait.
    pub fn count_write(&self, account: AccountId) -> Result<(), Duration> {
        let now = Instant::now();
        let mut inner = self.lock();
        if let Some(until) = inner.held.get(&account).copied() {
            if now < until {
                return Err(until - now);
            }
            inner.held.remove(&account);
        }
        if inner.own.limits.writes.is_none() {
            return Ok(());
        }
        inner.own.take(&Key::Writes(account), 1, now)?;
        let first = inner.unreported.is_empty();
        *inner.unreported.entry(account).or_default() += 1;
        drop(inner);
        if first {
            self.news.notify_one();
        }
        Ok(())
    }

    /// As the leader: takes of the buckets that count.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&self, key: &Key) -> Result<(), Duration> {
        self.lock().all.take(key, 1, Instant::now())
    }

    /// As the leader: puts back what was taken for nothing.
    pub fn give_back(&self, key: &Key) {
        self.lock().all.give_back(key, 1);
    }

    /// As the leader: what another server asks, or reports.
    pub fn answer(&self, request: peer::ChargeRequest) -> peer::ChargeReply {
        let charges = request.charges.into_iter().take(REPORTED);
        let wait = |peer::Charge { key, amount }: peer::Charge| {
            let Some(key) = key.and_then(Key::from_wire) else { return Duration::ZERO };
            match (request.give_back, request.spent) {
                (true, _) => {
                    self.give_back(&key);
                    Duration::ZERO
                }
                (false, true) => self.lock().all.take_anyway(&key, amount, Instant::now()),
                (false, false) => self.take(&key).err().unwrap_or_default(),
            }
        };
        peer::ChargeReply { leader: true, waits_ms: charges.map(|charge| millis(wait(charge))).collect() }
    }

    fn take_unreported(&self) -> Vec<(AccountId, u32)> {
        let mut inner = self.lock();
        let mut report = Vec::new();
        while report.len() < REPORTED
            && let Some(next) = inner.unreported.pop_first()
        {
            report.push(next);
        }
        report
    }

    fn hold(&self, accounts: impl Iterator<Item = (AccountId, u64)>) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.held.retain(|_, until| *until > now);
        for (account, wait_ms) in accounts.filter(|(_, wait_ms)| *wait_ms > 0) {
            let until = now + Duration::from_millis(wait_ms).min(LONGEST_WAIT);
            inner.held.insert(account, until);
            // Or else it would fill up while the account waits, and each server let another burst through.
            inner.own.empty_until(&Key::Writes(account), until, now);
        }
    }
}

fn millis(wait: Duration) -> u64 {
    // Upwards: who comes back a little early would be told to wait again.
    wait.as_nanos().div_ceil(1_000_000) as u64
}

/// Reports what this server has let through to whoever leads, for ever.
pub async fn report(node: Node) {
    let keeper = node.inner.limits.clone();
    loop {
        keeper.news.notified().await;
        loop {
            sleep(REPORT_PAUSE).await;
            let report = keeper.take_unreported();
            if report.is_empty() {
                break;
            }
            let charges = report.iter().map(|(account, count)| Key::Writes(*account).to_wire(*count)).collect();
            let request = peer::ChargeRequest { charges, spent: true, give_back: false };
            // Without a leader nothing is written; what was let through before is forgotten with its buckets.
            if let Some(reply) = ask(&node, request).await {
                keeper.hold(report.into_iter().map(|(account, _)| account).zip(reply.waits_ms));
            }
        }
    }
}

/// Takes one of each of the buckets that count, at the leader: all or none. None of these: nobody leads that answers.
pub async fn take(node: &Node, keys: &[Key]) -> Option<Result<(), Duration>> {
    let mut taken = Vec::new();
    for key in keys {
        let request = peer::ChargeRequest { charges: vec![key.to_wire(1)], spent: false, give_back: false };
        let Some(reply) = ask(node, request).await else {
            // They are asked for again. (What was taken and not heard of is lost; it fills up.)
            give_back(node, taken).await;
            return None;
        };
        match reply.waits_ms.first().copied().unwrap_or_default() {
            0 => taken.push(key.clone()),
            wait_ms => {
                give_back(node, taken).await;
                return Some(Err(Duration::from_millis(wait_ms)));
            }
        }
    }
    Some(Ok(()))
}

/// Puts back what was taken for nothing. If nobody leads, that is forgotten anyway.
pub async fn give_back(node: &Node, keys: Vec<Key>) {
    if !keys.is_empty() {
        let charges = keys.iter().map(|key| key.to_wire(1)).collect();
        ask(node, peer::ChargeRequest { charges, spent: false, give_back: true }).await;
    }
}

/// Asks whoever leads: this server, or another.
async fn ask(node: &Node, request: peer::ChargeRequest) -> Option<peer::ChargeReply> {
    let engine = &node.inner.engine;
    let leader = (*engine.leader().borrow())?;
    if leader == engine.id() {
        return Some(node.inner.limits.answer(request));
    }
    let member = engine.others().into_iter().find(|peer| peer.id == leader)?.member;
    let mut client = node.inner.channels.client(&member, Lane::Control);
    let reply = answered(client.charge(engine.cluster().address(leader, request))).await.ok()?;
    reply.leader.then_some(reply)
}

#[cfg(test)]
mod tests;
