//! The stored formats, byte for byte. A change here is a change of what is on people's disks and in their logs:
//! it takes a new version of the record, and a way to read the old one.
//!
//! `UPDATE=1 cargo test` adds what is new to the file; a line that changes is what this test is there to show.

use std::{fmt::Write as _, fs, path::Path};

use proptest::{collection::vec, prelude::*};

use super::{reaction::ReactionCount, *};
use crate::{
    command::{AdministratorAction, Command, DeleteScope, Operation, Recipient, Role},
    entry,
    event::Edited,
    ids::{ConversationId, RequestId, RequestName},
    mention::MentionRule,
    reply::{Rejection, Reply},
};

mod attachments;
mod bots;
mod commands;

const TOKEN: TokenHash = TokenHash([7; 32]);

/// Named bytes, and the same decoded and encoded again.
struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
    again: Vec<u8>,
}

fn record<R: Record + PartialEq + std::fmt::Debug>(name: &'static str, record: R) -> Sample {
    let bytes = encode(&record);
    let decoded: R = decode(&bytes).unwrap();
    assert_eq!(decoded, record);
    assert_sturdy::<R>(&bytes);
    Sample { name, again: encode(&decoded), bytes }
}

/// Whatever is not exactly this record is refused, and in words.
fn assert_sturdy<R: Record>(bytes: &[u8]) {
    for length in 0..bytes.len() {
        assert!(decode::<R>(&bytes[..length]).is_err(), "{} cut to {length} bytes", R::NAME);
    }
    assert!(decode::<R>(&[bytes, &[0]].concat()).is_err(), "{} with something behind", R::NAME);
    let mut newer = bytes.to_vec();
    newer[0] += 1;
    let words = decode::<R>(&newer).map(drop).unwrap_err().to_string();
    assert!(words.contains("newer than this program knows"), "{words}");
    newer[0] = 0;
    assert!(decode::<R>(&newer).is_err());
}

fn records() -> Vec<Sample> {
    let mut window = WindowRecord::new(Some(9), Position(4096));
    let sent =
        Reply::MessageSent { conversation: ConversationId(8192), event: EventId(8193), time_ms: 1_700_000_000_000 };
    window.remember(&Operation::MarkDelivered { up_to: EventId(1) }, &sent, Position(8192), 0).unwrap();
    let mut acknowledged = window.clone();
    acknowledged.remember(&Operation::MarkDelivered { up_to: EventId(2) }, &Reply::Done, Position(12288), 1).unwrap();
    let mut named = NamedRequestsRecord::default();
    named.remember(RequestName::of("a"), &Operation::MarkDelivered { up_to: EventId(1) }, &sent).unwrap();
    let marker = Marker { message: EventId(8193), number: 3, own: 1 };
    let closed = Span { from: Position(1), until: Some(Position(2)), reads_from: None };
    let mut conversation = ConversationRecord::direct(AccountId(8192), AccountId(4096));
    conversation.count_message(AccountId(4096), EventId(12288));
    vec![
        record("meta", MetaRecord { clock_ms: 1_700_000_000_000, cleanups: 2, unsent_expire_ms: None, removals: None }),
        record(
            "account",
            AccountRecord {
                name: "Ann".to_owned(),
                password_hash: "$argon2id$".to_owned(),
                credential_version: 2,
                administrator: true,
                registered_at_ms: 1_700_000_000_000,
                delivered_up_to: Position(8193),
                deleted: false,
                disabled_at_ms: None,
                display_name: None,
                rooms: None,
                bot: None,
                bots_full_at_ms: None,
                posted_for: None,
            },
        ),
        record("name", NameRecord { account: AccountId(4096), deleted: true, kept_for: None }),
        record(
            "session",
            SessionRecord {
                session: SessionId(4097),
                account: AccountId(4096),
                device: "phone".to_owned(),
                opened_at_ms: 1,
                expires_at_ms: 3,
                first_expires_at_ms: 2,
                first_delivered_up_to: Position(5),
                instances: 6,
                ended: true,
            },
        ),
        record("account's session", AccountSessionRecord { token: TOKEN }),
        record("window", window),
        record("window whose client has had its answers", acknowledged),
        record("window that came with a log-in", WindowRecord::new(None, Position(4096))),
        record("conversation", conversation),
        record("direct", DirectRecord { conversation: ConversationId(12288) }),
        record(
            "membership",
            MembershipRecord {
                spans: vec![closed, Span { from: Position(3), until: None, reads_from: None }],
                marker: Some(marker),
                marker_event: Some(EventId(9000)),
                hides: true,
                mentions: Vec::new(),
                receipt_event: None,
                attendance: None,
            },
        ),
        record(
            "membership with mentions",
            MembershipRecord { mentions: vec![3, 400], ..MembershipRecord::since(Position(12288)) },
        ),
        record(
            "membership whose reading was told",
            MembershipRecord { receipt_event: Some(EventId(9001)), ..MembershipRecord::since(Position(12288)) },
        ),
        record("new membership", MembershipRecord::since(Position(12288))),
        record("hidden", HiddenRecord { last: EventId(9), first_number: 1, last_number: 2 }),
        record("cleanup", CleanupRecord {}),
        record(
            "account that is disabled",
            AccountRecord {
                name: "Ann".to_owned(),
                password_hash: "$argon2id$".to_owned(),
                credential_version: 2,
                administrator: false,
                registered_at_ms: 1_700_000_000_000,
                delivered_up_to: Position(8193),
                deleted: false,
                disabled_at_ms: Some(1_700_000_000_001),
                display_name: Some("Ann Ö.".to_owned()),
                rooms: None,
                bot: None,
                bots_full_at_ms: None,
                posted_for: None,
            },
        ),
        record(
            "administration",
            AdministrationRecord {
                at_ms: 1_700_000_000_000,
                by: AccountId(4096),
                account: AccountId(8192),
                name: "Bob".to_owned(),
                what: Administered::Revoked,
                by_configuration: true,
            },
        ),
        record("seen", SeenRecord { at_ms: 1_700_000_000_000 }),
        record("reactions", ReactionsRecord { counts: vec![ReactionCount { emoji: "👍".to_owned(), count: 2 }] }),
        record("reaction", ReactionRecord { notice: EventId(9000) }),
        record("named requests", named),
    ]
    .into_iter()
    .chain(rooms())
    .collect()
}

