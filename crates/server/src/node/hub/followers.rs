//! The followers of a server, and which of the followed accounts are in which rooms.
//!
//! An event of a room does not list its members. So it is known here which of those who follow are in it: read from the
//! state when an account is first followed, and kept by what the events themselves say ([`Audience`]). An account that is
//! missing here would miss events, which must not be. One too many would be shown what is read once for all members
//! ([`super::recent`]), which must not be either. So what is read is added to what events have said meanwhile, and never
//! taken for the whole, for a reading may be older than them: rooms that were left meanwhile are not added.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use threefold_core::{
    AccountId, ConversationId, Position, Scope,
    apply::{Audience, Happened},
};
use tokio::sync::Notify;

use crate::node::typing::Notice;

/// Notices that wait for one follower: as many people as anybody can watch typing.
const TYPING: usize = 16;

/// What one follower has to look into.
pub(super) struct Concern {
    pub(super) scopes: BTreeSet<Scope>,
    /// Anything may have changed: look into everything.
    pub(super) everything: bool,
    /// Who types, for this reader to see: the last notice of each.
    pub(super) typing: BTreeMap<(ConversationId, AccountId), Notice>,
    wake: Arc<Notify>,
}

impl Concern {
    /// Of a new follower, who knows nothing yet.
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self { scopes: BTreeSet::new(), everything: true, typing: BTreeMap::new(), wake }
    }

    fn add(&mut self, scope: Scope, woken: &mut Vec<Arc<Notify>>) {
        if self.scopes.is_empty() && !self.everything {
            woken.push(self.wake.clone());
        }
        self.scopes.insert(scope);
    }

    /// What there is no room for is dropped: it will be said again.
    fn add_typing(&mut self, notice: Notice, woken: &mut Vec<Arc<Notify>>) {
        let is_full = self.typing.len() >= TYPING;
        match self.typing.entry((notice.conversation, notice.account)) {
            Entry::Occupied(mut waiting) => {
                waiting.insert(notice);
            }
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(free) => {
                free.insert(notice);
                woken.push(self.wake.clone());
            }
        }
    }
}

/// An account that somebody follows.
#[derive(Default)]
struct Followed {
    concerns: BTreeMap<u64, Concern>,
    /// The rooms it is known to be in.
    rooms: BTreeSet<ConversationId>,
    /// Its rooms have been read. Until then each of its followers is to look into everything.
    rooms_known: bool,
    /// Rooms that it left until then: what is read may be older.
    left: BTreeSet<ConversationId>,
}

/// All followers.
#[derive(Default)]
pub(super) struct Followers {
    accounts: BTreeMap<AccountId, Followed>,
    /// Since when each is known to be in: it was at every position from then on.
    rooms: BTreeMap<ConversationId, BTreeMap<AccountId, Position>>,
    /// How often the state was replaced by another: what was read of an earlier one is void.
    generation: u64,
}

impl Followers {
    /// One more.
    pub(super) fn add(&mut self, account: AccountId, id: u64, concern: Concern) {
        self.accounts.entry(account).or_default().concerns.insert(id, concern);
    }

    /// One less.
    pub(super) fn remove(&mut self, account: AccountId, id: u64) {
        let Some(followed) = self.accounts.get_mut(&account) else { return };
        followed.concerns.remove(&id);
        if followed.concerns.is_empty() {
            let rooms = std::mem::take(&mut followed.rooms);
            self.accounts.remove(&account);
            for room in rooms {
                self.leave(account, room);
            }
        }
    }

    /// What a follower has to look into.
    pub(super) fn concern_of(&mut self, account: AccountId, id: u64) -> Option<&mut Concern> {
        self.accounts.get_mut(&account)?.concerns.get_mut(&id)
    }

    /// Whether the rooms of a followed account are still to be read, and of which generation.
    pub(super) fn unknown_rooms(&self, account: AccountId) -> Option<u64> {
        self.accounts.get(&account).filter(|followed| !followed.rooms_known).map(|_| self.generation)
    }

