//! The guide's machines, each a network namespace with the address that the guide gives it: its blocks as printed. Those that need no machine of
//! their own are in `terminal/documents.rs`.

use std::{
    fs,
    path::{Path, PathBuf},
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

/// The lines of the unit, as printed.
fn unit() -> String {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md")).unwrap();
    let marker = "<!-- guide service: systemd-analyze verify reads these lines in a test -->\n```ini\n";
    guide.split_once(marker).unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// A shell on a machine, in a directory of its own, for a block.
fn shell(place: &Place, directory: &Path, name: &str) -> Command {
    let mut command = place.command("/bin/bash");
    let path = format!("{}:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display());
    command.args(["-euc", &block(name)]).current_dir(directory).env_clear().env("PATH", path).env("HOME", directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it printed, or what it said instead.
fn done(mut command: Command) -> Result<String, String> {
    let output = command.output().unwrap();
    output.status.success().then(|| text(output.stdout)).ok_or_else(|| text(output.stderr))
}

/// What the cluster says of itself to somebody at this place.
fn status(place: &Place, servers: &[&str]) -> Option<Value> {
    let mut status = place.command(PROGRAM);
    status.args(["status", "--json", "--timeout", "2"]).args(servers).env_clear().env("HOME", "/nowhere");
    done(status).ok().map(|status| serde_json::from_str(&status).unwrap())
}

/// Waits until all is well and these servers vote, and no others.
fn until_voters(place: &Place, servers: &[&str], expected: &[&str]) {
    until("the cluster to be complete", || {
        let status = status(place, servers)?;
        let votes = |server: &&Value| server["voter"] == true && server["role"] != "down";
        let mut voters: Vec<&str> = status["servers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(votes)
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        voters.sort_unstable();
        (status["state"] == "normal" && voters == expected).then_some(())
    });
}

/// Copies a server's files to its machine, a new directory, and configures it as the guide says.
fn furnish(place: &Place, home: &Path, number: &str) -> PathBuf {
    let machine = home.join(format!("machine-{number}"));
    fs::create_dir(&machine).unwrap();
    for file in ["authority.pem".to_owned(), format!("server-{number}.pem"), format!("server-{number}.key")] {
        fs::copy(home.join("certs").join(&file), machine.join(&file)).unwrap();
    }
    let mut configure = shell(place, &machine, "configuration");
    configure.env("N", number);
    done(configure).unwrap();
    machine
}

/// Starts what a block starts, in the directory of its machine.
fn start(place: &Place, machine: &Path, name: &str) -> Process {
    let log = fs::File::create(machine.join("log")).unwrap();
    Process::spawn(shell(place, machine, name).stdout(Stdio::null()).stderr(log))
}

#[test]
fn three_machines_as_the_guide_says_and_a_fourth_in_the_place_of_one() {
    let Some(network) = Network::build(5) else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    done(shell(&Place::default(), home, "certificates")).unwrap();
    let (mut servers, mut machines) = (Vec::new(), Vec::new());
    for place in 0..3 {
        let machine = furnish(&network.machine(place), home, &(place + 1).to_string());
        let name = if place == 0 { "found" } else { "serve" };
        servers.push(start(&network.machine(place), &machine, name));
        machines.push(machine);
    }
    let (desk, reached) = (network.machine(4), ["--servers", "10.77.0.1:7400"]);
    until_voters(&desk, &reached, &["server-1", "server-2", "server-3"]);
    let said = done(shell(&desk, home, "reach")).unwrap();
    assert!(said.contains("server-3") && said.contains("ann → you: From far away"), "{said}");

    // The third machine is gone for good.
    drop(servers.pop());
    done(shell(&Place::default(), home, "new certificate")).unwrap();
    let new = furnish(&network.machine(3), home, "4");
    let said = done(shell(&network.machine(0), &machines[0], "replace")).unwrap();
    assert!(said.contains("server-4"), "{said}");
    servers.push(start(&network.machine(3), &new, "serve the new one"));
    until_voters(&desk, &reached, &["server-1", "server-2", "server-4"]);
    let mut read = desk.command(PROGRAM);
    read.args(["messages", "ann", "--consistent", "--servers", "10.77.0.4:7400", "--session"])
        .arg(home.join("ben.json"));
    read.env_clear().env("HOME", home);
    let said = done(read).unwrap();
    assert!(said.contains("From far away"), "{said}");
}

#[test]
fn one_machine_as_the_guide_says() {
    // A machine of its own, because the guide's first cluster takes the usual ports.
    let Some(network) = Network::build(1) else { return };
    let directory = tempfile::tempdir().unwrap();
    let (desk, home) = (network.machine(0), directory.path());
    let _up = start(&desk, home, "start");
    until_voters(&desk, &[], &["server-1", "server-2", "server-3"]);
    let said = done(shell(&desk, home, "first steps")).unwrap();
    assert!(said.contains("ann → you: Hello!"), "{said}");
}

#[test]
fn the_unit_of_the_guide_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("threefold.service");
    let unit = unit();
    // Where the program is here.
    assert!(unit.contains("ExecStart=/usr/local/bin/threefold serve "), "{unit}");
    fs::write(&path, unit.replace("/usr/local/bin/threefold", PROGRAM)).unwrap();
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() {
        // It looks at the machine's other units too, and what is unknown in one is no failure to it.
        Ok(output) => {
            let said = text(output.stderr);
            assert!(output.status.success() && !said.contains("threefold.service"), "{said}");
        }
        Err(why) => eprintln!("skipped: there is no systemd-analyze here: {why}"),
    }
}
