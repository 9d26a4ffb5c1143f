//! What stands around the messages: the conversations, what the open one is about, who is there.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use threefold_client::chat::Role;

use super::{line, row};
use crate::chat::{
    conversation::{Conversation, Kind},
    model::{Link, Model},
    people::Called,
    text::{cut, one_line, pad, width},
};

/// The conversations, where something happened last first; above them, who one is.
pub fn list(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = model.theme;
    let cells = usize::from(area.width);
    let mark = match (&model.link, model.condition.state.as_str()) {
        (_, "frozen") => Span::styled("✕", theme.bad()),
        (Link::Connected(_), _) => Span::styled("●", theme.good()),
        (Link::Connecting | Link::Lost(_), _) => Span::styled("○", theme.warning()),
    };
    let me = Span::styled(cut(&one_line(&model.name), cells.saturating_sub(3)), theme.bold());
    line(frame, row(area, 0), Line::from(vec![Span::raw(" "), mark, Span::raw(" "), me]));
    let listed = model.listed();
    let height = usize::from(area.height).saturating_sub(1);
    for (place, handle) in listed.iter().skip(model.list_from).take(height).enumerate() {
        let Some(one) = model.conversations.get(handle) else { continue };
        let is_open = model.open == Some(*handle);
        line(frame, row(area, place + 1), entry(model, one, is_open, cells));
    }
    let below = listed.len().saturating_sub(model.list_from + height);
    if below > 0 {
        let more = pad(&format!(" ↓ {} more", below + 1), cells);
        line(frame, row(area, height), Line::styled(more, theme.faint()));
    }
    if !model.invitations.is_empty() && listed.len() < height {
        let all = model.invitations.len();
        let words = if all == 1 { " 1 invitation".to_owned() } else { format!(" {all} invitations") };
        line(frame, row(area, height), Line::styled(cut(&words, cells), theme.warning()));
    }
}

fn entry(model: &Model, one: &Conversation, is_open: bool, cells: usize) -> Line<'static> {
    let theme = model.theme;
    let sign = match &one.kind {
        Kind::Direct(name) if model.is_online(name) => Span::styled("● ", theme.good()),
        Kind::Direct(_) => Span::styled("○ ", theme.faint()),
        Kind::Room(_) => Span::styled("# ", theme.faint()),
    };
    let count = match (one.mentions, one.unread) {
        (0, 0) => String::new(),
        (0, unread @ 0..1000) => unread.to_string(),
        (0, _) => "999+".to_owned(),
        (mentions, unread) => format!("@{mentions} {unread}"),
    };
    let room = cells.saturating_sub(3 + width(&count) + usize::from(!count.is_empty()) * 2);
    let is_unread = one.unread > 0;
    let title_style = if is_unread { theme.bold() } else { Style::new() };
    let count_style = if one.mentions > 0 { theme.warning() } else { theme.accent() };
    let called = match &one.kind {
        Kind::Direct(name) => model.people.called(name, room),
        Kind::Room(of) => Called { name: cut(&one_line(&of.name), room), account: None },
    };
    let mut spans = vec![Span::raw(" "), sign];
    spans.extend(padded(called, room, title_style, theme.faint()));
    if !count.is_empty() {
        spans.push(Span::raw(" "));
        spans.push(Span::styled(count, count_style));
        spans.push(Span::raw(" "));
    }
    let entry = Line::from(spans);
    if is_open { entry.patch_style(theme.bar()) } else { entry }
}

/// A name in so many cells, with the account's beside it.
fn padded(called: Called, room: usize, style: Style, faint: Style) -> [Span<'static>; 3] {
    let left = " ".repeat(room.saturating_sub(called.width()));
    let account = called.account.map(|account| format!(" {account}")).unwrap_or_default();
    [Span::styled(called.name, style), Span::styled(account, faint), Span::raw(left)]
}

