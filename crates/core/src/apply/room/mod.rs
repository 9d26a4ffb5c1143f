//! Rooms: a file for each command, and here what they share: finding a room, being in it, being taken out of it.
//!
//! One rule for all of them: who is outside of a private room learns no more than that its name is taken. So a room that
//! is named by its id is unknown to whoever may not find it; named by its name, it may be said that one is not in it.

use super::{Context, Outcome, webhook};
use crate::{
    apply::Audience,
    bounds::{MEMBERS_PER_ROOM, ROOMS_PER_ACCOUNT},
    command::{Recipient, Role},
    event::EventBody,
    ids::{AccountId, ConversationId},
    key::{Key, Range},
    record::{
        AccountRecord, ConversationRecord, InvitationRecord, MemberRecord, MembershipRecord, NameRecord,
        RoomNameRecord, RoomRecord,
    },
    reply::Rejection,
    scan,
    store::{Direction, StoreError},
    text,
};

mod change_room;
mod create_room;
mod decline_invitation;
mod invite_to_room;
mod join_room;
mod leave_room;
mod remove_from_room;
mod set_role;

pub(super) use change_room::{Changes, change_room};
pub(super) use create_room::create_room;
pub(super) use decline_invitation::decline_invitation;
pub(super) use invite_to_room::invite_to_room;
pub(super) use join_room::join_room;
pub(super) use leave_room::leave_room;
pub(super) use remove_from_room::remove_from_room;
pub(super) use set_role::set_role;

/// The room of that name, or of that conversation.
fn find(context: &Context<'_>, room: &Recipient) -> Outcome<(ConversationId, RoomRecord)> {
    match room {
        Recipient::Room(name) => {
            let id = named(context, name)?;
            Ok((id, context.require(Key::Room(id))?))
        }
        Recipient::Conversation(id) => {
            let room = context.get::<RoomRecord>(Key::Room(*id))?;
            Ok((*id, room.ok_or(Rejection::UnknownConversation)?))
        }
        Recipient::User(_) => {
            Err(Rejection::Invalid("a room is meant, by its #name or its conversation".to_owned()).into())
        }
    }
}

/// The conversation of the room of that name.
pub(super) fn named(context: &Context<'_>, name: &str) -> Outcome<ConversationId> {
    let name = text::room_name(name);
    let unknown = || Rejection::UnknownRoom(text::quoted_name(name));
    text::check_name(name).map_err(|_| unknown())?;
    let record = context.get::<RoomNameRecord>(Key::RoomName(&text::fold_name(name)))?;
    Ok(record.ok_or_else(unknown)?.conversation)
}

/// A room that the one who asks is in, and what they may do there.
pub(super) fn find_own(
    context: &Context<'_>,
    asker: AccountId,
    room: &Recipient,
) -> Outcome<(ConversationId, RoomRecord, Role)> {
    let (id, record) = find(context, room)?;
    require_in(context, asker, id, room)?;
    let role = record.role_of(asker);
    Ok((id, record, role))
}

/// The membership of somebody who is in the room, which was named like that.
pub(super) fn require_in(
    context: &Context<'_>,
    asker: AccountId,
    id: ConversationId,
    room: &Recipient,
) -> Outcome<MembershipRecord> {
    let membership = context.get::<MembershipRecord>(Key::Membership(asker, id))?;
    let was_in = membership.is_some();
    match membership.filter(MembershipRecord::is_in_room) {
        Some(membership) => Ok(membership),
        None => Err(not_in(room, was_in).into()),
    }
}

/// What to tell somebody who is not in the room.
fn not_in(room: &Recipient, was_in: bool) -> Rejection {
    match room {
        Recipient::Room(name) => {
            Rejection::NotInRoom(format!("you are not in #{}", text::quoted_name(text::room_name(name))))
        }
        Recipient::Conversation(_) if was_in => Rejection::NotInRoom("you are not in that room any more".to_owned()),
        Recipient::Conversation(_) | Recipient::User(_) => Rejection::UnknownConversation,
    }
}

