//! Every bound of the domain, with its reason.

/// A name's length in characters: fits a column of a terminal.
pub const NAME_CHARS: usize = 32;
/// A password's least length in characters: NIST SP 800-63B section 3.1.1.
pub const PASSWORD_MIN_CHARS: usize = 8;
/// A password's greatest length in bytes: hashing must not become a lever.
pub const PASSWORD_MAX_BYTES: usize = 1024;
/// A password's hash in bytes: an Argon2id PHC string has about 100.
pub const PASSWORD_HASH_BYTES: usize = 512;
/// A message's text in bytes.
pub const BODY_BYTES: usize = 16 * 1024;
/// A device's name in bytes.
pub const DEVICE_BYTES: usize = 64;
/// Messages deleted by one command: bounds the work of one apply.
pub const DELETE_IDS: usize = 100;
/// Entries of one page of anything.
pub const PAGE: usize = 200;
/// Bytes of the events that a device is given at once, and of one more: what one that does not read holds meanwhile.
pub const EVENTS_BYTES: usize = 256 * 1024;
/// A search pattern in bytes.
pub const PATTERN_BYTES: usize = 64;
/// What is searched for in messages, in bytes: a long sentence.
pub const SEARCH_BYTES: usize = 256;
/// Words of one search: each costs a look into every part of the index.
pub const SEARCH_WORDS: usize = 16;
/// Messages of one page of a search: each is read and compared with what is searched for.
pub const SEARCH_PAGE: usize = 50;
/// Sessions of one account; the oldest is ended by a further log-in.
pub const SESSIONS_PER_ACCOUNT: usize = 32;
/// Bots and webhooks of one account: bounds the work of disabling or deleting it.
pub const BOTS_PER_ACCOUNT: usize = 20;
/// Bots and webhooks that an account may make at a stretch: all it may have, twice. Each leaves an account and a name behind.
pub const BOTS_AT_A_STRETCH: u64 = 2 * BOTS_PER_ACCOUNT as u64;
/// Beyond that it may make one more each quarter of an hour.
pub const BOT_PAUSE_MS: u64 = 15 * 60 * 1000;
/// Sessions of a bot, which runs at a few places: the same reason.
pub const SESSIONS_PER_BOT: usize = 8;
/// Webhooks of one room: bounds the work of its end.
pub const WEBHOOKS_PER_ROOM: usize = 10;
/// Live instances of one session; the least recently used is evicted by a further one.
pub const INSTANCES_PER_SESSION: usize = 16;
/// Replies kept for one instance, and so the most writes a client may have in flight.
pub const REPLIES_PER_INSTANCE: u64 = 64;
/// Named requests remembered for one account: a client that lost its connection asks again for its last few, and each
/// connection has few unanswered. Of a webhook's posts no more than this are on their way through all servers of a cluster together, so that
/// those that go again after an election are all still known.
pub const NAMED_REQUESTS: u64 = 64;
/// The name that a client gives to a request, in bytes: room for a UUID or a hash in text.
pub const REQUEST_NAME_BYTES: usize = 64;
/// A session's life from its log-in or last renewal: 90 days.
pub const SESSION_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// Commands of one log entry. With at most four places a command, an entry's 4,096 places suffice.
pub const COMMANDS_PER_ENTRY: usize = 1000;
/// Bytes of one command, far beyond what a gateway lets in (256 KiB a request, encoded at most twice as large): a
/// larger one never reaches the log.
pub const COMMAND_BYTES: usize = 1024 * 1024;
/// Bytes of the commands of one log entry, unless it is a single one (which has a bound of its own,
/// [`COMMAND_BYTES`]).
pub const ENTRY_BYTES: usize = 1024 * 1024;
/// Places of an entry that one command may use.
pub const PLACES_PER_COMMAND: u64 = 4;
/// Records of deleted accounts removed with one entry: bounds the work of one apply, and outpaces what can
/// be deleted.
pub const CLEANUP_RECORDS: usize = 200;
/// A room's topic in bytes: a line, not a page.
pub const TOPIC_BYTES: usize = 512;
/// Rooms that one account is in: bounds what its servers keep at hand for it, and what its deletion leaves to do.
pub const ROOMS_PER_ACCOUNT: u64 = 1000;
/// Members of one room.
pub const MEMBERS_PER_ROOM: u64 = 20_000;
/// Members of a room up to which they are told who types: beyond it so many type that it says nothing, and each notice would
/// wake all of them.
pub const TYPING_MEMBERS: u64 = 250;
/// Owners of one room: they stand in its record, which every change of a room reads.
pub const OWNERS_PER_ROOM: usize = 16;
/// Moderators of one room; they stand there too.
pub const MODERATORS_PER_ROOM: usize = 64;
/// Open invitations of one account: nobody fills another one's list for ever.
pub const INVITATIONS_PER_ACCOUNT: usize = 200;
/// Spans of one membership: one who leaves and comes back more often cannot read what the oldest one showed.
pub const SPANS_PER_MEMBERSHIP: usize = 16;
/// Rooms that a deleted account is taken out of with one entry: bounds the work of one apply.
pub const CLEANUP_ROOMS: usize = 32;
/// Places of an entry behind those of its commands, for what is told of the deleted: two for each room (that a member left,
/// and who is owner now).
pub const CLEANUP_PLACES: u64 = 2 * CLEANUP_ROOMS as u64;
const _: () = assert!(
    COMMANDS_PER_ENTRY as u64 * PLACES_PER_COMMAND + CLEANUP_PLACES <= crate::ids::PLACES_PER_ENTRY,
    "an entry's places suffice for its commands and the cleanup"
);
/// Conversations looked at between two reads of a reader's list: bounds the memory of a query.
pub const MEMBERSHIP_CHUNK: usize = 256;
/// A display name in bytes: room for the longest real names in any script.
pub const DISPLAY_NAME_BYTES: usize = 128;
/// Accounts told of as seen by one command: bounds the work of one apply, a read and a write each.
pub const SEEN_ACCOUNTS: usize = 500;
/// Accounts that one message mentions: each may cost a write.
pub const MENTIONS: usize = 16;
/// Different names looked up in one message, whoever bears them: each costs a read, and code has many words that begin
/// with `@`.
pub const MENTION_NAMES: usize = 64;
/// Unread mentions remembered of one conversation: more than anybody counts, and a record of less than 1 KiB.
pub const UNREAD_MENTIONS: usize = 100;
/// A reaction in bytes: an emoji of several parts (a family, a flag) has up to about 28.
pub const EMOJI_BYTES: usize = 32;
/// Different reactions to one message: what can be shown below it, and one small record.
pub const EMOJI_PER_MESSAGE: usize = 20;
/// Reactions removed with the messages of one deletion: bounds the work of one apply. What is left is out of sight.
pub const REACTIONS_REMOVED: usize = 1000;
/// Messages read by their ids at once.
pub const MESSAGES_BY_ID: usize = 100;
/// A chunk of an attachment in bytes, all but the last: a quarter of an entry, so that a chunk holds up the messages behind it
/// for a few milliseconds at most.
pub const CHUNK_BYTES: u64 = 256 * 1024;
/// An attachment in bytes, whatever a server's configuration allows: 4,096 chunks, which are removed within a few hundred entries.
pub const ATTACHMENT_BYTES: u64 = 1024 * 1024 * 1024;
/// What servers let through unless they are configured otherwise: 25 MiB, as mail does.
pub const DEFAULT_ATTACHMENT_BYTES: u64 = 25 * 1024 * 1024;
/// What one account's attachments may take in all unless the servers are configured otherwise.
pub const DEFAULT_QUOTA_BYTES: u64 = 1024 * 1024 * 1024;
/// Attachments of one message: bounds the work of sending and of deleting it.
pub const ATTACHMENTS_PER_MESSAGE: usize = 10;
/// Uploads of one account that are not finished.
pub const UNFINISHED_UPLOADS: usize = 8;
/// Uploads of one account, finished or not, that no message has yet: they stand in one record.
pub const UNSENT_ATTACHMENTS: usize = 32;
/// How long an upload may wait for its end and for its message: a day of the state's clock.
pub const UPLOAD_MS: u64 = 24 * 60 * 60 * 1000;
/// An attachment's name in bytes: what file systems allow.
pub const FILE_NAME_BYTES: usize = 255;
/// A content type in bytes: the longest registered one with a parameter.
pub const CONTENT_TYPE_BYTES: usize = 128;
/// Uploads that expire with one entry, and chunks removed with one: bounds the work of one apply. Removing outpaces adding,
/// at most four chunks an entry.
pub const EXPIRIES_PER_ENTRY: usize = 8;
/// See [`EXPIRIES_PER_ENTRY`].
pub const CHUNK_REMOVALS: u64 = 32;
