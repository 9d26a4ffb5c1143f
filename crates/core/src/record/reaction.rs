//! Reactions to messages: a count for each emoji, and who.

use minicbor::{Decode, Encode};

use super::Record;
use crate::{bounds::EMOJI_PER_MESSAGE, ids::EventId, reply::Rejection};

/// How often a message was reacted to with what, in the order of first use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReactionsRecord {
    #[n(0)]
    pub(crate) counts: Vec<ReactionCount>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReactionCount {
    #[n(0)]
    pub(crate) emoji: String,
    /// Accounts that react with it: never zero.
    #[n(1)]
    pub(crate) count: u64,
}

impl ReactionsRecord {
    /// One more account reacts with this: how many there are now.
    pub(crate) fn add(&mut self, emoji: &str) -> Result<u64, Rejection> {
        if let Some(known) = self.counts.iter_mut().find(|known| known.emoji == emoji) {
            known.count += 1;
            return Ok(known.count);
        }
        if self.counts.len() >= EMOJI_PER_MESSAGE {
            return Err(Rejection::TooManyReactions(EMOJI_PER_MESSAGE as u64));
        }
        self.counts.push(ReactionCount { emoji: emoji.to_owned(), count: 1 });
        Ok(1)
    }

    /// One account less reacts with this: how many are left.
    pub(crate) fn remove(&mut self, emoji: &str) -> u64 {
        let Some(place) = self.counts.iter().position(|known| known.emoji == emoji) else { return 0 };
        let left = self.counts[place].count.saturating_sub(1);
        if left == 0 {
            self.counts.remove(place);
        } else {
            self.counts[place].count = left;
        }
        left
    }
}

impl Record for ReactionsRecord {
    const NAME: &'static str = "reactions";
}

/// That an account reacts to a message with something, or did and took it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReactionRecord {
    /// The event that told of it last: the next one takes its place.
    #[n(0)]
    pub(crate) notice: EventId,
}

impl Record for ReactionRecord {
    const NAME: &'static str = "reaction";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_up_and_down_and_nothing_is_left_at_zero() {
        let mut reactions = ReactionsRecord::default();
        assert_eq!((reactions.add("👍"), reactions.add("🎉"), reactions.add("👍")), (Ok(1), Ok(1), Ok(2)));
        assert_eq!((reactions.remove("👍"), reactions.remove("🎉"), reactions.remove("🎉")), (1, 0, 0));
        assert_eq!(reactions.counts.len(), 1);
        for number in 1..EMOJI_PER_MESSAGE {
            assert_eq!(reactions.add(&number.to_string()), Ok(1));
        }
        assert!(matches!(reactions.add("one more"), Err(Rejection::TooManyReactions(_))));
        assert_eq!(reactions.add("👍"), Ok(2));
    }
}
