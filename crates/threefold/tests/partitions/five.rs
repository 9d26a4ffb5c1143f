//! Five servers, plain Raft: any two failures are survived, of any kind.

use crate::{network::Cut, scene::Scene};

#[test]
fn any_two_of_five_servers_killed_at_once_and_the_others_go_on() {
    let Some(mut scene) = Scene::start(5, &[]) else { return };
    for first in 0..5 {
        for second in first + 1..5 {
            scene.cluster.kill(&[first, second]);
            let mark = scene.mark();
            scene.go_on_promptly("two of five killed", &mark, &scene.others(&[first, second]));
            scene.start_again(&[first, second]);
            scene.recover();
        }
    }
    scene.judge();
}

#[test]
fn of_five_servers_two_cut_off_stand_still_and_three_go_on() {
    let Some(scene) = Scene::start(5, &[]) else { return };
    for cut in Cut::ALL {
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
