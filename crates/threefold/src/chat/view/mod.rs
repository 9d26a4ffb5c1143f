//! Draws the model. Changes nothing, and asks nobody.

mod overlays;
mod panes;

pub use overlays::{help_rows, overlay_area, overlay_row_at};
use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{
    layout::{Areas, PROMPT},
    leaving::counted,
    model::{Composing, KeptAs, Link, Model, Unsent},
    text::{cut, one_line, width},
    transcript::{Transcript, window},
    update::COMMANDS,
};

/// Draws everything.
pub fn view(frame: &mut Frame<'_>, model: &Model) {
    let drawn = frame.area();
    let areas = Areas::of(model);
    // Between a change of size and the word of it, less is there than the model knows of.
    let is_larger = areas.all.width > drawn.width || areas.all.height > drawn.height;
    if is_larger || areas.all.is_empty() {
        return;
    }
    if let Some(list) = areas.list {
        panes::list(frame, model, list);
        divide(frame, model, list.right());
    }
    if let Some(side) = areas.side {
        divide(frame, model, side.x - 1);
        panes::side(frame, model, side);
    }
    panes::header(frame, model, areas.header, areas.list.is_some());
    messages(frame, model, areas.messages);
    line(frame, areas.status, status(model, usize::from(areas.status.width)));
    input(frame, model, &areas);
    if let Some(overlay) = &model.overlay {
        overlays::draw(frame, model, overlay);
    }
}

/// Of what earlier chats left, so many are shown.
const MOST_LEFT: usize = 5;
/// Cells of a name within a sentence, at most.
const NAME: usize = 32;
/// Cells of the window's title.
const TITLE: usize = 80;

/// What the window is called: how much is unread, and what is open. Nothing in it controls a terminal.
pub fn title(model: &Model) -> String {
    let unread = match model.unread() {
        0 => String::new(),
        unread => format!("({unread}) "),
    };
    let open = model.current().map(|current| format!("{} · ", one_line(&current.title()))).unwrap_or_default();
    cut(&format!("{unread}{open}threefold"), TITLE)
}

/// One line in the first row of an area, cut where it ends.
pub fn line(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    if area.is_empty() {
        return;
    }
    frame.buffer_mut().set_line(area.x, area.y, &line, area.width);
}

/// The row of an area at this place, if it has one.
pub fn row(area: Rect, place: usize) -> Rect {
    match u16::try_from(place) {
        Ok(place) if place < area.height => Rect::new(area.x, area.y + place, area.width, 1),
        _ => Rect::new(area.x, area.y, 0, 0),
    }
}

fn divide(frame: &mut Frame<'_>, model: &Model, x: u16) {
    for y in 0..frame.area().height {
        line(frame, Rect::new(x, y, 1, 1), Line::styled("│", model.theme.faint()));
    }
}

fn messages(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let height = usize::from(area.height);
    let Some(handle) = model.open else {
        let words = nothing_open(model);
        let top = height.saturating_sub(words.len()) / 2;
        for (place, words) in words.iter().enumerate() {
            line(frame, row(area, top + place), Line::styled(format!("  {words}"), model.theme.faint()));
        }
        return;
    };
    let Some(transcript) = Transcript::new(model, handle, area.width) else { return };
    let rows = transcript.visible(height);
    let top = height - rows.len();
    if let Some(current) = model.current().filter(|_| top > 0) {
        let words = match (current.is_loading(), rows.is_empty(), current.has_older) {
            // What was written here before, only a server knows.
            _ if !model.is_loaded => connecting(model),
            (true, _, _) => "loading …",
            (false, true, _) => "Nobody has written here yet.",
            (false, false, true) => "…",
            (false, false, false) => "",
        };
        line(frame, row(area, top - 1), Line::styled(format!("  {words}"), model.theme.faint()));
    }
    for (place, shown) in rows.into_iter().enumerate() {
        line(frame, row(area, top + place), shown.line);
    }
}

/// As long as nothing was read.
fn connecting(model: &Model) -> &'static str {
    match &model.link {
        Link::Lost(_) => "No server answers yet. Trying again …",
        Link::Connecting | Link::Connected(_) => "Connecting …",
    }
}

