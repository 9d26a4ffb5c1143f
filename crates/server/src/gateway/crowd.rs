//! Places for the connections of a port: so many in all, and half of them at most for one address, so that one machine does not shut out
//! everybody else.
//!
//! A household of IPv6 (64 bits) counts as one address. This machine is not bound so, whether it dials itself by a loopback address or by
//! the very address that it is called at: whoever has an account on it has other ways, and what stands before the port for many (a proxy that does
//! TLS) comes from here. One that stands elsewhere has half of the places.
//!
//! Whoever is closed at once is told of in the log, but seldom: it may happen a thousand times a second.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::places::{Full, Place, Places};
use crate::{net::Ends, node::limits::household};

/// Between two lines in the log about the same.
const SILENCE: Duration = Duration::from_secs(10);

/// The places of a port.
pub(super) struct Crowd {
    port: &'static str,
    in_all: usize,
    all: Arc<Semaphore>,
    by_address: Arc<Places<IpAddr>>,
    full: Seldom,
    of_one: Seldom,
}

/// A connection's place, until it is dropped.
pub(super) struct Seat {
    _all: OwnedSemaphorePermit,
    _own: Option<Place<IpAddr>>,
}

impl Crowd {
    /// So many on the port of that name.
    pub(super) fn new(port: &'static str, in_all: usize) -> Self {
        Self {
            port,
            in_all,
            all: Arc::new(Semaphore::new(in_all)),
            by_address: Places::new(in_all, in_all / 2),
            full: Seldom::default(),
            of_one: Seldom::default(),
        }
    }

    /// One for a connection between these, if there is one.
    pub(super) fn admit(&self, ends: Ends) -> Option<Seat> {
        let full = match self.seat(ends) {
            Ok(seat) => return Some(seat),
            Err(full) => full,
        };
        let (port, now) = (self.port, Instant::now());
        match full {
            Full::InAll => {
                if let Some(closed) = self.full.tell(now) {
                    tracing::warn!(port, bound = self.in_all, closed, "too many connections: what came was closed");
                }
            }
            Full::OfOne(bound) => {
                if let Some(closed) = self.of_one.tell(now) {
                    let from = household(ends.remote.ip());
                    tracing::warn!(port, %from, bound, closed, "too many connections of one address: what came was closed");
                }
            }
        }
        None
    }

    fn seat(&self, ends: Ends) -> Result<Seat, Full> {
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::InAll)?;
        let (remote, local) = (ends.remote.ip().to_canonical(), ends.local.ip().to_canonical());
        let is_here = remote.is_loopback() || remote == local;
        let own = (!is_here).then(|| self.by_address.take(household(remote))).transpose()?;
        Ok(Seat { _all: all, _own: own })
    }

    /// Waits until everybody has gone.
    pub(super) async fn gone(&self) {
        let _ = self.all.acquire_many(self.in_all as u32).await;
    }
}

/// What may happen often and is told now and then, with how often it has happened.
#[derive(Default)]
struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// It has happened: how often since it was told last, where it is to be told now.
    fn tell(&self, now: Instant) -> Option<u64> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, happened) = &mut *kept;
        *happened += 1;
        if told.is_some_and(|told| now < told + SILENCE) {
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(happened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(remote: &str, local: &str) -> Ends {
        let end = |address: &str| (address.parse::<IpAddr>().unwrap(), 7400).into();
        Ends { local: end(local), remote: end(remote) }
    }

    #[tokio::test]
    async fn one_address_has_half_of_the_places_and_this_machine_all() {
        let crowd = Crowd::new("test", 6);
        let from = |address: &str| crowd.seat(between(address, "203.0.113.1"));
        let mut seats: Vec<Seat> = (1..=3).map(|host| from(&format!("2001:db8::{host}")).ok().unwrap()).collect();
        assert_eq!(from("2001:db8::4").err(), Some(Full::OfOne(3)), "one household");
        seats.push(from("192.0.2.1").ok().unwrap());
        seats.push(from("2001:db8:0:1::1").ok().unwrap());
        seats.push(from("::ffff:192.0.2.1").ok().unwrap());
        assert_eq!(from("198.51.100.7").err(), Some(Full::InAll));
        seats.remove(0);
        seats.push(from("2001:db8::4").ok().unwrap());
        drop(seats);
        crowd.gone().await;
        for (remote, local) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::4", "2001:db8::4"),
        ] {
            let seats: Vec<Seat> = (0..6).map(|_| crowd.seat(between(remote, local)).ok().unwrap()).collect();
            assert_eq!(crowd.seat(between(remote, local)).err(), Some(Full::InAll));
            drop(seats);
        }
        let seats: Vec<Seat> =
            (0..3).map(|_| crowd.seat(between("2001:db8::4", "2001:db8::5")).ok().unwrap()).collect();
        let neighbour = crowd.seat(between("2001:db8::6", "2001:db8::5"));
        assert_eq!((neighbour.err(), seats.len()), (Some(Full::OfOne(3)), 3), "another machine of the household");
    }

    #[test]
    fn what_happens_often_is_told_seldom_and_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.tell(start), Some(1));
        assert!((0..5).all(|ms| seldom.tell(start + Duration::from_millis(ms)).is_none()));
        assert_eq!(seldom.tell(start + SILENCE), Some(6));
        assert_eq!(seldom.tell(start + SILENCE), None);
        assert_eq!(seldom.tell(start + 3 * SILENCE), Some(2));
    }
}
