//! Messages of ours until they are acknowledged: what becomes of them, and which of those that come are they.
//!
//! Promises: a message is shown once, whatever comes first, its answer or itself; one that was refused is never taken for one that came;
//! one whose outcome is unknown is said to be so, and is gone as soon as it is seen.

use std::collections::BTreeSet;

use threefold_client::chat::{self, Message};

use super::{sending, unsent};
use crate::chat::{
    conversation::Item,
    layout::Areas,
    model::{Effect, Handle, KeptAs, Local, Model, NotSent, Pending, PendingState},
    text::one_line,
    transcript::{PENDING, Transcript},
};

pub fn uploading(model: &mut Model, local: Local, done: u64, total: u64) {
    if let Some(pending) = model.outbox.iter_mut().find(|pending| pending.local == local) {
        pending.state = if done < total { PendingState::Uploading(done, total) } else { PendingState::Waiting };
    }
}

/// One of its files need not be uploaded again, should the message be sent again.
pub fn uploaded(model: &mut Model, local: Local, attachment: u64) {
    if let Some(pending) = model.outbox.iter_mut().find(|pending| pending.local == local) {
        pending.uploaded.push(attachment);
    }
}

/// It is on disk until its files are uploaded; what it was written again for need not be any more.
pub fn drafted(model: &mut Model, local: Local, draft: u64) {
    let Some(pending) = model.outbox.iter_mut().find(|pending| pending.local == local) else {
        // Given up meanwhile.
        model.effect(Effect::Forget(KeptAs::Draft(draft)));
        return;
    };
    pending.draft = Some(draft);
    if let Some(again) = pending.again.take() {
        unsent::forget(model, again);
    }
}

/// It is on disk, in the place of its draft; what it was written again for need not be any more.
pub fn taken(model: &mut Model, local: Local, number: Option<u64>) {
    let Some(pending) = model.outbox.iter_mut().find(|pending| pending.local == local) else { return };
    (pending.kept_as, pending.draft) = (number, None);
    if let Some(again) = pending.again.take() {
        unsent::forget(model, again);
    }
}

/// The screen was drawn: what has failed and was in sight was seen, if somebody looks.
pub fn drawn(model: &mut Model) {
    let Some(handle) = model.open.filter(|_| model.focused && model.overlay.is_none()) else { return };
    let is_new = |pending: &Pending| pending.handle == handle && pending.state.is_given_up() && !pending.was_seen;
    if !model.outbox.iter().any(is_new) {
        return;
    }
    let area = Areas::of(model).messages;
    let Some(transcript) = Transcript::new(model, handle, area.width) else { return };
    let in_sight: BTreeSet<u64> = transcript.visible(usize::from(area.height)).iter().map(|row| row.key).collect();
    let seen = |pending: &&mut Pending| is_new(pending) && in_sight.contains(&(PENDING + pending.local));
    let mut drafts = Vec::new();
    for pending in model.outbox.iter_mut().filter(seen) {
        pending.was_seen = true;
        drafts.extend(pending.draft.take());
    }
    forget_drafts(model, drafts);
}

/// Nobody needs them on disk any more.
fn forget_drafts(model: &mut Model, drafts: impl IntoIterator<Item = u64>) {
    for draft in drafts {
        model.effect(Effect::Forget(KeptAs::Draft(draft)));
    }
}

/// Whether a message that failed under this number of the outbox is to stay on disk: nobody has seen yet that it failed. As long as the number of another one is not
/// known, it may be that.
pub fn is_unseen(model: &Model, number: u64) -> bool {
    model.outbox.iter().any(|pending| match pending.kept_as {
        Some(kept_as) => kept_as == number && !pending.was_seen,
        None => !pending.state.is_given_up() && !pending.needs_upload(),
    })
}

/// The answer to a message, or none.
pub fn sent(model: &mut Model, local: Local, result: Result<chat::MessageSent, NotSent>) {
    let Some(place) = model.outbox.iter().position(|pending| pending.local == local) else { return };
    match result {
        Ok(sent) => {
            let again = model.outbox[place].again;
            acknowledged(model, place, &sent);
            if let Some(again) = again {
                unsent::forget(model, again);
            }
        }
        Err(NotSent::Unknown(_)) if model.outbox[place].seen_as.is_some() => {
            // It is there: it was seen.
            model.outbox.remove(place);
        }
        Err(NotSent::Unknown(why)) => {
            model.complain(format!("nobody knows whether it was sent: {}", one_line(&why)));
            model.outbox[place].state = PendingState::Unknown(why);
        }
        Err(NotSent::Refused(why)) => refused(model, place, why),
        Err(NotSent::FilesGone(why)) => {
            model.outbox[place].uploaded.clear();
            refused(model, place, why);
        }
    }
}

