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
//! Left out on purpose: who bears a name, and whether they are in the conversation; see `apply`.

use std::ops::Range;

use crate::{
    bounds::{MENTION_NAMES, NAME_CHARS},
    text,
};

/// The names mentioned, folded, each once and in the order of the text; at most [`MENTION_NAMES`].
pub(crate) fn names(body: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut underscored = Underscored::default();
    // Most texts have no mention, and then this is all they cost.
    for (at, _) in body.match_indices('@') {
        if names.len() == MENTION_NAMES {
            break;
        }
        underscored.go_to(body.as_bytes(), at);
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
    fn go_to(&mut self, bytes: &[u8], to: usize) {
        while self.at < to {
            let here = self.at;
            let end = behind_underscores(bytes, here);
            self.at = end.max(here + 1);
            if end == here || here < self.behind || end < self.none_before {
                continue;
            }
            let is_inside =
                here.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| is_letter(*byte));
            let begins = bytes.get(end).is_some_and(|byte| !byte.is_ascii_whitespace());
            if is_inside || !begins {
                continue;
            }
            match closing(bytes, end, end - here) {
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
fn closing(bytes: &[u8], from: usize, underscores: usize) -> Result<(usize, usize), usize> {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'\n') {
        if *byte != b'_' {
            at += 1;
            continue;
        }
        let end = behind_underscores(bytes, at);
        let is_behind_a_space = bytes.get(at - 1).is_some_and(u8::is_ascii_whitespace);
        if !is_behind_a_space && !bytes.get(end).is_some_and(|byte| is_letter(*byte)) {
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

/// In scripts beyond ASCII every byte may be one of a letter.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// An ellipsis behind a name, and a little more.
const MOST_DOTS: usize = 8;

fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        }
    }
}
