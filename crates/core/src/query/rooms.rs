//! Rooms: who may find which, who is in them, who is invited.
//!
//! A room is found by those who are in it, those who are invited, and, if it is public, by everybody. To all others a
//! private one does not exist; that its name is taken they can only find out by asking for it.

use std::ops::ControlFlow;

use super::{InvitationInfo, MemberInfo, Paged, RoomInfo, each_membership, pattern::Pattern};
use crate::{
    bounds::{INVITATIONS_PER_ACCOUNT, MEMBERSHIP_CHUNK, PAGE, PATTERN_BYTES},
    command::Recipient,
    ids::{AccountId, ConversationId, Position},
    key::{self, Key, Range},
    record::{self, Attendance, InvitationRecord, MemberRecord, MembershipRecord, RoomNameRecord, RoomRecord},
    reply::Rejection,
    scan,
    store::{Direction, Read, StoreError},
    text,
};

/// One room as `reader` sees it, by its name or its conversation; also one that the reader has left.
///
/// # Errors
/// When the store cannot be read.
pub fn room(store: &dyn Read, reader: AccountId, room: &Recipient) -> Result<Result<RoomInfo, Rejection>, StoreError> {
    let (id, unknown) = match named(store, room)? {
        Ok(named) => named,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let membership = record::get::<MembershipRecord>(store, Key::Membership(reader, id))?;
    let found = record::get::<RoomRecord>(store, Key::Room(id))?;
    let invited = record::get::<InvitationRecord>(store, Key::Invitation(reader, id))?.is_some();
    let is_shown = found.is_some_and(|found| found.is_public() || invited)
        || membership.as_ref().is_some_and(|membership| knows(membership, room));
    if !is_shown {
        return Ok(Err(unknown));
    }
    Ok(Ok(info(store, reader, id, membership.as_ref())?))
}

/// The conversation of the room of that name, for one who is in it or was.
///
/// # Errors
/// When the store cannot be read.
pub fn room_conversation(
    store: &dyn Read,
    reader: AccountId,
    name: &str,
) -> Result<Result<ConversationId, Rejection>, StoreError> {
    let (id, _) = match named(store, &Recipient::Room(name.to_owned()))? {
        Ok(named) => named,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let membership = record::get::<MembershipRecord>(store, Key::Membership(reader, id))?;
    if membership.is_some_and(|membership| knows(&membership, &Recipient::Room(name.to_owned()))) {
        return Ok(Ok(id));
    }
    let name = text::quoted_name(text::room_name(name));
    Ok(Err(Rejection::NotInRoom(format!("you are not in #{name}"))))
}

/// Whether somebody who is or was in a room knows it by that: not by a name that it got after they left.
fn knows(membership: &MembershipRecord, room: &Recipient) -> bool {
    match (&membership.attendance, room) {
        (None, _) | (Some(_), Recipient::User(_)) => false,
        (Some(Attendance::In), Recipient::Room(_) | Recipient::Conversation(_))
        | (Some(Attendance::Left { .. }), Recipient::Conversation(_)) => true,
        (Some(Attendance::Left { name, .. }), Recipient::Room(asked)) => {
            text::fold_name(name) == text::fold_name(text::room_name(asked))
        }
    }
}

/// What is named, and what to tell those who may not find it.
fn named(store: &dyn Read, room: &Recipient) -> Result<Result<(ConversationId, Rejection), Rejection>, StoreError> {
    Ok(match room {
        Recipient::Conversation(id) => Ok((*id, Rejection::UnknownConversation)),
        Recipient::Room(name) => {
            let name = text::room_name(name);
            let unknown = Rejection::UnknownRoom(text::quoted_name(name));
            let found = match text::check_name(name) {
                Ok(()) => record::get::<RoomNameRecord>(store, Key::RoomName(&text::fold_name(name)))?,
                Err(_) => None,
            };
            match found {
                Some(found) => Ok((found.conversation, unknown)),
                None => Err(unknown),
            }
        }
        Recipient::User(_) => Err(Rejection::Invalid("a room is meant, by its #name or its conversation".to_owned())),
    })
}

/// Rooms whose name contains `pattern` (with `*` in it: matches it from end to end), any case, in the order of their folded
/// names, after `after`: those the reader is in, and the public ones.
///
/// A pattern with `*` reads only the names that start with what stands before it; any other one reads names until the
/// page is full, all of them at worst. A pattern beyond its bound matches none.
///
/// # Errors
/// When the store cannot be read.
pub fn rooms(
    store: &dyn Read,
    reader: AccountId,
    pattern: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Paged<RoomInfo>, StoreError> {
    let limit = limit.clamp(1, PAGE);
    let mut items = Vec::new();
    if pattern.len() > PATTERN_BYTES {
        return Ok(Paged { items, more: false });
    }
    let pattern = Pattern::new(pattern);
    let mut range = Range::room_names(pattern.prefix());
    if let Some(after) = after {
        range = range.after(Key::RoomName(&text::fold_name(text::room_name(after))));
    }
    loop {
        let matching = matching(store, &range, &pattern)?;
        let last = matching.last().map(|(name, _)| name.clone()).filter(|_| matching.len() == MEMBERSHIP_CHUNK);
        for (_, id) in matching {
            let membership = record::get::<MembershipRecord>(store, Key::Membership(reader, id))?;
            let is_in = membership.as_ref().is_some_and(MembershipRecord::is_in_room);
            if !is_in && !record::require::<RoomRecord>(store, Key::Room(id))?.is_public() {
                continue;
            }
            if items.len() == limit {
                return Ok(Paged { items, more: true });
            }
            items.push(info(store, reader, id, membership.as_ref())?);
        }
        match last {
            Some(last) => range = range.after(Key::RoomName(&last)),
            None => return Ok(Paged { items, more: false }),
        }
    }
}

/// The next names that match, at most as many as are looked at in one go.
fn matching(store: &dyn Read, range: &Range, pattern: &Pattern) -> Result<Vec<(String, ConversationId)>, StoreError> {
    let mut found = Vec::new();
    scan::scan(store, range, Direction::Ascending, |key, value| {
        let name = key::room_name(key)?;
        if pattern.matches(name) {
            found.push((name.to_owned(), record::decode::<RoomNameRecord>(value)?.conversation));
        }
        Ok(if found.len() < MEMBERSHIP_CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

/// The members of a room that the reader is in, in the order of their ids, after `after`. At most [`PAGE`] of them.
///
/// # Errors
/// When the store cannot be read.
pub fn members(
    store: &dyn Read,
    reader: AccountId,
    room: &Recipient,
    after: Option<AccountId>,
    limit: usize,
) -> Result<Result<Paged<MemberInfo>, Rejection>, StoreError> {
    let shown = match self::room(store, reader, room)? {
        Ok(shown) => shown,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if shown.role.is_none() {
        return Ok(Err(Rejection::NotInRoom(format!("you are not in #{}", shown.name))));
    }
    let id = shown.conversation;
    let record: RoomRecord = record::require(store, Key::Room(id))?;
    let limit = limit.clamp(1, PAGE);
    let mut range = Range::members(id);
    if let Some(after) = after {
        range = range.after(Key::Member(id, after));
    }
    let mut found = scan::collect::<MemberRecord>(store, &range, limit + 1)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let member = |(account, member): (u64, MemberRecord)| {
        let account = AccountId(account);
        let MemberRecord { joined_at_ms, invited_by } = member;
        MemberInfo { account, role: record.role_of(account), joined_at_ms, invited_by }
    };
    Ok(Ok(Paged { items: found.into_iter().map(member).collect(), more }))
}

/// The reader's open invitations to rooms that there still are, in the order of their ids.
///
/// # Errors
/// When the store cannot be read.
pub fn invitations(store: &dyn Read, reader: AccountId) -> Result<Vec<InvitationInfo>, StoreError> {
    let mut open = Vec::new();
    for (id, invitation) in
        scan::collect::<InvitationRecord>(store, &Range::invitations(reader), INVITATIONS_PER_ACCOUNT)?
    {
        let conversation = ConversationId(id);
        if let Some(room) = record::get::<RoomRecord>(store, Key::Room(conversation))? {
            let InvitationRecord { by, at_ms, event: _ } = invitation;
            let RoomRecord { name, topic, members, .. } = room;
            open.push(InvitationInfo { conversation, name, topic, members, by, at_ms });
        }
    }
    Ok(open)
}

/// The rooms an account is in, or was in at some time after `since`, each with the position of its last joining. Looks through
/// all its conversations: for what is kept up to date afterwards.
///
/// # Errors
/// When the store cannot be read.
pub fn rooms_of(
    store: &dyn Read,
    account: AccountId,
    since: Position,
) -> Result<Vec<(ConversationId, Position)>, StoreError> {
    let mut rooms = Vec::new();
    each_membership(store, account, None, |id, membership| {
        let last = membership.spans.last();
        let until = last.and_then(|span| span.until);
        if membership.attendance.is_some() && until.is_none_or(|until| until > since) {
            rooms.push((id, last.map_or(since, |span| span.from)));
        }
        Ok(true)
    })?;
    Ok(rooms)
}

/// What a room is called by one who is or was in it; none if that is no room.
pub(super) fn name(
    store: &dyn Read,
    id: ConversationId,
    membership: &MembershipRecord,
) -> Result<Option<String>, StoreError> {
    match &membership.attendance {
        None => Ok(None),
        Some(Attendance::Left { name, .. }) => Ok(Some(name.clone())),
        Some(Attendance::In) => Ok(Some(record::require::<RoomRecord>(store, Key::Room(id))?.name)),
    }
}

/// A room that the reader may find.
pub(super) fn info(
    store: &dyn Read,
    reader: AccountId,
    conversation: ConversationId,
    membership: Option<&MembershipRecord>,
) -> Result<RoomInfo, StoreError> {
    let invited = record::get::<InvitationRecord>(store, Key::Invitation(reader, conversation))?.is_some();
    let is_in = membership.is_some_and(MembershipRecord::is_in_room);
    let room = record::get::<RoomRecord>(store, Key::Room(conversation))?;
    let room = room.filter(|room| is_in || invited || room.is_public());
    let left_as = match membership.and_then(|membership| membership.attendance.as_ref()) {
        Some(Attendance::Left { name, .. }) => name.clone(),
        Some(Attendance::In) | None => String::new(),
    };
    Ok(match room {
        Some(room) => RoomInfo {
            conversation,
            role: is_in.then(|| room.role_of(reader)),
            public: room.is_public(),
            name: room.name,
            topic: room.topic,
            members: room.members,
            created_at_ms: room.created_at_ms,
            invited,
        },
        None => RoomInfo {
            conversation,
            name: left_as,
            topic: String::new(),
            public: false,
            members: 0,
            created_at_ms: 0,
            role: None,
            invited: false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Operation, Reply, Role,
        world::{Device, World, created},
    };

    fn called(name: &str) -> Recipient {
        Recipient::Room(name.to_owned())
    }

    fn create(name: &str, public: bool) -> Operation {
        Operation::CreateRoom { name: name.to_owned(), topic: String::new(), public }
    }

    /// Rooms of one, more than are looked at in one go: every third one is private.
    fn many() -> (World, Device, Device) {
        let mut world = World::new();
        let (mut ann, bob) = (world.register("ann"), world.register("bob"));
        let commands: Vec<_> = (0..MEMBERSHIP_CHUNK + 44)
            .map(|number| ann.next(create(&format!("r{number:03}"), number % 3 > 0)))
            .collect();
        world.apply(&commands).iter().for_each(|reply| assert_ne!(created(reply).0.0, 0));
        (world, ann, bob)
    }

    #[test]
    fn pages_hold_every_room_that_may_be_found_once() {
        let (world, ann, bob) = many();
        for (reader, count) in [(ann.account, 300), (bob.account, 200)] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = rooms(&world.store, reader, "", after.as_deref(), 47).unwrap();
                found.extend(page.items.into_iter().map(|room| room.name));
                after = found.last().cloned();
                if !page.more {
                    break;
                }
            }
            assert_eq!(found.len(), count);
            assert!(found.is_sorted_by(|one, other| one < other));
        }
        let some = rooms(&world.store, bob.account, "R29*", None, 200).unwrap();
        let names: Vec<_> = some.items.iter().map(|room| room.name.as_str()).collect();
        assert_eq!(names, ["r290", "r292", "r293", "r295", "r296", "r298", "r299"]);
        assert!(rooms(&world.store, bob.account, &"*".repeat(65), None, 200).unwrap().items.is_empty());
    }

    #[test]
    fn a_private_room_is_found_by_those_in_it_and_the_invited() {
        let mut world = World::new();
        let (mut ann, mut bob) = (world.register("ann"), world.register("bob"));
        let id = created(&world.write(&mut ann, create("tea", false))).0;
        let find = |world: &World, reader, by: &Recipient| room(&world.store, reader, by).unwrap();
        let unknown = Err(Rejection::UnknownRoom("tea".to_owned()));
        assert_eq!(find(&world, bob.account, &called("tea")), unknown);
        let by_id = Recipient::Conversation(id);
        assert_eq!(find(&world, bob.account, &by_id), Err(Rejection::UnknownConversation));
        let invite = Operation::InviteToRoom { room: called("tea"), user: "bob".to_owned() };
        world.write(&mut ann, invite);
        let found = find(&world, bob.account, &called("#TEA")).unwrap();
        assert_eq!((found.conversation, found.role, found.invited, found.members), (id, None, true, 1));
        let asked = members(&world.store, bob.account, &by_id, None, 9).unwrap();
        assert!(matches!(asked, Err(Rejection::NotInRoom(_))));
        assert_eq!(world.write(&mut bob, Operation::JoinRoom { room: by_id.clone() }), Reply::Done);
        assert_eq!(find(&world, bob.account, &by_id).unwrap().role, Some(Role::Member));
        world.write(&mut bob, Operation::LeaveRoom { room: by_id.clone() });
        world.write(
            &mut ann,
            Operation::ChangeRoom { room: by_id.clone(), name: Some("coffee".to_owned()), topic: None, public: None },
        );
        let left = find(&world, bob.account, &by_id).unwrap();
        assert_eq!((left.name.as_str(), left.members, left.role), ("tea", 0, None));
        assert_eq!(find(&world, bob.account, &called("tea")), unknown);
    }

    #[test]
    fn members_come_in_pages_with_their_roles() {
        let mut world = World::new();
        let mut ann = world.register("ann");
        created(&world.write(&mut ann, create("tea", true)));
        for number in 0..7 {
            let mut other = world.register(&format!("other{number}"));
            world.write(&mut other, Operation::JoinRoom { room: called("tea") });
        }
        let page = members(&world.store, ann.account, &called("tea"), None, 5).unwrap().unwrap();
        assert_eq!((page.items.len(), page.more, page.items[0].role), (5, true, Role::Owner));
        let after = page.items.last().map(|member| member.account);
        let page = members(&world.store, ann.account, &called("tea"), after, 5).unwrap().unwrap();
        assert_eq!((page.items.len(), page.more, page.items[0].role), (3, false, Role::Member));
    }
}
