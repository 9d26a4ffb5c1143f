//! Sending a file.

use bytes::{Bytes, BytesMut};
use threefold_core::{ContentHash, content::Hasher};
use threefold_proto::chat::{
    Attachment, BeginUpload, ErrorCode, FinishUpload, UploadFrame, UploadReply, chat_client::ChatClient,
    upload_frame::Frame, upload_reply::Reply,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{File, Stopped, Tries, local, stalled};
use crate::{Client, Error, verdict::Verdict};

/// Bytes of one frame: small, so that a slow line shows that it moves.
const PIECE_BYTES: usize = 32 * 1024;
/// Sent and not known to be safe: one chunk on its way to the log, one being sent. They are kept until they are.
const WINDOW_BYTES: usize = 512 * 1024;
/// Frames waiting for the connection.
const FRAMES: usize = 2;

/// A file being read, with what has to be kept of it.
struct Source<R> {
    content: R,
    bytes: u64,
    /// The place in the file where `window` begins: everything before is safe.
    safe: u64,
    window: BytesMut,
    /// How much of the window the present server was sent.
    sent: usize,
    hasher: Hasher,
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// A server says that everything up to here is safe.
    fn reached(&mut self, bytes: u64) -> Result<(), Error> {
        let ahead = bytes.checked_sub(self.safe).and_then(|ahead| usize::try_from(ahead).ok());
        let ahead = ahead.filter(|ahead| *ahead <= self.window.len());
        // Fewer than before: the upload has expired, or was never ours.
        let ahead =
            ahead.ok_or_else(|| Error::Protocol(format!("the upload is at byte {bytes}, not {}", self.safe)))?;
        drop(self.window.split_to(ahead));
        self.safe = bytes;
        self.sent = self.sent.saturating_sub(ahead);
        Ok(())
    }

    /// Everything was sent to the present server.
    fn is_sent(&self) -> bool {
        self.safe + self.sent as u64 == self.bytes
    }

    fn has_room(&self) -> bool {
        self.sent < WINDOW_BYTES && !self.is_sent()
    }

    /// The next piece, from the window or the file.
    async fn piece(&mut self) -> Result<Bytes, Error> {
        if self.sent == self.window.len() {
            let left = self.bytes - self.safe - self.sent as u64;
            let wanted = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let before = self.window.len();
            self.window.resize(before + wanted, 0);
            let read = self.content.read_exact(&mut self.window[before..]).await;
            if let Err(error) = read {
                self.window.truncate(before);
                return Err(local("cannot read the file", &error));
            }
            self.hasher.update(&self.window[before..]);
        }
        let end = self.window.len().min(self.sent + PIECE_BYTES);
        let piece = Bytes::copy_from_slice(&self.window[self.sent..end]);
        self.sent = end;
        Ok(piece)
    }
}

impl Client {
    /// Sends a file, whose size must be known and right. A message may then name it, within a day.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Usage`] where the file cannot be read.
    pub async fn upload(&self, file: File, content: impl AsyncRead + Unpin + Send) -> Result<Attachment, Error> {
        self.require_identity()?;
        let File { name, content_type, bytes } = file;
        let begin = BeginUpload { nonce: rand::random(), name, content_type, bytes };
        let (window, hasher) = (BytesMut::new(), Hasher::default());
        let mut source = Source { content, bytes, safe: 0, window, sent: 0, hasher };
        let mut tries = Tries::new(self.pool.options.timeout);
        loop {
            let Some(server) = tries.route.next(&self.pool.servers) else { return Err(tries.route.error()) };
            let verdict = match self.upload_at(&server, &begin, &mut source).await {
                Ok(attachment) => {
                    tries.route.worked(&self.pool.servers, &server);
                    return Ok(attachment);
                }
                Err(Stopped::Error(error)) => return Err(error),
                // What was on its way when the connection broke has arrived after all: ask again how far it is.
                Err(Stopped::Verdict(Verdict::Refused { code: ErrorCode::UploadOutOfPlace, message, .. })) => {
                    Verdict::Unavailable { cause: message, broken: false }
                }
                Err(Stopped::Verdict(verdict @ Verdict::Refused { .. })) => return Err(verdict.into_error(Vec::new())),
                Err(Stopped::Verdict(verdict)) => verdict,
            };
            tries.again(self, &server, verdict, source.safe).await?;
        }
    }

    /// One try at one server, from where the upload is.
    async fn upload_at<R: AsyncRead + Unpin>(
        &self,
        server: &str,
        begin: &BeginUpload,
        source: &mut Source<R>,
    ) -> Result<Attachment, Stopped> {
        let patience = self.pool.options.timeout;
        let deadline = Instant::now() + patience;
        let channel = timeout_at(deadline, self.pool.channel(server)).await.unwrap_or_else(|_| Err(stalled()))?;
        let (frames, outgoing) = mpsc::channel(FRAMES);
        let first = UploadFrame { frame: Some(Frame::Begin(begin.clone())) };
        let _ = frames.send(first).await;
        let request = self.request(ReceiverStream::new(outgoing));
        let mut chat = ChatClient::new(channel);
        let replies = timeout_at(deadline, chat.upload_attachment(request)).await.map_err(|_| stalled())?;
        let mut replies = replies.map_err(|status| Verdict::of(&status))?.into_inner();
        match next(&mut replies, deadline).await? {
            Reply::Finished(attachment) => return Ok(attachment),
            Reply::Reached(reached) => {
                source.sent = 0;
                source.reached(reached.bytes).map_err(Stopped::Error)?;
            }
        }
        let (mut is_open, mut is_finishing) = (true, false);
        loop {
            // Whatever moves begins the wait anew.
            let patience = Instant::now() + patience;
            tokio::select! {
                biased;
                reply = next(&mut replies, patience) => match reply? {
                    Reply::Finished(attachment) => return Ok(attachment),
                    Reply::Reached(reached) => source.reached(reached.bytes).map_err(Stopped::Error)?,
                },
                permit = frames.reserve(), if is_open && (source.has_room() || (source.is_sent() && !is_finishing)) => {
                    // The other end is gone: why, a reply says.
                    let Ok(permit) = permit else {
                        is_open = false;
                        continue;
                    };
                    let frame = if source.is_sent() {
                        is_finishing = true;
                        Frame::Finish(FinishUpload { sha256: hash(source.hasher.clone()) })
                    } else {
                        Frame::Content(source.piece().await.map_err(Stopped::Error)?)
                    };
                    permit.send(UploadFrame { frame: Some(frame) });
                }
            }
        }
    }
}

fn hash(hasher: Hasher) -> Bytes {
    let ContentHash(hash) = hasher.finish();
    Bytes::copy_from_slice(&hash)
}

async fn next(replies: &mut Streaming<UploadReply>, deadline: Instant) -> Result<Reply, Verdict> {
    let reply = timeout_at(deadline, replies.message()).await.map_err(|_| stalled())?;
    let ended = || Verdict::Unavailable { cause: "the server ended the upload".to_owned(), broken: false };
    reply.map_err(|status| Verdict::of(&status))?.and_then(|reply| reply.reply).ok_or_else(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(content: &[u8]) -> Source<&[u8]> {
        let (window, hasher) = (BytesMut::new(), Hasher::default());
        Source { content, bytes: content.len() as u64, safe: 0, window, sent: 0, hasher }
    }

    #[tokio::test]
    async fn what_is_not_safe_is_sent_again_and_hashed_once() {
        let content: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let mut source = source(&content);
        for _ in 0..4 {
            source.piece().await.unwrap();
        }
        source.reached(40_000).unwrap();
        // Another server has no more than that.
        source.sent = 0;
        source.reached(50_000).unwrap();
        let mut rest = Vec::new();
        while source.has_room() {
            rest.extend(source.piece().await.unwrap());
        }
        assert_eq!(rest, content[50_000..]);
        assert!(source.is_sent());
        assert_eq!(source.hasher.clone().finish(), ContentHash::of(&content));
        assert!(source.reached(49_999).is_err() && source.reached(200_001).is_err());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let content = vec![7; 2 * WINDOW_BYTES];
        let mut source = source(&content);
        while source.has_room() {
            source.piece().await.unwrap();
        }
        assert!(source.window.len() < WINDOW_BYTES + PIECE_BYTES);
        source.reached(PIECE_BYTES as u64).unwrap();
        assert!(source.has_room());
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_than_it_was_said_to_be_is_an_error_here() {
        let mut source = Source { bytes: 9, ..source(b"short") };
        assert!(matches!(source.piece().await, Err(Error::Usage(_))));
    }
}
