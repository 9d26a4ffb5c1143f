//! What must hold for every sequence of commands, tried with random ones (see `steps`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod steps;
mod world;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use steps::{Cast, EDITS, play, step};
use threefold_core::{
    AccountId, Command, ConversationId, Event, EventBody, EventId, Operation, Position, Rejection, Reply, Scope,
    bounds::NAMED_REQUESTS,
    query::{self, Page},
};
use world::{World, named, send_to};

/// The tables of what was answered: an instance's window, an account's names of requests.
const REMEMBERED: [u8; 2] = [0x06, 0x16];

/// The same after an entry without commands.
fn idled(world: &World) -> World {
    let mut world = world.clone();
    world.apply(&[]);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A replica that applies the same entries has the same state and gave the same replies.
    #[test]
    fn the_log_alone_decides(steps in vec(step(), 1..120)) {
        let mut replies = Vec::new();
        let (world, _) = play(&steps, |_, _, reply| {
            replies.push(reply.clone());
            Ok(())
        })?;
        let mut other = World::new();
        let unseen = world.log.len() - replies.len();
        for (index, entry) in world.log.iter().enumerate() {
            let again = other.apply_entry(entry.clone());
            if let Some(index) = index.checked_sub(unseen) {
                prop_assert_eq!(&again[0], &replies[index]);
            }
        }
        prop_assert_eq!(other.store, world.store);
    }

    /// A command that arrives again at once, as after a failover, gets its first reply and writes nothing:
    /// the entry does what one without commands does, which goes on cleaning up after deleted accounts.
    #[test]
    fn a_retry_writes_nothing(steps in vec(step(), 1..120)) {
        play(&steps, |world, command, reply| {
            let idle = idled(world);
            let mut again = world.clone();
            let told = again.run(command);
            let is_of_a_file = matches!(
                command,
                Command::BeginAttachment { .. } | Command::PutChunk { .. } | Command::FinishAttachment { .. }
            );
            if is_of_a_file && world.changes.iter().any(|(key, value)| key[0] == UNSENT && value.is_none()) {
                // It expired behind that very command.
                return Ok(());
            }
            prop_assert_eq!(&told, reply);
            prop_assert_eq!(again.written(), idle.written(), "{:?}", command);
            prop_assert_eq!(again.applied.happened, idle.applied.happened);
            Ok(())
        })?;
    }

    /// What is refused changes nothing, except that a write is remembered in its window and by its name.
    #[test]
    fn a_rejection_changes_nothing(steps in vec(step(), 1..120)) {
        let mut before: Option<World> = None;
        play(&steps, |world, _, reply| {
            if let (Reply::Rejected(_), Some(before)) = (reply, &mut before) {
                before.time_ms = world.time_ms;
                let idle = idled(before);
                prop_assert_eq!(&world.applied.happened, &idle.applied.happened);
                let cleaned = idle.written();
                let (remembered, others): (Vec<_>, Vec<_>) = world
                    .written()
                    .into_iter()
                    .filter(|key| !cleaned.contains(key))
                    .partition(|key| REMEMBERED.contains(&key[0]));
                prop_assert!(remembered.len() <= 2 && others.is_empty(), "{:?} {:?}", remembered, others);
            }
            before = Some(world.clone());
            Ok(())
        })?;
    }

    /// However the pages are cut, a device hears the same stream: ascending, nothing twice, nothing missing.
    #[test]
    fn catching_up_in_pages_is_one_stream(steps in vec(step(), 1..150), limits in vec(1usize..9, 1..6)) {
        let (world, cast) = play(&steps, |_, _, _| Ok(()))?;
        for reader in cast.people.iter().copied().collect::<BTreeSet<_>>() {
            let whole = world.everything(reader);
            prop_assert!(whole.is_sorted_by(|one, other| one.id < other.id));
            let (mut events, mut reached) = (Vec::new(), Position(0));
            for limit in limits.iter().cycle() {
                let page = world.catch_up(reader, reached, *limit);
                prop_assert!(page.events.len() <= *limit);
                prop_assert!(page.events.iter().all(|event| reached < event.id.position() && event.id.position() <= page.reached));
                let last = page.events.last().map(|event| event.id.position());
                // Where the last ones found are of messages that are gone, it reaches further than what is shown.
                prop_assert!(page.reached == world.position() || last <= Some(page.reached));
                prop_assert!(page.reached > reached);
                reached = page.reached;
                events.extend(page.events);
                if reached == world.position() {
                    break;
                }
            }
            prop_assert_eq!(&events, &whole);
            // Scope by scope it is the same too, and strangers' scopes add nothing.
            let scopes: BTreeSet<_> = whole.iter().map(|event| event.scope).chain([Scope::Mailbox(AccountId(1)), Scope::Conversation(ConversationId(1))]).collect();
            let only = query::events_after(&world.store, reader, Position(0), world.position(), Some(&scopes), 10_000).unwrap();
            prop_assert_eq!(&only.events, &whole);
            // What happened up to a moment stays within it.
            let middle = Position(world.position().0 / 2);
            let early = query::events_after(&world.store, reader, Position(0), middle, None, 10_000).unwrap();
            prop_assert_eq!(early.reached, middle);
            prop_assert!(early.events.iter().eq(whole.iter().filter(|event| event.id.position() <= middle)));
        }
    }

    /// Live delivery: followers who read only what they are woken for, entry by entry, hear what a device that comes
    /// later hears, except what was overwritten or replaced meanwhile.
    #[test]
    fn those_who_are_woken_miss_nothing(steps in vec(step(), 1..120)) {
        let mut heard: BTreeMap<AccountId, Vec<EventId>> = BTreeMap::new();
        let mut woken = 0;
        let (world, _) = play(&steps, |world, _, _| {
            woken += 1;
            let mut scopes: BTreeMap<AccountId, BTreeSet<Scope>> = BTreeMap::new();
            for (happened, woken) in world.applied.happened.iter().zip(&world.woken) {
                for account in woken {
                    scopes.entry(*account).or_default().insert(happened.scope);
                }
            }
            let after = Position::end_of(world.log_index - 1);
            for (reader, scopes) in scopes {
                let page = query::events_after(&world.store, reader, after, world.position(), Some(&scopes), 100).unwrap();
                heard.entry(reader).or_default().extend(page.events.iter().map(|event| event.id));
            }
            Ok(())
        })?;
        // What the first steps find there already was before anybody listened.
        let start = Position::end_of(world.log_index - woken);
        for (reader, heard) in heard {
            for event in world.catch_up(reader, start, 10_000).events {
                prop_assert!(heard.contains(&event.id), "{:?} was not heard by {:?}", event, reader);
            }
        }
    }

    /// Pages of history, cut anywhere and read either way, are the messages of the stream; and unread is what a
    /// count of them would give.
    #[test]
    fn history_and_unread_agree_with_the_stream(steps in vec(step(), 1..150), limit in 1usize..5) {
        let (world, cast) = play(&steps, |_, _, _| Ok(()))?;
        for reader in cast.people.iter().copied().collect::<BTreeSet<_>>() {
            let stream = world.everything(reader);
            for info in query::conversations(&world.store, reader, false, None, 200).unwrap().items {
                let mut messages: Vec<_> = stream
                    .iter()
                    .filter(|event| event.scope == Scope::Conversation(info.conversation))
                    .filter(|event| matches!(event.body, EventBody::MessageSent { .. }))
                    .cloned()
                    .collect();
                let read = |page| query::history(&world.store, reader, info.conversation, page, limit).unwrap().unwrap();
                let mut forward = Vec::new();
                loop {
                    let after = forward.last().map_or(Position(0), |event: &Event| event.id.position());
                    let page = read(Page::After(after));
                    forward.extend(page.items.into_iter().map(|shown| shown.event));
                    if !page.newer {
                        break;
                    }
                }
                if info.room.is_some() {
                    // What was there before may be read in a room, and was no news.
                    prop_assert!(messages.iter().all(|message| forward.contains(message)));
                    messages.clone_from(&forward);
                }
                prop_assert_eq!(&forward, &messages);
                let mut backward: Vec<Event> = Vec::new();
                loop {
                    let page = read(Page::Before(backward.first().map(|event| event.id)));
                    backward.splice(0..0, page.items.into_iter().map(|shown| shown.event));
                    if !page.older {
                        break;
                    }
                }
                prop_assert_eq!(&backward, &messages);
                prop_assert_eq!(info.last.as_ref(), messages.last());
                prop_assert_eq!(info.unread, count_unread(&world, &cast, reader, &info));
                prop_assert_eq!(info.unread_mentions, count_mentions(reader, &info, &messages));
                let theirs = info.peer.filter(|peer| *peer != reader).and_then(|peer| {
                    query::conversation(&world.store, peer, info.conversation).unwrap().ok()
                });
                let theirs = theirs.map(|theirs| theirs.read_up_to);
                prop_assert_eq!(info.peer_read_up_to, theirs.unwrap_or_default());
                for message in &messages {
                    let around = read(Page::Around(message.id)).items;
                    prop_assert!(around.iter().any(|shown| shown.event == *message));
                    let found = query::conversation_of_message(&world.store, reader, message.id).unwrap();
                    prop_assert_eq!(found, Some(info.conversation));
                }
            }
        }
    }

    /// What was edited away or deleted stands nowhere any more: texts are in messages only, and each message has one.
    #[test]
    fn no_removed_text_is_left(steps in vec(step(), 1..150)) {
        let (world, _) = play(&steps, |_, _, _| Ok(()))?;
        for (key, value) in &world.store.entries {
            if key[0] != MESSAGES {
                for text in EDITS.iter().filter(|text| !text.is_empty()) {
                    let word = text.split(' ').next().unwrap_or(text).as_bytes();
                    prop_assert!(!value.windows(word.len()).any(|window| window == word), "{key:?} holds {text}");
                }
                continue;
            }
            let (_, body): (u64, EventBody) = minicbor::decode(&value[1..]).unwrap();
            let EventBody::MessageSent { body, deleted: true, edited, reply_to, mentions, .. } = body else { continue };
            prop_assert_eq!((body, edited, reply_to, mentions), (String::new(), None, None, Vec::new()));
        }
    }

    /// The counts below a message are those of who reacts, and in direct conversations what the stream told last of each. (Who
    /// joins a room is not told of reactions of before.)
    #[test]
    fn reactions_agree_with_the_stream(steps in vec(step(), 1..150), limit in 1usize..4) {
        let (world, cast) = play(&steps, |_, _, _| Ok(()))?;
        for reader in cast.people.iter().copied().collect::<BTreeSet<_>>() {
            let mut told: BTreeMap<EventId, BTreeSet<(String, AccountId)>> = BTreeMap::new();
            for event in world.everything(reader) {
                let Scope::Conversation(conversation) = event.scope else { continue };
                if query::conversation(&world.store, reader, conversation).unwrap().unwrap().room.is_some() {
                    continue;
                }
                if let EventBody::ReactionChanged { account, message, emoji, added, .. } = event.body {
                    let (known, by) = (told.entry(message).or_default(), (emoji, account));
                    prop_assert!(!known.contains(&by), "one event for each reaction");
                    if added {
                        known.insert(by);
                    }
                }
            }
            for info in query::conversations(&world.store, reader, false, None, 200).unwrap().items {
                let page = query::history(&world.store, reader, info.conversation, Page::Before(None), 200).unwrap().unwrap();
                for shown in page.items {
                    let (store, message) = (&world.store, shown.event.id);
                    let mut listed: Vec<query::ReactedBy> = Vec::new();
                    loop {
                        let after = listed.last().map(|by| (by.emoji.as_str(), by.account));
                        let page = query::reactions(store, reader, info.conversation, message, None, after, limit).unwrap().unwrap();
                        listed.extend(page.items);
                        if !page.more {
                            break;
                        }
                    }
                    let by: BTreeSet<_> = listed.iter().map(|by| (by.emoji.clone(), by.account)).collect();
                    prop_assert_eq!(by.len(), listed.len());
                    if info.room.is_none() {
                        prop_assert_eq!(&by, &told.remove(&message).unwrap_or_default());
                    }
                    for reaction in &shown.reactions {
                        let with = by.iter().filter(|(emoji, _)| *emoji == reaction.emoji);
                        prop_assert_eq!(reaction.count, with.count() as u64);
                        prop_assert_eq!(reaction.own, by.contains(&(reaction.emoji.clone(), reader)));
                    }
                    let emoji: BTreeSet<_> = by.iter().map(|(emoji, _)| emoji).collect();
                    prop_assert_eq!(emoji.len(), shown.reactions.len());
                }
            }
            prop_assert!(told.values().all(BTreeSet::is_empty), "nothing is told of messages that are not shown: {:?}", told);
        }
    }
}

