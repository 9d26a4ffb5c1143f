//! `docs/protocols.md` against the code: every frame in it is one, and nothing that there is goes unmentioned.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use threefold_proto::{chat, json};

use super::{
    calls,
    frame::{self, Incoming},
};

const TEXT: &str = include_str!("../../../../../docs/protocols.md");

/// The lines of every block of JSON, with the word that says whose they are.
fn frames() -> Vec<(&'static str, &'static str)> {
    let blocks = TEXT.split("```json ").skip(1).filter_map(|block| block.split_once("```")?.0.split_once('\n'));
    blocks.flat_map(|(whose, lines)| lines.lines().map(move |line| (whose, line))).collect()
}

fn is<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    json::from_value::<T>(value.clone()).map(|_| ()).map_err(|refusal| refusal.to_string())
}

fn is_reply_to(call: &str, reply: &Value) -> Result<(), String> {
    match call {
        "register" | "login" => is::<chat::SessionReply>(reply),
        "resume" | "who_am_i" => is::<chat::WhoAmIReply>(reply),
        "history" => is::<chat::HistoryReply>(reply),
        "list_conversations" => is::<chat::ListConversationsReply>(reply),
        other => Err(format!("teach this test what {other} is answered by")),
    }
}

#[test]
fn every_frame_is_one() {
    let frames = frames();
    assert!(frames.len() > 20, "{}", frames.len());
    let mut asked = BTreeMap::new();
    for (whose, line) in frames {
        let checked = match whose {
            "client" | "refused" => {
                let read = frame::read(line).map_err(|nonsense| nonsense.refusal);
                let understood = read.and_then(|read| match read {
                    Incoming::Call(call) => {
                        asked.insert(call.id, call.name.clone());
                        calls::understood(&call.name, call.with).map(drop)
                    }
                    Incoming::Frame(_) => Ok(()),
                });
                match (whose, understood) {
                    ("client", understood) => understood.map_err(|refusal| refusal.to_string()),
                    (_, Ok(())) => Err("it is understood".to_owned()),
                    (_, Err(_)) => Ok(()),
                }
            }
            "server" => match serde_json::from_str::<Value>(line).map_err(|error| error.to_string()) {
                Err(error) => Err(error),
                Ok(frame) => match (frame.get("id"), frame.get("reply"), frame.get("error")) {
                    (Some(id), Some(reply), None) => is_reply_to(&asked[&id.as_u64().unwrap()], reply),
                    (Some(_), None, Some(error)) => is::<chat::Error>(error),
                    (None, None, None) => is::<chat::ServerFrame>(&frame),
                    _ => Err("no frame of a server".to_owned()),
                },
            },
            other => Err(format!("whose are the frames of {other:?}?")),
        };
        checked.unwrap_or_else(|words| panic!("{line}\n{words}"));
    }
}

#[test]
fn nothing_goes_unmentioned() {
    for call in threefold_proto::CALLS {
        assert!(TEXT.contains(&format!("`{call}`")), "the call {call}");
    }
    let codes = (1..1000).filter_map(|number| chat::ErrorCode::try_from(number).ok());
    for code in codes {
        assert!(TEXT.contains(&format!("| `{}` |", code.as_str_name())), "the error {code:?}");
    }
    for code in ["1012", "1013", "4001", "4002", "1008", "1009", "1003", "1007", "1002", "1011"] {
        assert!(TEXT.contains(&format!("| {code}")) || TEXT.contains(&format!(", {code}")), "the close code {code}");
    }
}

/// The fields of a message of the schema, or of one of its choices.
fn fields<'a>(schema: &'a str, of: &str) -> Vec<&'a str> {
    let (_, behind) = schema.split_once(of).unwrap_or_else(|| panic!("{of} is not in the schema"));
    let (fields, _) = behind.split_once('}').unwrap();
    let fields = fields.split([';', '\n']).filter(|line| !line.trim_start().starts_with("//"));
    fields.filter_map(|line| line.split_once(" = ")?.0.rsplit(' ').next()).collect()
}

/// What a table behind that mark says of each name in its first column.
fn documented(mark: &str) -> BTreeMap<&'static str, Vec<&'static str>> {
    let (_, behind) = TEXT.split_once(mark).unwrap();
    let lines = behind.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &'static str| {
        let mut cells =
            line.trim_matches('|').split('|').map(|cell| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>());
        (cells.next().unwrap()[0], cells.next().unwrap())
    };
    lines.skip(2).map(row).collect()
}

#[test]
fn every_event_is_told_with_its_fields() {
    let schema = include_str!("../../../../proto/proto/chat.proto");
    let camel = |name: &str| {
        let word = |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
        name.split('_').map(word).collect::<Vec<String>>().concat()
    };
    let told = documented("<!-- every event -->");
    let there: BTreeMap<_, _> =
        fields(schema, "message Event {\n  uint64 id = 1;\n  uint64 time_ms = 2;\n  oneof body {")
            .into_iter()
            .map(|name| (name, fields(schema, &format!("message {} {{", camel(name)))))
            .collect();
    for (name, fields) in &there {
        let (mut told, mut fields) = (told.get(name).cloned().unwrap_or_default(), fields.clone());
        told.sort_unstable();
        fields.sort_unstable();
        assert_eq!(told, fields, "the fields of the event {name}");
    }
    assert_eq!(told.len(), there.len(), "what is no event is told: {told:?}");
    for (name, told) in documented("<!-- every part -->") {
        assert_eq!(told, fields(schema, &format!("message {name} {{")), "the fields of {name}");
    }
}
