//! People whom nobody here has seen: the cluster is asked for them, once for each beginning of a name.

use threefold_client::chat::SearchAccountsReply;

use super::{complete, leave, news::saw_accounts, open, overlays::candidates};
use crate::chat::{
    conversation::Conversation,
    model::{Doubt, Effect, Handle, Model, Request},
    overlay::Overlay,
    text::one_line,
};

/// Patterns that are remembered, at most: beyond them, each is asked for again.
const MOST: usize = 1_000;

/// Asks who is called so (part of a name, or its beginning and `*`), unless that was asked before; with which request.
pub fn ask(model: &mut Model, pattern: &str) -> Option<Request> {
    let pattern = pattern.to_lowercase();
    let part = pattern.strip_suffix('*').unwrap_or(&pattern);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    if part.is_empty() || !part.chars().all(is_name) || model.patterns_asked.contains(&pattern) {
        return None;
    }
    if model.patterns_asked.len() >= MOST {
        model.patterns_asked.clear();
    }
    model.patterns_asked.insert(pattern.clone());
    let request = model.request();
    model.effect(Effect::FindPeople { request, pattern });
    Some(request)
}

/// Asks for those whom the typed part of a name may mean.
pub fn ask_for_switcher(model: &mut Model) {
    if let Some(Overlay::Switcher { filter, .. }) = &model.overlay {
        let part = filter.text().trim().trim_start_matches('@').to_owned();
        ask(model, &part);
    }
}

/// They are called so.
pub fn found(model: &mut Model, request: Request, pattern: &str, result: Result<SearchAccountsReply, String>) {
    let doubt = model.doubt.take_if(|doubt| doubt.request == request);
    let Ok(reply) = result else {
        model.patterns_asked.remove(pattern);
        return;
    };
    // What is chosen stays so, whoever comes before it.
    let chosen = chosen(model);
    saw_accounts(model, &reply.accounts);
    if let Some(chosen) = chosen {
        choose(model, &chosen);
    }
    complete::people_found(model, request);
    if let Some(doubt) = doubt {
        let called =
            model.conversations.get(&doubt.handle).and_then(Conversation::peer).unwrap_or_default().to_lowercase();
        let is_there = reply.accounts.iter().any(|account| account.name.to_lowercase() == called);
        if !is_there && !reply.more {
            forget(model, doubt);
        }
    }
}

fn chosen(model: &Model) -> Option<String> {
    match &model.overlay {
        Some(Overlay::Switcher { filter, index }) => candidates(model, filter.text()).get(*index).cloned(),
        _ => None,
    }
}

fn choose(model: &mut Model, chosen: &str) {
    let place = match &model.overlay {
        Some(Overlay::Switcher { filter, .. }) => {
            candidates(model, filter.text()).iter().position(|name| name == chosen)
        }
        _ => None,
    };
    if let (Some(place), Some(Overlay::Switcher { index, .. })) = (place, &mut model.overlay) {
        *index = place;
    }
}

/// Asks whether the person of this conversation is there, if nobody here has seen them. `before` was open before.
pub fn doubt(model: &mut Model, handle: Handle, before: Option<Handle>) {
    let Some(one) = model.conversations.get(&handle).filter(|one| one.id.is_none()) else { return };
    let name = one.peer().unwrap_or_default().to_lowercase();
    if name.is_empty() || model.people.names().any(|known| known.to_lowercase() == name) {
        return;
    }
    let pattern = format!("{name}*");
    model.patterns_asked.remove(&pattern);
    if let Some(request) = ask(model, &pattern) {
        model.doubt = Some(Doubt { request, handle, before });
    }
}

/// Nobody is there: nor is a conversation, unless something was sent to it, which the cluster refuses by itself.
fn forget(model: &mut Model, doubt: Doubt) {
    let is_begun = model.outbox.iter().any(|pending| pending.handle == doubt.handle);
    let Some(one) = model.conversations.get(&doubt.handle).filter(|one| one.id.is_none() && !is_begun) else { return };
    let words = format!("nobody is called {}", one_line(&one.title()));
    let is_open = model.open == Some(doubt.handle);
    if (is_open && !model.is_idle()) || !one.draft.0.is_empty() {
        // What is being written is meant for nobody else, whatever key comes next.
        model.complain(words);
        return;
    }
    if is_open {
        match doubt.before.filter(|before| model.conversations.contains_key(before)) {
            Some(before) => open(model, before),
            None => leave(model),
        }
    }
    model.conversations.remove(&doubt.handle);
    model.complain(words);
}
