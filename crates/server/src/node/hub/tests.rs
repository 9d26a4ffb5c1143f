//! The hub over the real state machine, without consensus.

use std::{collections::VecDeque, io, ops::Deref};

use futures::FutureExt as _;
use proptest::prelude::*;
use threefold_core::{
    AdministratorAction, Command, DeleteScope, Event, EventBody, Operation, Recipient, Reply, RequestId, TokenHash,
    apply::Applied,
    entry::Unpacked,
    store::{Changes, Direction, Overlay, Read, StoreError, Visit},
};

use super::*;
use crate::storage::{ReceivedState, StateInstall, StateSnapshot, memory::MemoryState};

/// A state that changes with every read, so that only a view of it makes sense.
struct Restless(MemoryState);

impl Read for Restless {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Corrupt("read while it changes".to_owned()))
    }

    fn scan(&self, _: &[u8], _: &[u8], _: Direction, _: &mut Visit<'_>) -> Result<(), StoreError> {
        Err(StoreError::Corrupt("read while it changes".to_owned()))
    }
}

impl StateStore for Restless {
    fn commit(&self, changes: Changes) -> io::Result<()> {
        self.0.commit(changes)
    }

    fn persist(&self) -> io::Result<()> {
        self.0.persist()
    }

    fn snapshot(&self) -> io::Result<Box<dyn StateSnapshot>> {
        self.0.snapshot()
    }

    fn begin_install(&self) -> io::Result<Box<dyn StateInstall>> {
        self.0.begin_install()
    }

    fn finish_install(&self, received: ReceivedState) -> io::Result<()> {
        self.0.finish_install(received)
    }
}

#[tokio::test]
async fn a_follower_reads_a_view_and_not_the_changing_state() {
    let state = MemoryState::new();
    let account = register(&state, 1, "ann");
    let hub = Hub::new(Arc::new(Restless(state)), Position::end_of(1));
    let followed = hub.follow(account, Position(0)).next().await;
    assert_eq!((followed.events.len(), followed.up_to), (1, Position::end_of(1)));
}

fn apply(state: &MemoryState, log_index: u64, command: Command) -> Applied {
    let mut overlay = Overlay::new(state);
    let applied = threefold_core::apply(&mut overlay, log_index, &Unpacked::new(1, vec![command]));
    let changes = overlay.into_changes();
    state.commit(changes).unwrap();
    applied.unwrap()
}

/// Each person's token is the log index of their registration.
fn register(state: &MemoryState, log_index: u8, name: &str) -> AccountId {
    let register = Command::Register {
        name: name.to_owned(),
        password_hash: "hash".to_owned(),
        token_hash: TokenHash([log_index; 32]),
        device: "laptop".to_owned(),
    };
    match apply(state, log_index.into(), register).replies[0] {
        Reply::SessionOpened { account, .. } => account,
        ref other => panic!("{other:?}"),
    }
}

/// A state in memory, a hub before it, and entries that are told to the hub when a test says so.
struct Scene {
    state: MemoryState,
    hub: Arc<Hub>,
    log_index: u64,
    numbers: [u64; 3],
    untold: VecDeque<(Position, Vec<Happened>)>,
}

impl Scene {
    /// With ann (1) and bob (2).
    fn new() -> (Self, AccountId, AccountId) {
        let state = MemoryState::new();
        let (ann, bob) = (register(&state, 1, "ann"), register(&state, 2, "bob"));
        let hub = Hub::new(Arc::new(state.clone()), Position::end_of(2));
        (Self { state, hub, log_index: 2, numbers: [0; 3], untold: VecDeque::new() }, ann, bob)
    }

    /// A write is carried out, and not told yet.
    fn commit(&mut self, who: u8, operation: Operation) {
        let reply = self.try_to(who, operation);
        assert!(!matches!(reply, Reply::Rejected(_)), "{reply:?}");
    }

    fn try_to(&mut self, who: u8, operation: Operation) -> Reply {
        let number = &mut self.numbers[usize::from(who)];
        *number += 1;
        let request = RequestId { instance: 1, number: *number };
        let write = Command::Write { session: TokenHash([who; 32]), request, operation, answered: None };
        self.log_index += 1;
        let applied = apply(&self.state, self.log_index, write);
        self.untold.push_back((Position::end_of(self.log_index), applied.happened));
        applied.replies[0].clone()
    }

