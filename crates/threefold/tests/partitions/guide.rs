//! The guide's three machines, each a network namespace with the address that the guide gives it: its blocks as printed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{PROGRAM, Place, Process, text, until},
    network::Network,
};

/// The commands of a block of the guide, as printed.
fn block(name: &str) -> String {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md")).unwrap();
    let marker = format!("<!-- guide {name}: a test runs these lines -->\n```sh\n");
    let (_, block) = guide.split_once(&marker).unwrap_or_else(|| panic!("no block {name}"));
    block.split_once("```").unwrap().0.to_owned()
}

/// A shell on a machine, in a directory of its own, for a block.
fn shell(place: &Place, directory: &Path, name: &str) -> Command {
    let mut command = place.command("/bin/bash");
    let path = format!("{}:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display());
    command.args(["-euc", &block(name)]).current_dir(directory).env_clear().env("PATH", path).env("HOME", directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn three_machines_as_the_guide_says() {
    let Some(network) = Network::build(4) else { return };
    let directory = tempfile::tempdir().unwrap();
    let done = |mut command: Command| {
        let output = command.output().unwrap();
        output.status.success().then(|| text(output.stdout)).ok_or_else(|| text(output.stderr))
    };
    let home = directory.path();
    done(shell(&Place::default(), home, "certificates")).unwrap();
    let mut servers = Vec::new();
    for place in 0..3 {
        let number = (place + 1).to_string();
        let machine = directory.path().join(format!("machine-{number}"));
        fs::create_dir(&machine).unwrap();
        for file in ["authority.pem".to_owned(), format!("server-{number}.pem"), format!("server-{number}.key")] {
            fs::copy(home.join("certs").join(&file), machine.join(&file)).unwrap();
        }
        let mut configure = shell(&network.machine(place), &machine, "configuration");
        configure.env("N", &number);
        done(configure).unwrap();
        let name = if place == 0 { "found" } else { "serve" };
        let mut serve = shell(&network.machine(place), &machine, name);
        let log = fs::File::create(machine.join("log")).unwrap();
        servers.push(Process::spawn(serve.stdout(Stdio::null()).stderr(log)));
    }
    let desk = network.machine(3);
    until("the cluster to be complete", || {
        let mut status = desk.command(PROGRAM);
        status
            .args(["status", "--json", "--timeout", "2", "--servers", "10.77.0.1:7400"])
            .env_clear()
            .env("HOME", home);
        let status: Value = serde_json::from_str(&done(status).ok()?).unwrap();
        let votes = |server: &&Value| server["voter"] == true && server["role"] != "down";
        let voters = status["servers"].as_array().unwrap().iter().filter(votes).count();
        (status["state"] == "normal" && voters == 3).then_some(())
    });
    let said = done(shell(&desk, home, "reach")).unwrap();
    assert!(said.contains("server-3") && said.contains("ann → you: From far away"), "{said}");
}
