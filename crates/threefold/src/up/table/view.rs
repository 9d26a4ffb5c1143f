//! How it is drawn.

use ratatui::{
    Frame,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{Process, Server, Table, Tone, lag};
use crate::tui::{
    figures::{term, uptime},
    progress::{self, plainly},
    text::{cut, one_line, pad, pad_left, width, wrap},
    theme::Theme,
};

/// Between two columns.
const GAP: usize = 2;
/// Before the first column: what marks the chosen row.
const MARKER: usize = 2;
/// Rows that say why the cluster is as it is, at most.
const REASON_ROWS: usize = 2;
/// So many rows are left over: then there is air between the parts.
const AIRY: usize = 9;
/// So many rows are left over: then what happened has a heading.
const HEADED: usize = 5;

/// Draws the table on the whole of the terminal.
pub(in crate::up) fn view(frame: &mut Frame<'_>, table: &Table) {
    let area = frame.area();
    frame.render_widget(Paragraph::new(rows(table, area.width.into(), area.height.into())), area);
}

/// All rows, as many as the terminal has; each fits in its cells.
pub(super) fn rows(table: &Table, cells: usize, height: usize) -> Vec<Line<'static>> {
    let mut servers = grid(table, cells);
    servers.extend(catching_up(table, cells));
    let reason = condition(table, cells);
    let fixed = 1 + reason.len() + servers.len() + 2;
    let spare = height.saturating_sub(fixed);
    let (is_airy, is_headed) = (spare >= AIRY, spare >= HEADED);
    let air = || is_airy.then(Line::default);

    let mut top = vec![title(table, cells)];
    top.extend(air());
    top.extend(reason);
    top.extend(air());
    top.extend(servers);
    top.extend(air());
    if is_headed {
        top.push(Line::styled(cut(" WHAT HAPPENED", cells), table.theme.faint()));
    }
    let mut bottom: Vec<Line<'static>> = air().into_iter().collect();
    bottom.extend(whereabouts(table, cells, is_airy));
    // On the smallest terminals the keys stay, and then as much of the rest as there is room for.
    let left = height.saturating_sub(1);
    if top.len() + bottom.len() > left {
        bottom.clear();
    }
    top.truncate(left);
    let middle = left.saturating_sub(top.len() + bottom.len());
    let mut happened: Vec<_> =
        table.happened.iter().take(middle).map(|one| happening(one, table.theme, cells)).collect();
    happened.resize(middle, Line::default());
    top.extend(happened);
    top.extend(bottom);
    if height > 0 {
        top.push(keys(table, cells));
    }
    top
}

/// What it is a table of, and what time it is.
fn title(table: &Table, cells: usize) -> Line<'static> {
    let count = table.servers.len();
    let servers = format!("{count} server{}", if count == 1 { "" } else { "s" });
    let words = [format!(" Threefold · {servers} in {}", table.data_dir), format!(" Threefold · {servers}")];
    let clock = format!(" {} ", table.clock);
    let room = cells.saturating_sub(width(&clock));
    let fits = words.iter().find(|words| width(words) <= room).map_or(" Threefold", String::as_str);
    let line = if room > width(fits) { pad(fits, room) + &clock } else { pad(fits, cells) };
    Line::styled(cut(&line, cells), table.theme.bar().patch(table.theme.bold()))
}

/// How the cluster is doing, in words.
fn condition(table: &Table, cells: usize) -> Vec<Line<'static>> {
    let (word, why, tone) = table.condition();
    let style = table.theme.bold().patch(toned(tone, table.theme));
    let separator = if why.is_empty() { "" } else { ": " };
    let spans = [Span::styled(format!("● {word}"), style), Span::raw(format!("{separator}{why}"))];
    let mut lines = wrap(&spans, cells.saturating_sub(2));
    if lines.len() > REASON_ROWS {
        lines.truncate(REASON_ROWS);
        if let Some(last) = lines.last_mut() {
            let short = cut(&format!("{} …", last.to_string().trim_end()), cells.saturating_sub(2));
            *last =
                Line::raw(if short.ends_with('…') { short } else { cut(&(short + "…"), cells.saturating_sub(2)) });
        }
    }
    let indented = |mut line: Line<'static>| {
        line.spans.insert(0, Span::raw(if cells > 1 { " " } else { "" }));
        line
    };
    lines.into_iter().map(indented).collect()
}

/// A column: its heading, the least width that keeps it from jumping, and how soon it goes where there is no room.
struct Column {
    heading: &'static str,
    least: usize,
    /// Lower ones stay longer.
    rank: u8,
    is_number: bool,
    cell: fn(&Table, &Server, usize) -> String,
}

