//! What a client says, and what it is told: the envelopes around the schema's messages.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use threefold_proto::{chat, convert::Refusal, json};

use super::calls;
use crate::gateway::told;

/// A frame that makes sense.
pub(super) enum Incoming {
    /// A call, to be answered under this number.
    Call(Call),
    /// For the stream.
    Frame(chat::ClientFrame),
}

/// A call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// Chosen by the client; the answer bears it.
    pub id: u64,
    /// Its name.
    #[serde(rename = "call")]
    pub name: String,
    /// The request.
    #[serde(default = "nothing")]
    pub with: Value,
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

/// A frame that does not.
pub(super) struct Nonsense {
    /// The call that it seems to be.
    pub id: Option<u64>,
    /// What is wrong.
    pub refusal: Refusal,
}

/// What tells calls from frames for the stream.
#[derive(Deserialize)]
struct Head {
    id: Option<u64>,
    call: Option<IgnoredAny>,
}

/// Understands a frame.
pub(super) fn read(text: &str) -> Result<Incoming, Nonsense> {
    if !text.trim_start().starts_with('{') {
        return Err(Nonsense { id: None, refusal: Refusal::invalid("a frame is a JSON object") });
    }
    let head: Head = json::read(text).map_err(|refusal| Nonsense { id: None, refusal })?;
    let refused = |refusal| Nonsense { id: head.id, refusal };
    if head.id.is_some() || head.call.is_some() {
        return json::read(text).map(Incoming::Call).map_err(refused);
    }
    json::read(text).map(Incoming::Frame).map_err(refused)
}

/// A frame as it is understood, written again; or the answer to one that makes no sense.
pub(crate) fn understood(text: &str) -> Result<String, String> {
    let again = match read(text) {
        Ok(Incoming::Frame(frame)) => json::write(&frame).map_err(|refusal| (None, refusal)),
        Ok(Incoming::Call(Call { id, name, with })) => calls::understood(&name, with)
            .map(|with| format!("{{\"id\":{id},\"call\":\"{name}\",\"with\":{with}}}"))
            .map_err(|refusal| (Some(id), refusal)),
        Err(Nonsense { id, refusal }) => Err((id, refusal)),
    };
    again.map_err(|(id, refusal)| error(id, &refusal))
}

/// The answer to a call, of a reply that is JSON already.
pub(super) fn reply(id: u64, reply: &str) -> String {
    format!("{{\"id\":{id},\"reply\":{reply}}}")
}

/// The answer to a call that failed, or to what was none.
pub(super) fn error(id: Option<u64>, refusal: &Refusal) -> String {
    // An error is a number and words: it has a form in JSON.
    let error = json::write(&told(refusal)).unwrap_or_else(|_| "{\"code\":\"internal\"}".to_owned());
    match id {
        Some(id) => format!("{{\"id\":{id},\"error\":{error}}}"),
        None => format!("{{\"error\":{error}}}"),
    }
}

#[cfg(test)]
mod tests {
    use threefold_proto::chat::client_frame::Frame;

    use super::*;

    fn nonsense(text: &str) -> (Option<u64>, String) {
        match read(text) {
            Ok(_) => panic!("{text} makes sense"),
            Err(Nonsense { id, refusal }) => (id, refusal.to_string()),
        }
    }

    #[test]
    fn calls_and_frames_are_told_apart() {
        let Ok(Incoming::Call(call)) = read(r#"{"id":7,"call":"history","with":{"limit":5}}"#) else { panic!() };
        assert_eq!((call.id, call.name.as_str(), call.with["limit"].as_u64()), (7, "history", Some(5)));
        let Ok(Incoming::Call(call)) = read(r#"{"call":"who_am_i","id":0}"#) else { panic!() };
        assert_eq!((call.id, call.with), (0, nothing()));
        let Ok(Incoming::Frame(frame)) = read(r#"{"ping":{"number":3}}"#) else { panic!() };
        assert_eq!(frame.frame, Some(Frame::Ping(chat::Ping { number: 3 })));
    }

    #[test]
    fn nonsense_is_answered_under_its_number_where_it_has_one() {
        assert_eq!(nonsense(r#"{"id":7}"#).0, Some(7));
        assert_eq!(nonsense(r#"{"id":7,"call":5}"#).0, Some(7));
        let (id, words) = nonsense(r#"{"id":7,"call":"history","wiht":{}}"#);
        assert!(id == Some(7) && words.contains("`wiht`"), "{words}");
        for text in [
            "",
            "x",
            "7",
            "[]",
            r#"[7,"who_am_i"]"#,
            "null",
            "\"x\"",
            "{",
            "{}",
            r#"{"id":-1,"call":"x"}"#,
            r#"{"id":"7","call":"x"}"#,
        ] {
            assert_eq!(nonsense(text).0, None, "{text}");
        }
        assert_eq!(nonsense(r#"{"call":"history"}"#).0, None);
        assert!(nonsense(r#"{"shout":{}}"#).1.contains("`shout`"));
        assert!(nonsense(r#"{"ping":{"nunber":3}}"#).1.contains("`nunber`"));
        assert_eq!(nonsense(r#"{"ping":{},"write":{}}"#).0, None, "one thing at a time");
    }
}
