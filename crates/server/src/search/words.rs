//! What a text is made of, for a search: words of any script, folded so that case and accents make no difference.
//!
//! Three kinds. *Letters* (and digits) of scripts that put spaces between words: a word is what stands between other
//! characters. *Runs* of scripts that do not (Chinese, Japanese, Thai, ...; Korean too, whose particles cling to words):
//! whoever searches means any part of them. *Signs*: an emoji is a word of its own.
//!
//! Folding drops accents, vowel points and other marks, and puts a letter's variants into one: lower case, Latin
//! without diacritics (tantivy's table, for composed letters; combining marks are dropped), Greek without accents,
//! the forms of alef, digits of other scripts. Left out on purpose: stemming and stop words, which belong to one language; a chat is in
//! many. Nothing here may be used where replicas must agree: the tables of letters grow with the compiler.

use std::ops::Range;

use tantivy::tokenizer::{AsciiFoldingFilter, RawTokenizer, Token, TokenFilter as _, TokenStream, Tokenizer};

/// Letters of a word that count: longer ones are keys, hashes and noise.
const WORD_CHARS: usize = 64;

/// The kind of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Letters,
    Run,
    Sign,
}

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) folded: String,
    pub(super) kind: Kind,
    /// Where it stands, counted in characters.
    pub(super) at: Range<usize>,
}

/// The words of a text in their order.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut open: Option<Open<'_>> = None;
    for (place, (from, c)) in text.char_indices().enumerate() {
        let to = from + c.len_utf8();
        let kind = match class(c) {
            // A mark belongs to what it stands on, and says nothing by itself.
            Class::Mark => {
                open.iter_mut().for_each(|open| open.extend(place, to));
                continue;
            }
            Class::Other => None,
            Class::Word(kind) => Some(kind),
        };
        match (&mut open, kind) {
            (Some(word), Some(kind)) if word.kind == kind && kind != Kind::Sign => word.extend(place, to),
            (_, kind) => {
                found.extend(open.take().and_then(Open::close));
                open = kind.map(|kind| Open { kind, at: place..place + 1, text, from, to });
            }
        }
    }
    found.extend(open.and_then(Open::close));
    found
}

/// The terms under which a word is indexed. Of a run: each two neighbours, and the last one alone, so that every part of
/// it can be found by the pairs in it, and each character by the terms that begin with it.
pub(super) fn terms(word: Word) -> Vec<String> {
    match word.kind {
        Kind::Letters | Kind::Sign => vec![word.folded],
        Kind::Run => {
            let chars: Vec<char> = word.folded.chars().collect();
            (0..chars.len()).map(|place| chars.iter().skip(place).take(2).collect()).collect()
        }
    }
}

/// A word that has not ended.
struct Open<'a> {
    kind: Kind,
    at: Range<usize>,
    text: &'a str,
    /// Its bytes in the text, with the marks in it.
    from: usize,
    to: usize,
}

impl Open<'_> {
    /// Takes in one character more.
    fn extend(&mut self, place: usize, to: usize) {
        self.at.end = place + 1;
        self.to = to;
    }

    fn close(self) -> Option<Word> {
        let Self { kind, at, text, from, to } = self;
        let marked = text.get(from..to)?;
        let folded = if marked.is_ascii() {
            marked.get(..WORD_CHARS).unwrap_or(marked).to_ascii_lowercase()
        } else {
            let raw: String = marked.chars().filter(|c| !is_mark(*c)).collect();
            if kind == Kind::Letters { fold(&raw) } else { raw }
        };
        (!folded.is_empty()).then_some(Word { folded, kind, at })
    }
}

fn fold(raw: &str) -> String {
    let cut = raw.char_indices().nth(WORD_CHARS).map_or(raw, |(end, _)| &raw[..end]);
    if cut.is_ascii() {
        return cut.to_ascii_lowercase();
    }
    let latin = without_diacritics(cut);
    latin.chars().flat_map(char::to_lowercase).filter(|c| !is_mark(*c)).map(one_form).collect()
}

/// Latin letters in their plain form, and what has one (full width, ligatures).
fn without_diacritics(raw: &str) -> String {
    let mut folding = AsciiFoldingFilter.transform(RawTokenizer::default());
    let mut stream = folding.token_stream(raw);
    if stream.advance() { std::mem::take(&mut stream.token_mut().text) } else { String::new() }
}

/// The form that stands for a letter's variants.
fn one_form(c: char) -> char {
    match c {
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        'آ' | 'أ' | 'إ' | 'ٱ' => 'ا',
        'ؤ' => 'و',
        'ئ' | 'ى' | 'ی' => 'ي',
        'ک' => 'ك',
        '٠'..='٩' => digit(c, '٠'),
        '۰'..='۹' => digit(c, '۰'),
        '०'..='९' => digit(c, '०'),
        other => other,
    }
}

fn digit(c: char, zero: char) -> char {
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

enum Class {
    Word(Kind),
    Mark,
    Other,
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Word(Kind::Letters) } else { Class::Other };
    }
    if is_mark(c) {
        Class::Mark
    } else if is_sign(c) {
        Class::Word(Kind::Sign)
    } else if is_of_run(c) {
        Class::Word(Kind::Run)
    } else if c.is_alphanumeric() || is_virama(c) {
        Class::Word(Kind::Letters)
    } else {
        Class::Other
    }
}

