//! Files in scripts: uploads step by step, and what may be had of them.

use goldenscript::ArgumentConsumer;
use threefold_core::{AttachmentId, Command, bounds::DEFAULT_QUOTA_BYTES, content, query};

use super::{Said, Stage, listed};
use crate::world::uploads;

impl Stage {
    /// The file of a label, with its size; one that never was has an id too.
    pub(super) fn file(&self, label: &str) -> (AttachmentId, u64) {
        let number: usize = label.strip_prefix('f').and_then(|number| number.parse().ok()).unwrap_or(0);
        let known = number.checked_sub(1).and_then(|index| self.files.get(index));
        known.copied().unwrap_or((AttachmentId(number as u64), 0))
    }

    pub(super) fn upload(&mut self, label: &str, step: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let device = self.device(label)?.clone();
        let name = args.next_pos().ok_or("which file?")?.value.clone();
        let (id, bytes) = self.file(&name);
        let content = uploads::content(id.0 as u8, bytes);
        let command = match step {
            "begin" => {
                let bytes = args.next_pos().ok_or("how large?")?.value.parse()?;
                let mut command = uploads::begin(&device, args.lookup_parse("nonce")?.unwrap_or(1), &name, bytes);
                if let Command::BeginAttachment { quota_bytes, .. } = &mut command {
                    *quota_bytes = args.lookup_parse("quota")?.unwrap_or(DEFAULT_QUOTA_BYTES);
                }
                command
            }
            "put" => {
                let at = args.lookup_parse("at")?.ok_or("at which byte?")?;
                uploads::put(&device, id, &content, at)
            }
            "finish" if args.lookup_parse("wrong")?.unwrap_or(false) => uploads::finish(&device, id, b"other"),
            "finish" => uploads::finish(&device, id, &content),
            _ => Command::DiscardAttachment { session: device.token, attachment: id },
        };
        args.reject_rest()?;
        Ok(self.submit(label, command))
    }

    /// What is attached to a message, as this device may have it: each is read whole.
    pub(super) fn files(&self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let conversation = self.conversation(label, &args.next_pos().ok_or("where?")?.value)?;
        let message = self.message(&args.next_pos().ok_or("of which message?")?.value)?;
        let (store, reader) = (&self.world.store, self.device(label)?.account);
        let found = match query::attachments(store, reader, conversation, message)? {
            Ok(found) => found,
            Err(rejection) => return Ok(format!("refused: {rejection}")),
        };
        let mut lines = Vec::new();
        for file in found {
            let mut whole = Vec::new();
            for number in 0..content::chunks(file.bytes) {
                match query::chunk(store, file.attachment, number)? {
                    query::Chunk::Sound(chunk) => whole.extend(chunk),
                    other => return Err(format!("{other:?}").into()),
                }
            }
            assert_eq!(content::ContentHash::of(&whole), file.sha256, "not what was sent");
            lines.push(format!("{}, as it was sent", self.describe_file(&file)));
        }
        Ok(listed(lines.into_iter()))
    }

    pub(super) fn usage(&self, label: &str) -> Said {
        let usage = query::usage(&self.world.store, self.device(label)?.account)?;
        Ok(format!("{} bytes, {} unsent", usage.bytes, usage.unsent))
    }
}
