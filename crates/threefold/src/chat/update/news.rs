//! What came back from the cluster, and what it tells by itself.

use threefold_client::{
    Page, TYPING_SHOWN, To,
    chat::{self, Message},
};

use super::{events, mark, open, overlays};
use crate::chat::{
    conversation::{Bottom, Conversation, Direction, Item, Kind, Loading},
    model::{Composing, Effect, Handle, Link, Local, Model, News, PendingState, Typist, Write},
    text::one_line,
};

/// Takes it in.
pub fn take(model: &mut Model, news: News) {
    match news {
        News::Connected(server) => model.link = Link::Connected(server),
        News::Reconnecting(why) => model.link = Link::Lost(why),
        News::Condition(condition) => model.condition = condition,
        News::Event(event) => events::take(model, *event),
        News::CaughtUp => mark(model),
        News::Typing(notice) => typing(model, notice),
        News::Resynchronised => start_over(model),
        News::Ended(why) => model.over = Some(why),
        News::Conversations(listed) => conversations(model, &listed),
        News::Invitations(open) => {
            if let Some(list) = overlays::list_called(model, overlays::INVITATIONS) {
                overlays::fill_invitations(list, &open);
            }
            model.invitations = open;
        }
        News::Online(accounts) => {
            model.people.extend(accounts.iter().map(|account| account.name.clone()));
            model.online = accounts.into_iter().map(|account| account.name.to_lowercase()).collect();
        }
        News::Members { handle, members, more } => {
            model.people.extend(members.iter().map(|member| member.name.clone()));
            if let Some(list) = overlays::list_called(model, overlays::MEMBERS) {
                overlays::fill_members(list, &members, more);
            }
            if let Some(one) = model.conversations.get_mut(&handle) {
                one.members = members;
            }
        }
        News::History { handle, page, reply } => history(model, handle, page, reply),
        News::Quoted { asked, messages } => {
            model.quoted.extend(asked.into_iter().map(|id| (id, None)));
            model.quoted.extend(messages.into_iter().map(|message| (message.id, Some(message))));
        }
        News::Uploading { local, done, total } => {
            if let Some(pending) = model.outbox.iter_mut().find(|pending| pending.local == local) {
                pending.state = if done < total { PendingState::Uploading(done, total) } else { PendingState::Waiting };
            }
        }
        News::Sent { local, result } => sent(model, local, result),
        News::Written { what, done, result } => written(model, what, done, result),
        News::Found { query, result } => overlays::found(model, &query, result),
        News::Rooms { pattern, result } => overlays::rooms(model, &pattern, result),
        News::Users { pattern, result } => overlays::users(model, &pattern, result),
        News::Status(result) => overlays::status(model, result),
        News::Paths { start, choices } => super::complete::offer(model, start, choices),
        News::Saved(Ok(paths)) => {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            model.say(format!("saved {}", names.join(", ")));
        }
        News::Saved(Err(why)) | News::Failed(why) => model.complain(why),
    }
}

/// Somebody types, unless what they typed is here already.
fn typing(model: &mut Model, notice: chat::TypingNotice) {
    let Some(one) = model.handle_of(notice.conversation).and_then(|handle| model.conversations.get(&handle)) else {
        return;
    };
    let said = one.messages_back().find(|message| message.author == notice.account);
    if notice.account == model.account || said.is_some_and(|message| message.id > notice.position) {
        return;
    }
    let shown_ms = u64::try_from(TYPING_SHOWN.as_millis()).unwrap_or(0);
    let (conversation, account) = (notice.conversation, notice.account);
    model.typists.retain(|typist| typist.conversation != conversation || typist.account != account);
    model.typists.push(Typist { conversation, account, name: notice.account_name, until_ms: model.now_ms + shown_ms });
}

/// The cluster's history was replaced: nothing that is here means anything any more.
fn start_over(model: &mut Model) {
    model.conversations.clear();
    model.quoted.clear();
    model.asked.clear();
    (model.open, model.overlay, model.is_loaded) = (None, None, false);
    (model.delivered, model.marked_delivered) = (0, 0);
    model.composing = Composing::Message;
    model.complain("the cluster was restored from a backup: everything is read again");
    model.effect(Effect::LoadAll);
}

