//! The scripts' lines about rooms.

use goldenscript::{ArgumentConsumer, Command as Line};
use threefold_core::{Operation, Recipient, Reply, Role, query};

use super::{Said, Stage, listed};
use crate::world::say;

fn called(name: &str) -> Recipient {
    Recipient::Room(name.to_owned())
}

fn text(args: &mut ArgumentConsumer<'_>, what: &str) -> Result<String, Box<dyn std::error::Error>> {
    Ok(args.next_pos().ok_or_else(|| format!("{what}?"))?.value.clone())
}

impl Stage {
    pub(super) fn change_room(&mut self, label: &str, line: &Line, args: &mut ArgumentConsumer<'_>) -> Option<Said> {
        let known = ["create-room", "join", "leave", "say", "invite", "remove", "role", "change", "decline"];
        known.contains(&line.name.as_str()).then(|| {
            let operation = operation(&line.name, args)?;
            let said = self.write(label, args, operation.clone())?;
            self.learn_room(&operation);
            Ok(said)
        })
    }

    fn learn_room(&mut self, operation: &Operation) {
        if let (Operation::CreateRoom { name, .. }, Some(Reply::RoomCreated { conversation, .. })) =
            (operation, self.world.applied.replies.first())
        {
            self.rooms.insert(name.clone(), *conversation);
        }
    }

    pub(super) fn list_rooms(&self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let reader = self.device(label)?.account;
        let pattern = args.next_pos().map_or("", |argument| &argument.value);
        let found = query::rooms(&self.world.store, reader, pattern, None, 50)?.items;
        Ok(listed(found.iter().map(Self::describe_room)))
    }

    pub(super) fn list_members(&self, label: &str, args: &mut ArgumentConsumer<'_>) -> Said {
        let reader = self.device(label)?.account;
        match query::members(&self.world.store, reader, &called(&text(args, "which room")?), None, 50)? {
            Ok(found) => Ok(listed(found.items.iter().map(|member| self.describe_member(member)))),
            Err(rejection) => Ok(format!("refused: {rejection}")),
        }
    }

    pub(super) fn list_invitations(&self, label: &str) -> Said {
        let found = query::invitations(&self.world.store, self.device(label)?.account)?;
        Ok(listed(found.iter().map(|invitation| self.describe_invitation(invitation))))
    }
}

fn operation(name: &str, args: &mut ArgumentConsumer<'_>) -> Result<Operation, Box<dyn std::error::Error>> {
    let room = text(args, "which room")?;
    Ok(match name {
        "create-room" => {
            let topic = args.lookup("topic").map_or(String::new(), |argument| argument.value.clone());
            Operation::CreateRoom { name: room, topic, public: !args.lookup_parse("private")?.unwrap_or(false) }
        }
        "join" => Operation::JoinRoom { room: called(&room) },
        "leave" => Operation::LeaveRoom { room: called(&room) },
        "decline" => Operation::DeclineInvitation { room: called(&room) },
        "say" => say(&room, &text(args, "what")?),
        "invite" => Operation::InviteToRoom { room: called(&room), user: text(args, "whom")? },
        "remove" => Operation::RemoveFromRoom { room: called(&room), user: text(args, "whom")? },
        "role" => {
            let user = text(args, "whose")?;
            let role = match text(args, "which role")?.as_str() {
                "member" => Role::Member,
                "moderator" => Role::Moderator,
                "owner" => Role::Owner,
                other => return Err(format!("no role {other}").into()),
            };
            Operation::SetRole { room: called(&room), user, role }
        }
        "change" => Operation::ChangeRoom {
            room: called(&room),
            name: args.lookup("name").map(|argument| argument.value.clone()),
            topic: args.lookup("topic").map(|argument| argument.value.clone()),
            public: args.lookup_parse("public")?,
        },
        other => return Err(format!("no such command: {other}").into()),
    })
}
