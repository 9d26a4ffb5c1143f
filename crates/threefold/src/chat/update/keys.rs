//! Keys: those of the line one types, those of a selected message, and those that work everywhere.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{complete, mark, next_unread, open, overlays, people, scroll, sending, show_selected, step, to_bottom};
use crate::chat::{
    conversation::Conversation,
    layout::Areas,
    leaving::counted,
    model::{Composing, Effect, Model},
    overlay::{Answer, Overlay},
};

/// Between two words that something is being written.
const TYPING_EVERY_MS: u64 = 2_500;

/// A key was pressed.
pub fn press(model: &mut Model, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => interrupt(model),
        KeyCode::Char('l') if control => model.effect(Effect::Redraw),
        KeyCode::Char('z') if control => model.effect(Effect::Suspend),
        _ if model.over.is_some() => model.effect(Effect::Quit),
        _ if model.overlay.is_some() => overlays::press(model, key),
        _ => {
            model.goes_on();
            write(model, key);
        }
    }
}

/// Text that was pasted is text, whatever is in it.
pub fn paste(model: &mut Model, text: &str) {
    match &mut model.overlay {
        Some(Overlay::Switcher { filter, .. }) => {
            filter.insert(&text.replace('\n', " "));
            people::ask_for_switcher(model);
        }
        Some(_) => {}
        None => insert(model, text),
    }
}

fn insert(model: &mut Model, text: &str) {
    model.completion = None;
    // A command is about the selected message; anything else is not.
    let is_command = model.editor.text().starts_with('/') || (model.editor.is_empty() && text.starts_with('/'));
    if let Some(current) = model.current_mut().filter(|_| !is_command) {
        current.selected = None;
    }
    if model.editor.text().len() + text.len() > sending::MOST_BYTES {
        model.complain(format!("a message has at most {} bytes: send a file with /attach", sending::MOST_BYTES));
        return;
    }
    model.editor.insert(text);
    tell_typing(model);
}

/// Says now and then that something is being written, unless it is a command.
fn tell_typing(model: &mut Model) {
    let is_message = !model.editor.text().starts_with('/') && !matches!(model.composing, Composing::React(_));
    if is_message
        && model.now_ms.saturating_sub(model.told_typing_ms) >= TYPING_EVERY_MS
        && let Some(to) = model.current().map(Conversation::to)
    {
        model.told_typing_ms = model.now_ms;
        model.effect(Effect::Typing(to));
    }
}

/// Clears what was begun; with nothing begun, asks whether to go.
fn interrupt(model: &mut Model) {
    if model.over.is_some() {
        model.effect(Effect::Quit);
    } else if matches!(model.overlay, Some(Overlay::Question { answer: Answer::Quit, .. })) {
        quit_now(model);
    } else if model.overlay.take().is_some() {
    } else if model.editor.is_empty() && model.composing == Composing::Message {
        quit(model);
    } else {
        model.history.add(&model.editor.take());
        model.composing = Composing::Message;
        model.completion = None;
    }
}

/// Ends, unless something waits that would be lost.
pub fn quit(model: &mut Model) {
    match model.waiting() + model.waiting_edits().count() {
        0 => quit_now(model),
        waiting => {
            let are = if waiting == 1 { "is" } else { "are" };
            let what = counted(model.waiting(), model.waiting_edits().count());
            let waits = || model.outbox.iter().filter(|one| !one.state.is_given_up());
            let drafts = match waits().filter(|one| one.draft.is_some()).count() {
                0 => String::new(),
                1 => " A file is not uploaded: the next chat lists what you wrote with it (/unsent).".to_owned(),
                more => format!(" The files of {more} are not uploaded: the next chat lists those (/unsent)."),
            };
            let lost = match waits().filter(|one| one.needs_upload() && one.draft.is_none()).count() {
                0 => String::new(),
                1 => " A file is not uploaded: what you wrote with it will not be kept.".to_owned(),
                more => format!(" The files of {more} are not uploaded: those will not be kept."),
            };
            let unkept_edits = model.waiting_edits().filter(|edit| edit.kept_as.is_none()).count();
            let unkept = match waits().filter(|one| one.is_unkept()).count() + unkept_edits {
                0 => String::new(),
                _ if waiting == 1 => " It is not kept: if it was not sent, it is lost.".to_owned(),
                1 => " One is not kept: if it was not sent, it is lost.".to_owned(),
                more => format!(" {more} are not kept: what was not sent of them is lost."),
            };
            let text = format!("{what} {are} not acknowledged yet.{drafts}{lost}{unkept} Quit all the same?");
            model.overlay = Some(Overlay::Question { text, answer: Answer::Quit });
        }
    }
}

pub fn quit_now(model: &mut Model) {
    mark(model);
    model.effect(Effect::Quit);
}

