//! What somebody searches for: words that must all occur. A word with `*` at its end stands for all that begin so.

use std::ops::Range;

use threefold_core::bounds;

use super::words::{Kind, Word, words};

/// Letters before a `*`, at least: one would be a good part of all words.
const PREFIX_CHARS: usize = 2;

/// Nothing can be searched for so: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotSearchable(pub String);

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    parts: Vec<Part>,
}

/// What must occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// This word.
    Word(String),
    /// A word that begins so.
    Prefix(String),
    /// This, anywhere in a run of a script without spaces.
    Within(String),
}

impl Question {
    /// What is meant by a text.
    ///
    /// # Errors
    /// When it has no words, too many, or is too long.
    pub fn parse(text: &str) -> Result<Self, NotSearchable> {
        if text.len() > bounds::SEARCH_BYTES {
            let bound = bounds::SEARCH_BYTES;
            return Err(NotSearchable(format!("a search has at most {bound} bytes, not {}", text.len())));
        }
        let mut parts = Vec::new();
        for piece in text.split_whitespace() {
            let words = words(piece);
            let last = words.len().saturating_sub(1);
            for (place, word) in words.into_iter().enumerate() {
                let part = Part::of(word, place == last && piece.ends_with('*'))?;
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        match parts.len() {
            0 => Err(NotSearchable("there is no word to search for: letters, digits or signs such as 👍".to_owned())),
            1..=bounds::SEARCH_WORDS => Ok(Self { parts }),
            count => {
                let bound = bounds::SEARCH_WORDS;
                Err(NotSearchable(format!("a search has at most {bound} words, not {count}")))
            }
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Where a text says what is searched for, counted in characters and in order; none if it does not say all of it.
    pub fn marks(&self, text: &str) -> Option<Vec<Range<usize>>> {
        let words = words(text);
        let mut marks = Vec::new();
        for part in &self.parts {
            let before = marks.len();
            marks.extend(words.iter().flat_map(|word| part.marks(word)));
            if marks.len() == before {
                return None;
            }
        }
        marks.sort_by_key(|mark| (mark.start, mark.end));
        // Where one lies in another, or they touch, they are one.
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(marks.len());
        for mark in marks {
            match joined.last_mut() {
                Some(last) if mark.start <= last.end => last.end = last.end.max(mark.end),
                _ => joined.push(mark),
            }
        }
        Some(joined)
    }
}

impl Part {
    fn of(word: Word, is_prefix: bool) -> Result<Self, NotSearchable> {
        match word.kind {
            Kind::Run => Ok(Self::Within(word.folded)),
            Kind::Letters if is_prefix && word.folded.chars().count() < PREFIX_CHARS => Err(NotSearchable(format!(
                "before '*' stand at least {PREFIX_CHARS} letters, not only \"{}\"",
                word.folded
            ))),
            Kind::Letters if is_prefix => Ok(Self::Prefix(word.folded)),
            Kind::Letters | Kind::Sign => Ok(Self::Word(word.folded)),
        }
    }

    /// Where this is in a word.
    fn marks(&self, word: &Word) -> Vec<Range<usize>> {
        let is_whole = match self {
            Self::Word(wanted) => word.folded == *wanted,
            Self::Prefix(start) => word.kind == Kind::Letters && word.folded.starts_with(start.as_str()),
            Self::Within(wanted) => return within(word, wanted),
        };
        if is_whole { vec![word.at.clone()] } else { Vec::new() }
    }
}

/// Every place of `wanted` in a run. Where marks were dropped from it the places are not known, and all of it is told.
fn within(word: &Word, wanted: &str) -> Vec<Range<usize>> {
    if word.kind != Kind::Run || !word.folded.contains(wanted) {
        return Vec::new();
    }
    if word.folded.chars().count() != word.at.len() {
        return vec![word.at.clone()];
    }
    let place = |byte: usize| word.at.start + word.folded[..byte].chars().count();
    word.folded.match_indices(wanted).map(|(start, found)| place(start)..place(start + found.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(question: &str, text: &str) -> Option<Vec<(usize, usize)>> {
        let marks = Question::parse(question).unwrap().marks(text)?;
        Some(marks.into_iter().map(|mark| (mark.start, mark.end)).collect())
    }

    #[test]
    fn all_words_must_occur_in_any_order_and_case() {
        assert_eq!(marks("world HELLO", "Hello, world"), Some(vec![(0, 5), (7, 12)]));
        assert_eq!(marks("hello world", "hello"), None);
        assert_eq!(marks("hell", "hello"), None, "a word is a whole word");
        assert_eq!(marks("hell*", "hello Hell shell"), Some(vec![(0, 5), (6, 10)]));
        assert_eq!(marks("hello hello he*", "hello"), Some(vec![(0, 5)]));
        assert_eq!(marks("cafe", "un CAFÉ"), Some(vec![(3, 7)]));
        assert_eq!(marks("don't", "I don't"), Some(vec![(2, 5), (6, 7)]));
        assert_eq!(marks("елка", "Ёлка!"), Some(vec![(0, 4)]));
    }

    #[test]
    fn a_part_of_a_run_is_found_as_it_stands() {
        assert_eq!(marks("京都", "東京都"), Some(vec![(1, 3)]));
        assert_eq!(marks("東都", "東京都"), None);
        assert_eq!(marks("都", "都の東京都"), Some(vec![(0, 1), (4, 5)]));
        assert_eq!(marks("東京*", "東京都"), Some(vec![(0, 2)]));
        assert_eq!(marks("ไทย", "ภาษาไทยน่าสนใจ").map(|marks| marks.len()), Some(1));
    }

    #[test]
    fn signs_are_found() {
        assert_eq!(marks("👍", "good 👍🏽"), Some(vec![(5, 7)]));
        assert_eq!(marks("🇩🇪 👍", "🇩🇪👍"), Some(vec![(0, 3)]));
        assert_eq!(marks("👎", "👍"), None);
    }

    #[test]
    fn what_cannot_be_searched_for_is_told() {
        let told = |text: &str| Question::parse(text).unwrap_err().to_string();
        assert!(told("").contains("no word") && told(" *?! ").contains("no word"));
        assert_eq!(told("a*"), "before '*' stand at least 2 letters, not only \"a\"");
        assert_eq!(told(&"x".repeat(257)), "a search has at most 256 bytes, not 257");
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        assert_eq!(told(&many.join(" ")), "a search has at most 16 words, not 17");
        assert!(Question::parse(&"x ".repeat(100)).is_ok(), "the same word twice is one");
    }
}
