//! The network between the machines of a run: turmoil's, and what it lacks of a real one.
//!
//! A connection attempt into a cut is lost without an answer, as packets are that a firewall drops; or it is refused,
//! and standing connections are reset, as by a firewall that answers. Both look to a server as if another one had died.
//! A death stream that a living process drops is reset; the end of a process ends its streams cleanly, after all that
//! was written.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use threefold_server::net::{
    Caller, ClientListener, ClientSocket, Connection, DeathStream, Ends, PeerListener, PeerNetwork, PeerStream,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::sleep,
};
use turmoil::net::{TcpListener, TcpStream};

/// A kernel answers within this, both ways of the packets included.
const KERNEL: Duration = Duration::from_millis(4);

/// The longest name that a server may introduce itself by, bytes.
const NAME_BYTES: usize = 255;

/// How a cut is felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Everything is lost without a word.
    Drop,
    /// Connections are reset, and new ones refused.
    Refuse,
}

/// The state of every link between two machines.
#[derive(Default)]
pub struct Wires {
    links: Mutex<BTreeMap<(String, String), Link>>,
    streams: AtomicU64,
    dropped: Mutex<Dropped>,
    /// Machines on which no server's process runs: their kernels refuse connections.
    vacant: Mutex<BTreeSet<String>>,
}

/// Death streams that living processes have dropped.
#[derive(Default)]
struct Dropped {
    /// The machine whose process dies just now: its kernel ends the streams.
    dying: Option<String>,
    /// Each by its ends, the side that dialled first.
    streams: BTreeSet<(SocketAddr, SocketAddr)>,
}

/// What a connection is for, as its first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Calls,
    Death,
}

#[derive(Default)]
struct Link {
    cut: Option<Cut>,
    /// How often it was cut so far.
    cuts: u64,
    /// How often its connections were reset so far.
    resets: u64,
    /// How often those of calls were, apart from that.
    call_resets: u64,
    readers: BTreeMap<u64, Waker>,
}

fn key(one: &str, other: &str) -> (String, String) {
    crate::fact::between(one, other)
}

impl Wires {
    fn dropped(&self) -> MutexGuard<'_, Dropped> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the next call with none, what is dropped is dropped by the kernel of this machine, in a dead process's name.
    pub fn set_dying(&self, machine: Option<&str>) {
        self.dropped().dying = machine.map(str::to_owned);
    }

