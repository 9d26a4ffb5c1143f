//! A directory for `threefold up` whose first server is made from a backup.
//!
//! Promises: a cluster that is there already stays; a restoration that was cut short, wherever, is begun again by the same command, and once its first
//! server is begun no `up` goes on with the cluster, or founds one, until it has succeeded. So the cluster is remembered before that server is declared
//! whole, and the directory is locked throughout. Left out: the server's data, which the caller makes in between.

use std::{fs::File, path::Path};

use threefold_server::storage::directory::Directory;

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

/// Its directory, with all but the first server's data. No `up` runs there while this lives.
#[derive(Debug)]
pub struct Begun<'a> {
    cluster: &'a ClusterFile,
    layout: Layout,
    _lock: File,
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
        let mut cluster = ClusterFile::new(servers, port);
        // By its backup: nobody founds it.
        cluster.bootstrapped = true;
        let planned = Self { directory, plans: cluster.plans(&layout)?, cluster };
        planned.refuse_if_taken(&layout)?;
        Ok(planned)
    }

    /// The server whose data is to be made.
    #[must_use]
    pub fn first(&self) -> Option<&ServerPlan> {
        self.plans.first()
    }

    /// Makes what the servers need, but for data.
    ///
    /// # Errors
    /// When it cannot be written, or another `up` runs there.
    pub fn begin(&self) -> Result<Begun<'_>, Failure> {
        let layout = Layout::open(self.directory)?;
        let lock = layout.lock()?;
        // Again under the lock.
        self.refuse_if_taken(&layout)?;
        layout.prepare(&self.plans)?;
        Ok(Begun { cluster: &self.cluster, layout, _lock: lock })
    }

    /// What is remembered there of a first server that is unfinished was written on the way to this.
    fn refuse_if_taken(&self, layout: &Layout) -> Result<(), Failure> {
        if layout.load()?.is_none() || is_unfinished(&self.plans)? {
            return Ok(());
        }
        let shown = self.directory.display();
        Err(Failure::Refused(format!("there is a cluster in {shown} already: name another directory")))
    }
}

impl Begun<'_> {
    /// Remembers the cluster, before its first server is declared whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self) -> Result<(), Failure> {
        self.layout.save(self.cluster)
    }
}

/// Refuses to go on with a cluster whose first server was to be made from a backup and is not whole.
pub(super) fn refuse_unfinished(directory: &Path, plans: &[ServerPlan]) -> Result<(), Failure> {
    if !is_unfinished(plans)? {
        return Ok(());
    }
    let shown = directory.display();
    Err(Failure::Refused(format!(
        "restoring into {shown} from a backup was interrupted: run `threefold restore --up` again, or remove {shown}"
    )))
}

fn is_unfinished(plans: &[ServerPlan]) -> Result<bool, Failure> {
    let Some(first) = plans.first() else { return Ok(false) };
    Directory::is_half_restored(&first.data).map_err(|error| Failure::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn remembered(directory: &Path) -> Option<ClusterFile> {
        Layout::at(directory).load().unwrap()
    }

    #[test]
    fn a_cluster_is_remembered_as_founded_and_never_made_over_another() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("new");
        let planned = Planned::new(&directory, 3, 8000).unwrap();
        assert!(!directory.exists());
        assert_eq!(planned.first().unwrap().data, directory.join("server-1"));
        planned.begin().unwrap().remember().unwrap();
        let found = remembered(&directory).unwrap();
        assert_eq!((found.servers, found.port, found.bootstrapped), (3, 8000, true));
        assert!(planned.first().unwrap().config.exists());
        let taken = "there is a cluster";
        assert!(planned.begin().unwrap_err().to_string().contains(taken), "another was first");
        let again = Planned::new(&directory, 3, 8000).unwrap_err().to_string();
        assert!(again.contains(taken), "{again}");
        assert!(matches!(Planned::new(home.path(), 10, 8000), Err(Failure::Usage(_))));
        assert!(matches!(Planned::new(home.path(), 3, 65535), Err(Failure::Usage(_))));
    }

    #[test]
    fn nobody_else_goes_in_until_it_is_finished_and_whoever_was_cut_short_begins_again() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path();
        let planned = Planned::new(directory, 3, 8000).unwrap();
        let begun = planned.begin().unwrap();
        assert!(Layout::at(directory).lock().is_err(), "no `up` meanwhile");
        assert_eq!(remembered(directory), None);
        let data = &planned.first().unwrap().data;
        let unfinished = Directory::open_to_restore(data, "server-1").unwrap();
        let refused = |when: &str| {
            let said = refuse_unfinished(directory, &planned.plans).unwrap_err().to_string();
            assert!(said.contains("`threefold restore --up` again"), "{when}: {said}");
        };
        refused("killed before the cluster was remembered");
        begun.remember().unwrap();
        refused("and after");
        drop((begun, unfinished));
        Planned::new(directory, 3, 8000).unwrap().begin().unwrap().remember().unwrap();
        fs::remove_dir_all(data).unwrap();
        refuse_unfinished(directory, &planned.plans).unwrap();
        assert!(Planned::new(directory, 3, 8000).is_err());
    }
}
