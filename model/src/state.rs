//! The model's state: three servers with their disks, the links between them, messages on their way, and what the world has
//! seen. Everything is small and ordered, so that states compare and hash quickly.

use std::fmt;

use threefold_rules::Mode;

/// Three servers: survivor mode is for three.
pub const SERVERS: usize = 3;
/// All of them, as a set.
pub const ALL: u8 = 0b111;

/// Everybody but `server`.
pub fn others(server: usize) -> impl Iterator<Item = usize> {
    (0..SERVERS).filter(move |other| *other != server)
}

/// A configuration, packed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conf {
    /// The voters strived for, as a set.
    pub voters: u8,
    /// The voters before, while joint; else empty.
    pub before: u8,
    /// For each server the counter of the incarnation in sync; 0 if it is not.
    pub in_sync: [u8; SERVERS],
}

/// What an entry holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A new leader's first entry.
    Blank,
    /// A client's write, by number.
    Write(u8),
    /// A configuration.
    Conf(Conf),
}

/// A log entry. Its index is its place in the log, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The term it was appended in.
    pub term: u64,
    /// What it holds.
    pub kind: Kind,
}

/// A configuration and where it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placed {
    /// The entry's term.
    pub term: u64,
    /// The entry's index.
    pub index: u8,
    /// The configuration.
    pub conf: Conf,
}

/// What a server is in its term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It follows, or waits.
    Follower,
    /// It asks for votes.
    Candidate {
        /// How it stands.
        mode: Mode,
        /// Who voted for it, itself included.
        granted: u8,
    },
    /// It leads.
    Leader {
        /// For each server, the index up to which its disk is known to hold this log.
        matched: [u8; SERVERS],
    },
}

/// A configuration announced over a death stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heard {
    /// Who announced it.
    pub from: u8,
    /// In which incarnation.
    pub counter: u8,
    /// What.
    pub placed: Placed,
}

/// One server. `counter`, `term`, `voted` and `log` are its disk and survive a crash; the rest does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// Its process runs.
    pub up: bool,
    /// How often it has been started: its incarnation.
    pub counter: u8,
    /// Its term.
    pub term: u64,
    /// Whom it voted for in this term.
    pub voted: Option<u8>,
    /// Its log.
    pub log: Vec<Entry>,
    /// What it is.
    pub role: Role,
    /// How much of its log it knows to be visible.
    pub visible: u8,
    /// For each other server, the counter of the incarnation whose death stream stands here; 0 for none.
    pub streams: [u8; SERVERS],
    /// For each other server, the set of counters of incarnations proven dead.
    pub dead: [u8; SERVERS],
    /// What was announced to it, sorted.
    pub heard: Vec<Heard>,
    /// What it has yet to announce: nothing, but where that rule is taken away.
    pub untold: Vec<Placed>,
}

/// A message on its way. It may arrive at any later time, or never; one for a server that crashes is lost with its
/// connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// From whom.
    pub from: u8,
    /// To whom.
    pub to: u8,
    /// The sender's term.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// Vote for me.
    AskVote {
        /// The candidate's incarnation.
        counter: u8,
        /// How it stands.
        mode: Mode,
        /// The term of its last entry.
        last_term: u64,
        /// The index of its last entry.
        last_index: u8,
    },
    /// You have my vote.
    Grant,
    /// Entries. (The whole log up to where it may be sent: probing for the place of divergence is left out.)
    Append {
        /// The entries, from index 1.
        log: Vec<Entry>,
        /// What is visible.
        visible: u8,
    },
    /// Your log is on my disk up to here.
    Matched(u8),
}

/// The whole world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The servers.
    pub servers: Vec<Server>,
    /// The links that are cut, as a set (see [`link`]).
    pub cut: u8,
    /// Messages on their way, sorted, none twice.
    pub messages: Vec<Message>,
    /// Everything that was ever visible anywhere, in order. Nothing here may ever be missing or different.
    pub shown: Vec<Entry>,
    /// Set by a step that did what must never be done.
    pub broken: Option<&'static str>,
    /// What has been spent of the bounds.
    pub spent: Spent,
}

/// What has happened so far, of what is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spent {
    /// Writes.
    pub writes: u8,
    /// Crashes.
    pub crashes: u8,
    /// Power cuts.
    pub power_cuts: u8,
    /// Restarts.
    pub restarts: u8,
    /// Times that links were cut.
    pub cuts: u8,
    /// Sole survivors.
    pub forces: u8,
    /// Changes proposed on a wrong suspicion.
    pub suspicions: u8,
}

