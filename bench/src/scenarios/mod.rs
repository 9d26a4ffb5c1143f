//! One file a scenario. Each takes a plan and a cluster, and gives a [`crate::report::Report`].

pub mod attach;
pub mod crashes;
pub mod deliver;
pub mod disturb;
pub mod failover;
pub mod fanout;
pub mod fill;
pub mod grow;
pub mod history;
pub mod idle;
pub mod rejoin;
pub mod search;
pub mod start;
pub mod talk;
pub mod write;
