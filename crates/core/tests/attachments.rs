//! Attachments, with random uploads, sends, deletions and days that pass: what is counted is what is stored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use threefold_core::{
    AttachmentId, Command, ConversationId, DeleteScope, EventId, Reply,
    bounds::{CHUNK_BYTES, UPLOAD_MS},
    content, query,
};
use world::{Device, World, sent, uploads};

#[derive(Clone, Debug)]
enum Step {
    /// An upload with this nonce; as much of it as there is.
    Upload {
        who: usize,
        nonce: u64,
        size: usize,
        chunks: usize,
        finish: bool,
    },
    Send {
        who: usize,
        files: Vec<usize>,
    },
    Discard {
        who: usize,
        file: usize,
    },
    Delete {
        who: usize,
        message: usize,
        everyone: bool,
    },
    DeleteAccount {
        who: usize,
    },
    Wait {
        hours: u64,
    },
}

const SIZES: [u64; 5] = [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..3;
    prop_oneof![
        6 => (who.clone(), 0u64..6, 0..SIZES.len(), 0usize..5, any::<bool>())
            .prop_map(|(who, nonce, size, chunks, finish)| Step::Upload { who, nonce, size, chunks, finish }),
        4 => (who.clone(), vec(0usize..6, 0..3)).prop_map(|(who, files)| Step::Send { who, files }),
        1 => (who.clone(), 0usize..6).prop_map(|(who, file)| Step::Discard { who, file }),
        3 => (who.clone(), 0usize..6, any::<bool>())
            .prop_map(|(who, message, everyone)| Step::Delete { who, message, everyone }),
        1 => who.prop_map(|who| Step::DeleteAccount { who }),
        2 => (0u64..20).prop_map(|hours| Step::Wait { hours }),
    ]
}

