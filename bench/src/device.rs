//! What scenarios do as users: accounts, devices that write and receive on one stream, and reads.

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::HeaderValue;
use rand::Rng as _;
use threefold_proto::chat::{self, client_frame, event, recipient, server_frame, write, write_result};

use crate::grpc::{Connection, Incoming, Outgoing, encode};

/// Live instances of one session, and so writers of one account: the servers keep no more.
pub const WRITERS_PER_ACCOUNT: usize = 16;
/// Writes that one instance may have unanswered.
pub const UNANSWERED: usize = 64;
/// Registrations at once: each costs a server a password hash, tens of milliseconds of a processor.
const REGISTRATIONS: usize = 4;
/// Everybody's.
pub const PASSWORD: &str = "a password for benches";

/// A method of the chat service.
pub fn method(name: &str) -> String {
    format!("/threefold.chat.v1.Chat/{name}")
}

/// An account with one session.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// What authenticates its session.
    pub token: HeaderValue,
    /// The instance that came with the session.
    pub instance: u64,
    /// Where a subscription begins that wants nothing of the past.
    pub position: u64,
}

impl Account {
    /// Registers an account with a random name.
    ///
    /// # Errors
    /// When the server refuses or is lost.
    pub async fn register(connection: &Connection) -> anyhow::Result<Self> {
        let secret: [u8; 32] = rand::random();
        let request = chat::RegisterRequest {
            name: format!("bench-{:012x}", rand::rng().random::<u64>() >> 16),
            password: PASSWORD.to_owned(),
            token: secret.to_vec().into(),
            device: "bench".to_owned(),
        };
        let reply: chat::SessionReply = connection.call(&method("Register"), None, &request).await?;
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = HeaderValue::try_from(format!("Bearer {digits}"))?;
        Ok(Self { name: reply.name, token, instance: reply.instance, position: reply.position })
    }

    /// Registers so many accounts, spread over the connections.
    ///
    /// # Errors
    /// When a server refuses or is lost.
    pub async fn register_many(connections: &[Connection], count: usize) -> anyhow::Result<Vec<Self>> {
        let places = (0..count).map(|n| &connections[n % connections.len()]);
        stream::iter(places).map(Self::register).buffered(REGISTRATIONS).try_collect().await
    }

    /// A further instance of its session.
    ///
    /// # Errors
    /// When the server refuses or is lost.
    pub async fn open_instance(&self, connection: &Connection) -> anyhow::Result<u64> {
        let request = chat::OpenInstanceRequest { nonce: rand::random() };
        let reply: chat::OpenInstanceReply =
            connection.call(&method("OpenInstance"), Some(&self.token), &request).await?;
        Ok(reply.instance)
    }

    /// A call in this session's name.
    ///
    /// # Errors
    /// When the server refuses or is lost.
    pub async fn call<Q, A>(&self, connection: &Connection, name: &str, question: &Q) -> anyhow::Result<A>
    where
        Q: prost::Message,
        A: prost::Message + Default,
    {
        connection.call(&method(name), Some(&self.token), question).await
    }
}

/// A direct conversation's other side.
pub fn to(name: &str) -> chat::Recipient {
    chat::Recipient { to: Some(recipient::To::User(name.to_owned())) }
}

/// One device's stream.
pub struct Device {
    outgoing: Outgoing,
    incoming: Incoming,
    buffer: BytesMut,
    instance: u64,
    /// The number of the last write.
    number: u64,
    unanswered: VecDeque<u64>,
}

/// What a device hears.
#[derive(Debug)]
pub enum Heard {
    /// The oldest unanswered write was accepted.
    Accepted,
    /// A message, for subscribers.
    Message(Box<chat::Message>),
    /// The subscription has begun.
    Subscribed,
}

