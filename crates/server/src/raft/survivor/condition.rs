//! The cluster's condition in words, as one server sees it: what people read instead of a spinner.

use std::collections::{BTreeMap, BTreeSet};

use threefold_rules::{Blocked, ColdStart, Configuration, Member, Mode, may_begin_cold, may_stand};

/// The condition in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Everything is as it should be.
    Normal,
    /// It goes on, and can lose less than it should.
    Degraded,
    /// One server goes on alone.
    SoleSurvivor,
    /// Nothing can be written.
    Frozen,
    /// This server is not a member of the cluster any more.
    Removed,
}

impl Word {
    /// As it is shown, and as programs read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Degraded => "degraded",
            Self::SoleSurvivor => "sole survivor",
            Self::Frozen => "frozen",
            Self::Removed => "removed",
        }
    }
}

/// The condition in a word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The word.
    pub word: Word,
    /// The reason, for people.
    pub detail: String,
}

/// What a server knows when it judges.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Itself.
    pub own: Member,
    /// The newest configuration in its log.
    pub newest: &'a Configuration,
    /// The members' names.
    pub names: &'a BTreeMap<u64, String>,
    /// Somebody leads, and this server is in touch with the leader (or leads, and is in touch with a majority).
    pub is_led: bool,
    /// For a leader: the servers that entries wait for since too long. They are committed but not visible.
    pub holding_up: BTreeSet<u64>,
    /// The servers that this one reaches.
    pub reachable: &'a BTreeSet<u64>,
    /// The servers whose latest process is proven dead.
    pub dead: &'a BTreeSet<u64>,
    /// The servers whose links are not direct.
    pub indirect: &'a BTreeSet<u64>,
    /// The pairs of in-sync servers of which one does not hear the other's death stream.
    pub deaf: &'a BTreeSet<(u64, u64)>,
    /// Why this server may not go on alone.
    pub blocked: Option<Blocked>,
}

fn condition(word: Word, detail: impl Into<String>) -> Condition {
    Condition { word, detail: detail.into() }
}

fn servers(count: usize) -> String {
    if count == 1 { "1 server".to_owned() } else { format!("{count} servers") }
}

