//! Limits of rates count over the whole cluster.

use crate::harness::{Cluster, Failed};

/// Guesses at three servers in turn: together no more than the limit, and then the right password is no way in either.
#[test]
fn three_servers_do_not_triple_the_guesses() {
    let cluster = Cluster::start(&["--login-rate", "6", "--registration-rate", "3"]);
    let [ann, bob] = ["ann", "bob"].map(|name| cluster.person(name));
    let guess = |place: usize, name: &str, password: &str| {
        let guesser = cluster.stranger("guesser").at(&cluster.servers[place % 3].client);
        let mut command = guesser.command(&["login", name, "--json"]);
        Failed::of(command.env("THREEFOLD_PASSWORD", password), b"")
    };
    let codes: Vec<String> = (0..12).map(|number| guess(number, "ann", "wrong horse").code).collect();
    assert_eq!(codes[..6], ["WRONG_CREDENTIAL"; 6]);
    assert_eq!(codes[6..], ["RATE_LIMITED"; 6]);
    let limited = guess(0, "Ann", "correct horse");
    assert_eq!(limited.short(), (1, "RATE_LIMITED"));
    assert!(limited.message.contains("try again in 10 minutes"), "{limited:?}");
    assert_eq!(ann.done(&["whoami"]), "ann\n", "who is logged in stays so");
    assert_eq!(guess(1, "bob", "wrong horse").code, "WRONG_CREDENTIAL", "another account's own limit");
    bob.elsewhere("phone").done(&["login", "bob"]);
    cluster.person("cy");
    let fourth = cluster.stranger("dora").fails(&["register", "dora"]);
    assert_eq!(fourth.short(), (1, "RATE_LIMITED"), "the address has registered three");
}
