//! One file a scenario. Each takes a plan and a cluster, and gives a [`crate::report::Report`].

pub mod deliver;
pub mod write;
