//! Receiving another server's death stream, and telling a dead process from everything else.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};

use threefold_proto::peer::{self, death_frame::Frame};
use threefold_rules::Incarnation;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};

use super::{DeathStreams, StreamId, frame};
use crate::{
    net::{Caller, Ends, PeerStream},
    peer::channels::Lane,
    raft::{
        Peer,
        survivor::configuration::{incarnation, rule_stored},
        types::stored_membership_from_wire,
    },
    storage::directory::Lineage,
};

/// A hello that takes longer is given up.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks for the second sign of a death.
const VERDICT_RETRY: Duration = Duration::from_millis(10);
/// The same, of a server that has given no sign for a while.
const VERDICT_LATER: Duration = Duration::from_millis(200);
/// Looks at the quick pace.
const QUICK_LOOKS: u32 = 300;
/// A server that does not answer within this gives no sign now.
const STATUS_PATIENCE: Duration = Duration::from_millis(200);

fn is_address(said: &str, seen: SocketAddr) -> bool {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    said.parse::<SocketAddr>().is_ok_and(|said| canonical(said) == canonical(seen))
}

impl DeathStreams {
    /// Receives one stream until its end.
    pub async fn receive(self: &Arc<Self>, mut stream: impl PeerStream) {
        let Ok(ends) = stream.ends() else { return };
        let caller = stream.caller();
        match timeout(HELLO_TIMEOUT, self.greet(&mut stream, ends, &caller)).await {
            Ok(Ok(id)) => {
                let has_ended = tokio::select! {
                    biased;
                    has_ended = self.listen(&mut stream, id) => has_ended,
                    () = self.deaths.replaced(id) => return,
                };
                let is_clean = has_ended && stream.ended_cleanly();
                self.deaths.ended(id, is_clean);
                if is_clean {
                    tracing::debug!(incarnation = ?id, "a death stream has ended as a dead process's does");
                }
            }
            Ok(Err(error)) => tracing::info!(%error, from = %ends.remote, "refused a death stream"),
            Err(_) => tracing::info!(from = %ends.remote, "a death stream did not say hello"),
        }
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        ends: Ends,
        caller: &Caller,
    ) -> io::Result<StreamId> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let frame::Read::Frame(peer::DeathFrame { frame: Some(Frame::Hello(hello)) }) = frame::read(stream).await?
        else {
            return Err(invalid("it did not begin with a hello"));
        };
        let refused = self.refusal(&hello, caller);
        let is_outdated = refused.is_none() && self.is_outdated(&hello);
        let refused = refused.or_else(|| is_outdated.then(|| "on an old copy of its directory".to_owned()));
        let is_direct = is_address(&hello.from, ends.remote) && is_address(&hello.to, ends.local);
        let reply = peer::DeathReply {
            node_id: self.greeting.node_id,
            incarnation: self.greeting.incarnation,
            direct: is_direct,
            refused: refused.clone().unwrap_or_default(),
            outdated: is_outdated,
        };
        frame::write(stream, &reply).await?;
        if let Some(refused) = refused {
            return Err(invalid(&refused));
        }
        let configurations = hello.configurations.into_iter().map(stored_membership_from_wire);
        let configurations = configurations.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let will = configurations.iter().map(rule_stored).collect();
        Ok(self.deaths.begin(incarnation(hello.node_id, hello.incarnation), hello.process, is_direct, will))
    }

    /// Whether a later run of the sender's directory is known here: to this process, or to the log.
    fn is_outdated(&self, hello: &peer::DeathHello) -> bool {
        let run = incarnation(hello.node_id, hello.incarnation);
        let newest = self.engine.configurations().newest().rule;
        let was_succeeded = newest.in_sync.values().any(|listed| listed.succeeds(run));
        let lineage = Lineage { process: hello.process, previous: hello.previous_process };
        was_succeeded || self.deaths.is_outdated(run, lineage)
    }

    fn refusal(&self, hello: &peer::DeathHello, caller: &Caller) -> Option<String> {
        if hello.version != 1 {
            return Some(format!("death streams of version {} are unknown here", hello.version));
        }
        if hello.incarnation == 0 || !caller.bears_name(&hello.name) {
            return Some(format!("the certificate is not for the name {}", hello.name));
        }
        if !self.engine.cluster().may_share_history(&hello.recovery_id) {
            return Some("from another cluster: its recovery id is not this server's".to_owned());
        }
        let others = self.engine.others();
        let another = others.iter().any(|other| other.id == hello.node_id && other.member.name != hello.name);
        another.then(|| format!("node {} has another name here", hello.node_id))
    }

    /// Takes in what is said until the stream ends: true, if it ended between two frames without an error.
    async fn listen<S: AsyncRead + Unpin>(&self, stream: &mut S, id: StreamId) -> bool {
        loop {
            match frame::read::<peer::DeathFrame>(stream).await {
                Ok(frame::Read::Frame(peer::DeathFrame { frame: Some(Frame::Configuration(stored)) })) => {
                    let Ok(stored) = stored_membership_from_wire(stored) else { return false };
                    self.deaths.announced(id, rule_stored(&stored));
                }
                Ok(frame::Read::Frame(peer::DeathFrame { frame: Some(Frame::Alive(alive)) })) => {
                    let from = alive.from.iter().map(|run| incarnation(run.node_id, run.incarnation));
                    self.deaths.alive(id, from.collect::<BTreeSet<_>>());
                }
                // What this version does not understand might be a configuration.
                Ok(frame::Read::Frame(_)) => return false,
                Ok(frame::Read::End) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Looks for the second sign of every death that has the first. Runs for ever.
    pub(super) async fn judge(self: Arc<Self>) {
        let mut changes = self.deaths.changes();
        let (mut looks, mut known) = (0, Vec::new());
        loop {
            let suspects = self.deaths.suspects();
            if known != suspects {
                (looks, known) = (0, suspects.clone());
            }
            if suspects.is_empty() {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let others = self.engine.others();
            let looked = suspects.into_iter().filter_map(|suspect| {
                let peer = others.iter().find(|other| other.id == suspect.directory)?;
                Some(self.look(peer, suspect))
            });
            futures::future::join_all(looked).await;
            looks += 1;
            sleep(if looks < QUICK_LOOKS { VERDICT_RETRY } else { VERDICT_LATER }).await;
        }
    }

    async fn look(&self, peer: &Peer, suspect: Incarnation) {
        if self.channels.refuses(&peer.member.peer_address).await || self.has_successor(peer, suspect).await {
            tracing::info!(server = %peer.member.name, incarnation = suspect.counter, "proven: the server's process has died");
            self.deaths.second_sign(suspect);
        }
    }

    /// Whether a later incarnation of the same directory answers.
    async fn has_successor(&self, peer: &Peer, suspect: Incarnation) -> bool {
        let mut client = self.channels.client(&peer.member, Lane::Control);
        let Ok(Ok(status)) = timeout(STATUS_PATIENCE, client.status(peer::PeerStatusRequest {})).await else {
            return false;
        };
        let status = status.into_inner();
        incarnation(status.node_id, status.incarnation).succeeds(suspect)
    }
}
