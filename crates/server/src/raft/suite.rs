//! openraft's own storage test suite, on our log and state machine.

use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt as _,
};
use tempfile::TempDir;
use threefold_core::{Position, apply::Happened};

use super::{
    executor::{Executor, InlineExecutor, ThreadExecutor},
    log::{Log, LogWatch},
    machine::{Machine, Observer},
    types::TypeConfig,
    visibility::Visibility,
};
use crate::storage::{
    LogStore, StateStore,
    fjall_log::FjallLog,
    fjall_state::FjallState,
    memory::{MemoryLog, MemoryState},
};

struct Nobody;

impl Observer for Nobody {
    fn applied(&self, _position: Position, _happened: &[Happened]) {}
    fn replaced(&self, _position: Position) {}
}

/// Log and machine of plain Raft: the suite's configurations have no in-sync set.
fn parts(
    log: impl LogStore,
    state: impl StateStore,
    executor: impl Executor,
) -> Result<(Log, Machine), StorageError<TypeConfig>> {
    let watch = LogWatch { configurations: Arc::default(), announcer: Arc::default() };
    let visibility = Arc::new(Visibility::new(watch.configurations.clone(), None));
    let machine = Machine::new(Arc::new(state), Arc::new(executor), visibility, watch.clone(), Arc::new(Nobody));
    let machine = machine.map_err(|error| StorageError::read(TypeConfig::err_from_string(error)))?;
    Ok((Log::new(Arc::new(log), watch), machine))
}

struct OnDisk;

impl StoreBuilder<TypeConfig, Log, Machine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError<TypeConfig>> {
        let error = |error: &dyn std::fmt::Display| StorageError::read(TypeConfig::err_from_string(error));
        let directory = tempfile::tempdir().map_err(|e| error(&e))?;
        let log = FjallLog::open(&directory.path().join("log")).map_err(|e| error(&e))?;
        let state = FjallState::open(&directory.path().join("state")).map_err(|e| error(&e))?;
        let executor = ThreadExecutor::start("apply").map_err(|e| error(&e))?;
        let (log, machine) = parts(log, state, executor)?;
        Ok((directory, log, machine))
    }
}

struct InMemory;

impl StoreBuilder<TypeConfig, Log, Machine, ()> for InMemory {
    async fn build(&self) -> Result<((), Log, Machine), StorageError<TypeConfig>> {
        let (log, machine) = parts(MemoryLog::default(), MemoryState::default(), InlineExecutor)?;
        Ok(((), log, machine))
    }
}

#[test]
fn openrafts_storage_suite_passes_on_disk() {
    TypeConfig::run(async { Suite::test_all(OnDisk).await.unwrap() });
}

#[test]
fn openrafts_storage_suite_passes_in_memory() {
    TypeConfig::run(async { Suite::test_all(InMemory).await.unwrap() });
}
