//! The terminal, taken over for a while and always given back: at the end, after a panic, and after a signal.

use std::{
    env,
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
    termios::{LocalModes, tcgetattr, tcgetpgrp},
};

use super::text::one_line;

/// The terminal is not as it was.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Nor is the title of its window.
static TITLED: AtomicBool = AtomicBool::new(false);
/// Remembers the title that a window has, where the terminal can.
const KEEP_TITLE: &str = "\u{1b}[22;0t";
/// Gives it the title back that it had; where the terminal does not know, it has none.
const FORMER_TITLE: &str = "\u{1b}]0;\u{7}\u{1b}[23;0t";

/// A terminal that is given back when this is dropped.
#[derive(Debug)]
pub struct Screen {
    /// To draw on.
    pub terminal: Terminal<CrosstermBackend<Outlet>>,
    /// Ends what the terminal says.
    is_silent: Arc<AtomicBool>,
    mouse: bool,
    /// Of the window, if it was given one.
    title: Option<String>,
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
        Ok(Self { terminal, is_silent, mouse, title: None })
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

    /// Calls the window so, until the terminal is given back.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn set_title(&mut self, title: &str) -> io::Result<()> {
        if self.title.as_deref() == Some(title) || !has_title(&env::var("TERM").unwrap_or_default()) {
            return Ok(());
        }
        self.title = Some(title.to_owned());
        self.tell_title()
    }

    fn tell_title(&self) -> io::Result<()> {
        let Some(title) = &self.title else { return Ok(()) };
        let mut stdout = io::stdout();
        if !TITLED.swap(true, Ordering::SeqCst) {
            stdout.write_all(KEEP_TITLE.as_bytes())?;
        }
        stdout.execute(terminal::SetTitle(one_line(title)))?;
        Ok(())
    }

    /// Gives the terminal a text for its clipboard (OSC 52); most ask their user first whether programs may, and say nothing if not.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout();
        stdout.write_all(format!("\u{1b}]52;c;{}\u{7}", base64(text.as_bytes())).as_bytes())?;
        stdout.flush()
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
        self.tell_title()?;
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
    let _ = stdout.write_all(farewell(TITLED.swap(false, Ordering::SeqCst)).as_bytes());
    give_back_keys();
    let _ = stdout.flush();
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4_u32 {
            let digit = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or(0);
            let is_there = place <= u32::try_from(group.len()).unwrap_or(3);
            text.push(if is_there { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

/// Whether this kind of terminal has a window with a title: one without might show what was meant to be it.
fn has_title(term: &str) -> bool {
    !term.is_empty() && !["dumb", "linux", "vt"].iter().any(|without| term.starts_with(without))
}

/// What a terminal is told when it is given back.
fn farewell(is_titled: bool) -> String {
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
    if is_titled {
        words.push_str(FORMER_TITLE);
    }
    words
}

/// Whether keys are read one by one, as they are on a terminal that was taken: a shell that has had it meanwhile reads lines.
#[must_use]
pub fn reads_keys() -> bool {
    tcgetattr(io::stdin()).is_ok_and(|modes| !modes.local_modes.contains(LocalModes::ICANON))
}

/// Whether the terminal on standard input is another job's by now.
fn is_another_s() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp())
}

/// Keys do what they always do, on a terminal that takes no output and so cannot be told anything else.
pub fn give_back_keys() {
    // Whoever has it has seen to its keys; and one that touches them from the background is stopped.
    if !is_another_s() {
        let _ = terminal::disable_raw_mode();
    }
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
                    let _ = rustix::io::write(
                        rustix::stdio::stdout(),
                        farewell(TITLED.swap(false, Ordering::SeqCst)).as_bytes(),
                    );
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
        let words = farewell(true);
        for mode in ["1000l", "1004l", "2004l", "1049l", "25h"] {
            assert!(words.contains(&format!("\u{1b}[?{mode}")), "{mode} in {words:?}");
        }
        assert!(words.ends_with(FORMER_TITLE) && !farewell(false).contains(FORMER_TITLE));
    }

    #[test]
    fn what_is_copied_is_written_as_terminals_read_it() {
        for (text, written) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{3ff}\u{1b}", "z78b")]
        {
            assert_eq!(base64(text.as_bytes()), written);
        }
    }

    #[test]
    fn a_terminal_without_a_window_is_told_no_title() {
        for (term, has) in [("tmux-256color", true), ("xterm", true), ("linux", false), ("vt100", false), ("", false)] {
            assert_eq!(has_title(term), has, "{term}");
        }
    }
}
