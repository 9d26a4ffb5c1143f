//! A fresh cluster on this machine, made as README.md says for several machines: certificates, a configuration a server,
//! `threefold serve`.
//!
//! Not through `threefold up`, because scenarios stop, empty and start single servers and time it. Promises: only processes
//! started here are ever signalled; no server outlives the bench, however that ends (`--parent-watch`); the data is
//! removed at the end unless it is to be kept.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rand::Rng as _;
use serde::Serialize;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::wait_until_whole;

/// How many servers.
pub const SERVERS: usize = 3;
/// Ports are sought here: below those that outgoing connections are given, so that none takes the port of a server
/// while it is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Tries to find free ports, each somewhere else.
const PORT_TRIES: usize = 100;
/// How long a server may take to stop in order, with a good deal of state to write.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Where a cluster is put, and what it is made of.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The program; none: the `threefold` beside this one.
    pub executable: Option<PathBuf>,
    /// The directory for the data, on the disk to measure; none: a temporary one.
    pub data_dir: Option<PathBuf>,
    /// Leave the data there at the end.
    pub keep: bool,
    /// Leave the limits of writes and of log-ins as they are for anybody.
    pub limited: bool,
    /// Servers give memory back as soon as they let go of it, instead of keeping it for the next use: what was needed to log thousands in would hide
    /// what their connections hold.
    pub thrifty: bool,
}

/// The cluster.
pub struct Own {
    executable: PathBuf,
    limited: bool,
    thrifty: bool,
    // Before the directory: dropped, the servers die first.
    servers: Vec<Server>,
    directory: TempDir,
}

struct Server {
    name: String,
    client: String,
    /// The chat TCP port's address.
    chat: String,
    child: Option<Child>,
}

/// What `serve --config` reads; docs/threefold.example.toml explains it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Configuration {
    name: String,
    data_dir: PathBuf,
    client_listen: String,
    chat_listen: String,
    peer_listen: String,
    peers: Vec<String>,
    peer_ca: PathBuf,
    peer_cert: PathBuf,
    peer_key: PathBuf,
}

impl Own {
    /// Makes a cluster, starts it and waits until it is whole.
    ///
    /// # Errors
    /// When the program is missing, or the servers do not come up.
    pub async fn start(place: &Place) -> anyhow::Result<Self> {
        let mut own = Self::prepare(place).await?;
        own.launch_all()?;
        own.wait_until_whole().await?;
        Ok(own)
    }

    /// Makes everything that servers need, and starts none.
    ///
    /// # Errors
    /// When the program is missing, or the directory cannot be used.
    pub async fn prepare(place: &Place) -> anyhow::Result<Self> {
        let executable = match &place.executable {
            Some(path) => path.clone(),
            None => env::current_exe()?.with_file_name("threefold"),
        };
        // In full: servers run in a directory of their own.
        let executable = fs::canonicalize(&executable).with_context(|| {
            let hint = "build it with `cargo build --release -p threefold`, or name it with --executable";
            format!("{} is not there: {hint}", executable.display())
        })?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("threefold-bench-").disable_cleanup(place.keep);
        let directory = match &place.data_dir {
            None => builder.tempdir()?,
            Some(parent) => {
                fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
                builder.tempdir_in(fs::canonicalize(parent)?)?
            }
        };
        let ports = free_ports(3 * SERVERS)?;
        let (clients, rest) = ports.split_at(SERVERS);
        let (chats, peers) = rest.split_at(SERVERS);
        let names: Vec<String> = (1..=SERVERS).map(|n| format!("server-{n}")).collect();
        let servers = names.iter().zip(clients.iter().zip(chats)).map(|(name, (client, chat))| Server {
            name: name.clone(),
            client: format!("127.0.0.1:{client}"),
            chat: format!("127.0.0.1:{chat}"),
            child: None,
        });
        let own =
            Self { executable, limited: place.limited, thrifty: place.thrifty, servers: servers.collect(), directory };
        own.certify(&names).await?;
        own.configure(&names, peers)?;
        Ok(own)
    }

