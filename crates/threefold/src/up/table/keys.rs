//! What keys do.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Server, Table};

/// The same key again so soon is one that is held down: terminals begin to repeat it after less than this.
const HELD: Duration = Duration::from_millis(700);

/// What somebody wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::up) enum Wish {
    /// SIGKILL to this server's process.
    Kill(String),
    /// These servers are to be started.
    Start(Vec<String>),
    /// The end.
    Quit,
    /// The screen is to be drawn anew.
    Redraw,
    /// To the background.
    Suspend,
}

impl Table {
    /// A key is pressed, now. What it only changes on the screen is done here.
    pub(in crate::up) fn key(&mut self, key: KeyEvent, now: Instant) -> Option<Wish> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let last_key = self.last_key.replace((key.code, now));
        let is_held = key.kind == KeyEventKind::Repeat
            || last_key.is_some_and(|(code, at)| code == key.code && now.saturating_duration_since(at) < HELD);
        self.remark = None;
        let last = self.servers.len().saturating_sub(1);
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Some(Wish::Quit),
                KeyCode::Char('l') => Some(Wish::Redraw),
                KeyCode::Char('z') => Some(Wish::Suspend),
                _ => None,
            };
        }
        match key.code {
            KeyCode::Up => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Down => self.chosen = (self.chosen + 1).min(last),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = last,
            KeyCode::Char(digit @ '1'..='9') => {
                let place = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                if place <= last {
                    self.chosen = place;
                }
            }
            // A key that is held down kills one server, and not the next leader too.
            KeyCode::Char('k' | 'l') if is_held => {}
            KeyCode::Char('k') => return self.servers.get(self.chosen).map(|server| Wish::Kill(server.name.clone())),
            KeyCode::Char('l') => match self.leader() {
                Some(place) => {
                    self.chosen = place;
                    return Some(Wish::Kill(self.servers[place].name.clone()));
                }
                None => self.remark("nobody leads now"),
            },
            KeyCode::Char('s') => {
                return self.servers.get(self.chosen).map(|server| Wish::Start(vec![server.name.clone()]));
            }
            KeyCode::Char('a') => {
                let dead = self.servers.iter().filter(|server| server.is_dead());
                let dead: Vec<String> = dead.map(|server: &Server| server.name.clone()).collect();
                if !dead.is_empty() {
                    return Some(Wish::Start(dead));
                }
                self.remark("no server is dead");
            }
            KeyCode::Char('q') => return Some(Wish::Quit),
            _ => {}
        }
        None
    }
}
