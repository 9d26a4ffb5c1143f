//! A server in memory for the gateways' tests: the real state machine, without consensus, disks or peers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use threefold_core::{
    AccountId, Command, ConversationId, Event, EventId, Position, Scope, apply,
    entry::Unpacked,
    query,
    store::{MemoryStore, Read, StoreError},
};
use threefold_proto::chat;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};

use super::{
    Cost, Gateway, Passwords,
    door::{Door, Follow},
};
use crate::{
    config::Limits,
    net::{ClientListener, Ends},
    node::{
        Committed, Common, Condition, Followed, Seen, Unavailable, Word,
        limits::{Keeper, Key},
        typing::{Notice, Typing},
    },
    search::{self, Found, Wanted},
};

pub(super) const RECOVERY_ID: [u8; 16] = *b"of this cluster!";

/// A server alone in memory.
#[derive(Clone)]
pub(super) struct Solo(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    position: watch::Sender<Position>,
    present: Mutex<BTreeMap<AccountId, usize>>,
    /// Answers are held back while there is no permit; the writes are applied all the same.
    pub answers: Semaphore,
    pub unavailable: AtomicBool,
    pub is_cut_off: AtomicBool,
    pub retired: watch::Sender<Option<String>>,
    pub condition: watch::Sender<Condition>,
    /// The last notice.
    pub typing: watch::Sender<Option<Notice>>,
    pub limits: Arc<Keeper>,
    /// Of the last command.
    pub deadline: watch::Sender<Option<Instant>>,
    /// Questions to the state.
    pub reads: AtomicU64,
    pub pace: Typing,
    /// How often the cluster's state was asked for.
    pub gathered: AtomicU64,
    /// Who is in every room, as far as followers know. As soon as anybody is, what happens in rooms is read once for all.
    attending: Mutex<BTreeSet<AccountId>>,
    common: Mutex<BTreeMap<EventId, Arc<Common>>>,
    /// Searches do not end while it is set.
    pub holds_searches: AtomicBool,
    /// While somebody holds them: reads on other threads wait. (Names are looked through on threads of their own.)
    pub holds_reads: Mutex<Option<ThreadId>>,
    /// Who began a search in messages, one after another.
    pub searchers: watch::Sender<Vec<AccountId>>,
}

#[derive(Default)]
struct State {
    store: MemoryStore,
    log_index: u64,
}

impl Solo {
    pub fn new() -> Self {
        Self::with_limits(&Limits::new(0, 0, 0))
    }