    /// They were read, of that generation, each with the position of the last joining; the followers have been told of
    /// everything up to `told`. The state may be ahead of that, and with it the joining.
    pub(super) fn learn_rooms(
        &mut self,
        account: AccountId,
        rooms: Vec<(ConversationId, Position)>,
        generation: u64,
        told: Position,
    ) {
        if generation != self.generation {
            return;
        }
        let Some(followed) = self.accounts.get_mut(&account) else { return };
        // Two devices that come at once may both read. The later one brings nothing that is not known by the earlier one and by
        // what was told since, and may be older than that: of rooms left since then nobody took note for it.
        if followed.rooms_known {
            return;
        }
        followed.rooms_known = true;
        let left = std::mem::take(&mut followed.left);
        for (room, joined) in rooms.into_iter().filter(|(room, _)| !left.contains(room)) {
            self.enter(account, room, told.max(joined));
        }
    }

    /// Somebody types. Says whom to wake.
    pub(super) fn tell_typing(&mut self, notice: Notice) -> Vec<Arc<Notify>> {
        let Self { accounts, rooms, .. } = self;
        let mut woken = Vec::new();
        let mut tell = |reader: &AccountId| {
            for concern in accounts.get_mut(reader).into_iter().flat_map(|followed| followed.concerns.values_mut()) {
                concern.add_typing(notice, &mut woken);
            }
        };
        match &notice.reader {
            Some(reader) => tell(reader),
            None => {
                let members = rooms.get(&notice.conversation).into_iter().flat_map(BTreeMap::keys);
                members.filter(|member| **member != notice.account).for_each(tell);
            }
        }
        woken
    }

    /// Whether an account was in a room at every position after that one.
    pub(super) fn attends(&self, account: AccountId, room: ConversationId, after: Position) -> bool {
        self.rooms.get(&room).and_then(|members| members.get(&account)).is_some_and(|since| *since <= after)
    }

    /// How many accounts in a room are followed here.
    pub(super) fn number_in(&self, room: ConversationId) -> usize {
        self.rooms.get(&room).map_or(0, BTreeMap::len)
    }

    /// Something happened: takes note of it for those it concerns, and says whom to wake.
    pub(super) fn concern(&mut self, happened: &Happened, woken: &mut Vec<Arc<Notify>>) {
        let scope = happened.scope;
        match (&happened.audience, scope) {
            (Audience::Accounts(accounts), _) => {
                for account in accounts {
                    self.concern_account(*account, scope, woken);
                }
            }
            (Audience::Members, Scope::Conversation(room)) => self.concern_members(room, woken),
            (Audience::MembersWith(account), Scope::Conversation(room)) => {
                self.enter(*account, room, happened.position);
                self.concern_members(room, woken);
            }
            (Audience::MembersWithout(account), Scope::Conversation(room)) => {
                // Also whoever goes: it may be that here the account was not known to be in.
                self.concern_account(*account, scope, woken);
                self.concern_members(room, woken);
                self.leave(*account, room);
            }
            // A mailbox has no members.
            (Audience::Members | Audience::MembersWith(_) | Audience::MembersWithout(_), Scope::Mailbox(_)) => {}
        }
    }

    fn concern_account(&mut self, account: AccountId, scope: Scope, woken: &mut Vec<Arc<Notify>>) {
        for concern in self.accounts.get_mut(&account).into_iter().flat_map(|followed| followed.concerns.values_mut()) {
            concern.add(scope, woken);
        }
    }

    fn concern_members(&mut self, room: ConversationId, woken: &mut Vec<Arc<Notify>>) {
        let Self { accounts, rooms, .. } = self;
        for account in rooms.get(&room).into_iter().flat_map(BTreeMap::keys) {
            for concern in accounts.get_mut(account).into_iter().flat_map(|followed| followed.concerns.values_mut()) {
                concern.add(Scope::Conversation(room), woken);
            }
        }
    }

