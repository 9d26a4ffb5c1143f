//! Frames on their way out of a stream: a bounded line, and the last word.
//!
//! Promises: what a client does not read costs at most [`FRAMES`] frames, and of large ones [`LARGE_BYTES`]; one that reads nothing
//! for [`PATIENCE`] is let go. The reason of an end needs no room in the line.

use std::{
    future::ready,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt as _, Stream};
use threefold_proto::{
    chat::{self, server_frame},
    convert::Refusal,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use super::{
    Ending,
    told::{Shared, Told},
};

/// Frames that wait for the socket: enough to fill packets while the other side of the line sleeps.
pub(super) const FRAMES: usize = 256;
/// Bytes of the large ones among them: a connection may have hundreds of streams, and read none.
const LARGE_BYTES: usize = 256 * 1024;
/// From here on a frame is large: with all others small, the line holds as much again.
const LARGE: usize = 1024;
/// How long a client may read nothing. Below a minute, after which load balancers cut the connection too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where frames go. They are boxed in the line, because it keeps room for dozens also where nothing is said, and a frame is large:
/// that would be 8 KiB for each idle stream.
pub(super) struct Outlet {
    frames: mpsc::Sender<Waiting>,
    /// A permit for each byte of large frames that may still come into the line.
    large: Arc<Semaphore>,
    last_word: Arc<OnceLock<Refusal>>,
}

/// A frame in the line.
struct Waiting {
    frame: Told,
    /// Of a large one, until it is out.
    _room: Option<OwnedSemaphorePermit>,
}

/// A frame that there is no room for now, or never more.
enum Unsent {
    Closed,
    Large { frame: Told, bytes: usize },
    Full(Waiting),
}

/// Where they come out.
pub(crate) struct Frames {
    frames: mpsc::Receiver<Waiting>,
    last_word: Arc<OnceLock<Refusal>>,
    ended: bool,
}

pub(super) fn new() -> (Outlet, Frames) {
    let (sender, receiver) = mpsc::channel(FRAMES);
    let last_word = Arc::default();
    let large = Arc::new(Semaphore::new(LARGE_BYTES));
    let outlet = Outlet { frames: sender, large, last_word: Arc::clone(&last_word) };
    (outlet, Frames { frames: receiver, last_word, ended: false })
}

impl Outlet {
    /// Sends a frame, when there is room. There mostly is, so whoever sends keeps no place for what waiting needs.
    pub fn send(&self, frame: server_frame::Frame) -> impl Future<Output = Result<(), Ending>> + Send {
        let bytes = text_bytes(&frame);
        self.send_told(Told::Own(Box::new(chat::ServerFrame { frame: Some(frame) })), bytes)
    }

    /// Sends a frame that others are sent as well.
    pub fn send_shared(&self, shared: Arc<Shared>) -> impl Future<Output = Result<(), Ending>> + Send {
        let bytes = shared.frame().frame.as_ref().map_or(0, text_bytes);
        self.send_told(Told::Shared(shared), bytes)
    }

    fn send_told(&self, frame: Told, bytes: usize) -> impl Future<Output = Result<(), Ending>> + Send {
        match self.send_now(frame, bytes) {
            Ok(()) => ready(Ok(())).left_future(),
            Err(Unsent::Closed) => ready(Err(Ending::Gone)).left_future(),
            Err(Unsent::Large { frame, bytes }) => self.send_large(frame, bytes).boxed().right_future(),
            Err(Unsent::Full(waiting)) => self.wait(waiting).boxed().right_future(),
        }
    }

    fn send_now(&self, frame: Told, bytes: usize) -> Result<(), Unsent> {
        let room = match bytes {
            0..LARGE => None,
            _ => match Arc::clone(&self.large).try_acquire_many_owned(permits(bytes)) {
                Ok(room) => Some(room),
                Err(_) => return Err(Unsent::Large { frame, bytes }),
            },
        };
        self.frames.try_send(Waiting { frame, _room: room }).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => Unsent::Closed,
            mpsc::error::TrySendError::Full(waiting) => Unsent::Full(waiting),
        })
    }

    async fn send_large(&self, frame: Told, bytes: usize) -> Result<(), Ending> {
        let room = self.room(bytes).await?;
        self.wait(Waiting { frame, _room: Some(room) }).await
    }

    async fn wait(&self, waiting: Waiting) -> Result<(), Ending> {
        match timeout(PATIENCE, self.frames.send(waiting)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Gone),
            Err(_) => Err(unread()),
        }
    }

    /// Room for a large frame.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Ending> {
        let room = Arc::clone(&self.large).acquire_many_owned(permits(bytes));
        match timeout(PATIENCE, room).await {
            Ok(room) => room.map_err(|_| Ending::Gone),
            Err(_) => Err(unread()),
        }
    }

    /// Waits until nobody reads any more.
    pub async fn gone(&self) {
        self.frames.closed().await;
    }

    /// What the stream ends with, after what is in line, once this is dropped.
    pub fn end(&self, refusal: Refusal) {
        // The first word stands; there is only one caller.
        let _ = self.last_word.set(refusal);
    }
}

