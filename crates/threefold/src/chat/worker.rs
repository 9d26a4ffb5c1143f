//! Carries effects out with the client library, and brings back what came of them.
//!
//! Writes go to the outbox in the order in which they were asked for; everything else is asked side by side.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use threefold_client::{
    Client, Error, Receipt, Search, To, Writer,
    chat::{self, ErrorCode},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    draft,
    model::{Effect, Local, News, NotSent, Write},
    update::expanded,
};
use crate::commands::{Failure, files};

/// Nobody gives up a message in a chat: it is shown as waiting until it is sent. As long as a session lasts, about.
const PATIENCE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Conversations of one page of the list.
const PAGE: u32 = 200;
/// Pages of conversations that are read, at most: an account has 1,000 rooms, and whom it talked with.
const PAGES: usize = 25;
/// Messages of one page of a conversation.
const MESSAGES: u32 = 60;
/// Names that complete one, at most.
const NAMES: u32 = 50;
/// Writes that wait to be taken by the outbox.
const QUEUE: usize = 1_024;
/// An upload that no server takes is tried again after this time.
const AGAIN: Duration = Duration::from_secs(2);
/// Of an upload, it is said so often how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Names that complete a path, at most.
const PATHS: usize = 50;

/// A write for the outbox.
enum Job {
    Send { local: Local, to: To, body: String, reply_to: u64, attachments: Vec<u64>, draft: Option<u64> },
    Write { what: Write, done: String },
}

/// Carries effects out.
pub struct Worker {
    client: Client,
    news: mpsc::Sender<News>,
    jobs: mpsc::Sender<Job>,
    /// Where drafts are kept; none where they are not.
    drafts: Option<Writer>,
    /// Writes that were asked for and not answered.
    open: Arc<AtomicU64>,
}

impl Worker {
    /// On behalf of whom the client acts.
    /// `is_on_disk`: what this writer takes outlives the chat.
    pub fn start(client: Client, writer: &Writer, is_on_disk: bool, news: mpsc::Sender<News>) -> Self {
        let drafts = is_on_disk.then(|| writer.clone());
        let writer = (writer.with_timeout(PATIENCE), is_on_disk);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let open = Arc::new(AtomicU64::new(0));
        tokio::spawn(write(client.clone(), writer, queue, news.clone(), Arc::clone(&open)));
        Self { client, news, jobs, drafts, open }
    }