fn rooms() -> Vec<Sample> {
    let (by, at_ms) = (AccountId(4096), 1_700_000_000_000);
    let mut joined = MembershipRecord::outside();
    joined.join(Position(20000), Position(12288), Some(Marker { message: EventId(12290), number: 7, own: 0 }));
    let mut left = joined.clone();
    left.leave(Position(30000), "tea".to_owned(), 9);
    vec![
        record("conversation of a room", ConversationRecord::room()),
        record("membership of a room", joined),
        record("membership of a room that was left", left),
        record(
            "account that is in rooms",
            AccountRecord {
                name: "Ann".to_owned(),
                password_hash: "$argon2id$".to_owned(),
                credential_version: 2,
                administrator: true,
                registered_at_ms: at_ms,
                delivered_up_to: Position(8193),
                deleted: false,
                disabled_at_ms: None,
                display_name: None,
                rooms: Some(3),
                bot: None,
                bots_full_at_ms: None,
                posted_for: None,
            },
        ),
        record(
            "room",
            RoomRecord {
                name: "tea".to_owned(),
                topic: "leaves".to_owned(),
                public_since: Some(Position(12288)),
                created_at_ms: at_ms,
                members: 2,
                owners: vec![by],
                moderators: vec![AccountId(8192)],
            },
        ),
        record(
            "private room",
            RoomRecord {
                name: "tea".to_owned(),
                topic: String::new(),
                public_since: None,
                created_at_ms: at_ms,
                members: 1,
                owners: vec![by],
                moderators: vec![],
            },
        ),
        record("room's name", RoomNameRecord { conversation: ConversationId(12288) }),
        record("member", MemberRecord { joined_at_ms: at_ms, invited_by: Some(by) }),
        record("member without invitation", MemberRecord { joined_at_ms: at_ms, invited_by: None }),
        record("invitation", InvitationRecord { by, at_ms, event: EventId(12300) }),
    ]
}

