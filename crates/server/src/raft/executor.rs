//! Where `apply` runs: off the async runtime, for a database write can block for 100 ms and more.

use std::{sync::mpsc, thread};

use tokio::sync::oneshot;

/// Work for an executor.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs one after another, in the order they were given.
pub trait Executor: Send + Sync + 'static {
    /// Gives a job.
    fn execute(&self, job: Job);
}

/// Runs `work` on `executor` and waits for its result. None: the executor has stopped.
pub async fn run<T: Send + 'static>(executor: &dyn Executor, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tx, rx) = oneshot::channel();
    executor.execute(Box::new(move || {
        let _ = tx.send(work());
    }));
    rx.await.ok()
}

/// A thread of its own.
pub struct ThreadExecutor {
    jobs: mpsc::Sender<Job>,
}

impl ThreadExecutor {
    /// Starts the thread; it ends when this is dropped and its jobs are done.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn start(name: &str) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in queue {
                job();
            }
        })?;
        Ok(Self { jobs })
    }
}

impl Executor for ThreadExecutor {
    fn execute(&self, job: Job) {
        // If the thread is gone the job is dropped, and with it the sender its owner waits on.
        let _ = self.jobs.send(job);
    }
}

/// Runs every job at once, in the caller: for simulations, which have one thread.
pub struct InlineExecutor;

impl Executor for InlineExecutor {
    fn execute(&self, job: Job) {
        job();
    }
}
