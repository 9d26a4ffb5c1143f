//! A chat that begins while others talk.

use std::{thread::sleep, time::Duration};

use threefold_client::fake::FakeCluster;

use crate::{
    chat::is_given_back,
    harness::{Person, wait},
    terminal::{Terminal, there_are_terminals},
};

/// What is not held is answered in this; too short could only overlook something, never complain wrongly.
const ANSWERED: Duration = Duration::from_millis(700);

#[test]
fn what_is_said_while_a_chat_begins_is_shown() {
    if !there_are_terminals() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cluster = runtime.block_on(FakeCluster::on_loopback(1));
    let directory = tempfile::tempdir().unwrap();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| {
        let person = Person::new(directory.path(), name, &cluster.addresses().join(","));
        person.done(&["register", name]);
        person
    });
    bob.done(&["send", "alice", "before"]);
    cluster.behave(0, |behaviour| (behaviour.hold_who_am_i, behaviour.asked_who_am_i) = (true, 0));
    let terminal = Terminal::open(&alice, (100, 30));
    terminal.enter("threefold chat bob");
    wait("the first question", || cluster.behave(0, |behaviour| behaviour.asked_who_am_i > 0));
    sleep(ANSWERED);
    bob.done(&["send", "alice", "meanwhile"]);
    carol.done(&["send", "alice", "hello from carol"]);
    cluster.behave(0, |behaviour| behaviour.hold_who_am_i = false);
    terminal.wait_for("meanwhile");
    terminal.wait_until("carol in the list, with what is unread", |screen| {
        screen
            .lines()
            .any(|line| line.split('│').next().is_some_and(|list| list.contains("carol") && list.contains('1')))
    });
    terminal.enter("/quit");
    is_given_back(&terminal);
}