/// The set that holds the link between two servers.
pub fn link(a: usize, b: usize) -> u8 {
    // The three pairs sum to 1, 2 and 3.
    1 << (a + b - 1)
}

impl State {
    /// Three servers in sync, the first leading in term 1, streams standing both ways.
    pub fn initial() -> Self {
        let conf = Conf { voters: ALL, before: 0, in_sync: [1; SERVERS] };
        let first = Entry { term: 1, kind: Kind::Conf(conf) };
        let server = |id: usize| {
            let streams = std::array::from_fn(|other| u8::from(other != id));
            let role = if id == 0 { Role::Leader { matched: [1; SERVERS] } } else { Role::Follower };
            let log = vec![first];
            Server {
                up: true,
                counter: 1,
                term: 1,
                voted: Some(0),
                log,
                role,
                visible: 1,
                streams,
                dead: [0; SERVERS],
                heard: vec![],
                untold: vec![],
            }
        };
        Self {
            servers: (0..SERVERS).map(server).collect(),
            cut: 0,
            messages: vec![],
            shown: vec![first],
            broken: None,
            spent: Spent::default(),
        }
    }

    /// Whether two servers both run and hear each other.
    pub fn reach(&self, a: usize, b: usize) -> bool {
        self.servers[a].up && self.servers[b].up && self.cut & link(a, b) == 0
    }

    /// Puts a message on its way. An append or an answer takes the place of an earlier one, which is lost: they say no more.
    pub fn send(&mut self, message: Message) {
        let same_kind = |other: &Message| {
            let kinds = (&other.body, &message.body);
            let both =
                matches!(kinds, (Body::Append { .. }, Body::Append { .. }) | (Body::Matched(_), Body::Matched(_)));
            both && (other.from, other.to, other.term) == (message.from, message.to, message.term)
        };
        self.messages.retain(|other| !same_kind(other));
        if let Err(place) = self.messages.binary_search(&message) {
            self.messages.insert(place, message);
        }
    }
}

impl Server {
    /// Term and index of the last entry.
    pub fn last(&self) -> (u64, u8) {
        (self.log.last().map_or(0, |entry| entry.term), self.log.len() as u8)
    }

    /// The configurations in its log up to `index`, in order.
    pub fn configurations(&self, index: usize) -> impl DoubleEndedIterator<Item = Placed> + '_ {
        self.log.iter().take(index).enumerate().filter_map(|(place, entry)| match entry.kind {
            Kind::Conf(conf) => Some(Placed { term: entry.term, index: place as u8 + 1, conf }),
            Kind::Blank | Kind::Write(_) => None,
        })
    }

    /// The newest configuration in its log.
    ///
    /// # Panics
    /// If there is none: every log begins with one, and nothing truncates it.
    pub fn newest(&self) -> Placed {
        #[expect(clippy::expect_used, reason = "documented")]
        self.configurations(self.log.len()).next_back().expect("a log begins with a configuration")
    }

    /// The configurations from the last one it knows visible, in order.
    pub fn pending(&self) -> Vec<Placed> {
        let all: Vec<_> = self.configurations(self.log.len()).collect();
        let visible = all.iter().rposition(|placed| placed.index <= self.visible).unwrap_or(0);
        all[visible..].to_vec()
    }
}

impl fmt::Debug for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |set: u8| (0..SERVERS).filter(|id| set >> id & 1 == 1).map(name).collect::<String>();
        write!(f, "{{voters {}", names(self.voters))?;
        if self.before != 0 {
            write!(f, " after {}", names(self.before))?;
        }
        write!(f, ", in sync")?;
        for id in (0..SERVERS).filter(|id| self.in_sync[*id] > 0) {
            write!(f, " {}{}", name(id), self.in_sync[id])?;
        }
        write!(f, "}}")
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", Term(self.term))?;
        match self.kind {
            Kind::Blank => write!(f, "blank"),
            Kind::Write(number) => write!(f, "w{number}"),
            Kind::Conf(conf) => write!(f, "{conf:?}"),
        }
    }
}

/// A term as `epoch.election`.
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A server's name in traces.
pub fn name(server: usize) -> char {
    char::from(b'A' + server as u8)
}
