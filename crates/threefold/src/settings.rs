//! What a server is told: flags, else environment, else a TOML file, else a default.
//!
//! One structure describes all three, so that a key of the file is always the name of its flag. Every error names its
//! place: the flag or variable, or the file, its line and its key. Left out on purpose: settings that could differ
//! while the server runs, and secrets (those stand in files of their own).

mod values;

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, Serialize};
use threefold_server::{
    config::{
        AttachmentLimits, Config, FAILED_LOGINS_PER_HOUR, Limits, PeerTls, REGISTRATIONS_PER_HOUR, Tuning,
        WRITES_PER_SECOND, check_account_name,
    },
    peer::certs,
};
pub use values::{Address, Listen, LogFormat, Origin, Peer};

use crate::exit::Failure;

/// Where clients connect unless told otherwise; the client library knows the same port.
const CLIENT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7400);
/// Where servers connect unless told otherwise.
const PEER_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7500);
/// How much is logged unless told otherwise.
const LOG_LEVEL: &str = "info";

/// One source's settings; what it does not say is none.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// This server's name: unique in its cluster, and the name in its certificate.
    #[arg(long, env = "THREEFOLD_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// The directory for the log and the state; created if missing.
    #[arg(long, env = "THREEFOLD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:7400].
    #[arg(long, env = "THREEFOLD_CLIENT_LISTEN", value_name = "IP:PORT")]
    pub client_listen: Option<Listen>,
    /// Where programs connect that speak JSON lines or the binary framing (the chat TCP port; without TLS, for trusted networks)
    /// [default: nowhere].
    #[arg(long, env = "THREEFOLD_CHAT_LISTEN", value_name = "IP:PORT")]
    pub chat_listen: Option<Listen>,
    /// Where the other servers connect [default: 127.0.0.1:7500].
    #[arg(long, env = "THREEFOLD_PEER_LISTEN", value_name = "IP:PORT")]
    pub peer_listen: Option<Listen>,
    /// The address clients are told [default: where it listens].
    #[arg(long, env = "THREEFOLD_CLIENT_ADDRESS", value_name = "HOST:PORT")]
    pub client_address: Option<Address>,
    /// The address of the chat TCP port that clients are told [default: where it listens].
    #[arg(long, env = "THREEFOLD_CHAT_ADDRESS", value_name = "HOST:PORT")]
    pub chat_address: Option<Address>,
    /// The address the other servers are told [default: where it listens].
    #[arg(long, env = "THREEFOLD_PEER_ADDRESS", value_name = "HOST:PORT")]
    pub peer_address: Option<Address>,
    /// Web pages that may connect besides those that the server gives out itself: their origins. Repeat it, or separate them by commas.
    #[arg(
        long = "allowed-origin",
        env = "THREEFOLD_ALLOWED_ORIGINS",
        value_name = "SCHEME://HOST[:PORT]",
        value_delimiter = ','
    )]
    pub allowed_origins: Option<Vec<Origin>>,
    /// The servers of the cluster: their names and peer addresses. Repeat it, or separate them by commas.
    #[arg(long = "peer", env = "THREEFOLD_PEERS", value_name = "NAME=HOST:PORT", value_delimiter = ',')]
    pub peers: Option<Vec<Peer>>,
    /// Found a new cluster, if the directory is empty. Exactly one server of a new cluster is started with this, once.
    #[arg(long, env = "THREEFOLD_BOOTSTRAP", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub bootstrap: Option<bool>,
    /// Found the cluster with survivor mode: of three servers the last one goes on alone when the processes of the two others have
    /// died [default: true].
    #[arg(long, env = "THREEFOLD_SURVIVOR_MODE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub survivor_mode: Option<bool>,
    /// Accounts that are administrators through this server, whatever their own rights. Repeat it, or separate them by commas.
    #[arg(long = "administrator", env = "THREEFOLD_ADMINISTRATORS", value_name = "NAME", value_delimiter = ',')]
    pub administrators: Option<Vec<String>>,
    /// Writes an account may make in a second, ten seconds' worth at once; 0: no limit [default: 200].
    #[arg(long, env = "THREEFOLD_WRITE_RATE", value_name = "N")]
    pub write_rate: Option<u32>,
    /// Registrations from one address in an hour; 0: no limit [default: 300].
    #[arg(long, env = "THREEFOLD_REGISTRATION_RATE", value_name = "N")]
    pub registration_rate: Option<u32>,
    /// Failed log-ins of one account in an hour, and ten times as many from one address; 0: no limit [default: 120].
    #[arg(long, env = "THREEFOLD_LOGIN_RATE", value_name = "N")]
    pub login_rate: Option<u32>,
    /// The largest file that may be attached to a message, in MiB; the same at all servers [default: 25].
    #[arg(long, env = "THREEFOLD_ATTACHMENT_MIB", value_name = "MIB")]
    pub attachment_mib: Option<u64>,
    /// What all attachments of one account may take, in MiB; the same at all servers [default: 1024].
    #[arg(long, env = "THREEFOLD_ATTACHMENT_QUOTA_MIB", value_name = "MIB")]
    pub attachment_quota_mib: Option<u64>,
    /// The certificate of the authority that signed those of the servers.
    #[arg(long, env = "THREEFOLD_PEER_CA", value_name = "FILE")]
    pub peer_ca: Option<PathBuf>,
    /// This server's certificate.
    #[arg(long, env = "THREEFOLD_PEER_CERT", value_name = "FILE")]
    pub peer_cert: Option<PathBuf>,
    /// The key of this server's certificate.
    #[arg(long, env = "THREEFOLD_PEER_KEY", value_name = "FILE")]
    pub peer_key: Option<PathBuf>,
    /// How much is logged: error, warn, info, debug, trace (of this program itself), or directives by module such as
    /// info,openraft=debug [default: info].
    #[arg(long, env = "THREEFOLD_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How log lines look [default: text].
    #[arg(long, env = "THREEFOLD_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Fine tuning, for tests: the log is purged behind a persisted state every so many entries.
    #[arg(long, env = "THREEFOLD_SNAPSHOT_ENTRIES", value_name = "N", hide = true)]
    pub snapshot_entries: Option<NonZeroU64>,
    /// Fine tuning, for tests: so many entries stay in the log behind the persisted state.
    #[arg(long, env = "THREEFOLD_KEEP_ENTRIES", value_name = "N", hide = true)]
    pub keep_entries: Option<u64>,
}

