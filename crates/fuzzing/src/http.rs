//! What comes over plain HTTP: posts to webhooks, queries, ranges of files, and where a page says that it comes from.

use std::fmt::Write as _;

use threefold_server::parsing;

/// The first byte says which of them the rest is.
pub fn http_inputs(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => webhook(rest),
        1 => query(rest),
        2 => range(rest),
        _ => origin(rest),
    }
}

/// A first line, and what is behind it.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

fn some(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

/// A content type, a key, and a body: what was understood means the same as JSON and as a text, under the same name.
fn webhook(data: &[u8]) {
    let (content_type, rest) = line(data);
    let (key, body) = line(rest);
    let (text, name) = match parsing::webhook(some(content_type), some(key), body) {
        Ok(read) => read,
        Err(words) => return assert!(!words.is_empty()),
    };
    let again = serde_json::json!({"text": text, "request": "a name"}).to_string();
    let (same, named) = parsing::webhook(None, None, again.as_bytes()).expect("what was understood is written again");
    assert_eq!(same, text);
    if parsing::webhook(None, Some(b"a name"), again.as_bytes()).is_ok_and(|(_, other)| other != named) {
        panic!("the body's name goes before the header's");
    }
    let again = serde_json::json!({"text": text}).to_string();
    let is_own = parsing::webhook(None, some(key), again.as_bytes()).is_ok_and(|(_, other)| other == name);
    let is_named_in_body =
        serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|body| body.get("request").is_some());
    let is_header = can_be_said(key);
    assert!(is_own || is_named_in_body || !is_header, "a key is the name of the request");
}

/// Whether it can stand in a header at all: else it was none, and the name is a random one.
fn can_be_said(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f))
}

/// Parameters that are written again are the same.
fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parameters = parsing::query(text);
    assert!(parameters.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 3 * text.len());
    let mut again = String::new();
    for (name, value) in &parameters {
        for (part, end) in [(name, '='), (value, '&')] {
            part.bytes().for_each(|byte| write!(again, "%{byte:02x}").expect("memory"));
            again.push(end);
        }
    }
    assert_eq!(parsing::query(&again), parameters);
}

/// A size and a header: what is given lies within the file, and asked for by its numbers is the same.
fn range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk::<8>() else { return };
    let (size, Ok(header)) = (u64::from_be_bytes(*size), std::str::from_utf8(header)) else { return };
    let Some(range) = parsing::range(header, size) else { return };
    assert!(range.start() <= range.end() && *range.end() < size, "{header}: {range:?} of {size}");
    let again = format!("bytes={}-{}", range.start(), range.end());
    assert_eq!(parsing::range(&again, size), Some(range));
}

/// An origin, a host, a member and an allowed origin, a line each: who is let in by one of them is let in by it alone, in any case of letters.
fn origin(data: &[u8]) {
    let (origin, rest) = line(data);
    let (host, rest) = line(rest);
    let (member, allowed) = line(rest);
    let (member, allowed) = (String::from_utf8_lossy(member), String::from_utf8_lossy(allowed));
    let (members, allowed) = (vec![member.into_owned()], vec![allowed.into_owned()]);
    let whole = parsing::origin(origin, Some(host), &members, &allowed);
    let by_host = parsing::origin(origin, Some(host), &[], &[]);
    let by_member = parsing::origin(origin, None, &members, &[]);
    let by_list = parsing::origin(origin, None, &[], &allowed);
    assert_eq!(whole, by_host || by_member || by_list);
    let shouted = host.to_ascii_uppercase();
    assert_eq!(by_host, parsing::origin(origin, Some(&shouted), &[], &[]));
}
