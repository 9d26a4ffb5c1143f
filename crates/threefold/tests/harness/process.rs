//! A child that does not outlive its owner.

use std::{
    ops::{Deref, DerefMut},
    process::{Child, Command},
};

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Sends it a signal, such as `-INT`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already and was waited for is left alone by both.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
