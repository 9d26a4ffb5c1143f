//! The stored formats of commands, of the log's entries, and of replies.

use super::*;

pub(super) fn samples() -> Vec<Sample> {
    commands().into_iter().chain(entries()).chain(replies()).collect()
}

fn commands() -> Vec<Sample> {
    let (name, password_hash, device) = ("Ann".to_owned(), "$argon2id$".to_owned(), "phone".to_owned());
    let (account, session, credential_version) = (AccountId(4096), TOKEN, 2);
    let conversation = ConversationId(8192);
    let body = "hello".to_owned();
    vec![
        command(
            "register",
            Command::Register { name, password_hash: password_hash.clone(), token_hash: TOKEN, device: device.clone() },
        ),
        command("log in", Command::LogIn { account, credential_version, token_hash: TOKEN, device }),
        command("log out", Command::EndSession { session, target: None }),
        command("end session", Command::EndSession { session, target: Some(SessionId(4097)) }),
        command("delete account", Command::DeleteAccount { session, credential_version }),
        command("open instance", Command::OpenInstance { session, nonce: 9 }),
        command("renew session", Command::RenewSession { session }),
        command("change password", Command::ChangePassword { session, credential_version, password_hash }),
        write(
            "send to a user",
            Operation::SendMessage {
                to: Recipient::User("bob".to_owned()),
                body: body.clone(),
                reply_to: None,
                attachments: None,
            },
        ),
        write(
            "send to a conversation",
            Operation::SendMessage {
                to: Recipient::Conversation(conversation),
                body: body.clone(),
                reply_to: None,
                attachments: None,
            },
        ),
        write(
            "send as an answer",
            Operation::SendMessage {
                to: Recipient::Conversation(conversation),
                body: body.clone(),
                reply_to: Some(EventId(8193)),
                attachments: None,
            },
        ),
        write("edit message", Operation::EditMessage { conversation, message: EventId(8193), body }),
        write("remove text", Operation::RemoveText { conversation, message: EventId(8193) }),
        write("react", Operation::React { conversation, message: EventId(8193), emoji: "👍".to_owned(), add: true }),
        write("mark read", Operation::MarkRead { conversation, up_to: EventId(8193) }),
        write(
            "delete for me",
            Operation::DeleteMessages { conversation, messages: vec![EventId(8193)], scope: DeleteScope::Me },
        ),
        write(
            "delete for everyone",
            Operation::DeleteMessages {
                conversation,
                messages: vec![EventId(8193), EventId(8194)],
                scope: DeleteScope::Everyone,
            },
        ),
        write("mark delivered", Operation::MarkDelivered { up_to: EventId(8193) }),
        command(
            "write that says what was answered",
            Command::Write {
                session,
                request: RequestId { instance: 2, number: 3 },
                operation: Operation::MarkDelivered { up_to: EventId(8193) },
                answered: Some(2),
            },
        ),
        command("mark seen", Command::MarkSeen { accounts: vec![AccountId(4096), AccountId(8192)] }),
        write("set display name", Operation::SetDisplayName { display_name: "Ann Ö.".to_owned() }),
        administer("disable", AdministratorAction::Disable),
        administer("enable", AdministratorAction::Enable),
        administer("reset password", AdministratorAction::ResetPassword { password_hash: "$argon2id$".to_owned() }),
        administer("delete by an administrator", AdministratorAction::Delete),
        administer("free name", AdministratorAction::FreeName),
        administer("grant", AdministratorAction::Grant),
        administer("revoke", AdministratorAction::Revoke),
        command(
            "named write",
            Command::NamedWrite {
                session,
                request: RequestId { instance: 2, number: 3 },
                operation: Operation::MarkDelivered { up_to: EventId(8193) },
                answered: None,
                name: RequestName::of("a"),
            },
        ),
    ]
    .into_iter()
    .chain(commands_of_rooms())
    .collect()
}