/// The live account of that name.
fn person(context: &Context<'_>, name: &str) -> Outcome<(AccountId, String)> {
    let unknown = || Rejection::UnknownUser(text::quoted_name(name));
    text::check_name(name).map_err(|_| unknown())?;
    match context.get::<NameRecord>(Key::Name(&text::fold_name(name)))? {
        Some(NameRecord { account, deleted: false, .. }) => {
            Ok((account, context.require::<AccountRecord>(Key::Account(account))?.name))
        }
        Some(NameRecord { deleted: true, .. }) | None => Err(unknown().into()),
    }
}

/// Only who has at least that role may go on.
pub(super) fn require_role(role: Role, least: Role, what: &str) -> Result<(), Rejection> {
    if role >= least {
        return Ok(());
    }
    let who = match least {
        Role::Member => "members",
        Role::Moderator => "moderators and owners",
        Role::Owner => "owners",
    };
    Err(Rejection::Forbidden(format!("only {who} of the room may {what}")))
}

/// Counts a member in, unless the room or the account has as many as it may.
fn count_in(context: &mut Context<'_>, account: AccountId, room: &mut RoomRecord) -> Outcome<()> {
    if room.members >= MEMBERS_PER_ROOM {
        let what = format!("the room has {MEMBERS_PER_ROOM} members, and cannot have more");
        return Err(Rejection::LimitReached(what).into());
    }
    let mut record: AccountRecord = context.require(Key::Account(account))?;
    let rooms = record.rooms.unwrap_or_default();
    if rooms >= ROOMS_PER_ACCOUNT {
        let what = format!("you are in {ROOMS_PER_ACCOUNT} rooms, and cannot be in more: leave one first");
        return Err(Rejection::LimitReached(what).into());
    }
    record.rooms = Some(rooms + 1);
    context.put(Key::Account(account), &record);
    room.members += 1;
    Ok(())
}

/// Takes a member out of a room, and tells the others with `told`: the last event there that the member sees. A room that
/// is left without an owner gets another one; one without members ends, and its name is free.
pub(super) fn take_out(
    context: &mut Context<'_>,
    id: ConversationId,
    mut room: RoomRecord,
    account: AccountId,
    told: EventBody,
) -> Result<(), StoreError> {
    let mut conversation: ConversationRecord = context.require(Key::Conversation(id))?;
    let event = context.tell_audience(id, &mut conversation, told, Audience::MembersWithout(account));
    let mut membership: MembershipRecord = context.require(Key::Membership(account, id))?;
    membership.leave(event.position(), room.name.clone(), conversation.messages);
    context.put(Key::Membership(account, id), &membership);
    context.delete(Key::Member(id, account));
    let mut record: AccountRecord = context.require(Key::Account(account))?;
    record.rooms = record.rooms.map(|rooms| rooms.saturating_sub(1)).filter(|rooms| *rooms > 0);
    context.put(Key::Account(account), &record);
    room.members = room.members.saturating_sub(1);
    room.set_role(account, Role::Member);
    if room.members == 0 {
        context.delete(Key::RoomName(&text::fold_name(&room.name)));
        context.delete(Key::Room(id));
        return webhook::delete_all(context, id);
    }
    if room.owners.is_empty() {
        let heir = heir(context, id, &room)?;
        room.set_role(heir, Role::Owner);
        let told = EventBody::RoleChanged { account: heir, role: Role::Owner, by: None };
        context.tell_conversation(id, &mut conversation, told);
    }
    context.put(Key::Room(id), &room);
    Ok(())
}

/// Who is owner next: the first moderator, else the member who registered first.
fn heir(context: &Context<'_>, id: ConversationId, room: &RoomRecord) -> Result<AccountId, StoreError> {
    if let Some(moderator) = room.moderators.first() {
        return Ok(*moderator);
    }
    let first = scan::first::<MemberRecord>(context.store, &Range::members(id), Direction::Ascending)?;
    let (account, _) = first.ok_or_else(|| StoreError::Corrupt(format!("room {id} has fewer members than counted")))?;
    Ok(AccountId(account))
}

/// An invitation is taken up, turned down or taken back. What told of it goes from the mailbox.
fn end_invitation(context: &mut Context<'_>, account: AccountId, id: ConversationId, invitation: &InvitationRecord) {
    context.delete(Key::Invitation(account, id));
    context.delete(Key::Mailbox(account, invitation.event));
    context.tell_account(account, EventBody::InvitationEnded { conversation: id });
}