    async fn certify(&self, names: &[String]) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(["certs", "--out", "certs"]).stdout(Stdio::null());
        for name in names {
            command.args(["--name", name]);
        }
        let status = command.status().await.with_context(|| format!("cannot run {}", self.executable.display()))?;
        if status.success() { Ok(()) } else { bail!("`threefold certs` failed: {status}") }
    }

    fn configure(&self, names: &[String], ports: &[u16]) -> anyhow::Result<()> {
        let peers: Vec<String> =
            names.iter().zip(ports).map(|(name, port)| format!("{name}=127.0.0.1:{port}")).collect();
        for (server, port) in self.servers.iter().zip(ports) {
            let configuration = Configuration {
                name: server.name.clone(),
                data_dir: PathBuf::from(&server.name),
                client_listen: server.client.clone(),
                chat_listen: server.chat.clone(),
                peer_listen: format!("127.0.0.1:{port}"),
                peers: peers.clone(),
                peer_ca: PathBuf::from("certs/authority.pem"),
                peer_cert: PathBuf::from(format!("certs/{}.pem", server.name)),
                peer_key: PathBuf::from(format!("certs/{}.key", server.name)),
            };
            let path = self.path().join(format!("{}.toml", server.name));
            fs::write(&path, toml::to_string(&configuration)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The program in the cluster's directory, without settings from the environment.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in
            env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("THREEFOLD_")))
        {
            command.env_remove(name);
        }
        if self.thrifty {
            command.env("MIMALLOC_PURGE_DELAY", "0");
        }
        command
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts every server that does not run.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn launch_all(&mut self) -> anyhow::Result<()> {
        (0..self.servers.len()).try_for_each(|place| self.launch(place))
    }

    /// Starts a server, if it does not run.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn launch(&mut self, place: usize) -> anyhow::Result<()> {
        if self.servers[place].child.is_some() {
            return Ok(());
        }
        let name = &self.servers[place].name;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path().join(format!("{name}.log")))?;
        let mut command = self.command();
        command.args(["serve", "--config", &format!("{name}.toml"), "--parent-watch"]);
        // A load of one machine comes from one address, and of few accounts. What is counted is counted here as well.
        command.args(["--registration-rate", "0"]);
        if !self.limited {
            command.args(["--write-rate", "1000000", "--login-rate", "0"]);
        }
        // The cluster is founded once: by the first server, while no server has any data.
        if place == 0 && !self.servers.iter().any(|server| self.path().join(&server.name).exists()) {
            command.arg("--bootstrap");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        self.servers[place].child = Some(child);
        Ok(())
    }

    /// Kills a server with SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        match self.servers[place].child.take() {
            Some(mut child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    /// Sends a server SIGKILL and does not wait: [`Own::kill`] then waits for its end.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn strike(&mut self, place: usize) -> anyhow::Result<()> {
        match &mut self.servers[place].child {
            Some(child) => Ok(child.start_kill()?),
            None => Ok(()),
        }
    }

    /// Kills all servers at the same moment.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn kill_all(&mut self) -> anyhow::Result<()> {
        (0..self.servers.len()).try_for_each(|place| self.strike(place))?;
        for place in 0..self.servers.len() {
            self.kill(place).await?;
        }
        Ok(())
    }

    /// Stops a server in order.
    ///
    /// # Errors
    /// When the operating system refuses, or the server does not end.
    pub async fn stop(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(mut child) = self.servers[place].child.take() else { return Ok(()) };
        drop(child.stdin.take());
        let ended = timeout(STOP_PATIENCE, child.wait()).await;
        ended.with_context(|| format!("{} does not stop", self.servers[place].name))??;
        Ok(())
    }

    /// Removes all data of a server that does not run, as if it had got a new disk.
    ///
    /// # Errors
    /// When the server runs, or the data cannot be removed.
    pub fn empty(&self, place: usize) -> anyhow::Result<()> {
        let server = &self.servers[place];
        if server.child.is_some() {
            bail!("{} runs", server.name);
        }
        Ok(fs::remove_dir_all(self.path().join(&server.name))?)
    }

    /// Waits until the cluster is whole.
    ///
    /// # Errors
    /// When it is not after two minutes; with the last words of servers that have ended.
    pub async fn wait_until_whole(&mut self) -> anyhow::Result<()> {
        let waited = wait_until_whole(&self.addresses()).await;
        waited.map(drop).with_context(|| self.obituaries())
    }

    fn obituaries(&mut self) -> String {
        let mut words = String::from("the servers' own words:");
        for place in 0..self.servers.len() {
            let server = &mut self.servers[place];
            let ended = server.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let state = ended.map_or_else(|| "runs".to_owned(), |status| status.to_string());
            let name = server.name.clone();
            let log = fs::read_to_string(self.path().join(format!("{name}.log"))).unwrap_or_default();
            let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            words.push_str(&format!("\n  {name} ({state}): {last}"));
        }
        words
    }

    /// Where clients connect, server by server.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.client.clone()).collect()
    }

    /// What a server occupies on disk, in bytes: blocks that are allocated, whatever lengths files claim.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn disk_bytes(&self, place: usize) -> anyhow::Result<u64> {
        allocated(&self.path().join(&self.servers[place].name))
    }

    /// The same of its search index alone.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn search_bytes(&self, place: usize) -> anyhow::Result<u64> {
        allocated(&self.path().join(&self.servers[place].name).join("search"))
    }

    /// Removes the search index of a server that does not run: it makes a new one.
    ///
    /// # Errors
    /// When the server runs, or the index cannot be removed.
    pub fn remove_search_index(&self, place: usize) -> anyhow::Result<()> {
        let server = &self.servers[place];
        if server.child.is_some() {
            bail!("{} runs", server.name);
        }
        Ok(fs::remove_dir_all(self.path().join(&server.name).join("search"))?)
    }

    /// Stops all servers and removes the data, unless it is to be kept.
    ///
    /// # Errors
    /// When a server cannot be stopped.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let children = self.servers.iter_mut().filter_map(|server| server.child.as_mut());
        // All first, then each: the last ones need not notice that the others are gone.
        children.for_each(|child| drop(child.stdin.take()));
        for place in 0..self.servers.len() {
            self.stop(place).await?;
        }
        Ok(())
    }
}