/// What stands where no conversation is.
fn nothing_open(model: &Model) -> Vec<String> {
    let words: &[&str] = if model.is_loaded {
        &[
            "No conversation is open.",
            "",
            "/msg NAME   talk with somebody",
            "/rooms      look for rooms",
            "/room NAME  make one",
            "/help       keys and commands",
        ]
    } else {
        &[connecting(model)]
    };
    let mut words: Vec<String> = words.iter().map(|words| (*words).to_owned()).collect();
    if !model.left.is_empty() {
        words.extend([String::new(), "Kept from before, and sent first:".to_owned()]);
        words.extend(model.left.iter().take(MOST_LEFT).map(|text| format!("… {}", one_line(text))));
    }
    words
}

/// What is worth a word now: what went wrong, what is being done, what one may do.
fn status(model: &Model, cells: usize) -> Line<'static> {
    let theme = model.theme;
    let line = |text: String, style: Style| Line::styled(format!(" {}", cut(&text, cells.saturating_sub(1))), style);
    if let Some(why) = &model.over {
        return line(format!("any key leaves · {}", one_line(why)), theme.bad());
    }
    if let Some(completion) = model.completion.as_ref().filter(|completion| completion.choices.len() > 1) {
        return choices(model, &completion.choices, completion.index, cells);
    }
    if let Some(flash) = &model.flash {
        return line(one_line(&flash.text), if flash.is_error { theme.bad() } else { theme.accent() });
    }
    if let Link::Lost(why) = &model.link {
        let waiting = waiting(model);
        let words = if model.is_loaded { "reconnecting …" } else { "no server answers yet" };
        return line(format!("{words}{waiting} ({})", one_line(why)), theme.warning());
    }
    if model.condition.state == "frozen" {
        let waiting = waiting(model);
        return line(format!("the cluster is frozen{waiting}: {}", one_line(&model.condition.detail)), theme.bad());
    }
    match model.composing {
        Composing::Reply(id) => return line(format!("reply to {} · Esc: no", quoted(model, id)), theme.accent()),
        Composing::Edit(_) => return line("edit your message · Esc: leave it".to_owned(), theme.accent()),
        Composing::React(id) => {
            return line(
                format!("react to {} · type an emoji, or +1 heart tada … · Esc: no", quoted(model, id)),
                theme.accent(),
            );
        }
        Composing::Again(kept_as) => return line(again(model, kept_as), theme.accent()),
        Composing::Message => {}
    }
    if !model.unsent.is_empty() && model.editor.is_empty() && matches!(model.composing, Composing::Message) {
        let count = match model.unsent.len() {
            1 => "something was".to_owned(),
            more => format!("{more} things were"),
        };
        return line(format!("{count} not sent: /unsent"), theme.warning());
    }
    if let Some(explained) = explained(model) {
        return line(explained, theme.faint());
    }
    let current = model.current();
    if current.is_some_and(|current| current.selected.is_some()) && model.editor.is_empty() {
        let words = if cells < 80 {
            "r reply · x react · e edit · Del delete · F1 all · Esc out"
        } else {
            "r reply · x react · e edit · Del delete · s save · o original · w who · y copy · Esc out"
        };
        return line(words.to_owned(), theme.accent());
    }
    if current.is_some_and(|current| !current.is_at_bottom()) {
        let new = current.map_or(0, |current| current.unread);
        let new = if new > 0 { format!(" · {new} new") } else { String::new() };
        return line(format!("older messages{new} · Ctrl-End: to the newest"), theme.accent());
    }
    if let Some(words) = typing(model) {
        return line(words, theme.faint());
    }
    if model.waiting() + model.waiting_edits().count() + model.left.len() > 0 {
        return line(format!("sending{}", waiting(model)), theme.faint());
    }
    if !matches!(model.condition.state.as_str(), "" | "normal") {
        let words =
            format!("the cluster is {}: {}", one_line(&model.condition.state), one_line(&model.condition.detail));
        return line(words, theme.warning());
    }
    let hint = if cells < 50 {
        "F1 help · ^O go to"
    } else {
        "F1 help · Ctrl-O go to · Alt-↑↓ conversations · Ctrl-↑ messages"
    };
    line(hint.to_owned(), theme.faint())
}

/// Who is writing here now.
fn typing(model: &Model) -> Option<String> {
    let id = model.current()?.id?;
    let names: Vec<String> = model
        .typists
        .iter()
        .filter(|typist| typist.conversation == id)
        .map(|typist| model.people.briefly(&typist.name, NAME))
        .collect();
    match &names[..] {
        [] => None,
        [one] => Some(format!("{one} is typing …")),
        [one, other] => Some(format!("{one} and {other} are typing …")),
        more => Some(format!("{} people are typing …", more.len())),
    }
}

