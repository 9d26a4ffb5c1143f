//! What `up` keeps in its directory, and how a cluster is laid out over ports.
//!
//! ```text
//! DIR/cluster        how many servers, which ports, and whether the cluster was ever formed
//! DIR/up.lock        held by the one `up` that runs
//! DIR/certs/         the authority and a certificate for each server
//! DIR/server-1.toml  a server's configuration, written again at each start
//! DIR/server-1/      its data
//! DIR/logs/server-1.log
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use threefold_server::{
    config::PeerConfig,
    peer::certs::{self, AUTHORITY_CERTIFICATE},
};

use crate::{
    exit::Failure,
    settings::{Listen, Peer, Settings},
};

/// The version of the `cluster` file; a newer one is refused.
const VERSION: u32 = 1;
/// More voters only make every write slower; nine survive four failures.
pub const MAX_SERVERS: usize = 9;
/// From a server's client port to its chat TCP port: apart by more than there are servers, and before the peer ports.
const CHAT_PORT_DISTANCE: u16 = 50;
/// From a server's client port to its peer port: apart by more than there are servers.
const PEER_PORT_DISTANCE: u16 = 100;

/// What one server of a local cluster is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPlan {
    /// Its name.
    pub name: String,
    /// Where clients connect.
    pub client: SocketAddr,
    /// Its chat TCP port, where it has one.
    pub chat: Option<SocketAddr>,
    /// Where servers connect.
    pub peer: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its log file.
    pub log: PathBuf,
    /// Where its page may have servers killed and started, and the token for it.
    pub control: Option<String>,
}

/// What is remembered of a cluster between two runs of `up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    version: u32,
    /// How many servers it has.
    pub servers: usize,
    /// The first client port.
    pub port: u16,
    /// It was formed: from now on nobody founds it again, whatever happens to a directory.
    pub bootstrapped: bool,
}

/// The part of the file that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The directory of a cluster on this machine.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// Opens the directory, creating it if it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let layout = Self::at(directory);
        for path in [directory.to_owned(), layout.logs()] {
            fs::create_dir_all(&path).map_err(|error| unusable(&path, &error))?;
        }
        Ok(layout)
    }

    /// The directory as it is, whether it is there or not.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Keeps every other `up` out of the directory while the file is open.
    ///
    /// # Errors
    /// When another `up` holds it.
    pub fn lock(&self) -> Result<File, Failure> {
        let path = self.directory.join("up.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| unusable(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Failure::Refused(format!(
                "another `threefold up` or `restore` runs in {}: stop it, or name another directory with --data-dir",
                self.directory.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
        }
    }

    /// What is remembered of the cluster; none before the first start.
    ///
    /// # Errors
    /// When the file cannot be read or is of a newer version.
    pub fn load(&self) -> Result<Option<ClusterFile>, Failure> {
        let path = self.cluster_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let damaged = |error: toml::de::Error| unusable(&path, &error.message());
        // The version first: a newer one may hold anything else.
        let Version { version } = toml::from_str(&text).map_err(damaged)?;
        if version > VERSION {
            let why = format!("it is of version {version}, and this program knows up to {VERSION}");
            return Err(unusable(&path, &why));
        }
        toml::from_str(&text).map(Some).map_err(damaged)
    }

    /// Remembers it, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, cluster: &ClusterFile) -> Result<(), Failure> {
        let path = self.cluster_path();
        let new = self.directory.join("cluster.new");
        let text = toml::to_string(cluster).map_err(|error| unusable(&path, &error))?;
        let written = File::create(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| File::open(&self.directory)?.sync_all());
        written.map_err(|error| unusable(&path, &error))
    }

    /// The plan of a server with these addresses, and without a chat TCP port.
    #[must_use]
    pub fn plan(&self, name: &str, client: SocketAddr, peer: SocketAddr) -> ServerPlan {
        ServerPlan {
            name: name.to_owned(),
            client,
            chat: None,
            peer,
            data: self.directory.join(name),
            config: self.directory.join(format!("{name}.toml")),
            log: self.logs().join(format!("{name}.log")),
            control: None,
        }
    }

    /// Makes what the servers need and is not there yet: certificates; and writes their configurations.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare(&self, plans: &[ServerPlan]) -> Result<(), Failure> {
        let directory = self.directory.join("certs");
        let failed = |error: certs::CertsError| Failure::Refused(error.to_string());
        if !directory.join(AUTHORITY_CERTIFICATE).exists() {
            certs::create_authority(&directory).map_err(failed)?;
        }
        let peers: Vec<Peer> = plans
            .iter()
            .map(|plan| Peer(PeerConfig { name: plan.name.clone(), peer_address: plan.peer.to_string() }))
            .collect();
        for plan in plans {
            let (certificate, _) = certs::server_files(&directory, &plan.name);
            if !certificate.exists() {
                certs::issue(&directory, &directory, &plan.name, &[]).map_err(failed)?;
            }
            let text = configuration(plan, &peers).map_err(|error| unusable(&plan.config, &error))?;
            fs::write(&plan.config, text).map_err(|error| unusable(&plan.config, &error))?;
        }
        Ok(())
    }

    fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    fn cluster_path(&self) -> PathBuf {
        self.directory.join("cluster")
    }
}

