//! Replicas' states are equal at equal log positions: also those of a server that has since lost its own, and of the
//! same server before and after a restart. What was once shown at a position stays so.

use std::collections::BTreeMap;

use super::Invariant;
use crate::fact::{Fact, Moment};

/// See the module.
#[derive(Default)]
pub struct Agreement {
    /// Who first showed the state after an index, and its digest.
    shown: BTreeMap<u64, (String, u64)>,
}

impl Invariant for Agreement {
    fn name(&self) -> &'static str {
        "replicas agree"
    }

    fn observe(&mut self, _: Moment, fact: &Fact) -> Result<(), String> {
        let Fact::Applied { server, index, digest } = fact else { return Ok(()) };
        let (first, shown) = self.shown.entry(*index).or_insert_with(|| (server.clone(), *digest));
        if shown == digest {
            return Ok(());
        }
        Err(format!("at {index} {first} showed the state {shown:016x}, and {server} shows {digest:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::judge;

    #[test]
    fn another_state_at_the_same_index_is_found() {
        let applied = |server: &str, index, digest| Fact::Applied { server: server.to_owned(), index, digest };
        let mut facts = vec![applied("a", 1, 5), applied("a", 3, 7), applied("b", 3, 7), applied("b", 2, 9)];
        assert_eq!(judge(&mut Agreement::default(), &facts), Ok(()));
        facts.push(applied("b", 1, 6));
        assert!(judge(&mut Agreement::default(), &facts).is_err());
    }
}
