//! Limits of rates count over the whole cluster.

use crate::harness::{Cluster, Failed, text, until};

/// Guesses at three servers in turn: together no more than the limit, and then the right password is no way in either.
#[test]
fn three_servers_do_not_triple_the_guesses() {
    until("guesses under one leader", || {
        let cluster = Cluster::start(&["--login-rate", "6", "--registration-rate", "3"]);
        // What counts is in the leader's memory: another one may forget.
        let leadership = || {
            let leader = cluster.leader();
            (leader, until("a status", || cluster.own_status(leader))["term"].clone())
        };
        let before = leadership();
        let guessed = guess_in_turn(&cluster);
        (leadership() == before).then(|| guessed.judge())
    });
}

/// What became of it.
struct Guessed {
    /// Of wrong passwords, in turn.
    codes: Vec<String>,
    right: Failed,
    who: String,
    another: Failed,
    logged_in: Result<(), String>,
    registered: Vec<Result<(), String>>,
}

fn guess_in_turn(cluster: &Cluster) -> Guessed {
    let [ann, _bob] = ["ann", "bob"].map(|name| cluster.person(name));
    let guess = |place: usize, name: &str, password: &str| {
        let guesser = cluster.stranger("guesser").at(&cluster.servers[place % 3].client);
        let mut command = guesser.command(&["login", name, "--json"]);
        Failed::of(command.env("THREEFOLD_PASSWORD", password), b"")
    };
    let codes: Vec<String> = (0..12).map(|number| guess(number, "ann", "wrong horse").code).collect();
    let right = guess(0, "Ann", "correct horse");
    let who = ann.done(&["whoami"]);
    let another = guess(1, "bob", "wrong horse");
    let enter = |word: &str, person: &str, name: &str| {
        let output = cluster.stranger(person).run(&[word, name]);
        output.status.success().then_some(()).ok_or_else(|| text(output.stderr))
    };
    let logged_in = enter("login", "phone", "bob");
    let registered = ["cy", "dora"].map(|name| enter("register", name, name)).into();
    Guessed { codes, right, who, another, logged_in, registered }
}

impl Guessed {
    /// A request that is not answered in time is made again, and counts twice: of what is allowed it may be less.
    fn judge(self) {
        let Self { codes, right, who, another, logged_in, registered } = self;
        let wrong = codes.iter().filter(|code| *code == "WRONG_CREDENTIAL").count();
        assert!((1..=6).contains(&wrong), "{codes:?}");
        assert_eq!(codes.iter().filter(|code| *code == "RATE_LIMITED").count(), codes.len() - wrong, "{codes:?}");
        assert_eq!(right.short(), (1, "RATE_LIMITED"));
        let minutes = right.message.split_once("try again in ").and_then(|(_, wait)| wait.split_once(" minute"));
        let minutes: u32 = minutes.unwrap_or_else(|| panic!("{right:?}")).0.parse().unwrap();
        assert!((1..=10).contains(&minutes), "{right:?}");
        assert_eq!(who, "ann\n", "who is logged in stays so");
        assert_eq!(another.code, "WRONG_CREDENTIAL", "another account's own limit");
        let [third, fourth] = &registered[..] else { panic!("{registered:?}") };
        for refused in [&logged_in, third, fourth].into_iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(refused.contains("try again in "), "{refused}");
        }
        assert!(fourth.is_err(), "the address has registered three");
    }
}
