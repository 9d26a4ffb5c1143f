//! The spaces that are walked, each with what it is for.

use crate::Bounds;

/// Every space, by name.
pub fn all() -> Vec<(&'static str, Bounds)> {
    let one = Bounds::one_crash();
    vec![
        ("one crash", Bounds { check_progress: true, ..one }),
        ("one crash and a suspicion", Bounds { suspicions: 1, check_progress: true, ..one }),
        ("two crashes", Bounds { crashes: 2, check_progress: true, ..one }),
        ("two crashes one restart", Bounds { crashes: 2, restarts: 1, elections: 1, log: 6, ..one }),
        ("a cut", Bounds { crashes: 0, cuts: 1, ..one }),
        ("a cut, one election", Bounds { crashes: 0, cuts: 1, elections: 1, ..one }),
        ("a cut and a crash, one election", Bounds { crashes: 1, cuts: 1, log: 4, ..one }),
        ("cold", Bounds { writes: 1, crashes: 3, restarts: 3, torn: false, elections: 2, log: 4, ..one }),
        ("return", Bounds { writes: 1, crashes: 2, restarts: 1, torn: false, elections: 1, forces: 2, log: 6, ..one }),
        (
            "lag",
            Bounds {
                writes: 1,
                crashes: 2,
                restarts: 0,
                torn: false,
                elections: 1,
                forces: 1,
                suspicions: 1,
                lag: true,
                log: 5,
                ..one
            },
        ),
    ]
}
