//! What each row of the tables asks, by each way in.

use serde_json::{Value, json};

use super::{files, scene::Scene, ways::Way};

/// One question.
pub struct Question {
    pub call: &'static str,
    /// The call's request, of a write without its request id; on the TCP port the command.
    pub with: Value,
    pub is_write: bool,
}

/// What a row asks; none where that way has no such operation.
pub fn question(scene: &Scene, what: &str, way: Way) -> Option<Question> {
    let Some((call, with, is_write, command)) = asked(scene, what) else { panic!("nobody knows how to ask {what:?}") };
    let with = match way {
        // Files themselves go by gRPC and HTTP, and only they go by HTTP.
        Way::Grpc => with["thumbnail"].is_null().then_some(with),
        Way::WebSocket => (!files::CALLS.contains(&call)).then_some(with),
        Way::Http => files::CALLS.contains(&call).then_some(with),
        Way::Tcp => command,
    };
    Some(Question { call, with: with?, is_write })
}

/// The call, its request, whether it is a write, and the command of the TCP port for the same.
type Asked = (&'static str, Value, bool, Option<Value>);

fn asked(scene: &Scene, what: &str) -> Option<Asked> {
    // In a direct conversation the same is asked of its message, and by its number.
    let plain = what.strip_suffix(" (directly)").unwrap_or(what);
    let plain = plain.strip_suffix(", directly)").map_or(plain.to_owned(), |rest| format!("{rest})"));
    let directly = || if plain == what { None } else { directly(scene, &plain) };
    directly()
        .or_else(|| in_room(scene, &plain))
        .or_else(|| on_message(scene, &plain))
        .or_else(|| on_account(scene, &plain))
}

fn command(cmd: &str, to: &str, body: &str) -> Option<Value> {
    Some(json!({"cmd": cmd, "to": to, "body": body}))
}

/// What names a room elsewhere names the conversation here.
fn directly(scene: &Scene, what: &str) -> Option<Asked> {
    let place = json!({"conversation": scene.conversation});
    let write = |call, field: &str, with: Value| (call, json!({field: with}), true, None);
    Some(match what {
        "send_message" => write("send_message", "send", json!({"to": place, "body": "words"})),
        "send_message (an answer)" => {
            write("send_message", "send", json!({"to": place, "body": "words", "reply_to": scene.message}))
        }
        "history" => ("history", json!({"in": place, "limit": 5}), false, None),
        "search_messages (in it)" => ("search_messages", json!({"query": "message", "in": place}), false, None),
        "mark_read" => write("mark_read", "mark", json!({"in": place})),
        _ => return None,
    })
}

fn in_room(scene: &Scene, what: &str) -> Option<Asked> {
    let room = json!({"room": scene.room});
    let hash = format!("#{}", scene.room);
    let write = |call, field: &str, with: Value| (call, json!({field: with}), true, None);
    let with_tcp = |asked: Asked, command| (asked.0, asked.1, asked.2, command);
    Some(match what {
        "send_message" => with_tcp(
            write("send_message", "send", json!({"to": room, "body": "words"})),
            command("send", &hash, "words"),
        ),
        "history" => ("history", json!({"in": room, "limit": 5}), false, command("history", &hash, "5")),
        "search_messages (in it)" => ("search_messages", json!({"query": "message", "in": room}), false, None),
        "mark_read" => with_tcp(write("mark_read", "mark", json!({"in": room})), command("read", &hash, "")),
        "get_room" => ("get_room", json!({"room": room}), false, None),
        "list_rooms (by its name)" => ("list_rooms", json!({"pattern": scene.room}), false, None),
        "list_members" => ("list_members", json!({"room": room}), false, None),
        "join_room" => with_tcp(write("join_room", "join", json!({"room": room})), command("join", &hash, "")),
        "leave_room" => with_tcp(write("leave_room", "leave", json!({"room": room})), command("leave", &hash, "")),
        "decline_invitation" => write("decline_invitation", "decline", json!({"room": room})),
        "invite_to_room" => write("invite_to_room", "invite", json!({"room": room, "user": "person"})),
        "remove_from_room (a member)" => write("remove_from_room", "remove", json!({"room": room, "user": "somebody"})),
        "remove_from_room (an owner)" => write("remove_from_room", "remove", json!({"room": room, "user": "owner"})),
        "set_role" => write("set_role", "set", json!({"room": room, "user": "somebody", "role": "moderator"})),
        "change_room (topic)" => write("change_room", "change", json!({"room": room, "topic": "leaves"})),
        "change_room (name)" => write("change_room", "change", json!({"room": room, "name": scene.next_name()})),
        "change_room (public)" => write("change_room", "change", json!({"room": room, "public": true})),
        "create_webhook" => {
            let token = "7b7c".repeat(16);
            write("create_webhook", "create", json!({"room": room, "name": scene.next_name(), "token": token}))
        }
        "list_webhooks" => ("list_webhooks", json!({"room": room}), false, None),
        "delete_webhook" => write("delete_webhook", "delete", json!({"webhook": scene.webhook})),
        "delete_messages (a webhook's, for everyone)" => {
            let with = json!({"messages": [scene.posted], "for_everyone": true});
            let tcp = command("delete_messages", "everyone", &scene.posted.to_string());
            with_tcp(write("delete_messages", "delete", with), tcp)
        }
        _ => return None,
    })
}

fn on_message(scene: &Scene, what: &str) -> Option<Asked> {
    let (message, room) = (scene.message, json!({"room": scene.room}));
    let write = |call, field: &str, with: Value| (call, json!({field: with}), true, None);
    let delete = |message: u64, everyone: bool| {
        let with = json!({"delete": {"messages": [message], "for_everyone": everyone}});
        let to = if everyone { "everyone" } else { "" };
        ("delete_messages", with, true, command("delete_messages", to, &message.to_string()))
    };
    Some(match what {
        "get_messages" => ("get_messages", json!({"messages": [message]}), false, None),
        "list_reactions" => ("list_reactions", json!({"message": message}), false, None),
        "list_attachments" => ("list_attachments", json!({"message": message}), false, None),
        "download_attachment" => {
            let with = json!({"conversation": scene.conversation, "message": message, "attachment": scene.attachment});
            ("download_attachment", with, false, None)
        }
        "download_attachment (a thumbnail, by HTTP)" => {
            let with = json!({
                "conversation": scene.conversation,
                "message": message,
                "attachment": scene.attachment,
                "thumbnail": true,
            });
            ("download_attachment", with, false, None)
        }
        "send_message (an answer)" => {
            write("send_message", "send", json!({"to": room, "body": "words", "reply_to": message}))
        }
        "react" => write("react", "react", json!({"message": message, "emoji": "👍"})),
        "edit_message" => write("edit_message", "edit", json!({"message": message, "body": "other words"})),
        "delete_messages (for oneself)" => delete(message, false),
        "delete_messages (for everyone)" => delete(message, true),
        "edit_message (one's own)" => {
            write("edit_message", "edit", json!({"message": scene.own_message, "body": "other words"}))
        }
        "delete_messages (one's own, for everyone)" => delete(scene.own_message, true),
        _ => return None,
    })
}

fn on_account(scene: &Scene, what: &str) -> Option<Asked> {
    let write = |call, field: &str, with: Value| (call, json!({field: with}), true, None);
    let read = |call, with: Value| (call, with, false, None);
    let act = |action: &str| {
        let with = json!({"administer": {"name": "somebody", "action": {action: {}}}});
        ("administer", with, true, None)
    };
    let token = "6d6e".repeat(16);
    Some(match what {
        "who_am_i" => read("who_am_i", json!({})),
        "set_display_name" => write("set_display_name", "set", json!({"display_name": "Name"})),
        "search_accounts" => ("search_accounts", json!({"pattern": "owner"}), false, command("search", "", "owner")),
        "list_online" => ("list_online", json!({}), false, command("list", "", "")),
        "list_sessions" => read("list_sessions", json!({})),
        "end_session (one's own)" => read("end_session", json!({"session": scene.own_session})),
        "end_session (another's)" => read("end_session", json!({"session": scene.foreign_session})),
        "open_instance" => read("open_instance", json!({"nonce": 7})),
        "list_conversations (of none)" => ("list_conversations", json!({}), false, command("unread", "", "")),
        "list_rooms (by what none is called)" => read("list_rooms", json!({"pattern": "nothing-is-called-so"})),
        "list_invitations (only the person has one)" => read("list_invitations", json!({})),
        "search_messages" => read("search_messages", json!({"query": "nothingsaysthis"})),
        "upload_attachment" => read("upload_attachment", json!({"name": "picture.png"})),
        "send_message (with another's upload)" => {
            let with = json!({"to": {"user": "somebody"}, "attachments": [scene.foreign_upload]});
            write("send_message", "send", with)
        }
        "discard_attachment" => read("discard_attachment", json!({"attachment": scene.upload})),
        "discard_attachment (another's)" => read("discard_attachment", json!({"attachment": scene.upload})),
        "create_room" => write("create_room", "create", json!({"name": scene.next_name()})),
        "send_message (to somebody)" => (
            "send_message",
            json!({"send": {"to": {"user": "somebody"}, "body": "words"}}),
            true,
            command("send", "somebody", "words"),
        ),
        "administer (disable)" => act("disable"),
        "administer (enable)" => act("enable"),
        "list_administration" => read("list_administration", json!({})),
        "change_password" => {
            let (old, new) = (&scene.secret, "correct horse");
            read("change_password", json!({"old_password": old, "new_password": new}))
        }
        "delete_account" => {
            let tcp = Some(json!({"cmd": "delete", "body": scene.secret}));
            ("delete_account", json!({"password": scene.secret}), false, tcp)
        }
        "create_bot" => write("create_bot", "create", json!({"name": scene.next_name(), "token": token})),
        "list_bots" => read("list_bots", json!({})),
        "set_bot_token (one's own)" => write("set_bot_token", "set", json!({"name": scene.own_bot, "token": token})),
        "delete_bot (one's own)" => write("delete_bot", "delete", json!({"name": scene.own_bot})),
        "set_bot_token (another's)" => {
            write("set_bot_token", "set", json!({"name": scene.foreign_bot, "token": token}))
        }
        "delete_bot (another's)" => write("delete_bot", "delete", json!({"name": scene.foreign_bot})),
        _ => return None,
    })
}
