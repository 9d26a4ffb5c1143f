//! The way through the servers until one does what is asked.

use std::time::Duration;

use crate::{addresses::display, backoff::Backoff, servers::Servers, verdict::Verdict};

/// Which servers one operation (or one long-lived stream) has asked, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Asked since the last success, each once; begins again when all have been.
    round: Vec<String>,
    /// Every server asked, for the error message.
    tried: Vec<String>,
    backoff: Backoff,
    last: Option<Verdict>,
}

impl Route {
    /// The server to ask next; none if no server is known.
    pub(crate) fn next(&mut self, servers: &Servers) -> Option<String> {
        if servers.known().iter().all(|server| self.round.contains(server)) {
            self.round.clear();
        }
        let server = servers.pick(&self.round)?;
        self.round.push(server.clone());
        let name = display(&server);
        if !self.tried.iter().any(|tried| tried == name) {
            self.tried.push(name.to_owned());
        }
        Some(server)
    }

    /// That server failed: how long to wait before asking the next one.
    pub(crate) fn failed(&mut self, servers: &Servers, server: &str, verdict: Verdict) -> Duration {
        servers.failed(server);
        let name = display(server);
        self.last = Some(match verdict {
            Verdict::Unavailable { cause, broken } => {
                Verdict::Unavailable { cause: format!("{name}: {cause}"), broken }
            }
            other => other,
        });
        self.backoff.next(servers.luck())
    }

    /// That server did what was asked.
    pub(crate) fn worked(&mut self, servers: &Servers, server: &str) {
        servers.worked(server);
        self.round.clear();
        self.tried.clear();
        self.backoff.reset();
    }

    /// The error to report when time is up.
    pub(crate) fn error(&self) -> crate::Error {
        let last = self.last.clone();
        let verdict = last.unwrap_or_else(|| Verdict::Unavailable { cause: "no answer yet".to_owned(), broken: false });
        verdict.into_error(self.tried.clone())
    }
}
