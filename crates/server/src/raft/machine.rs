//! The state machine as openraft sees it, over any [`StateStore`].
//!
//! Each committed entry waits for its visibility, is applied by the domain, and reaches the store
//! together with the mark of how far it has got, in one atomic step: so the state always knows its place in
//! the log. A snapshot is nothing but the live state and that mark; its cost does not grow with the history.
//! An entry that cannot be understood, or a store that fails, ends the server: a replica that guesses diverges.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot, SnapshotMeta},
};

use threefold_core::{
    Position,
    apply::Happened,
    entry,
    store::{Changes, Overlay, Read, StoreError, Write},
};
use threefold_proto::peer;

use super::{
    executor::{self, Executor},
    log::LogWatch,
    roll,
    types::{
        Payload, RaftEntry, RaftLogId, RaftStoredMembership, Replies, TypeConfig, from_record, log_id_from_wire,
        log_id_to_wire, stored_membership_from_wire, stored_membership_to_wire, to_record,
    },
    visibility::Visibility,
};
use crate::{
    ambient,
    storage::{ReceivedState, StateSnapshot, StateStore},
};

/// Entries applied in one atomic step, at most: bounds the time until the first of them is answered.
pub(super) const APPLY_ENTRIES: usize = 64;

/// Entries up to this many bytes in all are applied where they come in, a few messages: less work than waking the applying thread and being
/// woken by it. Queries read the state there as well.
const INLINE_BYTES: usize = 4 * 1024;
/// And up to this many: each may have to look into the database.
const INLINE_ENTRIES: usize = 8;

/// Bytes copied at once from one state to another.
const COPY_BYTES: usize = 1024 * 1024;

/// The mark: the last applied log id and the last configuration, as one record. (Prefix 0x00 is the server's.)
const KEY_APPLIED: &[u8] = &[0x00, 1];
/// The cluster's recovery id, 16 bytes.
pub(crate) const KEY_RECOVERY_ID: &[u8] = &[0x00, 2];

/// The recovery ids before it, whose histories were replaced by a recovery: 16 bytes each.
const KEY_REPLACED_RECOVERY_IDS: &[u8] = &[0x00, 4];
/// Bytes of a recovery id.
const RECOVERY_ID_BYTES: usize = 16;

/// First byte of an entry that founds a cluster: its recovery id follows. (Entries of commands begin with
/// their version, [`entry::ENTRY_VERSION`] at most.)
const FOUND_CLUSTER: u8 = 0xF0;

/// Told what was applied, in order, after it can be read.
pub trait Observer: Send + Sync + 'static {
    /// Everything up to `position` is visible; this happened.
    fn applied(&self, position: Position, happened: &[Happened]);
    /// The whole state was replaced by a newer one: anything may have happened.
    fn replaced(&self, position: Position);
}

/// Several observers, each told in this order.
pub struct Observers(pub Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn applied(&self, position: Position, happened: &[Happened]) {
        self.0.iter().for_each(|observer| observer.applied(position, happened));
    }

    fn replaced(&self, position: Position) {
        self.0.iter().for_each(|observer| observer.replaced(position));
    }
}

/// A snapshot: the live state of this server, or the received one of another.
pub enum SnapshotData {
    /// A consistent view of this server's state.
    Live(Box<dyn StateSnapshot>),
    /// A complete state received from the leader.
    Received(ReceivedState),
}

/// The payload of the entry that founds a cluster.
pub fn found_cluster(recovery_id: [u8; 16]) -> Payload {
    let mut bytes = vec![FOUND_CLUSTER];
    bytes.extend(recovery_id);
    Payload(bytes.into())
}

/// The recovery id in a state; none while the cluster is not founded.
pub fn recovery_id(store: &dyn Read) -> Result<Option<Vec<u8>>, StoreError> {
    store.get(KEY_RECOVERY_ID)
}

