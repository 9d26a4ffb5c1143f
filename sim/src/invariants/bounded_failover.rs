//! After as many crashes as are promised to be survived (of three servers one, in survivor mode two, of five two), all else
//! being in order, the cluster goes on within a bound: a message that was sent after them is acknowledged.

use std::time::Duration;

use super::Invariant;
use crate::fact::{Fact, Moment, Sent};

/// What it may take: a dead process is noticed at once and replaced in tens of milliseconds, but people notice by
/// themselves that their server is gone, and a crash may meet an election or a server that is still catching up.
const BOUND: Duration = Duration::from_secs(4);

/// A cluster in which nothing was acknowledged for so long before the crash was not in order: after all have been down it may still
/// wait for the very server that crashes now, and must (a cold start needs every in-sync disk).
const LATELY: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Default)]
pub struct BoundedFailover {
    acknowledged: Option<Duration>,
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
            let crash = Crash { servers: *servers, time: moment.time, sent_since: Vec::new() };
            let lately = |acknowledged: &Duration| moment.time.saturating_sub(*acknowledged) <= LATELY;
            self.crash = self.acknowledged.filter(lately).map(|_| crash);
            return Ok(());
        }
        if matches!(fact, Fact::SendEnded(_, Sent::Acknowledged(_))) {
            self.acknowledged = Some(moment.time);
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
        let crash = || Fact::CrashedFromOrder { servers: 1 };
        let in_order = || [began(0), acknowledged(0, 8)].into_iter();
        let silence = || std::iter::repeat_n(Fact::Remark("later".to_owned()), 5);
        let goes_on: Vec<_> = in_order().chain([crash(), began(1), acknowledged(1, 9)]).chain(silence()).collect();
        assert_eq!(judge(&mut BoundedFailover::default(), &goes_on), Ok(()));
        let hangs: Vec<_> = in_order().chain([began(1), crash(), acknowledged(1, 9)]).chain(silence()).collect();
        assert!(judge(&mut BoundedFailover::default(), &hangs).is_err());
        let was_waiting: Vec<_> = [began(1), crash()].into_iter().chain(silence()).collect();
        assert_eq!(judge(&mut BoundedFailover::default(), &was_waiting), Ok(()), "not in order before");
    }
}
