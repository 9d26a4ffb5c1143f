//! Who types, at three servers and over two protocols: seen by those who are in the conversation, and by nobody else.

use std::collections::BTreeSet;

use serde_json::json;
use threefold_client::{
    Client, Cursor, Incoming, Options, Page, Subscription, Typing, chat::event::Body, parse_servers,
};
use tokio::runtime::Runtime;

use crate::harness::{Cluster, Visitor, Visitors, until};

/// Somebody with a program of their own, over gRPC.
struct Program {
    client: Client,
    subscription: Subscription,
    typing: Typing,
}

impl Program {
    /// At the server at that place, which the others are learned from.
    async fn new(cluster: &Cluster, place: usize, name: &str) -> Self {
        let servers = parse_servers(&cluster.servers[place].client).unwrap();
        let client = Client::new(Options::new(servers)).unwrap();
        let session = client.register(name, "correct horse", "program").await.unwrap();
        let client = client.with_session(session).unwrap();
        let subscription = client.subscribe(Cursor::default(), false).unwrap();
        let typing = subscription.typing();
        Self { client, subscription, typing }
    }
}

/// Somebody, by either way.
enum Person {
    Program(Program),
    Page(Box<Visitor>),
}

impl Person {
    fn page(cluster: &Cluster, place: usize, name: &str) -> Self {
        let mut page = Visitors::of(cluster).register(place, name);
        page.follow();
        Self::Page(Box::new(page))
    }

    /// In a room, or (without `#`) with a person.
    fn types(&mut self, place: &str) {
        match self {
            Self::Program(program) => program.typing.tell(place).unwrap(),
            Self::Page(page) => {
                let place = place.strip_prefix('#').map_or(json!({"user": place}), |room| json!({"room": room}));
                // Lost with its connection, as it may be.
                page.say(&json!({"typing": {"in": place}}));
            }
        }
    }

    /// The names of those whom they have seen typing since.
    fn sees(&mut self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        match self {
            Self::Program(program) => {
                while let Some(incoming) = program.subscription.try_next() {
                    if let Incoming::Typing(typing) = incoming {
                        names.insert(typing.account_name);
                    }
                }
            }
            Self::Page(page) => {
                page.say(&json!({"ping": {"number": 1}}));
                while let Some(frame) = page.hear().filter(|frame| !frame["pong"].is_object()) {
                    names.extend(frame["typing"]["account_name"].as_str().map(str::to_owned));
                }
            }
        }
        names
    }
}

/// Says again that somebody types, as who goes on typing does, until all of these have seen it. A notice may be lost with a link.
fn until_seen(who: &mut Person, name: &str, place: &str, by: &mut [&mut Person]) {
    let mut missing: BTreeSet<usize> = (0..by.len()).collect();
    until("somebody typing", || {
        who.types(place);
        missing.retain(|index| !by[*index].sees().contains(name));
        missing.is_empty().then_some(())
    });
}

#[test]
fn who_types_is_seen_by_those_in_the_conversation_at_every_server_and_after_a_failover() {
    let mut cluster = Cluster::start(&[]);
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let leader = cluster.leader();
    // Ann's program is at the leader, which will be killed; the others are each elsewhere.
    let (here, there) = ((leader + 1) % 3, (leader + 2) % 3);
    let ann = runtime.block_on(Program::new(&cluster, leader, "ann"));
    let (client, writer) = (ann.client.clone(), ann.client.writer().unwrap());
    let mut ann = Person::Program(ann);
    let mut bob = Person::page(&cluster, here, "bob");
    let mut cy = Person::Program(runtime.block_on(Program::new(&cluster, there, "cy")));
    let mut eve = Person::page(&cluster, there, "eve");
    runtime.block_on(async {
        writer.create_room("tea", "", true).await.unwrap().await.unwrap();
        writer.send("bob", "hello").await.unwrap().await.unwrap();
        writer.send("eve", "hello").await.unwrap().await.unwrap();
        let Person::Program(cy) = &cy else { panic!("a program") };
        let writer = cy.client.writer().unwrap();
        writer.join_room("#tea").await.unwrap().await.unwrap();
    });
    let Person::Page(page) = &mut bob else { panic!("a page") };
    page.done("join_room", json!({"room": {"room": "tea"}}));

    for round in 0..2 {
        until_seen(&mut ann, "ann", "#tea", &mut [&mut bob, &mut cy]);
        until_seen(&mut bob, "bob", "#tea", &mut [&mut ann, &mut cy]);
        until_seen(&mut bob, "bob", "ann", &mut [&mut ann]);
        // Who is not in the room says it in vain. What she says then goes the same way, behind it.
        eve.types("#tea");
        until_seen(&mut eve, "eve", "ann", &mut [&mut ann]);
        assert!(!bob.sees().contains("eve") && !cy.sees().contains("eve"), "not in the room");
        until_seen(&mut ann, "ann", "eve", &mut [&mut eve]);
        let all_eve_saw = eve.sees();
        assert!(all_eve_saw.iter().all(|name| name == "ann"), "round {round}: {all_eve_saw:?}");
        if round == 0 {
            cluster.kill(&[leader]);
        }
    }

    // Who was removed sees nothing more, and types in vain.
    runtime.block_on(async { writer.remove_from_room("#tea", "cy").await.unwrap().await.unwrap() });
    let Person::Program(program) = &mut cy else { panic!("a program") };
    let is_removed = |incoming: Option<Incoming>| matches!(incoming.unwrap(), Incoming::Event(event) if matches!(event.body, Some(Body::MemberRemoved(_))));
    runtime.block_on(async { while !is_removed(program.subscription.next().await) {} });
    cy.sees();
    until_seen(&mut ann, "ann", "#tea", &mut [&mut bob]);
    let history = runtime.block_on(client.history("bob", Page::Before(0), 9));
    assert_eq!(history.unwrap().messages.len(), 1, "nothing of all this is kept");
    until_seen(&mut bob, "bob", "#tea", &mut [&mut ann]);
    assert!(cy.sees().is_empty(), "removed");
}