/// How far a state has got, and the configuration it knows.
pub fn applied_mark(store: &dyn Read) -> Result<(Option<RaftLogId>, RaftStoredMembership), StoreError> {
    let Some(record) = store.get(KEY_APPLIED)? else { return Ok((None, RaftStoredMembership::default())) };
    let corrupt = |error: super::types::Malformed| StoreError::Corrupt(format!("the applied mark: {error}"));
    let header: peer::SnapshotHeader = from_record(Bytes::from(record)).map_err(corrupt)?;
    let membership = header.last_membership.map(stored_membership_from_wire).transpose().map_err(corrupt)?;
    Ok((header.last_log_id.map(log_id_from_wire), membership.unwrap_or_default()))
}

/// What a copy of a state says of itself: its recovery id (empty: none), how far it has got, and the configuration it knows.
///
/// # Errors
/// When the state cannot be read, or nothing was ever applied.
pub fn described(store: &dyn Read) -> Result<(Vec<u8>, peer::SnapshotHeader), StoreError> {
    let nothing = || StoreError::Corrupt("nothing was ever applied".to_owned());
    let record = store.get(KEY_APPLIED)?.ok_or_else(nothing)?;
    let header = from_record(Bytes::from(record));
    let header = header.map_err(|error| StoreError::Corrupt(format!("the applied mark: {error}")))?;
    Ok((recovery_id(store)?.unwrap_or_default(), header))
}

/// Whether a record belongs to a state wherever it goes. Of the server's own records those do that tell which history this is;
/// what operators have said was about servers of that cluster.
pub fn is_kept_when_restored(key: &[u8]) -> bool {
    key.first() != Some(&0) || [KEY_APPLIED, KEY_RECOVERY_ID, KEY_REPLACED_RECOVERY_IDS].contains(&key)
}

/// The mark as a state keeps it: key and record.
fn mark(applied: &RaftLogId, membership: &RaftStoredMembership) -> (Vec<u8>, Vec<u8>) {
    let mark = peer::SnapshotHeader {
        version: 1,
        vote: None,
        last_log_id: Some(log_id_to_wire(applied)),
        last_membership: Some(stored_membership_to_wire(membership)),
    };
    (KEY_APPLIED.to_vec(), to_record(&mark).to_vec())
}

/// Puts a state, whatever it has applied, at this place of a history with this recovery id: one atomic step.
pub(super) fn begin_history(
    store: &dyn StateStore,
    applied: &RaftLogId,
    membership: &RaftStoredMembership,
    recovery_id: [u8; 16],
) -> io::Result<()> {
    let (key, record) = mark(applied, membership);
    let mut replaced = store.get(KEY_REPLACED_RECOVERY_IDS).map_err(io::Error::other)?.unwrap_or_default();
    replaced.extend(store.get(KEY_RECOVERY_ID).map_err(io::Error::other)?.unwrap_or_default());
    store.commit(Changes::from([
        (key, Some(record)),
        (KEY_RECOVERY_ID.to_vec(), Some(recovery_id.to_vec())),
        (KEY_REPLACED_RECOVERY_IDS.to_vec(), Some(replaced)),
    ]))
}

/// Whether the history with this recovery id was replaced by that of this state.
pub(super) fn has_replaced(store: &dyn Read, recovery_id: &[u8]) -> Result<bool, StoreError> {
    let replaced = store.get(KEY_REPLACED_RECOVERY_IDS)?.unwrap_or_default();
    Ok(replaced.chunks(RECOVERY_ID_BYTES).any(|known| known == recovery_id))
}

/// The state machine.
pub struct Machine {
    store: Arc<dyn StateStore>,
    executor: Arc<dyn Executor>,
    visibility: Arc<Visibility>,
    log_watch: LogWatch,
    observer: Arc<dyn Observer>,
    applied: Option<RaftLogId>,
    membership: RaftStoredMembership,
}

type Answer = (ApplyResponder<TypeConfig>, Replies);

/// What a step of entries came to.
pub(super) struct Step {
    replies: Vec<Replies>,
    happened: Vec<Happened>,
    applied: RaftLogId,
    /// The newest configuration then.
    pub(super) membership: RaftStoredMembership,
}

