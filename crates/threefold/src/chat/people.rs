//! People who were seen, and what they are called on the screen: by the name they chose to be shown with, and beside it their account's where there is
//! room for both; by that alone where the other might be taken for somebody else's.
//!
//! Promises: whatever somebody chose takes no more cells than there are, none that nobody sees, and changes the order of nothing
//! beside it; nobody is shown with a chosen name that looks like another's who was seen, chosen or not; and a chosen name stands alone only if it is
//! of letters of one kind that nobody takes for others (there are more that look alike than any table has).

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    look::{is_plain, look},
    text::{cells, cut, one_line, width},
};
use unicode_segmentation::UnicodeSegmentation as _;

/// People who are remembered, at most; as many again would be a cluster's whole directory.
const MOST: usize = 20_000;
/// Characters of a chosen name that are looked at.
const CHOSEN: usize = 128;
/// Marks on one letter, at most.
const MARKS: usize = 2;
/// Fewer cells of a chosen name say nothing.
const FEWEST: usize = 4;
/// Whose account is gone.
const DELETED: &str = "(deleted user)";

/// What somebody is called in so many cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// What stands first.
    pub name: String,
    /// The account's name, where something else stands first and there is room.
    pub account: Option<String>,
}

impl Called {
    pub fn width(&self) -> usize {
        width(&self.name) + self.account.as_ref().map_or(0, |account| 1 + width(account))
    }
}

/// What somebody chose to be shown as.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    /// Made harmless.
    shown: String,
    /// See [`look`].
    look: String,
    /// See [`is_plain`].
    is_plain: bool,
}

impl Chosen {
    fn of(shown: String) -> Self {
        let (look, is_plain) = (look(&shown), is_plain(&shown));
        Self { shown, look, is_plain }
    }
}

/// People by the names of their accounts.
#[derive(Debug, Default)]
pub struct People {
    /// With what they chose to be shown as, if they did.
    seen: BTreeMap<String, Option<Chosen>>,
    /// The same by the names in lower case.
    lower: BTreeMap<String, String>,
    /// Who is called so that it looks like this, by either name.
    alike: BTreeMap<String, BTreeSet<String>>,
}

impl People {
    /// Somebody was seen.
    pub fn saw(&mut self, name: &str) {
        if name.is_empty() || self.seen.contains_key(name) || self.seen.len() >= MOST {
            return;
        }
        self.seen.insert(name.to_owned(), None);
        self.lower.insert(name.to_lowercase(), name.to_owned());
        self.alike.entry(look(name)).or_default().insert(name.to_owned());
    }

    /// Somebody was seen, and is shown as this (empty: as nothing else).
    pub fn saw_as(&mut self, name: &str, chosen: &str) {
        self.saw(name);
        let Some(known) = self.seen.get_mut(name) else { return };
        let chosen = harmless(chosen).filter(|chosen| chosen.to_lowercase() != name.to_lowercase());
        if known.as_ref().map(|known| &known.shown) == chosen.as_ref() {
            return;
        }
        let chosen = chosen.map(Chosen::of);
        let before = std::mem::replace(known, chosen.clone());
        if let Some(before) = before.filter(|before| before.look != look(name))
            && let Entry::Occupied(mut alike) = self.alike.entry(before.look)
        {
            alike.get_mut().remove(name);
            if alike.get().is_empty() {
                alike.remove();
            }
        }
        if let Some(chosen) = chosen {
            self.alike.entry(chosen.look).or_default().insert(name.to_owned());
        }
    }

