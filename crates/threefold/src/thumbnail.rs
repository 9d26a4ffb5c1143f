//! `threefold make-thumbnail`, which servers call for each picture; people do not.
//!
//! What it decodes came from anybody. So it has bounds of its own, that hold though the server that started it is gone: memory, processor
//! time, and nothing left behind; and where the machine's memory ends, it goes before those that people talk through. What the system
//! does not grant of this is bounded by the decoders, and by the patience of the server.

use std::{fs, io, path::PathBuf};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use threefold_server::gateway;

use crate::exit::Failure;

/// Memory for decoding: three times what the largest picture needs.
const MEMORY_BYTES: u64 = 1 << 30;
/// As long as a server waits for it, should it compute all that time.
const PROCESSOR_S: u64 = 30;
/// Who talks has the processors first.
const NICENESS: i32 = 10;
/// The first to go (proc(5), `oom_score_adj`).
const FIRST_TO_GO: &str = "1000";

/// The program that a server calls: this one, though it may have been replaced on disk by a newer one meanwhile, where the system lets it be
/// named so. None: there is no knowing where it is.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Some(running) } else { std::env::current_exe().ok() }
}

/// Makes a thumbnail of what is on standard input, on standard output.
///
/// # Errors
/// When these cannot be read or written.
pub fn make() -> Result<(), Failure> {
    bound();
    // A decoder that panics does so with each try. Nothing is answered before it is done.
    std::panic::set_hook(Box::new(|_| {
        let answered = gateway::answer_damaged(io::stdout());
        std::process::exit(i32::from(answered.is_err()));
    }));
    let made = gateway::make_thumbnail(io::stdin().lock(), io::stdout().lock());
    made.map_err(|error| Failure::Refused(error.to_string()))
}

fn bound() {
    // What the allocator has mapped in advance counts; without it, there would be a limit that is reached at the start.
    let mapped = mapped_bytes().unwrap_or(MEMORY_BYTES);
    let memory = mapped.saturating_add(MEMORY_BYTES);
    let limits = [(Resource::Data, memory), (Resource::Cpu, PROCESSOR_S), (Resource::Core, 0)];
    for (resource, most) in limits {
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
    let _ = nice(NICENESS);
    let _ = fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
}

/// What counts against the limit of memory already, where the system says so.
fn mapped_bytes() -> Option<u64> {
    of_status(&fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_read_as_the_system_writes_it() {
        assert_eq!(of_status("Name:\tx\nVmData:\t 1052816 kB\nVmStk:\t     132 kB\n"), Some(1_052_816 << 10));
        assert_eq!(of_status("VmData:\t99999999999999999999 kB\n"), None);
        assert_eq!(of_status("Name:\tx\n"), None);
        #[cfg(target_os = "linux")]
        assert!(mapped_bytes().is_some_and(|bytes| bytes > 0));
    }
}
