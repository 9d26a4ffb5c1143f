//! What this server reads, alone and pure, for those who try to break it: fuzzers.
//!
//! Each function reads what anybody may have sent, or a damaged disk may hold, and gives it back in the form in which the
//! program would write the same, so that a caller can compare: what is read from that form must be the same again.

use bytes::Bytes;
use threefold_proto::peer;

use crate::{
    gateway,
    raft::types::{self, Malformed, from_record, to_record},
};

/// A text frame of a WebSocket.
///
/// # Errors
/// The frame that it is answered with, when it makes no sense.
pub fn websocket(text: &str) -> Result<String, String> {
    gateway::understood(text)
}

/// An entry of the log, as it lies on disk.
///
/// # Errors
/// When it is none.
pub fn log_entry(record: Bytes) -> Result<Bytes, Malformed> {
    let entry = types::entry_from_wire(from_record::<peer::Entry>(record)?)?;
    Ok(to_record(&types::entry_to_wire(&entry)))
}

/// A vote, as it lies on disk.
///
/// # Errors
/// When it is none.
pub fn vote(record: Bytes) -> Result<Bytes, Malformed> {
    let vote = types::vote_from_wire(Some(from_record(record)?))?;
    Ok(to_record(&types::vote_to_wire(&vote)))
}

/// A configuration and its place, as they lie on disk.
///
/// # Errors
/// When it is none.
pub fn configuration(record: Bytes) -> Result<Bytes, Malformed> {
    let stored = types::stored_membership_from_wire(from_record(record)?)?;
    Ok(to_record(&types::stored_membership_to_wire(&stored)))
}
