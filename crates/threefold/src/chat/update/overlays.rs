//! Help, search, lists and questions: what opens them, what fills them, what keys do there.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Position;
use threefold_client::{Page, To, chat};

use super::{go_to, keys::quit_now, open, people, reading, unsent};
use crate::{
    chat::{
        editor::Editor,
        model::{Effect, Model, Request, Write},
        overlay::{Answer, Choice, List, Overlay, Row, SearchView},
        text::one_line,
        view,
    },
    commands::{output::time, render::role_name},
};

const INVITATIONS: &str = "Invitations";
const MEMBERS: &str = "Members";
const ROOMS: &str = "Rooms";
const PEOPLE: &str = "People";
const REACTIONS: &str = "Reactions";
const STATUS: &str = "Servers";

/// Cells of the name of somebody who reacted.
const REACTED: usize = 40;

/// A key, while something stands over the conversation.
pub fn press(model: &mut Model, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (&mut model.overlay, key.code) {
        (_, KeyCode::Esc) => model.overlay = None,
        (Some(Overlay::Question { answer, .. }), KeyCode::Char('y' | 'Y') | KeyCode::Enter) => {
            let answer = answer.clone();
            model.overlay = None;
            match answer {
                Answer::Do(effect) => model.effect(*effect),
                Answer::Quit => quit_now(model),
            }
        }
        (Some(Overlay::Question { .. }), KeyCode::Char('n' | 'N' | 'q')) => model.overlay = None,
        (Some(Overlay::Question { .. }), _) => {}
        (Some(_), KeyCode::Up) => step(model, -1),
        (Some(_), KeyCode::Char('p')) if control => step(model, -1),
        (Some(_), KeyCode::Down | KeyCode::Tab) => step(model, 1),
        (Some(_), KeyCode::Char('n')) if control => step(model, 1),
        (Some(_), KeyCode::PageUp) => step(model, -10),
        (Some(_), KeyCode::PageDown) => step(model, 10),
        (Some(Overlay::Switcher { filter, index }), code) => {
            match code {
                KeyCode::Enter => {
                    choose(model);
                    return;
                }
                KeyCode::Backspace if filter.is_empty() => {
                    model.overlay = None;
                    return;
                }
                KeyCode::Backspace => filter.backspace(),
                KeyCode::Char('u') if control => filter.kill_to_start(),
                KeyCode::Char('w') if control => filter.kill_word_before(),
                KeyCode::Char(c) if !control => filter.insert(c.encode_utf8(&mut [0; 4])),
                _ => {}
            }
            *index = 0;
            people::ask_for_switcher(model);
        }
        (Some(_), KeyCode::Home) => step(model, isize::MIN),
        (Some(_), KeyCode::End) => step(model, isize::MAX),
        (Some(_), KeyCode::Char('k')) => step(model, -1),
        (Some(_), KeyCode::Char('j')) => step(model, 1),
        (Some(_), KeyCode::Char('q')) => model.overlay = None,
        (Some(_), KeyCode::Enter) => choose(model),
        (Some(Overlay::List(_)), KeyCode::Delete) => unsent::give_up_chosen(model),
        _ => {}
    }
}

/// Another row.
pub fn step(model: &mut Model, by: isize) {
    let choices = match &model.overlay {
        Some(Overlay::Switcher { filter, .. }) => candidates(model, filter.text()).len(),
        _ => 0,
    };
    let help = view::help_rows(model).len();
    match &mut model.overlay {
        Some(Overlay::Help { from }) => *from = from.saturating_add_signed(by).min(help.saturating_sub(1)),
        Some(Overlay::Switcher { index, .. }) => *index = moved(*index, by, choices),
        Some(Overlay::List(list)) => list.index = moved(list.index, by, list.rows.len()),
        Some(Overlay::Search(search)) => {
            search.index = moved(search.index, by, search.found.len());
            // At the end, further ones are found.
            if search.index + 1 >= search.found.len() && by > 0 && search.more_before > 0 && !search.is_loading {
                let request = model.next_request;
                model.next_request += 1;
                (search.is_loading, search.request) = (true, request);
                let (query, before, within) = (search.query.clone(), search.more_before, search.within);
                let with = within.and_then(|handle| model.conversations.get(&handle)).map(|one| one.to());
                model.effect(Effect::Search { request, query, with, before });
            }
        }
        Some(Overlay::Question { .. }) | None => {}
    }
}

