//! The standing link to each other server: tells it who is connected here, and notices its death.
//!
//! A dead process's connections close at once. When a link ends *and* a new connection is refused, or is answered by a
//! later incarnation, the process behind it is dead; if it led, the survivor with the longest log stands for election without waiting for a timeout.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use threefold_core::{AccountId, ConversationId, Position};
use threefold_proto::peer::{self, link_message::Message};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;

use super::channels::{Channels, Lane};
use crate::{
    node::{
        Hub,
        presence::Presence,
        typing::{self, Notice, Typing},
    },
    raft::{
        Engine, Peer,
        network::last_log_id,
        types::{Member, RaftLogId, log_id_from_wire, log_id_to_wire},
    },
};

/// Between two attempts to reach a server; it may be back any moment.
const RETRY: Duration = Duration::from_millis(100);
/// Changes of presence are gathered this long.
const GATHER: Duration = Duration::from_millis(50);
/// Messages on their way; presence is gathered, so few are.
const MESSAGES: usize = 4;
/// The configuration is looked at this often for servers without a link.
const MEMBERS: Duration = Duration::from_millis(200);
/// A survivor that does not answer within this has no say in who stands first.
const SURVIVOR_PATIENCE: Duration = Duration::from_millis(100);
/// Without a sign of death or life for so long, the usual timeouts decide.
const VERDICT_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at a server that may have died.
const VERDICT_RETRY: Duration = Duration::from_millis(10);
/// Between two leaderships, of this server or others.
const TURNOVER: Duration = Duration::from_millis(1);
/// How much longer each less fit survivor waits before it stands, should the fitter ones fail.
const SURVIVOR_TURN: Duration = Duration::from_millis(150);

/// Keeps a link to every other member, for ever.
pub struct Links {
    /// This server's Raft.
    pub engine: Arc<Engine>,
    /// The connections.
    pub channels: Arc<Channels>,
    /// Who is connected.
    pub presence: Arc<Presence>,
    /// Who is typing.
    pub typing: Arc<Typing>,
    /// How this server greets others.
    pub greeting: peer::Hello,
}

