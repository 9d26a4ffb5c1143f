//! Of which history a file of `follow --output` tells: kept beside it, in `FILE.history`.
//!
//! Ids mean something in one history only. After a cluster was restored from a backup they begin anew, and a file that went on behind its
//! last id would miss what is new and have what is gone. So the history is written down, durably, before the first line is, and the file
//! goes on in that one or not at all, whoever is logged in.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize};

use crate::commands::Failure;

/// The version of the format. A record of a newer one is refused.
const VERSION: u32 = 1;

/// The record beside a file.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// In hexadecimal.
    recovery_id: String,
}

impl Place {
    /// Beside this file.
    pub fn beside(file: &Path) -> Self {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".history");
        Self { path: file.with_file_name(name) }
    }

    /// The history that the file belongs to; none if it was not written down.
    pub fn read(&self) -> Result<Option<Vec<u8>>, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&self.path, &error)),
        };
        let stored: Option<Stored> = serde_json::from_str(&text).ok();
        if stored.as_ref().is_some_and(|stored| stored.version > VERSION) {
            let path = self.path.display();
            return Err(Failure::usage(format!("{path} was written by a newer threefold: use that")));
        }
        let recovery_id = stored.and_then(|stored| bytes(&stored.recovery_id));
        recovery_id.map(Some).ok_or_else(|| {
            let path = self.path.display();
            Failure::usage(format!("{path} does not say which history its file belongs to: name a new file"))
        })
    }

    /// Writes it down, durably, in place of what was there.
    pub fn write(&self, recovery_id: &[u8]) -> Result<(), Failure> {
        let recovery_id = recovery_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let stored = Stored { version: VERSION, recovery_id };
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", process::id()));
        let new = self.path.with_file_name(name);
        let write = || -> io::Result<()> {
            let mut text = serde_json::to_string(&stored).map_err(io::Error::other)?;
            text.push('\n');
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            let directory = self.path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            File::open(directory)?.sync_all()
        };
        write().map_err(|error| Failure::file(&self.path, &error))
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::beside(&directory.path().join("events.jsonl"));
        assert_eq!(place.read().unwrap(), None);
        for recovery_id in [vec![0, 0xab, 0xff], Vec::new()] {
            place.write(&recovery_id).unwrap();
            assert_eq!(place.read().unwrap(), Some(recovery_id));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
        for text in [
            "",
            "{",
            "{\"version\":1}",
            "{\"version\":1,\"recovery_id\":\"abc\"}",
            "{\"version\":2,\"recovery_id\":\"\"}",
        ] {
            fs::write(directory.path().join("events.jsonl.history"), text).unwrap();
            assert_eq!(place.read().unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