fn moved(index: usize, by: isize, all: usize) -> usize {
    index.saturating_add_signed(by).min(all.saturating_sub(1))
}

/// A click on a row chooses it; one beside closes.
pub fn click(model: &mut Model, at: Position) {
    let Some(area) = view::overlay_area(model) else { return };
    if !area.contains(at) {
        if !matches!(model.overlay, Some(Overlay::Question { .. })) {
            model.overlay = None;
        }
        return;
    }
    let Some(row) = view::overlay_row_at(model, at) else { return };
    match &mut model.overlay {
        Some(Overlay::Switcher { index, .. }) => *index = row,
        Some(Overlay::List(list)) if row < list.rows.len() => list.index = row,
        Some(Overlay::Search(search)) if row < search.found.len() => search.index = row,
        _ => return,
    }
    choose(model);
}

/// Does what the chosen row is there for.
fn choose(model: &mut Model) {
    match &model.overlay {
        Some(Overlay::Switcher { filter, index }) => {
            let chosen = candidates(model, filter.text()).get(*index).cloned();
            model.overlay = None;
            if let Some(chosen) = chosen {
                go_to(model, &chosen);
            }
        }
        Some(Overlay::List(list)) => match list.rows.get(list.index).map(|row| row.choice.clone()) {
            Some(Choice::Open(name)) => {
                model.overlay = None;
                go_to(model, &name);
            }
            Some(Choice::Join(conversation)) => {
                model.overlay = None;
                model.write(Write::JoinRoom(To::Conversation(conversation)), "joined");
            }
            Some(Choice::TakeUp(kept_as)) => unsent::take_up(model, kept_as),
            Some(Choice::Nothing) | None => model.overlay = None,
        },
        Some(Overlay::Search(search)) => {
            let Some(message) = search.found.get(search.index).and_then(|found| found.message.clone()) else { return };
            model.overlay = None;
            show_message(model, message.conversation, message.id);
        }
        Some(Overlay::Help { .. }) => model.overlay = None,
        Some(Overlay::Question { .. }) | None => {}
    }
}

/// Goes to a message, with what lies around it.
pub fn show_message(model: &mut Model, conversation: u64, message: u64) {
    let Some(handle) = model.handle_of(conversation) else {
        model.complain("that conversation is not among yours any more");
        return;
    };
    open(model, handle);
    let Some(one) = model.conversations.get_mut(&handle) else { return };
    if one.message(message).is_some() {
        one.selected = Some(message);
        super::show_selected(model);
    } else {
        reading::ask(model, handle, Page::Around(message));
    }
}

pub fn switcher(model: &mut Model) {
    model.overlay = Some(Overlay::Switcher { filter: Editor::default(), index: 0 });
}

/// Where one may go: conversations first, then people.
pub fn candidates(model: &Model, filter: &str) -> Vec<String> {
    let filter = filter.trim().trim_start_matches('@').to_lowercase();
    let fits = |name: &String| model.people.contains(name, &filter);
    let titles =
        model.listed().into_iter().filter_map(|handle| model.conversations.get(&handle)).map(|one| one.title());
    let mut names: Vec<String> = titles.filter(fits).collect();
    let others = model.people.names().filter(|name| **name != model.name && fits(name) && !names.contains(name));
    let others: Vec<String> = others.cloned().collect();
    names.extend(others);
    // A name that nobody here has said yet.
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '#');
    if !filter.is_empty() && !names.iter().any(|name| name.to_lowercase() == filter) && filter.chars().all(is_name) {
        names.push(filter);
    }
    names
}

pub fn ask_search(model: &mut Model, query: &str, here: bool) {
    let within = model.open.filter(|_| here);
    let with = within.and_then(|handle| model.conversations.get(&handle)).map(|one| one.to());
    let request = model.request();
    model.overlay = Some(Overlay::Search(SearchView {
        request,
        query: query.to_owned(),
        within,
        found: Vec::new(),
        index: 0,
        is_loading: true,
        more_before: 0,
        is_complete: true,
        error: None,
    }));
    model.effect(Effect::Search { request, query: query.to_owned(), with, before: 0 });
}

