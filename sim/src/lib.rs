//! Deterministic simulation of whole clusters.
//!
//! The real servers (consensus, stores' interfaces, peer service, gateways) and the real client library run in one thread
//! over simulated machines, links, disks and clocks, while everything that may fail does. Whatever is observed goes
//! to the invariants. One seed gives one run, to the byte.
//!
//! Not simulated: the disk's database, TLS, threads, and how the operating system behaves; other tests have these.

pub mod disk;
pub mod fact;
pub mod faults;
pub mod invariants;
pub mod people;
pub mod plan;
mod run;
pub mod server;
pub mod wires;
pub mod world;

pub use plan::Terms;
pub use run::{Outcome, run};
