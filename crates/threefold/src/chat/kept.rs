//! What is kept of what somebody wrote: on disk, in a file beside the login, from when it is written until it is answered.
//!
//! Promises: what was written (a message with files: once those are uploaded) outlives a chat that is killed, and goes out first when the next one begins. What came to nothing after nobody looked any more is
//! listed then ([`super::update`]), and stays on disk until somebody has taken it up or given it up. Where the file cannot be had, the chat goes on without it, and says so. What an earlier
//! chat left is told until it is answered; left out: showing it among the messages of its conversation, whose name nobody here knows before a server answers.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use threefold_client::{
    DiskOutbox, Error, Failed, Left, LeftBehind, Writer,
    chat::{recipient::To, write::Operation},
};
use tokio::sync::mpsc;

use super::model::{News, Unsent};
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
    /// Those of them that wait.
    waiting: usize,
}

/// Opens the outbox beside the login.
pub fn open(context: &Context) -> Result<Kept, Failure> {
    let (path, session) = (context.file.outbox(), context.session()?);
    let mut news = Vec::new();
    let mut texts = Vec::new();
    match DiskOutbox::left(&path) {
        Ok(Some(left)) if left.is_of(session) => {
            texts = left.writes.iter().filter(|one| one.failed.is_none()).filter_map(waits).collect();
        }
        // What another login left can never be sent.
        Ok(Some(left)) => news.extend(set_aside(&path, left)),
        Ok(None) | Err(_) => {}
    }
    let opened = DiskOutbox::open(&path, session).and_then(|outbox| {
        let (before, waiting) = (outbox.accepted(), outbox.waiting());
        Ok((before, waiting, context.client.writer_with(outbox)?))
    });
    match opened {
        Ok((before, waiting, writer)) => {
            if !texts.is_empty() {
                news.push(News::Left(texts));
            }
            Ok(Kept { writer, is_on_disk: true, news, before, waiting })
        }
        Err(error) => {
            news.push(News::NotKept(error.to_string()));
            Ok(Kept { writer: context.client.writer()?, is_on_disk: false, news, before: 0, waiting: 0 })
        }
    }
}

/// What another login left is kept under another name, and told; where there is nothing in it, it is gone.
fn set_aside(path: &Path, left: Left) -> Option<News> {
    let count = left.writes.iter().filter(|one| one.text().is_some()).count();
    if count == 0 {
        // Where this fails, the file cannot be opened either, and that is told.
        drop(left.remove());
        return None;
    }
    let aside = (1..LOGINS).map(|number| beside(path, number)).find(|aside| !aside.exists())?;
    left.move_to(&aside).ok()?;
    let messages = if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
    Some(News::Remark(format!(
        "{messages} of another login are not known to have been sent: {} has what they say",
        aside.display()
    )))
}

/// Where what another login left is kept.
fn beside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(if number == 1 { ".before".to_owned() } else { format!(".before-{number}") });
    path.with_file_name(name)
}

/// Tells what came to nothing of what earlier chats left, each once. Of this one's writes, their receipts tell.
async fn tell_failed(writer: Writer, before: u64, news: mpsc::Sender<News>) {
    let mut failed = writer.failed();
    // What is there from before.
    failed.mark_changed();
    let mut told = BTreeSet::new();
    while failed.changed().await.is_ok() {
        let now = failed.borrow_and_update().clone();
        let (earlier, own): (Vec<Failed>, Vec<Failed>) = now.into_iter().partition(|one| one.number() <= before);
        let (shown, markers): (Vec<Failed>, Vec<Failed>) = earlier.into_iter().partition(|one| !is_marker(one));
        let unsent: Vec<Unsent> = shown.iter().filter(|one| told.insert(one.number())).map(unsent).collect();
        if !unsent.is_empty() {
            drop(news.send(News::Unsent(unsent)).await);
        }
        // Markers are set again anyway.
        let over = [own, markers].concat();
        if !over.is_empty() {
            // Struck from the disk when all that came before it has been drawn.
            drop(news.send(News::KeptNoLonger(over)).await);
        }
    }
}

/// Tells when so many writes, which wait from before, are answered: they go out before all others.
async fn tell_answered(writer: Writer, waiting: usize, news: mpsc::Sender<News>) {
    let mut left = writer.waiting();
    loop {
        let so_far = writer.statistics();
        let answered = so_far.acknowledged + so_far.refused;
        if *left.borrow_and_update() == 0 || answered >= u64::try_from(waiting).unwrap_or(u64::MAX) {
            drop(news.send(News::Left(Vec::new())).await);
            return;
        }
        if left.changed().await.is_err() {
            return;
        }
    }
}

impl Kept {
    /// Begins to tell.
    pub fn tell(&mut self, news: &mpsc::Sender<News>) {
        let (told, sender) = (std::mem::take(&mut self.news), news.clone());
        let answered = self.is_on_disk.then(|| tell_answered(self.writer.clone(), self.waiting, news.clone()));
        tokio::spawn(async move {
            for one in told {
                drop(sender.send(one).await);
            }
            // Behind the word of what waits.
            if let Some(answered) = answered {
                answered.await;
            }
        });
        if self.is_on_disk {
            tokio::spawn(tell_failed(self.writer.clone(), self.before, news.clone()));
        }
    }
}

fn is_marker(failed: &Failed) -> bool {
    matches!(failed.operation, Operation::MarkRead(_) | Operation::MarkDelivered(_))
}

/// What is said of one.
fn unsent(failed: &Failed) -> Unsent {
    let why = match &failed.error {
        Error::OutcomeUnknown(_) => format!("perhaps sent: {}", failed.error),
        error => error.to_string(),
    };
    let (what, to) = match &failed.operation {
        Operation::Send(message) => match message.to.as_ref().and_then(|to| to.to.as_ref()) {
            Some(To::User(name)) => (format!("to {name}"), Some(name.clone())),
            Some(To::Room(name)) => (format!("to #{name}"), Some(format!("#{name}"))),
            Some(To::Conversation(_)) | None => ("a message".to_owned(), None),
        },
        Operation::Edit(_) => ("an edit".to_owned(), None),
        Operation::React(_) => ("a reaction".to_owned(), None),
        _ => ("something else".to_owned(), None),
    };
    Unsent { number: failed.number(), what, why, to, text: failed.text().map(str::to_owned) }
}

/// What waits, as it is told; nothing of what nobody typed.
fn waits(left: &LeftBehind) -> Option<String> {
    let Operation::Send(message) = &left.operation else { return left.text().map(str::to_owned) };
    let to = match message.to.as_ref().and_then(|to| to.to.as_ref()) {
        Some(To::User(name)) => format!("to {name}: "),
        Some(To::Room(name)) => format!("to #{name}: "),
        Some(To::Conversation(_)) | None => String::new(),
    };
    Some(format!("{to}{}", left.text().unwrap_or("a file")))
}
