//! Files of messages: sent with `send --attach`, saved with `download`.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    task::Poll,
};

use clap::Args;
use serde::Serialize;
use threefold::tui::{progress::Progress, text::one_line};
use threefold_client::{Client, File, chat::Attachment};
use tokio::{
    fs,
    io::{AsyncRead, AsyncWrite, ReadBuf},
};

use super::{
    ClientOptions, Failure,
    context::Context,
    output::{bytes, escape},
    render::Attached,
};

/// Names tried for a file whose name is taken.
const OTHER_NAMES: u32 = 1000;

/// Of `download`.
#[derive(Args, Debug)]
pub struct DownloadArgs {
    /// Whose files, as `messages` shows it
    #[arg(value_name = "MESSAGE")]
    message: u64,
    /// The directory to save them in; nothing in it is overwritten
    #[arg(long, value_name = "DIR", default_value = ".")]
    to: PathBuf,
}

#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    attached: Attached<'a>,
    message: u64,
    path: String,
}

/// Sends files, one after the other, for a message that will name them.
pub async fn upload(context: &Context, paths: &[PathBuf]) -> Result<Vec<u64>, Failure> {
    let names: Vec<_> = paths.iter().filter_map(|path| Some(one_line(&path.file_name()?.to_string_lossy()))).collect();
    let mut shown = Progress::new(format!("sending {}", names.join(", ")), 0, bytes);
    send_files(&context.client, paths, move |read, total| shown.at_of(read, total)).await
}

/// The same; says again and again how many bytes of how many were read for it.
pub async fn send_files(
    client: &Client,
    paths: &[PathBuf],
    mut progress: impl FnMut(u64, u64) + Send + Unpin,
) -> Result<Vec<u64>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let wrong = |error| Failure::file(path, &error);
        let content = fs::File::open(path).await.map_err(wrong)?;
        let metadata = content.metadata().await.map_err(wrong)?;
        if !metadata.is_file() {
            return Err(Failure::usage(format!("{}: only files can be attached", path.display())));
        }
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned();
        let content_type = content_type(&name).to_owned();
        files.push((File { name, content_type, bytes: metadata.len() }, content));
    }
    let total = files.iter().map(|(file, _)| file.bytes).sum();
    let mut before = 0;
    let mut attachments = Vec::new();
    for (file, content) in files {
        let bytes = file.bytes;
        let content = Counted { content, counted: 0, told: |counted| progress(before + counted, total) };
        attachments.push(client.upload(file, content).await?.attachment);
        before += bytes;
    }
    Ok(attachments)
}

/// A reader or a writer that says how far it is.
struct Counted<C, F> {
    content: C,
    counted: u64,
    told: F,
}

impl<C: AsyncRead + Unpin, F: FnMut(u64) + Unpin> AsyncRead for Counted<C, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.content).poll_read(context, buffer);
        let more = buffer.filled().len() - before;
        if more > 0 {
            self.counted += more as u64;
            let counted = self.counted;
            (self.told)(counted);
        }
        polled
    }
}

impl<C: AsyncWrite + Unpin, F: FnMut(u64) + Unpin> AsyncWrite for Counted<C, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.content).poll_write(context, buffer);
        if let Poll::Ready(Ok(more)) = polled {
            self.counted += more as u64;
            let counted = self.counted;
            (self.told)(counted);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_shutdown(context)
    }
}

/// What a file is by its name; empty where that says nothing. Nobody relies on it.
fn content_type(name: &str) -> &'static str {
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "txt" | "log" | "md" => "text/plain",
        _ => "",
    }
}

/// Saves the files of a message.
pub async fn download(args: DownloadArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let found = context.client.attachments(args.message).await?;
    for attachment in &found.attachments {
        let message = (found.conversation, args.message);
        let mut shown = Progress::new(format!("saving {}", one_line(&attachment.name)), attachment.bytes, bytes);
        let path = save_telling(&context.client, message, attachment, &args.to, |done| shown.at(done)).await?;
        drop(shown);
        let shown = path.display().to_string();
        let saved = Saved { attached: Attached::of(attachment), message: args.message, path: shown.clone() };
        context.output.result(&saved, || format!("{} ({})", escape(&shown), bytes(attachment.bytes)))?;
    }
    if found.attachments.is_empty() {
        context.output.remark(&format!("nothing is attached to {}", args.message))?;
    }
    context.remember().await
}