    fn tell(&mut self) {
        let (position, happened) = self.untold.pop_front().unwrap();
        self.hub.applied(position, &happened);
    }

    fn run(&mut self, who: u8, operation: Operation) {
        self.commit(who, operation);
        self.tell();
    }
}

fn tea() -> Recipient {
    Recipient::Room("tea".to_owned())
}

fn create() -> Operation {
    Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true }
}

fn say(text: &str) -> Operation {
    Operation::SendMessage { to: tea(), body: text.to_owned(), reply_to: None, attachments: None }
}

/// What has come by now.
fn texts(follower: &mut Follower) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(followed) = follower.next().now_or_never() {
        texts.extend(followed.events.into_iter().filter_map(|event| match event.into_event().body {
            EventBody::MessageSent { body, .. } => Some(body),
            _ => None,
        }));
    }
    texts
}

#[test]
fn members_hear_what_is_said_from_their_join_to_their_leaving() {
    let (mut scene, ann, bob) = Scene::new();
    let (mut of_ann, mut of_bob) = (scene.hub.follow(ann, Position(0)), scene.hub.follow(bob, Position(0)));
    assert!(texts(&mut of_ann).is_empty() && texts(&mut of_bob).is_empty());
    scene.run(1, create());
    scene.run(1, say("one"));
    scene.run(2, Operation::JoinRoom { room: tea() });
    scene.run(1, say("two"));
    assert_eq!(
        (texts(&mut of_ann), texts(&mut of_bob)),
        (vec!["one".to_owned(), "two".to_owned()], vec!["two".to_owned()])
    );
    // One who comes back from elsewhere is in the room too.
    let now = *scene.hub.position().borrow();
    let mut later = scene.hub.follow(bob, now);
    assert!(texts(&mut later).is_empty());
    scene.run(1, say("three"));
    assert_eq!((texts(&mut of_bob), texts(&mut later)), (vec!["three".to_owned()], vec!["three".to_owned()]));
    scene.run(2, Operation::LeaveRoom { room: tea() });
    scene.run(1, say("four"));
    assert!(texts(&mut of_bob).is_empty());
}

/// No event tells of it, so it must not drown in others: the session is looked at.
#[test]
fn that_an_account_was_disabled_is_noticed_among_messages() {
    let (mut scene, _, bob) = Scene::new();
    scene.run(1, create());
    scene.run(2, Operation::JoinRoom { room: tea() });
    let mut follower = scene.hub.follow(bob, Position(0));
    assert!(follower.next().now_or_never().unwrap().is_of_account, "at first everything is looked at");
    scene.run(1, say("one"));
    assert!(!follower.next().now_or_never().unwrap().is_of_account);
    let action = AdministratorAction::Disable;
    scene.run(1, Operation::Administer { name: "bob".to_owned(), action, by_configuration: false });
    scene.run(1, say("two"));
    let followed = follower.next().now_or_never().unwrap();
    assert!(followed.is_of_account && followed.events.len() == 1);
}

#[test]
fn a_state_that_is_ahead_of_what_was_told_hides_nothing() {
    let (mut scene, _, bob) = Scene::new();
    scene.run(1, create());
    scene.run(2, Operation::JoinRoom { room: tea() });
    scene.commit(1, say("before you go"));
    scene.commit(
        1,
        Operation::SendMessage {
            to: Recipient::User("bob".to_owned()),
            body: "to you".to_owned(),
            reply_to: None,
            attachments: None,
        },
    );
    scene.commit(2, Operation::LeaveRoom { room: tea() });
    let mut follower = scene.hub.follow(bob, Position(0));
    assert!(texts(&mut follower).is_empty());
    let mut heard = Vec::new();
    while !scene.untold.is_empty() {
        scene.tell();
        heard.extend(texts(&mut follower));
    }
    assert_eq!(heard, ["before you go", "to you"]);
}

#[test]
fn a_state_that_is_ahead_of_what_was_told_shows_nothing_of_before_a_joining() {
    let (mut scene, ann, bob) = Scene::new();
    let _of_ann = scene.hub.follow(ann, Position(0));
    scene.run(1, Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: false });
    scene.commit(1, say("not for bob"));
    let now = *scene.hub.position().borrow();
    let mut follower = scene.hub.follow(bob, now);
    scene.commit(1, Operation::InviteToRoom { room: tea(), user: "bob".to_owned() });
    scene.commit(2, Operation::JoinRoom { room: tea() });
    // His rooms are read now, from a state in which he is in.
    assert!(texts(&mut follower).is_empty());
    while !scene.untold.is_empty() {
        scene.tell();
        assert!(texts(&mut follower).is_empty());
    }
    scene.run(1, say("for both"));
    assert_eq!(texts(&mut follower), ["for both"]);
}

