//! Rule 7: the sole survivor, and the epoch it begins.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Configuration, Incarnation, LogId, Member, ServerId, Voters};

/// What a dead incarnation announced over its death stream: each configuration in its handshake and after, in that order. It
/// announces one before it persists or acts on it, so nothing it ever acted on is missing.
pub type Will = Vec<Configuration>;

/// Why a server may not go on alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Survivor mode is off (or not yet begun) in this configuration, which may be in force.
    Plain(LogId),
    /// This configuration, which may be in force, does not list this server in its current incarnation: others may have gone on
    /// without it.
    NotListed(LogId),
    /// These are not proven dead: each may be alive and know more, or have gone on with others.
    NotProvenDead(BTreeSet<ServerId>),
    /// Nothing to force: it is the sole member already, and is elected by its own vote.
    Alone,
}

/// Rule 7: whether a server may force itself the sole voter. There is no other forcing.
///
/// - `own`: of the server's log, the last visible configuration as far as it knows, then every later one, in log order.
///   (It may know of less than is visible. That makes the answer stricter, never wrong.)
/// - `dead`: every incarnation proven dead (rule 6), with its will.
///
/// Every configuration that may be in force must list this server, now, and otherwise only the dead: then whatever
/// was shown anywhere is on this server's disk, and nobody else can show anything ever again. Which may be in force is found
/// recursively: those in `own`, and those in the wills of the dead members of such a one, if newer than the last visible one and not
/// in this log. A will can name incarnations whose wills matter in turn.
///
/// Counterexamples. Without wills: A and B remove C, show a write, and die; C knows of no removal and goes on without the write.
/// Judging by the newest configuration only: A proposed to remove C and could not commit it; C and B go on, B dies, A believes itself the last.
/// Without proof (a timeout): a partition, and both sides go on. An unknown configuration in a will forbids nothing by
/// itself: if it did, a change that died with its proposer would leave the last server waiting for ever.
///
/// # Errors
/// What stands in the way. The server then waits, read-only, and says so.
pub fn may_force(server: Member, own: &[Configuration], dead: &BTreeMap<Incarnation, Will>) -> Result<(), Blocked> {
    let (Some(visible), Some(newest)) = (own.first(), own.last()) else {
        return Err(Blocked::Plain(LogId::default()));
    };
    if newest.voters.all() == BTreeSet::from([server.id]) && newest.lists(server) {
        return Err(Blocked::Alone);
    }
    let mut in_force: Vec<&Configuration> = own.iter().collect();
    let mut known: BTreeSet<LogId> = own.iter().map(|configuration| configuration.log_id).collect();
    let mut alive = BTreeSet::new();
    let mut next = 0;
    // Bounded: a configuration enters the list once, and there are no more than `own` and the wills hold.
    while let Some(configuration) = in_force.get(next).copied() {
        next += 1;
        if configuration.is_plain() {
            return Err(Blocked::Plain(configuration.log_id));
        }
        if !configuration.lists(server) {
            return Err(Blocked::NotListed(configuration.log_id));
        }
        for (id, incarnation) in configuration.in_sync.iter().filter(|(id, _)| **id != server.id) {
            let Some(will) = dead.get(incarnation) else {
                alive.insert(*id);
                continue;
            };
            let unknown = will.iter().filter(|announced| announced.log_id > visible.log_id);
            in_force.extend(unknown.filter(|announced| known.insert(announced.log_id)));
        }
    }
    if alive.is_empty() { Ok(()) } else { Err(Blocked::NotProvenDead(alive)) }
}

/// The configuration that a sole survivor appends to its log, at `log_id` in its new epoch: itself alone, with the
/// voters an operator chose kept for the return.
#[must_use]
pub fn forced_configuration(server: Member, latest: &Configuration, log_id: LogId) -> Configuration {
    Configuration {
        log_id,
        voters: Voters::new(BTreeSet::from([server.id])),
        chosen: latest.chosen.clone(),
        in_sync: BTreeMap::from([(server.id, server.incarnation)]),
        survivor_mode: true,
    }
}

/// Bits of a term that count elections; those above count epochs.
const EPOCH_BITS: u32 = 32;

