//! What is typed behind a slash, and the keys of a selected message.

use std::path::PathBuf;

use crossterm::event::KeyCode;
use threefold_client::{
    RoomChanges, To,
    chat::{Message, Role},
};

use super::{go_to, keys, next_unread, open_direct, outbox, overlays, sending, to_bottom, unsent};
use crate::chat::{
    conversation::Conversation,
    model::{Composing, Effect, Model, Write},
    overlay::{Answer, Overlay},
    text::{as_typed, one_line},
};

/// A command, and how it is explained.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub name: &'static str,
    pub arguments: &'static str,
    pub help: &'static str,
}

const fn command(name: &'static str, arguments: &'static str, help: &'static str) -> Command {
    Command { name, arguments, help }
}

/// All of them, in the order in which they are explained.
pub const COMMANDS: &[Command] = &[
    command("msg", "NAME [TEXT]", "talk with somebody"),
    command("join", "#ROOM", "become a member of a room and go there"),
    command("leave", "", "be no member of this room any more"),
    command("rooms", "[PATTERN]", "list rooms: yours, and the public ones"),
    command("invitations", "", "list the rooms you are invited to"),
    command("room", "NAME [TOPIC]", "make a room (room-private: one that only who is invited finds)"),
    command("room-private", "NAME [TOPIC]", "make a room that only who is invited finds"),
    command("topic", "[TEXT]", "show what this room is about, or say so (-: nothing any more)"),
    command("rename", "NAME", "give this room another name"),
    command("public", "", "let anybody find this room and join"),
    command("private", "", "let only those join this room who are invited"),
    command("invite", "NAME", "let somebody join this room"),
    command("remove", "NAME", "take somebody out of this room"),
    command("role", "NAME member|moderator|owner", "say what a member of this room may do"),
    command("members", "", "list who is in this room"),
    command("decline", "#ROOM", "turn an invitation down"),
    command("reply", "TEXT", "answer the selected message, or the last one"),
    command("edit", "[TEXT]", "change the selected message of yours, or the last one"),
    command("react", "EMOJI", "react to the selected message, or the last one; again: take it back"),
    command("delete", "[everyone]", "delete the selected message for you, or your own for everyone"),
    command("attach", "PATH [TEXT]", "send a file"),
    command("save", "[DIRECTORY]", "save the files of the selected message, or the last ones"),
    command("search", "WORDS", "find messages that say all these words; hel* stands for all that begin so"),
    command("find", "WORDS", "the same, in this conversation only"),
    command("unread", "", "go where something is unread"),
    command("who", "[PATTERN]", "list people, and who is online"),
    command("name", "[TEXT]", "show what people are shown beside your name, or choose it (-: nothing any more)"),
    command("status", "", "show the cluster's servers"),
    command("retry", "", "send again what was not sent, or perhaps not"),
    command("discard", "", "give that up; ↑ has the texts"),
    command("unsent", "", "list refused edits, and what earlier chats left"),
    command("mouse", "on|off", "let the terminal have the mouse, to mark and copy"),
    command("help", "", "show keys and commands"),
    command("quit", "", "leave"),
];

/// Carries out what was typed behind the slash.
pub fn run(model: &mut Model, line: &str) {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match name.to_lowercase().as_str() {
        "msg" | "m" | "query" => talk(model, rest),
        "join" | "j" if !rest.is_empty() => go_to(model, &format!("#{}", bare(rest))),
        "leave" | "part" => leave(model, rest),
        "rooms" | "list" => overlays::ask_rooms(model, rest),
        "invitations" => overlays::ask_invitations(model),
        "room" | "create" => create(model, rest, true),
        "room-private" => create(model, rest, false),
        "topic" => topic(model, rest),
        "rename" if !rest.is_empty() => {
            change(model, RoomChanges { name: Some(bare(rest).to_owned()), ..RoomChanges::default() });
        }
        "public" => change(model, RoomChanges { public: Some(true), ..RoomChanges::default() }),
        "private" => change(model, RoomChanges { public: Some(false), ..RoomChanges::default() }),
        "invite" if !rest.is_empty() => {
            let user = rest.trim_start_matches('@').to_owned();
            let done = format!("{} may join now", one_line(&user));
            in_room(model, |room| Write::Invite { room, user }, &done);
        }
        "remove" | "kick" if !rest.is_empty() => {
            remove(model, rest.trim_start_matches('@'));
        }
        "role" => role(model, rest),
        "members" | "names" => overlays::ask_members(model),
        "decline" if !rest.is_empty() => {
            let room = To::Room(bare(rest).to_owned());
            model.write(Write::Decline(room), format!("declined the invitation to #{}", one_line(bare(rest))));
        }
        "reply" | "r" => with_target(model, |_| true, |model, message| reply(model, message.id, rest)),
        "edit" | "e" => with_own(model, |model, message| edit(model, &message, rest)),
        "react" if !rest.is_empty() => {
            with_target(
                model,
                |_| true,
                |model, message| {
                    sending::react(model, message.id, rest);
                },
            );
        }
        "delete" | "rm" => delete(model, rest == "everyone" || rest == "all"),
        "attach" | "send" if !rest.is_empty() => attach(model, rest),
        "save" | "download" => save(model, rest),
        "search" | "s" if !rest.is_empty() => overlays::ask_search(model, rest, false),
        "find" if !rest.is_empty() => overlays::ask_search(model, rest, true),
        "unread" => next_unread(model),
        "who" | "online" | "users" => overlays::ask_users(model, rest),
        "name" => name_shown(model, rest),
        "status" => overlays::ask_status(model),
        "retry" => outbox::retry(model),
        "discard" => outbox::discard(model),
        "unsent" => unsent::show(model),
        "mouse" => {
            model.mouse = if rest.is_empty() { !model.mouse } else { rest == "on" };
            model.effect(Effect::Mouse(model.mouse));
        }
        "help" | "h" | "?" => model.overlay = Some(Overlay::Help { from: 0 }),
        "quit" | "q" | "exit" => keys::quit(model),
        known => match COMMANDS.iter().find(|command| command.name == known) {
            Some(command) => model.complain(format!("write /{} {}: {}", command.name, command.arguments, command.help)),
            None => {
                model.complain(format!("there is no command /{}: see /help, or write // for a message", one_line(name)))
            }
        },
    }
}