impl ClusterFile {
    /// A cluster not yet formed.
    #[must_use]
    pub fn new(servers: usize, port: u16) -> Self {
        Self { version: VERSION, servers, port, bootstrapped: false }
    }

    /// The plans of its servers, on consecutive ports.
    ///
    /// # Errors
    /// When the ports would pass the last one there is.
    pub fn plans(&self, layout: &Layout) -> Result<Vec<ServerPlan>, Failure> {
        let plan = |place: usize| {
            let client = u16::try_from(place).ok().and_then(|place| self.port.checked_add(place))?;
            let peer = client.checked_add(PEER_PORT_DISTANCE)?;
            let chat = client.checked_add(CHAT_PORT_DISTANCE)?;
            let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let plan = layout.plan(&format!("server-{}", place + 1), local(client), local(peer));
            Some(ServerPlan { chat: Some(local(chat)), ..plan })
        };
        let plans: Option<Vec<_>> = (0..self.servers).map(plan).collect();
        plans.ok_or_else(|| Failure::Usage(format!("--port {} is too high: there are no ports above 65535", self.port)))
    }
}

/// Checks that nobody listens where the servers will. `movable`: the cluster could still be given other ports.
///
/// # Errors
/// Naming the port and what to do.
pub fn check_ports(plans: &[ServerPlan], movable: bool) -> Result<(), Failure> {
    let instead = if movable { ", or choose other ports with --port" } else { "" };
    for plan in plans {
        for address in [plan.client, plan.peer].into_iter().chain(plan.chat) {
            TcpListener::bind(address).map_err(|error| {
                let why = match error.kind() {
                    io::ErrorKind::AddrInUse => "is in use by another process".to_owned(),
                    _ => format!("cannot be used ({error})"),
                };
                Failure::Refused(format!("port {} for {} {why}: stop what uses it{instead}", address.port(), plan.name))
            })?;
        }
    }
    Ok(())
}

fn configuration(plan: &ServerPlan, peers: &[Peer]) -> Result<String, toml::ser::Error> {
    let certificates = Path::new("certs");
    let (certificate, key) = certs::server_files(certificates, &plan.name);
    let settings = Settings {
        name: Some(plan.name.clone()),
        data_dir: Some(PathBuf::from(&plan.name)),
        client_listen: Some(Listen(plan.client)),
        chat_listen: plan.chat.map(Listen),
        peer_listen: Some(Listen(plan.peer)),
        peers: Some(peers.to_vec()),
        peer_ca: Some(certificates.join(AUTHORITY_CERTIFICATE)),
        peer_cert: Some(certificate),
        peer_key: Some(key),
        ..Settings::default()
    };
    Ok(format!("# Written by `threefold up` at each start.\n{}", toml::to_string(&settings)?))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(format!("cannot use {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn what_is_written_makes_complete_configurations() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        let plans = ClusterFile::new(3, 7400).plans(&layout).unwrap();
        // Twice: the second time, everything is there already.
        layout.prepare(&plans).unwrap();
        layout.prepare(&plans).unwrap();
        for (place, plan) in plans.iter().enumerate() {
            let config = Settings::read(&plan.config).unwrap().complete().unwrap().config;
            assert_eq!(config.client_address, format!("127.0.0.1:{}", 7400 + place));
            assert_eq!(config.chat_address, format!("127.0.0.1:{}", 7450 + place));
            assert_eq!(config.peer_address, format!("127.0.0.1:{}", 7500 + place));
            assert_eq!(config.data_dir, plan.data);
            assert_eq!(config.peers.len(), 3);
            assert!(!config.bootstrap, "founding is asked for on the command line, once");
            assert!(config.peer_tls.certificate.exists() && config.peer_tls.key.exists());
        }
    }

    #[test]
    fn a_cluster_is_remembered_and_a_newer_version_refused() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        assert_eq!(layout.load().unwrap(), None);
        let mut cluster = ClusterFile::new(5, 8000);
        layout.save(&cluster).unwrap();
        assert_eq!(layout.load().unwrap(), Some(cluster.clone()));
        cluster.version = VERSION + 1;
        layout.save(&cluster).unwrap();
        assert!(layout.load().unwrap_err().to_string().contains("version 2"));
        fs::write(directory.path().join("cluster"), "version = 3\nsomething = \"new\"\n").unwrap();
        assert!(layout.load().unwrap_err().to_string().contains("version 3"));
    }

    #[test]
    fn one_directory_has_one_up() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        let held = layout.lock().unwrap();
        assert!(layout.lock().unwrap_err().to_string().contains("another `threefold up`"));
        drop(held);
        // A process that another test has just forked holds what is open here until it has become another program.
        let give_up = Instant::now() + Duration::from_secs(60);
        while layout.lock().is_err() {
            assert!(Instant::now() < give_up, "it stays locked");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn ports_in_use_and_ports_too_high_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        let message = check_ports(&[layout.plan("server-1", taken, taken)], true).unwrap_err().to_string();
        assert!(message.contains(&format!("port {} for server-1 is in use", taken.port())), "{message}");
        drop(listener);
        assert!(matches!(ClusterFile::new(3, 65500).plans(&layout), Err(Failure::Usage(_))));
    }
}