    /// All names of accounts.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.seen.keys()
    }

    /// What somebody chose to be shown as; made harmless.
    pub fn chosen(&self, name: &str) -> Option<&str> {
        self.known(name).map(|chosen| chosen.shown.as_str())
    }

    fn known(&self, name: &str) -> Option<&Chosen> {
        let known = self.seen.get(name).or_else(|| self.seen.get(self.lower.get(&name.to_lowercase())?))?;
        known.as_ref()
    }

    /// Whether a name, or what is shown for it, begins so; in lower case.
    pub fn begins(&self, name: &str, begun: &str) -> bool {
        name.to_lowercase().starts_with(begun)
            || self.chosen(name).is_some_and(|chosen| chosen.to_lowercase().starts_with(begun))
    }

    /// Whether this is in a name, or in what is shown for it; in lower case.
    pub fn contains(&self, name: &str, part: &str) -> bool {
        name.to_lowercase().contains(part)
            || self.chosen(name).is_some_and(|chosen| chosen.to_lowercase().contains(part))
    }

    /// What somebody is called where there are so many cells: no more than those are taken.
    pub fn called(&self, name: &str, room: usize) -> Called {
        if name.is_empty() {
            return Called { name: cut(DELETED, room), account: None };
        }
        let account = one_line(name);
        let alone = |name: &str| Called { name: cut(name, room), account: None };
        // Whoever might be taken for another is called by the account's name alone.
        let chosen = self.known(name).filter(|chosen| self.is_unmistakable(name, chosen));
        let Some(Chosen { shown: chosen, is_plain, .. }) = chosen else { return alone(&account) };
        let beside = room.saturating_sub(1 + width(&account));
        if width(chosen) <= beside {
            return Called { name: chosen.clone(), account: Some(account) };
        }
        if *is_plain && width(chosen) <= room {
            return alone(chosen);
        }
        if beside >= FEWEST {
            return Called { name: cut(chosen, beside), account: Some(account) };
        }
        alone(&account)
    }

    /// The same in one piece, as within a sentence: the account's name alone where that is needed.
    pub fn briefly(&self, name: &str, room: usize) -> String {
        let is_enough =
            |chosen: &&Chosen| chosen.is_plain && width(&chosen.shown) <= room && self.is_unmistakable(name, chosen);
        match self.known(name).filter(is_enough) {
            Some(chosen) => chosen.shown.clone(),
            _ if name.is_empty() => cut(DELETED, room),
            _ => cut(&one_line(name), room),
        }
    }

    /// Nobody else is called anything that looks like it, and nobody is called so who is gone.
    fn is_unmistakable(&self, name: &str, chosen: &Chosen) -> bool {
        let others = self.alike.get(&chosen.look);
        chosen.look != look(DELETED)
            && others.is_none_or(|others| others.iter().all(|other| other.to_lowercase() == name.to_lowercase()))
    }
}