fn conversations(model: &mut Model, listed: &[chat::Conversation]) {
    for known in listed {
        let handle = model.handle_of(known.conversation).unwrap_or_else(|| {
            let name = known.peer_name.as_str();
            let unnamed = (known.room.is_none() && !name.is_empty()).then(|| model.handle_called(name)).flatten();
            unnamed.unwrap_or_else(|| model.add(Conversation::new(Kind::Direct(String::new()))))
        });
        if !known.peer_name.is_empty() {
            model.people.insert(known.peer_name.clone());
        }
        if let Some(one) = model.conversations.get_mut(&handle) {
            // Events may have come since; what they said of a conversation that was read holds.
            let last = known.last.as_ref().map_or(0, |last| last.id);
            let before = (last < one.counted).then_some((one.unread, one.mentions, one.read_up_to));
            one.take(known);
            if let Some(before) = before {
                (one.unread, one.mentions, one.read_up_to) = before;
            }
        }
    }
    model.is_loaded = true;
    if model.open.is_none()
        && model.overlay.is_none()
        && let Some(first) = model.listed().first()
    {
        open(model, *first);
    }
}

fn history(model: &mut Model, handle: Handle, page: Page, reply: Result<chat::HistoryReply, String>) {
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => {
            model.complain(why);
            // As if it had not been asked for: asked again when the conversation is opened the next time.
            if let Some(one) = model.conversations.get_mut(&handle) {
                one.loading = Loading::Done;
            }
            return;
        }
    };
    let (id, account) = (model.conversations.get(&handle).and_then(|one| one.id), model.account);
    let Some(one) = model.conversations.get_mut(&handle) else { return };
    model
        .people
        .extend(reply.messages.iter().map(|message| message.author_name.clone()).filter(|name| !name.is_empty()));
    match page {
        Page::Before(0) => one.load(reply, Direction::Fresh),
        Page::Around(wanted) => {
            one.load(reply, Direction::Fresh);
            one.selected = one.message(wanted).map(|message| message.id);
            one.bottom = one.selected.map_or(Bottom::Newest, |item| Bottom::At { item, hidden: 0 });
        }
        Page::Before(_) => one.load(reply, Direction::Older),
        Page::After(_) | Page::At(_) => one.load(reply, Direction::Newer),
    }
    // Written here, and shown by the page already.
    let own: Vec<(u64, String)> = one
        .messages_back()
        .filter(|message| message.author == account)
        .map(|message| (message.id, message.body.clone()))
        .collect();
    let newest_known = model.outbox.iter().filter_map(|pending| pending.seen_as).max().unwrap_or(0);
    if let (Some(_), Page::Before(0)) = (id, page) {
        for pending in model.outbox.iter_mut().filter(|one| one.handle == handle && one.seen_as.is_none()) {
            let is_it = |(id, body): &&(u64, String)| *id > newest_known.max(pending.after) && *body == pending.body;
            pending.seen_as = own.iter().find(is_it).map(|(id, _)| *id);
        }
    }
    if let Page::Around(_) = page {
        super::show_selected(model);
    }
}

fn sent(model: &mut Model, local: Local, result: Result<chat::MessageSent, String>) {
    let Some(place) = model.outbox.iter().position(|pending| pending.local == local) else { return };
    let sent = match result {
        Ok(sent) => sent,
        Err(why) => {
            let pending = &mut model.outbox[place];
            pending.seen_as = None;
            pending.state = PendingState::Failed(why.clone());
            model.complain(format!("not sent: {}", one_line(&why)));
            return;
        }
    };
    let pending = model.outbox.remove(place);
    // Another one was taken for it.
    for other in model.outbox.iter_mut().filter(|other| other.seen_as == Some(sent.id)) {
        other.seen_as = pending.seen_as.filter(|id| *id != sent.id);
    }
    let (account, name) = (model.account, model.name.clone());
    let Some(one) = model.conversations.get_mut(&pending.handle) else { return };
    one.id = one.id.or(Some(sent.conversation));
    one.newest = one.newest.max(sent.id);
    one.active_ms = one.active_ms.max(sent.time_ms);
    if one.is_room() {
        (one.unread, one.mentions) = (0, 0);
    }
    // The event is on its way; until then, what was written is shown as what it is now. Files are named by the event.
    let is_shown = one.loading == Loading::Done && !one.has_newer && pending.files.is_empty();
    if is_shown && !one.items.contains_key(&sent.id) {
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
        one.items.insert(sent.id, Item::Message(message));
    }
}

fn written(model: &mut Model, what: Write, done: String, result: Result<(), String>) {
    match result {
        Err(why) => {
            // Nobody asked for a marker.
            if !what.is_marker() {
                model.complain(why);
            }
        }
        Ok(()) => {
            if !done.is_empty() {
                model.say(done);
            }
            match what {
                // Shown once the event of it is here.
                Write::JoinRoom(to) => model.arriving = Some(to),
                Write::CreateRoom { name, .. } => model.arriving = Some(To::Room(name)),
                _ => {}
            }
        }
    }
}
