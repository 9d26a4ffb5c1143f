//! What stands over the conversation.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear, Widget as _},
};

use super::{NAME, line, row};
use crate::chat::{
    layout::{Areas, PROMPT},
    model::Model,
    overlay::{List, Overlay, SearchView},
    text::{cut, one_line, pad, safe, width, wrap},
    transcript::window,
    update::{COMMANDS, candidates},
};

/// Rows of a found message: where and when, and what it says.
const FOUND_ROWS: usize = 2;

const KEYS: &[(&str, &str)] = &[
    ("Enter", "send"),
    ("Alt-Enter, Ctrl-J", "a new line"),
    ("Tab, Shift-Tab", "complete names, commands, #rooms, :emoji, paths"),
    ("↑ ↓", "what was sent before"),
    ("Alt-↑ Alt-↓, Ctrl-P Ctrl-N", "the conversation above, below"),
    ("Alt-1 … Alt-9", "a conversation by its place"),
    ("Alt-A", "where something is unread"),
    ("Ctrl-O", "go to a person or a room"),
    ("Ctrl-F", "search"),
    ("PageUp PageDown, wheel", "scroll"),
    ("Ctrl-Home Ctrl-End", "the oldest here, the newest"),
    ("Ctrl-↑ Ctrl-↓, Esc, click", "select a message"),
    ("  r or Enter", "reply to it"),
    ("  x", "react to it"),
    ("  e", "edit it"),
    ("  Delete, Shift-Delete", "delete it for you, for everyone"),
    ("  s", "save its files"),
    ("  o", "go to the message that it answers"),
    ("  w", "see who reacted"),
    ("  y", "copy its text, where the terminal lets programs do that (tmux: set-clipboard on)"),
    ("Ctrl-A Ctrl-E", "to the start, the end of the line"),
    ("Alt-B Alt-F", "a word back, forth"),
    ("Ctrl-W Alt-D", "cut the word before, behind"),
    ("Ctrl-U Ctrl-K Ctrl-Y", "cut to the start, the end; put back"),
    ("Ctrl-_", "undo"),
    ("Ctrl-Z", "suspend"),
    ("Ctrl-C, /quit", "clear the line; leave"),
];

/// Keys and commands, explained.
pub fn help_rows(model: &Model) -> Vec<Line<'static>> {
    let inner = usize::from(Areas::of(model).overlay(78, u16::MAX).width).saturating_sub(4).max(8);
    let theme = model.theme;
    let mut rows = Vec::new();
    let mut section = |title: &str, all: Vec<(String, &str)>| {
        rows.push(Line::styled(title.to_owned(), theme.accent()));
        let cells = if inner < 56 { 0 } else { 28 };
        for (what, words) in all {
            if cells == 0 {
                rows.push(Line::styled(what, theme.bold()));
                rows.extend(wrap(&[Span::raw(words)], inner - 2).into_iter().map(|line| indented(line, 2)));
                continue;
            }
            let mut lines = wrap(&[Span::raw(words)], inner - cells).into_iter();
            let first = lines.next().unwrap_or_default();
            // What is too long for its column stands alone.
            if width(&what) >= cells {
                rows.push(Line::styled(what, theme.bold()));
                rows.push(indented(first, cells));
            } else {
                let start = Span::styled(pad(&what, cells), theme.bold());
                rows.push(Line::from([vec![start], first.spans].concat()));
            }
            rows.extend(lines.map(|line| indented(line, cells)));
        }
        rows.push(Line::default());
    };
    section("Keys", KEYS.iter().map(|(keys, words)| ((*keys).to_owned(), *words)).collect());
    let commands = COMMANDS.iter().map(|command| (format!("/{} {}", command.name, command.arguments), command.help));
    section("Commands", commands.collect());
    section(
        "In messages",
        vec![
            ("**bold** *italics* `code`".to_owned(), "and ``` around lines of code"),
            ("@name".to_owned(), "tells somebody"),
            ("//".to_owned(), "begins a message that begins with a slash"),
        ],
    );
    rows.pop();
    rows
}

