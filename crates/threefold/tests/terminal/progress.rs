//! Long work shows how far it is to a person at a terminal, and to nobody else.

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use crate::{
    harness::{Cluster, Failed, Process, wait},
    terminal::{Terminal, there_are_terminals},
};

/// More than a bar waits before it is drawn for the first time.
const LONGER: Duration = Duration::from_millis(600);
/// Of the file: less than the largest, and far more than is under way at once.
const BYTES: usize = 4 << 20;

/// Whether a process has a file open.
fn has_open(process: &str, file: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().filter_map(Result::ok);
    open.filter_map(|one| fs::read_link(one.path()).ok()).any(|one| one == file)
}

/// Holds all servers, so that what is begun meanwhile cannot end before it is long work; the process is that of the command.
fn held<T>(cluster: &Cluster, file: &Path, begin: impl FnOnce() -> T, process: impl Fn(&T) -> String) -> T {
    cluster.servers.iter().for_each(|server| server.signal("-STOP"));
    let begun = begin();
    wait("a command at work", || has_open(&process(&begun), file));
    thread::sleep(LONGER);
    cluster.servers.iter().for_each(|server| server.signal("-CONT"));
    begun
}

#[test]
fn a_bar_is_drawn_on_a_terminal_and_in_no_pipe() {
    let cluster = Cluster::start(&[]);
    let [ann, _ben] = ["ann", "ben"].map(|name| cluster.person(name));
    let file = cluster.directory.join("large.bin");
    fs::write(&file, vec![7; BYTES]).unwrap();
    let file = file.canonicalize().unwrap();
    let arguments = ["send", "ben", "--timeout", "120", "--attach", file.to_str().unwrap()];

    // The same work, for as long.
    let (out, err) = (cluster.directory.join("out"), cluster.directory.join("err"));
    let mut command = ann.command(&arguments);
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap()).stdin(Stdio::null());
    let mut sending = held(&cluster, &file, || Process::spawn(&mut command), |sending| sending.id().to_string());
    let ended = sending.wait().unwrap();
    let said = fs::read_to_string(&err).unwrap();
    // That the cluster was frozen for a moment may be said; a bar is something else.
    assert!(ended.success() && !said.contains(['\r', '%']) && !said.contains("large.bin"), "{ended}: {said}");
    assert!(fs::read_to_string(&out).unwrap().starts_with("sent "));

    if !there_are_terminals() {
        return;
    }
    let (terminal, kept) = (Terminal::open(&ann, (100, 10)), cluster.directory.join("kept"));
    terminal.keep(&kept);
    held(&cluster, &file, || terminal.enter(&format!("threefold {}", arguments.join(" "))), |()| terminal.program());
    terminal.wait_for("\nsent ");
    let told = || fs::read_to_string(&kept).unwrap_or_default();
    wait("all that was written", || told().contains("sent "));
    let told = told();
    assert!(told.contains("sending large.bin ") && told.contains(" % "), "{told}");
    assert!(!terminal.screen().contains("sending large.bin"), "it is gone at the end");
}

#[test]
fn who_waits_for_a_server_sees_that_something_is_waited_for() {
    let cluster = Cluster::start(&[]);
    let operator = cluster.operator();
    // To a script it is only said that it came to nothing.
    let wait_for_it = ["join", "server-4", "127.0.0.1:1", "--wait", "--timeout"];
    let failed = Failed::of(&mut operator.command(&[&wait_for_it[..], &["2"]].concat()), b"");
    assert_eq!(failed.exit, 3, "{failed:?}");
    if !there_are_terminals() {
        return;
    }
    let terminal = Terminal::open(&cluster.stranger("nobody"), (100, 10));
    let certificate = |name: &str| operator.certificates.join(name);
    let configuration = format!(
        "peers = [{:?}]\npeer-ca = {:?}\npeer-cert = {:?}\npeer-key = {:?}\n",
        cluster.servers[0].as_peer(),
        certificate("authority.pem"),
        certificate("server-1.pem"),
        certificate("server-1.key"),
    );
    let file = cluster.directory.join("operator.toml");
    fs::write(&file, configuration).unwrap();
    terminal.enter(&format!("threefold join server-4 127.0.0.1:1 --wait --config {}", file.display()));
    terminal.wait_for("server-4 is waited for ");
    terminal.press(&["C-c"]);
}
