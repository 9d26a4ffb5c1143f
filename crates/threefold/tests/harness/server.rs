//! One server process.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use super::{PROGRAM, Place, Process, text, until};

/// A server that runs or can be started.
#[derive(Debug)]
pub struct Server {
    pub name: String,
    pub place: Place,
    pub client: String,
    /// Its chat TCP port.
    pub chat: String,
    pub peer: String,
    pub data: PathBuf,
    pub certificates: PathBuf,
    pub options: Vec<String>,
    pub log: PathBuf,
    pub child: Option<Process>,
}

impl Server {
    /// A server of this name on free ports, whose data and log are within `directory`.
    pub fn new(directory: &Path, name: &str) -> Self {
        let port = super::free_ports(3);
        let local = |port| format!("127.0.0.1:{port}");
        let server = Self::at(directory, name, Place::default(), (local(port), local(port + 1)));
        Self { chat: local(port + 2), ..server }
    }

    /// A server of this name at that place, with these addresses for clients and for servers, and without a chat TCP port.
    pub fn at(directory: &Path, name: &str, place: Place, (client, peer): (String, String)) -> Self {
        Self {
            name: name.to_owned(),
            place,
            client,
            chat: String::new(),
            peer,
            data: directory.join(name),
            certificates: directory.join("certs"),
            options: Vec::new(),
            log: directory.join(format!("{name}.log")),
            child: None,
        }
    }

    /// With a new authority and a certificate of its own, founding a cluster alone.
    pub fn alone(directory: &Path, name: &str) -> Self {
        make_certificates(&directory.join("certs"), &[name]);
        Self { options: vec!["--bootstrap".to_owned()], ..Self::new(directory, name) }
    }

    /// As others are told of it.
    pub fn as_peer(&self) -> String {
        format!("{}={}", self.name, self.peer)
    }

    /// The command that starts it, as it is configured.
    pub fn command(&self) -> Command {
        let file = |ending: &str| self.certificates.join(format!("{}.{ending}", self.name));
        let mut command = self.place.command(PROGRAM);
        command.env_clear().args(["serve", "--parent-watch", "--name", &self.name]);
        command.args(["--client-listen", &self.client, "--peer-listen", &self.peer]);
        if !self.chat.is_empty() {
            command.args(["--chat-listen", &self.chat]);
        }
        command.arg("--data-dir").arg(&self.data).arg("--peer-ca").arg(self.certificates.join("authority.pem"));
        command.arg("--peer-cert").arg(file("pem")).arg("--peer-key").arg(file("key"));
        command.args(&self.options);
        command
    }

    /// Starts it.
    pub fn start(&mut self, further: &[&str]) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = self.command();
        command.args(further).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        self.child = Some(Process::spawn(&mut command));
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        drop(self.child.take().unwrap());
    }

    /// Ends it with SIGKILL, without waiting for its end.
    pub fn strike(&mut self) {
        self.child.as_mut().unwrap().kill().unwrap();
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        self.child.as_ref().unwrap().signal(signal);
    }

    /// Stops it in order.
    pub fn stop(&mut self) -> ExitStatus {
        drop(self.child.as_mut().unwrap().stdin.take());
        self.wait()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let status = until("a server's end", || child.try_wait().unwrap());
        self.child = None;
        status
    }

    /// Starts it, although it cannot run: its exit code and what it says.
    pub fn refuses(&self) -> (i32, String) {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Process::spawn(&mut command);
        let status = until("a refusal to start", || child.try_wait().unwrap());
        let mut said = Vec::new();
        child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
        (status.code().unwrap(), text(said))
    }

    /// Whether its process runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Whether it was started and not seen to end.
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Everything it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Makes certificates as an operator does; the authority is made with the first.
pub fn make_certificates(directory: &Path, names: &[&str]) {
    let mut command = Command::new(PROGRAM);
    command.env_clear().arg("certs").arg("--out").arg(directory).args(["--name", &names.join(",")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