impl Machine {
    /// The state machine over `store`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: Arc<dyn StateStore>,
        executor: Arc<dyn Executor>,
        visibility: Arc<Visibility>,
        log_watch: LogWatch,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StoreError> {
        let (applied, membership) = applied_mark(&*store)?;
        Ok(Self { store, executor, visibility, log_watch, observer, applied, membership })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        executor::run(&*self.executor, work).await.ok_or_else(|| io::Error::other("the apply thread has ended"))?
    }

    /// Applies entries as they become visible.
    async fn apply_visible(&mut self, mut batch: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let visibility = self.visibility.clone();
        while let Some((first, _)) = batch.first() {
            let _pass = visibility.pass(first.log_id).await.map_err(io::Error::other)?;
            let visible = batch.iter().take_while(|(entry, _)| visibility.is_visible(entry.log_id)).count().max(1);
            let later = batch.split_off(visible);
            self.step(batch).await?;
            batch = later;
        }
        Ok(())
    }

    /// Applies some entries in one atomic step and answers them.
    async fn step(&mut self, batch: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let (entries, responders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let store = self.store.clone();
        let membership = self.membership.clone();
        let step = if is_small(&entries) && store.has_room() {
            apply_entries(&*store, &entries, membership)?
        } else {
            self.run(move || apply_entries(&*store, &entries, membership)).await?
        };
        self.applied = Some(step.applied);
        self.membership = step.membership;
        self.visibility.applied(step.applied);
        self.observer.applied(Position::end_of(step.applied.index), &step.happened);
        let answers = responders.into_iter().zip(step.replies);
        for (responder, replies) in answers.filter_map(|(responder, replies)| Some::<Answer>((responder?, replies))) {
            responder.send(replies);
        }
        Ok(())
    }
}

/// Whether entries are applied where they come in.
fn is_small(entries: &[RaftEntry]) -> bool {
    let bytes = entries.iter().map(|entry| match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    });
    // What is synced at once is not done where others wait.
    entries.len() <= INLINE_ENTRIES && bytes.sum::<usize>() <= INLINE_BYTES && !entries.iter().any(founds)
}

/// Whether an entry founds the cluster.
fn founds(entry: &RaftEntry) -> bool {
    matches!(&entry.payload, EntryPayload::Normal(payload) if payload.0.first() == Some(&FOUND_CLUSTER))
}

/// Applies entries, which follow what was applied before, in one atomic step.
pub(super) fn apply_entries(
    store: &dyn StateStore,
    entries: &[RaftEntry],
    mut membership: RaftStoredMembership,
) -> io::Result<Step> {
    let mut overlay = Overlay::new(store);
    let mut replies = Vec::with_capacity(entries.len());
    let mut happened = Vec::new();
    let mut applied = None;
    for raft_entry in entries {
        let log_id = raft_entry.log_id;
        applied = Some(log_id);
        replies.push(match &raft_entry.payload {
            EntryPayload::Blank => Replies::default(),
            EntryPayload::Membership(new) => {
                membership = RaftStoredMembership::new(Some(log_id), new.clone());
                Replies::default()
            }
            EntryPayload::Normal(payload) => apply_payload(&mut overlay, log_id.index, payload, &mut happened)?,
        });
    }
    let applied = applied.ok_or_else(|| io::Error::other("a step without entries"))?;
    let (key, record) = mark(&applied, &membership);
    overlay.put(key, record);
    let changes: Changes = overlay.into_changes();
    store.commit(changes)?;
    if entries.iter().any(founds) {
        // Once in a cluster's life. A server that is killed and does not find on its disk which history it has would pass for a newcomer in another
        // one, of which its own may be the replaced one.
        store.persist()?;
    }
    Ok(Step { replies, happened, applied, membership })
}

