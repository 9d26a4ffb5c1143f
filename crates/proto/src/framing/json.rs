//! JSON lines: one object a line (RFC 8259 within, `\n` or `\r\n` between).
//!
//! Of a request all fields but `cmd` may be missing or null, a number may stand where a text of digits is meant, and
//! fields that are not known are passed over. A reply has all five, and may have others behind them: its
//! [`super::Details`].

use serde::{Deserialize, Serialize};

use super::{Details, Input, Reply, Request};

/// What a program may write for a field.
#[derive(Default, Deserialize)]
#[serde(untagged, expecting = "a text is expected")]
enum Field {
    #[default]
    Nothing,
    Words(String),
    Number(u64),
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        match field {
            Field::Nothing => Self::new(),
            Field::Words(words) => words,
            Field::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object such as {\"cmd\": \"help\"}")]
struct Line {
    cmd: String,
    #[serde(default)]
    src: Field,
    #[serde(default)]
    to: Field,
    #[serde(default)]
    body: Field,
    #[serde(default)]
    request: Field,
}

/// The request of a line; none where the line is blank.
pub(super) fn decode(line: &[u8]) -> Option<Input> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    // An array of the fields' values is accepted by the library, and meant by nobody.
    let is_object = line.trim_ascii_start().first() == Some(&b'{');
    let line =
        if is_object { serde_json::from_slice(line).map_err(|error| error.to_string()) } else { Err(String::new()) };
    Some(match line {
        Ok(Line { cmd, src, to, body, request }) => {
            let request = Some(String::from(request)).filter(|request| !request.is_empty());
            Input::Request(Request { cmd, src: src.into(), to: to.into(), body: body.into(), request })
        }
        Err(error) => {
            let why = if error.is_empty() { error } else { format!(" ({error})") };
            Input::Malformed {
                cmd: String::new(),
                words: format!("a line holds one JSON object such as {{\"cmd\": \"help\"}}{why}"),
            }
        }
    })
}

#[derive(Serialize)]
struct Answer<'a> {
    cmd: &'a str,
    src: &'a str,
    to: &'a str,
    body: &'a str,
    error: bool,
    #[serde(flatten)]
    details: &'a Details,
}

/// Adds a reply's line.
pub(super) fn encode(reply: &Reply, to: &mut Vec<u8>) {
    let Reply { cmd, src, to: recipient, body, error, details } = reply;
    let answer = Answer { cmd, src, to: recipient, body, error: *error, details };
    if let Err(error) = serde_json::to_writer(&mut *to, &answer) {
        unreachable!("texts and numbers to memory: {error}");
    }
    to.push(b'\n');
}