fn refused(model: &mut Model, place: usize, why: String) {
    model.complain(format!("not sent: {}", one_line(&why)));
    let pending = &mut model.outbox[place];
    pending.seen_as = None;
    pending.state = PendingState::Failed(why);
}

fn acknowledged(model: &mut Model, place: usize, sent: &chat::MessageSent) {
    let pending = model.outbox.remove(place);
    forget_drafts(model, pending.draft);
    // Another one was taken for it.
    for other in model.outbox.iter_mut().filter(|other| other.seen_as == Some(sent.id)) {
        other.seen_as = pending.seen_as.filter(|id| *id != sent.id);
    }
    let (account, name, is_open) = (model.account, model.name.clone(), model.open == Some(pending.handle));
    let Some(one) = model.conversations.get_mut(&pending.handle) else { return };
    if one.id.is_none() {
        one.becomes(sent.conversation);
    }
    one.newest = one.newest.max(sent.id);
    one.active_ms = one.active_ms.max(sent.time_ms);
    if one.is_room() {
        (one.unread, one.mentions) = (0, 0);
    }
    // The event is on its way; until then, what was written is shown as what it is now. Files are named by the event.
    let is_shown = one.is_open_ended() || (is_open && !one.has_newer);
    if is_shown && pending.file_count() == 0 && !one.items.contains_key(&sent.id) {
        let room = one.room().map(|room| room.name.clone()).unwrap_or_default();
        let message = Message {
            id: sent.id,
            time_ms: sent.time_ms,
            conversation: sent.conversation,
            author: account,
            author_name: name,
            body: pending.body,
            reply_to: pending.reply_to,
            peer_name: one.peer().unwrap_or_default().to_owned(),
            room_name: room,
            ..Message::default()
        };
        one.put(sent.id, Item::Message(message));
    }
}

/// A message of this account came: perhaps one that waits for its answer here.
pub fn seen(model: &mut Model, handle: Handle, message: &Message) {
    let is_known = model.conversations.get(&handle).is_some_and(|one| one.items.contains_key(&message.id));
    if is_known || model.outbox.iter().any(|pending| pending.seen_as == Some(message.id)) {
        return;
    }
    let is_it = |pending: &Pending| {
        pending.handle == handle
            && pending.seen_as.is_none()
            && !matches!(pending.state, PendingState::Failed(_))
            && message.id > pending.after
            && pending.body == message.body
            && pending.reply_to == message.reply_to
            && pending.file_count() == message.attachments.len()
    };
    let Some(place) = model.outbox.iter().position(is_it) else { return };
    if let PendingState::Unknown(_) = model.outbox[place].state {
        model.outbox.remove(place);
    } else {
        model.outbox[place].seen_as = Some(message.id);
    }
}

/// Sends again what was given up in the open conversation.
pub fn retry(model: &mut Model) {
    let given_up = take_given_up(model);
    if given_up.is_empty() {
        model.say("nothing here has failed");
    }
    for mut pending in given_up {
        // On disk until what takes its place is.
        pending.again = pending.again.or(pending.draft.map(KeptAs::Draft));
        sending::send_again(model, pending);
    }
}

/// Drops what was given up in the open conversation. The texts can be had again as what was typed before.
pub fn discard(model: &mut Model) {
    let given_up = take_given_up(model);
    for pending in &given_up {
        model.history.add(&pending.as_typed());
    }
    forget_drafts(model, given_up.iter().filter_map(|pending| pending.draft));
    match &given_up[..] {
        [] => model.say("nothing here has failed"),
        [one] => model.say(format!("discarded (↑ has it): {}", one_line(&one.as_typed()))),
        more => model.say(format!("discarded {} messages: ↑ has them", more.len())),
    }
}

fn take_given_up(model: &mut Model) -> Vec<Pending> {
    let Some(open) = model.open else { return Vec::new() };
    let is_it = |one: &Pending| one.handle == open && one.state.is_given_up();
    let (given_up, others) = std::mem::take(&mut model.outbox).into_iter().partition(is_it);
    model.outbox = others;
    given_up
}

/// The history was replaced: what was given up is what was typed before, and what waits goes on waiting. In which conversations.
pub fn keep_waiting(model: &mut Model) -> BTreeSet<Handle> {
    let (given_up, mut waiting): (Vec<Pending>, Vec<Pending>) =
        std::mem::take(&mut model.outbox).into_iter().partition(|pending| pending.state.is_given_up());
    for pending in &given_up {
        model.history.add(&pending.as_typed());
    }
    for pending in &mut waiting {
        // What seemed to be it is not there any more, and of what is there, nothing is known.
        (pending.seen_as, pending.after) = (None, u64::MAX);
    }
    model.outbox = waiting;
    model.outbox.iter().map(|pending| pending.handle).collect()
}
