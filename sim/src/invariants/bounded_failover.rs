//! After as many crashes as are promised to be survived (of three servers one, in survivor mode two, of five two), all else
//! being in order, the cluster goes on within a bound: a message that was sent after them is acknowledged.

use std::time::Duration;

use super::Invariant;
use crate::fact::{Fact, Moment, Sent};

/// What it may take: a dead process is noticed at once and replaced in tens of milliseconds, but people notice by
/// themselves that their server is gone, and a crash may meet an election or a server that is still catching up.
const BOUND: Duration = Duration::from_secs(4);

/// See the module.
#[derive(Default)]
pub struct BoundedFailover {
    crash: Option<Crash>,
}

struct Crash {
    servers: usize,
    time: Duration,
    sent_since: Vec<String>,
}

impl Invariant for BoundedFailover {
    fn name(&self) -> &'static str {
        "crashes are survived within a bound"
    }

    fn observe(&mut self, moment: Moment, fact: &Fact) -> Result<(), String> {
        if let Fact::CrashedFromOrder { servers } = fact {
            self.crash = Some(Crash { servers: *servers, time: moment.time, sent_since: Vec::new() });
            return Ok(());
        }
        let Some(crash) = &mut self.crash else { return Ok(()) };
        let took = moment.time.saturating_sub(crash.time);
        match fact {
            Fact::SendBegan(sending) => crash.sent_since.push(sending.text()),
            Fact::SendEnded(sending, Sent::Acknowledged(_)) if crash.sent_since.contains(&sending.text()) => {
                self.crash = None;
                return Ok(());
            }
            _ => {}
        }
        if took > BOUND {
            return Err(format!(
                "{} servers crashed, and {took:?} later nothing sent since is acknowledged",
                crash.servers
            ));
        }
        if matches!(fact, Fact::OrderlyNoLonger) {
            self.crash = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{acknowledged, began, judge};

    #[test]
    fn only_what_was_sent_after_the_crash_shows_that_it_goes_on() {
        let crash = Fact::CrashedFromOrder { servers: 1 };
        let silence = || std::iter::repeat_n(Fact::Remark("later".to_owned()), 5);
        let goes_on: Vec<_> = [crash.clone(), began(1), acknowledged(1, 9)].into_iter().chain(silence()).collect();
        assert_eq!(judge(&mut BoundedFailover::default(), &goes_on), Ok(()));
        let hangs: Vec<_> = [began(1), crash, acknowledged(1, 9)].into_iter().chain(silence()).collect();
        assert!(judge(&mut BoundedFailover::default(), &hangs).is_err());
    }
}
