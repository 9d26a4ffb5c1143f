//! A query is given a consistent view; the server sees to that. Where it is cheap, a query is safe without: a list
//! of sessions read while one of them goes is no corruption, which would stop the server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    cell::{Cell, RefCell},
    ops::ControlFlow,
};

use threefold_core::{
    AccountId, Command, TokenHash, apply, entry, query,
    store::{Direction, MemoryStore, Read, StoreError, Visit},
};

/// A store to which one commit happens right after its first scan.
struct Live {
    store: RefCell<MemoryStore>,
    next: Cell<Option<MemoryStore>>,
}

impl Read for Live {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.borrow().get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let result =
            self.store.borrow().scan(start, end, direction, &mut |key, value| -> ControlFlow<()> { visit(key, value) });
        if let Some(next) = self.next.take() {
            *self.store.borrow_mut() = next;
        }
        result
    }
}

fn run(store: &mut MemoryStore, index: u64, command: Command) -> threefold_core::Reply {
    let unpacked = entry::Unpacked::new(1_000 + index, vec![command]);
    apply(store, index, &unpacked).unwrap().replies.remove(0)
}

fn token(n: u8) -> TokenHash {
    TokenHash([n; 32])
}

#[test]
fn listing_sessions_while_one_is_forgotten_is_no_corruption() {
    let mut store = MemoryStore::default();
    let register = Command::Register {
        name: "ann".to_owned(),
        password_hash: "hash".to_owned(),
        token_hash: token(1),
        device: "laptop".to_owned(),
    };
    let reply = run(&mut store, 1, register);
    let threefold_core::Reply::SessionOpened { account, .. } = reply else { panic!("{reply:?}") };
    let account: AccountId = account;
    let mut later = store.clone();
    let delete = Command::DeleteAccount { session: token(1), credential_version: 1 };
    run(&mut later, 2, delete);
    let live = Live { store: RefCell::new(store), next: Cell::new(Some(later)) };
    let sessions = query::sessions(&live, account);
    assert!(sessions.is_ok(), "the server would abort: {:?}", sessions.err());
}