/// Marks that are dropped: accents, points, tone marks, what selects a glyph, and what joins two.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}'
        // Hebrew points, Arabic vowels and the stroke that stretches a word.
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}'
        // Tone marks and the like of Thai, Lao, Burmese and Khmer.
        | '\u{e47}'..='\u{e4e}' | '\u{ec8}'..='\u{ecd}' | '\u{1037}'..='\u{103a}' | '\u{17c9}'..='\u{17d3}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200b}'..='\u{200f}' | '\u{2060}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
        // Colours of skin, and tags within flags.
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
        || is_nukta(c)
}

fn is_sign(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1f1e5}' | '\u{1f200}'..='\u{1faff}')
}

/// Of a script without spaces; also the letters of which flags are made, for two of them are one.
fn is_of_run(c: char) -> bool {
    let of_script = matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{318f}' | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{1b000}'..='\u{1b16f}' | '\u{20000}'..='\u{3ffff}');
    (of_script && c.is_alphanumeric()) || matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// The scripts of India lie one like the other, 128 places each.
fn is_nukta(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{d7f}') && u32::from(c) & 0x7f == 0x3c
}

/// What joins two consonants stands within words, though it is no letter.
fn is_virama(c: char) -> bool {
    (matches!(c, '\u{900}'..='\u{d7f}') && u32::from(c) & 0x7f == 0x4d) || c == '\u{dca}'
}

/// The index's way to split a text.
#[derive(Clone, Default)]
pub(super) struct Terms;

impl Tokenizer for Terms {
    type TokenStream<'a> = TermStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> TermStream {
        let terms: Vec<String> = words(text).into_iter().flat_map(terms).collect();
        TermStream { terms: terms.into_iter(), token: Token::default() }
    }
}

/// One term after another.
pub(super) struct TermStream {
    terms: std::vec::IntoIter<String>,
    token: Token,
}

impl TokenStream for TermStream {
    fn advance(&mut self) -> bool {
        let Some(text) = self.terms.next() else { return false };
        self.token.text = text;
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.folded).collect()
    }

    #[test]
    fn words_of_scripts_with_spaces_are_folded() {
        assert_eq!(folded("Hello, WORLD! don't foo_bar 3.14"), ["hello", "world", "don", "t", "foo", "bar", "3", "14"]);
        assert_eq!(
            folded("Café CAFE\u{301} crème brûlée Ærø Straße Łódź"),
            ["cafe", "cafe", "creme", "brulee", "aero", "strasse", "lodz"]
        );
        assert_eq!(folded("Việt Nam İstanbul ＦＵＬＬ ﬁn"), ["viet", "nam", "istanbul", "full", "fin"]);
        assert_eq!(folded("Ёлка ПРИВЕТ"), ["елка", "привет"]);
        assert_eq!(folded("Ελληνικά ΛΌΓΟΣ λόγος"), ["ελληνικα", "λογοσ", "λογοσ"]);
        assert_eq!(folded("مُحَمَّد أحمد احمد ٢٠٢٦"), ["محمد", "احمد", "احمد", "2026"]);
        assert_eq!(folded("שָׁלוֹם עולם"), ["שלום", "עולם"]);
        assert_eq!(folded("हिन्दी १२"), ["हिन्दी", "12"]);
        assert_eq!(folded(&"x".repeat(1000)), ["x".repeat(WORD_CHARS)]);
        assert!(folded("").is_empty() && folded(" ?!… \u{301} \u{200d}").is_empty());
    }

    #[test]
    fn scripts_without_spaces_are_runs() {
        let of =
            |text: &str| words(text).into_iter().map(|word| (word.kind, terms(word).join(" "))).collect::<Vec<_>>();
        assert_eq!(of("東京都。猫"), [(Kind::Run, "東京 京都 都".to_owned()), (Kind::Run, "猫".to_owned())]);
        assert_eq!(of("Rustで書く"), [(Kind::Letters, "rust".to_owned()), (Kind::Run, "で書 書く く".to_owned())]);
        assert_eq!(of("ภาษาไทย").len(), 1);
        assert_eq!(of("학교에서")[0].1, "학교 교에 에서 서");
    }

    #[test]
    fn an_emoji_is_a_word() {
        assert_eq!(folded("ok👍🏽👍"), ["ok", "👍", "👍"]);
        assert_eq!(folded("👩‍👩‍👧 ❤️"), ["👩", "👩", "👧", "❤"]);
        assert_eq!(folded("🇩🇪"), ["🇩🇪"]);
    }

    #[test]
    fn places_are_counted_in_characters_and_hold_the_marks() {
        let at = |text: &str| words(text).into_iter().map(|word| (word.at.start, word.at.end)).collect::<Vec<_>>();
        assert_eq!(at("né e\u{301}t 東京"), [(0, 2), (3, 6), (7, 9)]);
        assert_eq!(at("👍🏽!"), [(0, 2)]);
    }
}
