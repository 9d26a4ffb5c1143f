//! The line one types: several lines, if wanted, edited with the keys that shells know, by what a reader takes for one character.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::text;

/// Steps that can be taken back.
const UNDO: usize = 100;

/// A text and a place in it.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    text: String,
    /// In bytes; always between two characters.
    cursor: usize,
    /// What was cut last.
    killed: String,
    undo: Vec<(String, usize)>,
    /// The last change was typing, which is taken back as one.
    typing: bool,
}

impl Editor {
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Another text, with the cursor behind it.
    pub fn set(&mut self, text: &str) {
        self.remember();
        self.text = clean(text);
        self.cursor = self.text.len();
    }

    /// The text, which is gone from here.
    pub fn take(&mut self) -> String {
        self.undo.clear();
        self.typing = false;
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    pub fn insert(&mut self, text: &str) {
        let text = clean(text);
        let is_word = text.graphemes(true).count() == 1 && !text.contains(char::is_whitespace);
        if !(self.typing && is_word) {
            self.remember();
        }
        self.typing = is_word;
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // What was typed may have joined with what stands around it.
        self.cursor = self.ceil(self.cursor);
    }

    /// Puts `text` in place of a part of what is there.
    pub fn replace(&mut self, part: Range<usize>, text: &str) {
        let part = self.floor(part.start)..self.ceil(part.end.max(part.start));
        self.remember();
        self.text.replace_range(part.clone(), text);
        self.cursor = self.ceil(part.start + text.len());
    }

    pub fn backspace(&mut self) {
        self.cut(self.before()..self.cursor, false);
    }

    pub fn delete(&mut self) {
        self.cut(self.cursor..self.after(), false);
    }

    pub fn kill_word_before(&mut self) {
        self.cut(self.word_before()..self.cursor, true);
    }

    pub fn kill_word_after(&mut self) {
        self.cut(self.cursor..self.word_after(), true);
    }

    pub fn kill_to_start(&mut self) {
        let start = self.line().start;
        self.cut(if start == self.cursor { self.before() } else { start }..self.cursor, true);
    }

    pub fn kill_to_end(&mut self) {
        let end = self.line().end;
        self.cut(self.cursor..if end == self.cursor { self.after() } else { end }, true);
    }

    pub fn yank(&mut self) {
        let killed = self.killed.clone();
        self.insert(&killed);
    }

    pub fn undo(&mut self) {
        self.typing = false;
        if let Some((text, cursor)) = self.undo.pop() {
            (self.text, self.cursor) = (text, cursor);
        }
    }

    pub fn left(&mut self) {
        self.go(self.before());
    }

    pub fn right(&mut self) {
        self.go(self.after());
    }

    pub fn word_left(&mut self) {
        self.go(self.word_before());
    }

    pub fn word_right(&mut self) {
        self.go(self.word_after());
    }

    pub fn home(&mut self) {
        self.go(self.line().start);
    }

    pub fn end(&mut self) {
        self.go(self.line().end);
    }

    /// A row up, where lines are broken at so many cells. False in the first one.
    pub fn up(&mut self, cells: usize) -> bool {
        let (row, column) = self.position(cells);
        row > 0 && self.go_to(row - 1, column, cells)
    }

    /// A row down. False in the last one.
    pub fn down(&mut self, cells: usize) -> bool {
        let (row, column) = self.position(cells);
        self.go_to(row + 1, column, cells)
    }

    /// Puts the cursor where somebody points; behind the end of a row it is the row's end. Of a row that goes on in the next one, that is before its last character, for
    /// behind it is where the next one begins.
    pub fn go_to(&mut self, row: usize, column: usize, cells: usize) -> bool {
        let rows = self.rows(cells);
        let Some(part) = rows.get(row) else { return false };
        let goes_on = rows.get(row + 1).is_some_and(|next| next.start == part.end);
        let mut graphemes = self.text[part.clone()].graphemes(true).peekable();
        let mut used = 0;
        let mut place = part.start;
        while let Some(grapheme) = graphemes.next() {
            used += text::cells(grapheme);
            if used > column || (goes_on && graphemes.peek().is_none()) {
                break;
            }
            place += grapheme.len();
        }
        self.go(place);
        true
    }

    /// The parts of the text that stand on one row each, without line feeds. There is always one.
    pub fn rows(&self, cells: usize) -> Vec<Range<usize>> {
        let cells = cells.max(2);
        let mut rows = Vec::new();
        let (mut start, mut used, mut break_at) = (0, 0, None);
        for (here, grapheme) in self.text.grapheme_indices(true) {
            if grapheme == "\n" {
                rows.push(start..here);
                (start, used, break_at) = (here + 1, 0, None);
                continue;
            }
            let wide = text::cells(grapheme);
            while used + wide > cells && here > start {
                let at = break_at.take().unwrap_or(here);
                rows.push(start..at);
                used = text::width(&self.text[at..here]);
                start = at;
            }
            used += wide;
            if grapheme == " " {
                break_at = Some(here + 1);
            }
        }
        rows.push(start..self.text.len());
        rows
    }

    /// The cursor's row and column.
    pub fn position(&self, cells: usize) -> (usize, usize) {
        let rows = self.rows(cells);
        let row = rows.iter().rposition(|part| part.start <= self.cursor).unwrap_or(0);
        let start = rows.get(row).map_or(0, |part| part.start);
        (row, text::width(&self.text[start..self.cursor]))
    }

    /// The word under completion: from the last white space to the cursor.
    pub fn word(&self) -> Range<usize> {
        let start = self.text[..self.cursor].rfind(char::is_whitespace);
        let start = start.map_or(0, |at| at + self.text[at..].chars().next().map_or(1, char::len_utf8));
        start..self.cursor
    }

    fn go(&mut self, place: usize) {
        self.typing = false;
        self.cursor = self.floor(place);
    }

    fn cut(&mut self, part: Range<usize>, keep: bool) {
        if part.is_empty() {
            return;
        }
        self.remember();
        let gone: String = self.text.drain(part.clone()).collect();
        if keep {
            self.killed = gone;
        }
        self.cursor = self.floor(part.start);
    }

    fn remember(&mut self) {
        self.typing = false;
        if self.undo.len() == UNDO {
            self.undo.remove(0);
        }
        self.undo.push((self.text.clone(), self.cursor));
    }

    fn line(&self) -> Range<usize> {
        let start = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at);
        start..end
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.cursor + self.text[self.cursor..].graphemes(true).next().map_or(0, str::len)
    }

