//! Thumbnails: small pictures of attached ones, made from the stored file by the server that is asked.
//!
//! They are derived, and so neither replicated nor kept on disk: those asked for last are in memory, within a bound, by the hash of
//! their file; that there is none of a file is remembered as well, where that was found of the file itself. Where making one failed, which may
//! be anybody's fault, that is remembered for a while. One is made at a time, by a process of its own where there is a program for that, and
//! accounts take turns. Whoever asks was let in before; whether they may have the file is asked again whenever it is opened, and by the caller
//! when all is done, for a turn may be long in coming.

mod program;
mod scaled;
#[cfg(test)]
mod tests;

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
use threefold_core::{AccountId, content::ContentHash, event::Attached};
use threefold_proto::convert::Refusal;
use tokio::time::{Instant, timeout};

pub use self::program::{ARGUMENT, answer_damaged, make_thumbnail};
use self::{
    program::Called,
    scaled::{Scaled, Unscalable},
};
use super::{Download, http::refused};
use crate::{
    ambient,
    gateway::{
        door::Door,
        places::{Places, place},
        turns::{Turn, Turns},
    },
};

/// A file of which a thumbnail is made, in bytes; it is held whole meanwhile.
const FILE_BYTES: u64 = 32 << 20;
/// Made at once: a picture being decoded may take some hundred megabytes, and people who talk have the processors first.
const AT_ONCE: usize = 1;
/// How long one waits for one's turn: longer than one picture may take, so that whoever is behind a slow one is served.
const PATIENCE: Duration = Duration::from_secs(45);
/// Who waits for theirs at once, at some KiB each; and of one account: pages full of pictures.
const WAITING: usize = 1024;
const WAITING_OF_ONE: usize = 64;
/// How long it is remembered that making one failed: what took all the memory is gone then, or the processors that others had; and who sends what
/// no decoder survives has one process in a while for it.
const FAILED_FOR: Duration = Duration::from_secs(60);
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

/// What is remembered of a file.
#[derive(Clone)]
enum Known {
    Outcome(Outcome),
    /// It failed, and is not tried again before then.
    Failed(Instant),
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<FileHash, Known> for ByBytes {
    fn weight(&self, _: &FileHash, known: &Known) -> u64 {
        let bytes = match known {
            Known::Outcome(Ok(scaled)) => scaled.bytes.len() as u64,
            Known::Outcome(Err(_)) | Known::Failed(_) => 0,
        };
        OVERHEAD_BYTES + bytes
    }
}

/// Those asked for last, and whose turn it is to make one.
pub(super) struct Thumbnails {
    kept: Mutex<Cache<FileHash, Known, ByBytes>>,
    turns: Turns,
    waiting: Arc<Places>,
    /// What makes them; none: this process.
    program: Option<PathBuf>,
}

impl Thumbnails {
    pub(super) fn new(program: Option<PathBuf>) -> Self {
        let (hasher, lifecycle) = (Default::default(), DefaultLifecycle::default());
        let kept = Cache::with((KEPT_BYTES / USUAL_BYTES) as usize, KEPT_BYTES, ByBytes, hasher, lifecycle);
        let waiting = Places::new(WAITING, WAITING_OF_ONE);
        Self { kept: Mutex::new(kept), turns: Turns::new(AT_ONCE), waiting, program }
    }

    fn known(&self, file: &ContentHash) -> Option<Result<Outcome, Refusal>> {
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&file.0).cloned()?;
        match known {
            Known::Outcome(outcome) => Some(Ok(outcome)),
            Known::Failed(until) => (Instant::now() < until).then(|| Err(failed())),
        }
    }

