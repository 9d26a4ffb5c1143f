//! Death streams (rule 6): what is announced, what is heard, what is proven.
//!
//! What a server writes to a stream is heard, though perhaps late: the kernel delivers it before the end of the stream. It
//! matters only once the end is read, so it is noted with the receiver at once. The end is read as soon as the link lets it through.

use threefold_rules::Incarnation;

use crate::{
    Broken, Model,
    facts::matters,
    state::{Heard, Kind, Placed, SERVERS, State, link, others},
};

impl Model {
    /// Announces a configuration, before it is persisted or acted on.
    pub fn announce(&self, state: &mut State, from: usize, placed: Placed) {
        if self.lacks(Broken::AnnounceLate) {
            state.servers[from].untold.push(placed);
        } else {
            self.tell(state, from, placed);
        }
    }

    /// Announces what should have been announced before.
    pub fn announce_late(&self, state: &mut State, from: usize) {
        for placed in std::mem::take(&mut state.servers[from].untold) {
            self.tell(state, from, placed);
        }
    }

    /// Tells a configuration to everybody who has a stream from this server.
    fn tell(&self, state: &mut State, from: usize, placed: Placed) {
        let counter = state.servers[from].counter;
        for to in others(from) {
            if state.servers[to].up && state.servers[to].streams[from] == counter {
                hear(state, to, Heard { from: from as u8, counter, placed });
            }
        }
    }

    /// Announces what a log would bring to a server: every configuration in it that its own log does not hold.
    pub fn announce_news(&self, state: &mut State, from: usize, entries: &[crate::state::Entry]) {
        for (place, entry) in entries.iter().enumerate() {
            let is_news = state.servers[from].log.get(place) != Some(entry);
            if let (Kind::Conf(conf), true) = (entry.kind, is_news) {
                self.announce(state, from, Placed { term: entry.term, index: place as u8 + 1, conf });
            }
        }
    }

    /// The stream from `sender` to `receiver` comes up: the handshake carries the sender's newest configuration.
    pub fn connect(&self, state: &mut State, receiver: usize, sender: usize) {
        let counter = state.servers[sender].counter;
        let placed = state.servers[sender].newest();
        state.servers[receiver].streams[sender] = counter;
        if self.lacks(Broken::NoIncarnations) {
            // Without incarnations the living cannot be told from the dead of the same name.
            state.servers[receiver].dead[sender] = 0;
        }
        hear(state, receiver, Heard { from: sender as u8, counter, placed });
    }

    /// The stream from `sender` to `receiver` breaks without a proof, and what was heard over it is forgotten.
    pub fn reset(&self, state: &mut State, receiver: usize, sender: usize) {
        let counter = std::mem::take(&mut state.servers[receiver].streams[sender]);
        state.servers[receiver].heard.retain(|heard| (usize::from(heard.from), heard.counter) != (sender, counter));
    }

    /// Whether the stream from `sender` to `receiver` could come up now.
    pub fn may_connect(state: &State, receiver: usize, sender: usize) -> bool {
        let stands = state.servers[receiver].streams[sender] == state.servers[sender].counter;
        receiver != sender && state.reach(receiver, sender) && !stands
    }

    /// Reads every end of a stream that can be read, and brings up what can come up, unless that is a step of its own.
    pub fn settle_streams(&self, state: &mut State) {
        for receiver in 0..SERVERS {
            for sender in others(receiver) {
                read_end(state, receiver, sender);
                if !self.bounds.lazy_streams && Self::may_connect(state, receiver, sender) {
                    self.connect(state, receiver, sender);
                }
            }
        }
        for server in state.servers.iter_mut().filter(|server| server.up) {
            let visible = server.pending()[0];
            let mut heard = std::mem::take(&mut server.heard);
            heard.retain(|heard| matters(server, visible, heard));
            server.heard = heard;
        }
    }
}

/// Proof of death: the stream's end is read, and the sender refuses a new connection or answers as a later incarnation.
fn read_end(state: &mut State, receiver: usize, sender: usize) {
    let counter = state.servers[receiver].streams[sender];
    let dead = !state.servers[sender].up || state.servers[sender].counter > counter;
    if state.servers[receiver].up && counter > 0 && dead && state.cut & link(receiver, sender) == 0 {
        state.servers[receiver].dead[sender] |= 1 << counter;
        state.servers[receiver].streams[sender] = 0;
    }
}

fn hear(state: &mut State, to: usize, heard: Heard) {
    let known = &mut state.servers[to].heard;
    if let Err(place) = known.binary_search(&heard) {
        known.insert(place, heard);
    }
}

/// A server by the incarnation that a message names.
pub fn named(id: usize, counter: u8) -> threefold_rules::Member {
    let incarnation = Incarnation { directory: id as u64, counter: u64::from(counter) };
    threefold_rules::Member { id: id as u64, incarnation }
}
