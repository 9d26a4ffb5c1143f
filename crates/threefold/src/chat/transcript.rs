//! A conversation as rows of the screen, and the place in it that is looked at.
//!
//! Wide enough, each row has a margin with the time and the author; narrow, the author has a row of its own.

use std::ops::Range;

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};
use threefold_client::chat::Message;

use super::{
    conversation::{Bottom, Conversation, Item},
    format::{self, Names},
    model::{Handle, Model, Pending, PendingState},
    text::{cut, one_line, pad_left, safe, width, wrap},
};
use crate::commands::output::bytes;

/// From this width on there is a margin.
const WIDE: usize = 60;
/// Messages of one author within this time stand together.
const TOGETHER_MS: u64 = 5 * 60 * 1000;
/// Cells of a name before what it said, at most.
const QUOTED_NAME: usize = 24;
/// Keys from here on are of messages on their way.
pub const PENDING: u64 = 1 << 60;

#[cfg(test)]
thread_local! {
    /// Entries that were laid out: tests count them.
    pub static LAID_OUT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub line: Line<'static>,
    /// The message, the notice, or what is on its way.
    pub key: u64,
}

/// What is shown one below the other.
enum Entry<'a> {
    Item(u64, &'a Item),
    Pending(&'a Pending),
}

impl Entry<'_> {
    fn key(&self) -> u64 {
        match self {
            Self::Item(key, _) => *key,
            Self::Pending(pending) => PENDING + pending.local,
        }
    }

    fn time_ms(&self) -> u64 {
        match self {
            Self::Item(_, item) => item.time_ms(),
            Self::Pending(pending) => pending.time_ms,
        }
    }
}

/// Draws one conversation at one width.
pub struct Transcript<'a> {
    model: &'a Model,
    conversation: &'a Conversation,
    entries: Vec<Entry<'a>>,
    width: usize,
    /// The last message of ours that the other one has read.
    seen: Option<u64>,
}

impl<'a> Transcript<'a> {
    pub fn new(model: &'a Model, handle: Handle, width: u16) -> Option<Self> {
        let conversation = model.conversations.get(&handle)?;
        let items = conversation.items.iter().map(|(key, item)| Entry::Item(*key, item));
        let mut entries: Vec<Entry<'_>> = items.collect();
        if !conversation.has_newer {
            entries.extend(model.pending(handle).map(Entry::Pending));
        }
        let read = conversation.peer_read_up_to;
        let mut own = conversation.messages_back().filter(|message| message.author == model.account);
        let seen = own.find(|message| message.id <= read).map(|message| message.id).filter(|_| !conversation.is_room());
        Some(Self { model, conversation, entries, width: usize::from(width).max(8), seen })
    }

    /// What is seen in so many rows, from the top.
    pub fn visible(&self, height: usize) -> Vec<Row> {
        let (end, mut hidden) = self.bottom();
        let mut rows: Vec<Row> = Vec::new();
        for place in (0..end).rev() {
            let mut those = self.rows(place);
            those.truncate(those.len().saturating_sub(std::mem::take(&mut hidden)));
            rows.extend(those.into_iter().rev());
            if rows.len() >= height {
                break;
            }
        }
        rows.truncate(height);
        rows.reverse();
        rows
    }

    /// Behind which entry the screen ends, and how many rows of it are out of sight.
    fn bottom(&self) -> (usize, usize) {
        match self.conversation.bottom {
            Bottom::Newest => (self.entries.len(), 0),
            Bottom::At { item, hidden } => (self.entries.partition_point(|entry| entry.key() <= item), hidden),
        }
    }

    /// The place so many rows further up (or down), as far as there are rows. Only what lies on the way, and what is seen then, is laid out.
    pub fn scrolled(&self, up: isize, height: usize) -> Bottom {
        let (end, hidden) = self.bottom();
        if up < 0 {
            return self.down(end, hidden, up.unsigned_abs());
        }
        let (mut place, mut hidden) = (end, hidden.saturating_add(up.unsigned_abs()));
        // Below `place`, so many rows are out of sight that belong to what is before it.
        let mut seen = None;
        while let Some(before) = place.checked_sub(1) {
            let rows = self.count(before);
            if hidden < rows {
                seen = Some(rows - hidden);
                break;
            }
            hidden -= rows;
            place = before;
        }
        // At the top the screen is full, if there is enough.
        let (mut seen, mut above) = match seen {
            Some(seen) => (seen, place - 1),
            None => return self.with_top(0, height),
        };
        while seen < height {
            let Some(before) = above.checked_sub(1) else { return self.with_top(0, height) };
            seen += self.count(before);
            above = before;
        }
        self.at(place, hidden)
    }

