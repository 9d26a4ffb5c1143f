//! Clocks that are set while servers run, and between their runs. The servers are not asked to cooperate: libfaketime stands
//! between them and the operating system's wall clock (not the monotonic one), and is skipped, with a message, where it is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::scene::Scene;

/// Where libraries are, by architecture.
const LIBRARIES: &str = "/usr/lib";

/// The wall clocks of all servers.
struct Clocks(PathBuf);

impl Clocks {
    /// Puts the servers of a scene that was not begun under clocks that can be set.
    fn install(scene: &mut Scene) -> Option<Self> {
        let directories = fs::read_dir(LIBRARIES).into_iter().flatten().filter_map(Result::ok);
        let mut libraries = directories.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
        let Some(library) = libraries.find(|path| path.exists()) else {
            eprintln!("skipped: libfaketime is not installed");
            return None;
        };
        let clocks = Self(scene.cluster.directory.clone());
        for place in scene.all() {
            clocks.set(place, "+0");
            let server = &mut scene.cluster.servers[place];
            server.place = server.place.then(&[
                "/usr/bin/env",
                &format!("LD_PRELOAD={}", library.display()),
                &format!("FAKETIME_TIMESTAMP_FILE={}", clocks.file(place).display()),
                "FAKETIME_NO_CACHE=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1",
            ]);
        }
        Some(clocks)
    }

    /// Sets one so far from the true time, such as `-1h`.
    fn set(&self, place: usize, distance: &str) {
        // Whole or not at all, for it is read all the time.
        let new = self.0.join("clock.new");
        fs::write(&new, format!("{distance}\n")).unwrap();
        fs::rename(&new, self.file(place)).unwrap();
    }

    fn file(&self, place: usize) -> PathBuf {
        Path::new(&self.0).join(format!("clock-{place}"))
    }
}

#[test]
fn clocks_set_back_and_ahead_stop_nobody_and_no_message_is_older_than_the_one_before() {
    let Some(mut scene) = Scene::prepare(3, &[]) else { return };
    let Some(clocks) = Clocks::install(&mut scene) else { return };
    scene.begin();
    let leader = scene.cluster.leader();
    let follower = (leader + 1) % 3;
    for (place, distance) in
        [(leader, "-60"), (leader, "-1h"), (follower, "-1d"), (leader, "+100d"), (leader, "+0"), (follower, "+1h")]
    {
        clocks.set(place, distance);
        scene.go_on_promptly(&format!("a clock set to {distance}"), &scene.mark(), &scene.all());
    }
    // Another leads, with a clock that was set back before it was chosen.
    clocks.set(follower, "-1h");
    clocks.set((leader + 2) % 3, "-1h");
    scene.cluster.kill(&[leader]);
    scene.go_on(&scene.mark(), &scene.others(&[leader]));
    scene.start_again(&[leader]);
    scene.recover();
    // All begin again with clocks of yesterday.
    scene.cluster.kill_all();
    scene.all().iter().for_each(|place| clocks.set(*place, "-1d"));
    scene.start_again(&scene.all());
    scene.recover();
    let said: String = scene.cluster.servers.iter().map(|server| server.said()).collect();
    assert!(said.contains("the system's clock has leapt"), "the clocks were set");
    scene.judge();
}
