//! The commands of the port, by name.

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Create,
    Login,
    Logout,
    Delete,
    Send,
    History,
    Unread,
    Read,
    DeleteMessages,
    Join,
    Leave,
    List,
    Search,
    Status,
    Help,
}

/// Each with its name, its fields, and what it does.
const COMMANDS: [(Command, &str, &str, &str); 15] = [
    (Command::Create, "create", "src, body = password", "makes an account and logs in"),
    (Command::Login, "login", "src, body = password", "logs in; what is not yet delivered then comes by itself"),
    (Command::Logout, "logout", "", "ends the session; the connection stays"),
    (Command::Delete, "delete", "body = password", "deletes the account that is logged in"),
    (Command::Send, "send", "to = user or #room, body", "sends a message; the answer's body is its id"),
    (
        Command::History,
        "history",
        "to, body = count, or count and an id",
        "shows the last messages, or those before that one",
    ),
    (Command::Unread, "unread", "", "shows who has written how much that is unread"),
    (Command::Read, "read", "to", "marks a conversation as read"),
    (
        Command::DeleteMessages,
        "delete_messages",
        "body = ids, to = everyone or nothing",
        "deletes messages of one conversation, for you or, your own, for everyone",
    ),
    (Command::Join, "join", "to = #room", "joins a room"),
    (Command::Leave, "leave", "to = #room", "leaves a room"),
    (Command::List, "list", "", "shows who is online"),
    (
        Command::Search,
        "search",
        "body = pattern, to = after this name",
        "finds people by a part of the name, or a pattern with *",
    ),
    (Command::Status, "status", "", "shows the servers of the cluster"),
    (Command::Help, "help", "", "shows this"),
];

impl Command {
    /// The command of that name.
    pub fn named(name: &str) -> Option<Self> {
        COMMANDS.iter().find(|(_, known, ..)| *known == name).map(|(command, ..)| *command)
    }

    /// Whether it is put in line behind those of its kind without waiting for their answers.
    pub fn is_in_line(self) -> bool {
        self == Self::Send
    }

    /// Whether it counts among what an account may write.
    pub fn is_write(self) -> bool {
        match self {
            Self::Send | Self::Read | Self::DeleteMessages | Self::Join | Self::Leave => true,
            Self::Create
            | Self::Login
            | Self::Logout
            | Self::Delete
            | Self::History
            | Self::Unread
            | Self::List
            | Self::Search
            | Self::Status
            | Self::Help => false,
        }
    }

    /// Whether it shows what only somebody who is logged in may see.
    pub fn is_read(self) -> bool {
        match self {
            Self::History | Self::Unread | Self::List | Self::Search => true,
            Self::Create
            | Self::Login
            | Self::Logout
            | Self::Delete
            | Self::Send
            | Self::Read
            | Self::DeleteMessages
            | Self::Join
            | Self::Leave
            | Self::Status
            | Self::Help => false,
        }
    }

    /// Whether it is for everybody, logged in or not.
    pub fn is_open(self) -> bool {
        match self {
            Self::Create | Self::Login | Self::Status | Self::Help => true,
            Self::Logout
            | Self::Delete
            | Self::Send
            | Self::History
            | Self::Unread
            | Self::Read
            | Self::DeleteMessages
            | Self::Join
            | Self::Leave
            | Self::List
            | Self::Search => false,
        }
    }
}

/// All commands, one a line.
pub(super) fn help() -> String {
    let line = |(_, name, fields, what): &(Command, &str, &str, &str)| match fields.is_empty() {
        true => format!("{name}: {what}"),
        false => format!("{name} ({fields}): {what}"),
    };
    COMMANDS.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use threefold_proto::framing::Framing;

    use super::*;

    #[test]
    fn a_command_s_length_never_looks_like_json() {
        for (command, name, ..) in COMMANDS {
            assert_eq!(Command::named(name), Some(command));
            assert_eq!(Framing::of_first_byte(name.len() as u8), Framing::Binary, "{name}");
            assert!(help().contains(name));
        }
        assert_eq!(Command::named("Help"), None);
    }
}
