//! Commands and entries as bytes: round trips, truncation, damage, and nothing that panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};
use threefold_core::{
    AccountId, AdministratorAction, AttachmentId, BotAction, Command, ContentHash, ConversationId, DeleteScope,
    EventId, Operation, Recipient, RequestId, RequestName, Role, SessionId, TokenHash,
    entry::{DecodeError, decode_command, encode_command, pack, unpack},
};
use world::{World, named, with_answered};

fn any_command() -> impl Strategy<Value = Command> {
    let token = any::<[u8; 32]>().prop_map(TokenHash);
    let text = ".{0,12}";
    prop_oneof![
        (text, text, token.clone(), text).prop_map(|(name, password_hash, token_hash, device)| Command::Register {
            name,
            password_hash,
            token_hash,
            device
        }),
        (any::<u64>(), any::<u64>(), token.clone(), text).prop_map(
            |(account, credential_version, token_hash, device)| {
                Command::LogIn { account: AccountId(account), credential_version, token_hash, device }
            }
        ),
        (token.clone(), any::<Option<u64>>())
            .prop_map(|(session, target)| Command::EndSession { session, target: target.map(SessionId) }),
        (token.clone(), any::<u64>())
            .prop_map(|(session, credential_version)| Command::DeleteAccount { session, credential_version }),
        (token.clone(), any::<u64>()).prop_map(|(session, nonce)| Command::OpenInstance { session, nonce }),
        token.clone().prop_map(|session| Command::RenewSession { session }),
        (token.clone(), any::<u64>(), text).prop_map(|(session, credential_version, password_hash)| {
            Command::ChangePassword { session, credential_version, password_hash }
        }),
        vec(any::<u64>(), 0..9)
            .prop_map(|accounts| Command::MarkSeen { accounts: accounts.into_iter().map(AccountId).collect() }),
        any_upload(),
        (any::<u64>(), token.clone(), any::<u64>(), text, any::<Option<u64>>()).prop_map(
            |(webhook, token, name, body, after)| Command::PostWebhook {
                webhook: AccountId(webhook),
                token,
                name: RequestName(name),
                body,
                after
            }
        ),
        (token.clone(), any::<u64>(), any::<u64>(), any_operation(), any::<Option<u64>>()).prop_map(
            |(session, instance, number, operation, answered)| {
                Command::Write { session, request: RequestId { instance, number }, operation, answered }
            }
        ),
        (token, any::<u64>(), any::<u64>(), any_operation(), any::<u64>()).prop_map(
            |(session, instance, number, operation, name)| {
                let (request, name) = (RequestId { instance, number }, RequestName(name));
                Command::NamedWrite { session, request, operation, answered: None, name }
            }
        ),
    ]
}

fn any_upload() -> impl Strategy<Value = Command> {
    let session = any::<[u8; 32]>().prop_map(TokenHash);
    let hash = || any::<[u8; 32]>().prop_map(ContentHash);
    let attachment = || any::<u64>().prop_map(AttachmentId);
    prop_oneof![
        (session.clone(), any::<u64>(), ".{0,9}", ".{0,9}", any::<u64>(), any::<u64>()).prop_map(
            |(session, nonce, name, content_type, bytes, quota_bytes)| Command::BeginAttachment {
                session,
                nonce,
                name,
                content_type,
                bytes,
                quota_bytes
            }
        ),
        (session.clone(), attachment(), any::<u64>(), hash(), vec(any::<u8>(), 0..99)).prop_map(
            |(session, attachment, offset, hash, content)| Command::PutChunk {
                session,
                attachment,
                offset,
                hash,
                content
            }
        ),
        (session.clone(), attachment(), hash(), hash(), option::of(".{0,40}")).prop_map(
            |(session, attachment, sha256, chain, content_type)| Command::FinishAttachment {
                session,
                attachment,
                sha256,
                chain,
                content_type
            }
        ),
        (session, attachment()).prop_map(|(session, attachment)| Command::DiscardAttachment { session, attachment }),
    ]
}

fn any_recipient() -> impl Strategy<Value = Recipient> {
    prop_oneof![
        ".{0,40}".prop_map(Recipient::User),
        ".{0,40}".prop_map(Recipient::Room),
        any::<u64>().prop_map(|id| Recipient::Conversation(ConversationId(id)))
    ]
}