impl View<'_> {
    fn name(&self, id: u64) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| format!("node {id}"))
    }

    fn list(&self, ids: impl IntoIterator<Item = u64>) -> String {
        ids.into_iter().map(|id| self.name(id)).collect::<Vec<_>>().join(", ")
    }

    /// The verdict.
    #[must_use]
    pub fn judge(&self) -> Condition {
        if self.newest.voters.all().is_empty() {
            return condition(
                Word::Frozen,
                "this server is not part of a cluster yet: it waits to be admitted, or, where it is to found one, for the others to answer (its log says for whom)",
            );
        }
        if !self.is_led {
            return condition(Word::Frozen, self.why_nobody_leads());
        }
        if !self.holding_up.is_empty() {
            let names = self.list(self.holding_up.iter().copied());
            return condition(Word::Frozen, format!("what is written waits for {names}"));
        }
        if self.newest.is_plain() { self.plain() } else { self.survivors() }
    }

    fn survivors(&self) -> Condition {
        let (in_sync, chosen) = (&self.newest.in_sync, &self.newest.chosen);
        // A server that has just started finds its own earlier run in its log.
        let is_inside =
            |id: &u64| in_sync.get(id).is_some_and(|listed| *id != self.own.id || *listed == self.own.incarnation);
        let outside = chosen.iter().copied().filter(|id| !is_inside(id)).collect::<Vec<_>>();
        let voters = self.newest.voters.target();
        if voters.len() == 1 {
            return condition(Word::SoleSurvivor, self.why_alone(&voters, outside));
        }
        if let Some((one, other)) = self.deaf.first().filter(|_| outside.is_empty()) {
            let (one, other) = (self.name(*one), self.name(*other));
            let detail =
                format!("{one} and {other} could not tell whether the other one has died: two may not die now");
            return condition(Word::Degraded, detail);
        }
        if outside.is_empty() && !self.newest.voters.is_joint() {
            let detail = format!("all {} are in sync: the processes of any two may die", servers(chosen.len()));
            return condition(Word::Normal, detail);
        }
        if outside.is_empty() {
            return condition(
                Word::Degraded,
                "the servers are about to be voters again: the cluster can lose one more",
            );
        }
        let names = self.list(outside);
        let detail = if in_sync.len() < 2 {
            format!("only {} is in sync yet: {names} must catch up", self.list(in_sync.keys().copied()))
        } else {
            format!("{names} is not in sync: the cluster can lose one more")
        };
        condition(Word::Degraded, detail)
    }

    /// Why one server is alone: each of those `outside` is dead, or out of touch, or on its way back.
    fn why_alone(&self, voters: &BTreeSet<u64>, outside: Vec<u64>) -> String {
        let alone = self.list(voters.iter().copied());
        let others = outside.into_iter().filter(|id| !voters.contains(id));
        let lives = |id: &u64| *id == self.own.id || self.reachable.contains(id);
        let (coming, others): (Vec<u64>, Vec<u64>) = others.partition(lives);
        let (dead, away): (Vec<u64>, Vec<u64>) = others.into_iter().partition(|id| self.dead.contains(id));
        let advice = match (dead.is_empty(), away.is_empty()) {
            (_, false) => ": start them again, or mend the network",
            (false, true) => "; start them again",
            (true, true) if coming.is_empty() => ": the others are about to be voters again",
            (true, true) => "",
        };
        let colon = if advice.is_empty() { ":" } else { ";" };
        let is_or_are = if coming.len() == 1 { "is" } else { "are" };
        let told = |ids: Vec<u64>, words: &dyn Fn(String) -> String| {
            if ids.is_empty() { String::new() } else { words(self.list(ids)) }
        };
        let died = told(dead, &|names| format!(" since the processes of {names} died"));
        let lost = told(away, &|names| format!(" and is out of touch with {names}"));
        let coming = told(coming, &|names| format!("{colon} {names} {is_or_are} coming back"));
        format!("{alone} goes on alone{died}{lost}{advice}{coming}")
    }

    fn plain(&self) -> Condition {
        let voters = self.newest.voters.target();
        let majority = voters.len() / 2 + 1;
        let is_up = |id: &u64| *id == self.own.id || self.reachable.contains(id);
        let (up, down): (Vec<u64>, Vec<u64>) = voters.iter().partition(|id| is_up(id));
        if voters.len() < 3 {
            let joined = if voters.len() == 1 { "has joined" } else { "have joined" };
            return condition(Word::Degraded, format!("only {} {joined} yet", servers(voters.len())));
        }
        if up.len() < majority {
            // A leader that is cut off does not know it yet, and neither do those that hear it.
            let detail = format!("waiting for {}: a majority of {majority} is needed", self.list(down));
            return condition(Word::Frozen, detail);
        }
        let spare = up.len() - majority;
        if !down.is_empty() {
            let detail = format!("{} cannot be reached; the cluster can lose {spare} more", self.list(down));
            return condition(Word::Degraded, detail);
        }
        if self.newest.survivor_mode {
            let detail = if self.indirect.is_empty() {
                format!("survivor mode is about to begin; the cluster can lose {spare}")
            } else {
                let names = self.list(self.indirect.iter().copied());
                format!("survivor mode cannot be used: the link to {names} is not direct; the cluster can lose {spare}")
            };
            return condition(Word::Degraded, detail);
        }
        condition(Word::Normal, format!("all {} are up: the cluster can lose {spare}", servers(voters.len())))
    }

    fn why_nobody_leads(&self) -> String {
        let voters = self.newest.voters.all();
        let unreachable = voters.iter().copied().filter(|id| *id != self.own.id && !self.reachable.contains(id));
        let unreachable = unreachable.collect::<Vec<_>>();
        if !self.newest.is_plain() {
            if may_stand(self.own, self.newest) == Some(Mode::Cold)
                && let ColdStart::WaitFor(missing) = may_begin_cold(self.own, self.newest, self.reachable)
            {
                let disk = missing.iter().any(|id| self.newest.in_sync.contains_key(id));
                let why = if disk { "it may know more" } else { "a majority is needed" };
                return format!("waiting for {}: {why}", self.list(missing));
            }
            if let Some(Blocked::NotProvenDead(alive)) = &self.blocked {
                let missing = alive.iter().copied().filter(|id| !self.reachable.contains(id)).collect::<Vec<_>>();
                if !missing.is_empty() {
                    return format!("waiting for {}: not proven dead, it may know more", self.list(missing));
                }
            }
            if let Some(Blocked::NotListed(_)) = &self.blocked
                && !unreachable.is_empty()
            {
                return format!("waiting for {}: it may have gone on", self.list(unreachable));
            }
        }
        if self.newest.voters.are_majority(|id| id == self.own.id || self.reachable.contains(&id)) {
            return "nobody leads just now: an election is under way".to_owned();
        }
        let majority = self.newest.voters.target().len() / 2 + 1;
        format!("waiting for {}: a majority of {majority} is needed", self.list(unreachable))
    }
}

