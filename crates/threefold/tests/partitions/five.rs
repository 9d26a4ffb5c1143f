//! Five servers, plain Raft: any two failures are survived, of any kind.

use crate::{network::Cut, scene::Scene};

#[test]
fn two_of_five_servers_killed_at_once_and_the_others_go_on() {
    let Some(mut scene) = Scene::start(5, &[]) else { return };
    // Neighbours and others, and every server twice; the trial of survivors takes every pair.
    for first in 0..5 {
        let victims = [first, (first + 1 + first % 2) % 5];
        scene.cluster.kill(&victims);
        let mark = scene.mark();
        scene.go_on_promptly("two of five killed", &mark, &scene.others(&victims));
        scene.start_again(&victims);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn three_of_five_servers_started_after_a_power_cut_go_on_and_two_wait() {
    let Some(mut scene) = Scene::start(5, &[]) else { return };
    scene.cluster.kill_all();
    scene.start_again(&[0, 1]);
    scene.are_frozen(&[0, 1]);
    let mark = scene.mark();
    scene.start_again(&[2]);
    scene.go_on(&mark, &[0, 1, 2, scene.roamer()]);
    scene.start_again(&[3, 4]);
    scene.recover();
    scene.judge();
}

#[test]
fn five_servers_without_a_majority_anywhere_acknowledge_nothing() {
    let Some(scene) = Scene::start(5, &[]) else { return };
    // Resets look most like deaths.
    scene.network.divide(Cut::Refuse, &[&[0, 1], &[2, 3], &[4]]);
    scene.are_frozen(&scene.all());
    let mark = scene.mark();
    scene.network.heal();
    scene.everybody_goes_on(&mark);
    scene.recover();
    scene.judge();
}

#[test]
fn a_cut_of_five_servers_and_crashes_behind_it_lose_nothing() {
    let Some(mut scene) = Scene::start(5, &[]) else { return };
    let leader = scene.cluster.leader();
    let few = [leader, (leader + 1) % 5];
    let many = scene.others(&few);
    scene.network.divide(Cut::Drop, &[&few, &many]);
    scene.go_on(&scene.mark(), &many);
    // One more than five can spare: nobody goes on, and nothing is lost.
    scene.cluster.kill(&many[..1]);
    scene.are_frozen(&many[1..]);
    scene.network.heal();
    // Four reach each other again.
    let mark = scene.mark();
    scene.go_on(&mark, &scene.others(&many[..1]));
    scene.start_again(&many[..1]);
    scene.recover();
    scene.judge();
}

#[test]
fn of_five_servers_two_cut_off_stand_still_and_three_go_on() {
    let Some(scene) = Scene::start(5, &[]) else { return };
    for cut in [Cut::Drop, Cut::Refuse] {
        let leader = scene.cluster.leader();
        let few = [leader, (leader + 1) % 5];
        let many = scene.others(&few);
        scene.network.divide(cut, &[&few, &many]);
        let mark = scene.mark();
        scene.go_on_promptly(&format!("two of five cut off ({cut:?})"), &mark, &many);
        scene.are_frozen(&few);
        scene.network.heal();
        scene.everybody_goes_on(&mark);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn five_servers_go_on_while_two_are_stopped() {
    let Some(scene) = Scene::start(5, &[]) else { return };
    // First with the leader, then without it.
    for distance in [0, 1] {
        let leader = scene.cluster.leader();
        let stopped = [distance, distance + 1].map(|distance| (leader + distance) % 5);
        scene.signal("-STOP", &stopped);
        let mark = scene.mark();
        scene.go_on_promptly("two of five stopped", &mark, &scene.others(&stopped));
        scene.signal("-CONT", &stopped);
        scene.recover();
    }
    scene.judge();
}
