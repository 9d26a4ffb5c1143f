//! A terminal: one session of a tmux server of its own, which ends with the test.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::harness::{PATIENCE, PROGRAM, Person, wait};

/// What a shell in it says when it is ready.
const PROMPT: &str = "ready>";

/// A terminal with a shell in it.
pub struct Terminal {
    directory: TempDir,
    width: u16,
    height: u16,
}

/// Whether there are terminals here; says so where there are none.
pub fn there_are_terminals() -> bool {
    let found = Command::new("tmux").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: there is no tmux here");
    }
    found
}

impl Terminal {
    /// Opens one of this size, for this person.
    pub fn open(person: &Person, size: (u16, u16)) -> Self {
        let servers = format!("THREEFOLD_SERVERS={}", person.servers);
        Self::open_with(&[&servers, &format!("THREEFOLD_SESSION={}", person.session.display())], size)
    }

    /// Opens one of this size, with these variables.
    pub fn open_with(variables: &[&str], (width, height): (u16, u16)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let terminal = Self { directory, width, height };
        let mut command = terminal.tmux();
        let size = [width.to_string(), height.to_string()];
        command.args(["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1]]);
        command.args(["env", "-i", "TERM=tmux-256color", "LANG=C.UTF-8", "TZ=UTC", &format!("PS1={PROMPT}")]);
        command.args(variables);
        command.arg(format!("PATH={}:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display()));
        command.args(["bash", "--norc", "--noprofile"]);
        done(command.output().unwrap());
        terminal.wait_for(PROMPT);
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.env_clear().env("LANG", "C.UTF-8").env("PATH", "/usr/bin:/bin").env("TERM", "xterm-256color");
        command.arg("-S").arg(self.directory.path().join("tmux"));
        command
    }

    /// Presses keys, as tmux calls them.
    pub fn press(&self, keys: &[&str]) {
        done(self.tmux().arg("send-keys").args(keys).output().unwrap());
    }

    /// Types a line, and Enter.
    pub fn enter(&self, text: &str) {
        done(self.tmux().args(["send-keys", "-l", text]).output().unwrap());
        self.press(&["Enter"]);
    }

    /// What is seen now.
    pub fn screen(&self) -> String {
        done(self.tmux().args(["capture-pane", "-p"]).output().unwrap())
    }

    /// Keeps all that programs write to it from now on, also what is written over at once.
    pub fn keep(&self, file: &Path) {
        done(self.tmux().args(["pipe-pane", &format!("cat > '{}'", file.display())]).output().unwrap());
    }

    /// Makes it another size.
    pub fn resize(&mut self, (width, height): (u16, u16)) {
        (self.width, self.height) = (width, height);
        let size = [width.to_string(), height.to_string()];
        done(self.tmux().args(["resize-window", "-x", &size[0], "-y", &size[1]]).output().unwrap());
    }

    /// Waits until something is seen.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(&format!("{text:?} on the screen"), |screen| screen.contains(text))
    }

    /// Waits until the screen is so.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let give_up = Instant::now() + PATIENCE;
        let mut seen = String::new();
        wait(what, || {
            seen = self.screen();
            let so = is_so(&seen);
            assert!(so || Instant::now() < give_up, "never {what}:\n{seen}");
            so
        });
        seen
    }

    /// The process of the program that runs in the shell.
    pub fn program(&self) -> String {
        let shell = done(self.tmux().args(["display-message", "-p", "#{pane_pid}"]).output().unwrap());
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        std::fs::read_to_string(children).unwrap().trim().to_owned()
    }

    /// Closes it, as who closes its window does.
    pub fn close(&self) {
        done(self.tmux().arg("kill-server").output().unwrap());
    }

    /// What tmux says of the terminal's state.
    pub fn state(&self, format: &str) -> String {
        done(self.tmux().args(["display-message", "-p", format]).output().unwrap()).trim().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux().arg(OsStr::new("kill-server")).output();
    }
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
