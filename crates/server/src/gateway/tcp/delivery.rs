//! What is delivered on a connection: messages of others, in the order of the log, from the account's delivered-up-to mark on.
//!
//! Not delivered are the account's own messages (but those to itself), deleted ones, and those that were read elsewhere
//! before the connection logged in.

use std::collections::BTreeMap;

use threefold_core::{AccountId, ConversationId, Event, Position, Scope, query};
use threefold_proto::{
    chat, convert,
    framing::{Details, Reply},
};

use super::{
    connection::{Connection, Ending},
    text,
};
use crate::{gateway::door::Door, net::ClientSocket, node::Followed};

/// Frames gathered before they are sent: enough to fill packets.
const GATHERED_BYTES: usize = 16 * 1024;
/// Conversations whose markers are remembered while catching up.
const MARKERS: usize = 1000;

/// What was read before a session began: it was delivered somewhere, though nobody marked it.
pub(super) struct Read {
    before: Position,
    markers: BTreeMap<ConversationId, Position>,
}

impl Read {
    /// Of messages up to this position.
    pub fn before(position: Position) -> Self {
        Self { before: position, markers: BTreeMap::new() }
    }

    /// Deliveries are here: what is before is not asked for again.
    pub fn reached(&mut self, position: Position) {
        if position >= self.before {
            self.markers = BTreeMap::new();
        }
    }

    fn contains<D: Door>(&mut self, door: &D, reader: AccountId, event: &Event) -> bool {
        let Scope::Conversation(conversation) = event.scope else { return false };
        if event.id.position() > self.before {
            return false;
        }
        if self.markers.len() >= MARKERS {
            self.markers.clear();
        }
        let marker = self.markers.entry(conversation).or_insert_with(|| {
            let info = door.read(|store| query::conversation(store, reader, conversation));
            info.map_or(Position(0), |info| info.read_up_to)
        });
        event.id.position() <= *marker
    }
}

impl<D: Door, S: ClientSocket> Connection<D, S> {
    /// Sends what is new to the client.
    pub(super) async fn deliver(&mut self, followed: Followed) -> Result<(), Ending> {
        let Some(session) = &mut self.session else { return Ok(()) };
        // Of typing this protocol has no word.
        let Followed { events, up_to, typing: _, is_of_account } = followed;
        let any = !events.is_empty();
        let own = session.caller.session.account;
        let mut frames = Vec::new();
        for event in events {
            if session.read.contains(self.gateway.door(), own, &event) {
                continue;
            }
            let mut names = self.gateway.directory().of(self.gateway.door(), own);
            let Some(message) = convert::message(event.into_event(), &mut names) else { continue };
            let is_own = message.author == own.0 && message.peer_name != session.name;
            if is_own || message.deleted {
                continue;
            }
            self.framing.encode(&delivered(message, &session.name), &mut frames);
            if frames.len() >= GATHERED_BYTES {
                self.outlet.send(&frames).await?;
                frames.clear();
            }
        }
        if !frames.is_empty() {
            self.outlet.send(&frames).await?;
        }
        session.delivered(up_to, any);
        // As in a stream: the account's end leaves nothing behind to be told.
        if is_of_account {
            session.check(&self.gateway, true)?;
        }
        Ok(())
    }
}

fn delivered(message: chat::Message, own_name: &str) -> Reply {
    Reply {
        cmd: "message".to_owned(),
        to: if message.room_name.is_empty() { own_name.to_owned() } else { text::room(&message.room_name) },
        src: text::name(message.author_name),
        body: message.body,
        error: false,
        details: Details::Message { id: message.id, time: text::time(message.time_ms) },
    }
}
