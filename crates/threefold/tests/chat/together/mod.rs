//! Four people in one room, each by another way in: gRPC, JSON over WebSocket, JSON lines and the binary framing. Each server is
//! made the leader and killed in turn while all of them talk, so that everybody's server dies once at least.
//!
//! The host, at a command line, says how far they may talk and when it is over: what they wait for are words in the room.

mod by_grpc;
mod by_page;
mod by_port;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

use crate::harness::{Cluster, Person, leader, until, wait};

const ROOM: &str = "#together";
const HOST: &str = "host";
const END: &str = "that is all";
/// What each of them has said at the end of the rounds. With the host's words it is less than a page of history, which is 200.
const ROUNDS: [usize; 4] = [6, 18, 30, 42];
/// How much of a round is said when its leader is killed.
const BEFORE_THE_KILL: usize = 4;

/// A message as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// None where the framing has no place for it.
    id: Option<u64>,
    author: String,
    body: String,
}

/// What somebody hears next.
enum News {
    /// The oldest of what was said and not answered is there, under this id.
    Acknowledged(u64),
    Message(Seen),
    /// The connection: nothing is known of what was not answered.
    Lost,
    Other,
}

/// Somebody's way in.
trait Voice {
    /// How much may be unanswered.
    const AHEAD: usize;

    /// Says the text of this number, where so many were answered; false where the connection was lost.
    fn say(&mut self, number: usize, answered: usize, text: &str) -> bool;

    fn hear(&mut self) -> News;

    /// Goes on at another server, given the first text that was not answered. Its id, if it is known to be there all the same.
    fn reconnect(&mut self, unanswered: &str) -> Option<u64>;

    /// The whole room, as this way in shows it.
    fn history(&mut self) -> Vec<Seen>;

    /// Every event of the room, where this way in has events.
    fn events(&self) -> Option<&[Value]>;

    /// How often a server was lost, where others notice.
    fn lost(&self) -> usize;
}

/// What somebody said and heard.
struct Part {
    name: &'static str,
    /// The ids of the own messages, by number.
    said: Vec<u64>,
    /// What was delivered, without what came again after a loss.
    heard: Vec<Seen>,
    /// How much had been heard at each loss.
    losses: Vec<usize>,
    history: Vec<Seen>,
    events: Option<Vec<Value>>,
}

/// Talks until the host ends it.
fn talk<V: Voice>(mut voice: V, name: &'static str, answered: &AtomicUsize) -> Part {
    let text = |number: usize| format!("{name} {number}");
    let (mut asked, mut allowed) = (0, 0);
    let mut part = Part { name, said: vec![], heard: vec![], losses: vec![], history: vec![], events: None };
    loop {
        let up_to = allowed.min(part.said.len() + V::AHEAD);
        let mut lost = false;
        while asked < up_to && !lost {
            lost = !voice.say(asked, part.said.len(), &text(asked));
            asked += usize::from(!lost);
        }
        match if lost { News::Lost } else { voice.hear() } {
            News::Acknowledged(id) => part.said.push(id),
            News::Message(seen) => {
                if part.heard.contains(&seen) {
                    // Only who keeps no cursor may hear it again, and only behind a loss.
                    assert!(voice.events().is_none() && voice.lost() + part.losses.len() > 0, "{name}: twice {seen:?}");
                    continue;
                }
                part.heard.push(seen.clone());
                if seen.author == HOST {
                    allowed = seen.body.parse().unwrap_or(allowed);
                    if seen.body == END {
                        break;
                    }
                }
            }
            News::Lost => {
                part.losses.push(part.heard.len());
                let there = voice.reconnect(&text(part.said.len()));
                part.said.extend(there);
                asked = part.said.len();
            }
            News::Other => {}
        }
        answered.store(part.said.len(), Ordering::Relaxed);
    }
    assert!(voice.lost() + part.losses.len() > 0, "{name}'s server was killed");
    part.history = voice.history();
    part.events = voice.events().map(<[Value]>::to_vec);
    part
}

fn make_leader(cluster: &Cluster, place: usize) {
    let name = cluster.servers[place].name.as_str();
    let operator = cluster.operator();
    wait("the chosen leader", || leader(&operator.done(&["transfer-leader", name])) == Some(name));
    wait("that it knows", || cluster.own_status(place).is_some_and(|status| status["role"] == "leader"));
}