fn commands_of_rooms() -> Vec<Sample> {
    let room = || Recipient::Room("tea".to_owned());
    let (name, user) = (|| "tea".to_owned(), || "bob".to_owned());
    vec![
        write(
            "send to a room",
            Operation::SendMessage { to: room(), body: "hello".to_owned(), reply_to: None, attachments: None },
        ),
        write("create room", Operation::CreateRoom { name: name(), topic: "leaves".to_owned(), public: true }),
        write("join room", Operation::JoinRoom { room: room() }),
        write("leave room", Operation::LeaveRoom { room: Recipient::Conversation(ConversationId(12288)) }),
        write("invite to room", Operation::InviteToRoom { room: room(), user: user() }),
        write("remove from room", Operation::RemoveFromRoom { room: room(), user: user() }),
        write("set role to member", Operation::SetRole { room: room(), user: user(), role: Role::Member }),
        write("set role to moderator", Operation::SetRole { room: room(), user: user(), role: Role::Moderator }),
        write("set role to owner", Operation::SetRole { room: room(), user: user(), role: Role::Owner }),
        write("rename room", Operation::ChangeRoom { room: room(), name: Some(name()), topic: None, public: None }),
        write(
            "change room",
            Operation::ChangeRoom { room: room(), name: None, topic: Some(String::new()), public: Some(true) },
        ),
        write("decline invitation", Operation::DeclineInvitation { room: room() }),
    ]
}

fn administer(name: &'static str, action: AdministratorAction) -> Sample {
    write(name, Operation::Administer { name: "bob".to_owned(), action, by_configuration: true })
}

/// Entries of the log, whole.
fn entries() -> Vec<Sample> {
    let session = entry::encode_command(&Command::RenewSession { session: TOKEN });
    let entry = |name, rule| {
        let bytes = entry::pack_under(rule, 1_700_000_000_000, [session.clone(), session.clone()].iter());
        let unpacked = entry::unpack(&bytes).unwrap();
        assert_eq!(unpacked.mentions, rule);
        let commands: Vec<_> = unpacked.commands.iter().map(entry::encode_command).collect();
        let again = entry::pack_under(unpacked.mentions, unpacked.time_ms, commands.iter()).to_vec();
        Sample { name, bytes: bytes.to_vec(), again }
    };
    vec![entry("entry", MentionRule::Plain), entry("entry with slanted mentions", MentionRule::Slanted)]
}

/// Replies are stored too: in windows.
fn replies() -> Vec<Sample> {
    let refused = |name, rejection| reply(name, Reply::Rejected(rejection));
    vec![
        reply(
            "session opened",
            Reply::SessionOpened {
                account: AccountId(4096),
                session: SessionId(4097),
                instance: 1,
                name: "Ann".to_owned(),
                expires_at_ms: 2,
                delivered_up_to: 3,
            },
        ),
        reply("instance opened", Reply::InstanceOpened { instance: 2 }),
        reply("message sent", Reply::MessageSent { conversation: ConversationId(1), event: EventId(2), time_ms: 3 }),
        reply("done", Reply::Done),
        refused("session invalid", Rejection::SessionInvalid),
        refused("name taken", Rejection::NameTaken),
        refused("invalid", Rejection::Invalid("x".to_owned())),
        refused("unknown user", Rejection::UnknownUser("x".to_owned())),
        refused("unknown conversation", Rejection::UnknownConversation),
        refused("unknown message", Rejection::UnknownMessage(EventId(1))),
        refused("forbidden", Rejection::Forbidden("x".to_owned())),
        refused("wrong credential", Rejection::WrongCredential),
        refused("out of order", Rejection::OutOfOrder { expected: 1 }),
        refused("request mismatch", Rejection::RequestMismatch),
        refused("reply forgotten", Rejection::ReplyForgotten),
        refused("unknown instance", Rejection::UnknownInstance),
        refused("unknown session", Rejection::UnknownSession(SessionId(1))),
        refused("account disabled", Rejection::AccountDisabled),
        refused("not administrator", Rejection::NotAdministrator),
        refused("message deleted", Rejection::MessageDeleted(EventId(1))),
        refused("too many reactions", Rejection::TooManyReactions(20)),
        reply("room created", Reply::RoomCreated { conversation: ConversationId(1), event: EventId(2) }),
        refused("unknown room", Rejection::UnknownRoom("x".to_owned())),
        refused("room name taken", Rejection::RoomNameTaken("x".to_owned())),
        refused("not in room", Rejection::NotInRoom("x".to_owned())),
        refused("not invited", Rejection::NotInvited("x".to_owned())),
        refused("limit reached", Rejection::LimitReached("x".to_owned())),
    ]
}
