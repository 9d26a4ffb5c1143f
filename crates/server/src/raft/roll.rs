//! The roll: what operators have said of servers, by name.
//!
//! A server's node id is not known before it starts, so the word is about a name. It is an entry of the log and a record
//! of the replicated state: every later leader knows it, and whoever receives a whole state receives it too. It counts
//! for servers that are not members: an invited one is admitted when it asks, a removed one is not, though it be
//! configured everywhere. Left out: who is a member, which is the configuration's.

use threefold_core::store::{Read, StoreError, Write};
use threefold_proto::peer::{self, operators_word::Word as WireWord};

use super::types::{Malformed, Payload, from_record, to_record};

/// First byte of an entry with an operator's word: a record of [`peer::OperatorsWord`] follows.
pub(super) const OPERATORS_WORD: u8 = 0xF1;
/// Before the name, in the keys of the state. (Prefix 0x00 is the server's.)
const KEY_PREFIX: &[u8] = &[0x00, 3];

/// An operator's word on the server of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It may join.
    Invited {
        /// Where it will be, as the operator said.
        peer_address: String,
        /// The name of the server whose place it takes; none: the cluster grows.
        in_place_of: Option<String>,
    },
    /// It has left, and does not come back by itself.
    Removed,
}

/// The payload of an entry that keeps `word` on the server called `name`.
pub(super) fn entry(name: &str, word: &Word) -> Payload {
    let mut bytes = vec![OPERATORS_WORD];
    bytes.extend(to_record(&to_wire(name, word)));
    Payload(bytes.into())
}

/// Applies such an entry; `record` is what follows its first byte. The last word on a name counts.
///
/// # Errors
/// When it makes no sense, or the state cannot be written.
pub(super) fn apply(state: &mut impl Write, record: &[u8]) -> Result<(), StoreError> {
    let (name, _) = decode(record.to_vec())?;
    state.put(key(&name), record.to_vec());
    Ok(())
}

/// The last word on the server called `name`, if any was ever said.
///
/// # Errors
/// When the state cannot be read, or is damaged.
pub(super) fn read(state: &dyn Read, name: &str) -> Result<Option<Word>, StoreError> {
    let record = state.get(&key(name))?;
    Ok(record.map(decode).transpose()?.map(|(_, word)| word))
}

/// A name and the word on it.
fn decode(record: Vec<u8>) -> Result<(String, Word), StoreError> {
    let peer::OperatorsWord { name, word } = from_record(record.into()).map_err(corrupt)?;
    let word = match word {
        Some(WireWord::Removed(peer::Removed {})) => Word::Removed,
        Some(WireWord::Invited(peer::Invite { peer_address, in_place_of, .. })) => {
            Word::Invited { peer_address, in_place_of: Some(in_place_of).filter(|name| !name.is_empty()) }
        }
        None => return Err(corrupt(Malformed("operator's word: of a kind that this version does not know"))),
    };
    Ok((name, word))
}

fn corrupt(error: Malformed) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

fn key(name: &str) -> Vec<u8> {
    [KEY_PREFIX, name.as_bytes()].concat()
}

fn to_wire(name: &str, word: &Word) -> peer::OperatorsWord {
    let name = name.to_owned();
    let word = match word {
        Word::Removed => WireWord::Removed(peer::Removed {}),
        Word::Invited { peer_address, in_place_of } => WireWord::Invited(peer::Invite {
            name: name.clone(),
            peer_address: peer_address.clone(),
            in_place_of: in_place_of.clone().unwrap_or_default(),
        }),
    };
    peer::OperatorsWord { name, word: Some(word) }
}

#[cfg(test)]
mod tests {
    use threefold_core::store::Overlay;

    use super::*;
    use crate::storage::{StateStore, memory::MemoryState};

    fn say(state: &MemoryState, name: &str, word: &Word) {
        let payload = entry(name, word);
        let (first, record) = payload.0.split_first().unwrap();
        assert_eq!(*first, OPERATORS_WORD);
        let mut overlay = Overlay::new(state);
        apply(&mut overlay, record).unwrap();
        state.commit(overlay.into_changes()).unwrap();
    }

    #[test]
    fn the_last_word_on_a_name_counts() {
        let state = MemoryState::default();
        assert_eq!(read(&state, "server-4").unwrap(), None);
        let invited = |in_place_of: Option<&str>| Word::Invited {
            peer_address: "127.0.0.1:7503".to_owned(),
            in_place_of: in_place_of.map(str::to_owned),
        };
        for word in [invited(None), Word::Removed, invited(Some("server-1"))] {
            say(&state, "server-4", &word);
            assert_eq!(read(&state, "server-4").unwrap(), Some(word));
        }
        assert_eq!(read(&state, "server-40").unwrap(), None);
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_not_applied() {
        let state = MemoryState::default();
        for record in [&[][..], &[2, 0], &[1, 0xff]] {
            assert!(apply(&mut Overlay::new(&state), record).is_err());
        }
    }
}