impl Links {
    /// Runs until dropped.
    pub async fn run(self) {
        let links = Arc::new(self);
        let mut linked: BTreeSet<(u64, String)> = BTreeSet::new();
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let others = links.engine.others();
            for peer in others {
                if linked.insert((peer.id, peer.member.peer_address.clone())) {
                    tasks.spawn(links.clone().keep(peer));
                }
            }
            tokio::select! {
                biased;
                () = sleep(MEMBERS) => {}
                Some(Ok(ended)) = tasks.join_next() => { linked.remove(&ended); }
            }
        }
    }

    fn still_member(&self, id: u64, member: &Member) -> bool {
        self.engine.others().iter().any(|peer| peer.id == id && peer.member.is_at(member))
    }

    /// Keeps the link to one server while it is a member at this address.
    async fn keep(self: Arc<Self>, peer: Peer) -> (u64, String) {
        while self.still_member(peer.id, &peer.member) {
            if let Some(incarnation) = self.link(&peer).await
                && self.has_died(&peer, incarnation).await
            {
                tracing::info!(server = %peer.member.name, "the server's process has died");
                let links = self.clone();
                let id = peer.id;
                tokio::spawn(async move { links.server_died(id, incarnation).await });
            }
            sleep(RETRY).await;
        }
        // A server that only moved has a link from its new address, and who is connected there still is.
        if !self.engine.others().iter().any(|other| other.id == peer.id) {
            self.presence.forget_server(peer.id);
        }
        (peer.id, peer.member.peer_address)
    }

    /// One link, from its beginning to its end. Gives the incarnation it was with, if it ever stood.
    async fn link(&self, peer: &Peer) -> Option<u64> {
        let mut client = self.channels.client(&peer.member, Lane::Control);
        let (messages, outgoing) = mpsc::channel(MESSAGES);
        let _ = messages.try_send(greeting(&self.greeting));
        let mut incoming = client.link(ReceiverStream::new(outgoing)).await.ok()?.into_inner();
        let Ok(Some(peer::LinkMessage { message: Some(Message::Hello(hello)) })) = incoming.message().await else {
            return None;
        };
        tracing::debug!(server = %peer.member.name, "linked");
        tokio::select! {
            biased;
            () = self.tell_presence(&messages) => {}
            () = self.tell_visible(peer, &messages) => {}
            () = self.tell_typing(&messages) => {}
            () = async { while let Ok(Some(_)) = incoming.message().await {} } => {}
        }
        Some(hello.incarnation)
    }

    /// Whether the process behind a link that has ended is dead: nobody listens in its place, or another process
    /// does. Asks until one is certain; a server that is just starting takes a while to answer.
    async fn has_died(&self, peer: &Peer, incarnation: u64) -> bool {
        let give_up = Instant::now() + VERDICT_PATIENCE;
        while Instant::now() < give_up {
            if self.channels.refuses(&peer.member.peer_address).await {
                return true;
            }
            let mut client = self.channels.client(&peer.member, Lane::Control);
            let status = tokio::time::timeout(SURVIVOR_PATIENCE, client.status(peer::PeerStatusRequest {})).await;
            if let Ok(Ok(status)) = status {
                return is_another_process(&status.into_inner(), peer.id, incarnation);
            }
            sleep(VERDICT_RETRY).await;
        }
        false
    }

    async fn tell_presence(&self, messages: &mpsc::Sender<peer::LinkMessage>) {
        let mut changes = self.presence.changes();
        changes.mark_unchanged();
        let mut told = self.presence.here();
        let ids = |accounts: &BTreeSet<AccountId>| accounts.iter().map(|account| account.0).collect::<Vec<_>>();
        let mut presence = peer::Presence { full: true, online: ids(&told), offline: Vec::new() };
        loop {
            let message = peer::LinkMessage { message: Some(Message::Presence(presence)) };
            if messages.send(message).await.is_err() || changes.changed().await.is_err() {
                return;
            }
            sleep(GATHER).await;
            changes.mark_unchanged();
            let here = self.presence.here();
            presence = peer::Presence {
                full: false,
                online: here.difference(&told).map(|account| account.0).collect(),
                offline: told.difference(&here).map(|account| account.0).collect(),
            };
            told = here;
        }
    }

    /// Tells who types here, what gathers within a moment together. What it could not keep up with is not told.
    async fn tell_typing(&self, messages: &mpsc::Sender<peer::LinkMessage>) {
        let mut heard = self.typing.notices();
        loop {
            let first = match heard.recv().await {
                Ok(notice) => notice,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            sleep(GATHER).await;
            let rest = std::iter::from_fn(|| heard.try_recv().ok());
            let notices = std::iter::once(first).chain(rest).take(typing::ON_THEIR_WAY).map(typing_to_wire).collect();
            let message = peer::LinkMessage { message: Some(Message::Typing(peer::Typing { notices })) };
            if messages.send(message).await.is_err() {
                return;
            }
        }
    }

    /// Tells, whenever this server leads, how far may be shown, where no append tells it. Ends with the link.
    async fn tell_visible(&self, peer: &Peer, messages: &mpsc::Sender<peer::LinkMessage>) {
        let mut leader = self.engine.leader();
        loop {
            if *leader.borrow_and_update() != Some(self.engine.id()) {
                if leader.changed().await.is_err() {
                    return;
                }
                continue;
            }
            // Of the Raft that runs now: a force starts another.
            let mut raised = self.engine.raised();
            loop {
                let visible = *raised.borrow_and_update();
                let visible = visible.filter(|log_id| !self.engine.configurations().is_plain_at(log_id.index));
                if let Some(visible) = visible
                    && !self.engine.survivor().told.covers(peer.id, visible)
                {
                    let message = peer::LinkMessage { message: Some(Message::Visible(log_id_to_wire(&visible))) };
                    if messages.send(message).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    biased;
                    changed = leader.changed() => if changed.is_err() { return } else { break },
                    changed = raised.changed() => if changed.is_err() { break },
                }
            }
            // While a force is under way the old Raft's news have ended and there are no new ones yet.
            sleep(TURNOVER).await;
        }
    }

    /// If the dead server led: the fittest survivor stands at once, the others a turn later each, unless somebody
    /// leads by then.
    async fn server_died(&self, dead: u64, incarnation: u64) {
        self.presence.forget_process(dead, incarnation);
        let overview = self.engine.overview();
        if overview.leader != Some(dead) || !overview.peers.iter().any(|peer| peer.id == self.engine.id() && peer.voter)
        {
            return;
        }
        let own = (self.engine.vote_and_last_log_id().1, std::cmp::Reverse(self.engine.id()));
        let rivals = overview.peers.iter().filter(|peer| peer.voter && peer.id != dead && peer.id != self.engine.id());
        let fitness = futures::future::join_all(rivals.map(|rival| self.fitness(rival))).await;
        let fitter = fitness.into_iter().flatten().filter(|rival| *rival > own).count();
        let mut leader = self.engine.leader();
        let turn = sleep(SURVIVOR_TURN * fitter as u32);
        let succeeded = async { drop(leader.wait_for(|leader| leader.is_some_and(|leader| leader != dead)).await) };
        let my_turn = tokio::select! {
            biased;
            () = succeeded => false,
            () = turn => true,
        };
        if my_turn {
            self.engine.take_over_from(dead).await;
        }
    }

    /// How fit a survivor is to lead: the end of its log; the lower id on a tie.
    async fn fitness(&self, peer: &Peer) -> Option<(Option<RaftLogId>, std::cmp::Reverse<u64>)> {
        let mut client = self.channels.client(&peer.member, Lane::Control);
        let call = tokio::time::timeout(SURVIVOR_PATIENCE, client.status(peer::PeerStatusRequest {}));
        let status = call.await.ok()?.ok()?.into_inner();
        Some((last_log_id(status.last_log_id), std::cmp::Reverse(status.node_id)))
    }
}

