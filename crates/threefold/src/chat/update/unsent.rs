//! What earlier chats left and could not send: listed, taken up again, or given up.
//!
//! Promise: it stays on disk, and is told of at each start, until somebody has done one or the other.

use super::go_to;
use crate::chat::{
    model::{Effect, Model, Unsent},
    overlay::{Choice, List, Overlay, Row},
    text::{as_typed, one_line},
};

const TITLE: &str = "Not sent";

/// More of it.
pub fn take(model: &mut Model, unsent: Vec<Unsent>) {
    model.unsent.extend(unsent);
    if model.is_idle() || is_shown(model) {
        show(model);
    }
}

fn is_shown(model: &Model) -> bool {
    matches!(&model.overlay, Some(Overlay::List(list)) if list.title == TITLE)
}

/// Lists it.
pub fn show(model: &mut Model) {
    let index = match &model.overlay {
        Some(Overlay::List(list)) if list.title == TITLE => list.index.min(model.unsent.len().saturating_sub(1)),
        _ => 0,
    };
    let rows = model.unsent.iter().map(|one| Row {
        label: one_line(&one.what),
        detail: one_line(&match &one.text {
            Some(text) => format!("{text} · {}", one.why),
            None => one.why.clone(),
        }),
        choice: Choice::TakeUp(one.number),
    });
    let rows: Vec<Row> = rows.collect();
    let remark = match rows.is_empty() {
        true => "everything that earlier chats wrote was sent",
        false => "Enter: write it again · Delete: give it up · Esc: later",
    };
    let request = model.request();
    let list = List { index, rows, is_loading: false, remark: remark.to_owned(), ..List::loading(request, TITLE) };
    model.overlay = Some(Overlay::List(list));
}

/// Gives up the one that is chosen, if this list is what is shown.
pub fn give_up_chosen(model: &mut Model) {
    let Some(Overlay::List(list)) = &model.overlay else { return };
    let Some(Choice::TakeUp(number)) = list.rows.get(list.index).map(|row| row.choice.clone()) else { return };
    forget(model, number);
    if model.unsent.is_empty() { model.overlay = None } else { show(model) }
}

/// Puts it where it is written, in its conversation; there it is sent like anything else, or not.
pub fn take_up(model: &mut Model, number: u64) {
    model.overlay = None;
    let Some(one) = forget(model, number) else { return };
    // Not into a room that one is not in: nobody joins one for an old message.
    if let Some(to) = &one.to
        && (!to.starts_with('#') || model.handle_called(to).is_some())
    {
        go_to(model, to);
    }
    let Some(text) = one.text else { return };
    let typed = as_typed(&text);
    if model.editor.is_empty() {
        model.editor.set(&typed);
    } else {
        model.history.add(&typed);
        model.say("↑ has it");
    }
}

fn forget(model: &mut Model, number: u64) -> Option<Unsent> {
    let place = model.unsent.iter().position(|one| one.number == number)?;
    model.effect(Effect::Forget(number));
    Some(model.unsent.remove(place))
}
