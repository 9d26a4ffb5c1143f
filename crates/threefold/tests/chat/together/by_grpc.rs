//! The client library, over gRPC.

use std::collections::VecDeque;

use serde_json::Value;
use threefold_client::{
    Client, Cursor, Incoming, Options, Page, Receipt, Subscription, Writer,
    chat::{Message, MessageSent, event::Body},
};
use tokio::runtime::{Builder, Runtime};

use super::{News, ROOM, Seen, Voice};
use crate::harness::PATIENCE;

pub struct Caller {
    runtime: Runtime,
    client: Client,
    writer: Writer,
    subscription: Subscription,
    unanswered: VecDeque<Receipt<MessageSent>>,
    events: Vec<Value>,
    lost: usize,
}

impl Caller {
    /// Registered and in the room, first at this server.
    pub fn join(server: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, writer, subscription) = runtime.block_on(async {
            let mut options = Options::new(threefold_client::parse_servers(server).unwrap());
            options.timeout = PATIENCE;
            let client = Client::new(options).unwrap();
            let session = client.register("grace", "correct horse", "library").await.unwrap();
            let client = client.with_session(session).unwrap();
            let writer = client.writer().unwrap();
            writer.join_room(ROOM).await.unwrap().await.unwrap();
            let subscription = client.subscribe(Cursor::default(), false).unwrap();
            (client, writer, subscription)
        });
        Self { runtime, client, writer, subscription, unanswered: VecDeque::new(), events: Vec::new(), lost: 0 }
    }
}

impl Voice for Caller {
    const AHEAD: usize = 5;

    fn say(&mut self, _number: usize, _answered: usize, text: &str) -> bool {
        self.unanswered.push_back(self.runtime.block_on(self.writer.send(ROOM, text)).unwrap());
        true
    }

    fn hear(&mut self) -> News {
        let Self { runtime, subscription, unanswered, .. } = self;
        let incoming = runtime.block_on(async {
            let Some(first) = unanswered.front_mut() else { return Err(subscription.next().await.unwrap()) };
            tokio::select! {
                biased;
                sent = first => Ok(sent.unwrap()),
                incoming = subscription.next() => Err(incoming.unwrap()),
            }
        });
        match incoming {
            Ok(sent) => {
                self.unanswered.pop_front();
                News::Acknowledged(sent.id)
            }
            Err(Incoming::Event(event)) => {
                super::by_page::remember(&mut self.events, serde_json::to_value(&event).unwrap());
                match event.body {
                    Some(Body::Message(message)) => News::Message(seen(message)),
                    _ => News::Other,
                }
            }
            Err(Incoming::Reconnecting { .. }) => {
                self.lost += 1;
                News::Other
            }
            Err(Incoming::Resynchronise | Incoming::Ended(_)) => panic!("{incoming:?}"),
            Err(_) => News::Other,
        }
    }

    fn reconnect(&mut self, _unanswered: &str) -> Option<u64> {
        unreachable!("the library does")
    }

    fn history(&mut self) -> Vec<Seen> {
        let page = self.runtime.block_on(self.client.consistent_history(ROOM, Page::After(0), 200)).unwrap();
        page.messages.into_iter().map(seen).collect()
    }

    fn events(&self) -> Option<&[Value]> {
        Some(&self.events)
    }

    fn lost(&self) -> usize {
        self.lost
    }
}

fn seen(message: Message) -> Seen {
    Seen { id: Some(message.id), author: message.author_name, body: message.body }
}