/// Of the room for large frames: one that is larger than all of it takes it all.
fn permits(bytes: usize) -> u32 {
    bytes.min(LARGE_BYTES) as u32
}

fn unread() -> Ending {
    Refusal::Overloaded("the client does not read its stream".into()).into()
}

/// About what a frame weighs, where that is much: only messages have texts, and files with names.
fn text_bytes(frame: &server_frame::Frame) -> usize {
    let server_frame::Frame::Event(chat::Event { body: Some(body), .. }) = frame else { return 0 };
    match body {
        chat::event::Body::Message(message) => {
            let attached = message.attachments.iter().map(|file| file.name.len() + file.content_type.len());
            message.body.len() + attached.sum::<usize>()
        }
        chat::event::Body::MessageEdited(edited) => edited.body.len(),
        _ => 0,
    }
}

impl Stream for Frames {
    type Item = Result<Told, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(Waiting { frame, .. }) = ready!(self.frames.poll_recv(context)) {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.ended = true;
        Poll::Ready(self.last_word.get().cloned().map(Err))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn pong(number: u64) -> server_frame::Frame {
        server_frame::Frame::Pong(chat::Pong { number })
    }

    #[tokio::test]
    async fn the_last_word_comes_last_even_where_the_line_is_full() {
        let (outlet, frames) = new();
        for number in 0..FRAMES as u64 {
            outlet.send(pong(number)).await.unwrap();
        }
        outlet.end(Refusal::CursorInvalid);
        drop(outlet);
        let all: Vec<_> = frames.collect().await;
        assert_eq!(all.len(), FRAMES + 1);
        assert!(matches!(all[FRAMES], Err(Refusal::CursorInvalid)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_let_go() {
        let (outlet, _frames) = new();
        let mut sent = 0;
        let ending = loop {
            match outlet.send(pong(sent)).await {
                Ok(()) => sent += 1,
                Err(ending) => break ending,
            }
        };
        assert_eq!(sent, FRAMES as u64);
        assert!(matches!(ending, Ending::Refused(Refusal::Overloaded(_))));
    }

    fn message(bytes: usize) -> server_frame::Frame {
        let message = chat::Message { body: "x".repeat(bytes), ..chat::Message::default() };
        server_frame::Frame::Event(chat::Event { id: 1, time_ms: 1, body: Some(chat::event::Body::Message(message)) })
    }

    #[tokio::test(start_paused = true)]
    async fn of_large_messages_the_line_holds_a_few() {
        let (outlet, mut frames) = new();
        let bytes = 16 * 1024;
        for _ in 0..LARGE_BYTES / bytes {
            outlet.send(message(bytes)).await.unwrap();
        }
        assert!(timeout(PATIENCE / 2, outlet.send(message(bytes))).await.is_err());
        // A short one still has room; and what was read makes room again.
        outlet.send(pong(1)).await.unwrap();
        frames.next().await.unwrap().unwrap();
        outlet.send(message(bytes)).await.unwrap();
        assert!(matches!(outlet.send(message(bytes)).await, Err(Ending::Refused(Refusal::Overloaded(_)))));
        // One that is larger than all the room comes through alone.
        while frames.next().now_or_never().is_some() {}
        outlet.send(message(2 * LARGE_BYTES)).await.unwrap();
    }

    #[tokio::test]
    async fn who_left_is_noticed() {
        let (outlet, frames) = new();
        drop(frames);
        outlet.gone().await;
        assert!(matches!(outlet.send(pong(1)).await, Err(Ending::Gone)));
    }
}