const fn text(heading: &'static str, least: usize, rank: u8, cell: fn(&Table, &Server, usize) -> String) -> Column {
    Column { heading, least, rank, is_number: false, cell }
}

const fn number(heading: &'static str, least: usize, rank: u8, cell: fn(&Table, &Server, usize) -> String) -> Column {
    Column { heading, least, rank, is_number: true, cell }
}

/// The column whose cells have the tone of the server.
const ROLE: &str = "ROLE";
/// The column that only survivor mode needs.
const IN_SYNC: &str = "IN SYNC";

const COLUMNS: [Column; 13] = [
    text("#", 1, 4, |_, _, place| (place + 1).to_string()),
    text("SERVER", 8, 0, |_, server, _| one_line(&server.name)),
    text(ROLE, 11, 0, |table, server, _| table.standing(server).0.to_owned()),
    text(IN_SYNC, 7, 1, |_, server, _| server.up().map_or("-", |up| if up.in_sync { "yes" } else { "no" }).to_owned()),
    number("BEHIND", 6, 2, |table, server, _| known(server.up().map(|up| lag(up, table.committed())))),
    number("LAST", 7, 6, |_, server, _| known(server.up().map(|up| up.last_index))),
    number("APPLIED", 7, 5, |_, server, _| known(server.up().map(|up| up.applied_index))),
    number("TERM", 4, 4, |_, server, _| server.up().map_or("-".to_owned(), |up| term(up.term))),
    number("CLIENTS", 7, 3, |_, server, _| known(server.up().map(|up| up.clients))),
    number("MEMORY", 7, 8, |_, server, _| memory(server)),
    number("UPTIME", 6, 7, |_, server, _| server.up().map_or("-".to_owned(), |up| uptime(up.uptime_ms))),
    number("PID", 7, 10, |_, server, _| known(pid(server))),
    text("ADDRESS", 14, 9, |_, server, _| server.address.clone()),
];

/// The heading and a row a server, with the columns that there is room for.
fn grid(table: &Table, cells: usize) -> Vec<Line<'static>> {
    let shown = |column: &&Column| column.heading != IN_SYNC || table.has_survivor_mode();
    let mut columns: Vec<(&Column, Vec<String>, usize)> = Vec::new();
    for column in COLUMNS.iter().filter(shown) {
        let texts = table.servers.iter().enumerate().map(|(place, server)| (column.cell)(table, server, place));
        let texts: Vec<String> = texts.collect();
        let widest = texts.iter().map(|text| width(text)).max().unwrap_or(0);
        columns.push((column, texts, widest.max(column.least).max(width(column.heading))));
    }
    let total = |columns: &[(&Column, Vec<String>, usize)]| {
        MARKER + columns.iter().map(|(_, _, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while total(&columns) > cells {
        let least = columns.iter().enumerate().max_by_key(|(_, (column, ..))| column.rank);
        match least {
            Some((place, (column, ..))) if column.rank > 0 => drop(columns.remove(place)),
            _ => break,
        }
    }
    let heading: Vec<Span<'static>> = columns
        .iter()
        .map(|(column, _, width)| Span::styled(aligned(column, column.heading, *width), table.theme.faint()))
        .collect();
    let mut lines = vec![joined(Span::raw(" ".repeat(MARKER)), heading, cells)];
    for (place, server) in table.servers.iter().enumerate() {
        let is_chosen = place == table.chosen;
        let (_, tone) = table.standing(server);
        let style = |column: &Column| {
            let style = if column.heading == ROLE { toned(tone, table.theme) } else { Style::new() };
            if is_chosen { style.patch(table.theme.bold()) } else { style }
        };
        let cell = |(column, texts, width): &(&Column, Vec<String>, usize)| {
            Span::styled(aligned(column, &texts[place], *width), style(column))
        };
        let marker = Span::styled(if is_chosen { "▸ " } else { "  " }, table.theme.accent());
        lines.push(joined(marker, columns.iter().map(cell).collect(), cells));
    }
    lines
}

fn aligned(column: &Column, text: &str, width: usize) -> String {
    if column.is_number { pad_left(text, width) } else { pad(text, width) }
}

/// A row of spans, of which none goes beyond the terminal.
fn joined(marker: Span<'static>, spans: Vec<Span<'static>>, cells: usize) -> Line<'static> {
    let mut left = cells;
    let mut row = Vec::new();
    let gap = || Span::raw(" ".repeat(GAP));
    let parts = spans.into_iter().enumerate().flat_map(|(place, span)| (place > 0).then(gap).into_iter().chain([span]));
    for span in std::iter::once(marker).chain(parts) {
        let short = cut(&span.content, left);
        left -= width(&short).min(left);
        row.push(Span::styled(short, span.style));
    }
    Line::from(row)
}

/// A bar for each server that has something to catch up with.
fn catching_up(table: &Table, cells: usize) -> Vec<Line<'static>> {
    let committed = table.committed();
    let bar = |server: &Server| {
        let (up, from) = (server.up()?, server.behind_since?);
        let (done, total) = (up.applied_index.saturating_sub(from), committed.saturating_sub(from));
        let words = format!("{} catches up", one_line(&server.name));
        let room = cells.saturating_sub(MARKER);
        // What is sent as a copy of the whole state counts at its end, all at once: a bar would stand at nothing, and then be gone.
        let line = match done {
            0 => cut(&format!("{words}: it is {total} entries behind"), room),
            _ => progress::line(&words, done, total, plainly, room),
        };
        // What is over before anybody can read it needs no bar.
        (total > super::BEHIND).then(|| Line::styled(cut(&format!("  {line}"), cells), table.theme.warning()))
    };
    table.servers.iter().filter_map(bar).collect()
}

