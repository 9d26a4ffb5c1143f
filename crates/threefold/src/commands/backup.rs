//! `backup`: everything that a running cluster has, in one file; or, of such a file, whether it is whole and what is in it.
//!
//! An operator's command: it asks at the peer ports, with a certificate of the cluster's authority, for whoever has the file can read
//! all messages, and has what passwords are checked against.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use threefold::{serve::Signals, tui::progress::Progress};
use threefold_server::backup::{
    self, BackupError, Header, Summary,
    take::{NotTaken, Step},
};

use super::{
    Failure,
    operate::target::Target,
    output::{Output, bytes, escape, time},
};

/// The options of `threefold backup`.
#[derive(Args, Debug)]
#[command(
    after_help = "The cluster goes on meanwhile. The file holds everything that was acknowledged before the command began, as of one \
                  moment: accounts, sessions, rooms, messages, files. Keep it where only you can read it. `threefold restore` makes a new cluster \
                  from it; certificates and configurations are not in it."
)]
pub struct BackupArgs {
    /// The file to make, or with --check the one to look at
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Read the file, without a cluster: is it whole, and what is in it
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long, help_heading = "Connection and output")]
    pub json: bool,
    /// How long to go on asking for a server that begins
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        value_parser = super::parse_seconds,
        help_heading = "Connection and output"
    )]
    timeout: Duration,
}

/// What a backup is, for programs.
#[derive(Serialize)]
pub struct Report {
    file: String,
    file_bytes: u64,
    sha256: String,
    taken_at_ms: u64,
    server: String,
    version: String,
    recovery_id: String,
    term: u64,
    index: u64,
    records: u64,
    bytes: u64,
    accounts: u64,
    sessions: u64,
    conversations: u64,
    rooms: u64,
    messages: u64,
    attachments: u64,
    attachment_bytes: u64,
}

impl Report {
    /// Of the backup at `path`.
    pub fn of(path: &Path, header: &Header, summary: &Summary) -> Self {
        let (contents, (term, index)) = (summary.contents, header.position());
        Self {
            file: path.display().to_string(),
            file_bytes: summary.file_bytes,
            sha256: summary.hash.to_string(),
            taken_at_ms: header.taken_at_ms(),
            server: header.server().to_owned(),
            version: header.version().to_owned(),
            recovery_id: hex(header.recovery_id()),
            term,
            index,
            records: contents.records,
            bytes: contents.bytes,
            accounts: contents.accounts,
            sessions: contents.sessions,
            conversations: contents.conversations,
            rooms: contents.rooms,
            messages: contents.messages,
            attachments: contents.attachments,
            attachment_bytes: contents.attachment_bytes,
        }
    }

    /// What is in it, in words.
    pub fn contents(&self) -> String {
        let words = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let files = match self.attachments {
            0 => "no files".to_owned(),
            count => format!("{} ({})", words(count, "file"), bytes(self.attachment_bytes)),
        };
        format!(
            "{}, {}, {}, {}, {}, {files}",
            words(self.accounts, "account"),
            words(self.sessions, "session"),
            words(self.conversations, "direct conversation"),
            words(self.rooms, "room"),
            words(self.messages, "message"),
        )
    }

    fn human(&self, done: &str) -> String {
        format!(
            "{done} {}, {}: {}\nTaken {} from {}, at entry {} of term {}. SHA-256 of its chain: {}",
            escape(&self.file),
            bytes(self.file_bytes),
            self.contents(),
            time(self.taken_at_ms),
            escape(&self.server),
            self.index,
            self.term,
            self.sha256,
        )
    }
}

/// Bytes as digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs `threefold backup`.
pub async fn backup(args: BackupArgs) -> Result<(), Failure> {
    let output = Output::new(args.json);
    let (done, (header, summary)) = if args.check {
        ("whole:", check(&args.file)?)
    } else {
        let operator = args.target.operator()?;
        ("backed up to", take(&operator, &args).await?)
    };
    let report = Report::of(&args.file, &header, &summary);
    output.result(&report, || report.human(done))?;
    Ok(())
}

async fn take(
    operator: &threefold_server::peer::operator::Operator,
    args: &BackupArgs,
) -> Result<(Header, Summary), Failure> {
    // Whoever loses patience leaves no half file behind.
    let mut signals = Signals::listen()?;
    let stopped = async {
        signals.next().await;
    };
    let mut shown = Progress::new("backing up", 0, bytes);
    let mut about = 0;
    let told = |step: Step<'_>| match step {
        Step::Begun(header) => about = header.about_bytes(),
        // How much there is is known about: it is not done before it is done.
        Step::At(at) => shown.at_of(at, about.max(at + 1)),
        Step::Lost(why) => {
            shown.hide();
            eprintln!("threefold: {}; beginning again", escape(why));
        }
    };
    let taken = backup::take::take(operator, &args.file, args.timeout, stopped, told).await;
    drop(shown);
    Ok(taken?)
}

fn check(path: &Path) -> Result<(Header, Summary), Failure> {
    let mut shown = Progress::new("reading", 0, bytes);
    let checked = backup::check(path, |at, total| shown.at_of(at, total));
    drop(shown);
    checked.map_err(|error| unusable(path, error))
}

/// Why a backup cannot be used.
pub fn unusable(path: &Path, error: BackupError) -> Failure {
    match error {
        BackupError::Io(error) => Failure::file(path, &error),
        error => Failure::declined(format!("{}: {error}", path.display())),
    }
}

impl From<NotTaken> for Failure {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Exists(_) => Self::usage(error.to_string()),
            NotTaken::File { path, source } => Self::file(&path, &source),
            NotTaken::Unknown(_) => Self::declined(error.to_string()),
            NotTaken::Interrupted => Self::local(error.to_string()),
            NotTaken::Unavailable(why) => Self::unavailable(format!(
                "there is no backup: {why}; try again, ask another server with --peer, or see what the servers' logs say"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_backup_is_said_in_words() {
        let report = |count, attachments| Report {
            file: "x.backup".to_owned(),
            file_bytes: 2048,
            sha256: "00".to_owned(),
            taken_at_ms: 0,
            server: "server-1".to_owned(),
            version: String::new(),
            recovery_id: String::new(),
            term: 2,
            index: 7,
            records: 0,
            bytes: 0,
            accounts: count,
            sessions: count,
            conversations: count,
            rooms: count,
            messages: count,
            attachments,
            attachment_bytes: 1024,
        };
        let one = "1 account, 1 session, 1 direct conversation, 1 room, 1 message, 1 file (1.0 KiB)";
        assert_eq!(report(1, 1).contents(), one);
        let none = "0 accounts, 0 sessions, 0 direct conversations, 0 rooms, 0 messages, no files";
        assert_eq!(report(0, 0).contents(), none);
        let said = report(1, 1).human("whole:");
        assert!(said.starts_with(&format!("whole: x.backup, 2.0 KiB: {one}\nTaken ")), "{said}");
        assert!(said.contains("from server-1, at entry 7 of term 2."), "{said}");
    }
}
