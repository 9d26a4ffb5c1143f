//! What is kept of what somebody wrote: on disk, in a file beside the login, from when it is written until it is answered.
//!
//! Promises: what was written outlives a chat that is killed, and goes out first when the next one begins; but a message whose files were not uploaded is listed then, its files by
//! their paths ([`super::draft`]). What came to nothing after nobody looked any more is
//! listed then ([`super::update`]), and stays on disk until what is written again in its place is there, or somebody has given it up; an edit of this chat, too; what else it was refused, until it
//! was in sight. Where the file cannot be had, the chat goes on without it, and says so. What an earlier
//! chat left is told until it is answered; left out: showing it among the messages of its conversation, whose name nobody here knows before a server answers.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use threefold_client::{
    DiskOutbox, Error, Failed, Left, LeftBehind, To, Writer,
    chat::{Recipient, recipient, write::Operation},
};
use tokio::sync::{mpsc, watch};

use super::{
    draft,
    model::{self, KeptAs, News, Unsent},
};
use crate::commands::{Failure, context::Context};

/// Files of other logins beside each other, at most.
const LOGINS: usize = 1_000;

/// The outbox of a chat.
pub struct Kept {
    pub writer: Writer,
    /// On disk; else it lasts as long as the chat.
    pub is_on_disk: bool,
    /// To be told at once.
    pub news: Vec<News>,
    /// Writes of earlier chats have numbers up to this.
    before: u64,
    /// What those of them say that wait, by their numbers.
    left: Vec<(u64, String)>,
}

/// Opens the outbox beside the login.
pub fn open(context: &Context) -> Result<Kept, Failure> {
    let (path, session) = (context.file.outbox(), context.session()?);
    let mut news = Vec::new();
    let mut waiting = Vec::new();
    match DiskOutbox::left(&path) {
        Ok(Some(left)) if left.is_of(session) => {
            let waits = |one: &LeftBehind| Some((one.number, waits(one)?));
            waiting = left.writes.iter().filter(|one| one.failed.is_none()).filter_map(waits).collect();
        }
        // What another login left can never be sent.
        Ok(Some(left)) => news.extend(set_aside(&path, left)),
        Ok(None) | Err(_) => {}
    }
    let opened = DiskOutbox::open(&path, session).and_then(|outbox| {
        let drafts: Vec<Unsent> = outbox.drafts().map(|(number, content)| draft::unsent(number, content)).collect();
        Ok((outbox.accepted(), drafts, context.client.writer_with(outbox)?))
    });
    match opened {
        Ok((before, drafts, writer)) => {
            if !drafts.is_empty() {
                news.push(News::Unsent(drafts));
            }
            Ok(Kept { writer, is_on_disk: true, news, before, left: waiting })
        }
        Err(error) => {
            news.push(News::NotKept(error.to_string()));
            Ok(Kept { writer: context.client.writer()?, is_on_disk: false, news, before: 0, left: Vec::new() })
        }
    }
}

/// How much somebody wrote that is in what a chat left, and is not known to be sent.
pub fn unsent_in(left: &Left) -> usize {
    left.writes.iter().filter(|one| !is_marker(&one.operation)).count() + left.drafts.len()
}

/// What another login left is kept under another name, and told; where there is nothing in it, it is gone.
fn set_aside(path: &Path, left: Left) -> Option<News> {
    let count = unsent_in(&left);
    if count == 0 {
        // Where this fails, the file cannot be opened either, and that is told.
        drop(left.remove());
        return None;
    }
    let aside = (1..LOGINS).map(|number| beside(path, number)).find(|aside| !aside.exists())?;
    left.move_to(&aside).ok()?;
    let (things, they) = match count {
        1 => ("something that another login wrote is".to_owned(), "it"),
        more => (format!("{more} things that another login wrote are"), "they"),
    };
    Some(News::Remark(format!("{things} not known to have been sent: {} has what {they} say", aside.display())))
}

/// Where what another login left is kept.
fn beside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(if number == 1 { ".before".to_owned() } else { format!(".before-{number}") });
    path.with_file_name(name)
}

