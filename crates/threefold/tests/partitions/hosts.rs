//! Hosts that vanish with their kernels, and processes that die behind a partition: nobody hears the end of their
//! connections, so nobody has proof of their death.

use crate::{network::Cut, scene::Scene};

/// Cuts these off from the others and from each other, and then kills them: to the others they are silent from one instant to the next.
fn vanish(scene: &mut Scene, places: &[usize]) {
    let others = scene.others(places);
    let singles = places.iter().map(std::slice::from_ref);
    let groups: Vec<&[usize]> = singles.chain([others.as_slice()]).collect();
    scene.network.divide(Cut::Drop, &groups);
    scene.cluster.kill(places);
}

#[test]
fn three_servers_survive_the_loss_of_one_host() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let (_, left) = scene.go_on_without("the host of one of three lost", |scene| {
        let lost = scene.cluster.leader();
        vanish(scene, &[lost]);
        scene.others(&[lost])
    });
    scene.network.heal();
    scene.start_again(&scene.others(&left));
    scene.recover();
    scene.judge();
}

#[test]
fn the_last_of_three_hosts_waits_for_the_others_and_acknowledges_nothing() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let left = scene.cluster.leader();
    let lost = scene.others(&[left]);
    vanish(&mut scene, &lost);
    scene.says_it_waits_for(left, &lost);
    scene.are_frozen(&[left]);
    scene.network.heal();
    scene.start_again(&lost);
    scene.recover();
    scene.judge();
}

#[test]
fn five_servers_survive_the_loss_of_two_hosts() {
    let Some(mut scene) = Scene::start(5, &[]) else { return };
    let leader = scene.cluster.leader();
    let lost = [leader, (leader + 1) % 5];
    vanish(&mut scene, &lost);
    let mark = scene.mark();
    scene.go_on_promptly("the hosts of two of five lost", &mark, &scene.others(&lost));
    scene.network.heal();
    scene.start_again(&lost);
    scene.recover();
    scene.judge();
}

#[test]
fn a_cut_and_then_a_crash_behind_it_lose_nothing() {
    let Some(mut scene) = Scene::start(3, &[]) else { return };
    let mut struck = [0, 0];
    scene.go_on_without("one cut off and one killed", |scene| {
        let (_, others) = scene.go_on_without("one cut off", |scene| {
            let cut_off = scene.cluster.leader();
            let others = scene.others(&[cut_off]);
            scene.network.divide(Cut::Drop, &[&[cut_off], &others]);
            others
        });
        let cut_off = scene.others(&others)[0];
        scene.are_frozen(&[cut_off]);
        // Two are left, and in sync; one of them dies, and the other has its proof.
        scene.says_word(others[1], "degraded");
        scene.cluster.kill(&others[..1]);
        struck = [cut_off, others[0]];
        others[1..].to_vec()
    });
    let [cut_off, killed] = struck;
    scene.are_frozen(&[cut_off]);
    scene.network.heal();
    scene.start_again(&[killed]);
    scene.recover();
    scene.judge();
}
