//! The log in memory: what its callers see, what is durable, and the writes between the two.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use crate::storage::{
    Done, LogExtent, LogStore,
    files::{Failure, lock},
};

/// A log in memory.
#[derive(Clone, Default)]
pub struct MemoryLog {
    inner: Arc<Mutex<LogInner>>,
}

#[derive(Default)]
struct LogInner {
    visible: LogContent,
    durable: LogContent,
    waiting: VecDeque<(LogWrite, Done)>,
    is_manual: bool,
    failure: Option<Failure>,
}

#[derive(Clone, Default)]
struct LogContent {
    vote: Option<Bytes>,
    purged: Option<(u64, Bytes)>,
    first_index: u64,
    entries: VecDeque<Bytes>,
}

#[derive(Clone)]
enum LogWrite {
    Append { first_index: u64, entries: Vec<Bytes> },
    Vote(Bytes),
    Truncate(u64),
    Purge(u64, Bytes),
}

impl MemoryLog {
    /// A log in which every write is durable, and done, before the call returns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A log in which writes become durable, and done, when the test calls [`MemoryLog::sync`].
    #[must_use]
    pub fn manual() -> Self {
        let log = Self::default();
        lock(&log.inner).is_manual = true;
        log
    }

    /// Makes the oldest `writes` that wait durable, and tells their callers. Says how many there were.
    pub fn sync(&self, writes: usize) -> usize {
        let mut dones = Vec::new();
        {
            let mut inner = lock(&self.inner);
            while dones.len() < writes
                && let Some((write, done)) = inner.waiting.pop_front()
            {
                inner.durable.make(write);
                dones.push(done);
            }
        }
        let count = dones.len();
        dones.into_iter().for_each(|done| done(Ok(())));
        count
    }

    /// The log that a restart finds after power was lost now. The callers of writes that waited never hear of them.
    #[must_use]
    pub fn crash(&self) -> Self {
        let inner = lock(&self.inner);
        let (visible, durable) = (inner.durable.clone(), inner.durable.clone());
        let recovered = LogInner { visible, durable, is_manual: inner.is_manual, ..LogInner::default() };
        Self { inner: Arc::new(Mutex::new(recovered)) }
    }

    /// The disk breaks: this is what everybody hears from now on, those that wait first.
    pub fn fail(&self, error: &io::Error) {
        let failure = Failure::new("the log cannot be written", error);
        let waiting = {
            let mut inner = lock(&self.inner);
            inner.failure = Some(failure.clone());
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_iter().for_each(|(_, done)| done(Err(failure.error())));
    }

    fn submit(&self, write: LogWrite, done: Done) {
        let mut inner = lock(&self.inner);
        if let Err(error) = inner.check(&write) {
            drop(inner);
            return done(Err(error));
        }
        inner.visible.make(write.clone());
        if inner.is_manual {
            inner.waiting.push_back((write, done));
        } else {
            inner.durable.make(write);
            drop(inner);
            done(Ok(()));
        }
    }
}

impl LogInner {
    fn check(&self, write: &LogWrite) -> io::Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.error());
        }
        match write {
            LogWrite::Append { first_index, entries }
                if !entries.is_empty() && !self.visible.is_unused() && *first_index != self.visible.end() =>
            {
                let message =
                    format!("entry {first_index} cannot be appended: the log goes on at {}", self.visible.end());
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
            _ => Ok(()),
        }
    }
}

impl LogContent {
    fn end(&self) -> u64 {
        self.first_index + self.entries.len() as u64
    }

    fn is_unused(&self) -> bool {
        self.entries.is_empty() && self.purged.is_none()
    }

    fn position(&self, index: u64) -> usize {
        let position = usize::try_from(index.saturating_sub(self.first_index)).unwrap_or(usize::MAX);
        position.min(self.entries.len())
    }

    fn make(&mut self, write: LogWrite) {
        match write {
            LogWrite::Append { first_index, entries } => {
                if self.is_unused() && !entries.is_empty() {
                    self.first_index = first_index;
                }
                self.entries.extend(entries);
            }
            LogWrite::Vote(vote) => self.vote = Some(vote),
            LogWrite::Truncate(from_index) => self.entries.truncate(self.position(from_index)),
            LogWrite::Purge(to_index, purged) => {
                if self.purged.as_ref().is_some_and(|(mark, _)| *mark > to_index) {
                    return;
                }
                self.entries.drain(..self.position(to_index + 1));
                self.first_index = self.first_index.max(to_index + 1);
                self.purged = Some((to_index, purged));
            }
        }
    }
}

impl LogStore for MemoryLog {
    fn extent(&self) -> LogExtent {
        let inner = lock(&self.inner);
        let content = &inner.visible;
        LogExtent {
            vote: content.vote.clone(),
            purged: content.purged.as_ref().map(|(_, purged)| purged.clone()),
            indices: content.first_index..content.end(),
        }
    }

    fn append(&self, first_index: u64, entries: Vec<Bytes>, done: Done) {
        self.submit(LogWrite::Append { first_index, entries }, done);
    }

    fn save_vote(&self, vote: Bytes, done: Done) {
        self.submit(LogWrite::Vote(vote), done);
    }

    fn truncate(&self, from_index: u64, done: Done) {
        self.submit(LogWrite::Truncate(from_index), done);
    }

    fn purge(&self, to_index: u64, purged: Bytes, done: Done) {
        self.submit(LogWrite::Purge(to_index, purged), done);
    }

    fn held_bytes(&self) -> u64 {
        lock(&self.inner).visible.entries.iter().map(|entry| entry.len() as u64).sum()
    }

    fn read_from_memory(&self, indices: Range<u64>, max_bytes: usize) -> Option<Vec<Bytes>> {
        self.read(indices, max_bytes).ok()
    }

    fn read(&self, indices: Range<u64>, max_bytes: usize) -> io::Result<Vec<Bytes>> {
        let inner = lock(&self.inner);
        let content = &inner.visible;
        let (start, end) = (content.position(indices.start), content.position(indices.end));
        let mut read = Vec::new();
        let mut left = max_bytes;
        for entry in content.entries.range(start..end.max(start)) {
            if entry.len() > left && !read.is_empty() {
                break;
            }
            left = left.saturating_sub(entry.len());
            read.push(entry.clone());
        }
        Ok(read)
    }
}
