//! `export`: everything of one's own, as JSON lines: the account, its sessions, rooms, invitations, conversations with their
//! messages, and, where asked for, the files.
//!
//! Promises: the file at `--output` is whole or not there at all, and its owner's alone, as are the files; a second export to the same
//! directory leaves the files that are there; the last line is `{"type":"end"}` with the counts, so a script
//! can tell a whole export from one that was cut. Left out: what others' clients show of them, and what was deleted.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use threefold::tui::progress::{Progress, plainly};
use threefold_client::{Page, chat::Conversation};
use tokio::{
    fs,
    io::{AsyncWrite, AsyncWriteExt as _, BufWriter},
};

use super::{
    ClientOptions, Failure,
    context::Context,
    files,
    output::{escape, json_line},
    render::{Line, role_name},
};

/// The most entries of one page.
const PAGE: u32 = 200;

/// Of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Write to this file, which must not be there yet; standard output if absent
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Save the files of messages in this directory too, each below the message's id
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
}

/// One line of an export that is no message.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Exported<'a> {
    Account {
        account: u64,
        name: &'a str,
        display_name: &'a str,
        administrator: bool,
    },
    Session {
        session: u64,
        device: &'a str,
        opened_at_ms: u64,
        expires_at_ms: u64,
        current: bool,
    },
    Conversation {
        conversation: u64,
        peer: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        room: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        role: &'static str,
        messages: u64,
        read_up_to: u64,
    },
    Invitation {
        conversation: u64,
        room: &'a str,
        by: &'a str,
        at_ms: u64,
    },
    End {
        conversations: usize,
        messages: u64,
        files: u64,
    },
}

/// What an export amounts to.
#[derive(Serialize)]
struct Done<'a> {
    output: &'a str,
    conversations: usize,
    messages: u64,
    files: u64,
}

/// Exports.
pub async fn export(args: ExportArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let Some(path) = &args.output else {
        let mut stdout = BufWriter::new(tokio::io::stdout());
        Export { context: &context, files: args.files.as_deref(), sink: &mut stdout, messages: 0, saved: 0 }
            .run()
            .await?;
        return context.remember().await;
    };
    if fs::try_exists(path).await.unwrap_or(false) {
        return Err(Failure::usage(format!("{} is there already: name another file", path.display())));
    }
    let failed = |error| Failure::file(path, &error);
    let (part, file) = begin(path).await?;
    let mut file = BufWriter::new(file);
    let export = Export { context: &context, files: args.files.as_deref(), sink: &mut file, messages: 0, saved: 0 };
    let (conversations, messages, saved) = match export.run().await {
        Ok(counts) => counts,
        Err(failure) => {
            // Half of an export is worse than none; that it could not be removed either is the lesser news.
            let _ = fs::remove_file(&part).await;
            return Err(failure);
        }
    };
    file.get_ref().sync_all().await.map_err(failed)?;
    fs::rename(&part, path).await.map_err(failed)?;
    let shown = path.display().to_string();
    let done = Done { output: &shown, conversations, messages, files: saved };
    let human = || {
        let words = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let files = if saved > 0 { format!(", {}", words(saved, "file")) } else { String::new() };
        let (conversations, messages) = (words(conversations as u64, "conversation"), words(messages, "message"));
        format!("exported {conversations}, {messages}{files} to {}", escape(&shown))
    };
    context.output.result(&done, human)?;
    context.remember().await
}

/// Parts that other exports may have left behind, at most.
const OTHER_PARTS: u32 = 100;

/// A new file beside the one that is to be, which nobody else can read.
async fn begin(path: &Path) -> Result<(PathBuf, fs::File), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut number = 1;
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}-{number}", std::process::id()));
        let part = path.with_file_name(name);
        match options.open(&part).await {
            Ok(file) => return Ok((part, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < OTHER_PARTS => number += 1,
            Err(error) => return Err(Failure::file(&part, &error)),
        }
    }
}

/// An export under way.
struct Export<'a, S> {
    context: &'a Context,
    files: Option<&'a Path>,
    sink: &'a mut S,
    messages: u64,
    saved: u64,
}

impl<S: AsyncWrite + Unpin> Export<'_, S> {
    /// Writes everything, and says how many conversations, messages and files that was.
    async fn run(mut self) -> Result<(usize, u64, u64), Failure> {
        let client = &self.context.client;
        let who = client.who_am_i().await?;
        let (account, administrator) = (who.account, who.administrator);
        let (name, display_name) = (who.name.as_str(), who.display_name.as_str());
        self.line(&Exported::Account { account, name, display_name, administrator }).await?;
        for session in client.list_sessions().await? {
            let (id, device, current) = (session.session, session.device.as_str(), session.current);
            let (opened_at_ms, expires_at_ms) = (session.opened_at_ms, session.expires_at_ms);
            self.line(&Exported::Session { session: id, device, opened_at_ms, expires_at_ms, current }).await?;
        }
        for invitation in client.invitations().await? {
            let by = invitation.by.as_ref().map_or("", |by| by.name.as_str());
            let (conversation, room, at_ms) =
                (invitation.conversation, invitation.room_name.as_str(), invitation.at_ms);
            self.line(&Exported::Invitation { conversation, room, by, at_ms }).await?;
        }
        let all = conversations(self.context).await?;
        let total = all.iter().map(|one| one.messages).sum();
        let mut progress = Progress::new("exporting messages", total, plainly);
        for one in &all {
            self.conversation(one, account, &mut progress).await?;
        }
        drop(progress);
        let (conversations, messages, files) = (all.len(), self.messages, self.saved);
        self.line(&Exported::End { conversations, messages, files }).await?;
        self.sink.flush().await?;
        Ok((conversations, messages, files))
    }

    async fn conversation(&mut self, one: &Conversation, account: u64, progress: &mut Progress) -> Result<(), Failure> {
        self.line(&Exported::Conversation {
            conversation: one.conversation,
            peer: &one.peer_name,
            room: one.room.as_ref().map_or("", |room| &room.name),
            role: one.room.as_ref().map_or("", |room| role_name(room.role())),
            messages: one.messages,
            read_up_to: one.read_up_to,
        })
        .await?;
        let mut after = 0;
        loop {
            let page = self.context.client.history(one.conversation, Page::After(after), PAGE).await?;
            let Some(last) = page.messages.last() else { return Ok(()) };
            after = last.id;
            for message in &page.messages {
                self.line(&Line::message(message, account)).await?;
                self.messages += 1;
                if let Some(directory) = self.files.filter(|_| !message.attachments.is_empty()) {
                    let directory = directory.join(message.id.to_string());
                    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).await;
                    made.map_err(|error| Failure::file(&directory, &error))?;
                    let place = (one.conversation, message.id);
                    self.saved += files::keep(&self.context.client, place, &message.attachments, &directory).await?;
                }
            }
            progress.at(self.messages);
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = json_line(value)?;
        line.push('\n');
        self.sink.write_all(line.as_bytes()).await
    }
}

/// All conversations of the account.
async fn conversations(context: &Context) -> Result<Vec<Conversation>, Failure> {
    let mut all: Vec<Conversation> = Vec::new();
    loop {
        let after = all.last().map_or(0, |last| last.conversation);
        let page = context.client.conversations(false, PAGE, after).await?;
        let is_last = !page.more || page.conversations.is_empty();
        all.extend(page.conversations);
        if is_last {
            return Ok(all);
        }
    }
}
