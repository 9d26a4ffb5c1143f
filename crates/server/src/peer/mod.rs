//! The servers among themselves: mutual TLS, replication, forwarding, presence.

pub mod certs;
