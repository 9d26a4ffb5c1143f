//! Patterns for names.

use crate::text;

/// What to look for, folded: part of a name, or, with `*` in it, all of it.
pub(super) struct Pattern {
    folded: String,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        let folded = text::fold_name(pattern);
        Self { folded: if folded.contains('*') { folded } else { format!("*{folded}*") } }
    }

    /// What every match starts with.
    pub(super) fn prefix(&self) -> &str {
        self.folded.split('*').next().unwrap_or_default()
    }

    /// Each part between stars is found as early as possible; only the last must stand at the end. So the work is
    /// at most length times length, whatever the pattern.
    pub(super) fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.folded.split_once('*') else {
            return name == self.folded;
        };
        let Some(mut name) = name.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            match name.find(part) {
                Some(at) => name = &name[at + part.len()..],
                None => return false,
            }
        }
        name.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pattern;

    /// By the book: a star is nothing, or one character and a star.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                plainly(rest, name) || name.split_first().is_some_and(|(_, tail)| plainly(pattern, tail))
            }
            (Some((expected, rest)), Some((found, tail))) => expected == found && plainly(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_by_the_book(pattern in "[ab*]{0,8}", name in "[ab]{0,8}") {
            let whole = if pattern.contains('*') { pattern.clone() } else { format!("*{pattern}*") };
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), plainly(whole.as_bytes(), name.as_bytes()));
        }
    }

    #[test]
    fn the_prefix_is_what_stands_before_the_first_star() {
        assert_eq!(Pattern::new("Abc*d*").prefix(), "abc");
        assert_eq!(Pattern::new("abc").prefix(), "");
    }
}