fn indented(line: Line<'static>, cells: usize) -> Line<'static> {
    Line::from([vec![Span::raw(" ".repeat(cells))], line.spans].concat())
}

/// Where the one that is open stands.
pub fn overlay_area(model: &Model) -> Option<Rect> {
    let areas = Areas::of(model);
    let (_, height) = model.size;
    let rows = |rows: usize| u16::try_from(rows + 3).unwrap_or(u16::MAX).max(5).min(height);
    Some(match model.overlay.as_ref()? {
        Overlay::Help { .. } => areas.overlay(78, rows(help_rows(model).len())),
        Overlay::Switcher { .. } => areas.overlay(44, 16),
        Overlay::Search(_) => areas.overlay(100, height.saturating_sub(if height > 20 { 4 } else { 0 })),
        Overlay::List(list) => areas.overlay(84, rows(list.rows.len().max(2))),
        Overlay::Question { text, .. } => {
            let width = areas.overlay(60, 5).width;
            let lines = wrap(&[Span::raw(safe(text))], usize::from(width).saturating_sub(4)).len();
            areas.overlay(60, u16::try_from(lines.min(8) + 4).unwrap_or(12))
        }
    })
}

/// What is within its border.
fn inner(area: Rect) -> Rect {
    Rect::new(
        area.x.saturating_add(2).min(area.right()),
        area.y.saturating_add(1).min(area.bottom()),
        area.width.saturating_sub(4),
        area.height.saturating_sub(2),
    )
}

/// Which row of a list somebody points at.
pub fn overlay_row_at(model: &Model, at: Position) -> Option<usize> {
    let inner = inner(overlay_area(model)?);
    if !inner.contains(at) {
        return None;
    }
    let place = usize::from(at.y - inner.y);
    let height = usize::from(inner.height);
    match model.overlay.as_ref()? {
        Overlay::Switcher { filter, index } => {
            let all = candidates(model, filter.text()).len();
            let place = place.checked_sub(1)?;
            Some(window(all, *index, height.saturating_sub(1)).start + place).filter(|row| *row < all)
        }
        Overlay::List(list) => Some(window(list.rows.len(), list.index, height.saturating_sub(1)).start + place),
        Overlay::Search(search) => {
            let shown = height.saturating_sub(1) / FOUND_ROWS;
            Some(window(search.found.len(), search.index, shown).start + place / FOUND_ROWS)
        }
        Overlay::Help { .. } | Overlay::Question { .. } => None,
    }
}

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, overlay: &Overlay) {
    let Some(area) = overlay_area(model) else { return };
    if area.width < 4 || area.height < 3 {
        return;
    }
    Clear.render(area, frame.buffer_mut());
    let title = match overlay {
        Overlay::Help { .. } => "Help".to_owned(),
        Overlay::Switcher { .. } => "Go to".to_owned(),
        Overlay::Search(search) => format!("Search: {}", one_line(&search.query)),
        Overlay::List(list) => list.title.clone(),
        Overlay::Question { .. } => "Sure?".to_owned(),
    };
    let title = format!(" {} ", cut(&title, usize::from(area.width).saturating_sub(6)));
    Block::bordered()
        .title(title)
        .border_style(model.theme.faint())
        .title_style(model.theme.bold())
        .render(area, frame.buffer_mut());
    let inner = inner(area);
    match overlay {
        Overlay::Help { from } => {
            let rows = help_rows(model);
            let height = usize::from(inner.height);
            let from = (*from).min(rows.len().saturating_sub(height));
            for (place, shown) in rows.into_iter().skip(from).take(height).enumerate() {
                line(frame, row(inner, place), shown);
            }
        }
        Overlay::Switcher { filter, index } => switcher(frame, model, inner, filter.text(), *index),
        Overlay::List(list) => draw_list(frame, model, inner, list),
        Overlay::Search(search) => draw_search(frame, model, inner, search),
        Overlay::Question { text, .. } => {
            let rows = wrap(&[Span::raw(safe(text))], usize::from(inner.width));
            let height = usize::from(inner.height).saturating_sub(2);
            for (place, shown) in rows.into_iter().take(height).enumerate() {
                line(frame, row(inner, place), shown);
            }
            let last = usize::from(inner.height).saturating_sub(1);
            line(frame, row(inner, last), Line::styled("y: yes   n: no", model.theme.accent()));
        }
    }
}

fn switcher(frame: &mut Frame<'_>, model: &Model, inner: Rect, filter: &str, index: usize) {
    let theme = model.theme;
    let typed = vec![Span::styled(PROMPT, theme.accent()), Span::raw(one_line(filter))];
    line(frame, row(inner, 0), Line::from(typed));
    let names = candidates(model, filter);
    let height = usize::from(inner.height).saturating_sub(1);
    let cells = usize::from(inner.width);
    for (place, at) in window(names.len(), index, height).enumerate() {
        let Some(name) = names.get(at) else { continue };
        let known = model.handle_called(name).and_then(|handle| model.conversations.get(&handle));
        let unread = known.map_or(0, |one| one.unread);
        let count = if unread > 0 { unread.to_string() } else { String::new() };
        let sign = match (name.starts_with('#'), model.is_online(name)) {
            (true, _) => " ",
            (false, true) => "●",
            (false, false) => "○",
        };
        // What is chosen here is the account: it stands first.
        let room = cells.saturating_sub(3 + width(&count));
        let label = cut(&one_line(name), room);
        let chosen = model.people.chosen(name).unwrap_or_default();
        let beside = pad(&format!("  {chosen}"), room.saturating_sub(width(&label)));
        let faint = if at == index { Style::new() } else { theme.faint() };
        let shown = Line::from(vec![
            Span::raw(format!("{sign} {label}")),
            Span::styled(beside, faint),
            Span::raw(format!(" {count}")),
        ]);
        line(frame, row(inner, place + 1), if at == index { shown.patch_style(theme.bar()) } else { shown });
    }
    let x =
        inner.x + u16::try_from(PROMPT.chars().count() + width(filter)).unwrap_or(0).min(inner.width.saturating_sub(1));
    frame.set_cursor_position(Position::new(x, inner.y));
}

