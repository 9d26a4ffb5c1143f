//! `@name` in a text: which names it mentions.
//!
//! A name begins after an `@` that is not itself inside a word, and ends where the characters of names end; dots at its
//! end belong to the sentence. "Inside a word" looks at ASCII only, as names do: letters, digits, `_`, `.`, `-` and
//! another `@` before it make it no mention (an address, `@@`), while in scripts that are written without spaces a name
//! may follow any letter.
//!
//! Underscores around it that make letters slanted or bold, as pages and terminals show them, are none of it: `_@ann_` and
//! `_see @ann_` mention `ann`. Elsewhere they are letters of names: `@ann_` is `ann_`, and `_@ann` nobody.
//!
//! How a text is read is part of `apply`, and so must not change with the program: each way has its place in [`MentionRule`], and an entry of the log says
//! which one is its own. For the same reason what is no letter is a fixed table here, and not the standard library's, which grows with Unicode.
//!
//! Left out on purpose: who bears a name, and whether they are in the conversation; see `apply`.

use std::ops::Range;

use crate::{
    bounds::{MENTION_NAMES, NAME_CHARS},
    text,
};

/// By which rule mentions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MentionRule {
    /// The first one: an underscore is always a letter of names.
    Plain,
    /// Underscores that make letters slanted or bold are none.
    Slanted,
}

impl MentionRule {
    /// The one of what is written now.
    pub const NEWEST: Self = Self::Slanted;
}

/// The names mentioned, folded, each once and in the order of the text; at most [`MENTION_NAMES`].
pub(crate) fn names(rule: MentionRule, body: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut underscored = Underscored::default();
    // Most texts have no mention, and then this is all they cost.
    for (at, _) in body.match_indices('@') {
        if names.len() == MENTION_NAMES {
            break;
        }
        match rule {
            MentionRule::Plain => {}
            MentionRule::Slanted => underscored.go_to(body, at),
        }
        if let Some(name) = name_at(body, at, &underscored)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// The name that the `@` at that place begins, if it does.
fn name_at(body: &str, at: usize, underscored: &Underscored) -> Option<String> {
    let bytes = body.as_bytes();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    if before.is_some_and(|byte| is_of_names(*byte) || *byte == b'@') && underscored.inner.start != at {
        return None;
    }
    let rest = bytes.get(at + 1..)?;
    // One more than a name has, so that a longer word is no name.
    let length = rest.iter().take(NAME_CHARS + 1 + MOST_DOTS).take_while(|byte| is_of_names(**byte)).count();
    let mut end = at + 1 + length;
    if underscored.inner.contains(&at) {
        end = end.min(underscored.inner.end);
    }
    let name = body.get(at + 1..end)?.trim_end_matches('.');
    text::check_name(name).is_ok().then(|| text::fold_name(name))
}

/// What stands between underscores that belong together, within a line: from outside of a word to outside of a word. Each byte is looked at
/// a few times at most, however many underscores there are.
#[derive(Default)]
struct Underscored {
    /// Where it has come to.
    at: usize,
    /// The last such part.
    inner: Range<usize>,
    /// Behind the underscores that close it.
    behind: usize,
    /// None ends before that place.
    none_before: usize,
}

impl Underscored {
    fn go_to(&mut self, body: &str, to: usize) {
        while self.at < to {
            let here = self.at;
            let end = behind_underscores(body.as_bytes(), here);
            self.at = end.max(here + 1);
            if end == here || here < self.behind || end < self.none_before {
                continue;
            }
            let is_inside = before(body, here).is_some_and(is_letter);
            let begins = behind(body, end).is_some_and(|character| !is_space(character));
            if is_inside || !begins {
                continue;
            }
            match closing(body, end, end - here) {
                Ok((closes, behind)) => {
                    self.inner = end..closes;
                    self.behind = behind;
                }
                Err(line_end) => self.none_before = line_end,
            }
        }
    }
}

/// Where a part that begins at `from`, behind so many underscores, ends, and the place behind what closes it; or where its line ends, if nothing
/// does.
fn closing(body: &str, from: usize, underscores: usize) -> Result<(usize, usize), usize> {
    let bytes = body.as_bytes();
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'\n') {
        if *byte != b'_' {
            at += 1;
            continue;
        }
        let end = behind_underscores(bytes, at);
        if !before(body, at).is_some_and(is_space) && !behind(body, end).is_some_and(is_letter) {
            return Ok((end - underscores.min(end - at), end));
        }
        at = end;
    }
    Err(at.min(bytes.len()))
}

/// The place behind the underscores that begin there.
fn behind_underscores(bytes: &[u8], from: usize) -> usize {
    from + bytes.iter().skip(from).take_while(|byte| **byte == b'_').count()
}

/// The character before that place.
fn before(body: &str, place: usize) -> Option<char> {
    body.get(..place)?.chars().next_back()
}

/// The one that begins there.
fn behind(body: &str, place: usize) -> Option<char> {
    body.get(place..)?.chars().next()
}

/// Letters, digits and what belongs to them, in any script: beyond ASCII everything but [`NO_LETTERS`].
fn is_letter(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    let code = u32::from(character);
    // The first range that does not end before it.
    let range = NO_LETTERS.get(NO_LETTERS.partition_point(|(_, last)| *last < code));
    range.is_none_or(|(first, _)| code < *first)
}

/// White space as regular expressions of browsers see it.
fn is_space(character: char) -> bool {
    match character {
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}'
        | '\u{feff}'
        | '\u{b}' => true,
        other => other.is_ascii_whitespace(),
    }
}

