//! Removing what deleted accounts leave behind: a bounded number of records with every entry.

use crate::{
    bounds::CLEANUP_RECORDS,
    ids::AccountId,
    key::{Key, Range},
    record::{CleanupRecord, MetaRecord},
    scan,
    store::{Direction, StoreError, Write},
};

/// Removes some records of the account deleted first, and its entry in the list with the last of them.
pub(super) fn step(store: &mut dyn Write, meta: &mut MetaRecord) -> Result<(), StoreError> {
    // The count saves every entry a look at the list.
    if meta.cleanups == 0 {
        return Ok(());
    }
    let next = scan::first::<CleanupRecord>(store, &Range::cleanups(), Direction::Ascending)?;
    let (id, CleanupRecord {}) =
        next.ok_or_else(|| StoreError::Corrupt("fewer accounts to clean up than counted".to_owned()))?;
    let account = AccountId(id);
    let mut left = CLEANUP_RECORDS;
    for range in [Range::mailbox(account), Range::memberships(account), Range::hidden(account)] {
        let keys = scan::keys(store, &range, left)?;
        left -= keys.len();
        for key in keys {
            store.delete(key);
        }
    }
    if left > 0 {
        store.delete(Key::Cleanup(account).bytes());
        meta.cleanups -= 1;
    }
    Ok(())
}
