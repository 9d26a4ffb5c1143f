//! Holds what was delivered against what was acknowledged. Pure, so that the judge itself can be tested.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::ledger::{Entry, Outcome};

/// One line of `follow --json` or `messages --json`; events other than messages have no body.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Line {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: u64,
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub peer: String,
    /// The how-manieth of its conversation.
    #[serde(default)]
    pub number: u64,
    #[serde(default)]
    pub body: String,
}

/// Whose view is judged: all messages of a user, or only those exchanged with one other.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What to call it in complaints.
    pub place: &'a str,
    pub user: usize,
    pub with: Option<usize>,
}

impl View<'_> {
    fn shows(&self, entry: &Entry) -> bool {
        let between = |a: usize, b: usize| (entry.sender, entry.recipient) == (a, b);
        match self.with {
            Some(other) => between(self.user, other) || between(other, self.user),
            None => entry.sender == self.user || entry.recipient == self.user,
        }
    }
}

/// The judge: knows every message by its text.
pub struct Judge<'a> {
    names: &'a [String],
    entries: &'a [Entry],
    by_body: BTreeMap<&'a str, &'a Entry>,
}

impl<'a> Judge<'a> {
    pub fn new(names: &'a [String], entries: &'a [Entry]) -> Self {
        let by_body = entries.iter().map(|entry| (entry.body.as_str(), entry)).collect();
        Self { names, entries, by_body }
    }

    /// Everything wrong with the ledger itself: a refusal nobody deserved, acknowledgements out of order.
    pub fn ledger(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut last: BTreeMap<usize, u64> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for entry in self.entries {
            match &entry.outcome {
                Outcome::Acknowledged(id) => {
                    if last.insert(entry.sender, *id).is_some_and(|last| last >= *id) {
                        wrong.push(format!("{} was acknowledged out of order", self.describe(entry)));
                    }
                    if !ids.insert(*id) {
                        wrong
                            .push(format!("{} was acknowledged under the id of another message", self.describe(entry)));
                    }
                }
                Outcome::Refused(why) => wrong.push(format!("{} was refused: {why}", self.describe(entry))),
                Outcome::Unknown(_) | Outcome::Abandoned | Outcome::NotSent(_) => {}
            }
        }
        wrong
    }

    /// Everything wrong with a delivered stream or a history: missing, twice, out of order, altered, or from nowhere.
    pub fn view(&self, view: View<'_>, lines: &[Line]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut complain = |what: String| wrong.push(format!("{}: {what}", view.place));
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut last_number: BTreeMap<usize, u64> = BTreeMap::new();
        if let Some(pair) = lines.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            complain(format!("event {} comes after event {}", pair[1].id, pair[0].id));
        }
        for line in lines.iter().filter(|line| line.kind == "message") {
            let Some(entry) = self.by_body.get(line.body.as_str()).filter(|entry| view.shows(entry)) else {
                complain(format!(
                    "message {} from {} was never sent here: {:?}",
                    line.id,
                    line.from,
                    start(&line.body)
                ));
                continue;
            };
            if !seen.insert(entry.body.as_str()) {
                complain(format!("{} is there twice", self.describe(entry)));
            }
            let in_order = entry.outcome != Outcome::Abandoned;
            if in_order && last_number.insert(entry.sender, entry.number).is_some_and(|last| last >= entry.number) {
                complain(format!("{} is out of its sender's order", self.describe(entry)));
            }
            if let Some(what) = self.differs(view, entry, line) {
                complain(format!("{} {what}", self.describe(entry)));
            }
        }
        for entry in self.entries.iter().filter(|entry| view.shows(entry)) {
            if matches!(entry.outcome, Outcome::Acknowledged(_)) && !seen.contains(entry.body.as_str()) {
                complain(format!("{} is missing", self.describe(entry)));
            }
        }
        wrong
    }

    /// Everything wrong with the numbers of a whole conversation's messages: they count from 1.
    pub fn numbers(&self, place: &str, lines: &[Line]) -> Option<String> {
        let gap = lines.iter().zip(1..).find(|(line, number)| line.number != *number);
        gap.map(|(line, number)| format!("{place}: message {} has number {}, not {number}", line.id, line.number))
    }

    fn differs(&self, view: View<'_>, entry: &Entry, line: &Line) -> Option<String> {
        let peer = if entry.sender == view.user { entry.recipient } else { entry.sender };
        match &entry.outcome {
            Outcome::Acknowledged(id) if *id != line.id => Some(format!("is there as {}", line.id)),
            Outcome::NotSent(why) => Some(format!("is there, although it was given up ({why})")),
            Outcome::Refused(why) => Some(format!("is there, although it was refused ({why})")),
            Outcome::Acknowledged(_) | Outcome::Unknown(_) | Outcome::Abandoned => {
                let names = (line.from.as_str(), line.peer.as_str());
                let expected = (self.names[entry.sender].as_str(), self.names[peer].as_str());
                (names != expected).then(|| format!("is shown as from {} with {}", names.0, names.1))
            }
        }
    }

    fn describe(&self, entry: &Entry) -> String {
        let id = match &entry.outcome {
            Outcome::Acknowledged(id) => format!(" (acknowledged as {id})"),
            Outcome::Unknown(_) | Outcome::Abandoned | Outcome::NotSent(_) | Outcome::Refused(_) => String::new(),
        };
        let (sender, recipient) = (&self.names[entry.sender], &self.names[entry.recipient]);
        format!("message {} of {sender}, to {recipient}{id}, {:?}", entry.number, start(&entry.body))
    }
}

/// The beginning of a text, enough to find it.
fn start(body: &str) -> String {
    body.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
