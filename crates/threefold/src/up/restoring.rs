//! A directory for `threefold up` whose first server is made from a backup.
//!
//! Promises: a cluster that is there already stays; until [`Planned::remember`] there is none, and `up` founds none over a first server that
//! is unfinished, for that one refuses to start. Left out: the server's data, which the caller makes in between.

use std::path::Path;

use super::{
    ServerPlan,
    layout::{ClusterFile, Layout, MAX_SERVERS},
};
use crate::exit::Failure;

/// A cluster that is to be. Nothing of it is on the disk.
#[derive(Debug)]
pub struct Planned<'a> {
    directory: &'a Path,
    cluster: ClusterFile,
    plans: Vec<ServerPlan>,
}

impl<'a> Planned<'a> {
    /// Of so many servers, from this client port on.
    ///
    /// # Errors
    /// When there is a cluster in the directory already, or there cannot be such a one.
    pub fn new(directory: &'a Path, servers: usize, port: u16) -> Result<Self, Failure> {
        if !(1..=MAX_SERVERS).contains(&servers) {
            return Err(Failure::Usage(format!(
                "--servers {servers} makes no cluster: 1 to {MAX_SERVERS} are possible"
            )));
        }
        let layout = Layout::at(directory);
        if layout.load()?.is_some() {
            let shown = directory.display();
            return Err(Failure::Refused(format!("there is a cluster in {shown} already: name another directory")));
        }
        let mut cluster = ClusterFile::new(servers, port);
        // By its backup: nobody founds it.
        cluster.bootstrapped = true;
        let plans = cluster.plans(&layout)?;
        Ok(Self { directory, cluster, plans })
    }

    /// The server whose data is to be made.
    #[must_use]
    pub fn first(&self) -> Option<&ServerPlan> {
        self.plans.first()
    }

    /// The first server's data is there: makes all the rest.
    ///
    /// # Errors
    /// When it cannot be written, or another `up` runs there.
    pub fn remember(&self) -> Result<(), Failure> {
        let layout = Layout::open(self.directory)?;
        let _lock = layout.lock()?;
        layout.prepare(&self.plans)?;
        // Last: from now on nobody founds it.
        layout.save(&self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_remembered_as_founded_and_never_made_over_another() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("new");
        let planned = Planned::new(&directory, 3, 8000).unwrap();
        assert!(!directory.exists());
        assert_eq!(planned.first().unwrap().data, directory.join("server-1"));
        planned.remember().unwrap();
        let remembered = Layout::at(&directory).load().unwrap().unwrap();
        assert_eq!((remembered.servers, remembered.port, remembered.bootstrapped), (3, 8000, true));
        assert!(planned.first().unwrap().config.exists());
        let again = Planned::new(&directory, 3, 8000).unwrap_err().to_string();
        assert!(again.contains("there is a cluster"), "{again}");
        assert!(matches!(Planned::new(home.path(), 10, 8000), Err(Failure::Usage(_))));
        assert!(matches!(Planned::new(home.path(), 3, 65535), Err(Failure::Usage(_))));
    }
}
