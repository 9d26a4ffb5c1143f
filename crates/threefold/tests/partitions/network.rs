//! Machines of their own on one machine: network namespaces around a router, which drops or rejects what it is told to.
//!
//! Promises: nothing outside the namespaces is touched; they are removed when dropped, and those that a killed run has
//! left behind when the next one begins. Addresses are as on real machines, without translation, so each machine is seen
//! by the others under its own address.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{self, Command, Output, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::harness::{Place, text};

/// What the names of all namespaces begin with, before the test's process id.
const PREFIX: &str = "threefold-test-";
/// Where system programs are, whatever the path of whoever runs the tests.
const DIRECTORIES: [&str; 6] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
/// The router's address, as every machine knows it.
const ROUTER: &str = "10.77.0.254";

/// What the router does with a packet from one machine to another. A set for each verdict, of pairs of addresses.
const RULES: &str = "\
table ip cuts {
  set dropped { type ipv4_addr . ipv4_addr; }
  set refused { type ipv4_addr . ipv4_addr; }
  set prohibited { type ipv4_addr . ipv4_addr; }
  chain forwarded {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @dropped drop
    ip saddr . ip daddr @refused meta l4proto tcp reject with tcp reset
    ip saddr . ip daddr @prohibited reject with icmp type admin-prohibited
  }
}
";

/// How a cut treats packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// They vanish.
    Drop,
    /// Connections are reset and new ones refused in the other's name, as if its process had died.
    Refuse,
    /// An ICMP error says that a firewall forbids it.
    Prohibit,
}

impl Cut {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Refuse, Self::Prohibit];

    fn set(self) -> &'static str {
        match self {
            Self::Drop => "dropped",
            Self::Refuse => "refused",
            Self::Prohibit => "prohibited",
        }
    }
}

/// Full paths of the programs used.
#[derive(Debug)]
struct Tools {
    ip: String,
    nft: String,
}

/// None where the programs are missing, or may not be used by this process.
static TOOLS: LazyLock<Result<Tools, String>> = LazyLock::new(tools);

/// Some machines and the router between them.
#[derive(Debug)]
pub struct Network {
    name: String,
    machines: Vec<String>,
}

impl Network {
    /// This many machines; none, with a message, where namespaces are not to be had.
    pub fn build(machines: usize) -> Option<Self> {
        if let Err(why) = &*TOOLS {
            eprintln!("skipped: network namespaces are not to be had here: {why}");
            return None;
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{PREFIX}{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut network = Self { machines: Vec::new(), name };
        let router = network.namespace("router");
        script(&format!(
            "$ip netns add {router}
             $ip -n {router} link set lo up
             $ip -n {router} addr add {ROUTER}/32 dev lo
             $ip netns exec {router} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'"
        ));
        for place in 0..machines {
            let (machine, address) = (network.namespace(&place.to_string()), Self::address(place));
            network.machines.push(machine.clone());
            script(&format!(
                "$ip netns add {machine}
                 $ip -n {router} link add port{place} type veth peer name eth0 netns {machine}
                 $ip -n {router} link set port{place} up
                 $ip -n {router} route add {address} dev port{place}
                 $ip -n {machine} link set lo up
                 $ip -n {machine} link set eth0 up
                 $ip -n {machine} addr add {address}/32 dev eth0
                 $ip -n {machine} route add {ROUTER} dev eth0
                 $ip -n {machine} route add default via {ROUTER}"
            ));
        }
        network.rules(RULES);
        Some(network)
    }

    /// The address of a machine.
    pub fn address(place: usize) -> String {
        format!("10.77.0.{}", place + 1)
    }

    /// Where processes of that machine run.
    pub fn machine(&self, place: usize) -> Place {
        Place::behind(&[&found().ip, "netns", "exec", &self.machines[place]])
    }

    /// Cuts what machines of `from` send to machines of `to`, in that direction only, all at the same instant.
    pub fn cut_one_way(&self, cut: Cut, from: &[usize], to: &[usize]) {
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        self.cut_pairs(cut, pairs.filter(|(from, to)| from != to));
    }

    /// Divides machines into groups that cannot reach each other, all at the same instant.
    pub fn divide(&self, cut: Cut, groups: &[&[usize]]) {
        let all =
            || groups.iter().enumerate().flat_map(|(group, places)| places.iter().map(move |place| (group, *place)));
        let pairs = all()
            .flat_map(|(group, from)| all().filter(move |(other, _)| *other != group).map(move |(_, to)| (from, to)));
        self.cut_pairs(cut, pairs);
    }

    fn cut_pairs(&self, cut: Cut, pairs: impl Iterator<Item = (usize, usize)>) {
        let pairs: BTreeSet<String> =
            pairs.map(|(from, to)| format!("{} . {}", Self::address(from), Self::address(to))).collect();
        let pairs = pairs.into_iter().collect::<Vec<_>>().join(", ");
        self.rules(&format!("add element ip cuts {} {{ {pairs} }}\n", cut.set()));
    }

    /// Joins everything again.
    pub fn heal(&self) {
        let flush = |cut: Cut| format!("flush set ip cuts {}\n", cut.set());
        self.rules(&Cut::ALL.map(flush).concat());
    }

    /// Changes the router's rules; all of it or nothing.
    fn rules(&self, rules: &str) {
        let command = Place::behind(&[&found().ip, "netns", "exec", &self.namespace("router")]);
        done(&feed(command.command(&found().nft).args(["-f", "-"]), rules), rules);
    }

    fn namespace(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in self.machines.iter().chain([&self.namespace("router")]) {
            remove(&found().ip, namespace);
        }
    }
}

/// Finds the programs, tries whether this process may use them, and removes what dead runs have left.
fn tools() -> Result<Tools, String> {
    let find = |name: &str| {
        let path =
            DIRECTORIES.iter().map(|directory| format!("{directory}/{name}")).find(|path| Path::new(path).exists());
        path.ok_or_else(|| format!("{name} is not installed"))
    };
    let tools = Tools { ip: find("ip")?, nft: find("nft")? };
    let trial = format!("{PREFIX}{}-trial", process::id());
    let said = |output: Output| text(output.stderr).trim().to_owned();
    let added = output(Command::new(&tools.ip).args(["netns", "add", &trial]));
    if !added.status.success() {
        return Err(said(added));
    }
    let inside = Place::behind(&[&tools.ip, "netns", "exec", &trial]);
    let ruled = feed(inside.command(&tools.nft).args(["-f", "-"]), RULES);
    remove(&tools.ip, &trial);
    if !ruled.status.success() {
        return Err(said(ruled));
    }
    let namespaces = text(output(Command::new(&tools.ip).args(["netns", "list"])).stdout);
    for namespace in namespaces.lines().filter_map(|line| line.split_whitespace().next()) {
        let pid = namespace.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&tools.ip, namespace);
        }
    }
    Ok(tools)
}

fn found() -> &'static Tools {
    TOOLS.as_ref().unwrap()
}

/// Removes a namespace, and kills what still runs in it: a stopped process never ends by itself.
fn remove(ip: &str, namespace: &str) {
    let pids = text(output(Command::new(ip).args(["netns", "pids", namespace])).stdout);
    for pid in pids.split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", pid]).status();
    }
    let _ = Command::new(ip).args(["netns", "del", namespace]).status();
}

/// Several commands, each of which must succeed; `$ip` is the program.
fn script(lines: &str) {
    done(&output(Command::new("sh").args(["-ec", lines]).env("ip", &found().ip)), lines);
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that fails may not read it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {output:?}");
}