/// Saves one file of a message, which is named by its conversation and its id, in a directory. Says where.
pub async fn save(
    client: &Client,
    message: (u64, u64),
    attachment: &Attachment,
    directory: &Path,
) -> Result<PathBuf, Failure> {
    save_telling(client, message, attachment, directory, |_| {}).await
}

/// The same; says again and again how many bytes are there.
async fn save_telling(
    client: &Client,
    message: (u64, u64),
    attachment: &Attachment,
    directory: &Path,
    told: impl FnMut(u64) + Send + Unpin,
) -> Result<PathBuf, Failure> {
    let (path, content) = create(directory, attachment).await?;
    let mut file = Counted { content, counted: 0, told };
    if let Err(error) = client.download(message, attachment, &mut file).await {
        drop(file);
        // Half of a file is worse than none; that it could not be removed either is the lesser news.
        let _ = fs::remove_file(&path).await;
        return Err(error.into());
    }
    Ok(path)
}

/// Saves the files of one message in a directory of their own, which nobody else can enter, where those that are whole are left. Says how
/// many there are.
pub async fn keep(
    client: &Client,
    message: (u64, u64),
    attachments: &[Attachment],
    directory: &Path,
) -> Result<u64, Failure> {
    let mut names = BTreeSet::new();
    for attachment in attachments {
        let name = plain_name(attachment);
        // The same names each time, for they come in the same order.
        let name = (1..).map(|number| numbered(&name, number)).find(|name| names.insert(name.clone()));
        let path = directory.join(name.unwrap_or_default());
        if fs::metadata(&path).await.is_ok_and(|there| there.is_file() && there.len() == attachment.bytes) {
            continue;
        }
        // Not under its name until it is whole. One that was cut short stands there still.
        let part = directory.join(format!(".part-{}", attachment.attachment));
        let failed = |error| Failure::file(&part, &error);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part).await.map_err(failed)?;
        client.download(message, attachment, &mut file).await?;
        file.sync_all().await.map_err(failed)?;
        fs::rename(&part, &path).await.map_err(failed)?;
    }
    Ok(names.len() as u64)
}

/// What to call an attachment here. Its name comes from somebody else: only what is no path is taken.
fn plain_name(attachment: &Attachment) -> String {
    let is_plain = |name: &&str| {
        !name.starts_with('.') && !name.chars().any(|character| character.is_control() || "/\\:".contains(character))
    };
    let name = Some(attachment.name.as_str()).filter(|name| !name.is_empty()).filter(is_plain);
    name.map_or_else(|| format!("attachment-{}", attachment.attachment), str::to_owned)
}

/// A new file for an attachment.
async fn create(directory: &Path, attachment: &Attachment) -> Result<(PathBuf, fs::File), Failure> {
    let name = &plain_name(attachment);
    for number in 1..OTHER_NAMES {
        let path = directory.join(numbered(name, number));
        match fs::File::create_new(&path).await {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::file(&path, &error)),
        }
    }
    Err(Failure::usage(format!("{}: too many files are called {}", directory.display(), escape(name))))
}

/// `picture.png`, `picture (2).png`, ...
fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let path = Path::new(name);
    match (path.file_stem().and_then(OsStr::to_str), path.extension().and_then(OsStr::to_str)) {
        (Some(stem), Some(extension)) => format!("{stem} ({number}).{extension}"),
        _ => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(name: &str) -> Attachment {
        Attachment { attachment: 7, name: name.to_owned(), ..Attachment::default() }
    }

    #[tokio::test]
    async fn nothing_is_overwritten_and_no_name_leads_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for name in ["a.png", "a.png", "a.png", "plain", "plain", "../up", ".profile", "c:x", ""] {
            let (path, _) = create(directory.path(), &attachment(name)).await.unwrap();
            assert_eq!(path.parent(), Some(directory.path()));
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        let others = ["attachment-7", "attachment-7 (2)", "attachment-7 (3)", "attachment-7 (4)"];
        assert_eq!(names[..5], ["a.png", "a (2).png", "a (3).png", "plain", "plain (2)"]);
        assert_eq!(names[5..], others);
    }
}
