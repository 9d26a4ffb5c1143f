//! The processes of a peer: started, accounted and killed here, and no others.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{accounting::Processes, cluster::Place};

/// Where system programs are that are not on everybody's path.
const FURTHER_PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// A peer's servers, which end with this value.
pub struct PeerProcesses {
    name: &'static str,
    // Before the directory: dropped, the servers die first.
    children: Vec<Child>,
    directory: TempDir,
}

impl PeerProcesses {
    /// None yet, with a directory for their data.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(name: &'static str, place: &Place) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("threefold-bench-peer-").disable_cleanup(place.keep);
        let directory = match &place.data_dir {
            None => builder.tempdir()?,
            Some(parent) => {
                std::fs::create_dir_all(parent)?;
                builder.tempdir_in(std::fs::canonicalize(parent)?)?
            }
        };
        Ok(Self { name, children: Vec::new(), directory })
    }

    /// Where their data goes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts one.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&mut self, program: &Path, arguments: &[String]) -> anyhow::Result<()> {
        let log = File::create(self.directory.path().join(format!("{}.log", self.children.len() + 1)))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).process_group(0);
        self.children.push(command.spawn().with_context(|| format!("cannot start {}", program.display()))?);
        Ok(())
    }

    /// What the operating system knows them as.
    pub fn accounted(&self) -> Processes {
        let ids = self.children.iter().filter_map(Child::id).enumerate();
        Processes::new(ids.map(|(n, pid)| (format!("{}-{}", self.name, n + 1), pid)).collect())
    }

    /// Kills them, waits for their ends, and removes the data.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn end(mut self) -> anyhow::Result<()> {
        for child in &mut self.children {
            child.kill().await?;
        }
        Ok(())
    }
}

/// Where a program is, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(FURTHER_PLACES.map(PathBuf::from));
    places.map(|place| place.join(program)).find(|path| path.is_file())
}
