//! What one server needs to know to run.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use threefold_core::bounds;

/// One server's configuration, complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's name, unique in its cluster; also the name in its certificate. A server that comes with a new
    /// directory under the name of an old one takes that one's place.
    pub name: String,
    /// Holds the log, the state and the server's identity.
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub client_listen: SocketAddr,
    /// Where programs connect that speak JSON lines or the binary framing; none: nowhere.
    pub chat_listen: Option<SocketAddr>,
    /// Where the other servers connect.
    pub peer_listen: SocketAddr,
    /// The address clients are told (host:port).
    pub client_address: String,
    /// The address of the chat TCP port that clients are told (host:port); empty where there is none.
    pub chat_address: String,
    /// The address the other servers are told (host:port).
    pub peer_address: String,
    /// Web pages that may connect besides those that this server gives out itself: their origins, as browsers write them.
    pub allowed_origins: Vec<String>,
    /// The other servers expected in the cluster (this one may be among them; it is then skipped).
    pub peers: Vec<PeerConfig>,
    /// Form a new cluster of this one server, if its directory is empty. The listed peers are then admitted
    /// as they ask. An empty server without this waits to be admitted.
    pub bootstrap: bool,
    /// Found the cluster with survivor mode switched on: three servers then survive the death of any two processes. Of a cluster
    /// that is founded, `threefold survivor-mode` switches it.
    pub survivor_mode: bool,
    /// Accounts that are administrators through this server, by name, whatever the state says.
    pub administrators: Vec<String>,
    /// How much of what, and how often.
    pub limits: Limits,
    /// What of files this server lets in.
    pub attachments: AttachmentLimits,
    /// The program that makes thumbnails, a process each, called with [`crate::gateway::THUMBNAIL_ARGUMENT`]; none: this process does.
    pub thumbnailer: Option<PathBuf>,
    /// Where the page may have the servers of this machine killed and started; none for all that `up` did not start.
    pub control: Option<Control>,
    /// Mutual TLS between servers.
    pub peer_tls: PeerTls,
    /// Fine tuning; the default is for production.
    pub tuning: Tuning,
}

/// How often something may happen: a burst at once, then one every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Then one in this time.
    pub every: Duration,
}

impl Rate {
    /// So many in `per`, and `burst` of them at once. None: no limit.
    #[must_use]
    pub fn of(count: u32, per: Duration, burst: u32) -> Option<Self> {
        (count > 0).then(|| Self { burst: burst.max(1), every: per / count })
    }
}

/// The limits of rates; none: no limit. All servers of a cluster should have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Writes (messages, edits, markers, ...) of an account.
    pub writes: Option<Rate>,
    /// Failed log-ins under one name from one address.
    pub failed_logins_at: Option<Rate>,
    /// Failed log-ins under one name from anywhere: so that whoever fails for somebody does not easily shut that one out.
    pub failed_logins: Option<Rate>,
    /// Failed log-ins from one address.
    pub failed_logins_from: Option<Rate>,
    /// Registrations from one address.
    pub registrations: Option<Rate>,
}

/// Writes of an account in a second: no person comes near it, and a script still sends a book in minutes.
pub const WRITES_PER_SECOND: u32 = 200;
/// Registrations from an address in an hour: a whole office behind one address may come on the first day.
pub const REGISTRATIONS_PER_HOUR: u32 = 300;
/// Failed log-ins of an account from an address in an hour: too few to guess, and enough not to shut out who mistypes.
pub const FAILED_LOGINS_PER_HOUR: u32 = 120;
/// Of an hour's failed log-ins so many may come at once.
const FAILED_LOGINS_AT_ONCE: u32 = 20;
/// From one address (behind which may be many people) this many times what one account may.
const ACCOUNTS_AN_ADDRESS: u32 = 10;
/// And of one account from all addresses this many times what it may from one. Whoever guesses from many gains as much, against which 8
/// characters stand; whoever wants to shut somebody out needs as many.
const ADDRESSES_AN_ACCOUNT: u32 = 10;
/// So many seconds' writes may come at once: what an outbox holds after a while without network.
const SECONDS_AT_ONCE: u32 = 10;

