//! Draws `up`'s table on a thread of its own. A terminal may take no output for as long as it likes (one that is stopped, a connection that hangs):
//! the servers are looked after meanwhile.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::Duration,
};

use super::table::{Table, view};
use crate::tui::terminal::Screen;

/// A terminal that has not taken what was written to it in this time takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is drawn on.
pub(super) trait Canvas: Send + 'static {
    /// What was drawn before is not to be relied on, if it is to be `anew`.
    fn draw(&mut self, table: &Table, anew: bool) -> io::Result<()>;
    /// The terminal is as it was before, until it is taken again.
    fn give_back(&mut self);
    fn take_again(&mut self) -> io::Result<()>;
}

impl Canvas for Screen {
    fn draw(&mut self, table: &Table, anew: bool) -> io::Result<()> {
        if anew {
            self.redraw()?;
        }
        self.terminal.draw(|frame| view(frame, table)).map(drop)
    }

    fn give_back(&mut self) {
        Screen::give_back(self);
    }

    fn take_again(&mut self) -> io::Result<()> {
        Screen::take_again(self)
    }
}

/// What the thread is to do, one thing after the other.
enum Job {
    Draw(Box<Table>, bool),
    GiveBack(SyncSender<io::Result<()>>),
    TakeAgain(SyncSender<io::Result<()>>),
}

/// The thread, as seen from outside. When this is dropped it gives the terminal back, as soon as that takes what was written before.
#[derive(Debug)]
pub(super) struct Painter {
    /// One at a time: a frame that there is no time for is dropped, and the next one shows what it would have shown.
    jobs: SyncSender<Job>,
    /// Ends with the thread.
    end: Receiver<()>,
}

impl Painter {
    /// Draws on this from now on.
    pub(super) fn start(mut canvas: impl Canvas) -> io::Result<Self> {
        let (jobs, todo) = sync_channel(1);
        let (ended, end) = channel();
        let paint = move || {
            // Whoever asks finds the thread gone where the terminal fails.
            while let Ok(job) = todo.recv() {
                let done = match job {
                    Job::Draw(table, anew) => canvas.draw(&table, anew),
                    Job::GiveBack(answer) => {
                        canvas.give_back();
                        answered(&answer, Ok(()))
                    }
                    Job::TakeAgain(answer) => answered(&answer, canvas.take_again()),
                };
                if done.is_err() {
                    break;
                }
            }
            drop(canvas);
            drop(ended);
        };
        thread::Builder::new().name("table".to_owned()).spawn(paint)?;
        Ok(Self { jobs, end })
    }

    /// Draws this, if there is time for it: whether there was.
    pub(super) fn draw(&self, table: &Table, anew: bool) -> io::Result<bool> {
        self.put(Job::Draw(Box::new(table.clone()), anew))
    }

    /// Gives the terminal back until it is taken again.
    pub(super) fn give_back(&self) -> io::Result<()> {
        self.ask(Job::GiveBack)
    }

    /// Takes the terminal again.
    pub(super) fn take_again(&self) -> io::Result<()> {
        self.ask(Job::TakeAgain)
    }

    /// Gives the terminal back. Whether it is: one that takes nothing is not, and whoever writes to it waits.
    pub(super) fn leave(self) -> bool {
        let Self { jobs, end } = self;
        drop(jobs);
        end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected)
    }

    fn put(&self, job: Job) -> io::Result<bool> {
        match self.jobs.try_send(job) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    /// Waits until it is done: what somebody at the terminal asks for, the terminal takes.
    fn ask(&self, job: impl Fn(SyncSender<io::Result<()>>) -> Job) -> io::Result<()> {
        const PAUSE: Duration = Duration::from_millis(10);
        let (answer, answers) = sync_channel(1);
        let mut waited = Duration::ZERO;
        while !self.put(job(answer.clone()))? {
            if waited >= PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(PAUSE);
            waited += PAUSE;
        }
        drop(answer);
        answers.recv_timeout(PATIENCE).map_err(|_| gone())?
    }
}

fn answered(answer: &SyncSender<io::Result<()>>, done: io::Result<()>) -> io::Result<()> {
    let kind = done.as_ref().err().map(io::Error::kind);
    // Whoever asked may have given up.
    let _ = answer.try_send(done);
    kind.map_or(Ok(()), |kind| Err(kind.into()))
}

fn gone() -> io::Error {
    io::Error::other("the terminal takes nothing")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc::Sender};

    use super::*;
    use crate::tui::theme::{Colours, Theme};

    /// What happened to a canvas.
    type Seen = Arc<Mutex<Vec<&'static str>>>;

    /// Takes a frame only when it is let.
    struct Slow {
        seen: Seen,
        begun: Sender<()>,
        go_on: Receiver<io::Result<()>>,
    }

    impl Canvas for Slow {
        fn draw(&mut self, _: &Table, _: bool) -> io::Result<()> {
            self.begun.send(()).unwrap();
            let result = self.go_on.recv().unwrap_or_else(|_| Err(gone()));
            self.seen.lock().unwrap().push("drawn");
            result
        }

        fn give_back(&mut self) {
            self.seen.lock().unwrap().push("lent");
        }

        fn take_again(&mut self) -> io::Result<()> {
            self.seen.lock().unwrap().push("taken");
            Ok(())
        }
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            self.seen.lock().unwrap().push("given back");
        }
    }

    fn slow() -> (Painter, Table, Seen, Receiver<()>, Sender<io::Result<()>>) {
        let (seen, (begun, begins), (go_on, lets)) = (Seen::default(), channel(), channel());
        let painter = Painter::start(Slow { seen: Arc::clone(&seen), begun, go_on: lets }).unwrap();
        (painter, Table::new(Theme::new(Colours::None), "x", std::iter::empty()), seen, begins, go_on)
    }

    #[test]
    fn a_terminal_that_takes_nothing_holds_nobody_up() {
        let (painter, table, seen, begins, go_on) = slow();
        assert!(painter.draw(&table, false).unwrap());
        begins.recv().unwrap();
        assert!(painter.draw(&table, false).unwrap(), "the next one waits");
        for _ in 0..1_000 {
            assert!(!painter.draw(&table, false).unwrap(), "those beyond it are dropped");
        }
        assert!(painter.give_back().is_err());
        assert!(!painter.leave(), "it is not given back as long as it takes nothing");
        // Once it does, it is.
        go_on.send(Ok(())).unwrap();
        begins.recv().unwrap();
        go_on.send(Ok(())).unwrap();
        assert!(begins.recv().is_err(), "the canvas is gone");
        assert_eq!(*seen.lock().unwrap(), ["drawn", "drawn", "given back"]);
    }

    #[test]
    fn a_terminal_that_fails_is_given_back_and_told_of() {
        let (painter, table, _, begins, go_on) = slow();
        assert!(painter.draw(&table, false).unwrap());
        go_on.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        begins.recv().unwrap();
        assert!(begins.recv().is_err(), "the canvas is gone");
        while painter.draw(&table, false).is_ok() {
            thread::yield_now();
        }
        assert!(painter.leave());
    }

    #[test]
    fn it_is_lent_and_taken_again_in_order() {
        let (painter, _, seen, ..) = slow();
        painter.give_back().unwrap();
        painter.take_again().unwrap();
        assert!(painter.leave());
        assert_eq!(*seen.lock().unwrap(), ["lent", "taken", "given back"]);
    }
}
