//! Places for the connections of a port: so many in all, and half of them at most for one address, so that one machine does not shut out
//! everybody else.
//!
//! A household of IPv6 (64 bits) counts as one address. This machine is not bound so: whoever has an account on it has other ways, and what
//! stands before the port for many (a proxy that does TLS) comes from here. One that stands elsewhere has half of the places.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::places::{Full, Place, Places};
use crate::node::limits::household;

/// The places of a port.
pub(super) struct Crowd {
    in_all: usize,
    all: Arc<Semaphore>,
    by_address: Arc<Places<IpAddr>>,
}

/// A connection's place, until it is dropped.
pub(super) struct Seat {
    _all: OwnedSemaphorePermit,
    _own: Option<Place<IpAddr>>,
}

impl Crowd {
    pub(super) fn new(in_all: usize) -> Self {
        Self { in_all, all: Arc::new(Semaphore::new(in_all)), by_address: Places::new(in_all, in_all / 2) }
    }

    /// One for a connection from there, if there is one.
    pub(super) fn admit(&self, from: Option<IpAddr>) -> Result<Seat, Full> {
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::InAll)?;
        let from = from.filter(|address| !address.to_canonical().is_loopback()).map(household);
        let own = from.map(|address| self.by_address.take(address)).transpose()?;
        Ok(Seat { _all: all, _own: own })
    }

    /// Waits until everybody has gone.
    pub(super) async fn gone(&self) {
        let _ = self.all.acquire_many(self.in_all as u32).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_has_half_of_the_places_and_this_machine_all() {
        let crowd = Crowd::new(6);
        let from = |address: &str| crowd.admit(Some(address.parse().unwrap()));
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
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let seats: Vec<Seat> = (0..6).map(|_| from(here).ok().unwrap()).collect();
            assert_eq!(crowd.admit(None).err(), Some(Full::InAll));
            drop(seats);
        }
    }
}