#[cfg(test)]
mod tests {
    use threefold_rules::{LogId, Voters};

    use super::*;
    use crate::raft::survivor::configuration::{incarnation, member};

    struct Case {
        newest: Configuration,
        own: Member,
        is_led: bool,
        reachable: BTreeSet<u64>,
        dead: BTreeSet<u64>,
        indirect: BTreeSet<u64>,
        deaf: BTreeSet<(u64, u64)>,
        blocked: Option<Blocked>,
    }

    fn case(in_sync: &[u64]) -> Case {
        let newest = Configuration {
            log_id: LogId { term: 1, index: 1 },
            voters: Voters::new(BTreeSet::from([1, 2, 3])),
            chosen: BTreeSet::from([1, 2, 3]),
            in_sync: in_sync.iter().map(|id| (*id, incarnation(*id, 1))).collect(),
            survivor_mode: true,
        };
        let (own, reachable) = (member(1, 1), BTreeSet::from([2, 3]));
        let (dead, indirect, deaf) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Case { newest, own, is_led: true, reachable, dead, indirect, deaf, blocked: None }
    }

    fn judged(case: &Case) -> (Word, String) {
        let names = (1..=3).map(|id| (id, format!("server-{id}"))).collect();
        let view = View {
            own: case.own,
            newest: &case.newest,
            names: &names,
            is_led: case.is_led,
            holding_up: BTreeSet::new(),
            reachable: &case.reachable,
            dead: &case.dead,
            indirect: &case.indirect,
            deaf: &case.deaf,
            blocked: case.blocked.clone(),
        };
        let Condition { word, detail } = view.judge();
        (word, detail)
    }

    #[test]
    fn each_condition_has_its_word() {
        assert_eq!(judged(&case(&[1, 2, 3])).0, Word::Normal);
        let mut deaf = case(&[1, 2, 3]);
        deaf.deaf.insert((2, 3));
        let expected = "server-2 and server-3 could not tell whether the other one has died: two may not die now";
        assert_eq!(judged(&deaf), (Word::Degraded, expected.to_owned()));
        let (word, detail) = judged(&case(&[1, 2]));
        assert_eq!((word, detail.as_str()), (Word::Degraded, "server-3 is not in sync: the cluster can lose one more"));
        let mut alone = case(&[1]);
        alone.newest.voters = Voters::new(BTreeSet::from([1]));
        let (word, detail) = judged(&alone);
        assert!(word == Word::SoleSurvivor && detail.starts_with("server-1 goes on alone"), "{detail}");
        assert_eq!(judged(&case(&[])).0, Word::Degraded, "survivor mode has not begun");
        let mut indirect = case(&[]);
        indirect.indirect.insert(2);
        assert!(judged(&indirect).1.contains("the link to server-2 is not direct"));
        let mut off = case(&[]);
        off.newest.survivor_mode = false;
        assert_eq!(judged(&off).0, Word::Normal);
    }

