//! What is kept of what somebody wrote: on disk, in a file beside the login, from when it is written until it is answered.
//!
//! Promises: what was written outlives a chat that is killed, and goes out first when the next one begins. What came to nothing after nobody looked any more is
//! told then, and its text is among what was typed before; it leaves the disk when it has been on the screen. Where the file cannot be had, the chat goes on without it, and says so. Left out: showing what an
//! earlier chat left among the messages before they are sent.

use std::{
    fs,
    path::{Path, PathBuf},
};

use threefold_client::{
    DiskOutbox, Error, Failed, Left, Writer,
    chat::{recipient::To, write::Operation},
};
use tokio::sync::mpsc;

use super::model::News;
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
}

/// Opens the outbox beside the login.
pub fn open(context: &Context) -> Result<Kept, Failure> {
    let (path, session) = (context.file.outbox(), context.session()?);
    let mut news = Vec::new();
    // What another login left can never be sent.
    if let Ok(Some(left)) = DiskOutbox::left(&path)
        && !left.is_of(session)
    {
        news.extend(set_aside(&path, &left));
    }
    let opened = DiskOutbox::open(&path, session).and_then(|outbox| {
        let before = outbox.accepted();
        Ok((before, context.client.writer_with(outbox)?))
    });
    match opened {
        Ok((before, writer)) => Ok(Kept { writer, is_on_disk: true, news, before }),
        Err(error) => {
            news.push(told(format!("what is not sent when this chat ends will be lost: {error}"), Vec::new()));
            Ok(Kept { writer: context.client.writer()?, is_on_disk: false, news, before: 0 })
        }
    }
}

/// What another login left is told, and kept under another name.
fn set_aside(path: &Path, left: &Left) -> Option<News> {
    let aside = (1..LOGINS).map(|number| beside(path, number)).find(|aside| !aside.exists())?;
    // Where this fails, the file cannot be opened either, and that is told.
    fs::rename(path, &aside).ok()?;
    let texts: Vec<String> = left.writes.iter().filter_map(|one| text(&one.operation)).collect();
    (!texts.is_empty()).then(|| {
        let words = format!(
            "{} of another login are not known to have been sent: ↑ has them, and so has {}",
            if texts.len() == 1 { "1 message".to_owned() } else { format!("{} messages", texts.len()) },
            aside.display()
        );
        told(words, texts)
    })
}

/// Where what another login left is kept.
fn beside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(if number == 1 { ".before".to_owned() } else { format!(".before-{number}") });
    path.with_file_name(name)
}

/// Tells what came to nothing of what earlier chats left. Of this one's writes, their receipts tell.
async fn tell_failed(writer: Writer, before: u64, news: mpsc::Sender<News>) {
    let mut failed = writer.failed();
    // What is there from before.
    failed.mark_changed();
    while failed.changed().await.is_ok() {
        let now = failed.borrow_and_update().clone();
        let told: Vec<_> = now.iter().filter(|one| one.number() <= before).filter_map(words).collect();
        let texts = told.iter().filter_map(|(_, text)| text.clone()).collect();
        let words = match &told[..] {
            [] => None,
            [(words, _)] => Some(words.clone()),
            [(words, _), rest @ ..] => Some(format!("{words} (and {} more like it: ↑ has the texts)", rest.len())),
        };
        if let Some(words) = words {
            drop(news.send(News::Kept { words, texts }).await);
        }
        if !now.is_empty() {
            // Struck from the disk when all that came before it has been drawn.
            drop(news.send(News::KeptNoLonger(now)).await);
        }
    }
}

impl Kept {
    /// Begins to tell.
    pub fn tell(&mut self, news: &mpsc::Sender<News>) {
        let (told, sender) = (std::mem::take(&mut self.news), news.clone());
        tokio::spawn(async move {
            for one in told {
                drop(sender.send(one).await);
            }
        });
        if self.is_on_disk {
            tokio::spawn(tell_failed(self.writer.clone(), self.before, news.clone()));
        }
    }
}

fn told(words: String, texts: Vec<String>) -> News {
    News::Kept { words, texts }
}

/// What is said of one; nothing of a marker, which is set again anyway.
fn words(failed: &Failed) -> Option<(String, Option<String>)> {
    let why = &failed.error;
    let is_unknown = matches!(why, Error::OutcomeUnknown(_));
    let text = text(&failed.operation);
    let words = match (&failed.operation, is_unknown) {
        (Operation::MarkRead(_) | Operation::MarkDelivered(_), _) => return None,
        (Operation::Send(message), is_unknown) => {
            let to = match message.to.as_ref().and_then(|to| to.to.as_ref()) {
                Some(To::User(name)) => format!(" to {name}"),
                Some(To::Room(name)) => format!(" to #{name}"),
                Some(To::Conversation(_)) | None => String::new(),
            };
            if is_unknown {
                format!("nobody knows whether what you wrote{to} before was sent: {why}")
            } else {
                let has = if text.is_some() { " (↑ has it)" } else { "" };
                format!("what you wrote{to} before was not sent{has}: {why}")
            }
        }
        (_, true) => format!("nobody knows whether something that you did before was carried out: {why}"),
        (_, false) => format!("something that you did before was not carried out: {why}"),
    };
    Some((words, text))
}

/// What somebody typed for it.
fn text(operation: &Operation) -> Option<String> {
    match operation {
        Operation::Send(message) if !message.body.is_empty() => Some(message.body.clone()),
        Operation::Edit(edit) => Some(edit.body.clone()),
        _ => None,
    }
}
