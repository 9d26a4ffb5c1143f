//! Text on a grid of cells: made safe, measured, cut and wrapped by what a reader takes for one character.

use std::fmt::Write as _;

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// What stands for a tab.
const TAB: &str = "    ";

/// Text that cannot control a terminal or change the order in which its surroundings are read: control characters
/// (other than line feed and tab) and marks of direction are written as escapes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let dangerous = c.is_control() && c != '\n' && c != '\t';
        let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
        if dangerous || reorders {
            // Writing to a string does not fail.
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// What others wrote, so that it cannot control the terminal or change the order in which its surroundings are read.
#[must_use]
pub fn safe(text: &str) -> String {
    escape(text).replace('\t', TAB)
}

/// The same on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    safe(&text.replace('\n', " "))
}

/// A message as it is typed: one that begins with a slash begins with two.
pub fn as_typed(body: &str) -> String {
    if body.starts_with('/') { format!("/{body}") } else { body.to_owned() }
}

/// Cells that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(cells).sum()
}

/// Cells that one character takes.
#[must_use]
pub fn cells(grapheme: &str) -> usize {
    grapheme.width()
}

/// A text that takes at most so many cells; where it was longer, it ends with `…`.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut left = most.saturating_sub(1);
    for grapheme in text.graphemes(true) {
        let cells = cells(grapheme);
        if cells > left {
            break;
        }
        left -= cells;
        short.push_str(grapheme);
    }
    if most > 0 {
        short.push('…');
    }
    short
}

/// A text in exactly so many cells, behind it spaces.
#[must_use]
pub fn pad(text: &str, cells: usize) -> String {
    let text = cut(text, cells);
    let missing = cells.saturating_sub(width(&text));
    text + &" ".repeat(missing)
}

/// The same with the spaces before it.
#[must_use]
pub fn pad_left(text: &str, cells: usize) -> String {
    let text = cut(text, cells);
    " ".repeat(cells.saturating_sub(width(&text))) + &text
}

/// Spans broken into lines of at most so many cells: at spaces where there are some, at line feeds always.
#[must_use]
pub fn wrap(spans: &[Span<'_>], most: usize) -> Vec<Line<'static>> {
    let most = most.max(1);
    let mut lines = Vec::new();
    let mut line: Vec<(&str, Style)> = Vec::new();
    let mut used = 0;
    // Where the line may be broken: behind this many of its characters.
    let mut break_at = 0;
    for span in spans {
        for grapheme in span.content.graphemes(true) {
            if grapheme == "\n" {
                lines.push(joined(&line));
                line.clear();
                (used, break_at) = (0, 0);
                continue;
            }
            let cells = cells(grapheme);
            if grapheme == " " && used + cells > most && !line.is_empty() {
                // The space at the break is seen by nobody.
                lines.push(joined(&line));
                line.clear();
                (used, break_at) = (0, 0);
                continue;
            }
            while used + cells > most && !line.is_empty() {
                let at = if break_at == 0 { line.len() } else { break_at };
                let rest = line.split_off(at);
                lines.push(joined(&line));
                line = rest;
                used = line.iter().map(|(grapheme, _)| self::cells(grapheme)).sum();
                break_at = 0;
            }
            line.push((grapheme, span.style));
            used += cells;
            if grapheme == " " {
                break_at = line.len();
            }
        }
    }
    lines.push(joined(&line));
    lines
}

fn joined(characters: &[(&str, Style)]) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (grapheme, style) in characters {
        match spans.last_mut().filter(|last| last.style == *style) {
            Some(last) => last.content.to_mut().push_str(grapheme),
            None => spans.push(Span::styled((*grapheme).to_owned(), *style)),
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(text: &str, most: usize) -> Vec<String> {
        wrap(&[Span::raw(text)], most).iter().map(ToString::to_string).collect()
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_there_is_room(text in "[ab é漢\u{301}\u{200d}👩🇩🇪\n]{0,40}", most in 0..12_usize) {
            let lines = wrapped(&text, most);
            for line in &lines {
                let fits = width(line) <= most.max(1) || line.graphemes(true).count() == 1;
                prop_assert!(fits, "{line:?} in {most}");
            }
            let without = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(without(&lines.concat()), without(&text), "nothing but spaces is left out");
        }
    }

    #[test]
    fn breaks_at_spaces_and_within_what_is_too_long() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh ", "ij"]);
        assert_eq!(wrapped("a\n\nb", 3), ["a", "", "b"]);
        assert_eq!(wrapped("", 3), [""]);
        assert_eq!(wrapped("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrapped("漢", 1), ["漢"], "what does not fit at all stands alone");
        assert_eq!(wrapped(" bcd漢", 4), [" ", "bcd", "漢"], "what is left behind a break is full too");
    }

    #[test]
    fn a_combined_character_is_one() {
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(wrapped("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
        assert_eq!(cut("e\u{301}abc", 2), "e\u{301}…");
    }

    #[test]
    fn cut_and_padded_to_the_cell() {
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(pad("漢", 4), "漢  ");
        assert_eq!(pad_left("ab", 4), "  ab");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn control_sequences_are_shown_and_not_obeyed() {
        assert_eq!(one_line("a\u{1b}]0;x\u{7}\tb\nc"), "a\\u{1b}]0;x\\u{7}    b c");
    }
}