fn happening(one: &super::Happening, theme: Theme, cells: usize) -> Line<'static> {
    let at = cut(&format!(" {}  ", one.at), cells);
    let room = cells.saturating_sub(width(&at) + 1);
    Line::from(vec![Span::styled(at, theme.faint()), Span::styled(cut(&one.words, room), toned(one.tone, theme))])
}

/// Where the page is, and how to log in.
fn whereabouts(table: &Table, cells: usize, is_airy: bool) -> Vec<Line<'static>> {
    let Table { page, servers_option, theme, .. } = table;
    let log_in = format!("threefold register NAME{servers_option}, then threefold chat");
    let fits = |words: &&String| width(words) < cells;
    if is_airy {
        let row = |label: &'static str, words: &str, style: Style| {
            let room = cells.saturating_sub(10);
            Line::from(vec![
                Span::styled(cut(&format!(" {label:<8} "), cells), theme.faint()),
                Span::styled(cut(words, room), style),
            ])
        };
        // A command that is cut could not be copied.
        let log_in = if width(&log_in) + 10 <= cells { log_in } else { "threefold register, then chat".to_owned() };
        return vec![row("page", page, theme.link()), row("log in", &log_in, Style::new())];
    }
    let longer = format!(" {page}  ·  {log_in}");
    let shorter = format!(" {page} · threefold chat");
    let words = Some(&longer).filter(fits).or(Some(&shorter).filter(fits)).map_or(format!(" {page}"), Clone::clone);
    vec![Line::styled(cut(&words, cells), Style::new())]
}

/// What keys do, of which the most wanted find room; or what there is to say about the last one.
fn keys(table: &Table, cells: usize) -> Line<'static> {
    let theme = table.theme;
    if let Some((remark, _)) = &table.remark {
        return Line::styled(pad(&format!(" {remark}"), cells), theme.bar().patch(theme.warning()));
    }
    // In the order shown, with how much each is wanted.
    let all = [
        ("↑↓", "choose", 4),
        ("k", "kill", 0),
        ("s", "start", 1),
        ("l", "kill leader", 3),
        ("a", "start all", 5),
        ("q", "quit", 2),
    ];
    let mut shown: Vec<_> = all.to_vec();
    let words = |shown: &[(&str, &str, u8)]| {
        let each = shown.iter().map(|(key, what, _)| format!("{key} {what}"));
        format!(" {}", each.collect::<Vec<_>>().join("  "))
    };
    while width(&words(&shown)) >= cells && shown.len() > 1 {
        let least = shown.iter().enumerate().max_by_key(|(_, (_, _, rank))| *rank).map(|(place, _)| place);
        least.map(|place| shown.remove(place));
    }
    Line::styled(pad(&words(&shown), cells), theme.bar())
}

fn toned(tone: Tone, theme: Theme) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => theme.good(),
        Tone::Lead => theme.accent(),
        Tone::Warning => theme.warning(),
        Tone::Bad => theme.bad(),
    }
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn pid(server: &Server) -> Option<u32> {
    match server.process {
        Process::Running { pid, .. } => Some(pid),
        Process::Dead | Process::NotOurs => server.up().map(|up| up.pid),
    }
}

/// The memory of one that runs here.
fn memory(server: &Server) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    match &server.process {
        Process::Running { memory_bytes, .. } => memory_bytes.map_or("-".to_owned(), mib),
        Process::Dead | Process::NotOurs => "-".to_owned(),
    }
}
