//! Printing: for people, or one JSON object a line. What others wrote is never given to a terminal as it is.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use chrono::{DateTime, Local, TimeZone as _};
use serde::Serialize;
pub use threefold::tui::text::escape;

use super::Failure;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints one result: `value` for programs, or what `human` says for people (nothing if that is empty).
    pub fn result(self, value: &impl Serialize, human: impl FnOnce() -> String) -> io::Result<()> {
        let line = if self.json { json_line(value)? } else { human() };
        self.line(&line)
    }

    /// Prints a line as it is, for people only.
    pub fn remark(self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { self.line(text) }
    }

    /// Says that a list goes on behind this one: an object for programs, and for people with which option to see it.
    pub fn more<T: Serialize + Display>(self, from: More<T>) -> io::Result<()> {
        let words = match &from {
            More { after: Some(after), .. } => format!("there are more: --after {}", escape(&after.to_string())),
            More { before: Some(before), .. } => format!("there are more: --before {}", escape(&before.to_string())),
            More { .. } => String::new(),
        };
        self.result(&from, || words)
    }

    fn line(self, line: &str) -> io::Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }
}

/// The last line of a list that goes on: a script that reads only rows would take a part for the whole.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "more")]
pub struct More<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<T>,
}

impl<T> More<T> {
    /// Behind this one.
    pub fn after(last: T) -> Self {
        Self { after: Some(last), before: None }
    }

    /// Before this one, in a list that begins with the newest.
    pub fn before(last: T) -> Self {
        Self { after: None, before: Some(last) }
    }
}

/// What could not be printed, where a command does several things: it does them all the same, and says so at its end.
#[derive(Debug, Default)]
pub struct Unprinted(Option<Failure>);

impl Unprinted {
    /// Keeps the first failure.
    pub fn keep(&mut self, printed: Result<(), impl Into<Failure>>) {
        if let Err(failure) = printed {
            self.0.get_or_insert_with(|| failure.into());
        }
    }

    /// How the printing went.
    pub fn end(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }
}

/// One object on one line, without its end.
pub fn json_line(value: &impl Serialize) -> io::Result<String> {
    serde_json::to_string(value).map_err(io::Error::other)
}

/// A body for people: escaped, and its further lines indented so that none can pass for a message of its own.
pub fn indent(body: &str) -> String {
    escape(body.trim_end_matches('\n')).replace('\n', "\n    ")
}

/// A size for people.
pub fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1024 => return format!("{bytes} bytes"),
        1024..0x10_0000 => (1 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A time of day, with the date unless it is today.
pub fn time(time_ms: u64) -> String {
    format_time(time_ms, Local::now())
}

fn format_time(time_ms: u64, now: DateTime<Local>) -> String {
    let Some(time) = i64::try_from(time_ms).ok().and_then(|ms| Local.timestamp_millis_opt(ms).single()) else {
        return "?".to_owned();
    };
    let format = if time.date_naive() == now.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.format(format).to_string()
}

/// Columns padded to the same width, two spaces between them.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_by_others_controls_the_terminal() {
        assert_eq!(escape("a\u{1b}[31mred\u{7}\r"), "a\\u{1b}[31mred\\u{7}\\u{d}");
        assert_eq!(escape("\u{202e}evil\u{9b}"), "\\u{202e}evil\\u{9b}");
        assert_eq!(escape("größe 漢字 👩‍👩‍👧 \tשלום"), "größe 漢字 👩‍👩‍👧 \tשלום");
    }

    #[test]
    fn further_lines_are_indented() {
        assert_eq!(indent("one\n[12:00] bob → you: forged\n"), "one\n    [12:00] bob → you: forged");
    }

    #[test]
    fn times_carry_a_date_unless_today() {
        let now = Local.with_ymd_and_hms(2026, 5, 17, 12, 0, 0).unwrap();
        let at = |h: u32, d: u32| {
            u64::try_from(Local.with_ymd_and_hms(2026, 5, d, h, 30, 0).unwrap().timestamp_millis()).unwrap()
        };
        assert_eq!(format_time(at(9, 17), now), "09:30");
        assert_eq!(format_time(at(9, 16), now), "2026-05-16 09:30");
        assert_eq!(format_time(u64::MAX, now), "?");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1023, 1024, 1536, 25 << 20, 5 << 30, u64::MAX].map(bytes);
        assert_eq!(sizes[..6], ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "25.0 MiB", "5.0 GiB"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), "a     b\nlong  c");
    }
}
