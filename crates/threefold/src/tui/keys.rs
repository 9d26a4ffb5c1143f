//! What a terminal tells, read by a thread of its own: the library that reads it never comes back from a terminal that is gone, and only that
//! thread may wait for it.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
};

use crossterm::event::{self, Event};
use rustix::{
    fd::OwnedFd,
    pipe::{PipeFlags, pipe_with},
    stdio::dup2_stdin,
};
use tokio::sync::mpsc;

/// Events that wait; more of them wait in the terminal.
const WAITING: usize = 64;

/// Keys, and what else is told. To be dropped behind the screen: from then on standard input is not the terminal any more, but for good something that is
/// silent. So the thread takes no key that is for somebody else, and rests.
#[derive(Debug)]
pub struct Keys(mpsc::Receiver<io::Result<Event>>);

impl Keys {
    /// Reads from now on.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn read() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let read = move || {
            loop {
                let event = event::read();
                let is_last = event.is_err();
                if sender.blocking_send(event).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("keys".to_owned()).spawn(read)?;
        Ok(Self(receiver))
    }

    /// The next one; none when there will be none any more. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        self.0.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Where this fails, the thread takes one more key.
        let _ = silence();
    }
}

/// Nothing is ever to be read from standard input again.
fn silence() -> io::Result<()> {
    /// The other end: as long as it is open, what is read is not at its end, either.
    static OTHER_END: Mutex<Option<OwnedFd>> = Mutex::new(None);
    let (input, other_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    dup2_stdin(&input)?;
    // One that was there before is of a pipe that nobody reads any more.
    drop(OTHER_END.lock().unwrap_or_else(PoisonError::into_inner).replace(other_end));
    Ok(())
}
