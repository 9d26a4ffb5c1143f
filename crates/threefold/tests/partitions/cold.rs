//! Power cuts of three servers: who is started alone waits for those who may know more, and says for whom.

use crate::scene::Scene;

#[test]
fn after_a_power_cut_two_of_three_servers_wait_for_the_third_and_go_on_with_it() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    for missing in scene.all() {
        scene.cluster.kill_all();
        let started = scene.others(&[missing]);
        scene.start_again(&started);
        let reason = format!("waiting for {}: it may know more", scene.cluster.servers[missing].name);
        for place in &started {
            scene.says(*place, &reason, |status| status["detail"] == reason.as_str());
        }
        scene.are_frozen(&started);
        let mark = scene.mark();
        scene.start_again(&[missing]);
        scene.everybody_goes_on(&mark);
        scene.recover();
    }
    scene.judge();
}

#[test]
fn after_the_sole_survivor_died_too_the_others_wait_for_it() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let (survivor, others) = (2, [0, 1]);
    scene.go_on_without("two of three killed", |scene| {
        scene.cluster.kill(&others);
        vec![survivor]
    });
    scene.says_word(survivor, "sole survivor");
    scene.cluster.kill(&[survivor]);
    scene.start_again(&others);
    // What the survivor acknowledged alone is on its disk only.
    for place in others {
        scene.says_it_waits_for(place, &[survivor]);
    }
    scene.are_frozen(&others);
    let mark = scene.mark();
    scene.start_again(&[survivor]);
    scene.everybody_goes_on(&mark);
    scene.recover();
    scene.judge();
}

#[test]
fn the_sole_survivor_killed_and_started_again_goes_on_alone() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let (survivor, others) = (0, [1, 2]);
    scene.go_on_without("two of three killed", |scene| {
        scene.cluster.kill(&others);
        vec![survivor]
    });
    scene.says_word(survivor, "sole survivor");
    scene.cluster.kill(&[survivor]);
    let mark = scene.mark();
    scene.start_again(&[survivor]);
    scene.go_on(&mark, &[survivor]);
    scene.says_word(survivor, "sole survivor");
    scene.start_again(&others);
    scene.recover();
    scene.judge();
}
