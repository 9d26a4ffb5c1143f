//! The terminal, taken over for a while and always given back: at the end, after a panic, and after a signal.

use std::{
    io::{self, IsTerminal as _, Stdout, Write},
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    Command, ExecutableCommand as _, cursor,
    event::{
        DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
        EnableMouseCapture,
    },
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, backend::CrosstermBackend};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Signal, getpgrp, getsid, kill_current_process_group},
    termios::tcgetpgrp,
};

/// The terminal is not as it was.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is given back when this is dropped.
#[derive(Debug)]
pub struct Screen {
    /// To draw on.
    pub terminal: Terminal<CrosstermBackend<Outlet>>,
    /// Ends what the terminal says.
    is_silent: Arc<AtomicBool>,
    mouse: bool,
}

/// Standard output, as long as something is drawn on it. What draws has a last word when it is dropped, and takes it to standard error, and the process down,
/// where the terminal is gone: it is not heard, for the terminal is given back without it.
#[derive(Debug)]
pub struct Outlet {
    stdout: Stdout,
    is_silent: Arc<AtomicBool>,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_silent.load(Ordering::SeqCst) { Ok(bytes.len()) } else { self.stdout.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_silent.load(Ordering::SeqCst) { Ok(()) } else { self.stdout.flush() }
    }
}

/// Something to draw on, and what ends it.
fn drawn() -> io::Result<(Terminal<CrosstermBackend<Outlet>>, Arc<AtomicBool>)> {
    let is_silent = Arc::<AtomicBool>::default();
    let outlet = Outlet { stdout: io::stdout(), is_silent: Arc::clone(&is_silent) };
    Ok((Terminal::new(CrosstermBackend::new(outlet))?, is_silent))
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn take(mouse: bool) -> io::Result<Self> {
        give_back_on_panic();
        enter(mouse)?;
        let (terminal, is_silent) = drawn().inspect_err(|_| give_back())?;
        Ok(Self { terminal, is_silent, mouse })
    }

    /// Whether the mouse is read, or left to the terminal.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        let mut stdout = io::stdout();
        if on {
            stdout.execute(EnableMouseCapture)?
        } else {
            stdout.execute(DisableMouseCapture)?
        };
        Ok(())
    }

    /// Draws everything anew the next time.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn redraw(&mut self) -> io::Result<()> {
        // A new one knows of nothing that is there. The old one's `clear` asks where the cursor is, and whoever reads the keys takes the
        // answer.
        let (terminal, is_silent) = drawn()?;
        self.is_silent.store(true, Ordering::SeqCst);
        (self.terminal, self.is_silent) = (terminal, is_silent);
        io::stdout().execute(terminal::Clear(terminal::ClearType::All))?;
        Ok(())
    }

    /// Stops the job that this process is, as a shell's user is used to, until it is to go on. To be asked for only where [`may_stop`].
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.give_back();
        stop_job()?;
        self.take_again()
    }

    /// The terminal is as it was before, until it is taken again.
    pub fn give_back(&mut self) {
        give_back();
    }

    /// Takes the terminal again.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn take_again(&mut self) -> io::Result<()> {
        enter(self.mouse)?;
        self.redraw()
    }
}

/// Why a job does not stop.
pub const NO_SHELL: &str = "there is no shell here to bring it back";

/// Whether there may be a shell that lets this job go on again: in the shell's own process group, and without any, nobody would.
#[must_use]
pub fn may_stop() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Stops this process and the others of its job, as Ctrl-Z does, until they are to go on.
///
/// # Errors
/// When the system refuses, or nobody would let them go on.
pub fn stop_job() -> io::Result<()> {
    if !may_stop() {
        return Err(io::Error::other(NO_SHELL));
    }
    // Not TSTP, which is watched for.
    Ok(kill_current_process_group(Signal::STOP)?)
}

/// Whether the terminal on standard input is this job's: whoever changes it from the background is stopped.
#[must_use]
pub fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_silent.store(true, Ordering::SeqCst);
        give_back();
    }
}

fn enter(mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    let entered = terminal::enable_raw_mode().and_then(|()| {
        let mut stdout = io::stdout();
        stdout.execute(EnterAlternateScreen)?.execute(EnableBracketedPaste)?.execute(EnableFocusChange)?;
        if mouse {
            stdout.execute(EnableMouseCapture)?;
        }
        Ok(())
    });
    entered.inspect_err(|_| give_back())
}

/// Gives the terminal back, if it is taken. What fails now, nobody can mend.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut stdout = io::stdout();
    let _ = stdout.write_all(farewell().as_bytes());
    let _ = terminal::disable_raw_mode();
    let _ = stdout.flush();
}

/// What a terminal is told when it is given back.
fn farewell() -> String {
    fn told(command: impl Command, words: &mut String) {
        // A string takes everything.
        let _ = command.write_ansi(words);
    }
    let mut words = String::new();
    told(DisableMouseCapture, &mut words);
    told(DisableFocusChange, &mut words);
    told(DisableBracketedPaste, &mut words);
    told(LeaveAlternateScreen, &mut words);
    told(cursor::Show, &mut words);
    words
}

/// Keys do what they always do, on a terminal that takes no output and so cannot be told anything else.
pub fn give_back_keys() {
    let _ = terminal::disable_raw_mode();
}

/// A panic aborts the process, so nothing is dropped: its words come after the terminal was given back. Whoever draws may hold standard output, and wait
/// for a terminal that takes nothing: nobody waits for that here.
fn give_back_on_panic() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_taken = TAKEN.swap(false, Ordering::SeqCst);
            if is_taken {
                give_back_keys();
            }
            if takes_output() {
                if is_taken {
                    let _ = rustix::io::write(rustix::stdio::stdout(), farewell().as_bytes());
                }
            } else if io::stderr().is_terminal() {
                return;
            }
            usual(panic);
        }));
    });
}

/// Whether standard output takes some more at once.
fn takes_output() -> bool {
    let stdout = rustix::stdio::stdout();
    let mut asked = [PollFd::from_borrowed_fd(stdout, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().contains(PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_all_that_it_was_told_when_it_was_taken() {
        let words = farewell();
        for mode in ["1000l", "1004l", "2004l", "1049l", "25h"] {
            assert!(words.contains(&format!("\u{1b}[?{mode}")), "{mode} in {words:?}");
        }
    }
}
