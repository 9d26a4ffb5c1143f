//! Uploads in a small world: whole files, and their single steps.

use threefold_core::{
    AttachmentId, Command, ContentHash, Operation, Recipient, Reply,
    bounds::{CHUNK_BYTES, DEFAULT_QUOTA_BYTES},
    content::Digest,
};

use super::{Device, World};

/// A file's content: of that many bytes, and different from that of every other seed.
pub fn content(seed: u8, bytes: u64) -> Vec<u8> {
    (0..bytes).map(|place| (place / 251) as u8 ^ place as u8 ^ seed).collect()
}

pub fn begin(device: &Device, nonce: u64, name: &str, bytes: u64) -> Command {
    Command::BeginAttachment {
        session: device.token,
        nonce,
        name: name.to_owned(),
        content_type: "text/plain".to_owned(),
        bytes,
        quota_bytes: DEFAULT_QUOTA_BYTES,
    }
}

/// The chunk of `content` at `offset`.
pub fn put(device: &Device, attachment: AttachmentId, content: &[u8], offset: u64) -> Command {
    let end = content.len().min((offset + CHUNK_BYTES) as usize);
    let content = content.get(offset as usize..end).unwrap_or_default().to_vec();
    Command::PutChunk { session: device.token, attachment, offset, hash: ContentHash::of(&content), content }
}

pub fn finish(device: &Device, attachment: AttachmentId, content: &[u8]) -> Command {
    let mut digest = Digest::default();
    for chunk in content.chunks(CHUNK_BYTES as usize) {
        digest.chunk(chunk);
    }
    let (sha256, chain) = digest.finish();
    Command::FinishAttachment { session: device.token, attachment, sha256, chain, content_type: None }
}

pub fn reached(reply: &Reply) -> (AttachmentId, u64) {
    match reply {
        Reply::UploadReached { attachment, received } => (*attachment, *received),
        other => panic!("no upload: {other:?}"),
    }
}

pub fn send_files(name: &str, body: &str, attachments: &[AttachmentId]) -> Operation {
    let to = Recipient::User(name.to_owned());
    Operation::SendMessage { to, body: body.to_owned(), reply_to: None, attachments: Some(attachments.to_vec()) }
}

impl World {
    /// Uploads a whole file, finished.
    pub fn upload(&mut self, device: &Device, nonce: u64, name: &str, content: &[u8]) -> AttachmentId {
        let (id, _) = reached(&self.run(&begin(device, nonce, name, content.len() as u64)));
        for offset in (0..content.len() as u64).step_by(CHUNK_BYTES as usize) {
            reached(&self.run(&put(device, id, content, offset)));
        }
        let reply = self.run(&finish(device, id, content));
        assert!(matches!(reply, Reply::AttachmentFinished(_)), "{reply:?}");
        id
    }

    /// How many records a table holds.
    pub fn count(&self, table: u8) -> usize {
        self.store.entries.keys().filter(|key| key[0] == table).count()
    }
}
