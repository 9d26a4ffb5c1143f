//! What somebody searches for.

use threefold_server::search::Question;

/// The first line is searched for, the rest is a text.
pub fn search_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (query, text) = text.split_once('\n').unwrap_or((text, text));
    let question = match Question::parse(query) {
        Ok(question) => question,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(question.marks(query).is_some(), "a text says what it says: {query:?}");
    for text in [query, text] {
        let Some(marks) = question.marks(text) else { continue };
        let end = text.chars().count();
        assert!(!marks.is_empty() && marks.iter().all(|mark| mark.start < mark.end && mark.end <= end), "{marks:?}");
        assert!(marks.is_sorted_by(|before, after| before.end < after.start), "in order and apart: {marks:?}");
    }
}
