//! What came back from the cluster, and what it tells by itself.

use threefold_client::{
    Page, TYPING_SHOWN, To,
    chat::{self, Message, Role},
};

use super::{events, go_to, mark, open, outbox, overlays, reading, unsent};
use crate::chat::{
    conversation::{Conversation, Kind},
    model::{Composing, Effect, Handle, Link, Model, News, NotSent, Request, Typist, Write},
    request::Again,
    text::one_line,
};

/// Answered messages that are remembered, at most: more than one conversation has here.
const QUOTED: usize = 5_000;

/// Takes it in.
pub fn take(model: &mut Model, news: News) {
    match news {
        News::Begun(me) => begun(model, &me),
        News::Connected(server) => {
            model.link = Link::Connected(server);
            reading::ask_soon(model);
        }
        News::Reconnecting(why) => model.link = Link::Lost(why),
        News::Condition(condition) => model.condition = condition,
        News::Event(event) => events::take(model, *event),
        News::CaughtUp => mark(model),
        News::Typing(notice) => typing(model, notice),
        News::Resynchronised => start_over(model),
        News::Ended(why) => model.over = Some(why),
        News::Conversations { request, result } => conversations(model, request, result),
        News::Invitations(open) => {
            overlays::invitations(model, &open);
            model.invitations = open;
        }
        News::Online(accounts) => {
            saw_accounts(model, &accounts);
            model.online = accounts.into_iter().map(|account| account.name.to_lowercase()).collect();
        }
        News::Members { request, handle, result } => members(model, request, handle, result),
        News::History { request, handle, reply } => history(model, request, handle, reply),
        News::Quoted { asked, result: Ok(messages) } => {
            model.quotes_again = Again::default();
            for message in &messages {
                model.people.saw_as(&message.author_name, &message.author_display_name);
            }
            quoted(model, asked, messages);
        }
        News::Quoted { asked, result: Err(_) } => {
            // Shown as `…` until they are here; nothing that somebody asked for has failed.
            model.asked.retain(|id| !asked.contains(id));
            model.quotes_changed.retain(|id| !asked.contains(id));
            model.quotes_again.later(model.now_ms);
        }
        News::Uploading { local, done, total } => outbox::uploading(model, local, done, total),
        News::Uploaded { local, attachment } => outbox::uploaded(model, local, attachment),
        News::Drafted { local, draft } => outbox::drafted(model, local, draft),
        News::Taken { local, number } => outbox::taken(model, local, number),
        News::Sent { local, result } => outbox::sent(model, local, result),
        News::Written { what, done, result } => written(model, what, done, result),
        News::Found { request, result } => overlays::found(model, request, result),
        News::Rooms { request, pattern, result } => overlays::rooms(model, request, &pattern, result),
        News::Users { request, pattern, result } => overlays::users(model, request, &pattern, result),
        News::People { request, pattern, result } => super::people::found(model, request, &pattern, result),
        News::Reactions { request, result } => overlays::reactions(model, request, result),
        News::Status { request, result } => overlays::status(model, request, result),
        News::Named(Ok(name)) => named(model, &name),
        News::Named(Err(why)) => model.complain(why),
        News::Paths { request, start, choices } => super::complete::found(model, request, start, choices),
        News::Saved(Ok(paths)) => {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            model.say(format!("saved {}", names.join(", ")));
        }
        News::Saved(Err(why)) => model.complain(why),
        News::Left(texts) => model.left = texts,
        // The loop that draws takes note of it.
        News::KeptNoLonger(_) => {}
        News::Unsent(unsent) => unsent::take(model, unsent),
        News::EditsFailed(edits) => unsent::add(model, edits),
        News::EditTaken { message, body, number } => {
            let mut edits = model.edits.iter_mut();
            if let Some(edit) = edits.find(|edit| edit.kept_as.is_none() && edit.is_waiting(message, &body)) {
                edit.kept_as = number;
            }
        }
        News::NotKept(why) => {
            model.complain(format!("unsent messages will be lost with this chat: {}", one_line(&why)));
        }
        News::Remark(words) => model.complain(one_line(&words)),
    }
}

