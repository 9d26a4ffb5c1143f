//! Somebody who runs a cluster.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{Failed, PROGRAM, text};

/// Somebody with the certificate of the first server.
#[derive(Clone, Debug)]
pub struct Operator {
    pub certificates: PathBuf,
    pub peers: String,
}

impl Operator {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["--json", "--peer", &self.peers, "--peer-ca"]).arg(self.certificates.join("authority.pem"));
        command.arg("--peer-cert").arg(self.certificates.join("server-1.pem"));
        command.arg("--peer-key").arg(self.certificates.join("server-1.key"));
        command
    }

    /// Runs a command that succeeds: the object that it printed.
    pub fn done(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        serde_json::from_str(&text(output.stdout)).unwrap()
    }

    /// Runs a command that is refused: the words.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let failed = Failed::of(&mut self.command(arguments), b"");
        assert_eq!(failed.short(), (1, "REFUSED"), "{failed:?}");
        failed.message
    }
}

/// The names of the members with a vote, as a command told of them.
pub fn voters(answer: &Value) -> Vec<&str> {
    let members = answer["members"].as_array().unwrap().iter();
    members.filter(|member| member["voter"] == true).map(|member| member["name"].as_str().unwrap()).collect()
}

/// The name of the leader.
pub fn leader(answer: &Value) -> Option<&str> {
    let mut members = answer["members"].as_array().unwrap().iter();
    members.find(|member| member["leader"] == true)?["name"].as_str()
}
