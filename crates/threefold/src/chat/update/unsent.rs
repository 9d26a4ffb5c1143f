//! What earlier chats left and could not send, and edits of this one that came to nothing: listed, taken up again, or given up.
//!
//! Promise: it stays on disk, and is told of at each start, until what takes its place is there itself, or somebody has given it up. It goes to nobody but those it
//! was written for.

use threefold_client::To;

use super::{go_to, open};
use crate::chat::{
    conversation::Conversation,
    model::{Composing, Effect, Handle, KeptAs, Left, Model, Unsent},
    overlay::{Choice, List, Overlay, Row},
    text::{as_typed, one_line},
};

const TITLE: &str = "Not sent";

/// More of it.
pub fn take(model: &mut Model, unsent: Vec<Unsent>) {
    model.unsent.extend(unsent);
    // Among selected messages, Delete was meant for one of those.
    let is_selecting = model.current().is_some_and(|current| current.selected.is_some());
    if is_shown(model) || (model.is_idle() && !is_selecting) {
        show(model);
    }
}

fn is_shown(model: &Model) -> bool {
    matches!(&model.overlay, Some(Overlay::List(list)) if list.title == TITLE)
}

/// An edit that was written in this chat: whoever wrote it sees that it was refused, and is asked nothing while they write on.
pub fn add(model: &mut Model, edits: Vec<Unsent>) {
    model.unsent.extend(edits);
    refresh(model);
}

/// Something of it has changed, or what the conversations are called.
pub fn refresh(model: &mut Model) {
    if is_shown(model) {
        show(model);
    }
}

/// Lists it.
pub fn show(model: &mut Model) {
    let index = match &model.overlay {
        Some(Overlay::List(list)) if list.title == TITLE => list.index.min(model.unsent.len().saturating_sub(1)),
        _ => 0,
    };
    let rows = model.unsent.iter().map(|one| Row {
        label: one_line(&what(model, one)),
        detail: one_line(&detail(one)),
        choice: Choice::TakeUp(one.kept_as),
    });
    let rows: Vec<Row> = rows.collect();
    let remark = match rows.is_empty() {
        true => "nothing was left unsent",
        false => "Enter: write it again · Delete: give it up · Esc: later",
    };
    let request = model.request();
    let list = List { index, rows, is_loading: false, remark: remark.to_owned(), ..List::loading(request, TITLE) };
    model.overlay = Some(Overlay::List(list));
}

/// What it is, and for whom.
fn what(model: &Model, one: &Unsent) -> String {
    let to = match &one.what {
        Left::Edit => return "an edit".to_owned(),
        Left::Other(words) => return (*words).to_owned(),
        Left::Message { to, .. } => to,
    };
    match to {
        Some(To::User(name)) => format!("to {name}"),
        Some(To::Room(name)) => format!("to #{name}"),
        Some(To::Conversation(id)) => match model.handle_of(*id).and_then(|handle| model.conversations.get(&handle)) {
            Some(conversation) => format!("to {}", conversation.title()),
            None if model.is_loaded => "to a conversation that is not yours any more".to_owned(),
            None => "a message".to_owned(),
        },
        None => "a message".to_owned(),
    }
}

fn detail(one: &Unsent) -> String {
    let files = match (&one.what, one.file_count()) {
        (Left::Message { files, .. }, _) if !files.is_empty() => {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            Some(files.join(", "))
        }
        (_, 0) => None,
        (_, 1) => Some("a file".to_owned()),
        (_, more) => Some(format!("{more} files")),
    };
    let text = one.text.clone().filter(|text| !text.is_empty());
    let parts: Vec<String> = [text, files, Some(one.why.clone())].into_iter().flatten().collect();
    parts.join(" · ")
}

/// Gives up the one that is chosen, if this list is what is shown.
pub fn give_up_chosen(model: &mut Model) {
    let Some(Overlay::List(list)) = &model.overlay else { return };
    let Some(Choice::TakeUp(kept_as)) = list.rows.get(list.index).map(|row| row.choice.clone()) else { return };
    // A slip of a key takes no words away.
    let typed = model.unsent.iter().find(|one| one.kept_as == kept_as).map(Unsent::as_typed);
    if let Some(typed) = typed.filter(|typed| !typed.is_empty()) {
        model.history.add(&typed);
        model.say("given up; ↑ has the text");
    }
    forget(model, kept_as);
    if model.unsent.is_empty() { model.overlay = None } else { show(model) }
}

/// Where something that was left is for.
enum Place {
    /// It is open now.
    Open,
    /// Nobody here knows before the conversations are read.
    Unknown,
    /// One that this account is not in any more.
    Gone,
}

/// Puts it where it is written, in its conversation; there it is sent like anything else, or not.
pub fn take_up(model: &mut Model, kept_as: KeptAs) {
    let Some(one) = model.unsent.iter().find(|one| one.kept_as == kept_as).cloned() else { return };
    if model.outbox.iter().any(|pending| pending.again == Some(kept_as)) {
        model.say("it is being sent again");
        return;
    }
    let typed = one.as_typed();
    let to = match &one.what {
        Left::Message { to, .. } => to,
        Left::Edit => {
            model.overlay = None;
            model.history.add(&typed);
            model.say("↑ has the text; /unsent keeps it until Delete gives it up there");
            return;
        }
        Left::Other(_) => {
            model.say("this cannot be written again: Delete gives it up");
            return;
        }
    };
    match to.as_ref().map_or(Place::Gone, |to| show_place(model, to)) {
        Place::Unknown => model.complain("the conversations are not read yet: try again in a moment"),
        // Nobody joins a room for an old message; and nobody else is to read it.
        Place::Gone => {
            model.overlay = None;
            model.history.add(&typed);
            model.complain("you are not in that conversation any more: ↑ has the text");
        }
        Place::Open if model.is_idle() => {
            // Its files are remembered.
            model.editor.set(&as_typed(one.text.as_deref().unwrap_or_default()));
            model.composing = Composing::Again(kept_as);
        }
        Place::Open => {
            model.history.add(&typed);
            model.say("↑ has it: something else is being written here");
        }
    }
}

/// Opens what it is for, if that is known, and closes the list then.
fn show_place(model: &mut Model, to: &To) -> Place {
    let is_in = |handle: &Handle| model.conversations.get(handle).is_some_and(Conversation::is_in);
    let handle = match to {
        To::User(name) => {
            model.overlay = None;
            go_to(model, name);
            return Place::Open;
        }
        To::Room(name) => model.handle_called(&format!("#{name}")).filter(is_in),
        To::Conversation(id) => model.handle_of(*id).filter(is_in),
    };
    match handle {
        Some(handle) => {
            model.overlay = None;
            open(model, handle);
            Place::Open
        }
        None if model.is_loaded => Place::Gone,
        None => Place::Unknown,
    }
}

/// It need not be kept any more.
pub fn forget(model: &mut Model, kept_as: KeptAs) {
    // A draft of this chat is not listed here.
    let is_draft = matches!(kept_as, KeptAs::Draft(_));
    match model.unsent.iter().position(|one| one.kept_as == kept_as) {
        Some(place) => drop(model.unsent.remove(place)),
        None if is_draft => {}
        None => return,
    }
    model.edits.retain(|edit| edit.failed.is_none() || edit.kept_as.map(KeptAs::Write) != Some(kept_as));
    if model.composing == Composing::Again(kept_as) {
        model.composing = Composing::Message;
    }
    model.effect(Effect::Forget(kept_as));
    refresh(model);
}