/// A server's settings and how it logs, complete and checked.
#[derive(Clone, Debug)]
pub struct Complete {
    /// For the server.
    pub config: Config,
    /// Level or directives.
    pub log_level: String,
    /// What lines look like.
    pub log_format: LogFormat,
}

impl Settings {
    /// Reads a configuration file. Relative paths in it begin at the file's own directory.
    ///
    /// # Errors
    /// [`Failure::Usage`] naming the file, and for wrong content the line and the key.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("cannot read the configuration {}: {error}", path.display())))?;
        let settings: Self = toml::from_str(&text).map_err(|error| in_file(path, &text, &error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let from_here = |path: Option<PathBuf>| path.map(|path| directory.join(path));
        Ok(Self {
            data_dir: from_here(settings.data_dir),
            peer_ca: from_here(settings.peer_ca),
            peer_cert: from_here(settings.peer_cert),
            peer_key: from_here(settings.peer_key),
            ..settings
        })
    }

    /// These settings, and where they say nothing, those `below`.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            name: self.name.or(below.name),
            data_dir: self.data_dir.or(below.data_dir),
            client_listen: self.client_listen.or(below.client_listen),
            chat_listen: self.chat_listen.or(below.chat_listen),
            peer_listen: self.peer_listen.or(below.peer_listen),
            client_address: self.client_address.or(below.client_address),
            chat_address: self.chat_address.or(below.chat_address),
            peer_address: self.peer_address.or(below.peer_address),
            allowed_origins: self.allowed_origins.or(below.allowed_origins),
            peers: self.peers.or(below.peers),
            bootstrap: self.bootstrap.or(below.bootstrap),
            survivor_mode: self.survivor_mode.or(below.survivor_mode),
            administrators: self.administrators.or(below.administrators),
            write_rate: self.write_rate.or(below.write_rate),
            registration_rate: self.registration_rate.or(below.registration_rate),
            login_rate: self.login_rate.or(below.login_rate),
            attachment_mib: self.attachment_mib.or(below.attachment_mib),
            attachment_quota_mib: self.attachment_quota_mib.or(below.attachment_quota_mib),
            peer_ca: self.peer_ca.or(below.peer_ca),
            peer_cert: self.peer_cert.or(below.peer_cert),
            peer_key: self.peer_key.or(below.peer_key),
            log_level: self.log_level.or(below.log_level),
            log_format: self.log_format.or(below.log_format),
            snapshot_entries: self.snapshot_entries.or(below.snapshot_entries),
            keep_entries: self.keep_entries.or(below.keep_entries),
        }
    }

    /// Fills in the defaults and checks the whole.
    ///
    /// # Errors
    /// [`Failure::Usage`] naming what is missing or does not fit.
    pub fn complete(self) -> Result<Complete, Failure> {
        let name = required(self.name, "name")?;
        certs::check_server_name(&name).map_err(|error| Failure::Usage(error.to_string()))?;
        let client_listen = self.client_listen.map_or(CLIENT_LISTEN, |listen| listen.0);
        let peer_listen = self.peer_listen.map_or(PEER_LISTEN, |listen| listen.0);
        if client_listen == peer_listen {
            return Err(Failure::Usage(format!("client-listen and peer-listen are both {client_listen}")));
        }
        let chat_listen = self.chat_listen.map(|listen| listen.0);
        for (key, other) in [("client-listen", client_listen), ("peer-listen", peer_listen)] {
            if chat_listen == Some(other) {
                return Err(Failure::Usage(format!("chat-listen and {key} are both {other}")));
            }
        }
        let chat_address = match chat_listen {
            Some(listen) => advertised(self.chat_address, listen, "chat-address")?,
            None if self.chat_address.is_some() => {
                return Err(Failure::Usage("chat-address is of no use without chat-listen".to_owned()));
            }
            None => String::new(),
        };
        let peers = self.peers.unwrap_or_default();
        for (place, peer) in peers.iter().enumerate() {
            if peers[..place].iter().any(|earlier| earlier.0.name == peer.0.name) {
                return Err(Failure::Usage(format!("the peer {} is listed twice", peer.0.name)));
            }
        }
        let administrators = self.administrators.unwrap_or_default();
        for name in &administrators {
            check_account_name(name).map_err(|why| Failure::Usage(format!("administrators: {name:?}: {why}")))?;
        }
        let attachments = AttachmentLimits::of_mib(self.attachment_mib, self.attachment_quota_mib);
        let attachments = attachments.map_err(|why| Failure::Usage(format!("attachment-mib: {why}")))?;
        let usual = Tuning::default();
        let config = Config {
            data_dir: required(self.data_dir, "data-dir")?,
            client_listen,
            chat_listen,
            peer_listen,
            chat_address,
            client_address: advertised(self.client_address, client_listen, "client-address")?,
            peer_address: advertised(self.peer_address, peer_listen, "peer-address")?,
            allowed_origins: self.allowed_origins.unwrap_or_default().into_iter().map(|origin| origin.0).collect(),
            peers: peers.into_iter().map(|peer| peer.0).collect(),
            bootstrap: self.bootstrap.unwrap_or(false),
            survivor_mode: self.survivor_mode.unwrap_or(true),
            administrators,
            limits: Limits::new(
                self.write_rate.unwrap_or(WRITES_PER_SECOND),
                self.registration_rate.unwrap_or(REGISTRATIONS_PER_HOUR),
                self.login_rate.unwrap_or(FAILED_LOGINS_PER_HOUR),
            ),
            attachments,
            thumbnailer: None,
            control: None,
            peer_tls: PeerTls {
                ca: required(self.peer_ca, "peer-ca")?,
                certificate: required(self.peer_cert, "peer-cert")?,
                key: required(self.peer_key, "peer-key")?,
            },
            tuning: Tuning {
                snapshot_entries: self.snapshot_entries.map_or(usual.snapshot_entries, NonZeroU64::get),
                keep_entries: self.keep_entries.unwrap_or(usual.keep_entries),
                ..usual
            },
            name,
        };
        Ok(Complete {
            config,
            log_level: self.log_level.unwrap_or_else(|| LOG_LEVEL.to_owned()),
            log_format: self.log_format.unwrap_or_default(),
        })
    }
}

fn required<T>(value: Option<T>, key: &str) -> Result<T, Failure> {
    let variable = key.to_uppercase().replace('-', "_");
    value.ok_or_else(|| {
        Failure::Usage(format!(
            "{key} is missing: give --{key}, THREEFOLD_{variable}, or {key} in the configuration file"
        ))
    })
}

/// What others are told: as given, else where the server listens, which must then mean something to others.
fn advertised(given: Option<Address>, listen: SocketAddr, key: &str) -> Result<String, Failure> {
    match given {
        Some(address) => Ok(address.0),
        None if listen.ip().is_unspecified() || listen.port() == 0 => Err(Failure::Usage(format!(
            "{key} is missing: nobody can connect to {listen}, so say what others are told"
        ))),
        None => Ok(listen.to_string()),
    }
}

/// `FILE:LINE: KEY: what is wrong`.
fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    // A list is blamed from its first line, which may stand below its key.
    let key = text.lines().take(line).filter_map(key_of).last();
    let message = error.message();
    let key = key.filter(|key| !message.contains(&format!("`{key}`"))).map_or(String::new(), |key| format!("{key}: "));
    Failure::Usage(format!("{}:{line}: {key}{message}", path.display()))
}

fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}

#[cfg(test)]
mod tests;
