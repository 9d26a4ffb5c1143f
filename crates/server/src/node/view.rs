//! Queries on a consistent view: a query reads several records, and applying goes on meanwhile.

use threefold_core::store::{Read, StoreError};

use crate::storage::StateStore;

/// Runs `query` on the state as of one commit. The view lives no longer than the query, for as long as it does the
/// database keeps what it could otherwise compact away.
///
/// # Errors
/// When the store cannot be read, or the query fails.
pub(super) fn query<T>(
    state: &dyn StateStore,
    query: impl FnOnce(&dyn Read) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let view = state.snapshot()?;
    let store: &dyn Read = &*view;
    query(store)
}

#[cfg(test)]
mod tests {
    use threefold_core::store::Changes;

    use super::*;
    use crate::storage::{fjall_state::FjallState, memory::MemoryState};

    fn both(value: u8) -> Changes {
        [b"a", b"b"].into_iter().map(|key| (key.to_vec(), Some(vec![value]))).collect()
    }

    fn one_commit_is_seen(state: &dyn StateStore) {
        state.commit(both(1)).unwrap();
        let seen = query(state, |store| {
            let first = store.get(b"a")?;
            state.commit(both(2))?;
            Ok((first, store.get(b"b")?))
        });
        assert_eq!(seen.unwrap(), (Some(vec![1]), Some(vec![1])));
        assert_eq!(query(state, |store| store.get(b"b")).unwrap(), Some(vec![2]), "the next one sees the next commit");
    }

    #[test]
    fn a_query_sees_one_commit_while_others_are_made() {
        one_commit_is_seen(&MemoryState::new());
        let directory = tempfile::tempdir().unwrap();
        one_commit_is_seen(&FjallState::open(&directory.path().join("state")).unwrap());
    }

    /// Says what a view costs: `cargo test --release -p threefold-server --lib cost_of_a_view -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement, not a check"]
    fn cost_of_a_view() {
        let directory = tempfile::tempdir().unwrap();
        let state = FjallState::open(&directory.path().join("state")).unwrap();
        for records in [0_u32, 1_000, 10_000, 100_000] {
            let changes = (0..records).map(|record| (record.to_be_bytes().to_vec(), Some(vec![7; 100])));
            state.commit(changes.collect()).unwrap();
            let rounds = 20_000;
            let measure = |what: &str, step: &dyn Fn()| {
                let start = std::time::Instant::now();
                (0..rounds).for_each(|_| step());
                println!("{records} records, {what}: {:?}", start.elapsed() / rounds);
            };
            let key = 500_u32.to_be_bytes();
            measure("a view", &|| query(&state, |_| Ok(())).unwrap());
            measure("a view and two reads", &|| {
                drop(query(&state, |store| Ok((store.get(&key)?, store.get(&key)?))).unwrap());
            });
            measure("two reads without", &|| drop((state.get(&key).unwrap(), state.get(&key).unwrap())));
        }
    }
}
