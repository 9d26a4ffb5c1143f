//! The window of replies of one instance: what makes a retry harmless.
//!
//! It promises: a number runs once, in order; for the last [`REPLIES_PER_INSTANCE`] numbers a retry gets
//! the first reply, unless the client has said that it was answered. It is written with every write of a session,
//! so it is one flat record: the replies are a CBOR sequence of pairs (fingerprint, reply) that grows at its end
//! and is cut at its front, never taken apart.

use std::convert::Infallible;

use minicbor::{Decode, Decoder, Encode};
use sha2::Digest as _;

use super::Record;
use crate::{
    bounds::REPLIES_PER_INSTANCE,
    command::Operation,
    entry,
    ids::Position,
    reply::{Rejection, Reply},
    store::StoreError,
};

/// One instance of a session.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WindowRecord {
    /// Of the command that opened it; none for the one that came with the log-in.
    #[n(0)]
    pub(crate) nonce: Option<u64>,
    /// The last number that ran.
    #[n(1)]
    pub(crate) last_number: u64,
    /// The command that used it last: the least recently used instance is evicted.
    #[n(2)]
    pub(crate) last_used: Position,
    /// Pairs of fingerprint and reply, oldest first.
    #[cbor(n(3), with = "minicbor::bytes")]
    replies: Vec<u8>,
    /// The number of the first reply kept, where the client has said that those before it are answered. None: as many
    /// are kept as may be.
    #[n(4)]
    first_kept: Option<u64>,
}

impl Record for WindowRecord {
    const NAME: &'static str = "window";
    /// Version 1 always began with the oldest reply allowed; who knows only that must not read on.
    const VERSION: u8 = 2;

    fn size_hint(&self) -> usize {
        64 + self.replies.len()
    }
}

/// What a window says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recall {
    /// It is due: run it.
    Due,
    /// It ran before, with this outcome.
    Ran(Reply),
    /// It must not run.
    Refused(Rejection),
}

impl WindowRecord {
    /// A new instance.
    pub(crate) fn new(nonce: Option<u64>, opened: Position) -> Self {
        Self { nonce, last_number: 0, last_used: opened, replies: Vec::new(), first_kept: None }
    }

    /// Whether request `number` with that content is to run.
    pub(crate) fn recall(&self, number: u64, operation: &Operation) -> Result<Recall, StoreError> {
        let due = self.last_number.saturating_add(1);
        if number == 0 {
            return Ok(Recall::Refused(Rejection::Invalid("request numbers count from 1".to_owned())));
        }
        if number >= due {
            let refused = Recall::Refused(Rejection::OutOfOrder { expected: due });
            return Ok(if number == due { Recall::Due } else { refused });
        }
        let oldest = self.oldest();
        if number < oldest {
            return Ok(Recall::Refused(Rejection::ReplyForgotten));
        }
        let mut decoder = Decoder::new(&self.replies);
        for _ in oldest..number {
            skip_pair(&mut decoder)?;
        }
        let (kept, reply) = decoder.decode::<(u64, Reply)>().map_err(corrupt)?;
        Ok(if kept == fingerprint(operation) {
            Recall::Ran(reply)
        } else {
            Recall::Refused(Rejection::RequestMismatch)
        })
    }

    /// Keeps the outcome of the request that was due. Up to `answered` nobody will ask again; of the request itself
    /// that is never believed.
    pub(crate) fn remember(
        &mut self,
        operation: &Operation,
        reply: &Reply,
        used: Position,
        answered: u64,
    ) -> Result<(), StoreError> {
        let number = self.last_number.saturating_add(1);
        let bound = oldest_allowed(number);
        let oldest = bound.max(self.oldest()).max(answered.min(self.last_number).saturating_add(1));
        self.forget_before(oldest)?;
        self.first_kept = (oldest > bound).then_some(oldest);
        entry::encode_into(&(fingerprint(operation), reply), &mut self.replies);
        self.last_number = number;
        self.last_used = used;
        Ok(())
    }

    /// The number of the oldest reply kept.
    fn oldest(&self) -> u64 {
        oldest_allowed(self.last_number).max(self.first_kept.unwrap_or(0))
    }

    fn forget_before(&mut self, number: u64) -> Result<(), StoreError> {
        if number > self.last_number {
            self.replies.clear();
            return Ok(());
        }
        let mut decoder = Decoder::new(&self.replies);
        for _ in self.oldest()..number {
            skip_pair(&mut decoder)?;
        }
        let cut = decoder.position();
        self.replies.drain(..cut);
        Ok(())
    }
}

/// The oldest number whose reply may still be kept after `last`.
fn oldest_allowed(last: u64) -> u64 {
    last.saturating_sub(REPLIES_PER_INSTANCE) + 1
}