    /// So many rows further down than this many hidden rows of what is before `place`.
    fn down(&self, mut place: usize, mut hidden: usize, mut rows: usize) -> Bottom {
        while rows > hidden {
            rows -= hidden;
            if place == self.entries.len() {
                return Bottom::Newest;
            }
            hidden = self.count(place);
            place += 1;
        }
        self.at(place, hidden - rows)
    }

    /// The place at which the first row is that of this entry, or as far down as there are rows.
    fn with_top(&self, first: usize, height: usize) -> Bottom {
        let mut left = height;
        for place in first..self.entries.len() {
            let rows = self.count(place);
            if rows >= left {
                return self.at(place + 1, rows - left);
            }
            left -= rows;
        }
        Bottom::Newest
    }

    /// The place behind which the screen ends: before `place`, and so many rows further up.
    fn at(&self, place: usize, hidden: usize) -> Bottom {
        match place.checked_sub(1).and_then(|last| self.entries.get(last)) {
            None => Bottom::Newest,
            Some(_) if place == self.entries.len() && hidden == 0 => Bottom::Newest,
            Some(last) => Bottom::At { item: last.key(), hidden },
        }
    }

    /// The place at which this entry is in sight: the present one, if it is.
    pub fn showing(&self, key: u64, height: usize) -> Bottom {
        let Some(wanted) = self.entries.iter().position(|entry| entry.key() == key) else {
            return self.conversation.bottom;
        };
        let (end, hidden) = self.bottom();
        if wanted >= end || (wanted + 1 == end && hidden > 0) {
            return self.at(wanted + 1, 0);
        }
        let mut needed = 0_usize;
        for place in wanted..end {
            needed += self.count(place);
            if needed > height + hidden {
                return self.with_top(wanted, height);
            }
        }
        self.conversation.bottom
    }

    /// Rows of one entry.
    fn count(&self, place: usize) -> usize {
        self.rows(place).len()
    }

    /// Whether the topmost entries are in sight.
    pub fn is_near_top(&self, height: usize) -> bool {
        let (end, hidden) = self.bottom();
        let mut rows = 0_usize;
        for place in (0..end).rev() {
            rows += self.rows(place).len();
            if rows.saturating_sub(hidden) > height * 2 {
                return false;
            }
        }
        true
    }

    /// The rows of one entry, with what divides it from the one before.
    fn rows(&self, place: usize) -> Vec<Row> {
        #[cfg(test)]
        LAID_OUT.with(|all| all.set(all.get() + 1));
        let entry = &self.entries[place];
        let before = place.checked_sub(1).map(|before| &self.entries[before]);
        let mut lines = Vec::new();
        let day = |entry: &Entry<'_>| self.model.zone.at(entry.time_ms()).date_naive();
        if before.is_none_or(|before| day(before) != day(entry)) {
            let text = self.model.zone.at(entry.time_ms()).format("%A, %-d %B %Y").to_string();
            lines.push(self.divider(&text, self.model.theme.faint()));
        }
        let divided = self.conversation.divider.is_some_and(|divider| {
            entry.key() > divider && entry.key() < PENDING && before.is_some_and(|before| before.key() <= divider)
        });
        if divided {
            lines.push(self.divider("new", self.model.theme.warning()));
        }
        let continues = lines.is_empty() && before.is_some_and(|before| self.continues(before, entry));
        match entry {
            Entry::Item(_, Item::Message(message)) => self.message(message, continues, &mut lines),
            Entry::Item(_, Item::Notice { time_ms, text }) => self.notice(*time_ms, text, &mut lines),
            Entry::Pending(pending) => self.pending(pending, continues, &mut lines),
        }
        let key = entry.key();
        lines.into_iter().map(|line| Row { line, key }).collect()
    }

