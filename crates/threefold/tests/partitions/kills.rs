//! SIGKILL, with three servers: of one, of two in every way, and of all.

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
        scene.says_word((victim + 1) % 3, "degraded");
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

#[test]
fn two_of_three_servers_killed_at_once_and_the_last_goes_on_alone() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    for last in scene.all() {
        let victims = scene.others(&[last]);
        let what = "two of three killed at once";
        let (mark, _) = scene.go_on_without(what, |scene| {
            scene.cluster.kill(&victims);
            vec![last]
        });
        scene.go_on_promptly(what, &mark, &[scene.roamer()]);
        scene.says_word(last, "sole survivor");
        scene.start_again(&victims);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn two_of_three_servers_killed_one_after_another_and_the_last_goes_on_alone() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    // First the leader, each time, then the one that leads next, and the other one.
    for distance in [0, 1] {
        let (mark, last) = scene.go_on_without("and then another", |scene| {
            let first = scene.cluster.leader();
            scene.cluster.kill(&[first]);
            let mark = scene.mark();
            scene.go_on_promptly("the leader of three killed", &mark, &scene.others(&[first]));
            let left = scene.others(&[first]);
            let leader =
                if scene.cluster.own_status(left[0]).is_some_and(|status| status["role"] == "leader") { 0 } else { 1 };
            let (second, last) = (left[(leader + distance) % 2], left[(leader + distance + 1) % 2]);
            scene.cluster.kill(&[second]);
            vec![last]
        });
        scene.go_on_promptly("and then another", &mark, &[scene.roamer()]);
        scene.says_word(last[0], "sole survivor");
        scene.start_again(&scene.others(&last));
        scene.recover();
    }
    scene.judge();
}

#[test]
fn one_of_two_killed_servers_returns_and_goes_on_alone_when_the_survivor_dies() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let (survivor, returned, dead) = (0, 1, 2);
    scene.go_on_without("the survivor killed", |scene| {
        scene.go_on_without("two of three killed", |scene| {
            scene.cluster.kill(&[returned, dead]);
            vec![survivor]
        });
        scene.start_again(&[returned]);
        for place in [survivor, returned] {
            scene.says(place, "that server-3 is not in sync, and nobody else", |status| {
                let reason = status["detail"].as_str().unwrap();
                status["state"] == "degraded" && reason.starts_with("server-3 is not in sync")
            });
        }
        scene.go_on(&scene.mark(), &[survivor, returned]);
        scene.cluster.kill(&[survivor]);
        vec![returned]
    });
    scene.says_word(returned, "sole survivor");
    scene.start_again(&[survivor, dead]);
    scene.recover();
    scene.judge();
}
