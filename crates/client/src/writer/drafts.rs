//! Drafts: what a program keeps in its [`DiskOutbox`] that is no write yet, because something has to be done first (a file to be uploaded), and whose words are to outlive
//! the program all the same.
//!
//! Promises: a draft is on disk when it is kept; it is there until it is forgotten, or until the write in whose place it stood is on disk, which happens at once: no crash leaves both
//! or neither. Left out: what a draft says, which the program alone knows and gives a version of its own; and sending it by itself.

use std::collections::BTreeSet;

use threefold_proto::chat::MessageSent;
use tokio::sync::oneshot;

use super::{DiskOutbox, Note, Receipt, To, Writer, change::Change, stopped};
use crate::Error;

/// Drafts at a time: what a person has under way, and what earlier runs have left.
const MOST: usize = 256;
/// Of one: a message's text, and the names of its files.
const MOST_BYTES: usize = 64 * 1024;

/// The numbers of those that are kept.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    kept: BTreeSet<u64>,
    last: u64,
}

impl Drafts {
    pub(super) fn of(disk: &DiskOutbox) -> Self {
        let kept: BTreeSet<u64> = disk.drafts().map(|(number, _)| number).collect();
        Self { last: kept.last().copied().unwrap_or(0), kept }
    }

    /// One more, if there is room for it. No number is given twice while the program runs.
    pub(super) fn keep(&mut self, content: Vec<u8>) -> Option<(u64, Change)> {
        if self.kept.len() >= MOST {
            return None;
        }
        self.last += 1;
        self.kept.insert(self.last);
        Some((self.last, Change::Drafted { draft: self.last, content }))
    }

    /// None where it is not there any more.
    pub(super) fn forget(&mut self, draft: u64) -> Option<Change> {
        self.kept.remove(&draft).then_some(Change::Undrafted { draft })
    }
}

impl Writer {
    /// Keeps this on disk until it is forgotten, or sent: the number it has until then. What it says is the program's own, with a version in it; a later run finds it by
    /// [`DiskOutbox::drafts`].
    ///
    /// # Errors
    /// [`Error::Usage`] where the outbox is not kept on disk, or has no room for it; why nothing is kept any more where the disk failed.
    pub async fn keep_draft(&self, content: Vec<u8>) -> Result<u64, Error> {
        if !self.is_kept {
            return Err(Error::Usage("this outbox is not kept on disk".to_owned()));
        }
        if content.len() > MOST_BYTES {
            return Err(Error::Usage(format!("a draft has at most {MOST_BYTES} bytes")));
        }
        let ((taken, number), (saved, is_saved)) = (oneshot::channel(), oneshot::channel());
        let over = || self.over().unwrap_or_else(stopped);
        self.notes.send(Note::Keep(content, taken, saved)).await.map_err(|_| over())?;
        let number = number.await.map_err(|_| over())?;
        let number = number.ok_or_else(|| Error::Usage(format!("an outbox keeps at most {MOST} drafts")))?;
        is_saved.await.map_err(|_| over())?;
        Ok(number)
    }

    /// Nobody needs it any more. Returns when that is on disk; where the disk failed, a later run finds it again.
    pub async fn forget_draft(&self, draft: u64) {
        let (done, is_done) = oneshot::channel();
        if self.notes.send(Note::Forget(draft, done)).await.is_ok() {
            let _ = is_done.await;
        }
    }