/// A key while a message is selected and nothing is typed. False if it means nothing here.
pub fn on_selected(model: &mut Model, selected: u64, key: KeyCode, shift: bool) -> bool {
    match key {
        KeyCode::Up | KeyCode::Char('k') => keys::select(model, true),
        KeyCode::Down | KeyCode::Char('j') => keys::select(model, false),
        KeyCode::Enter | KeyCode::Char('r') => reply(model, selected, ""),
        KeyCode::Char('e') => with_own(model, |model, message| edit(model, &message, "")),
        KeyCode::Char('x' | '+') => model.composing = Composing::React(selected),
        // No letter: nobody should delete by typing a word whose next letter says yes.
        KeyCode::Delete => delete(model, shift),
        KeyCode::Char('s') => save(model, ""),
        KeyCode::Char('o') => original(model, selected),
        KeyCode::Char('w') => overlays::ask_reactions(model, selected),
        KeyCode::Char('y') => copy(model, selected),
        KeyCode::Char('g') | KeyCode::Home => super::scroll(model, isize::MAX),
        KeyCode::Char('G') | KeyCode::End => to_bottom(model),
        KeyCode::Char('/') => return false,
        KeyCode::Char(_) => model.say("a message is selected: Esc to write"),
        _ => return false,
    }
    true
}

fn bare(name: &str) -> &str {
    name.trim().trim_start_matches('#')
}