fn events() -> Vec<Sample> {
    let conversation = ConversationId(8192);
    let event = |name, body| record(name, EventRecord { time_ms: 1_700_000_000_000, body });
    let message = EventId(8193);
    vec![
        event(
            "event: message sent",
            EventBody::MessageSent {
                author: AccountId(4096),
                body: "hello".to_owned(),
                number: 3,
                author_number: 2,
                deleted: false,
                edited: None,
                reply_to: None,
                mentions: Vec::new(),
                attachments: None,
            },
        ),
        event(
            "event: message sent, edited, as an answer that mentions somebody",
            EventBody::MessageSent {
                author: AccountId(4096),
                body: "hello @bob".to_owned(),
                number: 3,
                author_number: 2,
                deleted: false,
                edited: Some(Edited { at_ms: 1_700_000_000_001, notice: EventId(9000) }),
                reply_to: Some(message),
                mentions: vec![AccountId(8192)],
                attachments: None,
            },
        ),
        event(
            "event: messages deleted",
            EventBody::MessagesDeleted { by: AccountId(4096), messages: vec![EventId(8193)] },
        ),
        event("event: read marker moved", EventBody::ReadMarkerMoved { conversation, up_to: EventId(8193), unread: 1 }),
        event("event: messages hidden", EventBody::MessagesHidden { conversation, messages: vec![EventId(8193)] }),
        event(
            "event: session opened",
            EventBody::SessionOpened { session: SessionId(4097), device: "phone".to_owned() },
        ),
        event("event: session ended", EventBody::SessionEnded { session: SessionId(4097) }),
        event("event: password changed", EventBody::PasswordChanged { by: SessionId(4097) }),
        event("event: password reset", EventBody::PasswordReset { by: AccountId(4096) }),
        event(
            "event: message edited",
            EventBody::MessageEdited { by: AccountId(4096), message, body: String::new(), mentions: Vec::new() },
        ),
        event(
            "event: reaction changed",
            EventBody::ReactionChanged {
                account: AccountId(4096),
                message,
                emoji: "👍".to_owned(),
                added: true,
                count: 2,
            },
        ),
        event("event: peer read", EventBody::PeerRead { conversation, by: AccountId(4096), up_to: message }),
    ]
    .into_iter()
    .chain(events_of_rooms())
    .collect()
}

fn events_of_rooms() -> Vec<Sample> {
    let (by, account, conversation) = (AccountId(4096), AccountId(8192), ConversationId(12288));
    let event = |name, body| record(name, EventRecord { time_ms: 1_700_000_000_000, body });
    let (name, topic) = ("tea".to_owned(), "leaves".to_owned());
    vec![
        event(
            "event: room opened",
            EventBody::RoomOpened { by, name: name.clone(), topic: topic.clone(), public: true },
        ),
        event("event: member joined", EventBody::MemberJoined { account, invited_by: None }),
        event("event: invited member joined", EventBody::MemberJoined { account, invited_by: Some(by) }),
        event("event: member left", EventBody::MemberLeft { account }),
        event("event: member removed", EventBody::MemberRemoved { account, by }),
        event("event: role changed", EventBody::RoleChanged { account, role: Role::Moderator, by: Some(by) }),
        event("event: role inherited", EventBody::RoleChanged { account, role: Role::Owner, by: None }),
        event(
            "event: room renamed",
            EventBody::RoomChanged { by, name: Some(name.clone()), topic: None, public: None },
        ),
        event(
            "event: room changed",
            EventBody::RoomChanged { by, name: None, topic: Some(topic), public: Some(false) },
        ),
        event("event: invited", EventBody::Invited { conversation, room: name, by }),
        event("event: invitation ended", EventBody::InvitationEnded { conversation }),
    ]
}

fn command(name: &'static str, command: Command) -> Sample {
    let bytes = entry::encode_command(&command).to_vec();
    let decoded = entry::decode_command(&bytes).unwrap();
    assert_eq!(decoded, command);
    Sample { name, again: entry::encode_command(&decoded).to_vec(), bytes }
}

fn write(name: &'static str, operation: Operation) -> Sample {
    let request = RequestId { instance: 2, number: 3 };
    command(name, Command::Write { session: TOKEN, request, operation, answered: None })
}

fn reply(name: &'static str, reply: Reply) -> Sample {
    let bytes = entry::encode_reply(&reply).to_vec();
    let decoded: Reply = minicbor::decode(&bytes).unwrap();
    assert_eq!(decoded, reply);
    Sample { name, again: entry::encode_reply(&decoded).to_vec(), bytes }
}

