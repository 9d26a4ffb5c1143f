//! `status`: the cluster's servers, as one of them sees them.

use std::collections::BTreeMap;

use serde::Serialize;
use threefold::tui::figures::{term, uptime};
use threefold_client::{
    Error,
    chat::{ClusterStatus, ServerStatus},
};

use super::{
    ClientOptions, Failure,
    context::Context,
    output::{escape, table},
};

/// LAG is in log entries; STARTS counts how often the data directory was opened, so that another number is another process.
const HEADER: [&str; 13] =
    ["ID", "NAME", "ADDRESS", "PID", "ROLE", "SYNC", "TERM", "LAST", "APPLIED", "LAG", "STARTS", "CLIENTS", "UPTIME"];
/// The place of the column that only survivor mode needs.
const SYNC_COLUMN: usize = 5;

#[derive(Serialize)]
struct Cluster<'a> {
    state: &'a str,
    detail: &'a str,
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct Server<'a> {
    id: u64,
    name: &'a str,
    client_address: &'a str,
    chat_address: &'a str,
    peer_address: &'a str,
    pid: u32,
    role: &'a str,
    voter: bool,
    in_sync: bool,
    incarnation: u64,
    leader: u64,
    term: u64,
    last_index: u64,
    committed_index: u64,
    applied_index: u64,
    visible_index: u64,
    snapshot_index: u64,
    purged_index: u64,
    clients: u32,
    uptime_ms: u64,
    version: &'a str,
    search_index: u64,
    commands: u64,
    commit_latency_us: u64,
    commit_latency_p99_us: u64,
    /// How many committed entries it has not applied yet; null where it is down.
    lag: Option<u64>,
}

impl<'a> Server<'a> {
    fn of(server: &'a ServerStatus, committed: u64) -> Self {
        Self {
            lag: lag(server, committed),
            id: server.id,
            name: &server.name,
            client_address: &server.client_address,
            chat_address: &server.chat_address,
            peer_address: &server.peer_address,
            pid: server.pid,
            role: &server.role,
            voter: server.voter,
            in_sync: server.in_sync,
            incarnation: server.incarnation,
            leader: server.leader,
            term: server.term,
            last_index: server.last_index,
            committed_index: server.committed_index,
            applied_index: server.applied_index,
            visible_index: server.visible_index,
            snapshot_index: server.snapshot_index,
            purged_index: server.purged_index,
            clients: server.clients,
            uptime_ms: server.uptime_ms,
            version: &server.version,
            search_index: server.search_index,
            commands: server.commands,
            commit_latency_us: server.commit_latency_us,
            commit_latency_p99_us: server.commit_latency_p99_us,
        }
    }
}

/// Asks the servers in turn; the first that answers tells of all. If none does, all are shown as down, and the command
/// fails as unavailable.
pub async fn status(options: ClientOptions) -> Result<(), Failure> {
    let context = Context::anonymous(&options)?;
    let (status, failure) = match context.client.status().await {
        Ok(status) => (status, None),
        Err(error @ Error::Unavailable { .. }) => (all_down(context.client.servers()), Some(Failure::from(error))),
        Err(error) => return Err(error.into()),
    };
    let value = Cluster {
        state: &status.state,
        detail: &status.detail,
        servers: status.servers.iter().map(|server| Server::of(server, committed(&status))).collect(),
    };
    context.output.result(&value, || human(&status))?;
    failure.map_or(Ok(()), Err)
}

fn all_down(addresses: Vec<String>) -> ClusterStatus {
    let down = |client_address| ServerStatus { client_address, role: "down".to_owned(), ..ServerStatus::default() };
    ClusterStatus {
        state: "unavailable".to_owned(),
        detail: "no server answers".to_owned(),
        servers: addresses.into_iter().map(down).collect(),
        ..ClusterStatus::default()
    }
}

fn human(status: &ClusterStatus) -> String {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    let committed = committed(status);
    rows.extend(status.servers.iter().map(|server| row(server, committed)));
    // Under plain Raft there is no in-sync set.
    if !status.servers.iter().any(|server| server.in_sync) {
        rows.iter_mut().for_each(|row| drop(row.remove(SYNC_COLUMN)));
    }
    let detail = if status.detail.is_empty() { String::new() } else { format!(": {}", escape(&status.detail)) };
    let pace = status.servers.iter().find_map(pace).unwrap_or_default();
    let versions = versions(&status.servers);
    // A server that is none of it any more tells its own state.
    let whose = if status.state == "removed" { "The server that answers" } else { "The cluster" };
    format!("{}\n\n{whose} is {}{detail}.{versions}{pace}", table(&rows), escape(&status.state))
}

/// The furthest that the log is known to be committed.
fn committed(status: &ClusterStatus) -> u64 {
    let up = status.servers.iter().filter(|server| server.role != "down");
    up.map(|server| server.committed_index).max().unwrap_or(0)
}

/// How many committed entries a server has not applied yet.
fn lag(server: &ServerStatus, committed: u64) -> Option<u64> {
    (server.role != "down").then(|| committed.saturating_sub(server.applied_index))
}