fn apply_payload(
    store: &mut impl Write,
    log_index: u64,
    payload: &Payload,
    happened: &mut Vec<Happened>,
) -> io::Result<Replies> {
    if let Some((&FOUND_CLUSTER, recovery_id)) = payload.0.split_first() {
        // The first one counts: a leader that finds none proposes one, and two may have done so.
        if store.get(KEY_RECOVERY_ID).map_err(io::Error::other)?.is_none() {
            store.put(KEY_RECOVERY_ID.to_vec(), recovery_id.to_vec());
        }
        return Ok(Replies::default());
    }
    if let Some((&roll::OPERATORS_WORD, word)) = payload.0.split_first() {
        roll::apply(store, word).map_err(io::Error::other)?;
        return Ok(Replies::default());
    }
    let unpacked = entry::unpack(&payload.0)
        .map_err(|error| io::Error::other(format!("log entry {log_index} cannot be applied: {error}")))?;
    let applied = threefold_core::apply(store, log_index, &unpacked).map_err(io::Error::other)?;
    happened.extend(applied.happened);
    Ok(Replies(applied.replies))
}

/// Copies a live view into a new place beside the present state.
fn copy(view: &dyn StateSnapshot, store: &dyn StateStore) -> io::Result<ReceivedState> {
    let mut install = store.begin_install()?;
    let mut after: Option<Bytes> = None;
    loop {
        let records = view.chunk(after.as_deref(), COPY_BYTES).map_err(io::Error::other)?;
        let Some((last, _)) = records.last() else { return install.finish() };
        after = Some(last.clone());
        install.write(&records)?;
    }
}

/// Builds snapshots, beside `apply`.
pub struct SnapshotBuilder {
    store: Arc<dyn StateStore>,
}

impl SnapshotBuilder {
    async fn view(
        &self,
        durable: bool,
    ) -> io::Result<(SnapshotMeta<CommittedLeader, u64, super::types::Member>, SnapshotData)> {
        let store = self.store.clone();
        let task = ambient::blocking(move || {
            let view = store.snapshot()?;
            if durable {
                store.persist()?;
            }
            let (last_log_id, last_membership) = applied_mark(&*view).map_err(io::Error::other)?;
            Ok::<_, io::Error>((SnapshotMeta { last_log_id, last_membership }, SnapshotData::Live(view)))
        });
        task.await?
    }
}

type CommittedLeader = super::types::CommittedLeader;
type MachineSnapshot = Snapshot<CommittedLeader, u64, super::types::Member, SnapshotData>;

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<MachineSnapshot> {
        // Durable first: openraft purges the log behind what is returned here.
        let (meta, snapshot) = self.view(true).await?;
        Ok(Snapshot { meta, snapshot })
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<RaftLogId>, RaftStoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut batches = entries.ready_chunks(APPLY_ENTRIES);
        while let Some(batch) = batches.next().await {
            let applied = self.apply_visible(batch.into_iter().collect::<io::Result<Vec<_>>>()?).await;
            applied.inspect_err(|error| self.visibility.fail(error))?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        SnapshotBuilder { store: self.store.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<CommittedLeader, u64, super::types::Member>,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let visibility = self.visibility.clone();
        let _pass = visibility.enter().await.map_err(io::Error::other)?;
        let last_index = meta.last_log_id.map_or(0, |log_id| log_id.index);
        self.log_watch.received(&meta.last_membership, last_index).await;
        let store = self.store.clone();
        let install = move || match snapshot {
            SnapshotData::Received(received) => store.finish_install(received),
            SnapshotData::Live(view) => copy(&*view, &*store).and_then(|received| store.finish_install(received)),
        };
        self.run(install).await?;
        let (applied, membership) = applied_mark(&*self.store).map_err(io::Error::other)?;
        if applied != meta.last_log_id {
            return Err(io::Error::other("the received state is not the one that was announced"));
        }
        self.applied = applied;
        self.membership = membership;
        if let Some(applied) = applied {
            self.visibility.applied(applied);
            self.observer.replaced(Position::end_of(applied.index));
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<MachineSnapshot>> {
        if self.applied.is_none() {
            return Ok(None);
        }
        let (meta, snapshot) = SnapshotBuilder { store: self.store.clone() }.view(false).await?;
        Ok(Some(Snapshot { meta, snapshot }))
    }
}