    /// The same author goes on.
    fn continues(&self, before: &Entry<'_>, entry: &Entry<'_>) -> bool {
        let author = |entry: &Entry<'_>| match entry {
            Entry::Item(_, Item::Message(message)) => Some(message.author),
            Entry::Item(_, Item::Notice { .. }) => None,
            Entry::Pending(_) => Some(self.model.account),
        };
        let is_soon = entry.time_ms().saturating_sub(before.time_ms()) < TOGETHER_MS;
        is_soon && author(entry).is_some() && author(entry) == author(before)
    }

    fn divider(&self, text: &str, style: Style) -> Line<'static> {
        let text = cut(text, self.width.saturating_sub(6));
        let left = 3;
        let right = self.width.saturating_sub(left + 2 + width(&text));
        Line::styled(format!("{} {text} {}", "─".repeat(left), "─".repeat(right)), style)
    }

    fn message(&self, message: &Message, continues: bool, lines: &mut Vec<Line<'static>>) {
        let theme = self.model.theme;
        let is_own = message.author == self.model.account;
        let mut body: Vec<Span<'static>> = Vec::new();
        let mut quote = None;
        if message.deleted {
            body.push(Span::styled("deleted", theme.faint().add_modifier(Modifier::ITALIC)));
        } else {
            if message.reply_to != 0 {
                quote = Some(self.quote(message.reply_to));
            }
            let mentioned: Vec<String> = message.mentions.iter().map(|mention| mention.name.to_lowercase()).collect();
            let names = Names { mentioned: &mentioned, own: &self.model.name };
            body.extend(format::spans(&safe(message.body.trim_end_matches('\n')), &names, theme));
            if message.edited_at_ms != 0 {
                body.push(Span::styled(" (edited)", theme.faint()));
            }
        }
        if self.seen == Some(message.id) {
            body.push(Span::styled("  ✓ read", theme.faint()));
        }
        let mut extra = Vec::new();
        for file in &message.attachments {
            let text = format!("[{}, {}]", one_line(&file.name), bytes(file.bytes));
            extra.push(vec![Span::styled(text, theme.link())]);
        }
        if !message.reactions.is_empty() {
            let shown = message.reactions.iter().flat_map(|reaction| {
                let style = if reaction.own { theme.accent() } else { Style::new() };
                [Span::styled(format!("{} {}", one_line(&reaction.emoji), reaction.count), style), Span::raw("  ")]
            });
            extra.push(shown.collect());
        }
        let is_selected = self.conversation.selected == Some(message.id);
        let mentions_me = !is_own && message.mentions.iter().any(|mention| mention.account == self.model.account);
        let mark = match () {
            () if is_selected => Span::styled("▌", theme.accent()),
            () if mentions_me => Span::styled("@", theme.warning()),
            () => Span::raw(" "),
        };
        let head = Head { mark, author: message.author, name: &message.author_name, time_ms: message.time_ms };
        self.block(&head, continues, quote, body, extra, lines);
    }

    fn pending(&self, pending: &Pending, continues: bool, lines: &mut Vec<Line<'static>>) {
        let theme = self.model.theme;
        let text = safe(pending.body.trim_end_matches('\n'));
        let (mark, remark) = match &pending.state {
            PendingState::Waiting if pending.needs_upload() => {
                (Span::styled("…", theme.faint()), Span::styled(" (waiting to be uploaded)", theme.faint()))
            }
            PendingState::Waiting => (Span::styled("…", theme.faint()), Span::styled(" (sending)", theme.faint())),
            PendingState::Uploading(done, total) => {
                let percent = (done * 100).checked_div(*total).unwrap_or(0);
                let remark = format!(" (uploading {percent} % of {})", bytes(*total));
                (Span::styled("…", theme.faint()), Span::styled(remark, theme.faint()))
            }
            PendingState::Failed(why) => {
                let remark = format!(" (not sent: {}; /retry or /discard)", one_line(why));
                (Span::styled("!", theme.bad()), Span::styled(remark, theme.bad()))
            }
            PendingState::Unknown(why) => {
                let remark =
                    format!(" (perhaps sent: {}; /retry may send it twice, /discard gives it up)", one_line(why));
                (Span::styled("?", theme.warning()), Span::styled(remark, theme.warning()))
            }
        };
        let quote = (pending.reply_to != 0).then(|| self.quote(pending.reply_to));
        let body = vec![Span::styled(text, theme.faint()), remark];
        let file = |path: &std::path::PathBuf| {
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            vec![Span::styled(format!("[{}]", one_line(&name)), theme.faint())]
        };
        let extra = pending.files.iter().map(file).collect();
        let (author, name) = (self.model.account, self.model.name.as_str());
        let head = Head { mark, author, name, time_ms: pending.time_ms };
        self.block(&head, continues, quote, body, extra, lines);
    }

    fn notice(&self, time_ms: u64, text: &str, lines: &mut Vec<Line<'static>>) {
        let theme = self.model.theme;
        let margin = self.margin();
        let time = self.model.zone.at(time_ms).format("%H:%M").to_string();
        let first = if margin > 1 {
            format!(" {time} {} │ ", pad_left("*", margin.saturating_sub(10)))
        } else {
            format!(" {time} ")
        };
        let indent = width(&first);
        for (row, line) in
            wrap(&[Span::raw(text.to_owned())], self.width.saturating_sub(indent)).into_iter().enumerate()
        {
            let start = if row == 0 { first.clone() } else { " ".repeat(indent) };
            lines.push(Line::styled(format!("{start}{line}"), theme.faint()));
        }
    }

    /// The message that is answered, on one row.
    fn quote(&self, id: u64) -> Span<'static> {
        let known = self.conversation.message(id).or_else(|| self.model.quoted.get(&id).and_then(Option::as_ref));
        let text = match known {
            Some(message) if message.deleted => "a deleted message".to_owned(),
            Some(message) => {
                let name = self.model.people.briefly(&message.author_name, QUOTED_NAME);
                let body = if message.body.is_empty() { "a file".to_owned() } else { one_line(&message.body) };
                format!("{name}: {body}")
            }
            None if self.model.quoted.contains_key(&id) => "a message that is not there any more".to_owned(),
            None => "…".to_owned(),
        };
        let room = self.width.saturating_sub(self.margin());
        Span::styled(cut(&format!("╭ {text}"), room), self.model.theme.faint().add_modifier(Modifier::ITALIC))
    }

    /// Cells before the text.
    fn margin(&self) -> usize {
        match self.width {
            0..WIDE => 1,
            // Mark, time, space, name, and what divides them from the text.
            WIDE..100 => 1 + 5 + 1 + 12 + 3,
            100..130 => 1 + 5 + 1 + 16 + 3,
            _ => 1 + 5 + 1 + 24 + 3,
        }
    }

    fn block(
        &self,
        head: &Head<'_>,
        continues: bool,
        quote: Option<Span<'static>>,
        body: Vec<Span<'static>>,
        extra: Vec<Vec<Span<'static>>>,
        lines: &mut Vec<Line<'static>>,
    ) {
        let theme = self.model.theme;
        let margin = self.margin();
        let time = self.model.zone.at(head.time_ms).format("%H:%M").to_string();
        let name_style = theme.name(head.author);
        let room = self.width.saturating_sub(margin);
        let mut text: Vec<Line<'static>> = quote.map(Line::from).into_iter().collect();
        if body.iter().any(|span| !span.content.is_empty()) {
            text.extend(wrap(&body, room));
        }
        text.extend(extra.iter().flat_map(|line| wrap(line, room)));
        if margin == 1 && !continues {
            let called = self.model.people.called(head.name, self.width.saturating_sub(8));
            let account = called.account.map(|account| format!(" {account}")).unwrap_or_default();
            lines.push(Line::from(vec![
                head.mark.clone(),
                Span::styled(called.name, name_style),
                Span::styled(format!("{account} {time}"), theme.faint()),
            ]));
        }
        for (row, line) in text.into_iter().enumerate() {
            let mut spans = vec![head.mark.clone()];
            if margin > 1 {
                let cells = margin - 10;
                if row == 0 && !continues {
                    let called = self.model.people.called(head.name, cells);
                    let left = " ".repeat(cells.saturating_sub(called.width()));
                    let account = called.account.map(|account| format!(" {account}")).unwrap_or_default();
                    spans.push(Span::styled(format!("{time} {left}"), theme.faint()));
                    spans.push(Span::styled(called.name, name_style));
                    spans.push(Span::styled(format!("{account} │ "), theme.faint()));
                } else {
                    spans.push(Span::styled(format!("{} │ ", " ".repeat(6 + cells)), theme.faint()));
                }
            }
            spans.extend(line.spans);
            lines.push(Line::from(spans));
        }
    }
}

/// What stands before a message.
struct Head<'a> {
    mark: Span<'static>,
    author: u64,
    name: &'a str,
    time_ms: u64,
}

/// The keys of the messages in sight, the selected one's rows first: for the mouse.
pub fn key_at(rows: &[Row], row: usize) -> Option<u64> {
    rows.get(row).map(|row| row.key).filter(|key| *key < PENDING)
}

/// Ids of answered messages that are neither here nor asked for.
pub fn unknown_quotes(model: &Model, handle: Handle) -> Vec<u64> {
    let Some(conversation) = model.conversations.get(&handle) else { return Vec::new() };
    let answered = conversation.messages_back().map(|message| message.reply_to).filter(|id| *id != 0);
    let unknown = answered.filter(|id| conversation.message(*id).is_none() && !model.asked.contains(id));
    let mut ids: Vec<u64> = unknown.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Which part of a list of `all` is seen in `height` rows, with `index` among them.
pub fn window(all: usize, index: usize, height: usize) -> Range<usize> {
    let height = height.max(1);
    let start = index.saturating_sub(height / 2).min(all.saturating_sub(height));
    start..(start + height).min(all)
}