/// From here on everything is told. What was read before may end earlier, and is read again.
fn begun(model: &mut Model, me: &chat::WhoAmIReply) {
    model.account = me.account;
    model.people.saw_as(&me.name, &me.display_name);
    (model.has_begun, model.list_wanted, model.list_asked) = (true, true, None);
    for one in model.conversations.values_mut().filter(|one| one.id.is_some()) {
        one.restart();
    }
}

/// What answered messages say.
fn quoted(model: &mut Model, mut asked: Vec<u64>, mut messages: Vec<Message>) {
    if model.quoted.len() + asked.len() > QUOTED {
        // What is looked at is asked for again.
        model.quoted.clear();
        model.asked.clear();
    }
    // Changed since it was asked for: asked for again.
    let changed: Vec<u64> = asked.iter().filter(|id| model.quotes_changed.remove(id)).copied().collect();
    asked.retain(|id| !changed.contains(id));
    messages.retain(|message| !changed.contains(&message.id));
    model.asked.retain(|id| !changed.contains(id));
    model.asked.extend(&asked);
    model.quoted.extend(asked.into_iter().map(|id| (id, None)));
    model.quoted.extend(messages.into_iter().map(|message| (message.id, Some(message))));
}

fn named(model: &mut Model, name: &str) {
    model.people.saw_as(&model.name, name);
    model.say(if name.is_empty() {
        "nothing is shown beside your name: /name TEXT chooses it".to_owned()
    } else {
        format!("beside your name stands: {} (/name - takes it away)", one_line(name))
    });
}