impl Device {
    /// Opens the stream of an account's device, which writes as `instance`.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn open(connection: &Connection, account: &Account, instance: u64) -> anyhow::Result<Self> {
        let (outgoing, incoming) = connection.stream(&method("Converse"), Some(&account.token)).await?;
        let (buffer, unanswered) = (BytesMut::new(), VecDeque::new());
        Ok(Self { outgoing, incoming, buffer, instance, number: 0, unanswered })
    }

    /// Opens a stream that goes on where another one of the same instance ended: after so many writes that were accepted.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn resume(
        connection: &Connection,
        account: &Account,
        instance: u64,
        accepted: u64,
    ) -> anyhow::Result<Self> {
        Ok(Self { number: accepted, ..Self::open(connection, account, instance).await? })
    }

    /// Subscribes to everything after a position, and waits until that has begun.
    ///
    /// # Errors
    /// When the stream ends.
    pub async fn subscribe(&mut self, after: u64) -> anyhow::Result<()> {
        let subscribe = chat::Subscribe { after, ..chat::Subscribe::default() };
        self.put(client_frame::Frame::Subscribe(subscribe))?;
        self.flush()?;
        while !matches!(self.hear().await?, Heard::Subscribed) {}
        Ok(())
    }

    /// Puts a message into the buffer of what is to be sent; gives its number.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn put_message(&mut self, to: &chat::Recipient, body: String) -> anyhow::Result<u64> {
        self.number += 1;
        let request = chat::RequestId { instance: self.instance, number: self.number };
        let send = chat::SendMessage { to: Some(to.clone()), body, ..chat::SendMessage::default() };
        let operation = Some(write::Operation::Send(send));
        // They are answered in order.
        let answered = self.unanswered.front().unwrap_or(&self.number) - 1;
        self.put(client_frame::Frame::Write(chat::Write { request: Some(request), operation, answered }))?;
        self.unanswered.push_back(self.number);
        Ok(self.number)
    }

    fn put(&mut self, frame: client_frame::Frame) -> anyhow::Result<()> {
        encode(&chat::ClientFrame { frame: Some(frame) }, &mut self.buffer)
    }

    /// Sends what was put into the buffer.
    ///
    /// # Errors
    /// When the stream is over.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.outgoing.send(self.buffer.split().freeze()) }
    }

    /// The number of the last write.
    pub fn written(&self) -> u64 {
        self.number
    }

    /// Writes without an answer.
    pub fn in_flight(&self) -> usize {
        self.unanswered.len()
    }

    /// Waits for the next thing worth telling. May be dropped while it waits.
    ///
    /// # Errors
    /// When the stream ends or a write is refused.
    pub async fn hear(&mut self) -> anyhow::Result<Heard> {
        loop {
            let frame: chat::ServerFrame = self.incoming.next().await?.context("the server ended the stream")?;
            if let Some(heard) = self.understand(frame)? {
                return Ok(heard);
            }
        }
    }

    /// What has arrived already, without waiting.
    ///
    /// # Errors
    /// When a write is refused.
    pub fn heard_already(&mut self) -> anyhow::Result<Option<Heard>> {
        while let Some(frame) = self.incoming.next_buffered::<chat::ServerFrame>()? {
            if let Some(heard) = self.understand(frame)? {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    fn understand(&mut self, frame: chat::ServerFrame) -> anyhow::Result<Option<Heard>> {
        match frame.frame {
            Some(server_frame::Frame::Result(result)) => {
                let due = self.unanswered.pop_front().context("an answer to nothing")?;
                match result.result {
                    Some(write_result::Result::Sent(_)) => {}
                    other => bail!("write {due} was not accepted: {other:?}"),
                }
                if result.request.is_none_or(|request| request.number != due) {
                    bail!("an answer to {:?}, not to write {due}", result.request);
                }
                Ok(Some(Heard::Accepted))
            }
            Some(server_frame::Frame::Event(chat::Event { body: Some(event::Body::Message(message)), .. })) => {
                Ok(Some(Heard::Message(Box::new(message))))
            }
            Some(server_frame::Frame::Subscribed(_)) => Ok(Some(Heard::Subscribed)),
            _ => Ok(None),
        }
    }
}

/// A text of so many bytes that begins with a number; longer where the number needs more.
pub fn numbered(number: u64, bytes: usize) -> String {
    let mut text = format!("{number} ");
    text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
    text
}

/// The number with which a text of [`numbered`] begins.
pub fn number_of(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_text_has_its_length_and_its_number() {
        assert_eq!(numbered(42, 200).len(), 200);
        assert_eq!(number_of(&numbered(42, 200)), Some(42));
        assert_eq!(number_of(&numbered(123_456, 3)), Some(123_456));
        assert_eq!(number_of("hello"), None);
        assert_eq!(number_of(""), None);
    }
}
