//! What holds of the rules for any values.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::{
    Change, Configuration, Incarnation, LeaderView, LogId, Member, Mode, PeerView, Sendable, ServerId, Voters,
    hold_back, may_force, may_stand, may_vote, next_epoch, next_in_sync, visible_index, withheld_for,
};

const SERVERS: std::ops::RangeInclusive<ServerId> = 1..=3;

fn incarnation() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (1..3u64).prop_map(Some)]
}

fn incarnations() -> impl Strategy<Value = BTreeMap<ServerId, Incarnation>> {
    proptest::collection::vec(incarnation(), 3).prop_map(|counters| {
        let listed = SERVERS.zip(counters).filter_map(|(id, counter)| counter.map(|counter| (id, counter)));
        listed.map(|(id, counter)| (id, Incarnation { directory: id, counter })).collect()
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    (1..4u64, 1..9u64, incarnations(), any::<bool>()).prop_map(|(term, index, in_sync, survivor_mode)| Configuration {
        log_id: LogId { term, index },
        voters: Voters::new(SERVERS.collect()),
        chosen: SERVERS.collect(),
        in_sync,
        survivor_mode,
    })
}

fn member() -> impl Strategy<Value = Member> {
    (SERVERS, 1..3u64).prop_map(|(id, counter)| Member { id, incarnation: Incarnation { directory: id, counter } })
}

fn indexes() -> impl Strategy<Value = BTreeMap<ServerId, u64>> {
    proptest::collection::btree_map(SERVERS, 0..12u64, 0..=3)
}

fn peers() -> impl Strategy<Value = BTreeMap<ServerId, PeerView>> {
    let streams = proptest::collection::btree_set(SERVERS, 0..=3);
    let persisted = proptest::option::of(0..12u64);
    let peer = (incarnation(), any::<bool>(), persisted, any::<bool>(), streams);
    proptest::collection::btree_map(2..=3u64, peer, 0..=2).prop_map(|peers| {
        let view =
            |id, (counter, is_healthy, persisted, is_caught_up, death_streams): (Option<u64>, bool, _, bool, _)| {
                PeerView {
                    incarnation: counter.map(|counter| Incarnation { directory: id, counter }),
                    is_healthy,
                    persisted,
                    is_caught_up,
                    death_streams,
                }
            };
        peers.into_iter().map(|(id, peer)| (id, view(id, peer))).collect()
    })
}

/// A log's configurations, in log order.
fn log() -> impl Strategy<Value = Vec<Configuration>> {
    proptest::collection::vec(configuration(), 1..4).prop_map(|mut log| {
        log.sort_by_key(|configuration| configuration.log_id.index);
        log.dedup_by_key(|configuration| configuration.log_id.index);
        log
    })
}

/// Configurations that different logs may hold: one log id, one configuration.
fn pool() -> impl Strategy<Value = Vec<Configuration>> {
    proptest::collection::vec(configuration(), 6).prop_map(|mut pool| {
        pool.sort_by_key(|configuration| configuration.log_id);
        pool.dedup_by_key(|configuration| configuration.log_id);
        pool
    })
}

proptest! {
    #[test]
    fn what_is_visible_is_committed_and_on_every_in_sync_disk(
        leader in member(), log in log(), committed in 0..12u64, persisted in indexes(),
    ) {
        let Some(index) = visible_index(leader, &log, Some(committed), &persisted) else { return Ok(()) };
        prop_assert!(index <= committed);
        let in_force = log.iter().rev().find(|configuration| configuration.log_id.index <= index).unwrap();
        if !in_force.is_plain() {
            prop_assert!(in_force.lists(leader));
            prop_assert!(in_force.in_sync.keys().all(|id| persisted.get(id).is_some_and(|has| *has >= index)));
        }
    }

    #[test]
    fn more_on_disk_never_shows_less(
        leader in member(), log in log(), committed in 0..12u64, persisted in indexes(), server in SERVERS,
    ) {
        let before = visible_index(leader, &log, Some(committed), &persisted);
        let mut more = persisted;
        *more.entry(server).or_default() += 1;
        prop_assert!(visible_index(leader, &log, Some(committed), &more) >= before);
        prop_assert!(visible_index(leader, &log, Some(committed + 1), &more) >= before);
    }

    #[test]
    fn an_outsider_is_never_sent_what_a_living_member_lacks(
        leader in member(), newest in configuration(), target in member(), persisted in indexes(),
    ) {
        let incarnation = Some(target.incarnation);
        let sendable = hold_back(leader, &newest, target.id, incarnation, &persisted, &BTreeSet::new());
        let restricted = newest.lists(leader) && !newest.lists(target);
        if !restricted {
            prop_assert_eq!(sendable, Sendable::Everything);
        } else if let Sendable::UpTo(index) = sendable {
            let mut others = newest.in_sync.keys().filter(|id| **id != target.id);
            prop_assert!(others.all(|id| persisted.get(id).is_some_and(|has| *has >= index)));
        }
    }

    #[test]
    fn a_sole_survivor_is_listed_wherever_it_matters_and_all_others_are_dead(
        server in member(), pool in pool(), own in 1..63usize,
        wills in proptest::collection::btree_map((SERVERS, 1..3u64), 0..63usize, 0..6),
    ) {
        let chosen = |bits: usize| -> Vec<Configuration> {
            pool.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1).map(|(_, one)| one.clone()).collect()
        };
        let own = chosen(own);
        let dead: BTreeMap<_, _> = wills
            .into_iter()
            .map(|((directory, counter), bits)| (Incarnation { directory, counter }, chosen(bits)))
            .collect();
        let Some(visible) = own.first().map(|first| first.log_id) else { return Ok(()) };
        // The rule once more, as a set that grows until it no longer does.
        let mut in_force: Vec<Configuration> = own.clone();
        loop {
            let named = in_force.iter().flat_map(|one| one.in_sync.iter());
            let named: Vec<_> = named.filter(|(id, _)| **id != server.id).map(|(_, run)| *run).collect();
            let told = named.iter().filter_map(|run| dead.get(run)).flatten();
            let news: Vec<_> = told.filter(|one| one.log_id > visible && !in_force.contains(one)).cloned().collect();
            let Some(one) = news.first() else { break };
            in_force.push(one.clone());
        }
        let others_dead = |one: &Configuration| {
            one.in_sync.iter().all(|(id, run)| *id == server.id || dead.contains_key(run))
        };
        let allowed = in_force.iter().all(|one| one.lists(server) && others_dead(one));
        prop_assert_eq!(may_force(server, &own, &dead).is_ok(), allowed);
    }

    #[test]
    fn a_change_moves_by_one_and_keeps_leader_and_majority(newest in configuration(), peers in peers(), counter in 1..3u64) {
        let leader = Member { id: 1, incarnation: Incarnation { directory: 1, counter } };
        let committed = Some(LogId { term: 9, index: 99 });
        let Some(proposal) = next_in_sync(&LeaderView { leader, term: 9, committed, newest: &newest, peers: &peers })
        else { return Ok(()) };
        prop_assert_eq!(proposal.in_sync.get(&1), Some(&leader.incarnation));
        let leavers = newest.in_sync.iter().filter(|(id, incarnation)| proposal.in_sync.get(id) != Some(incarnation));
        let comers = proposal.in_sync.iter().filter(|(id, incarnation)| newest.in_sync.get(id) != Some(incarnation));
        if newest.lists(leader) {
            prop_assert!(leavers.count() <= 1 && comers.count() <= 1);
            let shrinks = proposal.in_sync.len() < newest.in_sync.len();
            prop_assert!(!shrinks || proposal.in_sync.len() >= 2);
            prop_assert!(!matches!(proposal.change, Change::BeginCold | Change::Begin));
        }
        for (id, incarnation) in proposal.in_sync.iter().filter(|(id, _)| **id != 1) {
            let was_there = newest.in_sync.get(id) == Some(incarnation);
            prop_assert!(was_there || peers[id].incarnation == Some(*incarnation));
            prop_assert!(was_there || peers[id].persisted.is_some_and(|index| index >= newest.log_id.index));
        }
    }

    #[test]
    fn nothing_is_proposed_on_what_is_not_committed(newest in configuration(), peers in peers(), leader in member()) {
        let view = |committed| LeaderView { leader, term: newest.log_id.term, committed, newest: &newest, peers: &peers };
        let before = LogId { index: newest.log_id.index - 1, ..newest.log_id };
        prop_assert_eq!(next_in_sync(&view(Some(before))), None);
        prop_assert_eq!(next_in_sync(&view(None)), None);
    }

    #[test]
    fn switched_off_everything_is_plain_raft(mut latest in configuration(), server in member(), peer in member(),
        persisted in indexes(), committed in 9..12u64, cold in any::<bool>(),
    ) {
        latest.survivor_mode = false;
        let mode = if cold { Mode::Cold } else { Mode::Normal };
        let request = crate::VoteRequest { candidate: peer, mode, last_log_id: latest.log_id };
        prop_assert_eq!(may_stand(server, &latest), Some(Mode::Normal));
        prop_assert_eq!(may_vote(server, &latest, latest.log_id, &request), Ok(()));
        prop_assert!(withheld_for(server, &latest, mode, &BTreeSet::new()).is_empty());
        let log = [latest.clone()];
        prop_assert_eq!(visible_index(server, &log, Some(committed), &persisted), Some(committed));
        let sendable = hold_back(server, &latest, peer.id, None, &persisted, &BTreeSet::new());
        prop_assert_eq!(sendable, Sendable::Everything);
        prop_assert!(may_force(server, &log, &BTreeMap::new()).is_err());
    }

    #[test]
    fn an_epoch_outranks_every_term_of_the_one_before(term in any::<u64>(), elections in 0..1u64 << 31) {
        if let Some(next) = next_epoch(term) {
            prop_assert!(next > term && next > (term & !0xffff_ffff) + elections);
        }
    }
}
