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
    if let Some(why) = &model.over {
        return Err(Failure::declined(why.clone()));
    }
    let (mut kept, mut unknown) = (model.left.len(), 0_usize);
    let (mut lost, mut refused) = (Vec::new(), Vec::new());
    for pending in &model.outbox {
        match &pending.state {
            PendingState::Failed(why) => refused.push(why),
            PendingState::Waiting | PendingState::Uploading(..) if pending.needs_upload() => lost.push(pending),
            PendingState::Waiting | PendingState::Uploading(..) if pending.is_kept => kept += 1,
            PendingState::Waiting | PendingState::Uploading(..) | PendingState::Unknown(_) => unknown += 1,
        }
    }
    let words = [kept_words(kept), lost_words(&lost), unknown_words(unknown), refused_words(&refused)];
    let words: Vec<String> = words.into_iter().flatten().collect();
    match (words.is_empty(), kept + unknown + lost.len()) {
        (true, _) => Ok(()),
        (false, 0) => Err(Failure::declined(words.join("; "))),
        (false, _) => Err(Failure::unavailable(words.join("; "))),
    }
}

fn kept_words(kept: usize) -> Option<String> {
    let (were, are, them) = match kept {
        0 => return None,
        1 => ("a message was".to_owned(), "it is", "it"),
        more => (format!("{more} messages were"), "they are", "them"),
    };
    Some(format!("{were} not acknowledged: {are} kept, and the next `threefold chat` of this login sends {them}"))
}

/// What nobody has any more is said once again.
fn lost_words(lost: &[&Pending]) -> Option<String> {
    let (were, files) = match lost.len() {
        0 => return None,
        1 => ("a message was not sent, and is not kept".to_owned(), "its file was"),
        more => (format!("{more} messages were not sent, and are not kept"), "their files were"),
    };
    let mut texts: Vec<String> =
        lost.iter().take(MOST_NAMED).map(|pending| cut(one_line(&pending.as_typed()).trim_end(), NAMED)).collect();
    if lost.len() > MOST_NAMED {
        texts.push(format!("and {} more", lost.len() - MOST_NAMED));
    }
    Some(format!("{were}, for {files} not uploaded: {}", texts.join(", ")))
}

fn unknown_words(unknown: usize) -> Option<String> {
    match unknown {
        0 => None,
        1 => Some("a message was not acknowledged: see with `threefold messages` whether it was sent".to_owned()),
        more => Some(format!("{more} messages were not acknowledged: see with `threefold messages` which were sent")),
    }
}

fn refused_words(refused: &[&String]) -> Option<String> {
    match refused {
        [] => None,
        [why] => Some(format!("a message was not sent: {why}")),
        [.., why] => Some(format!("{} messages were not sent: {why}", refused.len())),
    }
}
