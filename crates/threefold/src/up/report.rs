//! What `up` says: a line for people, or a JSON object a line for programs.

use std::io::{self, Write as _};

use serde::Serialize;
use threefold_client::chat::ClusterStatus;

/// Something worth a line.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The servers were started; the cluster is not complete yet.
    Starting {
        /// How many.
        servers: usize,
        /// Where everything is.
        data_dir: String,
    },
    /// Not complete after a while; told again from time to time.
    Waiting {
        /// For what.
        detail: String,
    },
    /// The cluster is complete.
    Started {
        /// Its servers.
        servers: Vec<Row>,
        /// Where the page is.
        page: String,
    },
    /// A server's process ended.
    Died {
        /// Which.
        server: String,
        /// "signal 9", "exit code 1".
        ending: String,
        /// What the server said last, where it ended by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        said: Option<String>,
        /// How to start it again; none where that happens by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// A server's process was started again.
    Restarted {
        /// Which.
        server: String,
        /// Its process.
        pid: u32,
    },
    /// A server does not answer, although its process is not known to have ended.
    Silent {
        /// Which.
        server: String,
    },
    /// A server answers again.
    Returned {
        /// Which.
        server: String,
    },
    /// Another server leads.
    Leads {
        /// Which.
        server: String,
    },
    /// The cluster cannot go on.
    Unavailable {
        /// Why.
        detail: String,
    },
    /// It can again.
    Available,
    /// All servers are being stopped.
    Stopping,
    /// All servers have stopped.
    Stopped,
}

/// One server in the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    name: String,
    client_address: String,
    chat_address: String,
    peer_address: String,
    pid: u32,
    role: String,
}

/// The servers of a cluster, for the table.
#[must_use]
pub fn rows(status: &ClusterStatus) -> Vec<Row> {
    let row = |server: &threefold_client::chat::ServerStatus| Row {
        name: server.name.clone(),
        client_address: server.client_address.clone(),
        chat_address: server.chat_address.clone(),
        peer_address: server.peer_address.clone(),
        pid: server.pid,
        role: server.role.clone(),
    };
    status.servers.iter().map(row).collect()
}

/// Prints an event.
pub fn report(event: &Event, json: bool) {
    let text = if json {
        serde_json::to_string(event).unwrap_or_else(|error| format!("{{\"event\":\"error\",\"detail\":\"{error}\"}}"))
    } else {
        in_words(event)
    };
    // Nobody to tell (a closed pipe) is no reason to take the cluster down.
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// Prints what was told elsewhere.
pub(super) fn again(told: &[String]) {
    let mut output = io::stdout().lock();
    let _ = told.iter().try_for_each(|words| writeln!(output, "{words}")).and_then(|()| output.flush());
}

pub(super) fn in_words(event: &Event) -> String {
    match event {
        Event::Starting { servers, data_dir } => format!("starting {servers} servers in {data_dir}"),
        Event::Waiting { detail } => format!("still waiting: {detail}"),
        Event::Started { servers, page } => format!("{}\n\nopen {page}", table(servers)),
        Event::Died { server, ending, said, command } => {
            let said = said.as_ref().map_or(String::new(), |said| format!(": {said}"));
            let how = command.as_ref().map_or(String::new(), |command| format!("\n  to start it again: {command}"));
            format!("{server} died ({ending}){said}{how}")
        }
        Event::Restarted { server, pid } => format!("{server} was started again (pid {pid})"),
        Event::Silent { server } => format!("{server} does not answer"),
        Event::Returned { server } => format!("{server} is back"),
        Event::Leads { server } => format!("{server} leads now"),
        Event::Unavailable { detail } => format!("the cluster is unavailable: {detail}"),
        Event::Available => "the cluster is available again".to_owned(),
        Event::Stopping => "stopping all servers".to_owned(),
        Event::Stopped => "all servers have stopped; `threefold up` goes on from here".to_owned(),
    }
}

fn table(rows: &[Row]) -> String {
    let head = ["SERVER", "CLIENTS AT", "CHAT TCP AT", "SERVERS AT", "PID", "ROLE"].map(str::to_owned);
    let line = |row: &Row| {
        let Row { name, client_address, chat_address, peer_address, pid, role } = row.clone();
        [name, client_address, chat_address, peer_address, pid.to_string(), role]
    };
    let lines: Vec<[String; 6]> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let text = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    text.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up() {
        let row = |name: &str, pid: u32, role: &str| Row {
            name: name.to_owned(),
            client_address: "127.0.0.1:7400".to_owned(),
            chat_address: "127.0.0.1:7450".to_owned(),
            peer_address: "127.0.0.1:7500".to_owned(),
            pid,
            role: role.to_owned(),
        };
        let expected = "\
SERVER    CLIENTS AT      CHAT TCP AT     SERVERS AT      PID    ROLE
server-1  127.0.0.1:7400  127.0.0.1:7450  127.0.0.1:7500  7      leader
server-2  127.0.0.1:7400  127.0.0.1:7450  127.0.0.1:7500  12345  follower";
        assert_eq!(table(&[row("server-1", 7, "leader"), row("server-2", 12345, "follower")]), expected);
    }

    #[test]
    fn programs_get_one_object_a_line() {
        let died = Event::Died {
            server: "server-2".to_owned(),
            ending: "signal 9".to_owned(),
            said: None,
            command: Some("threefold serve".to_owned()),
        };
        assert_eq!(
            serde_json::to_string(&died).unwrap(),
            r#"{"event":"died","server":"server-2","ending":"signal 9","command":"threefold serve"}"#
        );
        assert_eq!(in_words(&died), "server-2 died (signal 9)\n  to start it again: threefold serve");
    }
}
