//! What every command needs: a client, as whoever is logged in, and a place to remember what it learned.

use std::{fs, time::Duration};

use futures::future::join_all;
use threefold_client::{Client, Options, Session, parse_servers};
use tokio::sync::OnceCell;

use super::{
    ClientOptions, Failure,
    output::{Output, escape},
    session_file::SessionFile,
};

/// Where `threefold up` listens unless told otherwise.
const USUAL_SERVERS: &str = "127.0.0.1:7400,7401,7402";

/// An election is over before this.
const PASSING: Duration = Duration::from_millis(300);

/// A server that is there says in this what cluster it is of.
const A_SERVER_ANSWERS: Duration = Duration::from_secs(1);

/// Where a leader can be asked, it answers in this; else what the server has is shown.
const A_LEADER_ANSWERS: Duration = Duration::from_secs(1);

/// What a command works with.
pub struct Context {
    pub client: Client,
    pub output: Output,
    pub file: SessionFile,
    /// As it was in the file.
    session: Option<Session>,
    /// Servers were named for this command.
    is_directed: bool,
    /// See [`Context::is_elsewhere`].
    elsewhere: OnceCell<bool>,
}

impl Context {
    /// For commands that work without a login.
    pub fn anonymous(options: &ClientOptions) -> Result<Self, Failure> {
        let file = SessionFile::new(options.session.clone())?;
        let session = file.load()?;
        let remembered = session.as_ref().map(|session| session.servers.join(",")).filter(|list| !list.is_empty());
        let servers = options.servers.clone().or(remembered).unwrap_or_else(|| USUAL_SERVERS.to_owned());
        let mut library = Options::new(parse_servers(&servers)?);
        library.timeout = options.timeout;
        if let Some(path) = &options.ca {
            library.certificate_authority = Some(fs::read(path).map_err(|error| Failure::file(path, &error))?);
        }
        let output = Output::new(options.json);
        let (is_directed, elsewhere) = (options.servers.is_some(), OnceCell::new());
        Ok(Self { client: Client::new(library)?, output, file, session, is_directed, elsewhere })
    }

    /// For commands on behalf of whoever is logged in here.
    pub fn logged_in(options: &ClientOptions) -> Result<Self, Failure> {
        let context = Self::anonymous(options)?;
        let session = context.session.clone().ok_or_else(Failure::not_logged_in)?;
        // Servers that were named are asked alone, until they name others: they might be of another cluster.
        let servers = if options.servers.is_some() { Vec::new() } else { session.servers.clone() };
        let client = context.client.with_session(Session { servers, ..session })?;
        Ok(Self { client, ..context })
    }

    /// The login, as it was when the command began.
    pub fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(Failure::not_logged_in)
    }

    /// Says, for people, when the cluster cannot take writes, and why, until it is dropped: what is waited for is then no riddle.
    pub fn tell_when_frozen(&self) -> Telling {
        let (mut conditions, is_json) = (self.client.condition(), self.output.is_json());
        Telling(tokio::spawn(async move {
            let mut told = String::new();
            while !is_json && conditions.changed().await.is_ok() {
                // What passes by itself is not worth a word.
                tokio::time::sleep(PASSING).await;
                let condition = conditions.borrow_and_update().clone().unwrap_or_default();
                if condition.state == "frozen" && told != condition.detail {
                    eprintln!("threefold: the cluster is frozen: {}", escape(&condition.detail));
                    told = condition.detail;
                }
            }
        }))
    }

    /// Makes what is asked from now on show everything that anybody was told is there, if there is a leader to say how far that is: who is
    /// told that something was sent, and looks at another server at once, is to find it.
    pub async fn catch_up(&self) {
        // Without one, reading goes on.
        drop(tokio::time::timeout(A_LEADER_ANSWERS, self.client.consistent_position()).await);
    }

    /// Remembers how far this command has seen, so that the next one sees no less, and the servers it learned.
    pub async fn remember(&self) -> Result<(), Failure> {
        let (Some(before), Some(now)) = (&self.session, self.client.session()) else { return Ok(()) };
        if now.position <= before.position && now.servers == before.servers || self.is_elsewhere().await {
            return Ok(());
        }
        self.file.update(before, |present| merge(present, &now))?;
        Ok(())
    }

    /// Whether the servers that were named for this command are another cluster than that of the login, which is alive: a backup of it that somebody looks
    /// into has the same sessions. How far one has seen there means nothing here, and the next command is to go where the login is. Says so.
    ///
    /// Servers that nobody answers at are where the cluster was: it has moved, and the login moves along.
    pub async fn is_elsewhere(&self) -> bool {
        *self.elsewhere.get_or_init(|| self.look_whether_elsewhere()).await
    }

    async fn look_whether_elsewhere(&self) -> bool {
        let Some(session) = self.session.as_ref().filter(|session| self.is_directed && !session.servers.is_empty())
        else {
            return false;
        };
        let is_shared = || self.client.servers().iter().any(|server| session.servers.contains(server));
        if is_shared() {
            return false;
        }
        // By what other names those that were named are known.
        let Ok(Ok(here)) = tokio::time::timeout(A_SERVER_ANSWERS, self.client.status()).await else { return false };
        if is_shared() {
            return false;
        }
        // Each by itself: one that cannot be reached says nothing of the others.
        let there = join_all(
            session.servers.iter().map(|server| tokio::time::timeout(A_SERVER_ANSWERS, self.client.status_of(server))),
        );
        let is_other = there.await.into_iter().flatten().flatten().any(|there| there.recovery_id != here.recovery_id);
        if is_other && !self.output.is_json() {
            let (path, servers) = (self.file.path().display(), session.servers.join(", "));
            eprintln!(
                "threefold: this was another cluster than the one at {servers}, which {path} is of: nothing of it is remembered there"
            );
        }
        is_other
    }
}

/// See [`Context::tell_when_frozen`].
pub struct Telling(tokio::task::JoinHandle<()>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Takes over what is newer, and nothing else.
pub fn merge(present: &mut Session, now: &Session) {
    present.position = present.position.max(now.position);
    present.servers.clone_from(&now.servers);
}
