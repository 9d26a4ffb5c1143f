//! Frames on their way out of a stream: a bounded line, and the last word.
//!
//! Promises: what a client does not read costs at most [`FRAMES`] frames; one that reads nothing for
//! [`PATIENCE`] is let go. The reason of an end needs no room in the line.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use threefold_proto::{
    chat::{self, server_frame},
    convert::Refusal,
};
use tokio::{sync::mpsc, time::timeout};

use super::Ending;

/// Frames that wait for the socket: enough to fill packets while the other side of the line sleeps; at worst,
/// full of the largest messages, 4 MiB a stream.
pub(super) const FRAMES: usize = 256;
/// How long a client may read nothing. Below a minute, after which load balancers cut the connection too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where frames go. They are boxed in the line, because it keeps room for dozens also where nothing is said, and a frame is large:
/// that would be 8 KiB for each idle stream.
pub(super) struct Outlet {
    frames: mpsc::Sender<Box<chat::ServerFrame>>,
    last_word: Arc<OnceLock<Refusal>>,
}

/// Where they come out.
pub(crate) struct Frames {
    frames: mpsc::Receiver<Box<chat::ServerFrame>>,
    last_word: Arc<OnceLock<Refusal>>,
    ended: bool,
}

pub(super) fn new() -> (Outlet, Frames) {
    let (sender, receiver) = mpsc::channel(FRAMES);
    let last_word = Arc::default();
    let outlet = Outlet { frames: sender, last_word: Arc::clone(&last_word) };
    (outlet, Frames { frames: receiver, last_word, ended: false })
}

impl Outlet {
    /// Sends a frame, when there is room.
    pub async fn send(&self, frame: server_frame::Frame) -> Result<(), Ending> {
        let frame = Box::new(chat::ServerFrame { frame: Some(frame) });
        let frame = match self.frames.try_send(frame) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Ending::Gone),
            Err(mpsc::error::TrySendError::Full(frame)) => frame,
        };
        match timeout(PATIENCE, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Gone),
            Err(_) => Err(Refusal::Overloaded("the client does not read its stream".into()).into()),
        }
    }

    /// Waits until nobody reads any more.
    pub async fn gone(&self) {
        self.frames.closed().await;
    }

    /// Ends the stream with this, after what is in line.
    pub fn end(self, refusal: Refusal) {
        // The first word stands; there is only one caller.
        let _ = self.last_word.set(refusal);
    }
}

impl Stream for Frames {
    type Item = Result<chat::ServerFrame, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(frame) = ready!(self.frames.poll_recv(context)) {
            return Poll::Ready(Some(Ok(*frame)));
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
        let all: Vec<_> = frames.collect().await;
        assert_eq!(all.len(), FRAMES + 1);
        assert_eq!(all[FRAMES], Err(Refusal::CursorInvalid));
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

    #[tokio::test]
    async fn who_left_is_noticed() {
        let (outlet, frames) = new();
        drop(frames);
        outlet.gone().await;
        assert!(matches!(outlet.send(pong(1)).await, Err(Ending::Gone)));
    }
}