    #[test]
    fn who_goes_on_alone_calls_dead_only_whom_it_knows_to_be_dead() {
        let mut alone = case(&[1]);
        alone.newest.voters = Voters::new(BTreeSet::from([1]));
        (alone.reachable, alone.dead) = (BTreeSet::new(), BTreeSet::from([2, 3]));
        let died = "server-1 goes on alone since the processes of server-2, server-3 died; start them again";
        assert_eq!(judged(&alone), (Word::SoleSurvivor, died.to_owned()));
        let of = |reachable: &[u64], dead: &[u64]| {
            let mut alone = case(&[1]);
            alone.newest.voters = Voters::new(BTreeSet::from([1]));
            (alone.reachable, alone.dead) = (reachable.iter().copied().collect(), dead.iter().copied().collect());
            let (word, detail) = judged(&alone);
            assert_eq!(word, Word::SoleSurvivor);
            detail.strip_prefix("server-1 goes on alone").unwrap().to_owned()
        };
        assert_eq!(of(&[], &[]), " and is out of touch with server-2, server-3: start them again, or mend the network");
        let both = " since the processes of server-2 died and is out of touch with server-3: start them again, or mend the network";
        assert_eq!(of(&[], &[2]), both);
        // Who is reached lives, whatever happened to its process before; it catches up.
        assert_eq!(of(&[2, 3], &[]), ": server-2, server-3 are coming back");
        assert_eq!(of(&[2, 3], &[2]), ": server-2, server-3 are coming back");
        let one = " since the processes of server-2 died; start them again; server-3 is coming back";
        assert_eq!(of(&[3], &[2]), one);
        let other =
            " and is out of touch with server-2: start them again, or mend the network; server-3 is coming back";
        assert_eq!(of(&[3], &[]), other);
        let mut returned = case(&[1]);
        (returned.own, returned.reachable) = (member(2, 2), BTreeSet::from([1]));
        (returned.newest.voters, returned.dead) = (Voters::new(BTreeSet::from([1])), BTreeSet::from([3]));
        let seen =
            "server-1 goes on alone since the processes of server-3 died; start them again; server-2 is coming back";
        assert_eq!(judged(&returned).1, seen, "as who comes back sees it");
        let mut whole = case(&[1, 2, 3]);
        whole.newest.voters = Voters::new(BTreeSet::from([1]));
        assert_eq!(judged(&whole).1, "server-1 goes on alone: the others are about to be voters again");
    }

    #[test]
    fn who_hears_a_leader_but_no_majority_is_frozen() {
        let mut few = case(&[]);
        few.newest.survivor_mode = false;
        few.newest.voters = Voters::new((1..=5).collect());
        few.reachable = BTreeSet::from([2]);
        let expected = "waiting for server-3, node 4, node 5: a majority of 3 is needed";
        assert_eq!(judged(&few), (Word::Frozen, expected.to_owned()));
    }

    #[test]
    fn a_frozen_cluster_says_for_whom_it_waits() {
        let mut cold = case(&[1, 2, 3]);
        (cold.own, cold.is_led, cold.reachable) = (member(1, 2), false, BTreeSet::from([2]));
        assert_eq!(judged(&cold), (Word::Frozen, "waiting for server-3: it may know more".to_owned()));
        let mut cut = case(&[1, 2, 3]);
        (cut.is_led, cut.reachable) = (false, BTreeSet::new());
        cut.blocked = Some(Blocked::NotProvenDead(BTreeSet::from([2, 3])));
        assert_eq!(judged(&cut).1, "waiting for server-2, server-3: not proven dead, it may know more");
        cut.newest.survivor_mode = false;
        assert_eq!(judged(&cut).1, "waiting for server-2, server-3: a majority of 2 is needed");
        let mut electing = case(&[1, 2, 3]);
        electing.is_led = false;
        assert_eq!(judged(&electing).1, "nobody leads just now: an election is under way");
    }
}
