//! The list of servers, and which one to ask next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::addresses;

/// Servers kept: far more than a cluster has, so only a broken server's replies reach it.
const MOST_SERVERS: usize = 64;

/// The servers known, and the one that last worked. Shared by everything that talks with one cluster, so that
/// all of it moves on together when that one fails.
#[derive(Debug)]
pub(crate) struct Servers {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: Vec<String>,
    /// The one in use.
    preferred: Option<String>,
    dice: StdRng,
}

impl Servers {
    /// Begins with these addresses.
    pub(crate) fn new(known: Vec<String>, seed: Option<u64>) -> Self {
        let dice = seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self { state: Mutex::new(State { known, preferred: None, dice }) }
    }

    /// The next one to ask: the one in use, else any, but none of those `tried` already while there are others.
    /// None if the list is empty.
    pub(crate) fn pick(&self, tried: &[String]) -> Option<String> {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(preferred) = state.preferred.as_ref().filter(|preferred| !tried.contains(preferred)) {
            return Some(preferred.clone());
        }
        let fresh: Vec<&String> = state.known.iter().filter(|server| !tried.contains(server)).collect();
        match fresh.choose(&mut state.dice) {
            Some(server) => Some((*server).clone()),
            None => state.known.choose(&mut state.dice).cloned(),
        }
    }

    /// This server works: stay with it.
    pub(crate) fn worked(&self, server: &str) {
        let mut state = self.lock();
        if state.preferred.as_deref() != Some(server) {
            state.preferred = Some(server.to_owned());
        }
    }

    /// This server does not: ask others first.
    pub(crate) fn failed(&self, server: &str) {
        let mut state = self.lock();
        if state.preferred.as_deref() == Some(server) {
            state.preferred = None;
        }
    }

    /// Adds what `teller` says are the cluster's servers. They are spoken to as it is: with TLS or without.
    pub(crate) fn learn(&self, teller: &str, addresses: &[String]) {
        let secure = teller.starts_with("https://");
        let mut state = self.lock();
        for address in addresses {
            let with_scheme =
                if secure && !address.contains("://") { format!("https://{address}") } else { address.clone() };
            if let Ok(server) = addresses::normalise(&with_scheme)
                && state.known.len() < MOST_SERVERS
                && !state.known.contains(&server)
            {
                state.known.push(server);
            }
        }
    }

    /// Every server known.
    pub(crate) fn known(&self) -> Vec<String> {
        self.lock().known.clone()
    }

    /// A random number from 0 to 1, for jitter.
    pub(crate) fn luck(&self) -> f64 {
        self.lock().dice.random()
    }

    /// A random number, for nonces.
    pub(crate) fn nonce(&self) -> u64 {
        self.lock().dice.random()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> Servers {
        Servers::new(vec!["http://a:1".to_owned(), "http://b:1".to_owned(), "http://c:1".to_owned()], Some(7))
    }

    #[test]
    fn stays_with_what_works_and_asks_each_other_once() {
        let servers = servers();
        let first = servers.pick(&[]).unwrap();
        servers.worked(&first);
        for _ in 0..20 {
            assert_eq!(servers.pick(&[]), Some(first.clone()));
        }
        let mut tried = vec![first];
        while tried.len() < 3 {
            let next = servers.pick(&tried).unwrap();
            assert!(!tried.contains(&next));
            tried.push(next);
        }
        assert!(servers.pick(&tried).is_some(), "when all were tried, any will do");
    }

    #[test]
    fn starts_at_random() {
        let mut first: Vec<String> = (0..50)
            .filter_map(|seed| Servers::new(vec!["a".to_owned(), "b".to_owned()], Some(seed)).pick(&[]))
            .collect();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 2);
    }

    #[test]
    fn learns_further_servers_once_and_within_a_bound() {
        let servers = servers();
        servers.learn("http://a:1", &["a:1".to_owned(), "d:1".to_owned(), "not an address".to_owned()]);
        servers.learn("https://a:1", &["e:1".to_owned()]);
        assert_eq!(servers.known()[3..], ["http://d:1", "https://e:1"]);
        let many: Vec<String> = (1..1000).map(|port| format!("f:{port}")).collect();
        servers.learn("http://a:1", &many);
        assert_eq!(servers.known().len(), MOST_SERVERS);
    }
}
