//! `search`: messages that say certain words.

use std::io::{IsTerminal as _, stdout};

use clap::Args;
use serde::Serialize;
use threefold_client::{
    Search, To,
    chat::{FoundMessage, Mark, Message},
};

use super::{
    ClientOptions, Failure,
    context::Context,
    output::{escape, indent},
    render::Line,
};

/// Characters of a long message that are shown, and how many of them before the first word found.
const EXCERPT_CHARS: usize = 400;
const BEFORE_CHARS: usize = 100;
/// A terminal's bold, and its end.
const BOLD: (&str, &str) = ("\u{1b}[1m", "\u{1b}[22m");

/// Of `search`.
#[derive(Args, Debug)]
pub struct SearchArgs {
    /// Words that all occur, in any order; `hel*` stands for all that begin so
    #[arg(required = true)]
    words: Vec<String>,
    /// Only messages exchanged with this person
    #[arg(long = "in", value_name = "NAME")]
    with: Option<String>,
    /// Only messages of this person
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Only messages older than this one
    #[arg(long, value_name = "ID", default_value_t = 0, hide_default_value = true)]
    before: u64,
    /// How many at most, up to 50
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=50))]
    limit: u32,
}

/// A message found, for programs.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    /// Where the body says what was searched for, in characters.
    marks: Vec<[u32; 2]>,
}

/// What programs are told after the messages, where there is more to know.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Remark {
    /// There may be more: go on with `--before`.
    More { before: u64 },
    /// The server's index is behind: newer messages than this may be missing.
    Incomplete { indexed_up_to: u64 },
}

/// Shows messages that say certain words, newest first.
pub async fn search(args: SearchArgs, options: ClientOptions) -> Result<(), Failure> {
    let context = Context::logged_in(&options)?;
    let account = context.session()?.account;
    let SearchArgs { words, with, from, before, limit } = args;
    let with = with.as_deref().map(To::from);
    let reply = context.client.search(Search { query: words.join(" "), with, from, before, limit }).await?;
    let bold = if stdout().is_terminal() { BOLD } else { ("", "") };
    for FoundMessage { message, marks } in &reply.found {
        let Some(message) = message else { continue };
        let value = Found {
            line: Line::message(message, account),
            marks: marks.iter().map(|mark| [mark.start, mark.end]).collect(),
        };
        context.output.result(&value, || human(message, marks, account, bold))?;
    }
    if reply.found.is_empty() {
        context.output.remark("nothing found")?;
    }
    if reply.more_before > 0 {
        let words = || format!("there may be more: --before {}", reply.more_before);
        context.output.result(&Remark::More { before: reply.more_before }, words)?;
    }
    if !reply.complete {
        let words = || "the server is still indexing: newer messages may be missing".to_owned();
        context.output.result(&Remark::Incomplete { indexed_up_to: reply.indexed_up_to }, words)?;
    }
    context.remember().await
}

/// A message with what was found in it in bold; of a long one a part.
fn human(message: &Message, marks: &[Mark], account: u64, bold: (&str, &str)) -> String {
    // What stands before a text is what a message without one shows.
    let bare = Message { body: String::new(), edited_at_ms: 0, reactions: Vec::new(), ..message.clone() };
    let heading = Line::message(&bare, account).human().unwrap_or_default();
    let edited = if message.edited_at_ms > 0 { " (edited)" } else { "" };
    format!("{} {heading}{}{edited}", message.id, excerpt(&message.body, marks, bold))
}

fn excerpt(body: &str, marks: &[Mark], (bold, end): (&str, &str)) -> String {
    let chars: Vec<char> = body.trim_end_matches('\n').chars().collect();
    let first_mark = marks.first().map_or(0, |mark| mark.start as usize);
    let (first, last) = if chars.len() <= EXCERPT_CHARS {
        (0, chars.len())
    } else {
        let first = first_mark.saturating_sub(BEFORE_CHARS).min(chars.len() - EXCERPT_CHARS);
        (first, first + EXCERPT_CHARS)
    };
    let text = |from: usize, to: usize| chars.get(from..to).map(String::from_iter).unwrap_or_default();
    let mut shown = if first > 0 { "…".to_owned() } else { String::new() };
    let mut place = first;
    for mark in marks {
        let (start, stop) = ((mark.start as usize).clamp(place, last), (mark.end as usize).clamp(place, last));
        if start < stop {
            // Only the end of a body is trimmed, not that of a part.
            shown.push_str(&further(&text(place, start)));
            shown.push_str(&format!("{bold}{}{end}", further(&text(start, stop))));
            place = stop;
        }
    }
    shown.push_str(&indent(&text(place, last)));
    if last < chars.len() {
        shown.push('…');
    }
    shown
}

fn further(text: &str) -> String {
    escape(text).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(places: &[[u32; 2]]) -> Vec<Mark> {
        places.iter().map(|[start, end]| Mark { start: *start, end: *end }).collect()
    }

    #[test]
    fn what_was_found_is_bold_and_nothing_controls_the_terminal() {
        let shown = excerpt("né e\u{1b}t\nlà", &marks(&[[0, 2], [7, 9]]), ("<", ">"));
        assert_eq!(shown, "<né> e\\u{1b}t\n    <là>");
        assert_eq!(excerpt("plain", &[], BOLD), "plain");
        assert_eq!(excerpt("short", &marks(&[[3, 99]]), ("<", ">")), "sho<rt>");
    }

    #[test]
    fn of_a_long_message_the_part_with_the_first_word_is_shown() {
        let body = format!("{}word{}", "x".repeat(1000), "y".repeat(1000));
        let shown = excerpt(&body, &marks(&[[1000, 1004]]), ("<", ">"));
        assert_eq!(shown.chars().count(), EXCERPT_CHARS + 4);
        assert!(shown.starts_with("…x") && shown.contains("x<word>y") && shown.ends_with("y…"), "{shown}");
    }
}
