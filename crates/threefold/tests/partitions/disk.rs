//! A disk that fills up under load.

use crate::{
    harness::{SmallDisk, wait},
    scene::Scene,
};

#[test]
fn a_server_whose_disk_fills_up_under_load_stops_and_comes_back_with_everything() {
    let Some(mut scene) = Scene::prepare(3, &[]) else { return };
    let Some(disk) = SmallDisk::mount(&scene.cluster.directory.join("small")) else { return };
    scene.cluster.servers[0].data = disk.path.join("data");
    scene.begin();
    let loud = scene.cluster.person("loud");
    let text = "x".repeat(16_000);
    for _ in 0..3 {
        disk.fill(256 << 10);
        let full = |said: &str| said.matches("No space left on device").count();
        let before = full(&scene.cluster.servers[0].said());
        let mark = scene.mark();
        wait("the server to stop", || {
            loud.done(&["send", "loud", &text]);
            !scene.cluster.servers[0].runs()
        });
        let server = &mut scene.cluster.servers[0];
        // In order, or at once where a reader was the first to meet the failure.
        let ended = server.wait();
        assert!(!ended.success(), "{ended}");
        let said = server.said();
        assert!(full(&said) > before, "{said}");
        scene.go_on(&mark, &[1, 2, scene.roamer()]);
        disk.make_room();
        scene.start_again(&[0]);
        scene.recover();
    }
    scene.judge();
}