/// Which versions run, where there are several: somebody upgrades, server by server.
fn versions(servers: &[ServerStatus]) -> String {
    let mut by_version: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for server in servers.iter().filter(|server| server.role != "down") {
        by_version.entry(&server.version).or_default().push(escape(&server.name));
    }
    if by_version.len() < 2 {
        return String::new();
    }
    let each = by_version.iter().map(|(version, names)| format!("{} on {}", escape(version), names.join(", ")));
    format!("\nThe servers have different versions: {}.", each.collect::<Vec<_>>().join("; "))
}

/// How quickly a leader that has something to do commits it.
fn pace(server: &ServerStatus) -> Option<String> {
    let ms = |us: u64| us as f64 / 1000.0;
    let (half, most) = (ms(server.commit_latency_us), ms(server.commit_latency_p99_us));
    let name = escape(&server.name);
    (server.commit_latency_us > 0).then(|| {
        format!(
            "\nUnder {name} half of the log entries are committed within {half:.1} ms, 99 of 100 within {most:.1} ms."
        )
    })
}

fn row(server: &ServerStatus, committed: u64) -> Vec<String> {
    let down = server.role == "down";
    let number = |value: u64| if down && value == 0 { "-".to_owned() } else { value.to_string() };
    vec![
        number(server.id),
        escape(&server.name),
        escape(&server.client_address),
        number(server.pid.into()),
        escape(&server.role),
        match (down, server.in_sync) {
            (true, _) => "-".to_owned(),
            (false, in_sync) => if in_sync { "yes" } else { "no" }.to_owned(),
        },
        if down { "-".to_owned() } else { term(server.term) },
        number(server.last_index),
        number(server.applied_index),
        lag(server, committed).map_or("-".to_owned(), |lag| lag.to_string()),
        if down { "-".to_owned() } else { server.incarnation.to_string() },
        number(server.clients.into()),
        if down { "-".to_owned() } else { uptime(server.uptime_ms) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_sentence() {
        let leader = ServerStatus {
            id: 1,
            name: "server-1".to_owned(),
            client_address: "127.0.0.1:7400".to_owned(),
            pid: 12,
            role: "leader".to_owned(),
            term: 3,
            last_index: 90,
            committed_index: 90,
            applied_index: 88,
            incarnation: 4,
            clients: 2,
            uptime_ms: 3_700_000,
            ..ServerStatus::default()
        };
        let down =
            ServerStatus { id: 2, name: "server-2".to_owned(), role: "down".to_owned(), ..ServerStatus::default() };
        let status = ClusterStatus {
            state: "degraded".to_owned(),
            detail: "1 of 2 servers is down".to_owned(),
            servers: vec![leader, down],
            ..ClusterStatus::default()
        };
        assert_eq!(
            human(&status),
            "ID  NAME      ADDRESS         PID  ROLE    TERM  LAST  APPLIED  LAG  STARTS  CLIENTS  UPTIME\n\
             1   server-1  127.0.0.1:7400  12   leader  3     90    88       2    4       2        1h 1m\n\
             2   server-2                  -    down    -     -     -        -    -       -        -\n\n\
             The cluster is degraded: 1 of 2 servers is down."
        );
    }

    #[test]
    fn survivor_mode_shows_who_is_in_sync_and_the_epoch() {
        let server = |id, in_sync| ServerStatus { id, in_sync, term: (1 << 32) + 7, ..ServerStatus::default() };
        let status = ClusterStatus { servers: vec![server(1, true), server(2, false)], ..ClusterStatus::default() };
        let shown = human(&status);
        let lines = shown.lines().collect::<Vec<_>>();
        assert!(lines[0].contains("SYNC") && lines[1].contains("yes") && lines[2].contains("no"), "{shown}");
        assert!(lines[1].contains("1.7"), "{shown}");
    }

    #[test]
    fn different_versions_are_told_while_a_cluster_is_upgraded() {
        let server = |name: &str, version: &str, role: &str| ServerStatus {
            name: name.to_owned(),
            version: version.to_owned(),
            role: role.to_owned(),
            ..ServerStatus::default()
        };
        let mut servers =
            vec![server("a", "0.1.0", "leader"), server("b", "0.1.0", "follower"), server("c", "", "down")];
        assert_eq!(versions(&servers), "");
        servers.push(server("d", "0.2.0", "follower"));
        assert_eq!(versions(&servers), "\nThe servers have different versions: 0.1.0 on a, b; 0.2.0 on d.");
    }

    #[test]
    fn a_leader_at_work_says_how_quickly() {
        let leader = ServerStatus {
            name: "server-2".to_owned(),
            role: "leader".to_owned(),
            commit_latency_us: 1_230,
            commit_latency_p99_us: 20_000,
            ..ServerStatus::default()
        };
        let shown = human(&ClusterStatus { servers: vec![leader], ..ClusterStatus::default() });
        let last = shown.lines().last().unwrap();
        assert_eq!(
            last,
            "Under server-2 half of the log entries are committed within 1.2 ms, 99 of 100 within 20.0 ms."
        );
    }
}