/// Tells requests apart that bear the same number. Eight bytes suffice: a collision can only be made by the
/// session itself, and fools nobody but it.
pub(super) fn fingerprint(operation: &Operation) -> u64 {
    let mut hasher = Hasher(sha2::Sha256::new());
    entry::encode_into(operation, &mut hasher);
    let digest: [u8; 32] = hasher.0.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// Hashes what is encoded, as it is encoded.
struct Hasher(sha2::Sha256);

impl minicbor::encode::Write for Hasher {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.update(bytes);
        Ok(())
    }
}

fn skip_pair(decoder: &mut Decoder<'_>) -> Result<(), StoreError> {
    decoder.skip().map_err(corrupt)
}

fn corrupt(error: minicbor::decode::Error) -> StoreError {
    StoreError::Corrupt(format!("window: replies: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    fn operation(number: u64) -> Operation {
        Operation::MarkDelivered { up_to: EventId(number) }
    }

    fn reply(number: u64) -> Reply {
        Reply::InstanceOpened { instance: number }
    }

    fn window(last_number: u64) -> WindowRecord {
        let mut window = WindowRecord::new(None, Position(1));
        for number in 1..=last_number {
            assert_eq!(window.recall(number, &operation(number)).unwrap(), Recall::Due);
            window.remember(&operation(number), &reply(number), Position(number), 0).unwrap();
        }
        window
    }

    #[test]
    fn exactly_the_last_replies_are_kept() {
        let window = window(200);
        for number in 1..=200 {
            let expected = match number {
                137.. => Recall::Ran(reply(number)),
                _ => Recall::Refused(Rejection::ReplyForgotten),
            };
            assert_eq!(window.recall(number, &operation(number)).unwrap(), expected, "number {number}");
        }
        assert_eq!(window.last_used, Position(200));
    }

    #[test]
    fn what_was_answered_is_dropped_and_nothing_that_may_still_be_asked() {
        let mut window = WindowRecord::new(None, Position(1));
        let mut remember = |number, answered| {
            window.remember(&operation(number), &reply(number), Position(number), answered).unwrap();
            let of = |asked| window.recall(asked, &operation(asked)).unwrap();
            let kept = (1..=number).filter(|asked| of(*asked) == Recall::Ran(reply(*asked)));
            let (kept, forgotten) = (kept.collect::<Vec<_>>(), Recall::Refused(Rejection::ReplyForgotten));
            assert!((1..=number).all(|asked| kept.contains(&asked) || of(asked) == forgotten));
            kept
        };
        assert_eq!(remember(1, 0), [1]);
        assert_eq!(remember(2, 0), [1, 2]);
        assert_eq!(remember(3, 1), [2, 3]);
        // Who says less, or nothing, takes nothing back.
        assert_eq!(remember(4, 0), [2, 3, 4]);
        assert_eq!(remember(5, 4), [5]);
        // Of itself and of what comes no request can say that it was answered.
        assert_eq!(remember(6, 6), [6]);
        assert_eq!(remember(7, u64::MAX), [7]);
        for number in 8..71 {
            assert_eq!(remember(number, 0).len() as u64, number - 6);
        }
        assert_eq!(remember(71, 0), (8..=71).collect::<Vec<_>>());
    }

    #[test]
    fn a_window_that_drops_what_was_answered_stays_tiny() {
        let mut window = WindowRecord::new(None, Position(1));
        for number in 1..=100 {
            window.remember(&operation(number), &reply(number), Position(number), number - 1).unwrap();
        }
        assert!(super::super::encode(&window).len() < 48);
    }

    #[test]
    fn other_content_gaps_and_zero_are_refused() {
        let window = window(3);
        let recall = |number, content| window.recall(number, &operation(content)).unwrap();
        assert_eq!(recall(2, 7), Recall::Refused(Rejection::RequestMismatch));
        assert_eq!(recall(5, 5), Recall::Refused(Rejection::OutOfOrder { expected: 4 }));
        assert_eq!(recall(u64::MAX, 5), Recall::Refused(Rejection::OutOfOrder { expected: 4 }));
        assert!(matches!(recall(0, 0), Recall::Refused(Rejection::Invalid(_))));
    }

    #[test]
    fn damaged_replies_are_corrupt_and_not_a_panic() {
        let mut window = window(64);
        window.replies.truncate(5);
        assert!(window.recall(64, &operation(64)).is_err());
        window.replies = vec![0x82];
        assert!(window.remember(&operation(65), &reply(65), Position(65), 0).is_err());
    }

    #[test]
    fn a_full_window_of_sent_messages_stays_small() {
        let mut window = WindowRecord::new(Some(u64::MAX), Position(1));
        let big = 1 << 52;
        for number in 1..=100 {
            let reply = Reply::MessageSent {
                conversation: crate::ids::ConversationId(big),
                event: EventId(big + number),
                time_ms: big,
            };
            window.remember(&operation(number), &reply, Position(big), 0).unwrap();
        }
        assert!(super::super::encode(&window).len() < 3 * 1024);
    }
}
