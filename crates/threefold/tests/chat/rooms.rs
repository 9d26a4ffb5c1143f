//! Rooms at people's command lines, on three servers, with the leader killed in between.

use serde_json::Value;

use crate::harness::{Cluster, Follower, Person, until, wait};

fn say(from: &Person, room: &str, body: &str) -> u64 {
    from.json(&["send", room, body])[0]["id"].as_u64().unwrap()
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["body"].as_str().unwrap()).collect()
}

/// Who is in a room, and as what.
fn members(of: &Person, room: &str) -> Vec<(String, String)> {
    let listed = of.json(&["room", "members", room]);
    listed.iter().map(|one| ["name", "role"].map(|key| one[key].as_str().unwrap().to_owned()).into()).collect()
}

fn kill_the_leader(cluster: &mut Cluster) {
    let leader = cluster.leader();
    cluster.servers[leader].kill();
}

/// How many messages of a room somebody has not read.
fn unread(of: &Person, room: &str) -> u64 {
    let listed = of.json(&["unread"]);
    let found = listed.iter().find(|one| one["room"] == room);
    found.map_or(0, |one| one["unread"].as_u64().unwrap())
}

#[test]
fn a_public_room_goes_on_through_a_failover() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob, cy] = ["ann", "bob", "cy"].map(|name| cluster.person(name));
    ann.done(&["room", "create", "Tea", "--topic", "leaves and water"]);
    assert_eq!(bob.fails(&["room", "create", "tEA"]).short(), (1, "ROOM_NAME_TAKEN"));
    assert_eq!(bob.fails(&["send", "#tea", "let me in"]).code, "NOT_IN_ROOM");
    say(&ann, "#tea", "before you came");
    let found = until("the room to be listed", || bob.json(&["rooms", "te*"]).pop());
    assert_eq!(
        (&found["room"], &found["topic"], &found["members"]),
        (&"Tea".into(), &"leaves and water".into(), &1.into())
    );
    bob.done(&["join", "#tea"]);
    let mut follower = Follower::start(&bob, &cluster.directory);
    say(&ann, "#tea", "welcome, @bob");

    kill_the_leader(&mut cluster);
    cy.done(&["join", "#tea"]);
    let third = say(&cy, "#tea", "me too");
    wait("one for her", || unread(&ann, "Tea") == 1);
    wait("two for bob, from the join on", || unread(&bob, "Tea") == 2);
    assert_eq!(unread(&cy, "Tea"), 0, "who writes has read");
    follower.wait_for(third);
    let heard = follower.messages();
    assert_eq!(bodies(&heard), ["welcome, @bob", "me too"], "live, from the join on, each once");

    cluster.start_all();
    cluster.wait_until_whole();
    for server in &cluster.servers {
        let bob = bob.at(&server.client);
        assert_eq!(bodies(&bob.history_up_to("#tea", third)), ["before you came", "welcome, @bob", "me too"]);
    }
    bob.done(&["read", "#tea"]);
    assert_eq!(unread(&bob, "Tea"), 0);

    // Roles, and who may do what.
    assert_eq!(bob.fails(&["room", "topic", "tea", "mine now"]).code, "FORBIDDEN");
    ann.done(&["room", "role", "tea", "bob", "moderator"]);
    bob.done(&["room", "topic", "tea", "milk", "first"]);
    assert_eq!(bob.fails(&["room", "rename", "tea", "coffee"]).code, "FORBIDDEN");
    bob.done(&["room", "remove", "tea", "cy"]);
    assert_eq!(cy.fails(&["send", "#tea", "still here?"]).code, "NOT_IN_ROOM");
    say(&ann, "#tea", "not for cy");
    assert_eq!(bodies(&cy.history("#tea")), ["before you came", "welcome, @bob", "me too"], "what was seen stays");
    ann.done(&["room", "rename", "tea", "coffee"]);
    assert_eq!(ann.fails(&["send", "#tea", "gone"]).code, "UNKNOWN_ROOM");
    // The last owner goes; somebody has to be one.
    kill_the_leader(&mut cluster);
    ann.done(&["leave", "#coffee"]);
    wait("bob to be its owner", || members(&bob, "coffee") == [("bob".to_owned(), "owner".to_owned())]);
}

#[test]
fn a_private_room_shows_nothing_to_others_and_nothing_of_before() {
    let mut cluster = Cluster::start(&[]);
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| cluster.person(name));
    ann.done(&["room", "create", "plans", "--private"]);
    say(&ann, "#plans", "secret");
    assert!(eve.json(&["rooms"]).is_empty());
    // No more than that the name is taken.
    assert_eq!(eve.fails(&["join", "#plans"]).code, "NOT_INVITED");
    wait("to be told no more of it", || eve.is_refused(&["messages", "#plans"], "NOT_IN_ROOM"));
    ann.done(&["room", "invite", "plans", "bob"]);
    kill_the_leader(&mut cluster);
    let invitation = until("the invitation", || bob.json(&["invitations"]).pop());
    assert_eq!(invitation["room"], "plans");
    bob.done(&["join", "#plans"]);
    say(&ann, "#plans", "for both");
    assert_eq!(bodies(&bob.history("#plans")), ["for both"], "from the join on");
    assert_eq!(bob.fails(&["room", "invite", "plans", "eve"]).code, "FORBIDDEN", "moderators and owners do");
    assert!(eve.json(&["search", "both"]).is_empty() && !bob.json(&["search", "both"]).is_empty());
    assert!(bob.json(&["search", "secret"]).is_empty(), "said before the join");
    // An invitation that is turned down is none any more.
    ann.done(&["room", "invite", "plans", "eve"]);
    eve.done(&["room", "decline", "plans"]);
    assert!(eve.json(&["invitations"]).is_empty());
    assert_eq!(eve.fails(&["join", "#plans"]).code, "NOT_INVITED");
    bob.done(&["leave", "#plans"]);
    say(&ann, "#plans", "alone again");
    assert_eq!(bodies(&bob.history("#plans")), ["for both"]);
    // Opened to everybody, and closed again: what was said meanwhile is there for who came then.
    ann.done(&["room", "public", "plans"]);
    wait("that it can be found", || eve.json(&["rooms"]).iter().any(|room| room["room"] == "plans"));
    eve.done(&["join", "#plans"]);
    say(&ann, "#plans", "for everybody");
    ann.done(&["room", "private", "plans"]);
    assert_eq!(bodies(&eve.history("#plans")), ["for everybody"]);
    eve.done(&["leave", "#plans"]);
    assert_eq!(eve.fails(&["join", "#plans"]).code, "NOT_INVITED");
    assert!(eve.json(&["rooms"]).is_empty());
    // An account that is deleted leaves its rooms, and an empty room's name is free.
    ann.done(&["delete-account", "--yes"]);
    wait("that the room is gone", || eve.run(&["room", "create", "plans"]).status.success());
}
