//! Queries: what may be read, by whom. Every read of every gateway goes through here, so that the
//! question "may they see this?" is answered in one place.
//!
//! They promise bounded memory, and work that grows with what is shown, with one exception each where it is
//! said so. A query reads several records that belong together, so it must be given a consistent view: one that shows
//! a single commit for as long as the query runs. On a store that changes between the reads, records that
//! contradict each other look like corruption, and the server stops for it. Left out on purpose: freshness. The caller
//! gives a view that is as new as it needs.

use crate::{
    bounds::MEMBERSHIP_CHUNK,
    command::Role,
    event::Event,
    ids::{AccountId, ConversationId, EventId, Position, SessionId},
    key::{Key, Range},
    record::MembershipRecord,
    scan,
    store::{Read, StoreError},
};

mod accounts;
mod administration;
mod attachments;
mod bots;
mod catch_up;
mod conversations;
mod current;
mod history;
mod pattern;
mod reactions;
mod rooms;
mod search;
mod sessions;

pub use accounts::{account, account_by_name, account_named, any_account, bearer_of_name, search_accounts};
pub use administration::{AdministrationInfo, administers, administration};
pub use attachments::{Chunk, UsageInfo, attachment, attachments, chunk, usage};
pub use bots::{BotInfo, OwnBot, WebhookInfo, bots, webhook_counts, webhooks, writes_of};
pub use catch_up::{conversation_events, events_after};
pub use conversations::{
    Place, Watching, conversation, conversation_of_message, conversations, direct_conversation, place, watching,
};
pub use history::{history, messages};
pub use reactions::reactions;
pub use rooms::{invitations, members, room, room_conversation, rooms, rooms_of};
pub use search::{Recent, conversation_ids, recent_messages, visible_message, with_reactions};
pub use sessions::{session, sessions};

pub use crate::record::Administered;

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub session: SessionId,
    /// Whose.
    pub account: AccountId,
    /// The device's name.
    pub device: String,
    /// When it was opened.
    pub opened_at_ms: u64,
    /// When it ends unless renewed.
    pub expires_at_ms: u64,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its id.
    pub account: AccountId,
    /// As registered; none once deleted.
    pub name: Option<String>,
    /// Argon2id in PHC string form; empty once deleted.
    pub password_hash: String,
    /// Changes with the password.
    pub credential_version: u64,
    /// May administer.
    pub administrator: bool,
    /// When it was made.
    pub registered_at_ms: u64,
    /// Everything up to here was delivered to a client without a cursor.
    pub delivered_up_to: Position,
    /// May not log in.
    pub disabled: bool,
    /// What people are shown beside the name; empty: nothing.
    pub display_name: String,
    /// When the account last came or went, as far as is known; zero: never. Who is connected now says presence.
    pub last_seen_ms: u64,
    /// None: it is a person's.
    pub bot: Option<BotInfo>,
}

/// A conversation as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationInfo {
    /// Its id.
    pub conversation: ConversationId,
    /// The other person of a direct conversation (oneself, where one talks to oneself); none for a room.
    pub peer: Option<AccountId>,
    /// The room, if it is one.
    pub room: Option<RoomInfo>,
    /// Messages after the marker that are not the reader's own.
    pub unread: u64,
    /// Messages after the marker that mention the reader; counted up to [`crate::bounds::UNREAD_MENTIONS`].
    pub unread_mentions: u64,
    /// The last message read; zero: none.
    pub read_up_to: Position,
    /// The last message that the other person of a direct conversation has read; zero: none, or there is nobody else.
    pub peer_read_up_to: Position,
    /// Messages ever sent there.
    pub messages: u64,
    /// The newest message the reader may see.
    pub last: Option<Event>,
}

/// A room as a reader sees it. Of a private one that the reader has left it shows the name that it had then, and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its id.
    pub conversation: ConversationId,
    /// Its name, without `#`.
    pub name: String,
    /// What it is about; may be empty.
    pub topic: String,
    /// Anybody may find it and join.
    pub public: bool,
    /// How many are in it.
    pub members: u64,
    /// When it was made.
    pub created_at_ms: u64,
    /// What the reader may do there; none: the reader is not in it.
    pub role: Option<Role>,
    /// The reader has an open invitation to it.
    pub invited: bool,
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Who.
    pub account: AccountId,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub joined_at_ms: u64,
    /// By whose invitation, if by one.
    pub invited_by: Option<AccountId>,
}

/// An open invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationInfo {
    /// To which room.
    pub conversation: ConversationId,
    /// The room's name.
    pub name: String,
    /// What it is about.
    pub topic: String,
    /// How many are in it.
    pub members: u64,
    /// By whom.
    pub by: AccountId,
    /// When.
    pub at_ms: u64,
}

/// Which page of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest messages before this event, or the newest of all.
    Before(Option<EventId>),
    /// The oldest messages after this position.
    After(Position),
    /// This message (or the place where it would be) with about as many before it as after it.
    Around(EventId),
    /// The oldest messages of this time or later, milliseconds since 1970.
    At(u64),
}

/// A page of a conversation, and what lies beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Oldest first.
    pub items: Vec<Shown>,
    /// There are messages before these.
    pub older: bool,
    /// There are messages after these.
    pub newer: bool,
}

/// A message with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The message.
    pub event: Event,
    /// The reactions to it, in the order of their first use.
    pub reactions: Vec<ReactionInfo>,
}

/// How often a message was reacted to with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionInfo {
    /// With what.
    pub emoji: String,
    /// By how many accounts.
    pub count: u64,
    /// The reader is one of them.
    pub own: bool,
}

/// That somebody reacted to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactedBy {
    /// With what.
    pub emoji: String,
    /// Who.
    pub account: AccountId,
}

/// A page and whether there is more in the direction asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The page.
    pub items: Vec<T>,
    /// There is more.
    pub more: bool,
}

/// What a reader may see between two positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// In the order of their ids.
    pub events: Vec<Event>,
    /// Everything up to here is in `events`: `up_to`, or less where the limit cut it short.
    pub reached: Position,
}

/// Calls `each` with the reader's conversations after `after`, in the order of their ids, until it says false. They
/// are read in chunks, so that `each` may itself read the store.
fn each_membership(
    store: &dyn Read,
    reader: AccountId,
    after: Option<ConversationId>,
    mut each: impl FnMut(ConversationId, MembershipRecord) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut range = Range::memberships(reader);
    if let Some(after) = after {
        range = range.after(Key::Membership(reader, after));
    }
    loop {
        let chunk = scan::collect::<MembershipRecord>(store, &range, MEMBERSHIP_CHUNK)?;
        let last = chunk.last().map(|(id, _)| ConversationId(*id)).filter(|_| chunk.len() == MEMBERSHIP_CHUNK);
        for (id, membership) in chunk {
            if !each(ConversationId(id), membership)? {
                return Ok(());
            }
        }
        match last {
            Some(last) => range = range.after(Key::Membership(reader, last)),
            None => return Ok(()),
        }
    }
}