#[test]
fn a_replaced_state_is_read_anew() {
    let (mut scene, _, bob) = Scene::new();
    let mut follower = scene.hub.follow(bob, Position(0));
    assert!(texts(&mut follower).is_empty());
    // What these would have told is never told: the state came whole, from another server.
    scene.commit(1, create());
    scene.commit(2, Operation::JoinRoom { room: tea() });
    scene.untold.clear();
    scene.hub.replaced(Position::end_of(scene.log_index));
    assert!(texts(&mut follower).is_empty());
    scene.run(1, say("hello"));
    assert_eq!(texts(&mut follower), ["hello"]);
}

#[derive(Clone, Debug)]
enum Step {
    Do { who: u8, what: u8 },
    Tell,
    Read { follower: usize },
    Follow { who: u8, entries_back: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..3, 0u8..7).prop_map(|(who, what)| Step::Do { who, what }),
        6 => Just(Step::Tell),
        4 => (0usize..4).prop_map(|follower| Step::Read { follower }),
        1 => (1u8..3, 0u64..4).prop_map(|(who, entries_back)| Step::Follow { who, entries_back }),
    ]
}

/// The ids of what has come of the room by now.
fn hear(follower: &mut Follower, heard: &mut Vec<u64>) {
    while let Some(followed) = follower.next().now_or_never() {
        heard.extend(of_the_room(followed.events));
    }
}

fn of_the_room<E: Deref<Target = Event>>(events: impl IntoIterator<Item = E>) -> impl Iterator<Item = u64> {
    events.into_iter().filter(|event| matches!(event.scope, Scope::Conversation(_))).map(|event| event.id.0)
}

proptest! {
    /// Whoever reads when, and however far behind the state the telling is: each follower hears what it may see after its
    /// beginning, each event once and in order, and nothing else. Also where what happens in a room is read once for all.
    #[test]
    fn followers_hear_exactly_what_they_may_see(steps in proptest::collection::vec(step(), 1..60), public in any::<bool>()) {
        let (mut scene, ann, bob) = Scene::new();
        let accounts = [ann, bob];
        scene.run(1, Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public });
        let mut followers = Vec::new();
        let (mut said, mut room) = (Vec::new(), None);
        for step in steps {
            match step {
                Step::Do { who, what } => {
                    let operation = match (what, said.last()) {
                        (0, _) => Operation::JoinRoom { room: tea() },
                        (1, _) => Operation::LeaveRoom { room: tea() },
                        (2, _) => Operation::InviteToRoom { room: tea(), user: "bob".to_owned() },
                        (3, Some(message)) if let Some(conversation) = room => Operation::DeleteMessages {
                            conversation,
                            messages: vec![*message],
                            scope: DeleteScope::Everyone,
                        },
                        (4, _) => Operation::RemoveFromRoom { room: tea(), user: "bob".to_owned() },
                        _ => say("tea?"),
                    };
                    if let Reply::MessageSent { conversation, event, .. } = scene.try_to(who, operation) {
                        said.push(event);
                        room = Some(conversation);
                    }
                }
                Step::Tell if !scene.untold.is_empty() => scene.tell(),
                Step::Tell => {}
                Step::Read { follower } => {
                    if let Some((_, _, follower, heard)) = followers.get_mut(follower) {
                        hear(follower, heard);
                    }
                }
                Step::Follow { who, entries_back } => {
                    let now = scene.hub.position().borrow().log_index();
                    let (account, after) = (accounts[usize::from(who) - 1], Position::end_of(now.saturating_sub(entries_back)));
                    followers.push((account, after, scene.hub.follow(account, after), Vec::new()));
                }
            }
        }
        while !scene.untold.is_empty() {
            scene.tell();
        }
        let up_to = Position::end_of(scene.log_index);
        for (account, after, mut follower, mut heard) in followers {
            hear(&mut follower, &mut heard);
            let expected = query::events_after(&scene.state, account, after, up_to, None, usize::MAX - 1).unwrap();
            prop_assert_eq!(heard, of_the_room(&expected.events).collect::<Vec<_>>());
        }
    }
}