fn write(model: &mut Model, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let shift = key.modifiers.contains(KeyModifiers::SHIFT);
    let page = isize::try_from(Areas::of(model).messages.height.saturating_sub(1).max(1)).unwrap_or(1);
    match key.code {
        KeyCode::PageUp => return scroll(model, page),
        KeyCode::PageDown => return scroll(model, -page),
        KeyCode::Up if alt => return step(model, -1),
        KeyCode::Down if alt => return step(model, 1),
        KeyCode::Char('p') if control => return step(model, -1),
        KeyCode::Char('n') if control => return step(model, 1),
        KeyCode::Up if control || shift => return select(model, true),
        KeyCode::Down if control || shift => return select(model, false),
        KeyCode::Home if control => return scroll(model, isize::MAX),
        KeyCode::End if control => return to_bottom(model),
        KeyCode::Char('o') if control => return overlays::switcher(model),
        KeyCode::Char('f') if control => return search(model),
        KeyCode::Char('a') if alt => return next_unread(model),
        KeyCode::Char(digit @ '1'..='9') if alt => return open_nth(model, digit),
        KeyCode::F(1) => {
            model.overlay = Some(Overlay::Help { from: 0 });
            return;
        }
        KeyCode::Esc => return escape(model),
        _ => {}
    }
    let selected = model.current().and_then(|current| current.selected);
    if let (Some(selected), true, Composing::Message) = (selected, model.editor.is_empty(), &model.composing)
        && !control
        && !alt
        && super::commands::on_selected(model, selected, key.code, shift)
    {
        return;
    }
    edit(model, key, control, alt, shift);
}

fn edit(model: &mut Model, key: KeyEvent, control: bool, alt: bool, shift: bool) {
    let cells = Areas::of(model).input_cells();
    if !matches!(key.code, KeyCode::Tab | KeyCode::BackTab) {
        model.completion = None;
    }
    let editor = &mut model.editor;
    match key.code {
        KeyCode::Enter if alt || shift || control => insert(model, "\n"),
        KeyCode::Char('j') if control => insert(model, "\n"),
        KeyCode::Enter => sending::submit(model),
        KeyCode::Tab => complete::next(model, true),
        KeyCode::BackTab => complete::next(model, false),
        KeyCode::Backspace if alt || control => editor.kill_word_before(),
        KeyCode::Char('w') if control => editor.kill_word_before(),
        KeyCode::Backspace => editor.backspace(),
        KeyCode::Char('h') if control => editor.backspace(),
        KeyCode::Delete => editor.delete(),
        KeyCode::Char('d') if control && editor.is_empty() => quit(model),
        KeyCode::Char('d') if control => editor.delete(),
        KeyCode::Char('d') if alt => editor.kill_word_after(),
        KeyCode::Char('u') if control => editor.kill_to_start(),
        KeyCode::Char('k') if control => editor.kill_to_end(),
        KeyCode::Char('y') if control => editor.yank(),
        KeyCode::Char('_' | '/' | '7') if control => editor.undo(),
        KeyCode::Left if control || alt => editor.word_left(),
        KeyCode::Right if control || alt => editor.word_right(),
        KeyCode::Char('b') if alt => editor.word_left(),
        KeyCode::Char('f') if alt => editor.word_right(),
        KeyCode::Left => editor.left(),
        KeyCode::Char('b') if control => editor.left(),
        KeyCode::Right => editor.right(),
        KeyCode::Home => editor.home(),
        KeyCode::Char('a') if control => editor.home(),
        KeyCode::End => editor.end(),
        KeyCode::Char('e') if control => editor.end(),
        KeyCode::Up if !editor.up(cells) => {
            if let Some(older) = model.history.older(model.editor.text()).map(str::to_owned) {
                model.editor.set(&older);
            }
        }
        KeyCode::Down if !editor.down(cells) => {
            if let Some(newer) = model.history.newer() {
                model.editor.set(&newer);
            }
        }
        KeyCode::Char(c) if !control && !alt => insert(model, c.encode_utf8(&mut [0; 4])),
        _ => {}
    }
}

/// Leaves what was begun, one thing at a time; at last, goes among the messages.
fn escape(model: &mut Model) {
    if model.completion.take().is_some() {
    } else if model.composing != Composing::Message {
        match model.composing {
            Composing::Edit(_) => drop(model.editor.take()),
            // It stays where it was; what was changed of it can be had again, too.
            Composing::Again(_) => {
                let text = model.editor.take();
                model.history.add(&text);
            }
            _ => {}
        }
        model.composing = Composing::Message;
    } else if model.current().is_some_and(|current| current.selected.is_some()) {
        if let Some(current) = model.current_mut() {
            current.selected = None;
        }
    } else if model.editor.is_empty() {
        select(model, true);
    }
}

/// Selects the message before (or after) the selected one.
pub fn select(model: &mut Model, before: bool) {
    let Some(current) = model.current_mut() else { return };
    let mut ids: Vec<u64> = current.messages_back().map(|message| message.id).collect();
    ids.reverse();
    let next = match current.selected {
        None if before => ids.last().copied(),
        None => None,
        Some(selected) => {
            let at = ids.partition_point(|id| *id < selected);
            let earlier = at.checked_sub(1).and_then(|at| ids.get(at)).copied();
            if before { earlier.or(Some(selected)) } else { ids.get(at + 1).copied() }
        }
    };
    let past_end = next.is_none();
    current.selected = next;
    if past_end { to_bottom(model) } else { show_selected(model) }
}

fn open_nth(model: &mut Model, digit: char) {
    let place = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(1) - 1;
    if let Some(handle) = model.listed().get(place) {
        open(model, *handle);
    }
}

/// Types the beginning of a search.
fn search(model: &mut Model) {
    if model.editor.is_empty() {
        model.editor.set("/search ");
    } else {
        model.say("to search, send the line or clear it first (Ctrl-C; then ↑ has it)");
    }
}
