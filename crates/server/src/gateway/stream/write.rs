//! The writing half of a stream: writes go into the line in the order they came, and their results come
//! back in that order.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use prost::Message as _;
use threefold_core::{Position, Rejection, Reply, bounds};
use threefold_proto::{
    chat::{self, server_frame},
    convert::{self, FORWARDED_BYTES, Refusal},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep},
};

use super::{Conversation, Ending};
use crate::gateway::{door::Door, grpc::deadline::DEFAULT_PATIENCE, unavailable};

/// Writes of one stream in flight. An instance has at most 64 unanswered; a process may use a few.
pub(super) const IN_FLIGHT: usize = 4 * bounds::REPLIES_PER_INSTANCE as usize;

/// A write whose result is to come; boxed, for the line of them keeps room for dozens on each idle stream.
pub(super) type Pending = Box<Unanswered>;

/// A write that was put in line.
pub(super) struct Unanswered {
    request: Option<chat::RequestId>,
    outcome: BoxFuture<'static, Result<(Reply, Position), Refusal>>,
    /// Given back once the result is sent.
    _permit: OwnedSemaphorePermit,
}

impl<D: Door> Conversation<D> {
    /// Puts a write in line. Waits while too many are in flight, and so stops reading the client.
    pub(super) async fn take(
        &self,
        write: chat::Write,
        pending: &mpsc::UnboundedSender<Pending>,
    ) -> Result<(), Ending> {
        if write.encoded_len() > FORWARDED_BYTES {
            let (bytes, bound) = (write.encoded_len(), bounds::BODY_BYTES);
            let words = format!("a message has at most {bound} bytes of text; this write has {bytes}");
            return Err(Refusal::invalid(words).into());
        }
        self.pace().await;
        let permit = Arc::clone(&self.window).acquire_owned().await.map_err(|_| Ending::Gone)?;
        let request = write.request;
        let outcome = self.enqueue(write).await.unwrap_or_else(|refusal| async { Err(refusal) }.boxed());
        pending.send(Box::new(Unanswered { request, outcome, _permit: permit })).map_err(|_| Ending::Gone)
    }

    /// Waits while the account writes more than it may: its stream is read no further meanwhile, nothing is refused, and the order stays.
    async fn pace(&self) {
        while let Err(wait) = self.gateway.door().count_write(self.caller.counted_as) {
            sleep(wait).await;
        }
    }

    async fn enqueue(
        &self,
        write: chat::Write,
    ) -> Result<BoxFuture<'static, Result<(Reply, Position), Refusal>>, Refusal> {
        let request = convert::request_id(write.request)?;
        let answered = convert::answered(&write);
        let operation = convert::Operation::try_from(write.operation)?;
        let deadline = Instant::now() + DEFAULT_PATIENCE;
        let before = async {
            // All permits but the one this write holds: everything before it is answered. Nobody
            // else takes any meanwhile, for only this loop does.
            let _ = self.window.acquire_many(IN_FLIGHT as u32 - 1).await;
        };
        let completed = self.gateway.complete(&self.caller, request, answered, operation, before, deadline).await?;
        let answer = self.gateway.door().enqueue(&completed.command, deadline).await.map_err(unavailable)?;
        let kind = completed.kind;
        Ok(async move {
            let committed = answer.await.map_err(unavailable)?;
            Ok((kind.settle(committed.reply), committed.position))
        }
        .boxed())
    }

    /// Sends results, in the order of the writes.
    pub(super) async fn answer(&self, mut answers: mpsc::UnboundedReceiver<Pending>) -> Result<(), Ending> {
        while let Some(pending) = answers.recv().await {
            let Unanswered { request, outcome, _permit } = *pending;
            let outcome = outcome.await;
            let session_over = matches!(outcome, Ok((Reply::Rejected(Rejection::SessionInvalid), _)));
            let result = convert::result(request, outcome);
            self.outlet.send(server_frame::Frame::Result(result)).await?;
            if session_over {
                return Err(Refusal::Rejected(Rejection::SessionInvalid).into());
            }
        }
        Ok(())
    }
}
