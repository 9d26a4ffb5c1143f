//! What fuzzing begins with: the frames of `docs/protocols.md`, the stored formats' golden file, and some more.

use std::collections::BTreeSet;

use prost::Message as _;
use threefold_core::{MentionRule, entry::pack_under, stored};
use threefold_proto::{chat, json};

/// Inputs with their targets.
pub type Seeds = BTreeSet<(&'static str, Vec<u8>)>;

/// All of them.
pub fn seeds() -> Seeds {
    let document = include_str!("../../../../docs/protocols.md");
    let mut seeds = Seeds::new();
    websocket(document, &mut seeds);
    lines(document, &mut seeds);
    stored_records(&super::golden(), &mut seeds);
    http(&mut seeds);
    for query in [
        "hello world\nHello, World!",
        "hel* wor*\nhello world",
        "don't\nI don't",
        "東京 ไทย*\n東京都 ภาษาไทย",
        "👍🏽 🇩🇪\ngood 👍 🇩🇪",
        "café ΈΛΛΗΝ ё\nCafe\u{301} έλλην Ё",
        "कि क्षि ٣ \u{200d}\nक्षि",
        "a*\n",
    ] {
        seeds.insert(("search_query", query.as_bytes().to_vec()));
    }
    seeds
}

/// Everything between fences that a client or a server says.
fn websocket(document: &str, seeds: &mut Seeds) {
    for block in document.split("```json ").skip(1) {
        let (whose, rest) = block.split_once('\n').unwrap();
        for line in rest.split("```").next().unwrap().lines() {
            if let Ok(frame) = json::read::<chat::ClientFrame>(line) {
                seeds.insert(("protobuf", [&[0][..], &frame.encode_to_vec()].concat()));
            }
            if let Ok(frame) = json::read::<chat::ServerFrame>(line) {
                seeds.insert(("protobuf", [&[1][..], &frame.encode_to_vec()].concat()));
            }
            if whose != "server" {
                seeds.insert(("websocket_message", line.as_bytes().to_vec()));
            }
        }
    }
    for (number, call) in threefold_proto::CALLS.iter().enumerate() {
        let with = r#"{"request":{"instance":1,"number":2},"limit":5,"message":7}"#;
        seeds.insert(("websocket_message", format!("{{\"id\":{number},\"call\":\"{call}\"}}").as_bytes().to_vec()));
        seeds.insert((
            "websocket_message",
            format!("{{\"id\":{number},\"call\":\"{call}\",\"with\":{with}}}").as_bytes().to_vec(),
        ));
    }
    let (to, token) = (r#"{"room":"tea"}"#, "1a2b".repeat(16));
    for operation in [
        format!(r#"{{"send":{{"to":{to},"body":"hi @bob","reply_to":5,"attachments":[1,2]}}}}"#),
        format!(r#"{{"mark_read":{{"in":{to},"up_to":9}}}}"#),
        r#"{"delete":{"conversation":3,"messages":[1,2],"for_everyone":true}}"#.to_owned(),
        r#"{"mark_delivered":{"up_to":9}}"#.to_owned(),
        r#"{"edit":{"message":5,"body":"x"}}"#.to_owned(),
        r#"{"react":{"conversation":3,"message":5,"emoji":"👍","remove":true}}"#.to_owned(),
        r#"{"set_display_name":{"display_name":"Ann Ö."}}"#.to_owned(),
        r#"{"administer":{"name":"bob","action":{"reset_password":{"new_password":"battery"}}}}"#.to_owned(),
        r#"{"create_room":{"name":"tea","topic":"leaves","public":true}}"#.to_owned(),
        format!(r#"{{"join_room":{{"room":{to}}}}}"#),
        format!(r#"{{"leave_room":{{"room":{to}}}}}"#),
        format!(r#"{{"remove_from_room":{{"room":{to},"user":"bob"}}}}"#),
        format!(r#"{{"create_bot":{{"name":"echo","token":"{token}"}}}}"#),
        format!(r#"{{"set_bot_token":{{"name":"echo","token":"{token}"}}}}"#),
        r#"{"set_bot_token":{"name":"echo"}}"#.to_owned(),
        r#"{"delete_bot":{"name":"echo"}}"#.to_owned(),
        format!(r#"{{"create_webhook":{{"room":{to},"name":"ci","token":"{token}"}}}}"#),
        r#"{"delete_webhook":{"webhook":9}}"#.to_owned(),
        r#"{"edit":{"conversation":3,"message":5}}"#.to_owned(),
        format!(r#"{{"invite_to_room":{{"room":{to},"user":"bob"}}}}"#),
        format!(r#"{{"set_role":{{"room":{to},"user":"bob","role":"moderator"}}}}"#),
        format!(r#"{{"change_room":{{"room":{to},"topic":"","public":false}}}}"#),
        format!(r#"{{"decline_invitation":{{"room":{to}}}}}"#),
    ] {
        let line =
            format!(r#"{{"write":{{"request":{{"instance":1,"number":2}},"operation":{operation},"answered":1}}}}"#);
        let frame = json::read::<chat::ClientFrame>(&line).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
        seeds.insert(("websocket_message", line.as_bytes().to_vec()));
        seeds.insert(("protobuf", [&[0][..], &frame.encode_to_vec()].concat()));
    }
    let history: chat::HistoryRequest = json::read(r#"{"in":{"user":"ann"},"limit":20,"from":{"around":9}}"#).unwrap();
    seeds.insert(("protobuf", [&[3][..], &history.encode_to_vec()].concat()));
    for kind in 4..12 {
        seeds.insert(("protobuf", vec![kind, 0x0a, 3, b'a', b'n', b'n', 0x10, 5]));
    }
}

/// The first byte says what it is, as in the target.
fn http(seeds: &mut Seeds) {
    for post in [
        "\n\n{\"text\": \"build 7 passed\", \"request\": \"build-7\"}",
        "application/json\nkey-1\n{\"text\": \"gr\\u00fc\\u00df\", \"more\": [1]}",
        "Text/Plain; charset=utf-8\nPrüfung 7\ngrüß @bob\r\n",
        "application/x-www-form-urlencoded\n\n{\"text\":\"x\"}",
    ] {
        seeds.insert(("http_inputs", [&[0][..], post.as_bytes()].concat()));
    }
    for query in ["name=caf%C3%A9+noir%2B.png&sha256=ab&name2=%zz%4&=", "thumbnail&x=%ff%F0%9F%91%8D", "a=1&a=2&&b"] {
        seeds.insert(("http_inputs", [&[1][..], query.as_bytes()].concat()));
    }
    for (size, range) in [
        (600_008_u64, "bytes=262000-262299"),
        (9, "bytes=-8"),
        (9, "bytes=9-"),
        (0, "bytes=0-0"),
        (u64::MAX, "bytes=0-,5-6"),
    ] {
        seeds.insert(("http_inputs", [&[2][..], &size.to_be_bytes(), range.as_bytes()].concat()));
    }
    for origin in [
        "http://chat-1:7400\nchat-1:7400\nchat-2:7400\nhttps://chat.example",
        "https://Chat.example\n\n\nhttps://chat.example",
        "http://localhost:7401\nother\n127.0.0.1:7401\n",
        "https://[::1]\n[::1]:443\n[::1]:1\nnull",
    ] {
        seeds.insert(("http_inputs", [&[3][..], origin.as_bytes()].concat()));
    }
}

fn lines(document: &str, seeds: &mut Seeds) {
    let said: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("say '")?.strip_suffix('\'')).collect();
    let conversation = said.join("\n");
    for (piece_bytes, text) in
        said.iter().copied().chain([conversation.as_str(), "{\"cmd\":\"\\ud83d\"}\r\n\n{"]).enumerate()
    {
        seeds.insert(("json_line", [&[piece_bytes as u8][..], text.as_bytes(), b"\n"].concat()));
    }
    for (piece_bytes, [cmd, src, to, body]) in [
        ["login", "bob", "", "correct horse"],
        ["send", "", "#tea", "Hello\nBob! 👍"],
        ["history", "", "alice", "10"],
        ["help", "", "", ""],
    ]
    .into_iter()
    .enumerate()
    {
        let mut frame = vec![piece_bytes as u8];
        for text in [cmd, src, to] {
            frame.push(text.len() as u8);
            frame.extend(text.as_bytes());
        }
        frame.extend((body.len() as u16).to_be_bytes());
        frame.extend(body.as_bytes());
        frame.push(0);
        seeds.insert(("binary_frame", frame.clone()));
        frame.extend_from_within(1..);
        frame.extend(b"\x04list\x01\xff\0\0\0\0\0\0\0\0\0\x02");
        seeds.insert(("binary_frame", frame.clone()));
    }
    seeds.insert(("binary_frame", b"\x40help\n".to_vec()));
}

fn stored_records(golden: &[Vec<u8>], seeds: &mut Seeds) {
    for value in golden {
        for table in 0..0x40 {
            if stored::again(table, value).is_some_and(|again| again.is_ok_and(|again| again == *value)) {
                seeds.insert(("stored_record", [&[table][..], value].concat()));
            }
        }
        if threefold_core::entry::decode_command(value).is_ok() {
            seeds.insert(("stored_record", [&[0x80][..], value].concat()));
            let entry = threefold_core::entry::pack(7, [bytes::Bytes::from(value.clone())].iter());
            seeds.insert(("stored_record", [&[0x81][..], &entry].concat()));
            let earlier = pack_under(MentionRule::Plain, 7, [bytes::Bytes::from(value.clone())].iter());
            seeds.insert(("stored_record", [&[0x81][..], &earlier].concat()));
            let log_entry = [&[0x83, 1, 0x0a, 4, 8, 7, 0x10, 0x2a, 0x1a, entry.len() as u8][..], &entry].concat();
            if entry.len() < 128 {
                seeds.insert(("stored_record", log_entry.clone()));
            }
        }
        if threefold_core::entry::decode_reply(value).is_ok() {
            seeds.insert(("stored_record", [&[0x82][..], value].concat()));
        }
    }
    seeds.insert(("stored_record", vec![0x84, 1, 8, 3, 0x10, 9, 0x18, 1]));
    // A configuration of one voter, at a place in the log.
    let node = [0x0a, 1, b'a', 0x12, 3, b'a', b':', b'1', 0x20, 7];
    let member = [&[0x08, 1, 0x12, node.len() as u8][..], &node].concat();
    let membership = [&[0x0a, 3, 0x0a, 1, 1, 0x12, member.len() as u8][..], &member].concat();
    let place = [0x0a, 4, 8, 7, 0x10, 0x2a];
    seeds.insert(("stored_record", [&[0x85, 1][..], &place, &[0x12, membership.len() as u8], &membership].concat()));
}
