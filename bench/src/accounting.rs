//! What the operating system charges processes: processor time and memory, read from `/proc`.

use std::{fs, time::Instant};

use anyhow::Context as _;

/// Kernel clock ticks a second: USER_HZ, 100 on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Some processes, each with the name it has in tables.
#[derive(Clone, Debug, Default)]
pub struct Processes(Vec<(String, u32)>);

/// What the processes, and this one, had used at one instant.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    /// Seconds of user and system time, process by process.
    seconds: Vec<f64>,
    /// The same of this process.
    own_seconds: f64,
}

/// What was used between two readings.
#[derive(Clone, Debug)]
pub struct Usage {
    /// Names of the processes.
    pub names: Vec<String>,
    /// Seconds between the readings.
    pub elapsed: f64,
    /// Seconds of user and system time, process by process.
    pub seconds: Vec<f64>,
    /// The same of this process, the generator.
    pub own_seconds: f64,
    /// Resident memory at the end in KiB, process by process.
    pub resident_kib: Vec<u64>,
}

impl Processes {
    /// These processes, by name and id.
    pub fn new(processes: Vec<(String, u32)>) -> Self {
        Self(processes)
    }

    /// Seconds of processor time used so far.
    ///
    /// # Errors
    /// When one of the processes is gone.
    pub fn read(&self) -> anyhow::Result<Reading> {
        let seconds =
            self.0.iter().map(|(_, pid)| processor_seconds(&pid.to_string())).collect::<anyhow::Result<_>>()?;
        Ok(Reading { at: Instant::now(), seconds, own_seconds: processor_seconds("self")? })
    }

    /// What was used since `before`.
    ///
    /// # Errors
    /// When one of the processes is gone.
    pub fn since(&self, before: &Reading) -> anyhow::Result<Usage> {
        let now = self.read()?;
        let seconds = now.seconds.iter().zip(&before.seconds).map(|(now, before)| now - before).collect();
        Ok(Usage {
            names: self.0.iter().map(|(name, _)| name.clone()).collect(),
            elapsed: now.at.duration_since(before.at).as_secs_f64(),
            seconds,
            own_seconds: now.own_seconds - before.own_seconds,
            resident_kib: self.resident_kib()?,
        })
    }

    /// Resident memory of each in KiB.
    ///
    /// # Errors
    /// When one of the processes is gone.
    pub fn resident_kib(&self) -> anyhow::Result<Vec<u64>> {
        self.0.iter().map(|(_, pid)| resident_kib(*pid)).collect()
    }
}

impl Reading {
    /// Seconds of processor time of all processes since each was started.
    pub fn total_seconds(&self) -> f64 {
        self.seconds.iter().sum()
    }
}

impl Usage {
    /// Processor time of all processes together, in microseconds a message.
    pub fn microseconds_a_message(&self, messages: u64) -> f64 {
        self.seconds.iter().sum::<f64>() * 1e6 / messages.max(1) as f64
    }

    /// Processor time of the generator, in microseconds a message.
    pub fn own_microseconds_a_message(&self, messages: u64) -> f64 {
        self.own_seconds * 1e6 / messages.max(1) as f64
    }
}

/// Seconds of user and system time that a process (an id, or `self`) has used, all its threads together.
fn processor_seconds(pid: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: has the process ended?"))?;
    let ticks = processor_ticks(&stat).with_context(|| format!("{path} is not as expected"))?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// User and system time in ticks: fields 14 and 15 of `/proc/PID/stat`, see proc(5).
fn processor_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// When it is gone.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: has the process ended?"))?;
    resident(&status).with_context(|| format!("{path} names no resident memory"))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let fields = "S 1 2 3 4 -1 4194304 10 0 0 0 250 50 7 8 20 0 4 0 12345 1000 200";
        assert_eq!(processor_ticks(&format!("42 (threefold) {fields}")), Some(300));
        assert_eq!(processor_ticks(&format!("42 (a ) b (c)) {fields}")), Some(300));
        assert_eq!(processor_ticks("42 (threefold) S 1 2"), None);
        assert_eq!(processor_ticks(""), None);
    }

    #[test]
    fn resident_memory_is_found_or_missing() {
        assert_eq!(resident("Name:\tx\nVmPeak:\t  9 kB\nVmRSS:\t   5120 kB\nThreads:\t3\n"), Some(5120));
        assert_eq!(resident("Name:\tkthreadd\nThreads:\t1\n"), None);
    }

    #[test]
    fn this_process_can_be_read_and_a_missing_one_is_an_error() {
        let processes = Processes::new(vec![("self".into(), std::process::id())]);
        let usage = processes.since(&processes.read().unwrap()).unwrap();
        assert!(usage.seconds[0] >= 0.0 && usage.resident_kib[0] > 0);
        assert!(Processes::new(vec![("nobody".into(), u32::MAX)]).read().is_err());
    }
}