fn draw_list(frame: &mut Frame<'_>, model: &Model, inner: Rect, list: &List) {
    let theme = model.theme;
    let height = usize::from(inner.height).saturating_sub(1);
    let cells = usize::from(inner.width);
    let label = list.rows.iter().map(|row| width(&row.label)).max().unwrap_or(0).min(cells / 2);
    for (place, at) in window(list.rows.len(), list.index, height).enumerate() {
        let Some(shown) = list.rows.get(at) else { continue };
        let detail = pad(&shown.detail, cells.saturating_sub(label + 2));
        let spans = vec![
            Span::styled(pad(&shown.label, label), theme.bold()),
            Span::raw("  "),
            Span::styled(detail, if at == list.index { Style::new() } else { theme.faint() }),
        ];
        let shown = Line::from(spans);
        line(frame, row(inner, place), if at == list.index { shown.patch_style(theme.bar()) } else { shown });
    }
    let remark = if list.is_loading { "…".to_owned() } else { one_line(&list.remark) };
    line(frame, row(inner, height), Line::styled(cut(&remark, cells), theme.accent()));
}

fn draw_search(frame: &mut Frame<'_>, model: &Model, inner: Rect, search: &SearchView) {
    let theme = model.theme;
    let height = usize::from(inner.height).saturating_sub(1);
    let cells = usize::from(inner.width);
    for (place, at) in window(search.found.len(), search.index, height / FOUND_ROWS).enumerate() {
        let Some(found) = search.found.get(at) else { continue };
        let Some(message) = &found.message else { continue };
        let when = model.zone.at(message.time_ms).format("%Y-%m-%d %H:%M");
        let place_name = if message.room_name.is_empty() {
            model.people.briefly(&message.peer_name, NAME)
        } else {
            format!("#{}", one_line(&message.room_name))
        };
        let head = format!("{when}  {place_name}  {}", model.people.briefly(&message.author_name, NAME));
        let head = Line::styled(pad(&head, cells), theme.bold());
        let is_chosen = at == search.index;
        line(frame, row(inner, place * FOUND_ROWS), if is_chosen { head.patch_style(theme.bar()) } else { head });
        line(frame, row(inner, place * FOUND_ROWS + 1), marked(model, &message.body, &found.marks, cells));
    }
    let remark = match (&search.error, search.is_loading, search.found.len(), search.is_complete) {
        (Some(why), ..) => one_line(why),
        (None, true, ..) => "searching …".to_owned(),
        (None, false, 0, _) => "nothing was found".to_owned(),
        (None, false, all, true) => {
            format!("{all}{} found · Enter goes there", if search.more_before > 0 { " and more" } else { "" })
        }
        (None, false, all, false) => format!("{all} found · the newest messages may be missing: the index is behind"),
    };
    let style = if search.error.is_some() { theme.bad() } else { theme.accent() };
    line(frame, row(inner, height), Line::styled(cut(&remark, cells), style));
}

/// A text on one row around what was found in it.
fn marked(model: &Model, body: &str, marks: &[threefold_client::chat::Mark], cells: usize) -> Line<'static> {
    let first = marks.first().map_or(0, |mark| usize::try_from(mark.start).unwrap_or(0));
    // Some of what stands before the first mark, if it lies far back.
    let skipped = first.saturating_sub(cells / 3);
    let mut spans = vec![Span::raw("  ")];
    if skipped > 0 {
        spans.push(Span::raw("…"));
    }
    let mut text = String::new();
    let mut was_marked = false;
    for (place, c) in body.chars().enumerate().skip(skipped).take(cells * 2) {
        let is_in = |mark: &threefold_client::chat::Mark| {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            (mark.start..mark.end).contains(&place)
        };
        let is_marked = marks.iter().any(is_in);
        if is_marked != was_marked {
            spans.push(part(model, &std::mem::take(&mut text), was_marked));
            was_marked = is_marked;
        }
        text.push(c);
    }
    spans.push(part(model, &text, was_marked));
    Line::from(spans)
}

fn part(model: &Model, text: &str, is_marked: bool) -> Span<'static> {
    Span::styled(one_line(text), if is_marked { model.theme.warning() } else { Style::new() })
}
