//! The index on disk: a tantivy index, and how far it has got, in one commit.
//!
//! Promises: what is published is one commit, content and [`Progress`] together; after a crash at any moment the last
//! commit is what there is. Whatever is not exactly an index of this version is removed and begun anew. The files are
//! compared with their checksums before anything in them is trusted: the library may panic on damaged ones.
//!
//! On disk: the library's files in one directory; the progress is the payload of its `meta.json`, as JSON. No text is
//! stored, only which words are in which message; within each segment the newest message stands first.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use tantivy::{
    Index as Library, IndexReader, IndexSettings, IndexSortByField, IndexWriter, Order, ReloadPolicy, Searcher,
    TantivyDocument, Term,
    directory::MmapDirectory,
    indexer::{IndexWriterOptions, LogMergePolicy},
    schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
};
use threefold_core::{
    ConversationId, EventId, Position,
    changes::{Change, Text},
};

use super::words::Terms;

/// The version of the index: another one is made anew. It rises with every change of the schema, of what a text's
/// words are, or of the progress.
const VERSION: u32 = 1;

/// Memory of the messages that are not written yet, bytes: the least that the library takes.
const MEMORY_BYTES: usize = 15_000_000;
/// Deleted messages in a segment before it is written anew without their words, as a part of all.
const DELETED_PART: f32 = 0.1;

/// The name under which the index knows our way to split a text.
const WORDS: &str = "threefold-words";
/// The name of the field by which segments are sorted.
pub(super) const MESSAGE: &str = "message";
/// The name of the field that says where a message is.
pub(super) const CONVERSATION: &str = "conversation";

/// The index cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    #[error(transparent)]
    Library(#[from] tantivy::TantivyError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How far the index has got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u32,
    /// The recovery id of the history it was made of; empty: none yet.
    pub(super) history: Vec<u8>,
    /// Everything up to here is in it.
    pub(super) up_to: u64,
    /// A pass through all conversations that is not at its end.
    pub(super) pass: Option<Unfinished>,
}

/// A pass through all conversations that was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unfinished {
    /// The position it goes to.
    pub(super) up_to: u64,
    /// The last conversation of which everything up to there is in the index.
    pub(super) conversation: u64,
}

impl Progress {
    /// Of an index that holds nothing.
    pub(super) fn nothing(history: Vec<u8>) -> Self {
        Self { version: VERSION, history, up_to: 0, pass: None }
    }

    /// The same, with everything up to there.
    pub(super) fn complete_up_to(&self, end: Position) -> Self {
        Self { up_to: end.0, pass: None, ..self.clone() }
    }

    /// The same, in the middle of a pass.
    pub(super) fn within(&self, pass: Unfinished) -> Self {
        Self { pass: Some(pass), ..self.clone() }
    }
}

/// The fields of a message in the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) message: Field,
    pub(super) conversation: Field,
    pub(super) author: Field,
    pub(super) words: Field,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    // Only whether a word occurs is asked: no frequencies, no positions, no lengths.
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(WORDS)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let fields = Fields {
        message: schema.add_u64_field(MESSAGE, INDEXED | FAST),
        conversation: schema.add_u64_field(CONVERSATION, INDEXED | FAST),
        author: schema.add_u64_field("author", INDEXED),
        words: schema.add_text_field("words", TextOptions::default().set_indexing_options(indexing)),
    };
    (schema.build(), fields)
}

/// An index that can be written; there is one at a time of a directory.
pub(super) struct Index {
    writer: IndexWriter,
    reader: IndexReader,
    fields: Fields,
    progress: Progress,
}

impl Index {
    /// Opens the index in the directory at `path`, or begins a new one where there is none that can be used. Threads that
    /// it needs are started from the calling one.
    pub(super) fn open(path: &Path) -> Result<Self, IndexError> {
        match Self::open_present(path) {
            Ok(index) => Ok(index),
            Err(why) => {
                if path.exists() {
                    tracing::info!(%why, "the search index is made anew");
                }
                Self::create(path)
            }
        }
    }