fn talk(model: &mut Model, rest: &str) {
    let (name, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = name.trim_start_matches('@');
    if name.is_empty() {
        overlays::switcher(model);
        return;
    }
    if text.trim().is_empty() {
        go_to(model, name);
    } else {
        open_direct(model, name);
        sending::send(model, text.trim().to_owned(), 0, Vec::new());
    }
}

fn leave(model: &mut Model, rest: &str) {
    let room = if rest.is_empty() {
        model.current().filter(|current| current.is_room()).map(|current| (current.to(), current.title()))
    } else {
        Some((To::Room(bare(rest).to_owned()), format!("#{}", bare(rest))))
    };
    match room {
        Some((to, title)) => {
            let answer = Effect::Write { what: Write::LeaveRoom(to), done: format!("left {}", one_line(&title)) };
            let text = format!("Leave {}?", one_line(&title));
            model.overlay = Some(Overlay::Question { text, answer: Answer::Do(Box::new(answer)) });
        }
        None => model.complain("this is no room: /leave #ROOM"),
    }
}

fn create(model: &mut Model, rest: &str, public: bool) {
    let (name, topic) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (name, topic) = (bare(name).to_owned(), topic.trim().to_owned());
    if name.is_empty() {
        model.complain("write /room NAME [TOPIC]");
        return;
    }
    let done = format!("made #{}", one_line(&name));
    model.write(Write::CreateRoom { name, topic, public }, done);
}

fn in_room(model: &mut Model, what: impl FnOnce(To) -> Write, done: &str) {
    match model.current().filter(|current| current.is_room()).map(Conversation::to) {
        Some(room) => model.write(what(room), done),
        None => model.complain("this is no room: go to one first"),
    }
}

fn change(model: &mut Model, changes: RoomChanges) {
    in_room(model, |room| Write::ChangeRoom { room, changes }, "");
}

fn topic(model: &mut Model, rest: &str) {
    let shown = match model.current().and_then(Conversation::room) {
        None => {
            model.complain("this is no room: go to one first");
            return;
        }
        Some(room) if room.topic.is_empty() => "this room has no topic: /topic TEXT gives it one".to_owned(),
        Some(room) => format!("the topic is: {} (/topic - takes it away)", one_line(&room.topic)),
    };
    if rest.is_empty() {
        model.say(shown);
    } else {
        change(model, RoomChanges { topic: Some(unless_dash(rest)), ..RoomChanges::default() });
    }
}

fn name_shown(model: &mut Model, rest: &str) {
    match rest {
        "" => model.effect(Effect::ShowName),
        "-" => model.write(Write::DisplayName(String::new()), "nothing is shown beside your name from now on"),
        name => model.write(Write::DisplayName(name.to_owned()), "people are shown that name from now on"),
    }
}

/// What was said, or nothing.
fn unless_dash(rest: &str) -> String {
    if rest == "-" { String::new() } else { rest.to_owned() }
}

fn remove(model: &mut Model, user: &str) {
    let Some((room, title)) =
        model.current().filter(|current| current.is_room()).map(|current| (current.to(), current.title()))
    else {
        model.complain("this is no room: go to one first");
        return;
    };
    let answer = Effect::Write { what: Write::Remove { room, user: user.to_owned() }, done: String::new() };
    let text = format!("Take {} out of {}?", one_line(user), one_line(&title));
    model.overlay = Some(Overlay::Question { text, answer: Answer::Do(Box::new(answer)) });
}

fn role(model: &mut Model, rest: &str) {
    let mut words = rest.split_whitespace();
    let (user, role) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let role = match role {
        "member" => Role::Member,
        "moderator" => Role::Moderator,
        "owner" => Role::Owner,
        _ => {
            model.complain("write /role NAME member, moderator or owner");
            return;
        }
    };
    let user = user.trim_start_matches('@').to_owned();
    in_room(model, |room| Write::SetRole { room, user, role }, "");
}

/// Does something with the selected message, or with the last one that will do.
fn with_target(model: &mut Model, will_do: impl Fn(&Message) -> bool, then: impl FnOnce(&mut Model, Message)) {
    let found = model.current().and_then(|current| match current.selected {
        Some(selected) => current.message(selected).filter(|message| will_do(message)),
        None => current.messages_back().find(|message| !message.deleted && will_do(message)),
    });
    match found.cloned() {
        Some(message) => then(model, message),
        None => model.complain("there is no such message here: select one with Ctrl-Up, or click it"),
    }
}

fn with_own(model: &mut Model, then: impl FnOnce(&mut Model, Message)) {
    let account = model.account;
    with_target(model, |message| message.author == account && !message.deleted, then);
}

fn reply(model: &mut Model, message: u64, text: &str) {
    if text.is_empty() {
        model.composing = Composing::Reply(message);
    } else {
        sending::send(model, text.to_owned(), message, Vec::new());
        model.composing = Composing::Message;
    }
    if let Some(current) = model.current_mut() {
        current.selected = None;
    }
}

/// Goes to the message that this one answers.
fn original(model: &mut Model, selected: u64) {
    match model.message(selected).map(|(_, message)| (message.conversation, message.reply_to)) {
        Some((_, 0)) | None => model.say("this message answers none"),
        Some((conversation, message)) => overlays::show_message(model, conversation, message),
    }
}

fn copy(model: &mut Model, selected: u64) {
    let body = model.message(selected).map(|(_, message)| message.body.clone()).unwrap_or_default();
    if body.is_empty() {
        model.say("there is no text in it");
    } else {
        model.effect(Effect::Copy(body));
        model.say("given to the terminal to paste elsewhere, if it takes it");
    }
}

fn edit(model: &mut Model, message: &Message, text: &str) {
    if text.is_empty() {
        model.editor.set(&as_typed(&message.body));
        model.composing = Composing::Edit(message.id);
    } else {
        model.write(Write::Edit { message: message.id, body: text.to_owned() }, "");
    }
    if let Some(current) = model.current_mut() {
        current.selected = None;
    }
}

fn delete(model: &mut Model, everyone: bool) {
    let account = model.account;
    let will_do = |message: &Message| !everyone || (message.author == account && !message.deleted);
    with_target(model, will_do, |model, message| {
        let (conversation, id) = (message.conversation, message.id);
        let what = Write::Delete { conversation, message: id, everyone };
        let whom = if everyone { "for everyone" } else { "for you" };
        let text = format!("Delete {whom}: {}", one_line(&message.body));
        let answer = Answer::Do(Box::new(Effect::Write { what, done: String::new() }));
        model.overlay = Some(Overlay::Question { text, answer });
    });
}

/// A path with spaces is written in quotes.
fn attach(model: &mut Model, rest: &str) {
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let (path, text) = quoted.or_else(|| rest.split_once(char::is_whitespace)).unwrap_or((rest, ""));
    // What was begun as an answer is one, with a file too.
    let reply_to = match model.composing {
        Composing::Reply(message) => message,
        Composing::Message | Composing::Edit(_) | Composing::React(_) | Composing::Again(_) => 0,
    };
    if sending::send(model, text.trim().to_owned(), reply_to, vec![expanded(path)]) {
        model.composing = Composing::Message;
    }
}

fn save(model: &mut Model, rest: &str) {
    let directory = if rest.is_empty() { PathBuf::from(".") } else { expanded(rest.trim_matches('"')) };
    let has_files = |message: &Message| !message.attachments.is_empty();
    with_target(model, has_files, |model, message| {
        model.say("saving …");
        model.effect(Effect::Save { message, directory });
    });
}

/// `~/` as the shell would have it.
pub fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