pub fn found(model: &mut Model, request: Request, result: Result<chat::SearchMessagesReply, String>) {
    let Some(Overlay::Search(search)) = &mut model.overlay else { return };
    if search.request != request {
        return;
    }
    search.is_loading = false;
    match result {
        Ok(reply) => {
            search.error = None;
            search.more_before = reply.more_before;
            search.is_complete &= reply.complete;
            search.found.extend(reply.found);
        }
        Err(why) => search.error = Some(why),
    }
}

/// Opens a list that is to be filled; with which request.
fn begin(model: &mut Model, title: &str) -> Request {
    let request = model.request();
    model.overlay = Some(Overlay::List(List::loading(request, title)));
    request
}

pub fn ask_rooms(model: &mut Model, pattern: &str) {
    let request = begin(model, ROOMS);
    model.effect(Effect::ListRooms { request, pattern: pattern.trim_start_matches('#').to_owned() });
}

pub fn ask_users(model: &mut Model, pattern: &str) {
    let request = begin(model, PEOPLE);
    model.effect(Effect::ListUsers { request, pattern: pattern.trim_start_matches('@').to_owned() });
}

pub fn ask_invitations(model: &mut Model) {
    begin(model, INVITATIONS);
    model.effect(Effect::ListInvitations);
}

pub fn ask_status(model: &mut Model) {
    let request = begin(model, STATUS);
    model.effect(Effect::Status(request));
}

pub fn ask_reactions(model: &mut Model, message: u64) {
    let request = begin(model, REACTIONS);
    model.effect(Effect::LoadReactions { request, message });
}

pub fn ask_members(model: &mut Model) {
    match model.open.filter(|_| model.current().is_some_and(|current| current.is_room())) {
        Some(handle) => {
            let request = reading::load_members(model, handle);
            model.overlay = Some(Overlay::List(List::loading(request, MEMBERS)));
        }
        None => model.complain("this is no room: go to one first"),
    }
}

/// The list that waits for this answer.
fn list_of(model: &mut Model, request: Request) -> Option<&mut List> {
    match &mut model.overlay {
        Some(Overlay::List(list)) if list.request == request => {
            list.is_loading = false;
            Some(list)
        }
        _ => None,
    }
}

/// Who is invited where: the same for whoever asked.
pub fn invitations(model: &mut Model, open: &[chat::Invitation]) {
    if let Some(Overlay::List(list)) = &mut model.overlay
        && list.title == INVITATIONS
    {
        list.is_loading = false;
        fill_invitations(list, open);
    }
}

pub fn members(model: &mut Model, request: Request, result: &Result<chat::ListMembersReply, String>) {
    let chosen = |member: &chat::Member| model.people.chosen(&member.name).unwrap_or_default().to_owned();
    let chosen: Vec<String> = result.iter().flat_map(|reply| &reply.members).map(chosen).collect();
    fill(model, request, result.as_ref(), |list, reply| fill_members(list, &reply.members, &chosen, reply.more));
}

fn fill_invitations(list: &mut List, open: &[chat::Invitation]) {
    list.remark = if open.is_empty() { "nobody has invited you".to_owned() } else { "Enter joins".to_owned() };
    list.rows = open
        .iter()
        .map(|invitation| {
            let by = invitation.by.as_ref().map_or("", |by| &by.name);
            Row {
                label: format!("#{}", one_line(&invitation.room_name)),
                detail: format!("by {}  {}", one_line(by), one_line(&invitation.topic)),
                choice: Choice::Join(invitation.conversation),
            }
        })
        .collect();
}

fn fill_members(list: &mut List, members: &[chat::Member], chosen: &[String], more: bool) {
    list.remark = if more { "and more" } else { "" }.to_owned();
    list.rows = members
        .iter()
        .zip(chosen)
        .map(|(member, chosen)| {
            let online = if member.online { "● " } else { "○ " };
            let role = if member.role() == chat::Role::Member { "" } else { role_name(member.role()) };
            Row {
                label: format!("{online}{}", one_line(&member.name)),
                detail: [role, chosen].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
                choice: Choice::Open(member.name.clone()),
            }
        })
        .collect();
}

fn fill<T, E: ToString>(model: &mut Model, request: Request, result: Result<T, E>, rows: impl FnOnce(&mut List, T)) {
    let Some(list) = list_of(model, request) else { return };
    match result {
        Ok(reply) => rows(list, reply),
        Err(why) => list.remark = why.to_string(),
    }
}

