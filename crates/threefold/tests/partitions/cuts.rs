//! Partitions of three servers, of every shape: packets vanish, connections are reset in the other's name, or a firewall says no.

use crate::{network::Cut, scene::Scene};

/// One server cut off from the two others: they go on, it does not, and in the end all agree.
fn one_is_cut_off(cut: Cut) {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    // First the leader, then a follower.
    for distance in [0, 1] {
        let alone = (scene.cluster.leader() + distance) % 3;
        scene.go_on_without(&format!("one of three cut off ({cut:?})"), |scene| {
            let others = scene.others(&[alone]);
            scene.network.divide(cut, &[&[alone], &others]);
            others
        });
        scene.are_frozen(&[alone]);
        let mark = scene.mark();
        scene.network.heal();
        scene.everybody_goes_on(&mark);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn of_three_servers_one_cut_off_by_lost_packets_stands_still_and_two_go_on() {
    one_is_cut_off(Cut::Drop);
}

#[test]
fn of_three_servers_one_cut_off_by_resets_stands_still_and_two_go_on() {
    one_is_cut_off(Cut::Refuse);
}

#[test]
fn of_three_servers_one_cut_off_by_a_firewall_stands_still_and_two_go_on() {
    one_is_cut_off(Cut::Prohibit);
}

#[test]
fn three_servers_that_cannot_reach_each_other_acknowledge_nothing() {
    let Some(scene) = Scene::start(3, &[]) else { return };
    for cut in Cut::ALL {
        scene.network.divide(cut, &[&[0], &[1], &[2]]);
        scene.are_frozen(&scene.all());
        let mark = scene.mark();
        scene.network.heal();
        scene.everybody_goes_on(&mark);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn a_leader_of_three_that_nobody_hears_or_that_hears_nobody_is_replaced() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    for cut in [Cut::Drop, Cut::Refuse] {
        for heard in [false, true] {
            let what = format!("a leader cut off one way ({cut:?}, heard: {heard})");
            let (mark, others) = scene.go_on_without(&what, |scene| {
                let leader = scene.cluster.leader();
                let others = scene.others(&[leader]);
                let (from, to) = if heard { (&others[..], &[leader][..]) } else { (&[leader][..], &others[..]) };
                scene.network.cut_one_way(cut, from, to);
                others
            });
            scene.are_frozen(&scene.others(&others));
            scene.network.heal();
            scene.everybody_goes_on(&mark);
            scene.recover();
        }
    }
    scene.judge();
}

#[test]
fn two_of_three_servers_that_both_reach_only_the_third_go_on() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    for cut in Cut::ALL {
        // Between the leader and a follower, then between two followers.
        for middle in [1, 0] {
            let (mark, _) = scene.go_on_beside(&format!("two of three cut from each other ({cut:?})"), |scene| {
                let middle = (scene.cluster.leader() + middle) % 3;
                let ends = scene.others(&[middle]);
                scene.network.divide(cut, &[&ends[..1], &ends[1..]]);
                vec![middle]
            });
            // Who may choose finds a server that can.
            scene.go_on(&mark, &[scene.roamer()]);
            scene.network.heal();
            scene.recover();
        }
    }
    scene.judge();
}
