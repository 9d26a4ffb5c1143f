//! Frames as they leave a stream: made for one client, or made and encoded once for many.
//!
//! What is said in a room is the same to all its members, and each way to send it (protobuf, JSON) is written when the first of
//! them needs it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::extract::ws::Utf8Bytes;
use bytes::{BufMut as _, Bytes};
use prost::Message as _;
use threefold_proto::{
    chat::{self, event::Body, server_frame},
    convert::Refusal,
    json,
};
use tokio::time::Instant;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::{ProstCodec, ProstDecoder};

use crate::gateway::directory::NAME_LIFE;

/// A frame that bears names is given to others no longer than this.
const LIFE: Duration = NAME_LIFE;

/// A stream's buffers to begin with, one for each direction: most streams are idle, and keep them all the same.
const BUFFER_BYTES: usize = 512;
/// From here on what is encoded leaves before more is.
const YIELD_BYTES: usize = 32 * 1024;

/// A frame on its way to a client.
pub(crate) enum Told {
    /// This client's alone.
    Own(Box<chat::ServerFrame>),
    /// The same for many.
    Shared(Arc<Shared>),
}

/// A frame that is the same for many.
pub(crate) struct Shared {
    frame: chat::ServerFrame,
    protobuf: OnceLock<Bytes>,
    json: OnceLock<Utf8Bytes>,
    made: Instant,
    /// It says where it was said, or happened. Whoever made it may have been removed from there meanwhile, and not know the name any more.
    is_placed: bool,
}

impl Shared {
    /// Not encoded yet.
    pub fn new(frame: server_frame::Frame) -> Self {
        let is_placed = match &frame {
            server_frame::Frame::Event(chat::Event { body: Some(body), .. }) => {
                room(body).is_none_or(|name| !name.is_empty())
            }
            _ => true,
        };
        let frame = chat::ServerFrame { frame: Some(frame) };
        Self { frame, protobuf: OnceLock::new(), json: OnceLock::new(), made: Instant::now(), is_placed }
    }

    /// Whether others may be given it: the names in it may still be shown.
    pub fn is_fresh(&self) -> bool {
        self.is_placed && self.made.elapsed() < LIFE
    }

    /// The frame itself.
    pub fn frame(&self) -> &chat::ServerFrame {
        &self.frame
    }
}

/// What a body calls the room that it is about; none: it names no room.
fn room(body: &Body) -> Option<&str> {
    let place = match body {
        Body::Message(message) => return Some(&message.room_name),
        Body::MessageEdited(edited) => return Some(&edited.room_name),
        Body::ReactionChanged(changed) => return Some(&changed.room_name),
        Body::RoomOpened(opened) => &opened.room,
        Body::MemberJoined(joined) => &joined.room,
        Body::MemberLeft(left) => &left.room,
        Body::MemberRemoved(removed) => &removed.room,
        Body::RoleChanged(changed) => &changed.room,
        Body::RoomChanged(changed) => &changed.room,
        Body::MessagesDeleted(_)
        | Body::ReadMarkerMoved(_)
        | Body::MessagesHidden(_)
        | Body::SessionOpened(_)
        | Body::SessionEnded(_)
        | Body::PasswordChanged(_)
        | Body::PasswordReset(_)
        | Body::PeerRead(_)
        | Body::Invited(_)
        | Body::InvitationEnded(_) => return None,
    };
    place.as_ref().map(|room| room.name.as_str())
}

impl Told {
    /// The frame as a text of JSON.
    ///
    /// # Errors
    /// See [`json::write`].
    pub fn json(&self) -> Result<Utf8Bytes, Refusal> {
        match self {
            Self::Own(frame) => Ok(json::write(frame)?.into()),
            Self::Shared(shared) => match shared.json.get() {
                Some(text) => Ok(text.clone()),
                None => {
                    let text = Utf8Bytes::from(json::write(&shared.frame)?);
                    Ok(shared.json.get_or_init(|| text).clone())
                }
            },
        }
    }

    /// The frame itself.
    #[cfg(test)]
    pub fn into_frame(self) -> chat::ServerFrame {
        match self {
            Self::Own(frame) => *frame,
            Self::Shared(shared) => shared.frame.clone(),
        }
    }
}

/// How a stream's frames go over gRPC: as any message of protobuf; what is told to many is copied from where it is encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ToldCodec;

/// The half of [`ToldCodec`] that writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToldEncoder;

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

impl Codec for ToldCodec {
    type Encode = Told;
    type Decode = chat::ClientFrame;
    type Encoder = ToldEncoder;
    type Decoder = ProstDecoder<chat::ClientFrame>;

    fn encoder(&mut self) -> ToldEncoder {
        ToldEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<chat::ServerFrame, chat::ClientFrame>::raw_decoder(buffers())
    }
}

impl Encoder for ToldEncoder {
    type Item = Told;
    type Error = Status;

    fn encode(&mut self, told: Told, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match told {
            Told::Own(frame) => frame.encode(to).map_err(|error| Status::internal(error.to_string()))?,
            Told::Shared(shared) => {
                to.put_slice(shared.protobuf.get_or_init(|| shared.frame.encode_to_vec().into()));
            }
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_are_told_is_written_once_and_reads_as_what_one_is_told() {
        let pong = || server_frame::Frame::Pong(chat::Pong { number: 7 });
        let shared = Arc::new(Shared::new(pong()));
        let own = Told::Own(Box::new(chat::ServerFrame { frame: Some(pong()) }));
        let told = || Told::Shared(Arc::clone(&shared));
        let (first, second) = (told().json().unwrap(), told().json().unwrap());
        assert_eq!(first, own.json().unwrap());
        assert_eq!(first.as_str().as_ptr(), second.as_str().as_ptr(), "the same memory");
        assert_eq!(told().into_frame(), own.into_frame());
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_not_shown_for_longer_than_a_second() {
        // Whoever made the frame may have had the name for its whole life.
        assert!(NAME_LIFE + LIFE <= Duration::from_secs(1));
        let shared = Shared::new(server_frame::Frame::Pong(chat::Pong::default()));
        assert!(shared.is_fresh());
        tokio::time::advance(LIFE).await;
        assert!(!shared.is_fresh());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_say_where_it_was_said_is_for_nobody_else() {
        let shared = |body: Body| {
            Shared::new(server_frame::Frame::Event(chat::Event { body: Some(body), ..chat::Event::default() }))
        };
        for name in ["tea", ""] {
            let (room_name, room) =
                (|| name.to_owned(), Some(chat::RoomName { conversation: 1, name: name.to_owned() }));
            let bodies = [
                Body::Message(chat::Message { room_name: room_name(), ..Default::default() }),
                Body::MessageEdited(chat::MessageEdited { room_name: room_name(), ..Default::default() }),
                Body::ReactionChanged(chat::ReactionChanged { room_name: room_name(), ..Default::default() }),
                Body::MemberJoined(chat::MemberJoined { room: room.clone(), ..Default::default() }),
                Body::RoomChanged(chat::RoomChanged { room, ..Default::default() }),
            ];
            for body in bodies {
                assert_eq!(shared(body.clone()).is_fresh(), !name.is_empty(), "{body:?}");
            }
        }
        assert!(shared(Body::MessagesDeleted(chat::MessagesDeleted::default())).is_fresh(), "which names nothing");
    }
}
