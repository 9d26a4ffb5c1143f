//! What may happen next, and how it reads in a trace.

use threefold_rules::Mode;

use crate::state::{Conf, Message, link, name};

/// A step.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// A process ends.
    Crash(usize),
    /// Every process ends.
    PowerCut,
    /// A process starts again.
    Restart(usize),
    /// Links are cut.
    Cut(u8),
    /// A link heals.
    Heal(u8),
    /// A death stream comes up: to, from.
    Connect(usize, usize),
    /// A death stream over a cut link is reset: to, from.
    Reset(usize, usize),
    /// A server announces what it has not yet: only where that rule is taken away.
    Announce(usize),
    /// A server stands for election.
    Stand(usize, Mode),
    /// A message arrives.
    Deliver(Message),
    /// A message arrives; the server announces the configurations in it and dies before it persists them.
    TornDeliver(Message),
    /// A client's write reaches a leader.
    Write(usize),
    /// A leader sends an append.
    Send(Message),
    /// A leader changes the configuration.
    Change(usize, Conf),
    /// It dies having announced it, before it appends it.
    TornChange(usize, Conf),
    /// A sole survivor goes on alone.
    Force(usize),
    /// It dies between its new epoch and its configuration.
    TornForce(usize),
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let links = |set: &u8| {
            let pairs = [(0, 1), (0, 2), (1, 2)].into_iter().filter(|(a, b)| set & link(*a, *b) != 0);
            pairs.map(|(a, b)| format!(" {}-{}", name(a), name(b))).collect::<String>()
        };
        let message = |message: &Message| {
            let term = crate::state::Term(message.term);
            format!("{}->{} term {term}: {:?}", name(message.from.into()), name(message.to.into()), message.body)
        };
        match self {
            Self::Crash(id) => write!(f, "{} crashes", name(*id)),
            Self::PowerCut => write!(f, "all crash"),
            Self::Restart(id) => write!(f, "{} restarts", name(*id)),
            Self::Cut(set) => write!(f, "cut{}", links(set)),
            Self::Heal(set) => write!(f, "heal{}", links(set)),
            Self::Connect(to, from) => write!(f, "death stream {}->{} comes up", name(*from), name(*to)),
            Self::Reset(to, from) => write!(f, "death stream {}->{} is reset", name(*from), name(*to)),
            Self::Announce(id) => write!(f, "{} announces, late", name(*id)),
            Self::Stand(id, mode) => write!(f, "{} stands ({mode:?})", name(*id)),
            Self::Deliver(it) => write!(f, "arrives {}", message(it)),
            Self::TornDeliver(it) => write!(f, "arrives, and the receiver crashes midway: {}", message(it)),
            Self::Write(id) => write!(f, "{} appends a write", name(*id)),
            Self::Send(it) => write!(f, "sent {}", message(it)),
            Self::Change(id, conf) => write!(f, "{} appends {conf:?}", name(*id)),
            Self::TornChange(id, conf) => write!(f, "{} announces {conf:?} and crashes", name(*id)),
            Self::Force(id) => write!(f, "{} forces itself", name(*id)),
            Self::TornForce(id) => write!(f, "{} begins to force itself and crashes", name(*id)),
        }
    }
}
