//! The whole state for an operator, as a stream: this server's side of a backup.
//!
//! Promises: what is sent is the state as of one position, and everything that anybody had acknowledged before the call is in it; a stream
//! that was cut short ends without its total. One at a time, read as fast as it is taken and no faster: in memory are a few chunks, and
//! who takes nothing for long is left, for a view of the state keeps the disk from giving back what is overwritten meanwhile.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use threefold_core::store::StoreError;
use threefold_proto::peer;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    ambient,
    node::Node,
    raft::{
        machine,
        network::{CHUNKS_AHEAD, send_chunks},
    },
    storage::{StateSnapshot, StateStore},
};

/// A leader confirms how far everything is, and this server gets there, within this; else another server may do better.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(5);
/// Who takes no chunk for so long has gone, or its disk has.
const STALL_PATIENCE: Duration = Duration::from_secs(60);

/// What the stream of a backup is.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<peer::BackupChunk, Status>> + Send>>;

/// Gives backups of this server's state.
pub(super) struct Backups {
    node: Node,
    state: Arc<dyn StateStore>,
    name: String,
    /// One at a time: each keeps what is overwritten meanwhile on the disk.
    turn: Arc<Semaphore>,
}

impl Backups {
    /// Of the server called `name`.
    pub(super) fn new(node: Node, state: Arc<dyn StateStore>, name: String) -> Self {
        Self { node, state, name, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Begins one.
    pub(super) async fn begin(&self) -> Result<Chunks, Status> {
        let turn = self.turn.clone().try_acquire_owned();
        let turn = turn.map_err(|_| Status::resource_exhausted("it is giving a backup already"))?;
        let confirmed = self.node.wait_consistent(Instant::now() + CONFIRM_PATIENCE).await;
        confirmed.map_err(|error| Status::unavailable(error.to_string()))?;
        let state = self.state.clone();
        let viewed = ambient::blocking(move || view(&*state)).await.and_then(|viewed| viewed);
        let (view, mut header) = viewed.map_err(|error| Status::internal(error.to_string()))?;
        header.server.clone_from(&self.name);
        tracing::info!(last_log_id = ?header.snapshot.as_ref().and_then(|snapshot| snapshot.last_log_id), "giving a backup");
        let (read, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (send, outgoing) = mpsc::channel(1);
        let reading = tokio::spawn(send_chunks(view, None, read));
        tokio::spawn(async move {
            // Held until the view is let go.
            let _turn = turn;
            pass_on(header, chunks, send).await;
            match reading.await {
                Ok(Ok(())) => tracing::info!("the backup has ended"),
                Ok(Err(error)) => tracing::error!(%error, "the state cannot be read for a backup"),
                Err(error) => tracing::error!(%error, "a backup was cut short"),
            }
        });
        Ok(Box::pin(ReceiverStream::new(outgoing)))
    }
}

/// A view of the state, and what is said of it.
fn view(state: &dyn StateStore) -> std::io::Result<(Arc<dyn StateSnapshot>, peer::BackupHeader)> {
    let view: Arc<dyn StateSnapshot> = state.snapshot()?.into();
    let described: Result<_, StoreError> = machine::described(&*view);
    let (recovery_id, snapshot) = described.map_err(std::io::Error::other)?;
    let header = peer::BackupHeader {
        recovery_id: recovery_id.into(),
        snapshot: Some(snapshot),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        about_bytes: view.about_bytes(),
        ..peer::BackupHeader::default()
    };
    Ok((view, header))
}

/// Hands the chunks on while somebody takes them. Returning ends the reading.
async fn pass_on(
    header: peer::BackupHeader,
    mut chunks: mpsc::Receiver<peer::SnapshotChunk>,
    send: mpsc::Sender<Result<peer::BackupChunk, Status>>,
) {
    let mut next = peer::BackupChunk { header: Some(header), chunk: None };
    loop {
        match timeout(STALL_PATIENCE, send.send(Ok(next))).await {
            Ok(Ok(())) => {}
            // Nobody is there any more.
            Ok(Err(_)) => return,
            Err(_) => return tracing::warn!("the backup was given up: nobody takes it"),
        }
        let Some(chunk) = chunks.recv().await else { return };
        next = peer::BackupChunk { header: None, chunk: Some(chunk) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(total: Option<u64>) -> peer::SnapshotChunk {
        peer::SnapshotChunk { total, ..peer::SnapshotChunk::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_left() {
        let (read, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (send, mut outgoing) = mpsc::channel(1);
        let start = Instant::now();
        let passing = tokio::spawn(pass_on(peer::BackupHeader::default(), chunks, send));
        read.send(chunk(None)).await.unwrap();
        passing.await.unwrap();
        assert_eq!(start.elapsed(), STALL_PATIENCE);
        assert!(read.send(chunk(None)).await.is_err(), "the reading ends");
        assert!(outgoing.recv().await.unwrap().unwrap().header.is_some());
        assert!(outgoing.recv().await.is_none(), "without a total");
    }

    #[tokio::test]
    async fn the_header_comes_first_and_then_every_chunk() {
        let (read, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (send, mut outgoing) = mpsc::channel(1);
        tokio::spawn(pass_on(peer::BackupHeader::default(), chunks, send));
        for total in [None, None, Some(7)] {
            read.send(chunk(total)).await.unwrap();
        }
        drop(read);
        assert!(outgoing.recv().await.unwrap().unwrap().header.is_some());
        let mut totals = Vec::new();
        while let Some(Ok(next)) = outgoing.recv().await {
            totals.push(next.chunk.unwrap().total);
        }
        assert_eq!(totals, [None, None, Some(7)]);
    }
}
