//! Removing what deleted accounts leave behind: a bounded number of records with every entry.
//!
//! A deleted account is still a member of its rooms. It leaves them one after the other, as anybody leaves, and the rooms
//! are told; what that needs of an entry's places lies behind those of its commands.

use super::{Context, room};
use crate::{
    bounds::{CLEANUP_RECORDS, CLEANUP_ROOMS},
    event::EventBody,
    ids::{AccountId, ConversationId},
    key::{Key, Range},
    record::{CleanupRecord, MembershipRecord},
    scan,
    store::{Direction, StoreError},
};

/// Removes some records of the account deleted first, and its entry in the list with the last of them.
pub(super) fn step(context: &mut Context<'_>) -> Result<(), StoreError> {
    // The count saves every entry a look at the list.
    if context.meta.cleanups == 0 {
        return Ok(());
    }
    let next = scan::first::<CleanupRecord>(context.store, &Range::cleanups(), Direction::Ascending)?;
    let (id, CleanupRecord {}) =
        next.ok_or_else(|| StoreError::Corrupt("fewer accounts to clean up than counted".to_owned()))?;
    let account = AccountId(id);
    let Some(mut left) = leave_rooms(context, account)? else {
        return Ok(());
    };
    for range in [Range::mailbox(account), Range::hidden(account), Range::invitations(account)] {
        let keys = scan::keys(context.store, &range, left)?;
        left -= keys.len();
        for key in keys {
            context.store.delete(key);
        }
    }
    if left > 0 {
        context.delete(Key::Cleanup(account));
        context.meta.cleanups -= 1;
    }
    Ok(())
}

/// Removes memberships, after leaving the rooms among them. How many records may still be removed, or none if there are more
/// rooms than can be left now.
fn leave_rooms(context: &mut Context<'_>, account: AccountId) -> Result<Option<usize>, StoreError> {
    let memberships = scan::collect::<MembershipRecord>(context.store, &Range::memberships(account), CLEANUP_RECORDS)?;
    let left = CLEANUP_RECORDS - memberships.len();
    let mut rooms = 0;
    for (id, membership) in memberships {
        let id = ConversationId(id);
        if membership.is_in_room() {
            if rooms == CLEANUP_ROOMS {
                return Ok(None);
            }
            rooms += 1;
            let room = context.require(Key::Room(id))?;
            room::take_out(context, id, room, account, EventBody::MemberLeft { account })?;
        }
        context.delete(Key::Membership(account, id));
    }
    Ok(Some(left))
}
