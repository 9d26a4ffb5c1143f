//! Rooms.

use serde_json::{Value, json};

use super::{all, each, open};
use crate::harness::Visitor;

fn in_room(name: &str) -> Value {
    json!({"room": {"room": name}})
}

fn about(name: &str, user: &str) -> Value {
    json!({"room": {"room": name}, "user": user})
}

fn members(visitor: &mut Visitor, room: &str) -> Vec<(String, String)> {
    let listed = visitor.done("list_members", in_room(room));
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    all(&listed["members"]).iter().map(|one| (text(one, "name"), text(one, "role"))).collect()
}

fn bodies(visitor: &mut Visitor, room: &str) -> Vec<String> {
    let page = visitor.done("history", json!({"in": {"room": room}, "consistent": true}));
    each(&page["messages"], "body").into_iter().map(str::to_owned).collect()
}

#[test]
fn pages_have_rooms_through_a_failover() {
    let (mut cluster, leader, visitors) = open(&[]);
    let names = ["ann", "bob", "cy", "eve"];
    let [mut ann, mut bob, mut cy, mut eve] = names.map(|name| visitors.register(leader, name));
    ann.done("create_room", json!({"name": "Tea", "topic": "leaves and water", "public": true}));
    ann.done("create_room", json!({"name": "plans"}));
    assert_eq!(bob.refused("create_room", json!({"name": "tEA"})), "room_name_taken");
    assert_eq!(bob.refused("send_message", json!({"to": {"room": "tea"}, "body": "let me in"})), "not_in_room");
    let found = bob.done("list_rooms", json!({}));
    assert_eq!(each(&found["rooms"], "name"), ["Tea"], "a private room is nobody else's affair");
    ann.send("#tea", "before you came");
    ann.send("#plans", "secret");
    bob.done("join_room", in_room("tea"));
    bob.follow();
    assert_eq!(bob.event("member_joined")["member"]["name"], "bob");
    ann.done("invite_to_room", about("plans", "bob"));
    assert_eq!(bob.event("invited")["room"]["name"], "plans");

    cluster.servers[leader].kill();
    ann.send("#tea", "welcome, @bob");
    let welcome = bob.event("message");
    assert_eq!((&welcome["body"], &welcome["room_name"]), (&"welcome, @bob".into(), &"Tea".into()), "from the join on");
    assert!(ann.lost > 0 && bob.lost > 0, "everybody was at the server that was killed");
    cy.done("join_room", in_room("#TEA"));
    assert_eq!(bob.event("member_joined")["member"]["name"], "cy");
    let third = cy.send("#tea", "me too");
    assert_eq!(bob.event("message")["id"], third);
    assert_eq!(bodies(&mut bob, "tea"), ["before you came", "welcome, @bob", "me too"]);
    let unread = bob.done("list_conversations", json!({"unread_only": true}));
    let tea = &unread["conversations"][0];
    assert_eq!((&tea["room"]["name"], &tea["unread"], &tea["unread_mentions"]), (&"Tea".into(), &2.into(), &1.into()));
    bob.done("mark_read", json!({"in": {"room": "tea"}}));

    private(&mut ann, &mut bob, &mut eve);
    roles(&mut ann, &mut bob, &mut cy);

    // Found by its name; and joined, by a person who was away at the first failover, after a second one.
    cluster.start_all();
    cluster.wait_until_whole();
    let leader = cluster.leader();
    cluster.servers[leader].kill();
    let found = eve.done("list_rooms", json!({"pattern": "cof*"}));
    assert_eq!((each(&found["rooms"], "name"), &found["rooms"][0]["members"]), (vec!["coffee"], &2.into()));
    eve.done("join_room", in_room("coffee"));
    // The last owner goes; somebody has to be one.
    ann.done("leave_room", in_room("coffee"));
    let role = bob.event("role_changed");
    assert_eq!((&role["member"]["name"], &role["role"]), (&"bob".into(), &"moderator".into()));
    let role = bob.event("role_changed");
    assert_eq!((&role["member"]["name"], &role["role"], &role["by"]), (&"bob".into(), &"owner".into(), &Value::Null));
    let left = [("bob", "owner"), ("eve", "member")].map(|(name, role)| (name.to_owned(), role.to_owned()));
    assert_eq!(members(&mut bob, "coffee"), left);
    bob.done("leave_room", in_room("coffee"));
    eve.done("leave_room", in_room("coffee"));
    cy.done("create_room", json!({"name": "coffee"}));
}

