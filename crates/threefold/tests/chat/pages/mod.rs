//! Everything that people do, by pages over WebSocket, with a leader killed in between: what they ask is asked at whichever server
//! lives. docs/testing.md says which of these belongs to what.

mod accounts;
mod bots;
mod files;
mod messages;
mod rooms;

use serde_json::Value;

use crate::harness::{Cluster, Visitors};

/// A cluster, who leads it, and those who may visit it.
fn open(options: &[&str]) -> (Cluster, usize, Visitors) {
    let cluster = Cluster::start(options);
    let (leader, visitors) = (cluster.leader(), Visitors::of(&cluster));
    (cluster, leader, visitors)
}

/// One field of each entry of a list; an empty list is left out of its object.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    all(list).iter().map(|one| one[field].as_str().unwrap_or_default()).collect()
}

fn all(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn code(refused: &Value) -> &str {
    refused["code"].as_str().unwrap()
}
