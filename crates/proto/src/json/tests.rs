use prost::Message;

use super::*;
use crate::chat::{self, client_frame::Frame, history_request::From, recipient::To, write::Operation};

/// A message as `build.rs` saw it: its name, whether it is nothing but one choice, and its fields (number, type, the name of that type,
/// whether it is repeated).
type Sketch = (&'static str, bool, &'static [(u32, &'static str, &'static str, bool)]);

const SKETCHES: &[Sketch] = include!(concat!(env!("OUT_DIR"), "/sketches.rs"));

/// The same numbers in every run: Marsaglia's xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'Z', '"', '\\', '\n', '\0', 'é', '中', '🦀', '<'];
        (0..self.below(6)).map(|_| letters[self.below(letters.len() as u64) as usize]).collect()
    }

    /// A message's bytes, with some of its fields.
    fn message(&mut self, name: &str, depth: u32) -> Vec<u8> {
        let (_, is_choice, fields) = SKETCHES.iter().find(|sketch| sketch.0 == name).unwrap();
        let mut bytes = Vec::new();
        let chosen = self.below(fields.len().max(1) as u64) as usize;
        for (place, field) in fields.iter().enumerate() {
            let is_there = if *is_choice { place == chosen } else { self.below(3) > 0 };
            let times = if is_there && field.3 { self.below(4) } else { u64::from(is_there) };
            (0..times).for_each(|_| self.field(*field, depth, &mut bytes));
        }
        bytes
    }

    fn field(&mut self, (number, kind, name, _): (u32, &str, &str, bool), depth: u32, to: &mut Vec<u8>) {
        use prost::encoding::{bool, bytes, string, uint32, uint64};
        match kind {
            "Uint64" => {
                let bits = self.below(64);
                uint64::encode(number, &(u64::MAX >> bits), to);
            }
            "Uint32" => {
                let bits = self.below(32);
                uint32::encode(number, &(u32::MAX >> bits), to);
            }
            "Enum" => uint64::encode(number, &self.below(2), to),
            "Bool" => bool::encode(number, &(self.below(2) == 1), to),
            "String" => string::encode(number, &self.text(), to),
            "Bytes" => bytes::encode(number, &self.text().into_bytes(), to),
            "Message" if depth < 5 => bytes::encode(number, &self.message(name, depth + 1), to),
            "Message" => {}
            other => panic!("teach this test to make a field of type {other}"),
        }
    }
}

