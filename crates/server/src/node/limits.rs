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
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        let rate = |burst, every| Some(Rate { burst, every });
        Limits {
            writes: rate(10, SECOND / 10),
            failed_logins: rate(3, 10 * SECOND),
            failed_logins_at: rate(2, 10 * SECOND),
            failed_logins_from: None,
            registrations: rate(1, SECOND),
        }
    }

    fn spent(account: u64, amount: u32) -> peer::ChargeRequest {
        let charges = vec![Key::Writes(AccountId(account)).to_wire(amount)];
        peer::ChargeRequest { charges, spent: true, give_back: false }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_through_and_then_the_rate() {
        let keeper = Keeper::new(&limits());
        for _ in 0..10 {
            assert_eq!(keeper.count_write(AccountId(1)), Ok(()));
        }
        assert_eq!(keeper.count_write(AccountId(1)), Err(SECOND / 10));
        assert_eq!(keeper.count_write(AccountId(2)), Ok(()), "another account's bucket");
        advance(SECOND / 10).await;
        assert_eq!(keeper.count_write(AccountId(1)), Ok(()));
        assert!(keeper.count_write(AccountId(1)).is_err());
        advance(60 * SECOND).await;
        let through = (0..100).take_while(|_| keeper.count_write(AccountId(1)).is_ok()).count();
        assert_eq!(through, 10, "a bucket holds no more than a burst, however long it filled");
    }

    /// Three servers, each of which lets a burst through: the leader adds them up, and all are told to wait.
    #[tokio::test(start_paused = true)]
    async fn three_servers_do_not_triple_a_limit() {
        let leader = Keeper::new(&limits());
        assert_eq!(leader.answer(spent(1, 10)).waits_ms, [0]);
        assert_eq!(leader.answer(spent(1, 10)).waits_ms, [1000]);
        assert_eq!(leader.answer(spent(1, 10)).waits_ms, [2000]);
        let server = Keeper::new(&limits());
        server.hold([(AccountId(1), 2000), (AccountId(2), 0)].into_iter());
        assert_eq!(server.count_write(AccountId(1)), Err(2 * SECOND));
        assert_eq!(server.count_write(AccountId(2)), Ok(()));
        advance(2 * SECOND).await;
        assert_eq!(server.count_write(AccountId(1)), Ok(()));
        assert_eq!(leader.answer(spent(1, 1_000_000)).waits_ms, [LONGEST_WAIT.as_millis() as u64]);
    }

    /// An account that writes all it may at three servers for as long as it likes.
    #[tokio::test(start_paused = true)]
    async fn in_the_long_run_three_servers_let_through_what_one_would() {
        let usual = Limits::default();
        for limits in [limits(), usual] {
            let rate = limits.writes.unwrap();
            let leader = Keeper::new(&limits);
            let servers = [(); 3].map(|()| Keeper::new(&limits));
            let mut written = 0;
            let pauses = 1200;
            for _ in 0..pauses {
                for server in &servers {
                    written +=
                        std::iter::repeat_with(|| server.count_write(AccountId(1))).take_while(Result::is_ok).count();
                }
                for server in &servers {
                    for (account, count) in server.take_unreported() {
                        let waits_ms = leader.answer(spent(account.0, count)).waits_ms;
                        server.hold(std::iter::once(account).zip(waits_ms));
                    }
                }
                advance(REPORT_PAUSE).await;
            }
            let in_time = (pauses * REPORT_PAUSE).as_nanos() / rate.every.as_nanos();
            // Beside its first burst at each server.
            let most = in_time as usize + 4 * rate.burst as usize;
            assert!(written <= most, "{written} instead of {most}: {rate:?}");
            assert!(written >= in_time as usize * 9 / 10, "{written} of {in_time}: what is allowed goes through");
        }
    }

    /// Who keeps to the limit at one server is hardly ever held by the leader, whose clock and reports are a little behind.
    #[tokio::test(start_paused = true)]
    async fn who_writes_at_one_server_gets_all_of_the_rate() {
        let limits = limits();
        let (leader, server) = (Keeper::new(&limits), Keeper::new(&limits));
        let mut written = 0;
        for pause in 0..600_u32 {
            written += std::iter::repeat_with(|| server.count_write(AccountId(1))).take_while(Result::is_ok).count();
            // A report now and then takes longer.
            advance(REPORT_PAUSE + Duration::from_millis(u64::from(pause % 7) * 10)).await;
            for (account, count) in server.take_unreported() {
                let waits_ms = leader.answer(spent(account.0, count)).waits_ms;
                server.hold(std::iter::once(account).zip(waits_ms));
            }
        }
        assert!(written >= 600, "{written} in more than a minute, at ten a second");
    }

    #[tokio::test(start_paused = true)]
    async fn what_succeeds_is_given_back() {
        let keeper = Keeper::new(&limits());
        let key = Key::failed_logins("Ann");
        for _ in 0..20 {
            assert_eq!(keeper.take(&key), Ok(()));
            keeper.give_back(&Key::failed_logins("ann"));
        }
        for _ in 0..3 {
            assert_eq!(keeper.take(&key), Ok(()));
        }
        assert_eq!(keeper.take(&key), Err(10 * SECOND));
        assert_eq!(keeper.take(&Key::failed_logins_from([127, 0, 0, 1].into())), Ok(()), "not limited");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded() {
        let keeper = Keeper::new(&limits());
        for account in 0..KEYS as u64 + 10 {
            keeper.count_write(AccountId(account)).unwrap();
        }
        assert_eq!(keeper.lock().own.full_at.len(), KEYS);
        advance(SECOND).await;
        keeper.count_write(AccountId(u64::MAX)).unwrap();
        assert_eq!(keeper.lock().own.full_at.len(), 1, "the full ones went");
        assert_eq!(keeper.take_unreported().len(), REPORTED);
    }

    #[test]
    fn keys_survive_the_wire_and_households_are_one() {
        let v6 = |text: &str| Key::registrations(text.parse().unwrap());
        let keys = [
            Key::Writes(AccountId(7)),
            Key::failed_logins("Ann"),
            Key::failed_logins("no name at all"),
            Key::failed_logins_at("Ann", Some([192, 0, 2, 1].into())),
            Key::failed_logins_at("ann", Some("2001:db8::1".parse().unwrap())),
            Key::failed_logins_at("ann", None),
            Key::failed_logins_from([192, 0, 2, 1].into()),
            v6("2001:db8::1"),
        ];
        for key in keys {
            assert_eq!(key.to_wire(1).key.and_then(Key::from_wire), Some(key));
        }
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:192.0.2.1"), Key::registrations([192, 0, 2, 1].into()));
        let strange = charge::Key::Registrations(vec![1; 5].into());
        assert_eq!(Key::from_wire(strange), None);
    }
}