    /// Waits until everything asked for is answered, and told.
    pub async fn settle(&self) {
        while self.open.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Begins to. What comes of it is told as news.
    pub fn carry_out(&self, effect: Effect) {
        let (client, news) = (self.client.clone(), self.news.clone());
        match effect {
            Effect::Send { local, to, body, reply_to, files, uploaded } if files.len() <= uploaded.len() => {
                self.enqueue(Job::Send { local, to, body, reply_to, attachments: uploaded, draft: None });
            }
            Effect::Send { local, to, body, reply_to, files, uploaded } => {
                let (jobs, drafts) = (self.jobs.clone(), self.drafts.clone());
                self.open.fetch_add(1, Ordering::SeqCst);
                let open = Arc::clone(&self.open);
                tokio::spawn(async move {
                    let draft = match (drafts, draft::encoded(&to, &body, reply_to, &files)) {
                        (Some(drafts), Some(content)) => drafts.keep_draft(content).await.ok(),
                        _ => None,
                    };
                    if let Some(draft) = draft {
                        drop(news.send(News::Drafted { local, draft }).await);
                    }
                    match upload(&client, &news, local, &files, uploaded).await {
                        Ok(attachments) => {
                            drop(jobs.send(Job::Send { local, to, body, reply_to, attachments, draft }).await);
                        }
                        Err(failure) => {
                            let result = Err(NotSent::Refused(failure.message().to_owned()));
                            drop(news.send(News::Sent { local, result }).await);
                            open.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            Effect::Write { what, done } => self.enqueue(Job::Write { what, done }),
            effect => drop(tokio::spawn(async move {
                for told in ask(&client, effect).await {
                    drop(news.send(told).await);
                }
            })),
        }
    }

    fn enqueue(&self, job: Job) {
        self.open.fetch_add(1, Ordering::SeqCst);
        if let Err(refused) = self.jobs.try_send(job) {
            self.open.fetch_sub(1, Ordering::SeqCst);
            let why = "too much is waiting to be sent".to_owned();
            let told = match refused.into_inner() {
                Job::Send { local, .. } => News::Sent { local, result: Err(NotSent::Refused(why)) },
                Job::Write { what, done } => News::Written { what, done, result: Err(NotSent::Refused(why)) },
            };
            let news = self.news.clone();
            tokio::spawn(async move { drop(news.send(told).await) });
        }
    }
}

fn words(error: Error) -> String {
    Failure::from(error).message().to_owned()
}

/// Sends those files that were not sent yet, one after the other, for as long as it takes. Each that is there is told of.
async fn upload(
    client: &Client,
    news: &mpsc::Sender<News>,
    local: Local,
    files: &[PathBuf],
    mut uploaded: Vec<u64>,
) -> Result<Vec<u64>, Failure> {
    let mut sizes = Vec::new();
    for file in files {
        sizes.push(tokio::fs::metadata(file).await.map_err(|error| Failure::file(file, &error))?.len());
    }
    let total: u64 = sizes.iter().sum();
    while let Some(file) = files.get(uploaded.len()) {
        let before: u64 = sizes.iter().take(uploaded.len()).sum();
        let mut told = Instant::now();
        let progress = |done, _| {
            let done = before + done;
            if done >= total || told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                // The next one tells as much.
                let _ = news.try_send(News::Uploading { local, done, total });
            }
        };
        match files::send_files(client, std::slice::from_ref(file), progress).await {
            Ok(attachments) => {
                for attachment in attachments {
                    uploaded.push(attachment);
                    drop(news.send(News::Uploaded { local, attachment }).await);
                }
            }
            Err(failure) if failure.is_unavailable() => sleep(AGAIN).await,
            Err(failure) => return Err(failure),
        }
    }
    Ok(uploaded)
}

/// Hands writes to the outbox, one after the other, and waits for their answers beside. Where the disk fails, on which it is kept, it
/// goes on without.
async fn write(
    client: Client,
    (mut writer, mut is_on_disk): (Writer, bool),
    mut queue: mpsc::Receiver<Job>,
    news: mpsc::Sender<News>,
    open: Arc<AtomicU64>,
) {
    while let Some(job) = queue.recv().await {
        // Looked at before it is given anything more: what a dead one refuses is neither kept nor sent.
        if matches!(writer.over(), Some(Error::Local(_)))
            && let Ok(other) = client.writer()
        {
            (writer, is_on_disk) = (other.with_timeout(PATIENCE), false);
            drop(news.send(News::NotKept("the disk failed".to_owned())).await);
        }
        let (news, open) = (news.clone(), Arc::clone(&open));
        match job {
            Job::Send { local, to, body, reply_to, attachments, draft } => {
                let receipt = match draft {
                    Some(draft) => writer.send_draft(draft, to, body, reply_to, attachments).await,
                    None => writer.send_with(to, body, reply_to, attachments).await,
                };
                if is_on_disk && let Ok(receipt) = &receipt {
                    drop(news.send(News::Taken { local, number: receipt.number() }).await);
                }
                tokio::spawn(async move {
                    let result = acknowledged(receipt).await;
                    let result = result.map_err(not_sent);
                    drop(news.send(News::Sent { local, result }).await);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Job::Write { what, done } => {
                let begun = begin(&writer, &what).await;
                if let (true, Ok(begun), Write::Edit { message, body }) = (is_on_disk, &begun, &what) {
                    let number = begun.number();
                    drop(news.send(News::EditTaken { message: *message, body: body.clone(), number }).await);
                }
                let writer = writer.clone();
                tokio::spawn(async move {
                    let mut result = ended(begun).await;
                    // Whether a marker was moved may stay unknown: it is moved again, which changes nothing if it was.
                    while what.is_marker()
                        && let Err(Error::Unavailable { .. } | Error::OutcomeUnknown(_)) = result
                    {
                        sleep(AGAIN).await;
                        result = ended(begin(&writer, &what).await).await;
                    }
                    let result = result.map_err(not_written);
                    drop(news.send(News::Written { what, done, result }).await);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
    }
}

async fn acknowledged<T>(receipt: Result<Receipt<T>, Error>) -> Result<T, Error> {
    receipt?.await
}

fn not_sent(error: Error) -> NotSent {
    let (is_unknown, are_files_gone) = (
        // What is on a disk that has failed may have been sent, and may be sent by the next chat.
        matches!(error, Error::OutcomeUnknown(_) | Error::Local(_)),
        error.is_refusal(ErrorCode::UnknownAttachment),
    );
    // What the status line says to do next is for the command line.
    let why = error.to_string();
    match (is_unknown, are_files_gone) {
        (true, _) => NotSent::Unknown(why),
        (false, true) => NotSent::FilesGone(why),
        (false, false) => NotSent::Refused(why),
    }
}

/// The same of another write, in words for who reads them on the screen.
fn not_written(error: Error) -> NotSent {
    let is_unknown = matches!(error, Error::OutcomeUnknown(_) | Error::Local(_));
    let why = words(error);
    if is_unknown { NotSent::Unknown(why) } else { NotSent::Refused(why) }
}

/// A write that is on its way.
enum Begun {
    Done(Receipt<u64>),
    Room(Receipt<chat::RoomCreated>),
}

impl Begun {
    /// Its number in an outbox on disk.
    fn number(&self) -> Option<u64> {
        match self {
            Self::Done(receipt) => receipt.number(),
            Self::Room(receipt) => receipt.number(),
        }
    }
}

async fn ended(begun: Result<Begun, Error>) -> Result<(), Error> {
    match begun? {
        Begun::Done(receipt) => receipt.await.map(drop),
        Begun::Room(receipt) => receipt.await.map(drop),
    }
}

async fn begin(writer: &Writer, what: &Write) -> Result<Begun, Error> {
    Ok(Begun::Done(match what.clone() {
        Write::Edit { message, body } => writer.edit(message, body).await?,
        Write::React { message, emoji, add } => writer.react(message, emoji, add).await?,
        Write::Delete { conversation, message, everyone } => {
            writer.delete(conversation, vec![message], everyone).await?
        }
        Write::MarkRead { conversation, up_to } => writer.mark_read(conversation, up_to).await?,
        Write::MarkDelivered(up_to) => writer.mark_delivered(up_to).await?,
        Write::CreateRoom { name, topic, public } => {
            return Ok(Begun::Room(writer.create_room(name, topic, public).await?));
        }
        Write::JoinRoom(room) => writer.join_room(room).await?,
        Write::LeaveRoom(room) => writer.leave_room(room).await?,
        Write::Invite { room, user } => writer.invite(room, user).await?,
        Write::Remove { room, user } => writer.remove_from_room(room, user).await?,
        Write::SetRole { room, user, role } => writer.set_role(room, user, role).await?,
        Write::ChangeRoom { room, changes } => writer.change_room(room, changes).await?,
        Write::Decline(room) => writer.decline_invitation(room).await?,
        Write::DisplayName(name) => writer.set_display_name(name).await?,
    }))
}

/// Asks the cluster, or the disk.
async fn ask(client: &Client, effect: Effect) -> Vec<News> {
    match effect {
        Effect::LoadAll(request) => {
            vec![News::Conversations { request, result: conversations(client).await.map_err(words) }]
        }
        Effect::LoadHistory { request, handle, of, page } => {
            let reply = client.history(of, page, MESSAGES).await.map_err(words);
            vec![News::History { request, handle, reply }]
        }
        Effect::LoadQuoted { conversation, messages } => {
            let result = client.messages(conversation, messages.clone()).await.map_err(words);
            vec![News::Quoted { asked: messages, result }]
        }
        // Looked at again soon: no word is lost on a failure.
        Effect::LoadOnline => client.online().await.map(News::Online).into_iter().collect(),
        Effect::LoadMembers { request, handle, of } => {
            vec![News::Members { request, handle, result: client.members(of, PAGE, 0).await.map_err(words) }]
        }
        Effect::Search { request, query, with, before } => {
            let search = Search { query, with, from: None, before, limit: 50 };
            vec![News::Found { request, result: client.search(search).await.map_err(words) }]
        }
        Effect::ListRooms { request, pattern } => {
            let result = client.rooms(&pattern, PAGE, "").await.map_err(words);
            vec![News::Rooms { request, pattern, result }]
        }
        Effect::ListUsers { request, pattern } => {
            let result = client.search_accounts(&pattern, PAGE, "").await.map_err(words);
            vec![News::Users { request, pattern, result }]
        }
        Effect::FindPeople { request, pattern } => {
            let result = client.search_accounts(&pattern, NAMES, "").await.map_err(words);
            vec![News::People { request, pattern, result }]
        }
        Effect::LoadReactions { request, message } => {
            let result = client.reactions(message, "", PAGE, None).await.map_err(words);
            vec![News::Reactions { request, result }]
        }
        Effect::ListInvitations => client.invitations().await.map(News::Invitations).into_iter().collect(),
        Effect::Status(request) => vec![News::Status { request, result: client.status().await.map_err(words) }],
        Effect::ShowName => {
            vec![News::Named(client.who_am_i().await.map(|me| me.display_name).map_err(words))]
        }
        Effect::Save { message, directory } => vec![News::Saved(save(client, &message, &directory).await)],
        Effect::CompletePath { request, start, prefix } => {
            let found = tokio::task::spawn_blocking(move || paths(&prefix)).await;
            vec![News::Paths { request, start, choices: found.unwrap_or_default() }]
        }
        // Others deal with these.
        Effect::Send { .. }
        | Effect::Write { .. }
        | Effect::Typing(_)
        | Effect::Bell
        | Effect::Copy(_)
        | Effect::Redraw
        | Effect::Mouse(_)
        | Effect::Suspend
        | Effect::Forget(_)
        | Effect::Quit => Vec::new(),
    }
}

async fn conversations(client: &Client) -> Result<Vec<chat::Conversation>, Error> {
    let mut all: Vec<chat::Conversation> = Vec::new();
    for _ in 0..PAGES {
        let after = all.last().map_or(0, |last| last.conversation);
        let page = client.conversations(false, PAGE, after).await?;
        let is_last = !page.more || page.conversations.is_empty();
        all.extend(page.conversations);
        if is_last {
            break;
        }
    }
    Ok(all)
}

async fn save(client: &Client, message: &chat::Message, directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut saved = Vec::new();
    for attachment in &message.attachments {
        let path = files::save(client, (message.conversation, message.id), attachment, directory).await;
        saved.push(path.map_err(|failure| failure.message().to_owned())?);
    }
    Ok(saved)
}

/// What is called so on the disk; directories end with a slash.
fn paths(prefix: &str) -> Vec<String> {
    let prefix = prefix.trim_start_matches('"');
    let (directory, begun) =
        prefix.rsplit_once('/').map_or(("", prefix), |(before, begun)| (&prefix[..=before.len()], begun));
    let place = if directory.is_empty() { PathBuf::from(".") } else { expanded(directory) };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_hidden = name.starts_with('.') && !begun.starts_with('.');
            if !name.starts_with(begun) || is_hidden {
                return None;
            }
            let end = if entry.path().is_dir() { "/" } else { "" };
            Some(format!("{directory}{name}{end}"))
        })
        .take(PATHS)
        .collect();
    found.sort_unstable();
    found
}
