//! Rooms against a plain model: whatever people do, in whatever order, each may read and hears what the rules say, the
//! counts are right, and a room has an owner as long as it has members.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::select};
use threefold_core::{
    AccountId, Command, ConversationId, EventBody, EventId, Operation, Recipient, Rejection, Reply, Role, Scope,
    query::{self, Page},
};
use world::{Device, World, say};

const PEOPLE: [&str; 4] = ["ann", "bob", "cy", "dora"];
const ROOM: &str = "tea";

#[derive(Clone, Debug)]
enum Deed {
    Create { public: bool },
    Join,
    Leave,
    Say,
    Invite { whom: usize },
    Remove { whom: usize },
    Decline,
    SetRole { whom: usize, role: Role },
    Publish { public: bool },
    Read,
    Vanish,
}

fn deed() -> impl Strategy<Value = (usize, Deed)> {
    let whom = 0..PEOPLE.len();
    let what = prop_oneof![
        4 => any::<bool>().prop_map(|public| Deed::Create { public }),
        8 => Just(Deed::Join),
        4 => Just(Deed::Leave),
        12 => Just(Deed::Say),
        6 => whom.clone().prop_map(|whom| Deed::Invite { whom }),
        3 => whom.clone().prop_map(|whom| Deed::Remove { whom }),
        1 => Just(Deed::Decline),
        4 => (whom.clone(), select(vec![Role::Member, Role::Moderator, Role::Owner]))
            .prop_map(|(whom, role)| Deed::SetRole { whom, role }),
        2 => any::<bool>().prop_map(|public| Deed::Publish { public }),
        3 => Just(Deed::Read),
        1 => Just(Deed::Vanish),
    ];
    (whom, what)
}

/// One room as the rules describe it, without a thought for cost.
#[derive(Default)]
struct Model {
    /// The room of today, and those of the past are forgotten but for what people have seen of them.
    room: Option<Room>,
    /// What each may look up, and what came to each one's devices: messages of all rooms there were.
    readable: BTreeMap<usize, BTreeSet<EventId>>,
    heard: BTreeMap<usize, BTreeSet<EventId>>,
    gone: BTreeSet<usize>,
}

#[derive(Default)]
struct Room {
    public: bool,
    roles: BTreeMap<usize, Role>,
    /// In the order in which they got it.
    moderators: Vec<usize>,
    invited: BTreeMap<usize, usize>,
    /// Messages since it is public.
    open: Vec<EventId>,
    unread: BTreeMap<usize, u64>,
}

impl Room {
    fn owners(&self) -> usize {
        self.roles.values().filter(|role| **role == Role::Owner).count()
    }

    fn set(&mut self, who: usize, role: Role) {
        self.moderators.retain(|moderator| *moderator != who);
        if role == Role::Moderator {
            self.moderators.push(who);
        }
        self.roles.insert(who, role);
    }

    fn go(&mut self, who: usize) {
        self.roles.remove(&who);
        self.moderators.retain(|moderator| *moderator != who);
        let first = self.moderators.first().copied().or(self.roles.keys().next().copied());
        if let Some(heir) = first.filter(|_| self.owners() == 0) {
            self.set(heir, Role::Owner);
        }
    }
}