fn waiting(model: &Model) -> String {
    let (messages, edits) = (model.waiting() + model.left.len(), model.waiting_edits().count());
    match messages + edits {
        0 => String::new(),
        1 => format!(" · {} waits", counted(messages, edits)),
        _ => format!(" · {} wait", counted(messages, edits)),
    }
}

fn quoted(model: &Model, id: u64) -> String {
    model.message(id).map_or_else(String::new, |(_, message)| {
        format!("{}: {}", model.people.briefly(&message.author_name, NAME), cut(&one_line(&message.body), 30))
    })
}

/// What of an earlier chat's is written again.
fn again(model: &Model, kept_as: KeptAs) -> String {
    let files = model.unsent.iter().find(|one| one.kept_as == kept_as).map_or(0, Unsent::file_count);
    let files = match files {
        0 => String::new(),
        1 => " with its file".to_owned(),
        more => format!(" with {more} files"),
    };
    format!("from an earlier chat: Enter sends it{files} · Esc: later")
}

/// What the command does that is being typed.
fn explained(model: &Model) -> Option<String> {
    let typed = model.editor.text().strip_prefix('/')?;
    let (name, rest) = typed.split_once(char::is_whitespace).map_or((typed, None), |(name, rest)| (name, Some(rest)));
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return Some(format!("/{} {}  {}", command.name, command.arguments, command.help));
    }
    let begun: Vec<String> = COMMANDS
        .iter()
        .filter(|command| command.name.starts_with(name))
        .map(|command| format!("/{}", command.name))
        .collect();
    (rest.is_none() && !begun.is_empty()).then(|| begun.join(" "))
}

fn choices(model: &Model, choices: &[String], index: usize, cells: usize) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    // Begin so that the present one is in sight.
    let shown: Vec<String> = choices.iter().map(|choice| one_line(choice)).collect();
    let mut first = 0;
    let taken = |from: usize| shown[from..=index].iter().map(|choice| width(choice) + 2).sum::<usize>() + 1;
    while first < index && taken(first) > cells {
        first += 1;
    }
    for (place, choice) in shown.iter().enumerate().skip(first) {
        let style = if place == index { model.theme.bar() } else { model.theme.faint() };
        spans.push(Span::styled(choice.clone(), style));
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

/// The first row of the typed text that is in sight: so that the cursor is.
pub fn first_input_row(model: &Model, areas: &Areas) -> usize {
    let cells = areas.input_cells();
    let (cursor, _) = model.editor.position(cells);
    let rows = model.editor.rows(cells).len();
    window(rows, cursor, usize::from(areas.input.height)).start
}

fn input(frame: &mut Frame<'_>, model: &Model, areas: &Areas) {
    let theme = model.theme;
    let cells = areas.input_cells();
    let first = first_input_row(model, areas);
    let text = model.editor.text();
    let prompt = if matches!(model.link, Link::Connected(_)) { theme.accent() } else { theme.faint() };
    for (place, part) in model.editor.rows(cells).into_iter().enumerate().skip(first) {
        let start = if place == 0 { Span::styled(PROMPT, prompt) } else { Span::raw("  ") };
        let typed = Span::raw(text[part].to_owned());
        line(frame, row(areas.input, place - first), Line::from(vec![start, typed]));
    }
    if model.editor.is_empty() {
        let words = match (&model.composing, model.current()) {
            (Composing::React(_), _) => "emoji".to_owned(),
            (Composing::Reply(_), _) => "your answer".to_owned(),
            (_, Some(current)) => format!("write to {}", one_line(&current.title())),
            (_, None) => "/help".to_owned(),
        };
        let words = Line::from(vec![
            Span::styled(PROMPT, prompt),
            Span::styled(words, theme.faint().add_modifier(Modifier::ITALIC)),
        ]);
        line(frame, areas.input, words);
    }
    let (cursor_row, column) = model.editor.position(cells);
    let prompt_cells = PROMPT.chars().count();
    let x = areas.input.x
        + u16::try_from(prompt_cells + column).unwrap_or(u16::MAX).min(areas.input.width.saturating_sub(1));
    let y = areas.input.y
        + u16::try_from(cursor_row - first.min(cursor_row)).unwrap_or(0).min(areas.input.height.saturating_sub(1));
    let is_typing = model.overlay.is_none() && model.over.is_none();
    if is_typing && !areas.input.is_empty() {
        frame.set_cursor_position(Position::new(x, y));
    }
}