fn keys() -> Vec<Sample> {
    let (account, conversation, event) = (AccountId(1), ConversationId(2), EventId(3));
    let session = SessionId(4);
    [
        ("key: meta", Key::Meta),
        ("key: account", Key::Account(account)),
        ("key: name", Key::Name("ann")),
        ("key: session", Key::Session(TOKEN)),
        ("key: account's session", Key::AccountSession(account, session)),
        ("key: window", Key::Window(session, 5)),
        ("key: conversation", Key::Conversation(conversation)),
        ("key: direct", Key::Direct(account, AccountId(6))),
        ("key: membership", Key::Membership(account, conversation)),
        ("key: message", Key::Message(conversation, event)),
        ("key: notice", Key::Notice(conversation, event)),
        ("key: mailbox", Key::Mailbox(account, event)),
        ("key: hidden", Key::Hidden(account, conversation, event)),
        ("key: cleanup", Key::Cleanup(account)),
        ("key: administration", Key::Administration(Position(7))),
        ("key: seen", Key::Seen(account)),
        ("key: reactions", Key::Reactions(conversation, event)),
        ("key: reaction", Key::Reaction(conversation, event, "👍", account)),
        ("key: withdrawn reaction", Key::WithdrawnReaction(conversation, event, "👍", account)),
        ("key: named requests", Key::NamedRequests(account)),
        ("key: member", Key::Member(conversation, account)),
        ("key: room's name", Key::RoomName("tea")),
        ("key: room", Key::Room(conversation)),
        ("key: invitation", Key::Invitation(account, conversation)),
    ]
    .map(|(name, key)| Sample { name, bytes: key.bytes(), again: key.bytes() })
    .into()
}

#[test]
fn stored_formats_stay_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats.txt");
    let mut found = String::new();
    for sample in keys()
        .into_iter()
        .chain(records())
        .chain(events())
        .chain(commands::samples())
        .chain(attachments::samples())
        .chain(bots::samples())
    {
        assert_eq!(sample.bytes, sample.again, "{} does not encode as it was", sample.name);
        let hex = sample.bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let _ = writeln!(found, "{}: {hex}", sample.name);
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(expected, found, "a stored format changed: it needs a new version");
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "something stored is not in the file (or no longer)");
}

/// As the golden file had it before windows knew what their clients have had answered.
#[test]
fn a_window_of_the_first_version_is_read() {
    let hex = "01840901192000581c821b341a65becc6ec0c68202831920001920011b0000018bcfe56800";
    let bytes = (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap());
    let old: WindowRecord = decode(&bytes.collect::<Vec<_>>()).unwrap();
    assert_eq!(decode::<WindowRecord>(&encode(&old)).unwrap(), old);
    assert_eq!(encode(&old)[0], 2);
}

fn decode_all(bytes: &[u8]) {
    attachments::decode_all(bytes);
    bots::decode_all(bytes);
    let _ = decode::<MetaRecord>(bytes);
    let _ = decode::<AccountRecord>(bytes);
    let _ = decode::<NameRecord>(bytes);
    let _ = decode::<SessionRecord>(bytes);
    let _ = decode::<AccountSessionRecord>(bytes);
    let _ = decode::<ConversationRecord>(bytes);
    let _ = decode::<DirectRecord>(bytes);
    let _ = decode::<MembershipRecord>(bytes);
    let _ = decode::<EventRecord>(bytes);
    let _ = decode::<HiddenRecord>(bytes);
    let _ = decode::<CleanupRecord>(bytes);
    let _ = decode::<AdministrationRecord>(bytes);
    let _ = decode::<SeenRecord>(bytes);
    let _ = decode::<ReactionsRecord>(bytes);
    let _ = decode::<ReactionRecord>(bytes);
    let _ = decode::<RoomRecord>(bytes);
    let _ = decode::<RoomNameRecord>(bytes);
    let _ = decode::<MemberRecord>(bytes);
    let _ = decode::<InvitationRecord>(bytes);
    if let Ok(mut named) = decode::<NamedRequestsRecord>(bytes) {
        let operation = Operation::MarkDelivered { up_to: EventId(1) };
        let _ = named.recall(RequestName::of("a"), &operation);
        let _ = named.remember(RequestName::of("b"), &operation, &Reply::Done);
    }
    if let Ok(mut window) = decode::<WindowRecord>(bytes) {
        let operation = Operation::MarkDelivered { up_to: EventId(1) };
        for number in [0, 1, window.last_number, window.last_number.saturating_sub(63), u64::MAX] {
            let _ = window.recall(number, &operation);
        }
        let _ = window.clone().remember(&operation, &Reply::Done, Position(1), u64::MAX);
        let _ = window.remember(&operation, &Reply::Done, Position(1), 0);
    }
}

proptest! {
    #[test]
    fn random_bytes_are_no_panic(mut bytes in vec(any::<u8>(), 1..100)) {
        decode_all(&bytes);
        bytes[0] = 1;
        decode_all(&bytes);
    }

    #[test]
    fn damaged_records_are_no_panic(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let samples: Vec<_> = records().into_iter().chain(events()).collect();
        let mut bytes = samples[which.index(samples.len())].bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        decode_all(&bytes);
    }
}