fn any_room_operation() -> impl Strategy<Value = Operation> {
    let room = any_recipient;
    let text = "[a-d#]{0,3}";
    let role = select(vec![Role::Member, Role::Moderator, Role::Owner]);
    prop_oneof![
        (text, ".{0,40}", any::<bool>()).prop_map(|(name, topic, public)| Operation::CreateRoom {
            name,
            topic,
            public
        }),
        room().prop_map(|room| Operation::JoinRoom { room }),
        room().prop_map(|room| Operation::LeaveRoom { room }),
        room().prop_map(|room| Operation::DeclineInvitation { room }),
        (room(), ".{0,40}").prop_map(|(room, user)| Operation::InviteToRoom { room, user }),
        (room(), ".{0,40}").prop_map(|(room, user)| Operation::RemoveFromRoom { room, user }),
        (room(), ".{0,40}", role).prop_map(|(room, user, role)| Operation::SetRole { room, user, role }),
        (room(), option::of(text), option::of(".{0,40}"), any::<Option<bool>>())
            .prop_map(|(room, name, topic, public)| Operation::ChangeRoom { room, name, topic, public }),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let scope = select(vec![DeleteScope::Me, DeleteScope::Everyone]);
    prop_oneof![
        4 => any_message_operation(scope),
        2 => any_room_operation(),
        1 => any_bot_operation(),
    ]
}

fn any_bot_operation() -> impl Strategy<Value = Operation> {
    let token = || any::<[u8; 32]>().prop_map(TokenHash);
    let action = prop_oneof![
        token().prop_map(|token| BotAction::Create { token }),
        option::of(token()).prop_map(|token| BotAction::SetToken { token }),
        Just(BotAction::Delete),
    ];
    prop_oneof![
        (".{0,40}", action).prop_map(|(name, action)| Operation::ManageBot { name, action }),
        (any_recipient(), ".{0,40}", token()).prop_map(|(room, name, token)| Operation::CreateWebhook {
            room,
            name,
            token
        }),
        any::<u64>().prop_map(|webhook| Operation::DeleteWebhook { webhook: AccountId(webhook) }),
    ]
}

fn any_message_operation(scope: impl Strategy<Value = DeleteScope>) -> impl Strategy<Value = Operation> {
    prop_oneof![
        (any_recipient(), ".{0,40}", any::<Option<u64>>(), option::of(vec(any::<u64>(), 0..12))).prop_map(
            |(to, body, reply_to, attachments)| {
                let attachments = attachments.map(|ids| ids.into_iter().map(AttachmentId).collect());
                Operation::SendMessage { to, body, reply_to: reply_to.map(EventId), attachments }
            }
        ),
        (any::<u64>(), any::<u64>(), ".{0,40}").prop_map(|(conversation, message, body)| Operation::EditMessage {
            conversation: ConversationId(conversation),
            message: EventId(message),
            body
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(conversation, message)| Operation::RemoveText {
            conversation: ConversationId(conversation),
            message: EventId(message),
        }),
        (any::<u64>(), any::<u64>(), ".{0,40}", any::<bool>()).prop_map(|(conversation, message, emoji, add)| {
            Operation::React { conversation: ConversationId(conversation), message: EventId(message), emoji, add }
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(conversation, up_to)| Operation::MarkRead {
            conversation: ConversationId(conversation),
            up_to: EventId(up_to)
        }),
        (any::<u64>(), vec(any::<u64>(), 0..150), scope).prop_map(|(conversation, messages, scope)| {
            Operation::DeleteMessages {
                conversation: ConversationId(conversation),
                messages: messages.into_iter().map(EventId).collect(),
                scope,
            }
        }),
        any::<u64>().prop_map(|up_to| Operation::MarkDelivered { up_to: EventId(up_to) }),
        ".{0,40}".prop_map(|display_name| Operation::SetDisplayName { display_name }),
        (".{0,40}", any_action(), any::<bool>()).prop_map(|(name, action, by_configuration)| Operation::Administer {
            name,
            action,
            by_configuration
        }),
    ]
}

fn any_action() -> impl Strategy<Value = AdministratorAction> {
    use AdministratorAction::{Delete, Disable, Enable, FreeName, Grant, ResetPassword, Revoke};
    prop_oneof![
        select(vec![Disable, Enable, Delete, FreeName, Grant, Revoke]),
        ".{0,12}".prop_map(|password_hash| ResetPassword { password_hash }),
    ]
}

proptest! {
    /// Commands and entries come back as they went in; cut short or with something behind, they do not come back at all.
    #[test]
    fn encodings_round_trip_and_nothing_less(commands in vec(any_command(), 0..5), time_ms in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let encoded: Vec<Bytes> = commands.iter().map(encode_command).collect();
        for (command, bytes) in commands.iter().zip(&encoded) {
            prop_assert_eq!(&decode_command(bytes).unwrap(), command);
            prop_assert!(decode_command(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(decode_command(&[bytes, &[0][..]].concat()).is_err());
        }
        let entry = pack(time_ms, encoded.iter());
        let unpacked = unpack(&entry).unwrap();
        prop_assert_eq!((unpacked.time_ms, &unpacked.commands), (time_ms, &commands));
        prop_assert!(unpack(&entry[..cut.index(entry.len())]).is_err());
        let mut longer = entry.to_vec();
        longer.push(0);
        prop_assert!(unpack(&longer).is_err());
        longer[0] = 3;
        prop_assert_eq!(unpack(&longer), Err(DecodeError::Version(3)));
    }

    #[test]
    fn random_bytes_are_an_error_and_not_a_panic(mut bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode_command(&bytes);
        let _ = unpack(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let _ = unpack(&bytes);
    }

    /// Damage to sound bytes goes deeper than random ones do.
    #[test]
    fn damaged_bytes_are_no_panic(command in any_command(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = pack(1, [encode_command(&command)].iter()).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = unpack(&bytes);
    }

    /// Whatever decodes can be applied, by anybody, to any state.
    #[test]
    fn every_command_can_be_applied(commands in vec(any_command(), 1..20)) {
        let mut world = World::new();
        let ann = world.register("ann");
        let commands: Vec<_> = commands
            .into_iter()
            .enumerate()
            .map(|(index, command)| match command {
                Command::Write { operation, answered, .. } => {
                    with_answered(ann.request(index as u64 + 1, operation), answered.unwrap_or(0))
                }
                Command::NamedWrite { operation, name, .. } => {
                    named(ann.request(index as u64 + 1, operation), &name.0.to_string())
                }
                other => other,
            })
            .collect();
        prop_assert_eq!(world.apply(&commands).len(), commands.len());
    }
}
