//! `@name` in a text: which names it mentions.
//!
//! A name begins after an `@` that is not itself inside a word, and ends where the characters of names end; dots at its
//! end belong to the sentence. "Inside a word" looks at ASCII only, as names do: letters, digits, `_`, `.`, `-` and
//! another `@` before it make it no mention (an address, `@@`), while in scripts that are written without spaces a name
//! may follow any letter.
//!
//! Left out on purpose: who bears a name, and whether they are in the conversation; see `apply`.

use crate::{
    bounds::{MENTION_NAMES, NAME_CHARS},
    text,
};

/// The names mentioned, folded, each once and in the order of the text; at most [`MENTION_NAMES`].
pub(crate) fn names(body: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    // Most texts have no mention, and then this is all they cost.
    for (at, _) in body.match_indices('@') {
        if names.len() == MENTION_NAMES {
            break;
        }
        if let Some(name) = name_at(body, at)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// The name that the `@` at that place begins, if it does.
fn name_at(body: &str, at: usize) -> Option<String> {
    let bytes = body.as_bytes();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    if before.is_some_and(|byte| is_of_names(*byte) || *byte == b'@') {
        return None;
    }
    let rest = bytes.get(at + 1..)?;
    // One more than a name has, so that a longer word is no name.
    let length = rest.iter().take(NAME_CHARS + 1 + MOST_DOTS).take_while(|byte| is_of_names(**byte)).count();
    let name = body.get(at + 1..at + 1 + length)?.trim_end_matches('.');
    text::check_name(name).is_ok().then(|| text::fold_name(name))
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
    }

    proptest! {
        #[test]
        fn whatever_is_found_is_a_name(body in "[@a-c.é \\-_A-C]{0,40}") {
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