    fn vacant(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.vacant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a server's process runs on this machine.
    pub fn set_running(&self, machine: &str, is_running: bool) {
        if is_running {
            self.vacant().remove(machine);
        } else {
            self.vacant().insert(machine.to_owned());
        }
    }

    /// Waits until the kernel of `to` has refused a connection, for nobody is there; for ever if somebody is.
    async fn refused(&self, pair: &(String, String), to: &str) {
        loop {
            // There and back.
            sleep(KERNEL).await;
            let is_whole = self.with(pair, |link| link.cut.is_none());
            if is_whole && self.vacant().contains(to) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the link between two machines. What is under way is the simulated network's to lose.
    pub fn cut(&self, one: &str, other: &str, cut: Cut) {
        let mut links = self.lock();
        let link = links.entry(key(one, other)).or_default();
        link.cut = Some(cut);
        link.cuts += 1;
        if cut == Cut::Refuse {
            link.resets += 1;
            std::mem::take(&mut link.readers).into_values().for_each(Waker::wake);
        }
    }

    /// It is whole again. Calls are not taken up where they were. Death streams are, unless packets were `lost` for good.
    pub fn mend(&self, one: &str, other: &str, lost: bool) {
        let mut links = self.lock();
        let link = links.entry(key(one, other)).or_default();
        link.cut = None;
        link.call_resets += 1;
        link.resets += u64::from(lost);
        std::mem::take(&mut link.readers).into_values().for_each(Waker::wake);
    }

    fn with<T>(&self, pair: &(String, String), look: impl FnOnce(&mut Link) -> T) -> T {
        let mut links = self.lock();
        match links.get_mut(pair) {
            Some(link) => look(link),
            None => look(links.entry(pair.clone()).or_default()),
        }
    }

    /// Connects from one machine to a port of another.
    pub async fn connect(self: Arc<Self>, from: String, address: String) -> io::Result<Wire> {
        let Some((to, port)) = address.rsplit_once(':') else { return Err(io::ErrorKind::InvalidInput.into()) };
        let port: u16 = port.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let pair = key(&from, to);
        let before = self.with(&pair, |link| link.cuts);
        // The simulated network leaves a connection to a machine without a process unanswered.
        let connected = tokio::select! {
            biased;
            connected = TcpStream::connect((to, port)) => Some(connected),
            () = self.refused(&pair, to) => None,
        };
        let (cut, cuts) = self.with(&pair, |link| (link.cut, link.cuts));
        match (connected, cut) {
            (_, Some(Cut::Refuse)) | (None, _) => Err(io::ErrorKind::ConnectionRefused.into()),
            // The simulated network calls lost what a real one leaves unanswered.
            (Some(Err(_)), Some(Cut::Drop)) => std::future::pending().await,
            (Some(Err(_)), None) if cuts != before => std::future::pending().await,
            (Some(connected), _) => Ok(self.wire(pair, connected?)),
        }
    }

    fn wire(self: Arc<Self>, pair: (String, String), stream: TcpStream) -> Wire {
        let (resets, call_resets) = self.with(&pair, |link| (link.resets, link.call_resets));
        let number = self.streams.fetch_add(1, Ordering::SeqCst);
        Wire { stream, wires: self, pair, kind: Kind::Calls, resets, call_resets, number }
    }

    async fn accept(self: Arc<Self>, here: &str, listener: &TcpListener) -> io::Result<(Wire, Ends)> {
        let (stream, remote) = listener.accept().await?;
        let ends = Ends { local: stream.local_addr()?, remote };
        let from = turmoil::reverse_lookup(remote.ip()).unwrap_or_else(|| remote.ip().to_string());
        Ok((self.wire(key(here, &from), stream), ends))
    }
}

/// One end of a connection.
pub struct Wire {
    stream: TcpStream,
    wires: Arc<Wires>,
    pair: (String, String),
    kind: Kind,
    /// How often the link was reset when this was opened.
    resets: u64,
    /// The same of calls.
    call_resets: u64,
    number: u64,
}

impl Wire {
    fn ends(&self) -> io::Result<Ends> {
        Ok(Ends { local: self.stream.local_addr()?, remote: self.stream.peer_addr()? })
    }

    fn check(&self, reader: Option<&Context<'_>>) -> io::Result<()> {
        self.wires.with(&self.pair, |link| {
            let is_over = self.kind == Kind::Calls && link.call_resets != self.call_resets;
            if is_over || link.resets != self.resets {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if let Some(context) = reader {
                link.readers.insert(self.number, context.waker().clone());
            }
            Ok(())
        })
    }
}

/// The side of a death stream that dialled: a living process resets it.
struct Undying {
    wire: Wire,
    machine: String,
    ends: Ends,
}

impl Drop for Undying {
    fn drop(&mut self) {
        let mut dropped = self.wire.wires.dropped();
        if dropped.dying.as_ref() != Some(&self.machine) {
            dropped.streams.insert((self.ends.local, self.ends.remote));
        }
    }
}

impl AsyncRead for Undying {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Undying {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.wires.with(&self.pair, |link| link.readers.remove(&self.number));
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(Some(cx))?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(None)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(None)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(None)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How one server reaches the others: by plain connections that begin with both names.
pub struct Peers {
    /// Over these wires.
    pub wires: Arc<Wires>,
    /// From this server.
    pub name: String,
}

impl PeerNetwork for Peers {
    fn dial(&self, name: &str, address: &str) -> BoxFuture<'static, io::Result<Connection>> {
        let introduction = introduction(Kind::Calls, &self.name, name);
        let connecting = self.wires.clone().connect(self.name.clone(), address.to_owned());
        async move {
            let mut wire = connecting.await?;
            wire.write_all(&introduction?).await?;
            Ok(Box::new(wire) as Connection)
        }
        .boxed()
    }

    fn dial_death(&self, name: &str, address: &str) -> BoxFuture<'static, io::Result<DeathStream>> {
        let introduction = introduction(Kind::Death, &self.name, name);
        let connecting = self.wires.clone().connect(self.name.clone(), address.to_owned());
        let machine = self.name.clone();
        async move {
            let mut wire = connecting.await?;
            wire.kind = Kind::Death;
            let ends = wire.ends()?;
            let mut wire = Undying { wire, machine, ends };
            wire.write_all(&introduction?).await?;
            Ok(DeathStream { connection: Box::new(wire), ends })
        }
        .boxed()
    }

    fn knock(&self, address: &str) -> BoxFuture<'static, io::Result<()>> {
        let connecting = self.wires.clone().connect(self.name.clone(), address.to_owned());
        async move { connecting.await.map(drop) }.boxed()
    }
}

/// What the connection is for, the caller's name and the name of the one it means to reach, each after its length.
fn introduction(kind: Kind, caller: &str, called: &str) -> io::Result<Vec<u8>> {
    let mut bytes = vec![u8::from(kind == Kind::Death)];
    for name in [caller, called] {
        let length = u8::try_from(name.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        bytes.push(length);
        bytes.extend(name.as_bytes());
    }
    Ok(bytes)
}

async fn read_name(wire: &mut Wire) -> io::Result<String> {
    let mut name = [0; NAME_BYTES];
    let length = usize::from(wire.read_u8().await?);
    wire.read_exact(&mut name[..length]).await?;
    Ok(String::from_utf8_lossy(&name[..length]).into_owned())
}

/// A port of a server.
pub struct Port {
    listener: TcpListener,
    wires: Arc<Wires>,
    name: String,
}

impl Port {
    /// Listens on the server of that name, which must be the machine that calls.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn open(wires: Arc<Wires>, name: &str, port: u16) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(("0.0.0.0", port)).await?, wires, name: name.to_owned() })
    }
}

/// A connection from another server.
pub struct Peer {
    wire: Wire,
    caller: String,
    /// A death stream's other side is gone, and did not reset it.
    ended_cleanly: bool,
}

impl PeerListener for Port {
    type Stream = Peer;

    async fn accept(&mut self) -> io::Result<impl Future<Output = io::Result<Peer>> + Send + 'static> {
        let (mut wire, _) = self.wires.clone().accept(&self.name, &self.listener).await?;
        let own = self.name.clone();
        Ok(async move {
            wire.kind = if wire.read_u8().await? == 0 { Kind::Calls } else { Kind::Death };
            let (caller, called) = (read_name(&mut wire).await?, read_name(&mut wire).await?);
            if called != own {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{called} is not here")));
            }
            Ok(Peer { wire, caller, ended_cleanly: false })
        })
    }
}

impl PeerStream for Peer {
    fn caller(&self) -> Caller {
        let caller = self.caller.clone();
        Caller::new(move |name| name == caller)
    }

    fn is_death_stream(&self) -> bool {
        self.wire.kind == Kind::Death
    }

    fn ends(&self) -> io::Result<Ends> {
        self.wire.ends()
    }

    fn ended_cleanly(&self) -> bool {
        self.ended_cleanly
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.wire).poll_read(cx, buf))?;
        if self.wire.kind == Kind::Calls || buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let ends = self.wire.ends()?;
        if self.wire.wires.dropped().streams.contains(&(ends.remote, ends.local)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.ended_cleanly = true;
        // Nobody says farewell on such a stream.
        Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl ClientListener for Port {
    type Socket = Wire;

    async fn accept(&mut self) -> io::Result<(Wire, Ends)> {
        self.wires.clone().accept(&self.name, &self.listener).await
    }
}

impl ClientSocket for Wire {
    async fn first_word(&mut self) -> io::Result<()> {
        self.stream.peek(&mut [0]).await.map(drop)
    }
}

/// How people reach servers.
pub struct Lines {
    /// Over these wires.
    pub wires: Arc<Wires>,
    /// From this machine.
    pub machine: String,
}

impl threefold_client::Connector for Lines {
    fn connect(&self, address: &str) -> threefold_client::Connecting {
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let connecting = self.wires.clone().connect(self.machine.clone(), address);
        Box::pin(async move { Ok(Box::new(connecting.await?) as Box<dyn threefold_client::Transport>) })
    }
}