/// A chosen name without what nobody sees or what moves others; none, if nothing is left.
fn harmless(chosen: &str) -> Option<String> {
    let seen: String = chosen.chars().take(CHOSEN).filter(|c| !is_unseen(*c)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    let mut whole = String::new();
    for grapheme in one_line(&words.join(" ")).graphemes(true) {
        // Marks without a letter would stand on what is before the name.
        if cells(grapheme) > 0 {
            whole.extend(grapheme.chars().take(1 + MARKS));
        }
    }
    (!whole.is_empty()).then_some(whole)
}

/// Takes no place on a screen, or an empty one, or is there to change the order of what is beside it.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn people(all: &[(&str, &str)]) -> People {
        let mut people = People::default();
        all.iter().for_each(|(name, chosen)| people.saw_as(name, chosen));
        people
    }

    fn called(people: &People, name: &str, room: usize) -> (String, Option<String>) {
        let Called { name, account } = people.called(name, room);
        (name, account)
    }

    fn both(name: &str, account: &str) -> (String, Option<String>) {
        (name.to_owned(), Some(account.to_owned()))
    }

    fn one(name: &str) -> (String, Option<String>) {
        (name.to_owned(), None)
    }

    #[test]
    fn the_chosen_name_stands_first_and_the_account_beside_it_where_there_is_room() {
        let people = people(&[("bob", "Bob Builder"), ("carol", ""), ("eve", "eve")]);
        assert_eq!(called(&people, "bob", 20), both("Bob Builder", "bob"));
        assert_eq!(called(&people, "BOB", 15), both("Bob Builder", "BOB"));
        assert_eq!(called(&people, "bob", 12), one("Bob Builder"));
        assert_eq!(called(&people, "bob", 10), both("Bob B…", "bob"));
        assert_eq!(called(&people, "bob", 6), one("bob"));
        assert_eq!(called(&people, "carol", 12), one("carol"));
        assert_eq!(called(&people, "eve", 12), one("eve"));
        assert_eq!(called(&people, "nobody", 4), one("nob…"));
        assert_eq!(called(&people, "", 20), one("(deleted user)"));
        assert_eq!((people.briefly("bob", 20), people.briefly("bob", 5)), ("Bob Builder".to_owned(), "bob".to_owned()));
    }

    #[test]
    fn who_might_be_taken_for_another_is_called_by_the_account() {
        for chosen in ["bob", "B o b", "B0b", "вob", "b\u{200b}ob", "Bob.", "BOB\u{301}"] {
            let people = people(&[("bob", ""), ("mallory", chosen)]);
            assert_eq!(people.briefly("mallory", 20), "mallory", "{chosen:?}");
            assert_eq!(called(&people, "mallory", 30), one("mallory"), "{chosen:?}");
        }
        let mut people = people(&[("ann-1", "Ann"), ("ann-2", "ANN")]);
        assert_eq!(
            (people.briefly("ann-1", 20), people.briefly("ann-2", 20)),
            ("ann-1".to_owned(), "ann-2".to_owned())
        );
        people.saw_as("ann-2", "Anna");
        assert_eq!((people.briefly("ann-1", 20), people.briefly("ann-2", 20)), ("Ann".to_owned(), "Anna".to_owned()));
        people.saw_as("ann-1", "");
        assert_eq!(people.briefly("ann-1", 20), "ann-1");
    }

    #[test]
    fn letters_that_look_like_others_hide_nobody() {
        for chosen in ["𝗯𝗼𝗯", "𝒷ℴ𝒷", "ｂｏｂ", "ⓑⓞⓑ", "🅱🅾🅱", "bób", "ḅọḅ", "ʙoʙ"]
        {
            let people = people(&[("bob", ""), ("mallory", chosen)]);
            assert_eq!(people.briefly("mallory", 20), "mallory", "{chosen:?}");
            assert_eq!(called(&people, "mallory", 40), one("mallory"), "{chosen:?}");
        }
        // No table has all of them: those stand beside the account, or not at all.
        for chosen in ["ɓob", "ᵇob", "boƅ", "𐌁ob", "ᛒob"] {
            let people = people(&[("bob", ""), ("mallory", chosen)]);
            assert_eq!(people.briefly("mallory", 20), "mallory", "{chosen:?}");
            for room in 3..20 {
                let Called { name, account } = people.called("mallory", room);
                assert!(
                    account.is_some_and(|name| name == "mallory") || name.starts_with("ma"),
                    "{chosen:?} in {room}"
                );
            }
        }
        for (name, chosen) in [("gill", "ɡⅼll"), ("gil", "ɡil"), ("lil", "𝘭ⅈ𝘭")] {
            assert_eq!(people(&[(name, ""), ("mallory", chosen)]).briefly("mallory", 20), "mallory", "{chosen:?}");
        }
        // Beside the account, anything else may stand; alone, what is of one kind.
        let people = people(&[
            ("a", "𝕊andra"),
            ("b", "Иван 2"),
            ("c", "Łukasz Özdemir"),
            ("d", "田中さくら"),
            ("e", "Ivаnovicz"),
        ]);
        assert_eq!(called(&people, "a", 20), both("𝕊andra", "a"));
        assert_eq!((called(&people, "a", 7), called(&people, "e", 9)), (both("𝕊and…", "a"), both("Ivаnov…", "e")));
        let brief = ["a", "b", "c", "d", "e"].map(|name| people.briefly(name, 20));
        assert_eq!(brief, ["a", "Иван 2", "Łukasz Özdemir", "田中さくら", "e"]);
    }

    #[test]
    fn nobody_is_called_like_those_who_are_gone() {
        for chosen in ["(deleted user)", "Deleted  User"] {
            assert_eq!(called(&people(&[("mallory", chosen)]), "mallory", 40), one("mallory"), "{chosen:?}");
        }
    }

    #[test]
    fn names_that_nobody_has_any_more_are_not_remembered() {
        let mut people = people(&[("bob", "")]);
        for number in 0..100 {
            people.saw_as("bob", &format!("Bob {number}"));
        }
        assert_eq!(people.alike.len(), 2, "{:?}", people.alike);
        people.saw_as("bob", "");
        assert_eq!(people.alike.len(), 1, "{:?}", people.alike);
    }

    #[test]
    fn what_nobody_sees_is_no_name() {
        for chosen in ["\u{200b}\u{2800}", " \u{a0} ", "\u{301}\u{301}", "\u{202e}"] {
            assert_eq!(people(&[("bob", chosen)]).chosen("bob"), None, "{chosen:?}");
        }
        let marks = "\u{301}".repeat(60);
        assert_eq!(people(&[("bob", &format!("a{marks}b"))]).chosen("bob"), Some("a\u{301}\u{301}b"));
        assert_eq!(people(&[("bob", "a\u{1b}[2J\u{202e}b")]).chosen("bob"), Some("a\\u{1b}[2Jb"));
    }

    proptest! {
        #[test]
        fn whatever_was_chosen_takes_no_more_than_there_is(
            name in "[a-zé漢]{1,32}",
            chosen in "[ab é漢\u{301}\u{200d}\u{202e}\u{1b}👩🇩🇪\n]{0,40}|.{0,40}",
            room in 0..40_usize,
        ) {
            let people = people(&[(&name, &chosen)]);
            let called = people.called(&name, room);
            prop_assert!(called.width() <= room, "{called:?} in {room}");
            prop_assert!(width(&people.briefly(&name, room)) <= room);
            let all = called.name + &called.account.unwrap_or_default();
            prop_assert!(!all.chars().any(|c| c.is_control() || is_unseen(c)), "{all:?}");
        }
    }
}