fn survives<T>(name: &str, dice: &mut Dice)
where
    T: Message + Default + PartialEq + fmt::Debug + Serialize + DeserializeOwned,
{
    for _ in 0..100 {
        let bytes = dice.message(name, 0);
        let message = T::decode(bytes.as_slice()).unwrap();
        let text = write(&message).unwrap();
        let read: T = read(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        assert_eq!(read, message, "{name}: {text}");
        assert_eq!(T::decode(read.encode_to_vec().as_slice()).unwrap(), message, "{name}");
        let parsed: T = from_value(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(parsed, message, "{name}: {text}");
    }
}

#[test]
fn every_message_survives() {
    macro_rules! each {
        ($($name:ident)*) => {{
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
            $(survives::<chat::$name>(stringify!($name), &mut dice);)*
        }};
    }
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

#[test]
fn the_schema_as_documented() {
    let text =
        r#"{"write":{"request":{"instance":5,"number":1},"operation":{"send":{"to":{"user":"ann"},"body":"hi"}}}}"#;
    let frame: chat::ClientFrame = read(text).unwrap();
    let Some(Frame::Write(written)) = &frame.frame else { panic!("{frame:?}") };
    assert_eq!(written.request, Some(chat::RequestId { instance: 5, number: 1 }));
    let Some(Operation::Send(send)) = &written.operation else { panic!("{written:?}") };
    let to = Some(chat::Recipient { to: Some(To::User("ann".into())) });
    assert_eq!((&send.to, send.body.as_str()), (&to, "hi"));
    assert_eq!(write(&frame).unwrap(), text);

    let history = chat::HistoryRequest { r#in: to, from: Some(From::Before(0)), ..Default::default() };
    assert_eq!(write(&history).unwrap(), r#"{"in":{"user":"ann"},"from":{"before":0}}"#);

    let text = r#"{"code":"out_of_order","expected":7}"#;
    let error: chat::Error = read(text).unwrap();
    assert_eq!((error.code(), error.expected), (chat::ErrorCode::OutOfOrder, 7));
    assert_eq!(write(&error).unwrap(), text);

    let login = r#"{"name":"ann","password":"correct horse","token":"00fF10"}"#;
    assert_eq!(read::<chat::LoginRequest>(login).unwrap().token.as_ref(), [0, 0xff, 0x10]);
    let subscribed = chat::Subscribed { recovery_id: vec![1, 0xab].into(), ..Default::default() };
    assert_eq!(write(&subscribed).unwrap(), r#"{"recovery_id":"01ab"}"#);
    assert_eq!(write(&chat::LogoutReply {}).unwrap(), "{}");
}

#[test]
fn what_is_not_in_the_schema_is_refused_by_its_name() {
    fn refused<T: DeserializeOwned>(text: &str, words: &str) {
        let Err(refusal) = read::<T>(text) else { panic!("{text} was taken") };
        assert!(refusal.to_string().contains(words), "{text}: {refusal}");
    }
    refused::<chat::HistoryRequest>(r#"{"limt":5}"#, "unknown field `limt`");
    refused::<chat::HistoryRequest>(r#"{"from":{"befor":5}}"#, "unknown variant `befor`");
    refused::<chat::HistoryRequest>(r#"{"from":{"before":5,"after":5}}"#, "");
    refused::<chat::HistoryRequest>(r#"{"from":{"before":"5"}}"#, "invalid type");
    refused::<chat::HistoryRequest>(r#"{"in":{"usr":"ann"}}"#, "unknown variant `usr`");
    refused::<chat::HistoryRequest>(r#"{"limit":-1}"#, "invalid value");
    refused::<chat::HistoryRequest>(r#"{"limit":4294967296}"#, "invalid value");
    refused::<chat::HistoryRequest>(r#"{"limit":1.5}"#, "invalid type");
    refused::<chat::HistoryRequest>(r#"{"limit":1,"limit":2}"#, "duplicate field");
    refused::<chat::LoginRequest>(r#"{"token":"0"}"#, "two for each");
    refused::<chat::LoginRequest>(r#"{"token":"0g"}"#, "hexadecimal");
    refused::<chat::LoginRequest>(r#"{"token":"+1"}"#, "hexadecimal");
    refused::<chat::LoginRequest>(r#"{"token":"é"}"#, "hexadecimal");
    refused::<chat::Error>(r#"{"code":"no_such"}"#, "unknown variant `no_such`");
    refused::<chat::ClientFrame>("{}", "");
    refused::<chat::ClientFrame>(r#"{"ping":{},"write":{}}"#, "");
    refused::<chat::LogoutRequest>(&"[".repeat(100_000), "");
}

#[test]
fn the_words_say_the_place_only_where_it_means_something() {
    let unknown = read::<chat::HistoryRequest>(r#"{"limt":5}"#).unwrap_err().to_string();
    assert!(!unknown.contains(" line "), "{unknown}");
    let broken = read::<chat::HistoryRequest>(r#"{"limit":5"#).unwrap_err().to_string();
    assert!(broken.contains("column 10"), "{broken}");
}

#[test]
fn calls_are_named_as_in_the_services() {
    for name in ["register", "who_am_i", "list_conversations", "status"] {
        assert!(crate::CALLS.contains(&name), "{name}");
    }
    assert!(!crate::CALLS.contains(&"converse"), "a stream is no call");
}