/// The first term of the next epoch: the term a sole survivor goes on in. None: the terms are used up (2^32 forces).
///
/// Counterexample with the next term instead: an election that the survivor never heard of has left entries of that term, or a later one, on
/// a dead server's disk or on their way. They outrank the survivor's log, and what it acknowledged is truncated.
/// No epoch sees 2^32 elections, so nothing of an old one outranks the new.
#[must_use]
pub fn next_epoch(term: u64) -> Option<u64> {
    (term >> EPOCH_BITS)
        .checked_add(1)
        .filter(|epoch| *epoch < 1 << (u64::BITS - EPOCH_BITS))
        .map(|epoch| epoch << EPOCH_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{configuration, member, plain, restarted, with};

    fn wills(of: &[(Member, &[Configuration])]) -> BTreeMap<Incarnation, Will> {
        of.iter().map(|(dead, will)| (dead.incarnation, will.to_vec())).collect()
    }

    #[test]
    fn the_last_of_three_goes_on() {
        let all = configuration((1, 1), &[1, 2, 3]);
        let both = wills(&[(member(2), std::slice::from_ref(&all)), (member(3), std::slice::from_ref(&all))]);
        assert_eq!(may_force(member(1), std::slice::from_ref(&all), &both), Ok(()));
        let one = wills(&[(member(2), &[])]);
        let blocked = Err(Blocked::NotProvenDead(BTreeSet::from([3])));
        assert_eq!(may_force(member(1), std::slice::from_ref(&all), &one), blocked);
        let stale = Err(Blocked::NotListed(all.log_id));
        assert_eq!(may_force(restarted(1), std::slice::from_ref(&all), &both), stale);
    }

    #[test]
    fn a_will_tells_of_a_removal() {
        let all = configuration((1, 1), &[1, 2, 3]);
        let removal = configuration((1, 5), &[1, 2]);
        let both = wills(&[(member(1), &[all.clone(), removal.clone()]), (member(2), std::slice::from_ref(&all))]);
        assert_eq!(may_force(member(3), &[all], &both), Err(Blocked::NotListed(removal.log_id)));
    }

    #[test]
    fn wills_are_followed_from_one_to_the_next() {
        let all = configuration((1, 1), &[1, 2, 3]);
        let returned = with((1, 5), &[member(1), restarted(2), member(3)]);
        let removal = with((1, 7), &[member(1), restarted(2)]);
        let mut dead = wills(&[(member(1), std::slice::from_ref(&returned)), (member(2), &[])]);
        let waits = Err(Blocked::NotProvenDead(BTreeSet::from([2])));
        assert_eq!(may_force(member(3), std::slice::from_ref(&all), &dead), waits, "a later run of 2");
        dead.insert(restarted(2).incarnation, vec![returned, removal.clone()]);
        assert_eq!(may_force(member(3), &[all], &dead), Err(Blocked::NotListed(removal.log_id)));
    }

    #[test]
    fn what_is_older_than_the_visible_or_in_the_log_is_known() {
        let (old, now) = (configuration((1, 2), &[2, 3]), configuration((2, 4), &[1, 2]));
        let dead = wills(&[(member(2), &[old, now.clone()])]);
        assert_eq!(may_force(member(1), &[now], &dead), Ok(()));
    }

    #[test]
    fn every_pending_configuration_counts() {
        let log = [configuration((1, 1), &[1, 2, 3]), configuration((1, 4), &[1, 2])];
        let dead = wills(&[(member(2), &[])]);
        assert_eq!(may_force(member(1), &log, &dead), Err(Blocked::NotProvenDead(BTreeSet::from([3]))));
    }

    #[test]
    fn plain_raft_never_forces_and_the_sole_member_need_not() {
        let off = plain((3, 3));
        assert_eq!(may_force(member(1), std::slice::from_ref(&off), &BTreeMap::new()), Err(Blocked::Plain(off.log_id)));
        assert!(may_force(member(1), &[], &BTreeMap::new()).is_err());
        let sole = forced_configuration(member(1), &off, LogId { term: 1 << 32, index: 9 });
        assert_eq!(may_force(member(1), &[sole], &BTreeMap::new()), Err(Blocked::Alone));
    }

    #[test]
    fn epochs_are_above_every_term_before_them() {
        assert_eq!(next_epoch(0), Some(1 << 32));
        assert_eq!(next_epoch((1 << 32) + 77), Some(2 << 32));
        assert_eq!(next_epoch(u64::MAX), None);
    }
}