/// By invitation only, which may be declined and taken back; from the join on.
fn private(ann: &mut Visitor, bob: &mut Visitor, eve: &mut Visitor) {
    assert_eq!(eve.refused("join_room", in_room("plans")), "not_invited");
    assert_eq!(eve.refused("history", json!({"in": {"room": "plans"}})), "not_in_room");
    let invited = bob.done("list_invitations", json!({}));
    assert_eq!(
        (each(&invited["invitations"], "room_name"), &invited["invitations"][0]["by"]["name"]),
        (vec!["plans"], &"ann".into())
    );
    bob.done("join_room", in_room("plans"));
    bob.event("invitation_ended");
    ann.send("#plans", "for both");
    assert_eq!(bodies(bob, "plans"), ["for both"], "from the join on");
    assert_eq!(bob.refused("invite_to_room", about("plans", "eve")), "forbidden");
    ann.done("invite_to_room", about("plans", "eve"));
    eve.done("decline_invitation", in_room("plans"));
    assert_eq!(eve.refused("join_room", in_room("plans")), "not_invited");
    ann.done("invite_to_room", about("plans", "eve"));
    ann.done("remove_from_room", about("plans", "eve"));
    assert_eq!(eve.refused("join_room", in_room("plans")), "not_invited");
    bob.done("leave_room", in_room("plans"));
    ann.send("#plans", "alone again");
    assert_eq!(bodies(bob, "plans"), ["for both"], "what was seen stays");
    // Opened to everybody: what is said from then on.
    ann.done("change_room", json!({"room": {"room": "plans"}, "public": true}));
    eve.done("join_room", in_room("plans"));
    eve.done("leave_room", in_room("plans"));
}

/// Who may do what: a member, a moderator, an owner.
fn roles(ann: &mut Visitor, bob: &mut Visitor, cy: &mut Visitor) {
    let topic = |topic: &str| json!({"room": {"room": "tea"}, "topic": topic});
    let rename = json!({"room": {"room": "tea"}, "name": "coffee"});
    let moderator = json!({"room": {"room": "tea"}, "user": "bob", "role": "moderator"});
    assert_eq!(bob.refused("change_room", topic("mine now")), "forbidden");
    assert_eq!(bob.refused("set_role", moderator.clone()), "forbidden");
    ann.done("set_role", moderator);
    bob.done("change_room", topic("milk first"));
    assert_eq!(bob.refused("change_room", rename.clone()), "forbidden");
    bob.done("remove_from_room", about("tea", "cy"));
    assert_eq!(bob.event("member_removed")["member"]["name"], "cy");
    assert_eq!(cy.refused("send_message", json!({"to": {"room": "tea"}, "body": "still here?"})), "not_in_room");
    ann.send("#tea", "not for cy");
    assert_eq!(bodies(cy, "tea"), ["before you came", "welcome, @bob", "me too"]);
    ann.done("change_room", rename);
    assert_eq!(bob.event("room_changed")["topic"], "milk first");
    assert_eq!(bob.event("room_changed")["name"], "coffee");
    assert_eq!(ann.refused("send_message", json!({"to": {"room": "tea"}, "body": "gone"})), "unknown_room");
    let room = bob.done("get_room", in_room("coffee"))["room"].take();
    assert_eq!((&room["topic"], &room["role"]), (&"milk first".into(), &"moderator".into()));
}