    fn word_before(&self) -> usize {
        let mut words = self.text[..self.cursor].unicode_word_indices();
        words.next_back().map_or(0, |(at, _)| at)
    }

    fn word_after(&self) -> usize {
        let mut words = self.text[self.cursor..].unicode_word_indices();
        words.next().map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
    }

    /// The nearest place between two characters, not after `at`.
    fn floor(&self, at: usize) -> usize {
        if at >= self.text.len() {
            return self.text.len();
        }
        self.text.grapheme_indices(true).map(|(start, _)| start).rev().find(|start| *start <= at).unwrap_or(0)
    }

    /// The nearest place between two characters, not before `at`.
    fn ceil(&self, at: usize) -> usize {
        self.text.grapheme_indices(true).map(|(start, _)| start).find(|start| *start >= at).unwrap_or(self.text.len())
    }
}

/// Without what a message cannot hold or a reader cannot see.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// What was sent before, to be had again.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: Vec<String>,
    /// How far back one is, and what was being written before.
    place: Option<(usize, String)>,
}

/// Lines that are kept.
const HISTORY: usize = 200;

impl History {
    pub fn add(&mut self, line: &str) {
        self.place = None;
        if line.is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == HISTORY {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// The one before; none if there is none.
    pub fn older(&mut self, present: &str) -> Option<&str> {
        let back = self.place.as_ref().map_or(0, |(back, _)| *back) + 1;
        let at = self.lines.len().checked_sub(back)?;
        let draft = self.place.take().map_or_else(|| present.to_owned(), |(_, draft)| draft);
        self.place = Some((back, draft));
        self.lines.get(at).map(String::as_str)
    }

    /// The one after, at last what was being written.
    pub fn newer(&mut self) -> Option<String> {
        let (back, draft) = self.place.take()?;
        if back == 1 {
            return Some(draft);
        }
        self.place = Some((back - 1, draft));
        self.lines.get(self.lines.len() + 1 - back).cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn editor(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.insert(text);
        editor
    }

    #[test]
    fn edits_whole_characters() {
        let mut editor = editor("ae\u{301}漢👩‍👩‍👧");
        editor.backspace();
        editor.left();
        editor.backspace();
        assert_eq!(editor.text(), "a漢");
        editor.delete();
        assert_eq!(editor.text(), "a");
        editor.undo();
        editor.undo();
        assert_eq!(editor.text(), "ae\u{301}漢");
    }

    #[test]
    fn words_and_lines_are_cut_and_had_back() {
        let mut editor = editor("one two  three\nfour");
        editor.kill_word_before();
        editor.kill_to_start();
        assert_eq!(editor.text(), "one two  three");
        editor.kill_word_before();
        assert_eq!(editor.text(), "one two  ");
        editor.home();
        editor.yank();
        assert_eq!(editor.text(), "threeone two  ");
        editor.kill_to_end();
        assert_eq!(editor.text(), "three");
        editor.word_left();
        editor.kill_word_after();
        assert!(editor.is_empty());
    }

    #[test]
    fn rows_break_at_spaces_and_the_cursor_moves_between_them() {
        let mut editor = editor("hello brave new\nworld");
        let rows: Vec<&str> = editor.rows(8).into_iter().map(|part| &editor.text[part]).collect();
        assert_eq!(rows, ["hello ", "brave ", "new", "world"]);
        assert_eq!(editor.position(8), (3, 5));
        assert!(editor.up(8));
        assert_eq!(editor.position(8), (2, 3));
        assert!(editor.up(8) && editor.up(8) && !editor.up(8));
        assert_eq!(editor.position(8), (0, 3));
        assert!(editor.down(8));
        assert_eq!(editor.position(8), (1, 3));
    }

    #[test]
    fn behind_the_end_of_a_row_is_its_end_and_not_the_next_row() {
        // "hello " and "brave " go on in the next row, "new" does not.
        let mut editor = editor("hello brave new\nworld");
        for (row, last) in [(0, 5), (1, 5), (2, 3), (3, 5)] {
            for column in 0..12 {
                assert!(editor.go_to(row, column, 8));
                assert_eq!(editor.position(8), (row, column.min(last)), "{column} in row {row}");
            }
        }
        assert!(editor.up(8));
        assert_eq!(editor.position(8), (2, 3));
        assert!(editor.go_to(3, 5, 8) && editor.up(8) && editor.up(8));
        assert_eq!(editor.position(8), (1, 3));
        assert!(editor.go_to(1, 7, 8) && editor.up(8) && editor.down(8) && editor.up(8));
        assert_eq!(editor.position(8), (0, 5));
        // Without spaces, and with characters of two cells.
        editor.set("漢漢漢漢漢");
        assert!(editor.go_to(0, 7, 4));
        assert_eq!(editor.position(4), (0, 2));
        assert!(editor.down(4) && editor.down(4) && !editor.down(4));
        assert_eq!(editor.position(4), (2, 2));
    }

    #[test]
    fn history_goes_back_and_forth_and_keeps_the_draft() {
        let mut history = History::default();
        history.add("one");
        history.add("two");
        assert_eq!(history.older("draft"), Some("two"));
        assert_eq!(history.older("two"), Some("one"));
        assert_eq!(history.older("one"), None);
        assert_eq!(history.newer().as_deref(), Some("two"));
        assert_eq!(history.newer().as_deref(), Some("draft"));
        assert_eq!(history.newer(), None);
    }

    proptest! {
        #[test]
        fn the_cursor_is_always_between_two_characters(
            steps in prop::collection::vec((0..16_u8, "[a é漢\u{301}\u{200d}👩🇩🇪\n]{0,3}"), 0..40),
            cells in 0..12_usize,
        ) {
            let mut editor = Editor::default();
            for (step, text) in steps {
                match step {
                    0..=3 => editor.insert(&text),
                    4 => editor.backspace(),
                    5 => editor.delete(),
                    6 => editor.left(),
                    7 => editor.right(),
                    8 => editor.word_left(),
                    9 => editor.kill_word_before(),
                    10 => editor.kill_to_end(),
                    11 => editor.yank(),
                    12 => { editor.up(cells); }
                    13 => { editor.down(cells); }
                    14 => editor.undo(),
                    _ => editor.replace(editor.word(), &text),
                }
                let places: Vec<usize> =
                    editor.text.grapheme_indices(true).map(|(at, _)| at).chain([editor.text.len()]).collect();
                prop_assert!(places.contains(&editor.cursor), "{:?} at {}", editor.text, editor.cursor);
                let rows = editor.rows(cells);
                prop_assert_eq!(rows.first().map(|row| row.start), Some(0));
                for row in rows {
                    let row = &editor.text[row];
                    // The space at its end may stand outside, and what is wider than all the room stands alone.
                    let seen = row.strip_suffix(' ').unwrap_or(row);
                    let fits = text::width(seen) <= cells.max(2) || seen.graphemes(true).count() == 1;
                    prop_assert!(fits, "{row:?} in {cells}");
                }
            }
        }
    }
}
