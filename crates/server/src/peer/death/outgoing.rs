//! This server's own death streams: one to each other server, and the announcements on them.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use threefold_proto::peer::{self, death_frame::Frame};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{DeathStreams, frame};
use crate::{
    net::DeathStream,
    peer::channels::Lane,
    raft::{
        Peer,
        survivor::configuration::incarnation,
        types::{RaftStoredMembership, stored_membership_to_wire},
    },
};

/// Between two attempts to reach a server; it may be back any moment.
const RETRY: Duration = Duration::from_millis(50);
/// A connection that takes longer than this to stand is no better than none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A server that does not answer the hello within this is left: its machine may be gone, and TCP would wait for ever with nothing to send.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A notice that is not written within this is not waited for: the stream is reset, and proves nothing.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// When the other side has not said for so long that the stream stands there, it is asked whether it is there at all.
const UNNAMED: Duration = Duration::from_secs(2);
/// The other side hears this often that the stream stands.
const ALIVE: Duration = Duration::from_millis(300);

/// A configuration to be written, and whom to tell that it was.
type Notice = (RaftStoredMembership, oneshot::Sender<()>);

/// Takes announcements to every stream that stands.
#[derive(Debug, Default)]
pub struct Announcer {
    streams: Mutex<Vec<mpsc::UnboundedSender<Notice>>>,
}

impl Announcer {
    /// Registers a stream. What is announced from now on reaches it; what was before must be in its hello.
    fn register(&self) -> mpsc::UnboundedReceiver<Notice> {
        let (notices, queue) = mpsc::unbounded_channel();
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| !stream.is_closed());
        streams.push(notices);
        queue
    }

    /// Announces a configuration: returns once it is written to every stream, or the stream is gone. Bounded by the streams' own
    /// timeout.
    pub async fn announce(&self, configuration: &RaftStoredMembership) {
        let written = {
            let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let sends = streams.iter().filter_map(|stream| {
                let (told, written) = oneshot::channel();
                stream.send((configuration.clone(), told)).is_ok().then_some(written)
            });
            sends.collect::<Vec<_>>()
        };
        for written in written {
            // A stream that ended dropped the sender, and was reset.
            let _ = written.await;
        }
    }
}