/// What the open conversation is, and what happens elsewhere.
pub fn header(frame: &mut Frame<'_>, model: &Model, area: Rect, with_list: bool) {
    let theme = model.theme;
    let cells = usize::from(area.width);
    let right = right_of_header(model, with_list);
    let room = cells.saturating_sub(width(&right) + 3);
    let mut spans = vec![Span::raw(" ")];
    match model.current() {
        None => spans.push(Span::styled("threefold", theme.bold())),
        Some(current) => {
            let called = match &current.kind {
                Kind::Direct(name) => model.people.called(name, room),
                Kind::Room(_) => Called { name: cut(&one_line(&current.title()), room), account: None },
            };
            let about = about(model, current);
            let left = room.saturating_sub(called.width() + 2);
            spans.push(Span::styled(called.name, theme.bold()));
            spans.extend(called.account.map(|account| Span::raw(format!(" {account}"))));
            if left > 3 && !about.is_empty() {
                spans.push(Span::raw(format!("  {}", cut(&about, left))));
            }
        }
    }
    let used: usize = spans.iter().map(|span| width(&span.content)).sum();
    spans.push(Span::raw(" ".repeat(cells.saturating_sub(used + width(&right) + 1))));
    spans.push(Span::styled(right, theme.bold()));
    spans.push(Span::raw(" "));
    line(frame, area, Line::from(spans).patch_style(theme.bar()));
}

fn about(model: &Model, current: &Conversation) -> String {
    match &current.kind {
        // Before a server has answered, nobody here knows.
        Kind::Direct(name) if name.is_empty() || !model.is_loaded => String::new(),
        Kind::Direct(name) => if model.is_online(name) { "online" } else { "offline" }.to_owned(),
        Kind::Room(room) => one_line(&room.topic),
    }
}

fn right_of_header(model: &Model, with_list: bool) -> String {
    let (unread, mentions) = model.unread_elsewhere();
    let mut parts = Vec::new();
    if let Some(room) = model.current().and_then(Conversation::room).filter(|_| with_list) {
        let visible = if room.public { "" } else { "private, " };
        parts.push(format!("{visible}{} here", room.members));
    }
    if !with_list {
        if mentions > 0 {
            parts.push(format!("@{mentions}"));
        }
        if unread > 0 {
            parts.push(format!("+{unread}"));
        }
        match &model.link {
            Link::Connected(_) => {}
            Link::Connecting | Link::Lost(_) => parts.push("○".to_owned()),
        }
    }
    parts.join(" ")
}

/// Who is in the open room.
pub fn side(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = model.theme;
    let Some(current) = model.current() else { return };
    let cells = usize::from(area.width);
    let members = current.room().map_or(0, |room| room.members);
    let words = if members == 1 { " 1 member".to_owned() } else { format!(" {members} members") };
    line(frame, row(area, 0), Line::styled(words, theme.bold()));
    let mut sorted: Vec<_> = current.members.iter().map(|member| (member, model.is_online(&member.name))).collect();
    sorted.sort_by(|(a, a_online), (b, b_online)| {
        b_online.cmp(a_online).then(b.role.cmp(&a.role)).then(a.name.to_lowercase().cmp(&b.name.to_lowercase()))
    });
    for (place, (member, is_online)) in sorted.iter().take(usize::from(area.height) - 1).enumerate() {
        let sign = if *is_online { Span::styled(" ● ", theme.good()) } else { Span::styled(" ○ ", theme.faint()) };
        let role = match member.role() {
            Role::Owner => "owner",
            Role::Moderator => "moderator",
            Role::Member | Role::Unspecified => "",
        };
        let room = cells.saturating_sub(5 + width(role));
        let style = if *is_online { Style::new() } else { Style::new().add_modifier(Modifier::DIM) };
        let mut spans = vec![sign];
        spans.extend(padded(model.people.called(&member.name, room), room, style, theme.faint()));
        spans.push(Span::raw(" "));
        spans.push(Span::styled(role, theme.faint()));
        line(frame, row(area, place + 1), Line::from(spans));
    }
}
