//! What is said at the end, when nobody sees the screen any more.

use super::{
    model::{Model, Pending, PendingState},
    text::{cut, one_line},
};
use crate::commands::Failure;

/// Cells of a text that is named.
const NAMED: usize = 60;
/// Texts that are named, at most.
const MOST_NAMED: usize = 10;

/// Nothing, or what became of that which is not acknowledged: kept on disk, lost with this chat, refused, or not known.
pub fn outcome(model: &Model) -> Result<(), Failure> {
    let open = Open::of(model);
    let words = open.words(model.over.is_some());
    match (&model.over, words) {
        (Some(why), words) => Err(with_words(Failure::declined(why.clone()), words)),
        (None, None) => Ok(()),
        (None, Some(words)) if open.is_decided() => Err(Failure::declined(words)),
        (None, Some(words)) => Err(Failure::unavailable(words)),
    }
}

/// The same where the chat could not even begin, for this reason.
pub fn refused(model: &Model, why: Failure) -> Failure {
    with_words(why, Open::of(model).words(true))
}

fn with_words(why: Failure, words: Option<String>) -> Failure {
    match words {
        Some(words) => why.and(&words),
        None => why,
    }
}

/// So many of each, in words.
pub fn counted(messages: usize, edits: usize) -> String {
    let words = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(one.to_owned()),
        count => Some(format!("{count} {more}")),
    };
    let words = [words(messages, "a message", "messages"), words(edits, "an edit", "edits")];
    words.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// What is not acknowledged.
#[derive(Default)]
struct Open<'a> {
    kept: usize,
    kept_edits: usize,
    /// Not uploaded.
    lost: Vec<&'a Pending>,
    /// Perhaps sent, and on no disk.
    unkept: Vec<&'a Pending>,
    unkept_edits: Vec<&'a str>,
    unknown: usize,
    refused: Vec<(&'a Pending, &'a str)>,
}

impl<'a> Open<'a> {
    fn of(model: &'a Model) -> Self {
        let mut open = Self { kept: model.left.len(), ..Self::default() };
        for edit in &model.edits {
            if edit.is_kept { open.kept_edits += 1 } else { open.unkept_edits.push(&edit.body) }
        }
        for pending in &model.outbox {
            match &pending.state {
                PendingState::Failed(why) => open.refused.push((pending, why)),
                PendingState::Unknown(_) => open.unknown += 1,
                PendingState::Waiting | PendingState::Uploading(..) if pending.needs_upload() => {
                    open.lost.push(pending);
                }
                PendingState::Waiting | PendingState::Uploading(..) if pending.is_unkept() => open.unkept.push(pending),
                PendingState::Waiting | PendingState::Uploading(..) if pending.kept_as.is_some() => open.kept += 1,
                PendingState::Waiting | PendingState::Uploading(..) => open.unknown += 1,
            }
        }
        open
    }

    /// What is not sent was refused.
    fn is_decided(&self) -> bool {
        let edits = self.kept_edits + self.unkept_edits.len();
        self.kept + self.unknown + self.lost.len() + self.unkept.len() + edits == 0
    }

    /// `is_over`: no other chat can send it for this login.
    fn words(&self, is_over: bool) -> Option<String> {
        let words = [
            kept_words(self.kept, self.kept_edits, is_over),
            lost_words(&self.lost),
            unkept_words(&self.unkept, &self.unkept_edits),
            unknown_words(self.unknown),
            refused_words(&self.refused),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

fn kept_words(kept: usize, edits: usize, is_over: bool) -> Option<String> {
    let (were, are, them) = match kept + edits {
        0 => return None,
        1 => ("was", "it is", "it"),
        _ => ("were", "they are", "them"),
    };
    let what = counted(kept, edits);
    let next =
        if is_over { String::new() } else { format!(", and the next `threefold chat` of this login sends {them}") };
    Some(format!("{what} {were} not acknowledged: {are} kept{next}"))
}

/// What nobody has any more is said once again.
fn lost_words(lost: &[&Pending]) -> Option<String> {
    let (were, files) = match lost.len() {
        0 => return None,
        1 => ("a message was not sent, and is not kept".to_owned(), "its file was"),
        more => (format!("{more} messages were not sent, and are not kept"), "their files were"),
    };
    Some(format!("{were}, for {files} not uploaded: {}", named(&typed(lost))))
}

fn unkept_words(unkept: &[&Pending], edits: &[&str]) -> Option<String> {
    let (were, are) = match unkept.len() + edits.len() {
        0 => return None,
        1 => ("was", "is"),
        _ => ("were", "are"),
    };
    let mut texts = typed(unkept);
    texts.extend(edits.iter().map(|edit| (*edit).to_owned()));
    let what = counted(unkept.len(), edits.len());
    Some(format!("{what} {were} perhaps not sent, and {are} not kept: {}", named(&texts)))
}

fn typed(all: &[&Pending]) -> Vec<String> {
    all.iter().map(|pending| pending.as_typed()).collect()
}

fn named(all: &[String]) -> String {
    let mut texts: Vec<String> =
        all.iter().take(MOST_NAMED).map(|text| cut(one_line(text).trim_end(), NAMED)).collect();
    if all.len() > MOST_NAMED {
        texts.push(format!("and {} more", all.len() - MOST_NAMED));
    }
    texts.join(", ")
}

fn unknown_words(unknown: usize) -> Option<String> {
    match unknown {
        0 => None,
        1 => Some("a message was not acknowledged: see with `threefold messages` whether it was sent".to_owned()),
        more => Some(format!("{more} messages were not acknowledged: see with `threefold messages` which were sent")),
    }
}

fn refused_words(refused: &[(&Pending, &str)]) -> Option<String> {
    let texts: Vec<&Pending> = refused.iter().map(|(pending, _)| *pending).collect();
    match refused {
        [] => None,
        [(_, why)] => Some(format!("a message was not sent ({why}): {}", named(&typed(&texts)))),
        [.., (_, why)] => Some(format!("{} messages were not sent ({why}): {}", refused.len(), named(&typed(&texts)))),
    }
}