pub fn rooms(model: &mut Model, request: Request, pattern: &str, result: Result<chat::ListRoomsReply, String>) {
    fill(model, request, result, |list, reply| {
        list.remark = match (reply.rooms.is_empty(), reply.more) {
            (true, _) if pattern.is_empty() => "there are no rooms yet: /room NAME makes one".to_owned(),
            (true, _) => "there is no such room".to_owned(),
            (false, true) => "and more: /rooms PATTERN".to_owned(),
            (false, false) => "Enter goes there".to_owned(),
        };
        list.rows = reply
            .rooms
            .iter()
            .map(|room| {
                let members =
                    if room.members == 1 { "1 member".to_owned() } else { format!("{} members", room.members) };
                let role = match (room.role(), room.invited) {
                    (chat::Role::Unspecified, true) => "you are invited",
                    (chat::Role::Unspecified, false) => "",
                    (role, _) => role_name(role),
                };
                let visible = if room.public { "public" } else { "private" };
                let topic = one_line(&room.topic);
                let detail = [visible, &members, role, &topic].into_iter().filter(|part| !part.is_empty());
                Row {
                    label: format!("#{}", one_line(&room.name)),
                    detail: detail.collect::<Vec<_>>().join(" · "),
                    choice: Choice::Open(format!("#{}", room.name)),
                }
            })
            .collect();
    });
}

pub fn users(model: &mut Model, request: Request, pattern: &str, result: Result<chat::SearchAccountsReply, String>) {
    if let Ok(reply) = &result {
        super::news::saw_accounts(model, &reply.accounts);
    }
    fill(model, request, result, |list, reply| {
        list.remark = match (reply.accounts.is_empty(), reply.more) {
            (true, _) => format!("nobody is called {}", one_line(pattern)),
            (false, true) => "and more: /who PATTERN".to_owned(),
            (false, false) => "Enter opens a conversation".to_owned(),
        };
        let mut accounts = reply.accounts;
        accounts.sort_by_key(|account| !account.online);
        list.rows = accounts
            .iter()
            .map(|account| {
                let seen = match (account.online, account.last_seen_ms) {
                    (true, _) => "online".to_owned(),
                    (false, 0) => String::new(),
                    (false, last_seen_ms) => format!("seen {}", time(last_seen_ms)),
                };
                let detail = [one_line(&account.display_name), seen];
                let detail: Vec<String> = detail.into_iter().filter(|part| !part.is_empty()).collect();
                Row {
                    label: format!("{} {}", if account.online { '●' } else { '○' }, one_line(&account.name)),
                    detail: detail.join(" · "),
                    choice: Choice::Open(account.name.clone()),
                }
            })
            .collect();
    });
}

/// Who reacted, and with what.
pub fn reactions(model: &mut Model, request: Request, result: Result<chat::ListReactionsReply, String>) {
    let called = |one: &chat::ReactedBy| model.people.called(&one.name, REACTED);
    let called: Vec<_> = result.iter().flat_map(|reply| &reply.reactions).map(called).collect();
    fill(model, request, result, |list, reply| {
        list.remark = match (reply.reactions.is_empty(), reply.more) {
            (true, _) => "nobody has reacted".to_owned(),
            (false, true) => "and more".to_owned(),
            (false, false) => "Enter opens a conversation".to_owned(),
        };
        let rows = reply.reactions.iter().zip(called).map(|(one, called)| Row {
            label: format!("{} {}", one_line(&one.emoji), called.name),
            detail: called.account.unwrap_or_default(),
            choice: if one.name.is_empty() { Choice::Nothing } else { Choice::Open(one.name.clone()) },
        });
        list.rows = rows.collect();
    });
}

pub fn status(model: &mut Model, request: Request, result: Result<chat::ClusterStatus, String>) {
    fill(model, request, result, |list, status| {
        let detail = if status.detail.is_empty() { String::new() } else { format!(": {}", one_line(&status.detail)) };
        list.remark = format!("the cluster is {}{detail}", one_line(&status.state));
        list.rows = status
            .servers
            .iter()
            .map(|server| Row {
                label: one_line(&server.name),
                detail: format!(
                    "{} · {} · {} clients",
                    one_line(&server.role),
                    one_line(&server.client_address),
                    server.clients
                ),
                choice: Choice::Nothing,
            })
            .collect();
    });
}