    /// A new, empty one in the place of whatever is there.
    pub(super) fn create(path: &Path) -> Result<Self, IndexError> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(path)?,
        }
        let (schema, fields) = schema();
        let settings = IndexSettings {
            sort_by_field: Some(IndexSortByField { field: MESSAGE.to_owned(), order: Order::Desc }),
            // There is nothing in it.
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let library =
            Library::create(MmapDirectory::open(path).map_err(tantivy::TantivyError::from)?, schema, settings)?;
        Self::over(&library, fields, Progress::nothing(Vec::new()))
    }

    fn open_present(path: &Path) -> Result<Self, IndexError> {
        let unusable = |why: String| IndexError::Io(io::Error::new(io::ErrorKind::InvalidData, why));
        let library = Library::open_in_dir(path)?;
        let (schema, fields) = schema();
        if library.schema() != schema {
            return Err(unusable("it has other fields".to_owned()));
        }
        let payload = library.load_metas()?.payload.unwrap_or_default();
        let progress: Progress = serde_json::from_str(&payload).map_err(|error| unusable(error.to_string()))?;
        if progress.version != VERSION {
            return Err(unusable(format!("it is of version {}, and {VERSION} is needed", progress.version)));
        }
        let damaged = library.validate_checksum()?;
        if !damaged.is_empty() {
            return Err(unusable(format!("{} of its files are damaged", damaged.len())));
        }
        Self::over(&library, fields, progress)
    }

    fn over(library: &Library, fields: Fields, progress: Progress) -> Result<Self, IndexError> {
        library.tokenizers().register(WORDS, Terms);
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .memory_budget_per_thread(MEMORY_BYTES)
            .num_merge_threads(1)
            .build();
        let writer: IndexWriter = library.writer_with_options(options)?;
        let mut merging = LogMergePolicy::default();
        merging.set_del_docs_ratio_before_merge(DELETED_PART);
        writer.set_merge_policy(Box::new(merging));
        let reader = library.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { writer, reader, fields, progress })
    }

    /// Ends it, and waits until none of its threads works on the directory any more.
    pub(super) fn close(self) {
        if let Err(error) = self.writer.wait_merging_threads() {
            tracing::debug!(%error, "the search index was closed in the middle of its work");
        }
    }

    /// How far it had got with the last commit.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes a change in. It is there with the next commit.
    pub(super) fn take(&self, conversation: ConversationId, change: Change) -> Result<(), IndexError> {
        match change {
            Change::Written(text) => self.add(conversation, &text),
            Change::Rewritten(text) => {
                self.remove(text.message);
                self.add(conversation, &text)
            }
            Change::Gone(message) => {
                self.remove(message);
                Ok(())
            }
        }
    }

    fn add(&self, conversation: ConversationId, text: &Text) -> Result<(), IndexError> {
        let mut document = TantivyDocument::default();
        document.add_u64(self.fields.message, text.message.0);
        document.add_u64(self.fields.conversation, conversation.0);
        document.add_u64(self.fields.author, text.author.0);
        document.add_text(self.fields.words, &text.body);
        self.writer.add_document(document)?;
        Ok(())
    }

    fn remove(&self, message: EventId) {
        self.writer.delete_term(Term::from_field_u64(self.fields.message, message.0));
    }

    /// Makes what was taken in durable and visible, together with how far that is.
    pub(super) fn commit(&mut self, progress: Progress) -> Result<Published, IndexError> {
        let payload = serde_json::to_string(&progress).map_err(io::Error::from)?;
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        self.progress = progress;
        self.reader.reload()?;
        Ok(self.published())
    }

    /// The index as of the last commit.
    pub(super) fn published(&self) -> Published {
        Published { searcher: self.reader.searcher(), fields: self.fields, up_to: Position(self.progress.up_to) }
    }
}

/// The index as of one commit, to search in. Later commits do not change it.
pub struct Published {
    pub(super) searcher: Searcher,
    pub(super) fields: Fields,
    up_to: Position,
}

impl Published {
    /// Everything up to here is in it.
    pub fn up_to(&self) -> Position {
        self.up_to
    }

    /// How many messages are in it.
    pub fn messages(&self) -> u64 {
        self.searcher.num_docs()
    }
}

#[cfg(test)]
mod tests {
    use threefold_core::AccountId;

    use super::*;

    fn written(message: u64) -> Change {
        Change::Written(Text { message: EventId(message), author: AccountId(1), body: "some words".to_owned() })
    }

    fn progress(up_to: u64) -> Progress {
        Progress::nothing(b"history".to_vec()).complete_up_to(Position(up_to))
    }

    #[test]
    fn content_and_progress_are_committed_together() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("search");
        let mut index = Index::open(&path).unwrap();
        assert_eq!((index.published().messages(), index.progress()), (0, &Progress::nothing(Vec::new())));
        index.take(ConversationId(1), written(8)).unwrap();
        let published = index.commit(progress(8)).unwrap();
        assert_eq!((published.messages(), published.up_to()), (1, Position(8)));
        index.take(ConversationId(1), written(9)).unwrap();
        drop(index);
        let mut index = Index::open(&path).unwrap();
        assert_eq!((index.published().messages(), index.progress()), (1, &progress(8)), "the rest was not committed");
        index.take(ConversationId(1), Change::Gone(EventId(8))).unwrap();
        assert_eq!(index.commit(progress(10)).unwrap().messages(), 0);
        assert_eq!(published.messages(), 1, "what was published stays");
    }

    #[test]
    fn what_cannot_be_used_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("search");
        let filled = || {
            let mut index = Index::create(&path).unwrap();
            index.take(ConversationId(1), written(8)).unwrap();
            index.commit(progress(8)).unwrap();
            drop(index);
            assert_eq!(Index::open(&path).unwrap().published().messages(), 1);
        };
        let begins_anew = |what: &str| {
            let index = Index::open(&path).unwrap();
            assert_eq!((index.published().messages(), index.progress().up_to), (0, 0), "{what}");
        };
        filled();
        fs::write(path.join("meta.json"), "{").unwrap();
        begins_anew("a broken file");
        filled();
        let meta = fs::read_to_string(path.join("meta.json")).unwrap();
        fs::write(path.join("meta.json"), meta.replace("\\\"version\\\":1", "\\\"version\\\":2")).unwrap();
        begins_anew("another version");
        filled();
        let mut damaged = 0;
        for entry in fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.extension().is_some_and(|extension| extension == "idx" || extension == "term") {
                let mut bytes = fs::read(&entry).unwrap();
                bytes[0] ^= 0xff;
                fs::write(&entry, bytes).unwrap();
                damaged += 1;
            }
        }
        assert!(damaged > 0);
        begins_anew("damaged files");
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        assert!(Index::open(&path).is_err(), "what is no directory is left alone");
    }
}