/// Punctuation, signs, spaces, emoji and what is in private use, from first to last, ascending: those of Unicode 17 that people write, with what is
/// not assigned between them. Part of [`MentionRule::Slanted`], and so never changed.
const NO_LETTERS: &[(u32, u32)] = &[
    // Latin, Greek, Armenian, Hebrew, Arabic, Indic and other scripts' own.
    (0x80, 0xa9),
    (0xab, 0xb1),
    (0xb4, 0xb4),
    (0xb6, 0xb8),
    (0xbb, 0xbb),
    (0xbf, 0xbf),
    (0xd7, 0xd7),
    (0xf7, 0xf7),
    (0x2c2, 0x2c5),
    (0x2d2, 0x2df),
    (0x37e, 0x37e),
    (0x387, 0x387),
    (0x55a, 0x55f),
    (0x589, 0x58f),
    (0x5be, 0x5be),
    (0x5c0, 0x5c0),
    (0x5c3, 0x5c3),
    (0x5f3, 0x60f),
    (0x61b, 0x61f),
    (0x66a, 0x66d),
    (0x6d4, 0x6d4),
    (0x964, 0x965),
    (0x970, 0x970),
    (0xe3f, 0xe3f),
    (0xe4f, 0xe4f),
    (0xe5a, 0xe5b),
    (0x10fb, 0x10fb),
    (0x1360, 0x1368),
    (0x17d4, 0x17d6),
    (0x17d8, 0x17db),
    // General punctuation, currencies, letterlike signs, arrows, mathematics, boxes, dingbats.
    (0x1ffd, 0x206f),
    (0x207a, 0x207e),
    (0x208a, 0x208e),
    (0x20a0, 0x2101),
    (0x2103, 0x2106),
    (0x2108, 0x2109),
    (0x2114, 0x2114),
    (0x2116, 0x2118),
    (0x211e, 0x2123),
    (0x2190, 0x244a),
    (0x249c, 0x24e9),
    (0x2500, 0x2775),
    (0x2794, 0x2bff),
    // Chinese, Japanese, Korean, Yi.
    (0x2e00, 0x2e2e),
    (0x2e30, 0x3004),
    (0x3008, 0x3020),
    (0x3030, 0x3030),
    (0x3036, 0x3037),
    (0x303d, 0x303f),
    (0x309b, 0x309c),
    (0x30a0, 0x30a0),
    (0x30fb, 0x30fb),
    (0x3200, 0x321e),
    (0x322a, 0x3247),
    (0x3260, 0x327f),
    (0x328a, 0x32b0),
    (0x32c0, 0x33ff),
    (0x4dc0, 0x4dff),
    (0xa490, 0xa4c6),
    // Private use, ornaments, variation selectors, forms of other punctuation.
    (0xe000, 0xf8ff),
    (0xfd3e, 0xfd4f),
    (0xfdfc, 0xfe19),
    (0xfe30, 0xfe6b),
    (0xfeff, 0xff0f),
    (0xff1a, 0xff20),
    (0xff3b, 0xff40),
    (0xff5b, 0xff65),
    (0xffe0, 0xffff),
    // Emoji, tags, private use.
    (0x1f000, 0x1f0f5),
    (0x1f10d, 0x1fbef),
    (0xe0000, 0x10_ffff),
];

