//! One server of a Threefold cluster.

pub mod config;
pub mod gateway;
pub mod node;
pub mod storage;
