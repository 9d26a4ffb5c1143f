//! While servers are divided, at most one side makes progress: entries that were in no log before are shown by servers
//! of one side only.

use super::Invariant;
use crate::fact::{Fact, Moment};

/// See the module.
#[derive(Default)]
pub struct OneSide {
    divided: Option<Divided>,
}

struct Divided {
    groups: Vec<Vec<String>>,
    log_end: u64,
    /// The side that makes progress, the server that showed it and the entry.
    side: Option<(usize, String, u64)>,
}

impl Invariant for OneSide {
    fn name(&self) -> &'static str {
        "at most one side makes progress"
    }

    fn observe(&mut self, _: Moment, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Divided { groups, log_end } => {
                self.divided = Some(Divided { groups: groups.clone(), log_end: *log_end, side: None });
            }
            Fact::Reunited => self.divided = None,
            Fact::Applied { server, index, .. } => {
                let Some(divided) = self.divided.as_mut().filter(|divided| *index >= divided.log_end) else {
                    return Ok(());
                };
                let Some(side) = divided.groups.iter().position(|group| group.contains(server)) else { return Ok(()) };
                let (first, other, at) = divided.side.get_or_insert_with(|| (side, server.clone(), *index));
                if *first != side {
                    return Err(format!("{other} went on with {at} on one side, and {server} with {index} on another"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::judge;

    #[test]
    fn progress_on_two_sides_is_found() {
        let applied = |server: &str, index| Fact::Applied { server: server.to_owned(), index, digest: 1 };
        let groups = vec![vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]];
        let divided = Fact::Divided { groups, log_end: 10 };
        let one = [divided.clone(), applied("b", 11), applied("a", 9), applied("c", 12)];
        assert_eq!(judge(&mut OneSide::default(), &one), Ok(()), "what was in the logs before may be learned late");
        let healed = [divided.clone(), applied("b", 11), Fact::Reunited, applied("a", 11)];
        assert_eq!(judge(&mut OneSide::default(), &healed), Ok(()));
        assert!(judge(&mut OneSide::default(), &[divided, applied("b", 11), applied("a", 10)]).is_err());
    }
}
