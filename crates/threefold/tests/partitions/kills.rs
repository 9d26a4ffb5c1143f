//! SIGKILL, with three servers.

use crate::scene::Scene;

#[test]
fn three_servers_survive_the_crash_of_any_one() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    // First the leader, then its followers.
    for distance in 0..3 {
        let victim = (scene.cluster.leader() + distance) % 3;
        scene.cluster.kill(&[victim]);
        let mark = scene.mark();
        scene.go_on_promptly("one of three killed", &mark, &scene.others(&[victim]));
        // Whoever was connected to the dead one goes on at another.
        scene.go_on(&mark, &[scene.roamer()]);
        scene.start_again(&[victim]);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn three_servers_killed_at_once_and_started_again_go_on() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    for _ in 0..2 {
        scene.cluster.kill_all();
        let mark = scene.mark();
        scene.start_again(&scene.all());
        scene.everybody_goes_on(&mark);
        scene.recover();
    }
    scene.judge();
}