    pub fn with_limits(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            limits: Keeper::new(limits),
            deadline: watch::Sender::new(None),
            reads: AtomicU64::new(0),
            pace: Typing::default(),
            gathered: AtomicU64::new(0),
            holds_searches: AtomicBool::new(false),
            holds_reads: Mutex::default(),
            searchers: watch::Sender::default(),
            state: Mutex::default(),
            position: watch::Sender::new(Position(0)),
            attending: Mutex::default(),
            common: Mutex::default(),
            present: Mutex::default(),
            answers: Semaphore::new(1_000_000),
            unavailable: AtomicBool::new(false),
            is_cut_off: AtomicBool::new(false),
            retired: watch::Sender::new(None),
            typing: watch::Sender::new(None),
            condition: watch::Sender::new(Condition { word: Word::Normal, detail: String::new() }),
        }))
    }

    /// A gateway before it, with passwords that cost nothing.
    pub fn gateway(&self) -> Gateway<Self> {
        Gateway::new(self.clone(), Passwords::new(Cost::CHEAP).unwrap())
    }

    pub fn deadlines(&self) -> watch::Receiver<Option<Instant>> {
        self.0.deadline.subscribe()
    }

    /// As this account's followers know it: in every room from now on, or in none.
    pub fn set_attending(&self, account: AccountId, attends: bool) {
        let mut attending = self.0.attending.lock().unwrap();
        let _ = if attends { attending.insert(account) } else { attending.remove(&account) };
    }

    /// As a follower is given it.
    fn seen(&self, event: Event) -> Seen {
        let is_common = matches!(event.scope, Scope::Conversation(_)) && !self.0.attending.lock().unwrap().is_empty();
        if !is_common {
            return Seen::Own(event);
        }
        let mut common = self.0.common.lock().unwrap();
        Seen::Common(common.entry(event.id).or_insert_with(|| Arc::new(Common::new(event))).clone())
    }

    pub fn gathered(&self) -> u64 {
        self.0.gathered.load(Ordering::SeqCst)
    }

    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    pub fn hold_searches(&self, held: bool) {
        self.0.holds_searches.store(held, Ordering::SeqCst);
    }

    /// Reads on other threads than the caller's wait from now on, or not any more.
    pub fn hold_reads(&self, held: bool) {
        *self.0.holds_reads.lock().unwrap() = held.then(|| thread::current().id());
    }

    pub fn searchers(&self) -> watch::Receiver<Vec<AccountId>> {
        self.0.searchers.subscribe()
    }

    pub fn set_condition(&self, word: Word, detail: &str) {
        self.0.condition.send_replace(Condition { word, detail: detail.to_owned() });
    }

    pub fn set_unavailable(&self, unavailable: bool) {
        self.0.unavailable.store(unavailable, Ordering::SeqCst);
    }

    /// As a leader that nobody hears: it keeps the limits, and confirms nothing.
    pub fn set_cut_off(&self, is_cut_off: bool) {
        self.0.is_cut_off.store(is_cut_off, Ordering::SeqCst);
    }

    pub fn set_retired(&self, why: Option<&str>) {
        self.0.retired.send_replace(why.map(str::to_owned));
    }

    /// Takes all permits to answer, and gives them back.
    pub fn hold_answers(&self) {
        self.0.answers.forget_permits(usize::MAX);
    }

    pub fn release_answers(&self) {
        self.0.answers.add_permits(1_000_000);
    }

    /// How many entries were applied.
    pub fn applied(&self) -> u64 {
        self.state().log_index
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn available(&self) -> Result<(), Unavailable> {
        match self.0.unavailable.load(Ordering::SeqCst) {
            true => Err(Unavailable("no leader".into())),
            false => Ok(()),
        }
    }

    pub fn apply(&self, command: &Command) -> Committed {
        let mut state = self.state();
        state.log_index += 1;
        let time_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let State { store, log_index } = &mut *state;
        let mut applied = apply(store, *log_index, &Unpacked::new(time_ms, vec![command.clone()])).unwrap();
        let position = Position::end_of(*log_index);
        drop(state);
        self.0.position.send_replace(position);
        Committed { position, reply: applied.replies.remove(0) }
    }
}

impl Door for Solo {
    type Follower = SoloFollower;
    type Present = SoloPresent;

    async fn enqueue(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> Result<impl Future<Output = Result<Committed, Unavailable>> + Send + 'static, Unavailable> {
        self.available()?;
        self.0.deadline.send_replace(Some(deadline));
        let committed = self.apply(command);
        let shared = Arc::clone(&self.0);
        Ok(async move {
            shared.answers.acquire().await.unwrap().forget();
            Ok(committed)
        })
    }

    async fn submit(&self, command: &Command, deadline: Instant) -> Result<Committed, Unavailable> {
        self.enqueue(command, deadline).await?.await
    }

    async fn submit_bulk(&self, command: &Command, deadline: Instant) -> Result<Committed, Unavailable> {
        self.submit(command, deadline).await
    }

    async fn wait_for(&self, position: Position, deadline: Instant) -> Result<(), Unavailable> {
        let mut positions = self.0.position.subscribe();
        let reached = timeout_at(deadline, positions.wait_for(|reached| *reached >= position)).await;
        reached.map(|_| ()).map_err(|_| Unavailable("behind".into()))
    }

    async fn wait_consistent(&self, _deadline: Instant) -> Result<(), Unavailable> {
        match self.0.is_cut_off.load(Ordering::SeqCst) {
            true => Err(Unavailable("no leader confirmed the read".into())),
            false => self.available(),
        }
    }

    fn count_write(&self, account: AccountId) -> Result<(), Duration> {
        self.0.limits.count_write(account)
    }

    async fn take(&self, keys: &[Key], _deadline: Instant) -> Result<Result<(), Duration>, Unavailable> {
        self.available()?;
        for (place, key) in keys.iter().enumerate() {
            if let Err(wait) = self.0.limits.take(key) {
                self.give_back(keys[..place].to_vec()).await;
                return Ok(Err(wait));
            }
        }
        Ok(Ok(()))
    }

    async fn give_back(&self, keys: Vec<Key>) {
        keys.iter().for_each(|key| self.0.limits.give_back(key));
    }

