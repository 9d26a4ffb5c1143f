//! The spaces that are walked, each with what it is for.

use crate::Bounds;

/// A space: its name and its bounds.
pub type Space = (&'static str, Bounds);

/// Small enough to be walked to their end by the tests.
pub fn small() -> Vec<Space> {
    let one = Bounds::one_crash();
    let whole = Bounds { torn: false, ..one };
    vec![
        // Any order of messages, two elections, a crash at any moment: the two others go on.
        ("crash", Bounds { check_progress: true, ..one }),
        // The same, while the leader wrongly suspects a healthy member.
        ("crash-suspicion", Bounds { writes: 0, suspicions: 1, log: 4, check_progress: true, ..whole }),
        // Two at once or one after another: the last goes on, and all is well again once they are back.
        ("two-crashes", Bounds { crashes: 2, check_progress: true, ..one }),
        ("two-crashes-suspicion", Bounds { crashes: 2, suspicions: 1, log: 4, ..one }),
        // The last goes on, another returns, and it is the last in turn: two forces.
        ("return", Bounds { crashes: 3, restarts: 1, elections: 1, forces: 2, log: 7, check_progress: true, ..whole }),
        // A server cut off from both others, which elect a leader.
        ("cut-election", Bounds { crashes: 0, cuts: 1, log: 3, ..one }),
        // Crashes behind a cut.
        ("cut-crashes", Bounds { crashes: 2, cuts: 1, elections: 1, ..whole }),
        // All stop at once, and start again one by one.
        ("cold", Bounds { crashes: 0, power_cuts: 1, restarts: 3, log: 4, check_progress: true, ..whole }),
        // The same after one went on alone.
        ("cold-after-force", Bounds { crashes: 2, power_cuts: 1, restarts: 2, log: 3, ..whole }),
    ]
}

/// Walked as far as time allows, by the command.
pub fn large() -> Vec<Space> {
    let one = Bounds::one_crash();
    let whole = Bounds { torn: false, ..one };
    vec![
        ("large-suspicion", Bounds { suspicions: 2, check_progress: true, ..one }),
        ("large-return", Bounds { crashes: 3, restarts: 2, forces: 2, log: 7, ..one }),
        ("large-cut", Bounds { writes: 2, crashes: 1, cuts: 1, partial_cuts: true, ..one }),
        ("large-all", Bounds { crashes: 2, cuts: 1, restarts: 1, suspicions: 1, partial_cuts: true, log: 6, ..one }),
        ("large-cold", Bounds { crashes: 2, power_cuts: 1, restarts: 4, cuts: 1, elections: 3, ..whole }),
        (
            "large-lag",
            Bounds { crashes: 2, suspicions: 1, cuts: 1, elections: 1, lag: true, lazy_streams: true, ..whole },
        ),
    ]
}

/// The space of this name.
pub fn named(name: &str) -> Option<Bounds> {
    small().into_iter().chain(large()).find(|(known, _)| *known == name).map(|(_, bounds)| bounds)
}