/// Bytes allocated to all files below a path. A file that disappears meanwhile counts nothing.
fn allocated(path: &Path) -> anyhow::Result<u64> {
    /// `st_blocks` counts in these, whatever the file system's own blocks are (stat(2)).
    const BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * BLOCK_BYTES;
        if metadata.is_dir() {
            bytes += allocated(&entry.path()).unwrap_or(0);
        }
    }
    Ok(bytes)
}

/// So many ports in a row that nobody listens on.
///
/// # Errors
/// When none are found.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    for _ in 0..PORT_TRIES {
        let first = rand::rng().random_range(PORTS);
        let ports: Vec<u16> = (first..).take(count).collect();
        if ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return Ok(ports);
        }
    }
    bail!("no {count} free ports in a row between {} and {}", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_use_counts_files_in_all_directories() {
        let directory = tempfile::tempdir().unwrap();
        let empty = allocated(directory.path()).unwrap();
        fs::create_dir(directory.path().join("deep")).unwrap();
        fs::write(directory.path().join("deep/file"), vec![7; 100_000]).unwrap();
        assert!(allocated(directory.path()).unwrap() >= empty + 100_000);
        assert!(allocated(&directory.path().join("missing")).is_err());
    }

    #[test]
    fn configurations_use_the_names_that_servers_read() {
        let configuration = Configuration {
            name: "server-1".into(),
            data_dir: "server-1".into(),
            client_listen: "127.0.0.1:1".into(),
            chat_listen: "127.0.0.1:3".to_owned(),
            peer_listen: "127.0.0.1:2".into(),
            peers: vec!["server-1=127.0.0.1:2".into()],
            peer_ca: "a".into(),
            peer_cert: "b".into(),
            peer_key: "c".into(),
        };
        let text = toml::to_string(&configuration).unwrap();
        let example = include_str!("../../../docs/threefold.example.toml");
        for line in text.lines() {
            let key = line.split(" = ").next().unwrap();
            assert!(example.contains(&format!("\n{key} =")), "{key} is no setting");
        }
    }
}