/// An ellipsis behind a name, and a little more.
const MOST_DOTS: usize = 8;

fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(body: &str) -> Vec<String> {
        super::names(MentionRule::NEWEST, body)
    }

    #[test]
    fn names_in_sentences() {
        for (body, expected) in [
            ("@ann", vec!["ann"]),
            ("@Ann, @BOB and @ann.", vec!["ann", "bob"]),
            ("thanks @ann...", vec!["ann"]),
            ("(@ann) \"@bob\"\n@cy\t@dora!", vec!["ann", "bob", "cy", "dora"]),
            ("@a.b-c_d.", vec!["a.b-c_d"]),
            ("你好@ann，再见", vec!["ann"]),
            ("ann@example.org, x.@ann, @@ann, _@ann", vec![]),
            ("_@ann_", vec!["ann"]),
            ("*_@ann_*, __@bob__ and _@cy._", vec!["ann", "bob", "cy"]),
            ("_see @ann_, and _@bob, too_.", vec!["ann", "bob"]),
            ("_@ann__ and @bob_", vec!["ann_", "bob_"]),
            ("_@a_b_, _@cy_d", vec!["a_b"]),
            ("_@ann\nbob_, x_@ann_, _@ann _", vec![]),
            ("_a_ @ann_ _ @bob_", vec!["ann_", "bob_"]),
            ("你_@ann_, @_ann_", vec!["_ann_"]),
            ("@", vec![]),
            ("@ ann @. @… @é", vec![]),
            ("nobody", vec![]),
        ] {
            assert_eq!(names(body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_letter_beside_underscores_is_known_beyond_ascii() {
        for before in "“ ‘ … — « ¿ （ ， 。 「 、 ・ 👍 ❤\u{fe0f} \u{a0} ٪ € →".split(' ') {
            for behind in "” ’ … — » ！ ． ） 」 🎉 \u{3000} ؟ । ™".split(' ') {
                assert_eq!(names(&format!("{before}_@ann_{behind}")), ["ann"], "{before} {behind}");
            }
        }
        for letter in "éжª你の々〇ー한אبกकＡ１²①𝒜".chars() {
            assert!(names(&format!("{letter}_@ann_")).is_empty(), "{letter}");
            assert!(names(&format!("_@ann_{letter}")).is_empty(), "{letter}");
        }
        assert_eq!(names("_\u{3000}@ann_ _@bob\u{a0}_"), ["ann_"], "spaces are spaces in every script");
        assert!(NO_LETTERS.iter().all(|(first, last)| first <= last));
        assert!(NO_LETTERS.is_sorted_by(|one, next| one.1 < next.0));
    }

    #[test]
    fn the_first_rule_is_what_it_was() {
        for (body, expected) in [
            ("@ann, (@bob) @ann_", vec!["ann", "bob", "ann_"]),
            ("_@ann_ “_@bob_” __@cy__", vec![]),
            ("_see @ann_, x", vec!["ann_"]),
            ("… @ann_…", vec!["ann_"]),
            ("你_@ann_", vec![]),
        ] {
            assert_eq!(super::names(MentionRule::Plain, body), expected, "{body}");
        }
    }

    #[test]
    fn long_words_and_many_names_are_bounded() {
        let longest = "n".repeat(NAME_CHARS);
        assert_eq!(names(&format!("@{longest}.")).concat(), longest);
        assert!(names(&format!("@{longest}n")).is_empty());
        let many: String = (0..1000).map(|number| format!("@n{number} ")).collect();
        assert_eq!(names(&many).len(), MENTION_NAMES);
        assert_eq!(names(&"@ann ".repeat(3000)), ["ann"]);
        // Nothing is looked at again and again: else this would take minutes.
        for part in ["_@a", " _@a ", "@a_ ", "_a @b", "__ _@", "_"] {
            let _ = names(&part.repeat(2_000_000 / part.len()));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_found_is_a_name(body in "[@a-c.é \n\\-__A-C]{0,40}") {
            let found = names(&body);
            for name in &found {
                prop_assert!(text::check_name(name).is_ok() && !name.ends_with('.'));
                let written = format!("@{name}");
                prop_assert!(text::fold_name(&body).contains(&written));
            }
        }

        #[test]
        fn any_text_is_no_panic(body in ".{0,60}") {
            let _ = names(&body);
            let _ = super::names(MentionRule::Plain, &body);
        }
    }
}
