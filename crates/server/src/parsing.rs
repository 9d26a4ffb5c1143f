//! What this server reads, alone and pure, for those who try to break it: fuzzers.
//!
//! Each function reads what anybody may have sent, or a damaged disk may hold, and gives it back in the form in which the
//! program would write the same, so that a caller can compare: what is read from that form must be the same again.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
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

/// A post to a webhook, with its `Content-Type` and its `Idempotency-Key` if it has them: the text, and its name among the webhook's.
///
/// # Errors
/// What the poster is told, when it makes no sense.
pub fn webhook(content_type: Option<&[u8]>, key: Option<&[u8]>, body: &[u8]) -> Result<(String, u64), String> {
    let headers = headers(&[(header::CONTENT_TYPE, content_type), (HeaderName::from_static("idempotency-key"), key)]);
    let read = gateway::posted(&headers, body).map_err(|refusal| refusal.to_string())?;
    Ok((read.0, read.1.0))
}

/// The parameters of a query.
#[must_use]
pub fn query(query: &str) -> BTreeMap<String, String> {
    gateway::parameters(query)
}

/// What a `Range` asks for of a file of that size: the first and the last byte, all of it, or none where it begins behind the end.
#[must_use]
pub fn range(header: &str, bytes: u64) -> Option<std::ops::RangeInclusive<u64>> {
    gateway::range(header, bytes)
}

/// Whether a page of this origin may connect, where the server was asked at this host, with these members and these allowed origins.
#[must_use]
pub fn origin(origin: &[u8], host: Option<&[u8]>, members: &[String], allowed: &[String]) -> bool {
    let headers = headers(&[(header::ORIGIN, Some(origin)), (header::HOST, host)]);
    gateway::Origins::new(allowed.to_vec()).check(&headers, members).is_ok()
}

/// What can be said in a header; the rest never gets so far.
fn headers(said: &[(HeaderName, Option<&[u8]>)]) -> HeaderMap {
    let value =
        |(name, value): &(HeaderName, Option<&[u8]>)| Some((name.clone(), HeaderValue::from_bytes((*value)?).ok()?));
    said.iter().filter_map(value).collect()
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
