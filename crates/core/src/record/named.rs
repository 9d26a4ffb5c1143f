//! The named requests of one account: what makes a retry harmless for a client that keeps nothing but a name.
//!
//! It promises: of the last [`NAMED_REQUESTS`] names a retry gets the first reply, by whichever session it comes. It is
//! written with every named write, so it is one flat record like a window: a CBOR sequence of triples (name, fingerprint,
//! reply) that grows at its end and is cut at its front. A retry does not make a name younger: it would write.

use minicbor::{Decode, Decoder, Encode};

use super::{Record, window::fingerprint};
use crate::{
    bounds::NAMED_REQUESTS,
    command::Operation,
    entry,
    ids::RequestName,
    record::Recall,
    reply::{Rejection, Reply},
    store::StoreError,
};

/// What an account has asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NamedRequestsRecord {
    /// How many are kept.
    #[n(0)]
    count: u64,
    /// Triples of name, fingerprint and reply, oldest first.
    #[cbor(n(1), with = "minicbor::bytes")]
    requests: Vec<u8>,
    /// How many there were, those that are forgotten included; none: that is not counted.
    #[n(2)]
    counted: Option<u64>,
}

impl Record for NamedRequestsRecord {
    const NAME: &'static str = "named requests";

    fn size_hint(&self) -> usize {
        64 + self.requests.len()
    }
}

impl NamedRequestsRecord {
    /// Whether the request of that name with that content is to run.
    pub(crate) fn recall(&self, name: RequestName, operation: &Operation) -> Result<Recall, StoreError> {
        let mut decoder = Decoder::new(&self.requests);
        while decoder.position() < self.requests.len() {
            if read_name(&mut decoder)? != name {
                skip_rest(&mut decoder)?;
                continue;
            }
            let kept = decoder.u64().map_err(corrupt)?;
            let reply = decoder.decode::<Reply>().map_err(corrupt)?;
            let same = kept == fingerprint(operation);
            return Ok(if same { Recall::Ran(reply) } else { Recall::Refused(Rejection::RequestMismatch) });
        }
        Ok(Recall::Due)
    }

    /// How many names there were so far.
    pub(crate) fn counted(&self) -> u64 {
        self.counted.unwrap_or(self.count)
    }

    /// Whether a name that was new when so many were counted would be known if it had been used since.
    pub(crate) fn would_know(&self, counted: u64) -> bool {
        self.counted() <= counted.saturating_add(NAMED_REQUESTS)
    }

    /// Counts from now on.
    pub(crate) fn count(&mut self) {
        self.counted = Some(self.counted());
    }

    /// Keeps the outcome of a request that was due, in the place of the oldest one if there are enough.
    pub(crate) fn remember(
        &mut self,
        name: RequestName,
        operation: &Operation,
        reply: &Reply,
    ) -> Result<(), StoreError> {
        while self.count >= NAMED_REQUESTS {
            let mut decoder = Decoder::new(&self.requests);
            read_name(&mut decoder)?;
            skip_rest(&mut decoder)?;
            let cut = decoder.position();
            self.requests.drain(..cut);
            self.count -= 1;
        }
        entry::encode_into(&(name, fingerprint(operation), reply), &mut self.requests);
        self.count += 1;
        self.counted = self.counted.map(|counted| counted.saturating_add(1));
        Ok(())
    }
}

fn read_name(decoder: &mut Decoder<'_>) -> Result<RequestName, StoreError> {
    match decoder.array().map_err(corrupt)? {
        Some(3) => decoder.decode().map_err(corrupt),
        other => Err(StoreError::Corrupt(format!("named requests: a triple of length {other:?}"))),
    }
}

fn skip_rest(decoder: &mut Decoder<'_>) -> Result<(), StoreError> {
    decoder.skip().and_then(|()| decoder.skip()).map_err(corrupt)
}

fn corrupt(error: minicbor::decode::Error) -> StoreError {
    StoreError::Corrupt(format!("named requests: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationId, EventId};

    fn operation(number: u64) -> Operation {
        Operation::MarkDelivered { up_to: EventId(number) }
    }

    fn name(number: u64) -> RequestName {
        RequestName::of(number.to_string())
    }

    fn after(count: u64) -> NamedRequestsRecord {
        let mut named = NamedRequestsRecord::default();
        for number in 1..=count {
            assert_eq!(named.recall(name(number), &operation(number)).unwrap(), Recall::Due);
            named.remember(name(number), &operation(number), &Reply::InstanceOpened { instance: number }).unwrap();
        }
        named
    }

    #[test]
    fn exactly_the_last_names_are_kept() {
        let named = after(200);
        for number in 1..=200 {
            let expected = match number {
                137.. => Recall::Ran(Reply::InstanceOpened { instance: number }),
                _ => Recall::Due,
            };
            assert_eq!(named.recall(name(number), &operation(number)).unwrap(), expected, "number {number}");
        }
        let other = named.recall(name(200), &operation(1)).unwrap();
        assert_eq!(other, Recall::Refused(Rejection::RequestMismatch));
    }

    #[test]
    fn damaged_requests_are_corrupt_and_not_a_panic() {
        let mut named = after(NAMED_REQUESTS);
        named.requests.truncate(5);
        assert!(named.recall(name(1), &operation(1)).is_err());
        assert!(named.remember(name(0), &operation(0), &Reply::Done).is_err());
        named.requests.clear();
        assert!(named.remember(name(0), &operation(0), &Reply::Done).is_err());
        named = NamedRequestsRecord { count: u64::MAX, requests: vec![0x82], counted: Some(u64::MAX) };
        assert!(named.recall(name(1), &operation(1)).is_err());
        assert!(named.remember(name(0), &operation(0), &Reply::Done).is_err());
    }

    #[test]
    fn a_full_record_of_sent_messages_stays_small() {
        let mut named = NamedRequestsRecord::default();
        let big = 1 << 52;
        for number in 1..=100 {
            let (conversation, event) = (ConversationId(big), EventId(big + number));
            named
                .remember(name(number), &operation(number), &Reply::MessageSent { conversation, event, time_ms: big })
                .unwrap();
        }
        assert!(super::super::encode(&named).len() < 4 * 1024);
    }
}
