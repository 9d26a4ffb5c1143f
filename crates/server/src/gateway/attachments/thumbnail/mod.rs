//! Thumbnails: small pictures of attached ones, made from the stored file by the server that is asked.
//!
//! They are derived, and so neither replicated nor kept on disk: those asked for last are in memory, within a bound, by the hash of
//! their file; that there is none of a file is remembered as well. One is made at a time, by a process of its own where there is a
//! program for that. Whoever asks was let in before, and was found to be one who may have the file.

mod program;
mod scaled;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use quick_cache::{
    Weighter,
    unsync::{Cache, DefaultLifecycle},
};
use threefold_core::content::ContentHash;
use threefold_proto::convert::Refusal;
use tokio::{sync::Semaphore, time::timeout};

pub use self::program::{ARGUMENT, make_thumbnail};
use self::scaled::{Scaled, Unscalable};
use super::{Download, http::refused};
use crate::{ambient, gateway::door::Door};

/// At once: a picture being decoded may take some hundred megabytes, and people who talk have the processors first.
const AT_ONCE: usize = 1;
/// A file of which a thumbnail is made, in bytes; it is held whole meanwhile.
const FILE_BYTES: u64 = 32 << 20;
/// How long one waits for one's turn: a page full of large pictures takes some seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// What thumbnails may take in memory: about a thousand.
const KEPT_BYTES: u64 = 32 << 20;
/// One of them, for the cache's own bookkeeping.
const USUAL_BYTES: u64 = 32 << 10;
/// What one weighs besides its bytes.
const OVERHEAD_BYTES: u64 = 128;

/// The hash of a file.
type FileHash = [u8; 32];
/// A thumbnail, or why there is none.
type Outcome = Result<Arc<Scaled>, Unscalable>;

#[derive(Clone)]
struct ByBytes;

impl Weighter<FileHash, Outcome> for ByBytes {
    fn weight(&self, _: &FileHash, outcome: &Outcome) -> u64 {
        OVERHEAD_BYTES + outcome.as_ref().map_or(0, |scaled| scaled.bytes.len() as u64)
    }
}

/// Those asked for last, and whose turn it is to make one.
pub(super) struct Thumbnails {
    kept: Mutex<Cache<FileHash, Outcome, ByBytes>>,
    turns: Arc<Semaphore>,
    /// What makes them; none: this process.
    program: Option<PathBuf>,
}

impl Thumbnails {
    pub(super) fn new(program: Option<PathBuf>) -> Self {
        let (hasher, lifecycle) = (Default::default(), DefaultLifecycle::default());
        let kept = Cache::with((KEPT_BYTES / USUAL_BYTES) as usize, KEPT_BYTES, ByBytes, hasher, lifecycle);
        Self { kept: Mutex::new(kept), turns: Arc::new(Semaphore::new(AT_ONCE)), program }
    }

    fn known(&self, file: &ContentHash) -> Option<Outcome> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&file.0).cloned()
    }

    fn keep(&self, file: ContentHash, outcome: Outcome) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(file.0, outcome);
    }

    /// That of a file.
    async fn of<D: Door>(&self, download: Download<D>) -> Result<Outcome, Refusal> {
        let file = download.attached().sha256;
        if let Some(known) = self.known(&file) {
            return Ok(known);
        }
        if download.attached().bytes > FILE_BYTES {
            return Ok(Err(Unscalable::TooLarge));
        }
        let crowded = |_| Refusal::Overloaded("too many thumbnails are being made: try again soon".to_owned());
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await.map_err(crowded)?;
        let turn = turn.map_err(|_| Refusal::unavailable("this server is stopping"))?;
        // Others may have waited for the same one.
        if let Some(known) = self.known(&file) {
            return Ok(known);
        }
        let content = whole(download).await?;
        let made = match &self.program {
            Some(program) => program::made_by(program, &content).await,
            None => {
                let make = move || {
                    let made = scaled::scaled(&content);
                    // Whoever asked may have gone: the next one waits until this is over all the same.
                    drop(turn);
                    made
                };
                ambient::blocking(make).await
            }
        };
        let made = made.map_err(|error| Refusal::unavailable(format!("no thumbnail can be made now: {error}")))?;
        let outcome = made.map(Arc::new);
        self.keep(file, outcome.clone());
        Ok(outcome)
    }
}

/// All of a file, unless its beginning says that it is no picture.
async fn whole<D: Door>(mut download: Download<D>) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    while let Some(piece) = download.read()? {
        content.extend_from_slice(&piece);
        if scaled::format(&content).is_err() {
            break;
        }
        // A large file takes a while: others come in between.
        tokio::task::yield_now().await;
    }
    Ok(content)
}

/// The entity tag of a thumbnail: it changes with the file, and with what is made of it.
pub(super) fn etag(file: &ContentHash) -> String {
    format!("\"{file}-{}\"", scaled::SIDE)
}

/// The answer to whoever asks for the thumbnail of that file, and may have it.
pub(super) async fn answer<D: Door>(thumbnails: &Thumbnails, download: Download<D>) -> Result<Response, Refusal> {
    let etag = etag(&download.attached().sha256);
    let scaled = match thumbnails.of(download).await? {
        Ok(scaled) => scaled,
        // Of the file, not of what was asked: whoever may have it may have it whole.
        Err(none) => {
            let mut answer = refused(&Refusal::invalid(none.to_string()));
            *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Ok(answer);
        }
    };
    let headers = [
        (header::ETAG, etag.as_str()),
        (header::CONTENT_TYPE, scaled.content_type),
        (header::CONTENT_DISPOSITION, "inline"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, super::http::POLICY),
        (header::CACHE_CONTROL, super::http::KEPT_FOR_GOOD),
    ];
    Ok((headers, Body::from(scaled.bytes.clone())).into_response())
}
