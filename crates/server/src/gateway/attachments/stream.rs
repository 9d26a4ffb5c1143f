//! An upload over a stream of frames: how every transport with frames takes files.

use std::pin::pin;

use futures::{Stream, StreamExt as _};
use threefold_core::ContentHash;
use threefold_proto::{
    chat::{self, upload_frame::Frame, upload_reply::Reply},
    convert::{self, Refusal},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{Begun, CHUNK_PATIENCE, Upload};
use crate::gateway::{Caller, Gateway, door::Door};

/// Replies that a client has not taken yet; one that takes none sends nothing more either.
pub(in crate::gateway) const REPLIES: usize = 4;

/// Where replies go, and in the end, if it comes to that, why the upload ended.
pub(in crate::gateway) type Replies = mpsc::Sender<Result<chat::UploadReply, Refusal>>;

impl<D: Door> Gateway<D> {
    /// Takes an upload, frame by frame, until it is finished, refused, or given up.
    pub(in crate::gateway) async fn take_upload(
        &self,
        caller: &Caller,
        frames: impl Stream<Item = Result<chat::UploadFrame, Refusal>>,
        replies: Replies,
    ) {
        let outcome = tokio::select! {
            biased;
            () = self.closed() => Err(Refusal::unavailable("this server is stopping")),
            outcome = self.converse_upload(caller, frames, &replies) => outcome,
        };
        if let Err(refusal) = outcome {
            let _ = replies.send(Err(refusal)).await;
        }
    }

    async fn converse_upload(
        &self,
        caller: &Caller,
        frames: impl Stream<Item = Result<chat::UploadFrame, Refusal>>,
        replies: &Replies,
    ) -> Result<(), Refusal> {
        let mut frames = pin!(frames);
        let deadline = Instant::now() + CHUNK_PATIENCE;
        let Frame::Begin(begin) = next(&mut frames, deadline).await? else {
            return Err(Refusal::invalid("an upload begins with its announcement"));
        };
        let mut upload = match self.begin_upload(caller, begin, deadline).await? {
            Begun::Open(upload) => *upload,
            Begun::Finished(attached) => return say(replies, Reply::Finished(convert::attachment(attached))).await,
        };
        say_reached(replies, &upload).await?;
        loop {
            match next(&mut frames, upload.due()).await? {
                Frame::Begin(_) => return Err(Refusal::invalid("one upload a stream")),
                Frame::Content(piece) => {
                    if upload.put(piece).await? {
                        say_reached(replies, &upload).await?;
                    }
                }
                Frame::Finish(finish) => {
                    let attached = upload.finish(expected(&finish.sha256)?).await?;
                    return say(replies, Reply::Finished(convert::attachment(attached))).await;
                }
            }
        }
    }
}

async fn next(
    frames: &mut (impl Stream<Item = Result<chat::UploadFrame, Refusal>> + Unpin),
    due: Instant,
) -> Result<Frame, Refusal> {
    let frame = timeout_at(due, frames.next()).await;
    let frame = frame.map_err(|_| Refusal::unavailable("the upload was too slow: go on with it later"))?;
    let frame = frame.ok_or_else(|| Refusal::unavailable("the upload was not finished"))??;
    frame.frame.ok_or_else(|| Refusal::invalid("a frame that this server does not know"))
}

fn expected(sha256: &[u8]) -> Result<Option<ContentHash>, Refusal> {
    if sha256.is_empty() {
        return Ok(None);
    }
    let hash = <[u8; 32]>::try_from(sha256)
        .map_err(|_| Refusal::invalid(format!("a SHA-256 has 32 bytes, not {}", sha256.len())))?;
    Ok(Some(ContentHash(hash)))
}

async fn say_reached<D: Door>(replies: &Replies, upload: &Upload<D>) -> Result<(), Refusal> {
    say(replies, Reply::Reached(upload.reached())).await
}

async fn say(replies: &Replies, reply: Reply) -> Result<(), Refusal> {
    let reply = chat::UploadReply { reply: Some(reply) };
    match timeout(CHUNK_PATIENCE, replies.send(Ok(reply))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Refusal::unavailable("the client does not listen")),
    }
}