/// What is rare happens in the steps, too: else the properties would hold of nothing.
#[test]
fn texts_are_taken_away_in_the_steps() {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let removed = Cell::new(0);
    let played = runner.run(&vec(step(), 1..150), |steps| {
        play(&steps, |_, command, reply| {
            if let Command::Write { operation: Operation::RemoveText { .. }, .. }
            | Command::NamedWrite { operation: Operation::RemoveText { .. }, .. } = command
            {
                removed.set(removed.get() + usize::from(*reply == Reply::Done));
            }
            Ok(())
        })?;
        Ok(())
    });
    played.unwrap();
    assert!(removed.get() > 0, "in none of them");
}

/// The table of files that no message has yet.
const UNSENT: u8 = 0x1b;
/// The table of messages.
const MESSAGES: u8 = 0x0a;

/// Messages of others after the marker that mention the reader.
fn count_mentions(reader: AccountId, info: &query::ConversationInfo, messages: &[Event]) -> u64 {
    let counts = |event: &&Event| match &event.body {
        EventBody::MessageSent { author, mentions, .. } => *author != reader && mentions.contains(&reader),
        _ => false,
    };
    messages.iter().filter(|event| event.id.position() > info.read_up_to).filter(counts).count() as u64
}

/// A named request: by which session of which account, under which name, with which text, numbered anew or again.
fn named_request() -> impl Strategy<Value = (usize, u8, u8, bool)> {
    (0usize..4, 0u8..90, 0u8..2, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the sessions, numbers and retries: of an account's last names each was run once, and is told as it was then.
    #[test]
    fn a_named_request_runs_once_while_its_name_is_remembered(requests in vec(named_request(), 1..250)) {
        let mut world = World::new();
        let (ann, bob) = (world.register("ann"), world.register("bob"));
        let phones = [world.log_in(ann.account, "phone"), world.log_in(bob.account, "phone")];
        let [phone_of_ann, phone_of_bob] = phones;
        let mut devices = [ann, phone_of_ann, bob, phone_of_bob];
        let mut kept: [Vec<(u8, u8, Reply)>; 2] = [Vec::new(), Vec::new()];
        let mut last: [Option<(Command, Reply)>; 4] = Default::default();
        for (device, name, text, again) in requests {
            if let (true, Some((command, reply))) = (again, &last[device]) {
                prop_assert_eq!(&world.run(command), reply);
                prop_assert!(world.written().is_empty());
            }
            let to = devices[device].next(send_to("bob", &format!("text {text}")));
            let command = named(to, &name.to_string());
            let reply = world.run(&command);
            let kept = &mut kept[device / 2];
            match kept.iter().find(|(known, ..)| *known == name) {
                Some((_, same, first)) if *same == text => prop_assert_eq!(&reply, first),
                Some(_) => prop_assert_eq!(&reply, &Reply::Rejected(Rejection::RequestMismatch)),
                None => {
                    let is_sent = matches!(reply, Reply::MessageSent { .. });
                    prop_assert!(is_sent, "{:?}", reply);
                    prop_assert_eq!(world.applied.happened.len(), 1);
                    kept.push((name, text, reply.clone()));
                    if kept.len() as u64 > NAMED_REQUESTS {
                        kept.remove(0);
                    }
                }
            }
            last[device] = Some((command, reply));
        }
    }
}

/// Messages of the other after the marker, counted one by one: hidden ones too, so in the peer's view as well.
fn count_unread(world: &World, cast: &Cast, reader: AccountId, info: &query::ConversationInfo) -> u64 {
    let mut others = BTreeSet::new();
    for viewer in [Some(reader), info.peer].into_iter().flatten() {
        let page = query::history(&world.store, viewer, info.conversation, Page::Before(None), 200).unwrap();
        for query::Shown { event, .. } in page.map(|page| page.items).unwrap_or_default() {
            if matches!(event.body, EventBody::MessageSent { author, .. } if author != reader)
                && event.id.position() > info.read_up_to
            {
                others.insert(event.id);
            }
        }
    }
    // Hidden by both, or by one whose peer is gone: the cast knows of every message.
    for (conversation, event) in &cast.messages {
        let hidden_from_all = *conversation == info.conversation && event.position() > info.read_up_to;
        if hidden_from_all && author_of(world, *conversation, *event).is_some_and(|author| author != reader) {
            others.insert(*event);
        }
    }
    others.len() as u64
}

/// Straight from the store.
fn author_of(world: &World, conversation: ConversationId, event: EventId) -> Option<AccountId> {
    let mut key = vec![MESSAGES];
    key.extend(conversation.0.to_be_bytes());
    key.extend(event.0.to_be_bytes());
    let value = world.store.entries.get(&key)?;
    let (_, body): (u64, EventBody) = minicbor::decode(&value[1..]).ok()?;
    match body {
        EventBody::MessageSent { author, .. } => Some(author),
        _ => None,
    }
}