/// These are there, and are shown so.
pub fn saw_accounts(model: &mut Model, accounts: &[chat::Account]) {
    for account in accounts {
        model.people.saw_as(&account.name, &account.display_name);
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

/// The cluster's history was replaced: nothing that is here means anything any more, other than what one was about to say.
fn start_over(model: &mut Model) {
    super::leave(model);
    let waiting = outbox::keep_waiting(model);
    for (handle, one) in std::mem::take(&mut model.conversations) {
        model.history.add(one.draft.0.text());
        // The list says which number it has now.
        if waiting.contains(&handle) {
            model.conversations.insert(handle, unknown_yet(&one.kind));
        }
    }
    model.quoted.clear();
    model.quotes_changed.clear();
    model.asked.clear();
    (model.overlay, model.is_loaded, model.arriving) = (None, false, None);
    (model.delivered, model.marked_delivered) = (0, 0);
    model.composing = Composing::Message;
    model.complain("the cluster was restored from a backup: everything is read again");
    model.list_wanted = true;
}

/// A conversation by its name alone.
fn unknown_yet(kind: &Kind) -> Conversation {
    let mut one = Conversation::new(kind.clone());
    if let Some(room) = one.room_mut() {
        room.set_role(Role::Unspecified);
    }
    one
}

fn conversations(model: &mut Model, request: Request, result: Result<Vec<chat::Conversation>, String>) {
    if model.list_asked != Some(request) {
        return;
    }
    model.list_asked = None;
    let listed = match result {
        Ok(listed) => listed,
        Err(why) => {
            model.list_wanted = true;
            model.list_again.later(model.now_ms);
            // Otherwise it is told already that no server answers.
            if matches!(model.link, Link::Connected(_)) {
                model.complain(why);
            }
            return;
        }
    };
    model.list_again = Again::default();
    for known in &listed {
        let handle = model.handle_of(known.conversation).unwrap_or_else(|| {
            unnumbered(model, known)
                .unwrap_or_else(|| model.add(Conversation::new(Kind::Direct(known.peer_name.clone()))))
        });
        model.people.saw(&known.peer_name);
        if let Some(last) = &known.last {
            model.people.saw_as(&last.author_name, &last.author_display_name);
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
    let is_first = !std::mem::replace(&mut model.is_loaded, true);
    if is_first {
        model.effect(Effect::ListInvitations);
        model.looked_online_ms = model.now_ms;
        model.effect(Effect::LoadOnline);
    }
    match model.arriving.clone() {
        // Somebody went elsewhere meanwhile.
        Some(_) if is_first && model.open.is_some() => model.arriving = None,
        Some(To::Room(room)) if is_first => go_to(model, &format!("#{room}")),
        Some(_) => {}
        None => open_first(model),
    }
    unsent::refresh(model);
}

/// Where something happened last, unless something else is open or begun.
fn open_first(model: &mut Model) {
    if model.open.is_none()
        && model.is_idle()
        && let Some(first) = model.listed().first()
    {
        open(model, *first);
    }
}

/// The one that is known here by this name, and not by its number yet.
fn unnumbered(model: &Model, listed: &chat::Conversation) -> Option<Handle> {
    let title = match &listed.room {
        Some(room) => format!("#{}", room.name),
        None if listed.peer_name.is_empty() => return None,
        None => listed.peer_name.clone(),
    };
    model.handle_called(&title).filter(|handle| model.conversations.get(handle).is_some_and(|one| one.id.is_none()))
}

fn members(model: &mut Model, request: Request, handle: Handle, result: Result<chat::ListMembersReply, String>) {
    if let Ok(reply) = &result {
        reply.members.iter().for_each(|member| model.people.saw(&member.name));
    }
    overlays::members(model, request, &result);
    let now_ms = model.now_ms;
    let Some(one) = model.conversations.get_mut(&handle).filter(|one| one.members_asked == Some(request)) else {
        return;
    };
    match result {
        Ok(reply) => (one.members, one.members_again) = (reply.members, Again::default()),
        Err(_) => {
            one.members_asked = None;
            one.members_again.later(now_ms);
        }
    }
}

fn history(model: &mut Model, request: Request, handle: Handle, reply: Result<chat::HistoryReply, String>) {
    let now_ms = model.now_ms;
    let Some(one) = model.conversations.get_mut(&handle) else { return };
    let Some(asked) = one.asked.filter(|asked| asked.request == request) else { return };
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => {
            // What was not read is not seen, and asked for again in a while.
            one.asked = None;
            one.again.later(now_ms);
            model.complain(why);
            return;
        }
    };
    let own: Vec<Message> = reply.messages.iter().filter(|message| message.author == model.account).cloned().collect();
    for message in &reply.messages {
        model.people.saw_as(&message.author_name, &message.author_display_name);
    }
    // Perhaps written here, and shown by the page before it is acknowledged.
    own.iter().for_each(|message| outbox::seen(model, handle, message));
    if let Some(one) = model.conversations.get_mut(&handle) {
        one.load(asked.page, reply);
    }
    if let Page::Around(_) = asked.page {
        super::show_selected(model);
    }
}

fn written(model: &mut Model, what: Write, done: String, result: Result<(), NotSent>) {
    if let Write::Edit { message, body } = &what
        && let Some(place) = model.edits.iter().position(|edit| edit.is_waiting(*message, body))
    {
        match &result {
            Ok(()) => {
                model.edits.remove(place);
                // What was refused of it before was said anew.
                model.edits.retain(|edit| edit.message != *message || edit.failed.is_none());
            }
            // Told again at the end: perhaps nobody has seen it by then.
            Err(why) => model.edits[place].failed = Some(why.clone()),
        }
    }
    match result {
        Err(why) => {
            // Nobody asked for a marker.
            if !what.is_marker() {
                model.complain(why.why());
            }
            if let (Write::JoinRoom(to), Some(wanted)) = (&what, &model.arriving)
                && to == wanted
            {
                model.arriving = None;
                open_first(model);
            }
        }
        Ok(()) => {
            if !done.is_empty() {
                model.say(done);
            }
            match what {
                // Shown once the event of it is here.
                Write::JoinRoom(to) => model.arriving = Some(to),
                Write::DisplayName(chosen) => model.people.saw_as(&model.name, &chosen),
                Write::CreateRoom { name, .. } => model.arriving = Some(To::Room(name)),
                _ => {}
            }
        }
    }
}