/// Tells what came to nothing of what earlier chats left, each once. Of this one's writes, their receipts tell; its edits stay, too, until they
/// are given up.
async fn tell_failed(writer: Writer, before: u64, news: mpsc::Sender<News>) {
    let mut failed = writer.failed();
    // What is there from before.
    failed.mark_changed();
    let mut told = BTreeSet::new();
    while failed.changed().await.is_ok() {
        let now = failed.borrow_and_update().clone();
        let (earlier, own): (Vec<Failed>, Vec<Failed>) = now.into_iter().partition(|one| one.number() <= before);
        let (shown, markers): (Vec<Failed>, Vec<Failed>) =
            earlier.into_iter().partition(|one| !is_marker(&one.operation));
        let left = untold(&shown, &mut told);
        if !left.is_empty() {
            drop(news.send(News::Unsent(left)).await);
        }
        // A refused message stays on the screen; a refused edit stands nowhere there.
        let (edits, own): (Vec<Failed>, Vec<Failed>) =
            own.into_iter().partition(|one| matches!(one.operation, Operation::Edit(_)));
        let edits = untold(&edits, &mut told);
        if !edits.is_empty() {
            drop(news.send(News::EditsFailed(edits)).await);
        }
        // Markers are set again anyway.
        let over = [own, markers].concat();
        if !over.is_empty() {
            // Struck from the disk when it has been seen.
            drop(news.send(News::KeptNoLonger(over)).await);
        }
    }
}

/// Those that were not told before.
fn untold(failed: &[Failed], told: &mut BTreeSet<u64>) -> Vec<Unsent> {
    failed.iter().filter(|one| told.insert(one.number())).map(unsent).collect()
}

/// Tells what waits from before, and again with each of them that is answered: they go out before all others, in order.
async fn tell_left(mut oldest: watch::Receiver<Option<u64>>, left: Vec<(u64, String)>, news: mpsc::Sender<News>) {
    let mut told = 0;
    while !left.is_empty() {
        let first = oldest.borrow_and_update().unwrap_or(u64::MAX);
        let waits = || left.iter().filter(|(number, _)| *number >= first).map(|(_, text)| text.clone());
        if waits().count() != told {
            let waits: Vec<String> = waits().collect();
            told = waits.len();
            drop(news.send(News::Left(waits)).await);
        }
        if told == 0 || oldest.changed().await.is_err() {
            return;
        }
    }
}

impl Kept {
    /// Begins to tell.
    pub fn tell(&mut self, news: &mpsc::Sender<News>) {
        let (told, sender) = (std::mem::take(&mut self.news), news.clone());
        let left = std::mem::take(&mut self.left);
        let left = self.is_on_disk.then(|| tell_left(self.writer.oldest(), left, news.clone()));
        tokio::spawn(async move {
            for one in told {
                drop(sender.send(one).await);
            }
            if let Some(left) = left {
                left.await;
            }
        });
        if self.is_on_disk {
            tokio::spawn(tell_failed(self.writer.clone(), self.before, news.clone()));
        }
    }
}

/// Nobody typed it.
fn is_marker(operation: &Operation) -> bool {
    matches!(operation, Operation::MarkRead(_) | Operation::MarkDelivered(_))
}

/// What is said of one.
fn unsent(failed: &Failed) -> Unsent {
    let why = match &failed.error {
        Error::OutcomeUnknown(_) => format!("perhaps sent: {}", failed.error),
        error => error.to_string(),
    };
    let what = match &failed.operation {
        Operation::Send(message) => model::Left::Message {
            to: to(message.to.as_ref()),
            reply_to: message.reply_to,
            attachments: message.attachments.clone(),
            files: Vec::new(),
        },
        Operation::Edit(_) => model::Left::Edit,
        Operation::React(_) => model::Left::Other("a reaction"),
        _ => model::Left::Other("something else"),
    };
    Unsent { kept_as: KeptAs::Write(failed.number()), what, why, text: failed.text().map(str::to_owned) }
}

fn to(recipient: Option<&Recipient>) -> Option<To> {
    Some(match recipient?.to.as_ref()? {
        recipient::To::User(name) => To::User(name.clone()),
        recipient::To::Room(name) => To::Room(name.clone()),
        recipient::To::Conversation(id) => To::Conversation(*id),
    })
}

/// What waits, as it is told; nothing of what nobody typed.
fn waits(left: &LeftBehind) -> Option<String> {
    let Operation::Send(message) = &left.operation else { return left.text().map(str::to_owned) };
    let to = match to(message.to.as_ref()) {
        Some(To::User(name)) => format!("to {name}: "),
        Some(To::Room(name)) => format!("to #{name}: "),
        Some(To::Conversation(_)) | None => String::new(),
    };
    let text = left.text().filter(|text| !text.is_empty());
    Some(format!("{to}{}", text.unwrap_or("a file")))
}

