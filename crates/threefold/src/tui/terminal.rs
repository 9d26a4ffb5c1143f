//! The terminal, taken over for a while and always given back: at the end, after a panic, and after a signal.

use std::{
    io::{self, Stdout, Write as _},
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::{
    ExecutableCommand as _, cursor,
    event::{
        DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
        EnableMouseCapture,
    },
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, backend::CrosstermBackend};
use rustix::{
    process::{Signal, getpgrp, kill_current_process_group},
    termios::tcgetpgrp,
};

/// The terminal is not as it was.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is given back when this is dropped.
#[derive(Debug)]
pub struct Screen {
    /// To draw on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn take(mouse: bool) -> io::Result<Self> {
        give_back_on_panic();
        enter(mouse)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        Ok(Self { terminal: terminal.inspect_err(|_| give_back())?, mouse })
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
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        io::stdout().execute(terminal::Clear(terminal::ClearType::All))?;
        Ok(())
    }

    /// Stops the job that this process is, as a shell's user is used to, until it is to go on.
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

/// Stops this process and the others of its job, as Ctrl-Z does, until they are to go on.
///
/// # Errors
/// When the system refuses.
pub fn stop_job() -> io::Result<()> {
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
    let _ = stdout.execute(DisableMouseCapture);
    let _ = stdout.execute(DisableFocusChange);
    let _ = stdout.execute(DisableBracketedPaste);
    let _ = stdout.execute(LeaveAlternateScreen);
    let _ = stdout.execute(cursor::Show);
    let _ = terminal::disable_raw_mode();
    let _ = stdout.flush();
}

/// A panic aborts the process, so nothing is dropped: its words come after the terminal was given back.
fn give_back_on_panic() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            usual(panic);
        }));
    });
}