    /// As [`Writer::send_with`], in the place of a draft: with the message on disk the draft is gone.
    ///
    /// # Errors
    /// As for [`Writer::send`]; the draft is still there then, unless the disk failed.
    pub async fn send_draft(
        &self,
        draft: u64,
        to: impl Into<To>,
        body: impl Into<String>,
        reply_to: u64,
        attachments: Vec<u64>,
    ) -> Result<Receipt<MessageSent>, Error> {
        self.submit_message(Some(draft), to.into(), body.into(), reply_to, attachments).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use threefold_core::bounds;

    use super::*;
    use crate::{Client, Options, Session};

    fn session() -> Session {
        let json = serde_json::json!({
            "account": 1, "name": "alice", "session": 7, "instance": 1, "token": "1".repeat(64), "position": 0, "servers": [], "expires_at_ms": 0,
            "delivered_up_to": 0,
        });
        serde_json::from_value(json).unwrap()
    }

    fn client() -> Client {
        let mut nowhere = Options::new(vec!["http://127.0.0.1:9".to_owned()]);
        nowhere.timeout = std::time::Duration::from_secs(600);
        Client::new(nowhere).unwrap().with_session(session()).unwrap()
    }

    fn writer(path: &Path) -> Writer {
        client().writer_with(DiskOutbox::open(path, &session()).unwrap()).unwrap()
    }

    /// What the next program would find.
    fn left(path: &Path, bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<String>) {
        let copy = path.with_extension("copy");
        std::fs::write(&copy, bytes).unwrap();
        let left = DiskOutbox::left(&copy).unwrap().unwrap();
        (left.drafts, left.writes.iter().filter_map(|write| write.text().map(str::to_owned)).collect())
    }

    #[tokio::test]
    async fn a_crash_at_any_byte_leaves_the_draft_or_the_message_and_never_both_or_neither() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let writer = writer(&path);
        let draft = writer.keep_draft(b"words".to_vec()).await.unwrap();
        let drafted = std::fs::read(&path).unwrap().len();
        drop(writer.send_draft(draft, "bob", "words", 0, vec![5]).await.unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let (mut before, mut after) = (0, 0);
        for end in drafted..=bytes.len() {
            match left(&path, &bytes[..end]) {
                (drafts, texts) if texts.is_empty() && drafts == [b"words"] => before += 1,
                (drafts, texts) if texts == ["words"] && drafts.is_empty() => after += 1,
                other => panic!("at {end} of {}: {other:?}", bytes.len()),
            }
        }
        assert!(before > 1 && after > 0, "{before} {after}");
    }

    #[tokio::test]
    async fn drafts_stay_until_they_are_forgotten_however_often_the_file_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let mut writer = writer(&path);
        let first = writer.keep_draft(b"first".to_vec()).await.unwrap();
        // So much that the file is written anew on the way.
        for _ in 0..20 {
            let large = writer.keep_draft(vec![7; MOST_BYTES]).await.unwrap();
            assert!(large > first);
            writer.forget_draft(large).await;
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 10 * MOST_BYTES as u64, "it was written anew");
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(left(&path, &bytes), (vec![b"first".to_vec()], vec![]));
        // The next program goes on behind it, and may forget it, once and once more.
        std::fs::copy(&path, directory.path().join("next")).unwrap();
        let next = DiskOutbox::open(directory.path().join("next"), &session()).unwrap();
        assert_eq!(next.drafts().collect::<Vec<_>>(), [(first, &b"first"[..])]);
        assert_eq!(next.accepted(), 0, "it is no write");
        writer = client().writer_with(next).unwrap();
        assert!(writer.keep_draft(b"second".to_vec()).await.unwrap() > first);
        writer.forget_draft(first).await;
        writer.forget_draft(first).await;
        let bytes = std::fs::read(directory.path().join("next")).unwrap();
        assert_eq!(left(&path, &bytes).0, [b"second"]);
    }

    #[tokio::test]
    async fn there_are_so_many_and_so_large_ones_and_none_without_a_disk() {
        let directory = tempfile::tempdir().unwrap();
        let writer = writer(&directory.path().join("outbox"));
        assert!(matches!(writer.keep_draft(vec![0; MOST_BYTES + 1]).await, Err(Error::Usage(_))));
        for _ in 0..MOST {
            writer.keep_draft(Vec::new()).await.unwrap();
        }
        assert!(matches!(writer.keep_draft(Vec::new()).await, Err(Error::Usage(_))));
        writer.forget_draft(1).await;
        writer.keep_draft(Vec::new()).await.unwrap();
        assert!(client().writer().unwrap().keep_draft(Vec::new()).await.is_err());
        // A text that cannot be sent leaves the draft where it is.
        let overlong = "x".repeat(bounds::BODY_BYTES + 1);
        writer.send_draft(2, "bob", overlong, 0, vec![5]).await.unwrap_err();
        assert_eq!(
            left(&directory.path().join("outbox"), &std::fs::read(directory.path().join("outbox")).unwrap()).0.len(),
            MOST
        );
    }
}
