//! Servers and people as processes, for the tests of `disasters` and of `partitions`. Neither uses all of it.
//!
//! Promises: every child ends with the test, even one that panics or is killed, because a server stops when its
//! standard input ends; ports are free and not of the range from which outgoing connections take theirs.

#![allow(dead_code, unused_imports, reason = "each of the programs that share it uses a part")]

mod chat_port;
mod cluster;
mod disk;
mod flow;
mod operator;
mod page;
mod person;
mod place;
mod process;
mod server;
mod visitor;

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

pub use chat_port::{Frame, Frames, Lines};
pub use cluster::{Cluster, shared};
pub use disk::SmallDisk;
pub use flow::{Flow, Flowed, Follower, check_history};
pub use operator::{Operator, leader, voters};
pub use page::Page;
pub use person::{Failed, PASSWORD, Person, text};
pub use place::Place;
pub use process::Process;
pub use server::{Server, make_certificates};
pub use visitor::{Visitor, Visitors, place};

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_threefold");

/// Looks until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < give_up, "in vain: {what}");
        sleep(PAUSE);
    }
}

/// Waits until something is so.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    until(what, || is_so().then_some(()));
}

/// The first of `span` ports that are free now and were given to nobody else in this process.
pub fn free_ports(span: u16) -> u16 {
    // Below the ports of outgoing connections, one of which could take the port of a server that is down.
    const FIRST: u16 = 10_000;
    const PORTS: u16 = 20_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different places.
    let start = (std::process::id() % 97) as u16 * 200;
    until("free ports", || {
        let first = FIRST + (start + TAKEN.fetch_add(span, Ordering::Relaxed)) % (PORTS - span);
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        (first..first + span).all(free).then_some(first)
    })
}
