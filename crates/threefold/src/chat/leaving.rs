//! What is said at the end, when nobody sees the screen any more.

use super::{
    model::{Model, NotSent, Pending, PendingState},
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
    /// Not uploaded, and to be listed by the next chat.
    drafts: usize,
    /// Not uploaded, and on no disk.
    lost: Vec<&'a Pending>,
    /// Perhaps sent, and on no disk.
    unkept: Vec<&'a Pending>,
    unkept_edits: Vec<&'a str>,
    unknown: usize,
    unknown_edits: usize,
    refused: Vec<(&'a Pending, &'a str)>,
    refused_edits: Vec<(&'a str, &'a str)>,
}

impl<'a> Open<'a> {
    fn of(model: &'a Model) -> Self {
        let mut open = Self { kept: model.left.len(), ..Self::default() };
        for edit in &model.edits {
            match &edit.failed {
                Some(NotSent::Unknown(_)) => open.unknown_edits += 1,
                Some(refused) => open.refused_edits.push((&edit.body, refused.why())),
                None if edit.kept_as.is_some() => open.kept_edits += 1,
                None => open.unkept_edits.push(&edit.body),
            }
        }
        for pending in &model.outbox {
            match &pending.state {
                PendingState::Failed(why) => open.refused.push((pending, why)),
                PendingState::Unknown(_) => open.unknown += 1,
                PendingState::Waiting | PendingState::Uploading(..) if pending.draft.is_some() => open.drafts += 1,
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
        let edits = self.kept_edits + self.unkept_edits.len() + self.unknown_edits;
        self.kept + self.unknown + self.drafts + self.lost.len() + self.unkept.len() + edits == 0
    }

    /// `is_over`: no other chat can send it for this login.
    fn words(&self, is_over: bool) -> Option<String> {
        let words = [
            kept_words(self.kept, self.kept_edits, is_over),
            draft_words(self.drafts, is_over),
            lost_words(&self.lost),
            unkept_words(&self.unkept, &self.unkept_edits),
            unknown_words(self.unknown, self.unknown_edits),
            refused_words(&self.refused, &self.refused_edits),
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

fn draft_words(drafts: usize, is_over: bool) -> Option<String> {
    let (what, them) = match drafts {
        0 => return None,
        1 => ("a message was not sent, for its file was not uploaded: it is kept".to_owned(), "it"),
        more => (format!("{more} messages were not sent, for their files were not uploaded: they are kept"), "them"),
    };
    let next = if is_over {
        String::new()
    } else {
        format!(", and the next `threefold chat` of this login lists {them} (/unsent)")
    };
    Some(format!("{what}{next}"))
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

fn unknown_words(unknown: usize, edits: usize) -> Option<String> {
    let (were, which) = match unknown + edits {
        0 => return None,
        1 => ("was", "whether it was"),
        _ => ("were", "which were"),
    };
    Some(format!("{} {were} not acknowledged: see with `threefold messages` {which} sent", counted(unknown, edits)))
}

fn refused_words(refused: &[(&Pending, &str)], edits: &[(&str, &str)]) -> Option<String> {
    let messages: Vec<&Pending> = refused.iter().map(|(pending, _)| *pending).collect();
    let mut texts = typed(&messages);
    texts.extend(edits.iter().map(|(body, _)| (*body).to_owned()));
    // The newest reason stands for all.
    let (_, why) = edits.last().copied().or_else(|| refused.last().map(|(_, why)| ("", *why)))?;
    let were = if texts.len() == 1 { "was" } else { "were" };
    Some(format!("{} {were} not sent ({why}): {}", counted(refused.len(), edits.len()), named(&texts)))
}
