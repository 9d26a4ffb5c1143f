//! Paging: how much, and from where.

use threefold_core::{EventId, Position, bounds, query::Page};

use super::Refusal;
use crate::chat::history_request::From as Start;

/// Entries of a page when the client names no number.
const DEFAULT_PAGE: usize = 50;
/// The same of a search.
const DEFAULT_SEARCH_PAGE: usize = 20;

/// Entries of a page: zero means 50, and more than 200 are refused rather than cut, for a client that
/// counts on more would take the cut for the end.
///
/// # Errors
/// When the limit is beyond its bound.
pub fn page_limit(limit: u32) -> Result<usize, Refusal> {
    match limit as usize {
        0 => Ok(DEFAULT_PAGE),
        limit if limit <= bounds::PAGE => Ok(limit),
        limit => Err(Refusal::invalid(format!("a page has at most {} entries, not {limit}", bounds::PAGE))),
    }
}

/// Messages of a page of a search: zero means 20, and more than 50 are refused.
///
/// # Errors
/// When the limit is beyond its bound.
pub fn search_limit(limit: u32) -> Result<usize, Refusal> {
    match limit as usize {
        0 => Ok(DEFAULT_SEARCH_PAGE),
        limit if limit <= bounds::SEARCH_PAGE => Ok(limit),
        limit => Err(Refusal::invalid(format!("a search gives at most {} messages, not {limit}", bounds::SEARCH_PAGE))),
    }
}

/// Where a page of history starts; the newest one without a word.
#[must_use]
pub fn history_page(from: Option<Start>) -> Page {
    match from {
        None | Some(Start::Before(0)) => Page::Before(None),
        Some(Start::Before(id)) => Page::Before(Some(EventId(id))),
        Some(Start::After(id)) => Page::After(Position(id)),
        Some(Start::Around(id)) => Page::Around(EventId(id)),
        Some(Start::AtMs(time_ms)) => Page::At(time_ms),
    }
}

/// Messages asked for by their ids.
///
/// # Errors
/// When there are none, or more than may be asked for at once.
pub fn message_ids(ids: Vec<u64>) -> Result<Vec<EventId>, Refusal> {
    let most = bounds::MESSAGES_BY_ID;
    if ids.is_empty() || ids.len() > most {
        return Err(Refusal::invalid(format!("1 to {most} messages can be asked for at once, not {}", ids.len())));
    }
    Ok(ids.into_iter().map(EventId).collect())
}

/// A search pattern within its bound.
///
/// # Errors
/// When it is longer.
pub fn pattern(pattern: String) -> Result<String, Refusal> {
    if pattern.len() > bounds::PATTERN_BYTES {
        let bound = bounds::PATTERN_BYTES;
        return Err(Refusal::invalid(format!("a pattern has at most {bound} bytes, not {}", pattern.len())));
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(page_limit(0), Ok(50));
        assert_eq!(page_limit(1), Ok(1));
        assert_eq!(page_limit(200), Ok(200));
        assert!(page_limit(201).is_err());
        assert!(page_limit(u32::MAX).is_err());
        assert_eq!((search_limit(0), search_limit(50)), (Ok(20), Ok(50)));
        assert!(search_limit(51).is_err());
    }

    #[test]
    fn starts() {
        assert_eq!(history_page(None), Page::Before(None));
        assert_eq!(history_page(Some(Start::Before(0))), Page::Before(None));
        assert_eq!(history_page(Some(Start::Before(9))), Page::Before(Some(EventId(9))));
        assert_eq!(history_page(Some(Start::After(0))), Page::After(Position(0)));
        assert_eq!(history_page(Some(Start::Around(9))), Page::Around(EventId(9)));
        assert_eq!(history_page(Some(Start::AtMs(9))), Page::At(9));
    }

    #[test]
    fn ids() {
        assert_eq!(message_ids(vec![3, 1]), Ok(vec![EventId(3), EventId(1)]));
        assert!(message_ids(vec![]).is_err() && message_ids(vec![1; 101]).is_err());
    }

    #[test]
    fn patterns() {
        assert!(pattern("*".repeat(64)).is_ok());
        assert!(pattern("*".repeat(65)).is_err());
    }
}
