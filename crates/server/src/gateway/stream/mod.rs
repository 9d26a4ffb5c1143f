//! A conversation with one client over one stream, whatever carries it: writes in; results and events out.
//!
//! Four loops share one task, each woken by itself: one reads the client's frames and puts writes in line, one sends their
//! results in the same order, one follows what the account may see. Promises: writes of a stream are
//! proposed in the order they came; a client that writes too much is read no further, one that does not
//! read costs a bounded amount and is let go after a while; a stream ends with an error that says why.
//! Left out: any buffer of events; a client that returns says where it was.
//!
//! # Writes that are refused here
//! A number the state machine never sees blocks its instance (see [`threefold_proto::convert`]), so
//! content beyond its bounds goes through to be refused there. A write without a request id or an operation is
//! answered here and uses no number up. One too large to pass on ends the stream: the client is broken,
//! and what it has in flight behind that write could not be answered in any useful way.

mod follow;
mod outlet;
mod progress;
#[cfg(test)]
mod tests;
mod told;
mod write;

use std::{pin::pin, sync::Arc};

use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use threefold_proto::{
    chat::{self, client_frame, server_frame},
    convert::Refusal,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub(super) use outlet::Frames;
pub(super) use told::{Told, ToldCodec};

use self::outlet::Outlet;
use super::{Caller, Gateway, door::Door};
use crate::node::{Condition, Word};

/// Streams of one server at once: twice its connections, so that a few clients cannot exhaust it alone
/// by mistake, and each costs a task.
pub(super) const STREAMS: usize = 40_000;

/// Why a stream ends.
#[derive(Debug)]
enum Ending {
    /// The client hears this last.
    Refused(Refusal),
    /// Nobody hears anything.
    Gone,
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One client's stream.
struct Conversation<D> {
    gateway: Gateway<D>,
    caller: Caller,
    outlet: Outlet,
    /// Writes in flight hold a permit each.
    window: Arc<Semaphore>,
}

impl<D: Door> Gateway<D> {
    /// Converses with a client until either side ends it.
    ///
    /// # Errors
    /// When there are too many streams.
    pub(super) fn converse(
        &self,
        caller: Caller,
        incoming: impl Stream<Item = Result<chat::ClientFrame, Refusal>> + Send + 'static,
    ) -> Result<Frames, Refusal> {
        let Ok(place) = Arc::clone(&self.shared.streams).try_acquire_owned() else {
            return Err(Refusal::Overloaded("too many streams at this server".into()));
        };
        let (outlet, frames) = outlet::new();
        let window = Arc::new(Semaphore::new(write::IN_FLIGHT));
        let conversation = Conversation { gateway: self.clone(), caller, outlet, window };
        tokio::spawn(conversation.run(incoming, place));
        Ok(frames)
    }
}

impl<D: Door> Conversation<D> {
    async fn run(
        self,
        incoming: impl Stream<Item = Result<chat::ClientFrame, Refusal>> + Send,
        _place: OwnedSemaphorePermit,
    ) {
        // Unbounded in type only: every entry holds a permit of the window.
        let (pending, answers) = mpsc::unbounded_channel();
        let (subscribe, subscriptions) = mpsc::channel(1);
        // Each by itself: what wakes one has no other looked at, and a stream is woken several times for each message.
        let parts: [BoxFuture<'_, Result<(), Ending>>; 4] = [
            self.read(incoming, pending, subscribe).boxed(),
            self.answer(answers).boxed(),
            self.follow(subscriptions).boxed(),
            self.around().boxed(),
        ];
        let mut parts = FuturesUnordered::from_iter(parts);
        let ended = loop {
            match parts.next().await {
                Some(Err(ending)) => break Err(ending),
                // What is around a stream has no end of its own.
                Some(Ok(())) if parts.len() > 1 => {}
                Some(Ok(())) | None => break Ok(()),
            }
        };
        drop(parts);
        match ended {
            Ok(()) | Err(Ending::Gone) => {}
            Err(Ending::Refused(refusal)) => self.outlet.end(refusal),
        }
    }

    /// Waits for what ends a stream from outside; meanwhile tells how the cluster is.
    async fn around(&self) -> Result<(), Ending> {
        tokio::select! {
            biased;
            ended = self.tell_condition() => ended,
            () = self.gateway.closed() => Err(Refusal::unavailable("this server is stopping").into()),
            why = self.gateway.retired() => Err(Refusal::unavailable(why).into()),
            () = self.outlet.gone() => Err(Ending::Gone),
        }
    }

    /// Tells the cluster's condition whenever it changes, so that a client can say why nothing moves.
    async fn tell_condition(&self) -> Result<(), Ending> {
        let mut conditions = self.gateway.door().condition();
        let mut told = Word::Normal.word().to_owned();
        loop {
            let Condition { word, detail } = conditions.borrow_and_update().clone();
            // Details matter to those who wait; to others the word is enough.
            if told != word.word() || word == Word::Frozen {
                told = word.word().to_owned();
                let condition = chat::Condition { state: told.clone(), detail };
                self.outlet.send(server_frame::Frame::Condition(condition)).await?;
            }
            if conditions.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Reads until the client has said everything. Its subscription goes on after that.
    async fn read(
        &self,
        incoming: impl Stream<Item = Result<chat::ClientFrame, Refusal>>,
        pending: mpsc::UnboundedSender<write::Pending>,
        subscribe: mpsc::Sender<Box<chat::Subscribe>>,
    ) -> Result<(), Ending> {
        let mut incoming = pin!(incoming);
        while let Some(frame) = incoming.next().await {
            match frame?.frame {
                Some(client_frame::Frame::Subscribe(wanted)) => {
                    subscribe.send(Box::new(wanted)).await.map_err(|_| Ending::Gone)?;
                }
                // Boxed: most streams write seldom, and would be half as large again for it.
                Some(client_frame::Frame::Write(write)) => Box::pin(self.take(write, &pending)).await?,
                Some(client_frame::Frame::Ping(chat::Ping { number })) => {
                    self.outlet.send(server_frame::Frame::Pong(chat::Pong { number })).await?;
                }
                Some(client_frame::Frame::Typing(typing)) => self.gateway.tell_typing(&self.caller, typing)?,
                None => return Err(Refusal::invalid("a frame of a kind that this server does not know").into()),
            }
        }
        Ok(())
    }
}
