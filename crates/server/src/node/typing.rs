//! Who is typing, and whom it is told. Off the log, like presence: nothing of it is stored, and what is lost is no loss.
//!
//! Promises: whatever clients say, a server tells others at most once a second that an account types where it does, a few
//! times a second what one account types anywhere, and of a few people a second in one conversation; servers tell each other what gathers within a
//! moment together; one that is not listened to costs nothing. When somebody has stopped is not told: a notice is good for some seconds.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use threefold_core::{AccountId, ConversationId, Position};
use tokio::{sync::broadcast, time::Instant};

/// Between two notices of one account about one conversation.
const PAUSE: Duration = Duration::from_secs(1);
/// How often within a [`PAUSE`] it is looked at what an account says: it may type on several devices, but not everywhere at once.
const LOOKED_AT: u32 = 5;
/// Notices about one conversation within a [`PAUSE`]: more typing people than are shown.
const IN_CONVERSATION: u32 = 8;
/// Accounts, conversations, and accounts in conversations remembered, each: more than type within a second at one server. Beyond it notices are dropped.
const REMEMBERED: usize = 10_000;
/// Notices on their way to the other servers; a link that falls behind loses the oldest.
pub const ON_THEIR_WAY: usize = 256;

/// That somebody types, for somebody to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where.
    pub conversation: ConversationId,
    /// Who types.
    pub account: AccountId,
    /// Who is told; none: all others who are in the room.
    pub reader: Option<AccountId>,
    /// How far the typing one's server was then: what they have sent since has a higher id.
    pub position: Position,
}

/// What was said here of late.
pub struct Typing {
    recent: Mutex<Recent>,
    notices: broadcast::Sender<Notice>,
}

#[derive(Default)]
struct Recent {
    /// Since when it is counted what each account says of its typing anywhere, and how often that was looked at.
    accounts: BTreeMap<AccountId, (Instant, u32)>,
    /// When it was last told of each account where it does.
    places: BTreeMap<(AccountId, ConversationId), Instant>,
    /// Since when notices of a conversation are counted, and how many there were.
    conversations: BTreeMap<ConversationId, (Instant, u32)>,
    /// When what is over was last looked for: that takes a while where there is much.
    looked_through: Option<Instant>,
}

impl Default for Typing {
    fn default() -> Self {
        Self { recent: Mutex::default(), notices: broadcast::Sender::new(ON_THEIR_WAY) }
    }
}

impl Typing {
    /// Whether what an account says of its typing is looked at: not if much was a moment ago, whatever came of that. Where it
    /// types, and whether anybody is to be told, has to be looked up.
    pub fn begin(&self, account: AccountId) -> bool {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).begin(account, Instant::now())
    }

    /// Takes a notice, to be told to the other servers; false if it is one too many.
    pub fn take(&self, notice: Notice) -> bool {
        let taken = self.recent.lock().unwrap_or_else(PoisonError::into_inner).take(&notice, Instant::now());
        if taken {
            // Without links nobody listens.
            let _ = self.notices.send(notice);
        }
        taken
    }

    /// Hears of those that are taken from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }
}

impl Recent {
    fn begin(&mut self, account: AccountId, now: Instant) -> bool {
        let (since, count) = match self.accounts.get(&account) {
            Some((since, count)) if !is_over(*since, now) => (*since, *count),
            _ => (now, 0),
        };
        if count >= LOOKED_AT || !self.has_room(now) {
            return false;
        }
        self.accounts.insert(account, (since, count + 1));
        true
    }

    fn take(&mut self, notice: &Notice, now: Instant) -> bool {
        let Notice { conversation, account, .. } = *notice;
        if self.places.get(&(account, conversation)).is_some_and(|at| !is_over(*at, now)) {
            return false;
        }
        let (since, count) = match self.conversations.get(&conversation) {
            Some((since, count)) if !is_over(*since, now) => (*since, *count),
            _ => (now, 0),
        };
        if count >= IN_CONVERSATION || !self.has_room(now) {
            return false;
        }
        self.places.insert((account, conversation), now);
        self.conversations.insert(conversation, (since, count + 1));
        true
    }

    /// Forgets what is over where there is too much.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.is_full() && self.looked_through.is_none_or(|at| is_over(at, now)) {
            self.accounts.retain(|_, (since, _)| !is_over(*since, now));
            self.places.retain(|_, at| !is_over(*at, now));
            self.conversations.retain(|_, (since, _)| !is_over(*since, now));
            self.looked_through = Some(now);
        }
        !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.accounts.len().max(self.places.len()).max(self.conversations.len()) >= REMEMBERED
    }
}

fn is_over(at: Instant, now: Instant) -> bool {
    now.duration_since(at) >= PAUSE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(conversation: u64, account: u64) -> Notice {
        let (conversation, account) = (ConversationId(conversation), AccountId(account));
        Notice { conversation, account, reader: Some(AccountId(9)), position: Position(5) }
    }

    #[tokio::test(start_paused = true)]
    async fn once_a_second_and_bounded() {
        let typing = Typing::default();
        let mut heard = typing.notices();
        assert!(typing.take(notice(1, 1)));
        assert!(!typing.take(notice(1, 1)), "too soon");
        assert!(typing.take(notice(1, 2)), "somebody else");
        assert_eq!(heard.recv().await, Ok(notice(1, 1)));
        assert_eq!(heard.recv().await, Ok(notice(1, 2)));
        tokio::time::advance(PAUSE).await;
        assert!(typing.take(notice(1, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_is_looked_at_a_few_times_a_second() {
        let typing = Typing::default();
        for _ in 0..LOOKED_AT {
            assert!(typing.begin(AccountId(1)));
        }
        assert!(!typing.begin(AccountId(1)), "too much anywhere");
        assert!(typing.begin(AccountId(2)), "somebody else");
        tokio::time::advance(PAUSE).await;
        assert!(typing.begin(AccountId(1)));
    }

    /// Whoever goes to and fro between two conversations.
    #[tokio::test(start_paused = true)]
    async fn each_conversation_hears_of_an_account_once_a_second() {
        let typing = Typing::default();
        let mut taken = 0;
        for turn in 0..50 {
            assert!(typing.begin(AccountId(1)));
            taken += u32::from(typing.take(notice(turn % 2, 1)));
            tokio::time::advance(PAUSE / LOOKED_AT).await;
        }
        // Ten seconds, two conversations.
        assert!((18..=20).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_told_of_in_part() {
        let typing = Typing::default();
        let taken = (1..100).filter(|account| typing.take(notice(3, *account))).count();
        assert_eq!(taken as u32, IN_CONVERSATION);
        for account in 0..2 * REMEMBERED as u64 {
            typing.take(notice(1000 + account, 1000 + account));
        }
        assert!(!typing.take(notice(4, 500)), "too many at once");
        tokio::time::advance(PAUSE).await;
        assert!(typing.take(notice(4, 500)) && typing.take(notice(3, 50)));
        let recent = typing.recent.lock().unwrap();
        assert!(recent.places.len() < 10 && recent.conversations.len() < 10, "forgotten");
    }
}