/// What has been made so far, the newest last.
struct Scene {
    world: World,
    people: Vec<Device>,
    files: Vec<AttachmentId>,
    messages: Vec<(ConversationId, EventId)>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let people = ["ann", "bob", "cy", "dora"].map(|name| world.register(name)).into();
        Self { world, people, files: Vec::new(), messages: Vec::new() }
    }

    fn file(&self, back: usize) -> AttachmentId {
        self.files.iter().rev().nth(back).copied().unwrap_or(AttachmentId(1))
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Upload { who, nonce, size, chunks, finish } => {
                let device = self.people[*who].clone();
                let content = uploads::content(*nonce as u8, SIZES[*size]);
                let begun = self.world.run(&uploads::begin(&device, *nonce, "file", SIZES[*size]));
                let Reply::UploadReached { attachment, received } = begun else { return };
                if received == 0 && !self.files.contains(&attachment) {
                    self.files.push(attachment);
                }
                for number in 0..*chunks as u64 {
                    self.world.run(&uploads::put(&device, attachment, &content, number * CHUNK_BYTES));
                }
                if *finish {
                    self.world.run(&uploads::finish(&device, attachment, &content));
                }
            }
            Step::Send { who, files } => {
                let files: Vec<_> = files.iter().map(|back| self.file(*back)).collect();
                let device = &mut self.people[*who];
                // Dora is always there to be written to.
                let reply = self.world.write(device, uploads::send_files("dora", "look", &files));
                if let Reply::MessageSent { .. } = reply {
                    self.messages.push(sent(&reply));
                }
            }
            Step::Discard { who, file } => {
                let (session, attachment) = (self.people[*who].token, self.file(*file));
                self.world.run(&Command::DiscardAttachment { session, attachment });
            }
            Step::Delete { who, message, everyone } => {
                let Some((conversation, message)) = self.messages.iter().rev().nth(*message).copied() else { return };
                let scope = if *everyone { DeleteScope::Everyone } else { DeleteScope::Me };
                self.world.delete(&mut self.people[*who], conversation, &[message], scope);
            }
            Step::DeleteAccount { who } => {
                let session = self.people[*who].token;
                self.world.run(&Command::DeleteAccount { session, credential_version: 1 });
            }
            Step::Wait { hours } => {
                self.world.time_ms += hours * 60 * 60 * 1000;
            }
        }
    }

    /// Entries that do nothing else, until nothing is left to be removed.
    fn settle(&mut self) {
        for _ in 0..50 {
            let dora = &mut self.people[3];
            self.world.send(dora, "dora", "meanwhile");
        }
    }

    /// The attachments there are, with their sizes, and how much of each is there: by what their owners' messages and
    /// uploads say, not by the counts.
    fn chunks(&self) -> BTreeMap<AttachmentId, BTreeSet<u64>> {
        let mut chunks: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for key in self.world.store.entries.keys().filter(|key| key[0] == 0x19) {
            let id = |place: usize| u64::from_be_bytes(key[place..place + 8].try_into().unwrap());
            chunks.entry(AttachmentId(id(1))).or_default().insert(id(9));
        }
        chunks
    }

    fn records(&self) -> BTreeSet<AttachmentId> {
        let keys = self.world.store.entries.keys().filter(|key| key[0] == 0x18);
        keys.map(|key| AttachmentId(u64::from_be_bytes(key[1..9].try_into().unwrap()))).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// No chunk is left without its attachment once all is cleaned up, every attachment of a message can be read whole, and
    /// an account is charged for exactly what it has in messages and uploads.
    #[test]
    fn what_is_counted_is_what_is_stored(steps in vec(step(), 1..60)) {
        let mut scene = Scene::new();
        for step in &steps {
            scene.play(step);
        }
        scene.settle();
        let (records, chunks) = (scene.records(), scene.chunks());
        for id in chunks.keys() {
            prop_assert!(records.contains(id), "chunks of {id} are nobody's");
        }
        prop_assert_eq!(scene.world.count(0x1c), 0, "removals are left");
        for device in &scene.people[..3] {
            let Some(account) = query::account(&scene.world.store, device.account).unwrap() else { continue };
            let mut in_messages = 0;
            for event in scene.world.everything(scene.people[3].account) {
                let threefold_core::EventBody::MessageSent { author, attachments, .. } = event.body else { continue };
                if author != device.account {
                    continue;
                }
                for file in attachments.into_iter().flatten() {
                    in_messages += file.bytes;
                    let there = chunks.get(&file.attachment).map_or(0, BTreeSet::len);
                    prop_assert_eq!(there as u64, content::chunks(file.bytes));
                }
            }
            let usage = query::usage(&scene.world.store, device.account).unwrap();
            if account.name.is_none() {
                prop_assert_eq!((usage.bytes, usage.unsent), (0, 0));
            } else if usage.unsent == 0 {
                prop_assert_eq!(usage.bytes, in_messages);
            } else {
                prop_assert!(usage.bytes >= in_messages);
            }
        }
        // A day later nothing is left but what messages have.
        scene.world.time_ms += UPLOAD_MS;
        scene.settle();
        prop_assert_eq!(scene.world.count(0x1b), 0);
        let mut charged = 0;
        for device in &scene.people {
            let usage = query::usage(&scene.world.store, device.account).unwrap();
            prop_assert_eq!(usage.unsent, 0);
            charged += usage.bytes;
        }
        let stored: u64 = scene.world.store.entries.iter().filter(|(key, _)| key[0] == 0x19).map(|_| 1).sum();
        prop_assert!(charged <= stored * CHUNK_BYTES, "charged for more than is stored");
    }

    /// A command about attachments that arrives again at once writes nothing, and the log alone gives the same state.
    #[test]
    fn retries_and_replays_change_nothing(steps in vec(step(), 1..40)) {
        let mut scene = Scene::new();
        for step in &steps {
            scene.play(step);
        }
        let mut other = World::new();
        for entry in &scene.world.log {
            other.apply_entry(entry.clone());
        }
        prop_assert_eq!(&other.store, &scene.world.store);
    }
}
