//! Receiving another server's state into a new generation.

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use bytes::Bytes;

use super::generation::Generation;
use crate::storage::{ReceivedDirectory, ReceivedState, StateInstall, database::io_error};

/// Chunks waiting for the disk. A chunk is about a megabyte; the sender waits meanwhile.
const CHUNKS_WAITING: usize = 4;

type Records = Vec<(Bytes, Bytes)>;

enum Step {
    Write(Records),
    Finish,
}

/// A state being received. The database's bulk load borrows the keyspace it fills, so a thread owns both.
pub(super) struct FjallInstall {
    steps: Option<SyncSender<Step>>,
    loader: Option<JoinHandle<io::Result<PathBuf>>>,
    last_key: Option<Bytes>,
}

impl FjallInstall {
    pub(super) fn begin(generation: Generation) -> io::Result<Self> {
        let (steps, received) = sync_channel(CHUNKS_WAITING);
        let loader = thread::Builder::new().name("state-install".into()).spawn(move || load(&generation, &received))?;
        Ok(Self { steps: Some(steps), loader: Some(loader), last_key: None })
    }

    /// Hands a step to the loader; if that is gone, says why.
    fn step(&mut self, step: Step) -> io::Result<()> {
        match &self.steps {
            Some(steps) if steps.send(step).is_ok() => Ok(()),
            _ => self.join().map(drop),
        }
    }

    fn join(&mut self) -> io::Result<PathBuf> {
        self.steps = None;
        match self.loader.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("receiving the state panicked")),
            None => Err(io::Error::other("receiving the state has failed before")),
        }
    }
}

/// Writes what arrives. Unless it arrives completely, the generation is removed.
fn load(generation: &Generation, steps: &Receiver<Step>) -> io::Result<PathBuf> {
    generation.retire();
    let mut load = generation.records().start_ingestion().map_err(io_error)?;
    loop {
        match steps.recv() {
            Ok(Step::Write(records)) => {
                for (key, value) in records {
                    load.write(&key[..], &value[..]).map_err(io_error)?;
                }
            }
            Ok(Step::Finish) => break,
            Err(_) => return Err(io::Error::new(io::ErrorKind::Interrupted, "the state was not received to its end")),
        }
    }
    load.finish().map_err(io_error)?;
    generation.persist()?;
    generation.persist_separated()?;
    generation.persist_names()?;
    generation.keep();
    Ok(generation.path().to_owned())
}

impl StateInstall for FjallInstall {
    fn write(&mut self, records: &[(Bytes, Bytes)]) -> io::Result<()> {
        for (key, _) in records {
            if self.last_key.as_ref().is_some_and(|last| key <= last) {
                let message = "the records of a received state must ascend by key";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            self.last_key = Some(key.clone());
        }
        self.step(Step::Write(records.to_vec()))
    }

    fn finish(mut self: Box<Self>) -> io::Result<ReceivedState> {
        self.step(Step::Finish)?;
        Ok(ReceivedState::Directory(ReceivedDirectory::new(self.join()?)))
    }
}

impl Drop for FjallInstall {
    fn drop(&mut self) {
        if self.loader.is_some() {
            // The loader sees the end of the channel, and removes what it wrote.
            let _ = self.join();
        }
    }
}