    /// The state was replaced by another: anything may have happened. Says whom to wake.
    pub(super) fn start_over(&mut self) -> Vec<Arc<Notify>> {
        self.generation += 1;
        self.rooms.clear();
        let mut woken = Vec::new();
        for followed in self.accounts.values_mut() {
            followed.rooms.clear();
            followed.left.clear();
            followed.rooms_known = false;
            for concern in followed.concerns.values_mut() {
                concern.everything = true;
                woken.push(concern.wake.clone());
            }
        }
        woken
    }

    /// Nobody is remembered who is not followed.
    fn enter(&mut self, account: AccountId, room: ConversationId, since: Position) {
        if let Some(followed) = self.accounts.get_mut(&account) {
            followed.rooms.insert(room);
            followed.left.remove(&room);
            let known = self.rooms.entry(room).or_default().entry(account).or_insert(since);
            *known = since.max(*known);
        }
    }

    fn leave(&mut self, account: AccountId, room: ConversationId) {
        if let Some(followed) = self.accounts.get_mut(&account) {
            followed.rooms.remove(&room);
            if !followed.rooms_known {
                followed.left.insert(room);
            }
        }
        if let Some(members) = self.rooms.get_mut(&room) {
            members.remove(&account);
            if members.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId(1);
    const BOB: AccountId = AccountId(2);
    const TEA: ConversationId = ConversationId(7);

    fn happened(audience: Audience) -> Happened {
        Happened { scope: Scope::Conversation(TEA), position: Position(9), audience }
    }

    /// With followers who have looked into everything.
    fn followers() -> Followers {
        let mut followers = Followers::default();
        for (account, id) in [(ANN, 1), (ANN, 2), (BOB, 3)] {
            followers.add(account, id, Concern::new(Arc::new(Notify::new())));
        }
        look(&mut followers);
        followers
    }

    fn look(followers: &mut Followers) {
        for (account, id) in [(ANN, 1), (ANN, 2), (BOB, 3)] {
            let generation = followers.unknown_rooms(account).unwrap_or_default();
            followers.learn_rooms(account, Vec::new(), generation, Position(0));
            let concern = followers.concern_of(account, id).unwrap();
            (concern.everything, concern.scopes) = (false, BTreeSet::new());
        }
    }

    fn woken(followers: &mut Followers, audience: Audience) -> usize {
        let mut woken = Vec::new();
        followers.concern(&happened(audience), &mut woken);
        look(followers);
        woken.len()
    }

    #[test]
    fn events_say_who_is_in_a_room() {
        let mut followers = followers();
        assert_eq!(woken(&mut followers, Audience::Members), 0);
        assert_eq!(woken(&mut followers, Audience::MembersWith(ANN)), 2);
        assert_eq!(woken(&mut followers, Audience::MembersWith(BOB)), 3);
        assert_eq!(woken(&mut followers, Audience::Members), 3);
        assert_eq!(woken(&mut followers, Audience::MembersWithout(ANN)), 3);
        assert_eq!(woken(&mut followers, Audience::Members), 1);
        // Somebody whom nobody follows here.
        assert_eq!(woken(&mut followers, Audience::MembersWith(AccountId(9))), 1);
        assert_eq!(followers.rooms[&TEA].len(), 1);
    }

    #[test]
    fn who_types_is_told_to_who_is_in_and_is_bounded() {
        let mut followers = followers();
        let types = |account, reader| Notice { conversation: TEA, account, reader, position: Position(9) };
        let waiting = |followers: &mut Followers, account, id| followers.concern_of(account, id).unwrap().typing.len();
        assert_eq!(followers.tell_typing(types(BOB, None)).len(), 0, "nobody is in");
        woken(&mut followers, Audience::MembersWith(ANN));
        assert_eq!(followers.tell_typing(types(BOB, None)).len(), 2, "both of ann's devices");
        assert_eq!(followers.tell_typing(types(ANN, None)).len(), 0, "nobody hears of oneself");
        assert_eq!(followers.tell_typing(types(BOB, None)).len(), 0, "they are awake");
        assert_eq!(followers.tell_typing(types(ANN, Some(BOB))).len(), 1);
        for other in 10..10 + 2 * TYPING as u64 {
            followers.tell_typing(types(AccountId(other), None));
        }
        assert_eq!((waiting(&mut followers, ANN, 1), waiting(&mut followers, BOB, 3)), (TYPING, 1));
        woken(&mut followers, Audience::MembersWithout(ANN));
        assert_eq!(followers.tell_typing(types(AccountId(99), None)).len(), 0, "who left is not told");
    }

    #[test]
    fn what_is_read_is_added_to_what_was_told_meanwhile() {
        let mut followers = Followers::default();
        followers.add(ANN, 1, Concern::new(Arc::new(Notify::new())));
        let generation = followers.unknown_rooms(ANN).unwrap();
        // The reading is from before the join.
        followers.concern(&happened(Audience::MembersWith(ANN)), &mut Vec::new());
        followers.learn_rooms(ANN, vec![(ConversationId(8), Position(1))], generation, Position(5));
        assert_eq!(followers.unknown_rooms(ANN), None);
        assert!(followers.rooms[&TEA].contains_key(&ANN) && followers.rooms[&ConversationId(8)].contains_key(&ANN));
    }

    #[test]
    fn a_room_that_was_left_while_the_rooms_were_read_is_not_entered_again() {
        let mut followers = Followers::default();
        followers.add(ANN, 1, Concern::new(Arc::new(Notify::new())));
        let generation = followers.unknown_rooms(ANN).unwrap();
        // The reading is from before she left.
        followers.concern(&happened(Audience::MembersWithout(ANN)), &mut Vec::new());
        followers.learn_rooms(ANN, vec![(TEA, Position(1)), (ConversationId(8), Position(1))], generation, Position(9));
        assert!(!followers.attends(ANN, TEA, Position(99)));
        assert!(followers.attends(ANN, ConversationId(8), Position(9)));
        assert!(!followers.attends(ANN, ConversationId(8), Position(8)), "not known before");
        followers.concern(&happened(Audience::MembersWith(ANN)), &mut Vec::new());
        assert!(followers.attends(ANN, TEA, Position(9)) && !followers.attends(ANN, TEA, Position(8)));
    }

    #[test]
    fn a_room_that_was_left_between_two_readings_is_not_entered_by_the_second() {
        let mut followers = Followers::default();
        followers.add(ANN, 1, Concern::new(Arc::new(Notify::new())));
        followers.add(ANN, 2, Concern::new(Arc::new(Notify::new())));
        // Two of her devices read at once, both before she left.
        let generation = followers.unknown_rooms(ANN).unwrap();
        followers.learn_rooms(ANN, vec![(TEA, Position(0))], generation, Position(5));
        assert!(followers.attends(ANN, TEA, Position(5)));
        followers.concern(&happened(Audience::MembersWithout(ANN)), &mut Vec::new());
        followers.learn_rooms(ANN, vec![(TEA, Position(0))], generation, Position(9));
        assert!(!followers.attends(ANN, TEA, Position(99)), "who has left is shown nothing more");
        assert_eq!(followers.number_in(TEA), 0);
    }

    #[test]
    fn what_was_read_of_a_replaced_state_counts_for_nothing() {
        let mut followers = Followers::default();
        followers.add(ANN, 1, Concern::new(Arc::new(Notify::new())));
        let generation = followers.unknown_rooms(ANN).unwrap();
        assert_eq!(followers.start_over().len(), 1);
        followers.learn_rooms(ANN, vec![(TEA, Position(1))], generation, Position(9));
        assert!(followers.rooms.is_empty());
        assert_eq!(followers.unknown_rooms(ANN), Some(generation + 1));
    }

    #[test]
    fn nothing_is_left_of_those_who_do_not_follow_any_more() {
        let mut followers = followers();
        woken(&mut followers, Audience::MembersWith(ANN));
        followers.remove(ANN, 1);
        assert!(followers.rooms[&TEA].contains_key(&ANN));
        followers.remove(ANN, 2);
        followers.remove(ANN, 2);
        assert!(followers.rooms.is_empty() && followers.accounts.len() == 1);
    }
}