impl Model {
    /// Whether it is done, and then what it changes. A message is added when its id is known.
    fn allows(&mut self, who: usize, deed: &Deed) -> bool {
        let gone = self.gone.clone();
        let Some(room) = &mut self.room else {
            let Deed::Create { public } = deed else { return matches!(deed, Deed::Vanish) };
            let roles = [(who, Role::Owner)].into();
            self.room = Some(Room { public: *public, roles, ..Room::default() });
            return true;
        };
        let own = room.roles.get(&who).copied();
        let other = |whom: &usize| room.roles.get(whom).copied();
        match deed {
            Deed::Create { .. } => return false,
            Deed::Join => {
                if own.is_none() {
                    if !room.public && !room.invited.contains_key(&who) {
                        return false;
                    }
                    room.invited.remove(&who);
                    room.set(who, Role::Member);
                    room.unread.insert(who, 0);
                    let open = room.open.iter().copied().filter(|_| room.public);
                    self.readable.entry(who).or_default().extend(open);
                }
            }
            Deed::Leave | Deed::Vanish => {
                if own.is_some() {
                    room.go(who);
                } else if matches!(deed, Deed::Leave) {
                    return false;
                }
                if matches!(deed, Deed::Vanish) {
                    room.invited.remove(&who);
                }
            }
            Deed::Say | Deed::Read => {
                if own.is_none() {
                    // Who is out may mark what they have seen, which is tried elsewhere.
                    return false;
                }
                room.unread.insert(who, 0);
            }
            Deed::Invite { whom } => {
                if gone.contains(whom) || own.is_none_or(|own| !room.public && own < Role::Moderator) {
                    return false;
                }
                if other(whom).is_none() {
                    room.invited.entry(*whom).or_insert(who);
                }
            }
            Deed::Remove { whom } => {
                let (Some(own), false) = (own, gone.contains(whom)) else { return false };
                match other(whom) {
                    Some(role) => {
                        let least = if role == Role::Member { Role::Moderator } else { Role::Owner };
                        if *whom == who || own < least {
                            return false;
                        }
                        room.go(*whom);
                    }
                    None => match room.invited.get(whom) {
                        Some(by) if *by == who || own >= Role::Moderator => drop(room.invited.remove(whom)),
                        _ => return false,
                    },
                }
            }
            Deed::Decline => return room.invited.remove(&who).is_some(),
            Deed::SetRole { whom, role } => {
                let Some(present) = other(whom).filter(|_| own == Some(Role::Owner)) else { return false };
                if present == *role {
                    return true;
                }
                if present == Role::Owner && room.owners() == 1 {
                    return false;
                }
                room.set(*whom, *role);
            }
            Deed::Publish { public } => {
                if own != Some(Role::Owner) {
                    return false;
                }
                if room.public != *public {
                    room.public = *public;
                    room.open.clear();
                }
            }
        }
        if self.room.as_ref().is_some_and(|room| room.roles.is_empty()) {
            self.room = None;
        }
        true
    }

    fn said(&mut self, by: usize, message: EventId) {
        let Some(room) = &mut self.room else { return };
        if room.public {
            room.open.push(message);
        }
        for who in room.roles.keys() {
            self.readable.entry(*who).or_default().insert(message);
            self.heard.entry(*who).or_default().insert(message);
            *room.unread.entry(*who).or_default() += u64::from(*who != by);
        }
    }
}

fn operation(deed: &Deed, conversation: ConversationId) -> Option<Operation> {
    let room = Recipient::Room(ROOM.to_owned());
    let name = |whom: &usize| PEOPLE[*whom].to_owned();
    Some(match deed {
        Deed::Create { public } => {
            Operation::CreateRoom { name: ROOM.to_owned(), topic: String::new(), public: *public }
        }
        Deed::Join => Operation::JoinRoom { room },
        Deed::Leave => Operation::LeaveRoom { room },
        Deed::Say => say(ROOM, "hello"),
        Deed::Invite { whom } => Operation::InviteToRoom { room, user: name(whom) },
        Deed::Remove { whom } => Operation::RemoveFromRoom { room, user: name(whom) },
        Deed::Decline => Operation::DeclineInvitation { room },
        Deed::SetRole { whom, role } => Operation::SetRole { room, user: name(whom), role: *role },
        Deed::Publish { public } => Operation::ChangeRoom { room, name: None, topic: None, public: Some(*public) },
        Deed::Read => Operation::MarkRead { conversation, up_to: EventId((1 << 53) - 1) },
        Deed::Vanish => return None,
    })
}

