//! The servers among themselves: mutual TLS, replication, forwarding, presence.

mod admin;
mod backup;
pub mod certs;
pub mod channels;
pub mod death;
pub mod forward;
pub mod join;
pub mod link;
pub mod operator;
pub mod service;
pub mod tls;