fn configuration_frame(stored: &RaftStoredMembership) -> peer::DeathFrame {
    peer::DeathFrame { frame: Some(Frame::Configuration(stored_membership_to_wire(stored))) }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>, limit: Duration) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl DeathStreams {
    /// Keeps the stream to one server while it is a member at this address.
    pub(super) async fn keep(self: Arc<Self>, peer: Peer) -> (u64, String) {
        while self.engine.others().iter().any(|other| other.id == peer.id && other.member.is_at(&peer.member)) {
            if let Err(error) = self.stream(&peer).await {
                tracing::debug!(server = %peer.member.name, %error, "death stream");
            }
            sleep(RETRY).await;
        }
        (peer.id, peer.member.peer_address)
    }

    /// One stream, until it breaks.
    async fn stream(&self, peer: &Peer) -> io::Result<()> {
        // Dropped in this order, after the connection: who waits for a notice goes on once it is written, or the stream
        // is reset, never before.
        let mut unwritten: Option<oneshot::Sender<()>>;
        let mut notices;
        let dialled = self.network.dial_death(&peer.member.name, &peer.member.peer_address);
        let DeathStream { connection: mut stream, ends } = within(dialled, CONNECT_TIMEOUT).await?;
        // First the place in line, then the look at what was announced so far: between the two nothing is missed.
        notices = self.announcer.register();
        let hello = peer::DeathHello {
            version: 1,
            node_id: self.greeting.node_id,
            incarnation: self.greeting.incarnation,
            name: self.greeting.name.clone(),
            recovery_id: self.engine.cluster().recovery_id().into(),
            from: ends.local.to_string(),
            to: ends.remote.to_string(),
            configurations: self.engine.configurations().announced().iter().map(stored_membership_to_wire).collect(),
            process: self.lineage.process,
            previous_process: self.lineage.previous,
        };
        let hello = peer::DeathFrame { frame: Some(Frame::Hello(hello)) };
        within(frame::write(&mut stream, &hello), WRITE_TIMEOUT).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (greeted, mut accepted) = oneshot::channel();
        let mut standing = None;
        let mut unanswered = std::pin::pin!(sleep(ANSWER_TIMEOUT));
        let mut listening = std::pin::pin!(self.hear_out(&mut reader, &peer.member.name, greeted));
        let mut named_at = Instant::now();
        let mut alive = interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some((configuration, told)) = notices.recv() => {
                    unwritten = Some(told);
                    within(frame::write(&mut writer, &configuration_frame(&configuration)), WRITE_TIMEOUT).await?;
                    unwritten.take().map(|told| told.send(()));
                }
                // Before that something unread might turn the end into a reset: the stream does not stand yet.
                answer = &mut accepted, if standing.is_none() => match answer {
                    Ok(is_direct) => standing = Some(is_direct),
                    Err(_) => return listening.await,
                },
                () = &mut unanswered, if standing.is_none() => return Err(io::ErrorKind::TimedOut.into()),
                _ = alive.tick(), if standing.is_some() => {
                    // One that is not direct is never named as standing, however well it is heard.
                    if standing == Some(false) || self.names_us(peer) {
                        named_at = Instant::now();
                    } else if named_at.elapsed() > UNNAMED && self.answers(peer).await {
                        return Err(io::Error::other("the other side does not hear this stream: opening it anew"));
                    }
                    let from = self.deaths.standing().into_iter();
                    let from = from.map(|run| peer::ServerRun { node_id: run.directory, incarnation: run.counter });
                    let alive = peer::DeathFrame { frame: Some(Frame::Alive(peer::DeathAlive { from: from.collect() })) };
                    within(frame::write(&mut writer, &alive), WRITE_TIMEOUT).await?;
                }
                ended = &mut listening => return ended,
            }
        }
    }

    /// Whether the other side says lately that this stream stands there.
    fn names_us(&self, peer: &Peer) -> bool {
        let own = incarnation(self.greeting.node_id, self.greeting.incarnation);
        // Heard, whether or not its own link here is direct.
        let run = self.deaths.latest(peer.id).filter(|run| self.deaths.reached().contains(&run.directory));
        run.is_some_and(|run| self.deaths.standing_at(run).contains(&own))
    }

    /// Whether the other side answers over another connection. After a cut TCP may be silent for two minutes; a stream
    /// that is opened anew is not.
    async fn answers(&self, peer: &Peer) -> bool {
        let mut client = self.channels.client(&peer.member, Lane::Control);
        let status = timeout(WRITE_TIMEOUT, client.status(peer::PeerStatusRequest {})).await;
        status.is_ok_and(|status| status.is_ok_and(|status| status.into_inner().node_id == peer.id))
    }

    /// Takes the one reply, says whether the link is direct, then waits for the end: nothing more is ever said in this direction.
    async fn hear_out(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        name: &str,
        greeted: oneshot::Sender<bool>,
    ) -> io::Result<()> {
        let frame::Read::Frame(reply) = frame::read::<peer::DeathReply>(reader).await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if reply.outdated {
            self.outdated.send_replace(Some(name.to_owned()));
        }
        if !reply.refused.is_empty() {
            return Err(io::Error::other(reply.refused));
        }
        if !reply.direct {
            tracing::warn!(server = %name, "the link to this server is not direct (a proxy, address translation or a forwarded \
                port stands between): it can give no proof of death, and survivor mode cannot use it");
        }
        tracing::debug!(server = %name, "a death stream stands");
        let _ = greeted.send(reply.direct);
        let _ = reader.read(&mut [0; 1]).await;
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}
