//! What the disk itself takes, for scale: an append and its fdatasync, by one process and nothing else of the bench's.

use std::{
    fs,
    io::Write as _,
    time::{Duration, Instant},
};

use crate::{cluster::Place, latency::median};

/// Appends measured.
const APPENDS: usize = 300;
/// Between two, so that it is not a queue that is measured.
const PAUSE: Duration = Duration::from_millis(2);
/// Bytes of each: a message.
const BYTES: usize = 200;

/// The median time of an append of 200 bytes and its fdatasync, in milliseconds. Takes about a second.
///
/// # Errors
/// When the directory cannot be used.
pub async fn append_ms(place: &Place) -> anyhow::Result<f64> {
    let directory = place.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&directory)?;
    let measuring = tokio::task::spawn_blocking(move || {
        let mut file = tempfile::tempfile_in(directory)?;
        let mut milliseconds = Vec::with_capacity(APPENDS);
        for _ in 0..APPENDS {
            std::thread::sleep(PAUSE);
            file.write_all(&[b'x'; BYTES])?;
            let began = Instant::now();
            file.sync_data()?;
            milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        anyhow::Ok(milliseconds)
    });
    Ok(median(&measuring.await??).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_takes_some_time_and_keeps_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { data_dir: Some(directory.path().to_owned()), ..Place::default() };
        assert!(append_ms(&place).await.unwrap() > 0.0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