    fn keep(&self, file: ContentHash, known: Known) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(file.0, known);
    }

    /// That of a file, which `open` opens for that account for as long as it may have it.
    async fn of<D: Door>(
        &self,
        account: AccountId,
        attached: &Attached,
        open: impl Fn() -> Result<Download<D>, Refusal>,
    ) -> Result<Outcome, Refusal> {
        let file = attached.sha256;
        if let Some(known) = self.known(&file) {
            return known;
        }
        if let Err(none) = promise(attached, &open()?)? {
            return Ok(Err(none));
        }
        let crowded = |_| Refusal::unavailable("too many thumbnails are being made: try again soon");
        let turn = {
            let _waiting = place(&self.waiting, account, "thumbnails")?;
            timeout(PATIENCE, self.turns.wait(account)).await.map_err(crowded)?
        };
        let turn = turn.map_err(|_| Refusal::unavailable("this server is stopping"))?;
        // Others may have waited for the same one.
        if let Some(known) = self.known(&file) {
            return known;
        }
        let content = whole(open()?).await?;
        match self.made(content, turn).await {
            Ok(Called::Answered(made)) => {
                let outcome = made.map(Arc::new);
                self.keep(file, Known::Outcome(outcome.clone()));
                Ok(outcome)
            }
            Ok(Called::Failed(why)) => {
                tracing::warn!(%file, why, "a thumbnail could not be made");
                self.keep(file, Known::Failed(Instant::now() + FAILED_FOR));
                Err(failed())
            }
            // Nothing to do with the file: no process could be started.
            Err(error) => Err(Refusal::unavailable(format!("no thumbnail can be made now: {error}"))),
        }
    }

    /// Makes one, as long as it is one's turn.
    async fn made(&self, content: Vec<u8>, turn: Turn) -> std::io::Result<Called> {
        let Some(program) = &self.program else {
            let make = move || {
                let made = scaled::scaled(&content);
                // Whoever asked may have gone: the next one waits until this is over all the same.
                drop(turn);
                made
            };
            return ambient::blocking(make).await.map(Called::Answered);
        };
        let called = program::made_by(program, &content).await;
        drop(turn);
        called
    }
}

fn failed() -> Refusal {
    Refusal::unavailable("the thumbnail could not be made: try again in a minute")
}

/// Whether there may be one of a file: its first bytes say what it is, before anybody waits for a turn.
fn promise<D: Door>(attached: &Attached, file: &Download<D>) -> Result<Result<(), Unscalable>, Refusal> {
    if attached.bytes == 0 {
        return Ok(Err(Unscalable::NoPicture));
    }
    let fits = if attached.bytes > FILE_BYTES { Err(Unscalable::TooLarge) } else { Ok(()) };
    Ok(scaled::format(&file.chunk(0)?).and(fits))
}

/// All of a file.
async fn whole<D: Door>(mut download: Download<D>) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    while let Some(piece) = download.read()? {
        content.extend_from_slice(&piece);
        // A large file takes a while: others come in between.
        tokio::task::yield_now().await;
    }
    Ok(content)
}

/// The entity tag of a thumbnail: it changes with the file, and with what is made of it.
pub(super) fn etag(file: &ContentHash) -> String {
    format!("\"{file}-{}\"", scaled::SIDE)
}

/// The answer to whoever asks for the thumbnail of that file, which `open` opens for them as long as they may have it.
pub(super) async fn answer<D: Door>(
    thumbnails: &Thumbnails,
    account: AccountId,
    attached: &Attached,
    open: impl Fn() -> Result<Download<D>, Refusal>,
) -> Result<Response, Refusal> {
    let etag = etag(&attached.sha256);
    let scaled = thumbnails.of(account, attached, open).await.map_err(|refusal| match refusal {
        // It will do later, or elsewhere: that is no reason to have the whole file instead.
        Refusal::Overloaded(words) => Refusal::Unavailable(words),
        other => other,
    })?;
    let scaled = match scaled {
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
        (header::CACHE_CONTROL, super::http::ASKED_EACH_TIME),
    ];
    Ok((headers, Body::from(scaled.bytes.clone())).into_response())
}