struct Scene {
    world: World,
    people: Vec<Device>,
    model: Model,
    /// The room of today.
    conversation: ConversationId,
    all: BTreeSet<ConversationId>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let people = PEOPLE.iter().map(|name| world.register(name)).collect();
        Self { world, people, model: Model::default(), conversation: ConversationId(1), all: BTreeSet::new() }
    }

    fn play(&mut self, who: usize, deed: &Deed) -> Result<(), TestCaseError> {
        if self.model.gone.contains(&who) {
            return Ok(());
        }
        if matches!(deed, Deed::Read) && self.model.room.as_ref().is_none_or(|room| !room.roles.contains_key(&who)) {
            return Ok(());
        }
        let is_allowed = self.model.allows(who, deed);
        let reply = match operation(deed, self.conversation) {
            Some(operation) => self.world.write(&mut self.people[who], operation),
            None => {
                self.model.gone.insert(who);
                self.world.run(&Command::DeleteAccount { session: self.people[who].token, credential_version: 1 })
            }
        };
        let is_done = match &reply {
            Reply::Rejected(rejection) => {
                let is_of_rooms = matches!(
                    rejection,
                    Rejection::UnknownRoom(_)
                        | Rejection::RoomNameTaken(_)
                        | Rejection::NotInRoom(_)
                        | Rejection::NotInvited(_)
                        | Rejection::Forbidden(_)
                        | Rejection::UnknownUser(_)
                );
                prop_assert!(is_of_rooms, "{:?} gives {:?}", deed, rejection);
                false
            }
            _ => true,
        };
        prop_assert_eq!(is_done, is_allowed, "{} {:?}: {:?}", PEOPLE[who], deed, reply);
        match reply {
            Reply::MessageSent { event, .. } => self.model.said(who, event),
            Reply::RoomCreated { conversation, .. } => {
                self.conversation = conversation;
                self.all.insert(conversation);
            }
            _ => {}
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (who, device) in self.people.iter().enumerate() {
            if self.model.gone.contains(&who) {
                continue;
            }
            let reader = device.account;
            let none = BTreeSet::new();
            let readable: BTreeSet<EventId> = self.all.iter().flat_map(|room| self.history(reader, *room)).collect();
            prop_assert_eq!(&readable, self.model.readable.get(&who).unwrap_or(&none), "read by {}", PEOPLE[who]);
            let heard: BTreeSet<EventId> = self.heard(reader);
            prop_assert_eq!(&heard, self.model.heard.get(&who).unwrap_or(&none), "heard by {}", PEOPLE[who]);
            self.check_room(who, reader)?;
        }
        Ok(())
    }

    fn check_room(&self, who: usize, reader: AccountId) -> Result<(), TestCaseError> {
        let listed = query::conversations(&self.world.store, reader, false, None, 9).unwrap().items;
        let found = query::room(&self.world.store, reader, &Recipient::Room(ROOM.to_owned())).unwrap();
        let role = self.model.room.as_ref().and_then(|room| room.roles.get(&who).copied());
        prop_assert_eq!(listed.len(), usize::from(role.is_some()));
        prop_assert_eq!(found.as_ref().ok().and_then(|room| room.role), role);
        let rooms = query::rooms_of(&self.world.store, reader, self.world.position()).unwrap();
        let rooms: Vec<_> = rooms.into_iter().map(|(room, _)| room).collect();
        let woken = self.world.rooms.get(&self.conversation).is_some_and(|members| members.contains(&reader));
        prop_assert_eq!(rooms, if role.is_some() { vec![self.conversation] } else { vec![] });
        prop_assert_eq!(woken, role.is_some());
        let invited = query::invitations(&self.world.store, reader).unwrap();
        let Some(room) = &self.model.room else {
            prop_assert!(invited.is_empty());
            return Ok(());
        };
        prop_assert_eq!(invited.len(), usize::from(room.invited.contains_key(&who)));
        prop_assert!(room.owners() > 0);
        if role.is_some() {
            let of = Recipient::Conversation(self.conversation);
            let members = query::members(&self.world.store, reader, &of, None, 9).unwrap().unwrap().items;
            let person = |account| self.people.iter().position(|device| device.account == account).unwrap();
            let members: BTreeMap<usize, Role> =
                members.into_iter().map(|member| (person(member.account), member.role)).collect();
            prop_assert_eq!(&members, &room.roles);
            prop_assert_eq!(found.unwrap().members, room.roles.len() as u64);
            let unread = room.unread.get(&who).copied().unwrap_or_default();
            prop_assert_eq!(listed[0].unread, unread, "unread of {}", PEOPLE[who]);
        }
        Ok(())
    }

    fn history(&self, reader: AccountId, room: ConversationId) -> BTreeSet<EventId> {
        let page = query::history(&self.world.store, reader, room, Page::Before(None), 200).unwrap();
        page.map(|page| page.items).unwrap_or_default().iter().map(|shown| shown.event.id).collect()
    }

    fn heard(&self, reader: AccountId) -> BTreeSet<EventId> {
        let events = self.world.everything(reader).into_iter();
        let messages = events.filter(|event| matches!(event.body, EventBody::MessageSent { .. }));
        messages.filter(|event| matches!(event.scope, Scope::Conversation(_))).map(|event| event.id).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rooms_are_as_the_rules_say(deeds in vec(deed(), 1..80)) {
        let mut scene = Scene::new();
        for (who, deed) in &deeds {
            scene.play(*who, deed)?;
        }
    }
}
