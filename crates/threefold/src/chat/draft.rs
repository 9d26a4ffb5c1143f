//! A message whose files are not uploaded yet, as it is kept on disk: with what it takes to write it again, its files by their paths alone.
//!
//! It is a draft of the outbox, which knows nothing of what it says; a later version of this program may write others, which this one tells of and leaves where they are.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use threefold_client::To;

use super::model::{KeptAs, Left, Unsent};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    to: Recipient,
    body: String,
    reply_to: u64,
    files: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Recipient {
    User(String),
    Room(String),
    Conversation(u64),
}

/// What is to be kept of it. Paths are made whole: the next chat may begin in another directory.
pub fn encoded(to: &To, body: &str, reply_to: u64, files: &[PathBuf]) -> Option<Vec<u8>> {
    let to = match to.clone() {
        To::User(name) => Recipient::User(name),
        To::Room(name) => Recipient::Room(name),
        To::Conversation(id) => Recipient::Conversation(id),
    };
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let files = files.iter().map(|path| whole(path)).collect();
    serde_json::to_vec(&Stored { version: VERSION, to, body: body.to_owned(), reply_to, files }).ok()
}

/// What an earlier chat kept under this number.
pub fn unsent(number: u64, content: &[u8]) -> Unsent {
    let kept_as = KeptAs::Draft(number);
    let stored = serde_json::from_slice::<Stored>(content).ok().filter(|stored| stored.version == VERSION);
    let Some(Stored { to, body, reply_to, files, .. }) = stored else {
        let why = "another version of this program kept it".to_owned();
        return Unsent { kept_as, what: Left::Other("a message with a file"), why, text: None };
    };
    let to = match to {
        Recipient::User(name) => To::User(name),
        Recipient::Room(name) => To::Room(name),
        Recipient::Conversation(id) => To::Conversation(id),
    };
    let why = if files.len() == 1 { "the file was not uploaded" } else { "the files were not uploaded" };
    let files = files.into_iter().map(PathBuf::from).collect();
    let what = Left::Message { to: Some(to), reply_to, attachments: Vec::new(), files };
    Unsent { kept_as, what, why: why.to_owned(), text: Some(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_version_wrote_every_later_one_reads() {
        let golden = r##"{"version":1,"to":{"conversation":200},"body":"see\nthis","reply_to":40,"files":["/home/a b/plan.pdf"]}"##;
        let files = [PathBuf::from("/home/a b/plan.pdf")];
        assert_eq!(encoded(&To::Conversation(200), "see\nthis", 40, &files).unwrap(), golden.as_bytes());
        for (to, written) in [
            (To::User("bob".to_owned()), r##"{"user":"bob"}"##),
            (To::Room("tea".to_owned()), r##"{"room":"tea"}"##),
            (To::Conversation(200), r##"{"conversation":200}"##),
        ] {
            let content = golden.replace(r##"{"conversation":200}"##, written);
            let what = Left::Message { to: Some(to), reply_to: 40, attachments: Vec::new(), files: files.to_vec() };
            let Unsent { kept_as, what: found, text, .. } = unsent(3, content.as_bytes());
            assert_eq!((kept_as, found, text.as_deref()), (KeptAs::Draft(3), what, Some("see\nthis")));
        }
        // The next chat may begin elsewhere.
        let content = encoded(&To::User("bob".to_owned()), "", 0, &[PathBuf::from("plan.pdf")]).unwrap();
        let Left::Message { files, .. } = unsent(1, &content).what else { panic!("no message") };
        assert!(files[0].is_absolute() && files[0].ends_with("plan.pdf"), "{files:?}");
    }

    #[test]
    fn what_a_later_version_wrote_is_told_of() {
        for content in ["", "{}", "nonsense", r#"{"version":2,"to":{"user":"bob"},"body":"","reply_to":0,"files":[]}"#]
        {
            let one = unsent(1, content.as_bytes());
            assert_eq!((one.what, one.text), (Left::Other("a message with a file"), None), "{content}");
        }
    }
}