#[cfg(test)]
mod tests {
    use threefold_client::{Client, Options, Session, fake::FakeCluster};

    use super::*;

    fn session(token: &str) -> Session {
        let json = serde_json::json!({
            "account": 1, "name": "alice", "session": 7, "instance": 1, "token": token, "position": 0, "servers": [], "expires_at_ms": 0, "delivered_up_to": 0,
        });
        serde_json::from_value(json).unwrap()
    }

    #[tokio::test]
    async fn what_another_login_left_is_set_aside_whatever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let session = session(&"1".repeat(64));
        let mut nowhere = Options::new(vec!["http://127.0.0.1:9".to_owned()]);
        nowhere.timeout = std::time::Duration::from_secs(60);
        let client = Client::new(nowhere).unwrap().with_session(session.clone()).unwrap();
        let writer = client.writer_with(DiskOutbox::open(&path, &session).unwrap()).unwrap();
        drop(writer.mark_read(3, 0).await.unwrap());
        drop(writer.edit(5, "better words").await.unwrap());
        // As a program that died leaves it.
        let copied = |name: &str| {
            let copy = directory.path().join(name);
            std::fs::copy(&path, &copy).unwrap();
            (DiskOutbox::left(&copy).unwrap().unwrap(), copy)
        };
        let (left, copy) = copied("edit");
        assert_eq!(left.writes.iter().map(LeftBehind::text).collect::<Vec<_>>(), [None, Some("better words")]);
        let Some(News::Remark(words)) = set_aside(&copy, left) else { panic!("nothing is told") };
        assert!(words.starts_with("something that another login wrote is not known"), "{words}");
        assert!(!copy.exists() && beside(&copy, 1).exists());
        // Markers alone are worth no word.
        let path = directory.path().join("markers");
        let writer = client.writer_with(DiskOutbox::open(&path, &session).unwrap()).unwrap();
        drop(writer.mark_read(3, 0).await.unwrap());
        let copy = directory.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        assert!(set_aside(&copy, DiskOutbox::left(&copy).unwrap().unwrap()).is_none() && !copy.exists());
    }

    #[tokio::test]
    async fn a_refused_edit_of_this_chat_is_told_as_one_that_stays() {
        let cluster = FakeCluster::in_memory(1);
        let session = cluster.client().register("alice", "correct horse", "chat").await.unwrap();
        let client = cluster.client().with_session(session.clone()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let outbox = DiskOutbox::open(directory.path().join("outbox"), &session).unwrap();
        let before = outbox.accepted();
        let writer = client.writer_with(outbox).unwrap();
        let (news, mut told) = mpsc::channel(8);
        tokio::spawn(tell_failed(writer.clone(), before, news));
        writer.edit(999, "better words").await.unwrap().await.unwrap_err();
        let Some(News::EditsFailed(edits)) = told.recv().await else { panic!("nothing is told") };
        assert_eq!((edits.len(), edits[0].text.as_deref()), (1, Some("better words")));
        // Once; what is shown elsewhere is struck when it has been seen.
        writer.send("nobody", "hello").await.unwrap().await.unwrap_err();
        let Some(News::KeptNoLonger(own)) = told.recv().await else { panic!("told again") };
        assert_eq!((own.len(), own[0].text()), (1, Some("hello")));
    }

    #[tokio::test]
    async fn what_waits_from_before_is_told_with_each_that_is_answered() {
        let (oldest, watched) = watch::channel(Some(3));
        let (news, mut told) = mpsc::channel(8);
        let left = [(3, "three"), (5, "five"), (9, "nine")].map(|(number, text)| (number, text.to_owned())).to_vec();
        tokio::spawn(tell_left(watched, left, news));
        for (first, expected) in [(Some(3), vec!["three", "five", "nine"]), (Some(6), vec!["nine"]), (Some(12), vec![])]
        {
            // What nobody typed is answered without a word.
            oldest.send(first).unwrap();
            let Some(News::Left(texts)) = told.recv().await else { panic!("nothing is told") };
            assert_eq!(texts, expected);
        }
        assert!(told.recv().await.is_none());
    }
}