fn typing_to_wire(notice: Notice) -> peer::TypingNotice {
    let Notice { conversation, account, reader, position } = notice;
    let reader = reader.map_or(0, |reader| reader.0);
    peer::TypingNotice { conversation: conversation.0, account: account.0, reader, position: position.0 }
}

fn typing_from_wire(notice: peer::TypingNotice) -> Notice {
    let peer::TypingNotice { conversation, account, reader, position } = notice;
    Notice {
        conversation: ConversationId(conversation),
        account: AccountId(account),
        reader: (reader != 0).then_some(AccountId(reader)),
        position: Position(position),
    }
}

/// Whether that is the status of another process: a later incarnation of the directory, or one with another
/// directory, and so another node id. (A fresh directory counts its incarnations from the start, so they may be equal.)
fn is_another_process(status: &peer::PeerStatus, id: u64, incarnation: u64) -> bool {
    status.node_id != id || status.incarnation != incarnation
}

/// The first message of a link, in both directions.
pub fn greeting(hello: &peer::Hello) -> peer::LinkMessage {
    peer::LinkMessage { message: Some(Message::Hello(hello.clone())) }
}

/// Takes what another server tells over its link, until the link ends.
pub async fn listen(
    presence: &Presence,
    hub: &Hub,
    engine: &Engine,
    mut messages: tonic::Streaming<peer::LinkMessage>,
) {
    let mut link = None;
    while let Ok(Some(message)) = messages.message().await {
        match (message.message, link) {
            (Some(Message::Hello(hello)), _) => link = Some(presence.begin_link(hello.node_id, hello.incarnation)),
            (Some(Message::Presence(change)), Some(link)) if change.full => {
                presence.set_elsewhere(link, change.online.into_iter().map(AccountId).collect());
            }
            (Some(Message::Presence(change)), Some(link)) => {
                presence.change_elsewhere(link, &change.online, &change.offline);
            }
            (Some(Message::Visible(visible)), Some(_)) => engine.raise(log_id_from_wire(visible)),
            (Some(Message::Typing(told)), Some(_)) => {
                told.notices.into_iter().take(typing::ON_THEIR_WAY).map(typing_from_wire).for_each(|notice| {
                    hub.tell_typing(notice);
                });
            }
            // A newer server's message, or one before its greeting: not for us.
            (Some(Message::Presence(_) | Message::Visible(_) | Message::Typing(_)) | None, _) => {}
        }
    }
    if let Some(link) = link {
        presence.end_link(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_directory_at_the_address_means_that_the_old_process_is_dead() {
        let status = |node_id, incarnation| peer::PeerStatus { node_id, incarnation, ..Default::default() };
        assert!(!is_another_process(&status(7, 3), 7, 3));
        assert!(is_another_process(&status(7, 4), 7, 3));
        assert!(is_another_process(&status(8, 1), 7, 1), "both in their first incarnation");
    }
}