/// Lets them talk, one round after the other, and kills a leader in each but the first.
fn preside(cluster: &mut Cluster, host: &Person, answered: &[AtomicUsize]) {
    let all_have = |count: usize| answered.iter().all(|one| one.load(Ordering::Relaxed) >= count);
    for (round, up_to) in ROUNDS.into_iter().enumerate() {
        let victim = round.checked_sub(1);
        if let Some(victim) = victim {
            make_leader(cluster, victim);
        }
        host.done(&["send", ROOM, &up_to.to_string()]);
        if let Some(victim) = victim {
            wait("some of a round", || all_have(ROUNDS[victim] + BEFORE_THE_KILL));
            cluster.servers[victim].strike();
        }
        wait("a round", || all_have(up_to));
        if let Some(victim) = victim {
            cluster.servers[victim].kill();
            cluster.start_all();
            cluster.wait_until_whole();
        }
    }
    host.done(&["send", ROOM, END]);
}

/// What came without ids: the same words in the same order. A gap only where a connection broke, and of what came
/// at that moment.
fn check_heard(part: &Part, all: &[Seen]) {
    let is_for_it = |seen: &&Seen| seen.author != part.name || part.events.is_some();
    let mut expected = all.iter().filter(is_for_it);
    for (place, heard) in part.heard.iter().enumerate() {
        let mut missed = 0;
        let found = expected.by_ref().find(|seen| {
            let same = (&seen.author, &seen.body) == (&heard.author, &heard.body);
            missed += usize::from(!same);
            same
        });
        let seen = found.unwrap_or_else(|| panic!("{}: out of order: {heard:?}", part.name));
        assert!(heard.id.is_none() || heard.id == seen.id, "{}: {heard:?} for {seen:?}", part.name);
        let may_miss = part.events.is_none() && part.losses.contains(&place);
        assert!(missed == 0 || may_miss, "{}: {missed} missing before {heard:?}", part.name);
    }
    assert_eq!(expected.next(), None, "{}", part.name);
}

#[test]
fn by_four_ways_in_all_see_the_same_in_the_same_order_though_every_leader_is_killed() {
    let mut cluster = Cluster::start(&[]);
    let host = cluster.person(HOST);
    host.done(&["room", "create", "together"]);
    let clients: Vec<String> = cluster.servers.iter().map(|server| server.client.clone()).collect();
    let ports: Vec<String> = cluster.servers.iter().map(|server| server.chat.clone()).collect();
    let (at_grpc, at_page) = (by_grpc::Caller::join(&clients[0]), by_page::Reader::join(&cluster, 1));
    let (at_lines, at_frames) = (by_port::join_lines(&ports, 0), by_port::join_frames(&ports, 2));
    let answered = <[AtomicUsize; 4]>::default();
    let parts = thread::scope(|scope| {
        let [grpc, page, lines, frames] = &answered;
        let threads = [
            scope.spawn(move || talk(at_grpc, "grace", grpc)),
            scope.spawn(move || talk(at_page, "wilma", page)),
            scope.spawn(move || talk(at_lines, "lena", lines)),
            scope.spawn(move || talk(at_frames, "benno", frames)),
        ];
        preside(&mut cluster, &host, &answered);
        threads.map(|thread| thread.join().unwrap())
    });

    let last = ROUNDS[ROUNDS.len() - 1];
    let all = until("the whole room", || {
        let all: Vec<Seen> = host.history(ROOM).iter().map(seen_by_host).collect();
        (all.len() == 4 * last + ROUNDS.len() + 1).then_some(all)
    });
    assert!(all.is_sorted_by(|before, after| before.id < after.id));
    for part in &parts {
        let own: Vec<&Seen> = all.iter().filter(|seen| seen.author == part.name).collect();
        let texts: Vec<String> = (0..last).map(|number| format!("{} {number}", part.name)).collect();
        assert_eq!(own.iter().map(|seen| &seen.body).collect::<Vec<_>>(), texts.iter().collect::<Vec<_>>());
        assert_eq!(own.iter().filter_map(|seen| seen.id).collect::<Vec<_>>(), part.said, "as it was acknowledged");
        check_heard(part, &all);
        assert_eq!(part.history, all, "{}", part.name);
    }
    // Joins, texts, and all else that happened in the room.
    let [grpc, page, ..] = &parts;
    assert!(grpc.events.as_ref().is_some_and(|events| events.len() > all.len()));
    assert_eq!(grpc.events, page.events);
}

fn seen_by_host(message: &Value) -> Seen {
    let text = |field: &str| message[field].as_str().unwrap().to_owned();
    Seen { id: message["id"].as_u64(), author: text("from"), body: text("body") }
}