impl Limits {
    /// From what an operator sets; zero: no limit.
    #[must_use]
    pub fn new(writes_per_second: u32, registrations_per_hour: u32, failed_logins_per_hour: u32) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        let at_once = FAILED_LOGINS_AT_ONCE.min(failed_logins_per_hour);
        let (from, from_at_once) =
            (failed_logins_per_hour.saturating_mul(ACCOUNTS_AN_ADDRESS), at_once * ACCOUNTS_AN_ADDRESS);
        let write_burst = writes_per_second.saturating_mul(SECONDS_AT_ONCE);
        Self {
            writes: Rate::of(writes_per_second, Duration::from_secs(1), write_burst),
            failed_logins_at: Rate::of(failed_logins_per_hour, HOUR, at_once),
            failed_logins: Rate::of(
                failed_logins_per_hour.saturating_mul(ADDRESSES_AN_ACCOUNT),
                HOUR,
                at_once * ADDRESSES_AN_ACCOUNT,
            ),
            failed_logins_from: Rate::of(from, HOUR, from_at_once),
            registrations: Rate::of(registrations_per_hour, HOUR, registrations_per_hour),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(WRITES_PER_SECOND, REGISTRATIONS_PER_HOUR, FAILED_LOGINS_PER_HOUR)
    }
}

/// What of files a server lets in; the same at all servers, or it matters which one a client talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachmentLimits {
    /// One attachment in bytes.
    pub attachment_bytes: u64,
    /// All attachments of one account in bytes.
    pub quota_bytes: u64,
}

impl Default for AttachmentLimits {
    fn default() -> Self {
        Self { attachment_bytes: bounds::DEFAULT_ATTACHMENT_BYTES, quota_bytes: bounds::DEFAULT_QUOTA_BYTES }
    }
}

impl AttachmentLimits {
    /// Limits in MiB; what is not given is the default.
    ///
    /// # Errors
    /// When an attachment would be larger than any may be.
    pub fn of_mib(attachment_mib: Option<u64>, quota_mib: Option<u64>) -> Result<Self, String> {
        let bytes = |mib: u64| mib.saturating_mul(1 << 20);
        let usual = Self::default();
        let attachment_bytes = attachment_mib.map_or(usual.attachment_bytes, bytes);
        if attachment_bytes > bounds::ATTACHMENT_BYTES {
            return Err(format!("an attachment has at most {} MiB", bounds::ATTACHMENT_BYTES >> 20));
        }
        Ok(Self { attachment_bytes, quota_bytes: quota_mib.map_or(usual.quota_bytes, bytes) })
    }
}

/// The control endpoint of the `up` that started this server.
#[derive(Clone, PartialEq, Eq)]
pub struct Control {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it obeys.
    pub token: String,
    /// Where this server's own pages come from.
    pub page_port: u16,
}

/// Letters of a token: 32 bytes in hexadecimal.
const CONTROL_TOKEN_LETTERS: usize = 64;

impl Control {
    /// From what `up` says of it (`ADDRESS,TOKEN`), for a server that listens at `client_listen`. None unless both are on this machine
    /// alone: what is for others has no such thing.
    #[must_use]
    pub fn read(told: &str, client_listen: SocketAddr) -> Option<Self> {
        let (address, token) = told.split_once(',')?;
        let address: SocketAddr = address.parse().ok()?;
        let is_token = token.len() == CONTROL_TOKEN_LETTERS && token.bytes().all(|letter| letter.is_ascii_hexdigit());
        let is_here = address.ip().is_loopback() && client_listen.ip().is_loopback();
        let page_port = client_listen.port();
        (is_token && is_here).then(|| Self { address, token: token.to_owned(), page_port })
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token: it belongs in no log.
        f.debug_struct("Control").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its name.
    pub name: String,
    /// Where it listens for servers (host:port).
    pub peer_address: String,
}

/// PEM files for the links between servers.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// The authority that signs every server's certificate.
    pub ca: PathBuf,
    /// This server's certificate: its name is the DNS name in it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Times and sizes that tests and simulations change.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Between two heartbeats of the leader, milliseconds.
    pub heartbeat_ms: u64,
    /// The least time without a leader before an election, milliseconds.
    pub election_min_ms: u64,
    /// The greatest.
    pub election_max_ms: u64,
    /// The log is purged behind a persisted state every so many entries.
    pub snapshot_entries: u64,
    /// So many entries stay in the log behind the persisted state, for servers a little behind.
    pub keep_entries: u64,
    /// The log is purged behind a persisted state as well when its entries are larger than this together, bytes; then
    /// about half of it stays.
    pub log_bytes: u64,
}

/// What the log may weigh: minutes of full load, and a replay of some seconds.
const LOG_BYTES: u64 = 256 << 20;

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_min_ms: 400,
            election_max_ms: 800,
            snapshot_entries: 20_000,
            keep_entries: 10_000,
            log_bytes: LOG_BYTES,
        }
    }
}

/// Whether an account can be called that.
///
/// # Errors
/// Which rule is broken, in words.
pub fn check_account_name(name: &str) -> Result<(), String> {
    threefold_core::text::check_name(name).map_err(|rejection| rejection.to_string())
}
