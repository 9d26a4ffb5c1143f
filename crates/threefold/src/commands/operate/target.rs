//! Which cluster an operator's command is for, and with which certificate: found in what the servers themselves use.

use std::path::{Path, PathBuf};

use clap::Args;
use threefold::{
    exit,
    settings::{Peer, Settings},
};
use threefold_server::{
    config::{PeerConfig, PeerTls},
    peer::operator::Operator,
};

use crate::commands::Failure;

/// The directory of `threefold up`, unless told otherwise.
const USUAL_DATA_DIR: &str = "threefold-data";

/// Whom to ask. Without anything: the cluster of `threefold up` in this directory.
#[derive(Args, Debug)]
pub struct Target {
    /// The configuration of any server of the cluster, a TOML file as for `threefold serve`
    #[arg(long, env = "THREEFOLD_CONFIG", value_name = "FILE", help_heading = "Connection and output")]
    config: Option<PathBuf>,
    /// The directory of a cluster of `threefold up` [default: threefold-data]
    #[arg(long, value_name = "DIR", conflicts_with = "config", help_heading = "Connection and output")]
    data_dir: Option<PathBuf>,
    /// Servers to ask, by name and peer address; may be repeated
    #[arg(long = "peer", value_name = "NAME=HOST:PORT", value_delimiter = ',', help_heading = "Connection and output")]
    peers: Option<Vec<Peer>>,
    /// The certificate of the authority that signed those of the servers
    #[arg(long, value_name = "FILE", help_heading = "Connection and output")]
    peer_ca: Option<PathBuf>,
    /// The certificate to show, of any server
    #[arg(long, value_name = "FILE", help_heading = "Connection and output")]
    peer_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", help_heading = "Connection and output")]
    peer_key: Option<PathBuf>,
}

impl Target {
    /// Somebody to give orders to it.
    ///
    /// # Errors
    /// When nothing says where the cluster is, or the certificate cannot be used.
    pub fn operator(&self) -> Result<Operator, Failure> {
        let settings = self.settings()?;
        let missing = |what: &str| {
            Failure::usage(format!(
                "{what} is missing: give --config with a server's configuration, --data-dir with the directory of \
                 `threefold up`, or --peer, --peer-ca, --peer-cert and --peer-key"
            ))
        };
        let servers = servers(&settings);
        if servers.is_empty() {
            return Err(missing("the address of a server"));
        }
        let files = PeerTls {
            ca: settings.peer_ca.ok_or_else(|| missing("the authority's certificate"))?,
            certificate: settings.peer_cert.ok_or_else(|| missing("a certificate"))?,
            key: settings.peer_key.ok_or_else(|| missing("a key"))?,
        };
        Operator::new(&files, servers).map_err(|error| Failure::usage(error.to_string()))
    }

    fn settings(&self) -> Result<Settings, exit::Failure> {
        let given = Settings {
            peers: self.peers.clone(),
            peer_ca: self.peer_ca.clone(),
            peer_cert: self.peer_cert.clone(),
            peer_key: self.peer_key.clone(),
            ..Settings::default()
        };
        let file = match (&self.config, &self.data_dir) {
            (Some(config), _) => Some(config.clone()),
            (None, Some(directory)) => Some(of_up(directory)),
            (None, None) => Some(of_up(Path::new(USUAL_DATA_DIR))).filter(|file| file.exists() && self.peers.is_none()),
        };
        let file = file.as_deref().map(Settings::read).transpose()?;
        Ok(given.over(file.unwrap_or_default()))
    }
}

/// A server's configuration in the directory of `threefold up`. Which server's does not matter, and there always is a first.
fn of_up(directory: &Path) -> PathBuf {
    directory.join("server-1.toml")
}

/// The server itself and its peers.
fn servers(settings: &Settings) -> Vec<PeerConfig> {
    let own_address = settings.peer_address.as_ref().map(ToString::to_string);
    let own_address = own_address.or_else(|| settings.peer_listen.as_ref().map(ToString::to_string));
    let own = settings.name.clone().zip(own_address).map(|(name, peer_address)| PeerConfig { name, peer_address });
    let peers = settings.peers.iter().flatten().map(|peer| peer.0.clone());
    let mut servers = own.into_iter().chain(peers).collect::<Vec<_>>();
    servers.dedup();
    servers
}
