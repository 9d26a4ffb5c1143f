//! The index beside a state that changes, and what is found: by whom, and when.

use std::{path::Path, time::Instant};

use threefold_core::{
    AccountId, Command, ConversationId, DeleteScope, EventId, Operation, Recipient, Reply, RequestId, TokenHash, apply,
    entry::Unpacked,
    query,
    store::{Overlay, Write as _},
};

use super::{index::Index, *};
use crate::storage::memory::MemoryState;

const PATIENCE: Duration = Duration::from_secs(30);

/// People who talk, a state, and an index beside it.
struct World {
    directory: tempfile::TempDir,
    state: Arc<MemoryState>,
    log_index: u64,
    search: Option<Arc<Search>>,
}

#[derive(Clone)]
struct Person {
    account: AccountId,
    token: TokenHash,
    instance: u64,
    writes: u64,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut world = Self { directory, state: Arc::new(MemoryState::new()), log_index: 0, search: None };
        world.set_history(b"this history");
        world
    }

    /// With an index from the beginning on.
    fn indexed() -> Self {
        let mut world = Self::new();
        world.start();
        world
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("search")
    }

    fn position(&self) -> Position {
        Position::end_of(self.log_index)
    }

    fn start(&mut self) {
        let pause = Duration::from_millis(5);
        self.search = Some(Search::start_with(self.path(), self.state.clone(), self.position(), pause).unwrap());
    }

    fn set_history(&mut self, history: &[u8]) {
        let mut overlay = Overlay::new(&*self.state);
        overlay.put(crate::raft::machine::KEY_RECOVERY_ID.to_vec(), history.to_vec());
        self.state.commit(overlay.into_changes()).unwrap();
    }

    fn run(&mut self, command: Command) -> Reply {
        self.log_index += 1;
        let mut overlay = Overlay::new(&*self.state);
        let entry = Unpacked::new(self.log_index, vec![command]);
        let mut applied = apply(&mut overlay, self.log_index, &entry).unwrap();
        let changes = overlay.into_changes();
        self.state.commit(changes).unwrap();
        if let Some(search) = &self.search {
            search.applied(self.position(), &applied.happened);
        }
        applied.replies.remove(0)
    }

    fn person(&mut self, name: &str) -> Person {
        let token = TokenHash::of(name.as_bytes());
        let reply = self.run(Command::Register {
            name: name.to_owned(),
            password_hash: "hash".to_owned(),
            token_hash: token,
            device: "laptop".to_owned(),
        });
        let Reply::SessionOpened { account, instance, .. } = reply else { panic!("{reply:?}") };
        Person { account, token, instance, writes: 0 }
    }

    fn write(&mut self, who: &mut Person, operation: Operation) -> Reply {
        who.writes += 1;
        let request = RequestId { instance: who.instance, number: who.writes };
        let answered = Some(who.writes - 1);
        self.run(Command::Write { session: who.token, request, operation, answered })
    }

    fn send(&mut self, who: &mut Person, to: &str, body: &str) -> (ConversationId, EventId) {
        let to = Recipient::User(to.to_owned());
        match self.write(who, Operation::SendMessage { to, body: body.to_owned(), reply_to: None, attachments: None }) {
            Reply::MessageSent { conversation, event, .. } => (conversation, event),
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self, who: &mut Person, (conversation, message): (ConversationId, EventId), scope: DeleteScope) {
        let operation = Operation::DeleteMessages { conversation, messages: vec![message], scope };
        assert_eq!(self.write(who, operation), Reply::Done);
    }

    /// Waits until the index holds all there is.
    fn wait_indexed(&self) -> Arc<Published> {
        let search = self.search.as_ref().unwrap();
        let began = Instant::now();
        loop {
            if search.indexed_up_to() >= self.position()
                && let Some(published) = search.published()
            {
                return published;
            }
            assert!(began.elapsed() < PATIENCE, "the index never came up to {}", self.position());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn find(&self, index: Option<&Published>, reader: &Person, question: &str) -> Found {
        self.find_page(index, reader, question, None, 50)
    }

    fn find_page(
        &self,
        index: Option<&Published>,
        reader: &Person,
        question: &str,
        before: Option<EventId>,
        limit: usize,
    ) -> Found {
        let question = Question::parse(question).unwrap();
        let (conversation, author) = (None, None);
        let wanted = Wanted { reader: reader.account, question, conversation, author, before, limit };
        find(&*self.state, index, &wanted).unwrap()
    }

    /// What is found, with the index as it is and without any: both must be the same.
    fn found(&self, reader: &Person, question: &str) -> Vec<EventId> {
        let ids = |found: Found| {
            assert!(found.complete && found.more_before.is_none());
            found.hits.into_iter().map(|hit| hit.event.id).collect::<Vec<_>>()
        };
        let index = self.search.as_ref().and_then(|search| search.published());
        let found = ids(self.find(index.as_deref(), reader, question));
        assert_eq!(ids(self.find(None, reader, question)), found, "an index changes nothing but the time");
        found
    }
}

/// Whether the index's files have that word, in a message that is there or one that is not.
fn knows(path: &Path, word: &str) -> bool {
    let library = tantivy::Index::open_in_dir(path).unwrap();
    let words = library.schema().get_field("words").unwrap();
    let searcher = library.reader().unwrap().searcher();
    let mut segments = searcher.segment_readers().iter();
    segments.any(|segment| segment.inverted_index(words).unwrap().terms().get(word.as_bytes()).unwrap().is_some())
}

#[test]
fn messages_are_found_by_those_who_may_read_them_and_nobody_else() {
    let mut world = World::indexed();
    let (mut ann, mut bob, mut eve) = (world.person("ann"), world.person("bob"), world.person("eve"));
    let one = world.send(&mut ann, "bob", "The secret word is Käse");
    let two = world.send(&mut bob, "ann", "kase, I see");
    let own = world.send(&mut eve, "eve", "my own kase");
    for indexed in [false, true] {
        if indexed {
            assert_eq!(world.wait_indexed().messages(), 3);
        }
        assert_eq!(world.found(&ann, "käse"), [two.1, one.1]);
        assert_eq!(world.found(&bob, "secret KASE"), [one.1]);
        assert_eq!(world.found(&eve, "kas*"), [own.1]);
        assert_eq!(world.found(&eve, "secret"), []);
    }
    world.delete(&mut bob, one, DeleteScope::Me);
    assert_eq!((world.found(&bob, "secret"), world.found(&ann, "secret")), (vec![], vec![one.1]));
    world.wait_indexed();
    assert_eq!((world.found(&bob, "secret"), world.found(&ann, "secret")), (vec![], vec![one.1]));
}

#[test]
fn what_is_deleted_for_everyone_is_never_found_and_leaves_the_index() {
    let mut world = World::indexed();
    let mut ann = world.person("ann");
    let gone = world.send(&mut ann, "ann", "forget xylophone");
    let kept = world.send(&mut ann, "ann", "remember");
    let before = world.wait_indexed();
    assert!(knows(&world.path(), "xylophone"));
    world.delete(&mut ann, gone, DeleteScope::Everyone);
    // Even where the index has not heard of it.
    assert_eq!(world.find(Some(&before), &ann, "xylophone").hits, []);
    let after = world.wait_indexed();
    assert_eq!(after.messages(), 1);
    assert_eq!((world.found(&ann, "xylophone"), world.found(&ann, "remember")), (vec![], vec![kept.1]));
    // The word itself goes when the segment is written anew, which a tenth of deleted messages brings about.
    let began = Instant::now();
    while knows(&world.path(), "xylophone") {
        assert!(began.elapsed() < PATIENCE, "the word of a deleted message stays");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_edited_message_is_found_as_it_is_now_and_not_as_it_was() {
    let mut world = World::indexed();
    let (mut ann, bob) = (world.person("ann"), world.person("bob"));
    let (conversation, message) = world.send(&mut ann, "bob", "tea at four");
    let later = world.send(&mut ann, "bob", "or tea at five").1;
    world.wait_indexed();
    for (old, new) in [("tea", "coffee"), ("coffee", "water")] {
        let edit = Operation::EditMessage { conversation, message, body: format!("{new} at four") };
        assert_eq!(world.write(&mut ann, edit), Reply::Done);
        for indexed in [false, true] {
            if indexed {
                assert_eq!(world.wait_indexed().messages(), 2);
            }
            assert_eq!(world.found(&bob, new), [message], "{new}");
            assert_eq!(world.found(&bob, "at"), [later, message]);
            assert!(!world.found(&bob, old).contains(&message), "{old}");
        }
    }
}

#[test]
fn pages_go_on_where_the_last_one_ended_across_what_is_indexed_and_what_is_not() {
    let mut world = World::indexed();
    let (mut ann, mut bob) = (world.person("ann"), world.person("bob"));
    let mut sent = Vec::new();
    for number in 0..90 {
        if number == 60 {
            world.wait_indexed();
        }
        let who = if number % 2 == 0 { &mut ann } else { &mut bob };
        sent.push(world.send(who, if number % 3 == 0 { "ann" } else { "bob" }, &format!("common {number}")).1);
    }
    let index = world.search.as_ref().unwrap().published().unwrap();
    let expected: Vec<EventId> = {
        let wanted = world.find_page(None, &ann, "common", None, 1000);
        wanted.hits.into_iter().map(|hit| hit.event.id).collect()
    };
    assert!(expected.len() > 50 && expected.is_sorted_by(|a, b| a > b));
    for limit in [1, 7, 50] {
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = world.find_page(Some(&index), &ann, "common", before, limit);
            assert!(page.hits.len() <= limit && page.complete);
            pages.extend(page.hits.into_iter().map(|hit| hit.event.id));
            before = page.more_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(pages, expected, "pages of {limit}");
    }
}

#[test]
fn it_goes_on_from_its_position_after_a_restart() {
    let mut world = World::indexed();
    let mut ann = world.person("ann");
    let one = world.send(&mut ann, "ann", "first message").1;
    world.wait_indexed();
    world.search.take().unwrap().close();
    let two = world.send(&mut ann, "ann", "second message").1;
    let progress = Index::open(&world.path()).unwrap().progress().clone();
    assert!(progress.up_to > one.0 && progress.up_to < two.0);
    world.start();
    assert_eq!(world.wait_indexed().messages(), 2);
    assert_eq!(world.found(&ann, "message"), [two, one]);
}

#[test]
fn an_interrupted_pass_is_finished_first() {
    let mut world = World::new();
    let mut people: Vec<Person> = ["ann", "bob", "eve"].map(|name| world.person(name)).into();
    let sent: Vec<(ConversationId, EventId)> = ["ann", "bob", "eve"]
        .into_iter()
        .zip(&mut people)
        .map(|(name, person)| world.send(person, name, "note to self"))
        .collect();
    let end = world.position();
    // As a crash leaves it, when the first conversation was committed.
    let mut index = Index::open(&world.path()).unwrap();
    let history = b"this history".to_vec();
    let unfinished = index::Unfinished { up_to: end.0, conversation: sent[0].0.0 };
    index.commit(index::Progress::nothing(history).within(unfinished)).unwrap();
    drop(index);
    let later = world.send(&mut people[0], "ann", "a later note").1;
    world.start();
    // The first conversation's old message was said to be there, and so was not read again.
    assert_eq!(world.wait_indexed().messages(), 3);
    assert_eq!(world.find(world.search.as_ref().unwrap().published().as_deref(), &people[0], "note").hits.len(), 1);
    assert_eq!(world.found(&people[1], "note"), [sent[1].1]);
    assert!(later > sent[2].1);
}

/// A killed server's state is behind its index, until it has applied the end of the log again.
#[test]
fn an_interrupted_pass_waits_for_a_state_that_is_behind_it() {
    let mut world = World::new();
    let mut people: Vec<Person> = ["ann", "bob"].map(|name| world.person(name)).into();
    let first = world.send(&mut people[0], "ann", "note to self").0;
    world.send(&mut people[1], "bob", "note to self");
    let ahead = Position::end_of(world.position().log_index() + 3);
    let mut index = Index::open(&world.path()).unwrap();
    let unfinished = index::Unfinished { up_to: ahead.0, conversation: first.0 };
    index.commit(index::Progress::nothing(b"this history".to_vec()).within(unfinished)).unwrap();
    drop(index);
    world.start();
    // Time for the mistake: to finish the pass at once.
    for _ in 0..200 {
        if world.search.as_ref().unwrap().indexed_up_to() >= ahead {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let again: Vec<EventId> = (0..5).map(|_| world.send(&mut people[1], "bob", "a later line").1).collect();
    assert!(world.position() > ahead);
    assert_eq!(world.wait_indexed().messages(), 6, "all of bob's; ann's was said to be there");
    assert_eq!(world.found(&people[1], "later"), again.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn an_index_of_another_history_or_a_broken_one_is_made_anew_while_it_is_searched() {
    let mut world = World::indexed();
    let mut ann = world.person("ann");
    let one = world.send(&mut ann, "ann", "a message").1;
    world.wait_indexed();
    world.search.take().unwrap().close();
    world.set_history(b"another history");
    world.start();
    assert_eq!(world.found(&ann, "message"), [one]);
    assert_eq!(world.wait_indexed().messages(), 1);
    world.search.as_ref().unwrap().rebuild();
    for _ in 0..50 {
        assert_eq!(world.found(&ann, "message"), [one]);
        let two = world.send(&mut ann, "ann", "another").1;
        assert_eq!(world.found(&ann, "another").first(), Some(&two));
    }
    assert_eq!(world.wait_indexed().messages(), 51);
}

#[test]
fn a_replaced_state_is_read_from_the_position_on() {
    let mut world = World::indexed();
    let mut ann = world.person("ann");
    world.send(&mut ann, "ann", "seen");
    world.wait_indexed();
    let search = world.search.take().unwrap();
    // Nobody told of these: they came with a whole state.
    let new = world.send(&mut ann, "ann", "seen anew").1;
    search.replaced(world.position());
    world.search = Some(search);
    assert_eq!(world.wait_indexed().messages(), 2);
    assert_eq!(world.found(&ann, "anew"), [new]);
}

#[test]
fn where_the_index_is_far_behind_the_answer_says_so() {
    let mut world = World::new();
    let mut ann = world.person("ann");
    for _ in 0..2100 {
        world.send(&mut ann, "ann", "many words");
    }
    let newest = world.find(None, &ann, "many");
    assert_eq!((newest.hits.len(), newest.complete), (50, false));
    world.start();
    world.wait_indexed();
    let index = world.search.as_ref().unwrap().published();
    assert!(world.find(index.as_deref(), &ann, "many").complete);
}

#[test]
fn a_search_in_vain_is_bounded_and_says_where_to_go_on() {
    let mut world = World::indexed();
    let mut ann = world.person("ann");
    let mut all = Vec::new();
    for _ in 0..1300 {
        all.push(world.send(&mut ann, "ann", "the same"));
    }
    let index = world.wait_indexed();
    for part in all[100..].chunks(100) {
        let (conversation, messages) = (part[0].0, part.iter().map(|(_, message)| *message).collect());
        let operation = Operation::DeleteMessages { conversation, messages, scope: DeleteScope::Me };
        assert_eq!(world.write(&mut ann, operation), Reply::Done);
    }
    let first = world.find_page(Some(&index), &ann, "same", None, 5);
    assert!(first.hits.is_empty() && first.more_before.is_some());
    let second = world.find_page(Some(&index), &ann, "same", first.more_before, 5);
    assert_eq!(second.hits.len(), 5);
}

#[test]
fn one_conversation_or_one_author_can_be_asked_for() {
    let mut world = World::indexed();
    let (mut ann, mut bob) = (world.person("ann"), world.person("bob"));
    let (direct, one) = world.send(&mut ann, "bob", "tea");
    let (_, two) = world.send(&mut bob, "ann", "tea too");
    let (notes, three) = world.send(&mut ann, "ann", "buy tea");
    for indexed in [false, true] {
        if indexed {
            world.wait_indexed();
        }
        let index = world.search.as_ref().unwrap().published();
        let found = |conversation, author| {
            let question = Question::parse("tea").unwrap();
            let wanted = Wanted { reader: ann.account, question, conversation, author, before: None, limit: 9 };
            let found = find(&*world.state, index.as_deref(), &wanted).unwrap();
            found.hits.into_iter().map(|hit| hit.event.id).collect::<Vec<_>>()
        };
        assert_eq!(found(None, None), [three, two, one]);
        assert_eq!(found(Some(direct), None), [two, one]);
        assert_eq!(found(None, Some(ann.account)), [three, one]);
        assert_eq!(found(Some(notes), Some(bob.account)), []);
        // A conversation of others is nothing but empty.
        assert_eq!(query::conversation_ids(&*world.state, bob.account).unwrap(), [direct]);
    }
}
