//! Completion: of commands, names, rooms, emoji, and paths (which only the outside knows).

use super::people;
use crate::chat::{
    conversation::Conversation,
    model::{Completing, Completion, Effect, Model, Request},
    text::one_line,
    update::COMMANDS,
};

/// Emoji by the names they are known by.
const EMOJI: [(&str, &str); 24] = [
    ("+1", "👍"),
    ("-1", "👎"),
    ("heart", "❤️"),
    ("joy", "😂"),
    ("smile", "😄"),
    ("grin", "😁"),
    ("wink", "😉"),
    ("thinking", "🤔"),
    ("cry", "😢"),
    ("sob", "😭"),
    ("open_mouth", "😮"),
    ("angry", "😠"),
    ("tada", "🎉"),
    ("fire", "🔥"),
    ("rocket", "🚀"),
    ("eyes", "👀"),
    ("clap", "👏"),
    ("pray", "🙏"),
    ("wave", "👋"),
    ("ok", "👌"),
    ("100", "💯"),
    ("check", "✅"),
    ("x", "❌"),
    ("warning", "⚠️"),
];
/// Choices of one completion.
const MOST: usize = 50;

/// The emoji that is known by this name, with colons around it or not.
pub fn emoji_called(name: &str) -> Option<&'static str> {
    let name = name.trim_matches(':').to_lowercase();
    EMOJI.iter().find(|(known, _)| *known == name).map(|(_, emoji)| *emoji)
}

/// The next (or previous) choice; the first time, looks what there is to choose.
pub fn next(model: &mut Model, forward: bool) {
    if model.completion.is_none() {
        begin(model);
        return;
    }
    let Some(completion) = &mut model.completion else { return };
    let all = completion.choices.len();
    completion.index = (completion.index + if forward { 1 } else { all - 1 }) % all;
    apply(model);
}

fn begin(model: &mut Model) {
    let word = model.editor.word();
    let text = model.editor.text().to_owned();
    let (start, typed) = (word.start, text[word].to_owned());
    let command = text[..start].split_whitespace().next().and_then(|first| first.strip_prefix('/'));
    if command == Some("attach") || (command == Some("save")) {
        let request = model.request();
        wait_for(model, request);
        model.effect(Effect::CompletePath { request, start, prefix: typed });
        return;
    }
    let choices = choices(model, start, &typed, command);
    // Whom nobody here has seen, the cluster may know: asked for this time, or, where there is something to choose from, for the next.
    let is_first = text[..start].split_whitespace().count() == 1;
    if is_first && matches!(command, Some("msg" | "m" | "query" | "invite" | "remove" | "kick" | "role")) {
        let request = people::ask(model, &format!("{}*", typed.trim_start_matches('@')));
        if let Some(request) = request.filter(|_| choices.is_empty()) {
            wait_for(model, request);
        }
    }
    offer(model, start, choices);
}

/// What stands there now is to be completed by this answer.
fn wait_for(model: &mut Model, request: Request) {
    let (text, cursor) = (model.editor.text().to_owned(), model.editor.cursor());
    model.completing = Some(Completing { request, text, cursor });
}

/// An answer is for what stood there when it was asked for, and for nothing that was typed since.
fn is_awaited(model: &mut Model, request: Request) -> bool {
    let (text, cursor) = (model.editor.text(), model.editor.cursor());
    let is_it = |asked: &mut Completing| asked.request == request && asked.text == text && asked.cursor == cursor;
    model.completing.take_if(is_it).is_some() && model.overlay.is_none()
}

/// Paths were found.
pub fn found(model: &mut Model, request: Request, start: usize, choices: Vec<String>) {
    if is_awaited(model, request) {
        offer(model, start, choices);
    }
}

/// People were found, and are among those who were seen.
pub fn people_found(model: &mut Model, request: Request) {
    if !is_awaited(model, request) {
        return;
    }
    let word = model.editor.word();
    let (start, typed) = (word.start, model.editor.text()[word].to_owned());
    let choices = names(model, &typed.trim_start_matches('@').to_lowercase());
    if choices.is_empty() {
        model.say(format!("nobody is called {}…", one_line(&typed)));
    }
    offer(model, start, choices);
}

/// Offers these; one alone is taken, and what all have in common.
fn offer(model: &mut Model, start: usize, mut choices: Vec<String>) {
    choices.truncate(MOST);
    if choices.is_empty() || start > model.editor.cursor() {
        return;
    }
    model.completion = Some(Completion { start, choices, index: 0 });
    apply(model);
    // With one choice there is nothing to go through.
    if model.completion.as_ref().is_some_and(|completion| completion.choices.len() == 1) {
        model.completion = None;
    }
}

fn apply(model: &mut Model) {
    let Some(completion) = &model.completion else { return };
    let Some(choice) = completion.choices.get(completion.index) else { return };
    let is_only = completion.choices.len() == 1;
    // One can write on at once, unless a directory was completed, whose content comes next.
    let behind = if is_only && !choice.ends_with('/') { " " } else { "" };
    let word = completion.start..model.editor.cursor();
    model.editor.replace(word, &format!("{choice}{behind}"));
}

fn choices(model: &Model, start: usize, typed: &str, command: Option<&str>) -> Vec<String> {
    let lower = typed.to_lowercase();
    if let (0, Some(begun)) = (start, lower.strip_prefix('/')) {
        let names = COMMANDS.iter().map(|command| command.name).filter(|name| name.starts_with(begun));
        return names.map(|name| format!("/{name}")).collect();
    }
    if let Some(begun) = lower.strip_prefix('@') {
        return names(model, begun).into_iter().map(|name| format!("@{name}")).collect();
    }
    if lower.starts_with('#') || matches!(command, Some("join" | "leave")) {
        let begun = lower.trim_start_matches('#');
        let invited = model.invitations.iter().map(|invitation| &invitation.room_name);
        let known = model.conversations.values().filter_map(Conversation::room).map(|room| &room.name);
        let mut names: Vec<String> = known
            .chain(invited)
            .filter(|name| name.to_lowercase().starts_with(begun))
            .map(|name| format!("#{name}"))
            .collect();
        names.sort_unstable_by_key(|name| name.to_lowercase());
        names.dedup();
        return names;
    }
    if let Some(begun) = lower.strip_prefix(':').filter(|begun| !begun.is_empty()) {
        let found = EMOJI.iter().filter(|(name, _)| name.starts_with(begun));
        return found.map(|(_, emoji)| (*emoji).to_owned()).collect();
    }
    if command == Some("react") {
        return EMOJI
            .iter()
            .filter(|(name, _)| name.starts_with(&lower))
            .map(|(_, emoji)| (*emoji).to_owned())
            .collect();
    }
    if matches!(command, Some("msg" | "invite" | "remove" | "role" | "room")) || !typed.is_empty() {
        return names(model, &lower);
    }
    Vec::new()
}

/// Names that begin so; those who are in the open conversation first.
fn names(model: &Model, begun: &str) -> Vec<String> {
    let fits = |name: &&String| !name.is_empty() && model.people.begins(name, begun);
    let current = model.current();
    let members = current.map(|current| current.members.iter().map(|member| &member.name).collect::<Vec<_>>());
    let peer = current.and_then(Conversation::peer).map(str::to_owned);
    let mut all: Vec<String> = peer.iter().filter(fits).cloned().collect();
    all.extend(members.into_iter().flatten().filter(fits).cloned());
    all.extend(model.people.names().filter(fits).cloned());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| *name != model.name && seen.insert(name.clone()));
    all
}
