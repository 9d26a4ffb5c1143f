//! SIGSTOP and SIGCONT, with three servers: who is silent is not dead.

use crate::scene::Scene;

#[test]
fn three_servers_go_on_while_one_is_stopped() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    // First the leader, then a follower.
    for distance in [0, 1] {
        let (mark, others) = scene.go_on_without("one of three stopped", |scene| {
            let stopped = (scene.cluster.leader() + distance) % 3;
            scene.signal("-STOP", &[stopped]);
            scene.others(&[stopped])
        });
        // Whoever was connected to it notices its silence, and goes on at another.
        scene.go_on(&mark, &[scene.roamer()]);
        scene.signal("-CONT", &scene.others(&others));
        scene.recover();
    }
    scene.judge();
}

#[test]
fn the_last_of_three_acknowledges_nothing_while_two_are_stopped() {
    let Some(scene) = Scene::start(3, &[]) else { return };
    // First the leader is left, then a follower.
    for distance in [0, 1] {
        let left = (scene.cluster.leader() + distance) % 3;
        let stopped = scene.others(&[left]);
        scene.signal("-STOP", &stopped);
        scene.says_it_waits_for(left, &stopped);
        scene.are_frozen(&[left]);
        let mark = scene.mark();
        scene.signal("-CONT", &stopped);
        scene.everybody_goes_on(&mark);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn the_last_of_three_goes_on_once_the_stopped_ones_are_dead() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let (_, left) = scene.go_on_without("two of three stopped, then killed", |scene| {
        let left = (scene.cluster.leader() + 1) % 3;
        let stopped = scene.others(&[left]);
        scene.signal("-STOP", &stopped);
        scene.are_frozen(&[left]);
        scene.cluster.kill(&stopped);
        vec![left]
    });
    scene.says_word(left[0], "sole survivor");
    scene.start_again(&scene.others(&left));
    scene.recover();
    scene.judge();
}
