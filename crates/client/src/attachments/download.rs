//! Receiving a file.

use threefold_core::content::Hasher;
use threefold_proto::chat::{Attachment, DownloadAttachmentRequest, chat_client::ChatClient, download_reply::Reply};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

use super::{Stopped, Tries, local, stalled};
use crate::{Client, Error, verdict::Verdict};

/// A file being written.
struct Target<'a, W> {
    writer: &'a mut W,
    written: u64,
    hasher: Hasher,
}

impl Client {
    /// Receives a file that is attached to a message, wholly and as it was sent, or says why not; what was written until then is
    /// a part of it. The conversation may be zero: wherever the message is.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Usage`] where `writer` fails, [`Error::Protocol`] where it is not what was sent.
    pub async fn download(
        &self,
        (conversation, message): (u64, u64),
        attachment: &Attachment,
        writer: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<(), Error> {
        self.require_identity()?;
        let mut target = Target { writer, written: 0, hasher: Hasher::default() };
        let mut tries = Tries::new(self.pool.options.timeout);
        while target.written < attachment.bytes {
            let Some(server) = tries.route.next(&self.pool.servers) else { return Err(tries.route.error()) };
            let request = DownloadAttachmentRequest {
                conversation,
                message,
                attachment: attachment.attachment,
                offset: target.written,
                length: 0,
            };
            let verdict = match self.download_at(&server, request, &mut target).await {
                Ok(()) if target.written >= attachment.bytes => {
                    tries.route.worked(&self.pool.servers, &server);
                    break;
                }
                Ok(()) => Verdict::Unavailable { cause: "the server ended the download".to_owned(), broken: false },
                Err(Stopped::Error(error)) => return Err(error),
                Err(Stopped::Verdict(verdict @ Verdict::Refused { .. })) => return Err(verdict.into_error(Vec::new())),
                Err(Stopped::Verdict(verdict)) => verdict,
            };
            tries.again(self, &server, verdict, target.written).await?;
        }
        target.writer.flush().await.map_err(|error| local("cannot write the file", &error))?;
        let sha256 = target.hasher.finish();
        if target.written != attachment.bytes || sha256.0[..] != attachment.sha256[..] {
            return Err(Error::Protocol(format!("what arrived is not what was sent: its SHA-256 is {sha256}")));
        }
        Ok(())
    }

    async fn download_at<W: AsyncWrite + Unpin>(
        &self,
        server: &str,
        request: DownloadAttachmentRequest,
        target: &mut Target<'_, W>,
    ) -> Result<(), Stopped> {
        let patience = self.pool.options.timeout;
        let deadline = Instant::now() + patience;
        let channel = timeout_at(deadline, self.pool.channel(server)).await.unwrap_or_else(|_| Err(stalled()))?;
        let mut chat = ChatClient::new(channel);
        let replies = timeout_at(deadline, chat.download_attachment(self.request(request))).await;
        let replies = replies.map_err(|_| stalled())?.map_err(|status| Verdict::of(&status))?;
        let mut replies = replies.into_inner();
        loop {
            let reply = timeout(patience, replies.message()).await.map_err(|_| stalled())?;
            match reply.map_err(|status| Verdict::of(&status))? {
                None => return Ok(()),
                Some(reply) => match reply.reply {
                    Some(Reply::Content(piece)) => {
                        let written = target.writer.write_all(&piece).await;
                        written.map_err(|error| Stopped::Error(local("cannot write the file", &error)))?;
                        target.hasher.update(&piece);
                        target.written += piece.len() as u64;
                    }
                    Some(Reply::Attachment(_)) | None => {}
                },
            }
        }
    }
}