    fn read<T>(&self, query: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        while self.0.holds_reads.lock().unwrap().is_some_and(|holder| holder != thread::current().id()) {
            thread::sleep(Duration::from_millis(1));
        }
        query(&self.state().store).unwrap()
    }

    fn search(&self, wanted: &Wanted) -> Found {
        self.0.searchers.send_modify(|searchers| searchers.push(wanted.reader));
        while self.0.holds_searches.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        self.read(|store| search::find(store, None, wanted))
    }

    fn position(&self) -> Position {
        *self.0.position.borrow()
    }

    fn recovery_id(&self) -> Vec<u8> {
        RECOVERY_ID.into()
    }

    fn follow(&self, account: AccountId, after: Position) -> SoloFollower {
        SoloFollower {
            door: self.clone(),
            account,
            after,
            positions: self.0.position.subscribe(),
            typing: self.0.typing.subscribe(),
            first: true,
        }
    }

    fn arrive(&self, account: AccountId) -> SoloPresent {
        *self.0.present.lock().unwrap().entry(account).or_default() += 1;
        SoloPresent { door: self.clone(), account }
    }

    fn online(&self) -> Vec<AccountId> {
        self.0.present.lock().unwrap().keys().copied().collect()
    }

    fn client_addresses(&self) -> Vec<String> {
        vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()]
    }

    fn begins_typing(&self, account: AccountId) -> bool {
        self.0.pace.begin(account)
    }

    fn tell_typing(&self, notice: Notice) {
        self.0.typing.send_replace(Some(notice));
    }

    fn retired(&self) -> watch::Receiver<Option<String>> {
        self.0.retired.subscribe()
    }

    fn condition(&self) -> watch::Receiver<Condition> {
        self.0.condition.subscribe()
    }

    async fn status(&self, _patience: Duration) -> chat::ClusterStatus {
        self.0.gathered.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        chat::ClusterStatus { state: "normal".into(), servers: vec![self.local_status()], ..Default::default() }
    }

    fn local_status(&self) -> chat::ServerStatus {
        let leader = u64::from(self.available().is_ok());
        chat::ServerStatus { id: 1, role: "leader".into(), leader, ..Default::default() }
    }
}

pub(super) struct SoloFollower {
    door: Solo,
    account: AccountId,
    after: Position,
    positions: watch::Receiver<Position>,
    typing: watch::Receiver<Option<Notice>>,
    first: bool,
}

impl Follow for SoloFollower {
    async fn next(&mut self) -> Followed {
        let after = self.after;
        if !self.first {
            loop {
                tokio::select! {
                    biased;
                    _ = self.typing.changed() => {
                        let typing = self.typing.borrow_and_update().filter(|notice| notice.account != self.account && notice.reader.is_none_or(|reader| reader == self.account));
                        if let Some(notice) = typing {
                            return Followed { events: Vec::new(), up_to: after, typing: vec![notice], is_of_account: false };
                        }
                    }
                    _ = self.positions.wait_for(|reached| *reached > after) => break,
                }
            }
        }
        self.first = false;
        let up_to = self.door.position().max(after);
        let caught = self.door.read(|store| query::events_after(store, self.account, after, up_to, None, 100));
        self.after = caught.reached;
        Followed {
            events: caught.events.into_iter().map(|event| self.door.seen(event)).collect(),
            up_to: caught.reached,
            typing: Vec::new(),
            is_of_account: true,
        }
    }

    fn attends(&self, _: ConversationId) -> bool {
        self.door.0.attending.lock().unwrap().contains(&self.account)
    }
}

pub(super) struct SoloPresent {
    door: Solo,
    account: AccountId,
}

impl Drop for SoloPresent {
    fn drop(&mut self) {
        let mut present = self.door.0.present.lock().unwrap();
        if let Some(count) = present.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.account);
            }
        }
    }
}

/// A port to which other machines seem to connect.
pub(super) struct Foreign {
    listener: TcpListener,
    /// The last number of each one's address, in the order in which they come.
    hosts: VecDeque<u8>,
}

impl Foreign {
    pub async fn listen(hosts: &[u8]) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), hosts: hosts.iter().copied().collect() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

impl ClientListener for Foreign {
    type Socket = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Ends)> {
        let (socket, ends) = ClientListener::accept(&mut self.listener).await?;
        let host = self.hosts.pop_front().expect("no more connections than hosts");
        let remote = (IpAddr::from([192, 0, 2, host]), ends.remote.port()).into();
        Ok((socket, Ends { remote, ..ends }))
    }
}
