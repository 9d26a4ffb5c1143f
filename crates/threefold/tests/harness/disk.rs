//! A disk small enough to be filled.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system of a few megabytes, unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    pub path: PathBuf,
}

impl SmallDisk {
    /// Mounts it, where that is allowed; says so elsewhere.
    pub fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(path).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self { path: path.to_owned() });
        }
        eprintln!("skipped: a small disk cannot be mounted here");
        None
    }

    /// Takes all room but a little.
    pub fn fill(&self, left_bytes: usize) {
        let reserve = vec![1; left_bytes];
        fs::write(self.path.join("reserve"), &reserve).unwrap();
        let mut filler = fs::File::create(self.path.join("filler")).unwrap();
        while filler.write_all(&reserve[..4096]).is_ok() {}
        fs::remove_file(self.path.join("reserve")).unwrap();
    }

    /// Gives back what was taken.
    pub fn make_room(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
