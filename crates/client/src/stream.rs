//! Opening a bidirectional stream at some server. Used by the writer and by the subscription.

use std::time::Duration;

use threefold_proto::chat::{ClientFrame, Ping, ServerFrame, chat_client::ChatClient, client_frame::Frame};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{Client, route::Route, verdict::Verdict};

/// After this long without a frame from the server it is asked for a sign of life...
pub(crate) const PING_AFTER: Duration = Duration::from_secs(1);
/// ...and after this long the stream is given up.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);
/// Frames on their way to the server: a window of writes (each is repeated only after its answer) and some pings.
const OUTBOUND: usize = 80;

/// A stream at one server.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) server: String,
    pub(crate) outbound: mpsc::Sender<ClientFrame>,
    pub(crate) inbound: Streaming<ServerFrame>,
}

impl Stream {
    /// Puts a frame on the stream; false if the stream does not take it.
    pub(crate) fn put(&self, frame: Frame) -> bool {
        self.outbound.try_send(ClientFrame { frame: Some(frame) }).is_ok()
    }

    pub(crate) fn ping(&self) -> bool {
        self.put(Frame::Ping(Ping { number: 0 }))
    }
}

/// Opens a stream with the next server of the route, which it names also when it fails. `first` goes out at once.
pub(crate) async fn open(
    client: &Client,
    route: &mut Route,
    first: Option<Frame>,
) -> Result<Stream, (String, Verdict)> {
    let Some(server) = route.next(&client.pool.servers) else {
        let cause = "no server is known".to_owned();
        return Err((String::new(), Verdict::Unavailable { cause, broken: false }));
    };
    let opening = tokio::time::timeout(SILENCE, open_at(client, &server, first));
    let result = opening
        .await
        .unwrap_or_else(|_| Err(Verdict::Unavailable { cause: "no answer in time".to_owned(), broken: true }));
    result.map_err(|verdict| {
        if matches!(verdict, Verdict::Unavailable { broken: true, .. }) {
            client.pool.forget(&server);
        }
        (server, verdict)
    })
}

async fn open_at(client: &Client, server: &str, first: Option<Frame>) -> Result<Stream, Verdict> {
    let channel = client.pool.channel(server).await?;
    let (outbound, frames) = mpsc::channel(OUTBOUND);
    if let Some(first) = first {
        // There is room: the channel is new.
        let _ = outbound.try_send(ClientFrame { frame: Some(first) });
    }
    let request = client.request(ReceiverStream::new(frames));
    let response = ChatClient::new(channel).converse(request).await.map_err(|status| Verdict::of(&status))?;
    Ok(Stream { server: server.to_owned(), outbound, inbound: response.into_inner() })
}
