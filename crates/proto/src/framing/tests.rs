//! Both framings: round trips, damage, sizes, and bytes however they are cut.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;

/// A request as a client writes it.
fn written(framing: Framing, request: &Request) -> Vec<u8> {
    match framing {
        Framing::Json => {
            let Request { cmd, src, to, body, request } = request;
            let line = json!({ "cmd": cmd, "src": src, "to": to, "body": body, "error": false, "request": request });
            format!("{line}\n").into_bytes()
        }
        Framing::Binary => {
            let mut bytes = Vec::new();
            for field in [&request.cmd, &request.src, &request.to] {
                bytes.push(field.len() as u8);
                bytes.extend_from_slice(field.as_bytes());
            }
            bytes.extend_from_slice(&(request.body.len() as u16).to_be_bytes());
            bytes.extend_from_slice(request.body.as_bytes());
            bytes.push(0);
            bytes
        }
    }
}

/// Everything that is said in these pieces, and why no more can be read.
fn heard<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Input>, Option<Broken>) {
    let (mut decoder, mut inputs) = (Decoder::new(), Vec::new());
    let mut take = |decoder: &mut Decoder| loop {
        match decoder.take() {
            Ok(Some(input)) => inputs.push(input),
            Ok(None) => return None,
            Err(broken) => return Some(broken),
        }
    };
    for piece in pieces {
        decoder.push(piece);
        if let Some(broken) = take(&mut decoder) {
            return (inputs, Some(broken));
        }
        assert!(decoder.held() <= 2 * LINE_BYTES + piece.len(), "never more than a frame is held");
    }
    match decoder.finish() {
        Ok(last) => inputs.extend(last),
        Err(broken) => return (inputs, Some(broken)),
    }
    (inputs, None)
}

fn requests(inputs: Vec<Input>) -> Vec<Request> {
    let request = |input| match input {
        Input::Request(request) => request,
        Input::Malformed { words, .. } => panic!("{words}"),
    };
    inputs.into_iter().map(request).collect()
}

fn words(input: &Input) -> &str {
    match input {
        Input::Malformed { words, .. } => words,
        Input::Request(request) => panic!("{request:?}"),
    }
}

fn read_reply(framing: Framing, bytes: &[u8]) -> (String, String, String, String, bool) {
    match framing {
        Framing::Json => {
            let line: Value = serde_json::from_slice(bytes).unwrap();
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            (text("cmd"), text("src"), text("to"), text("body"), line["error"].as_bool().unwrap())
        }
        Framing::Binary => {
            let mut rest = bytes;
            let mut field = |length_bytes: usize| {
                let (length, tail) = rest.split_at(length_bytes);
                let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                let (text, tail) = tail.split_at(length);
                rest = tail;
                String::from_utf8(text.to_vec()).unwrap()
            };
            let texts = (field(1), field(1), field(1), field(2));
            assert_eq!(rest.len(), 1);
            (texts.0, texts.1, texts.2, texts.3, rest[0] == 1)
        }
    }
}

fn request() -> impl Strategy<Value = Request> {
    let request = proptest::option::of("[a-z0-9-]{1,20}");
    ("[a-z_]{0,15}", ".{0,40}", ".{0,40}", "(?s).{0,200}", request).prop_map(|(cmd, src, to, body, request)| Request {
        cmd,
        src,
        to,
        body,
        request,
    })
}

/// Cuts of something into pieces.
fn pieces(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    bytes.chunks(size.max(1)).collect()
}

proptest! {
    #[test]
    fn requests_arrive_as_they_were_written_however_they_are_cut(
        said in vec(request(), 1..6), size in 1usize..300,
    ) {
        let bytes: Vec<u8> = said.iter().flat_map(|request| written(Framing::Json, request)).collect();
        let (inputs, broken) = heard(pieces(&bytes, size));
        prop_assert_eq!(broken, None);
        prop_assert_eq!(requests(inputs), said.clone());
        // The first byte must not be one that tells JSON.
        let said: Vec<_> = said.into_iter().map(|request| Request { request: None, ..request }).collect();
        if matches!(said[0].cmd.len(), 9 | 10 | 13) {
            return Ok(());
        }
        let bytes: Vec<u8> = said.iter().flat_map(|request| written(Framing::Binary, request)).collect();
        let (inputs, broken) = heard(pieces(&bytes, size));
        prop_assert_eq!(broken, None);
        prop_assert_eq!(requests(inputs), said);
    }

    #[test]
    fn replies_can_be_read(cmd in "[a-z]{1,9}", src in ".{0,40}", to in ".{0,40}", body in "(?s).{0,300}", error in any::<bool>()) {
        for framing in [Framing::Json, Framing::Binary] {
            let reply = Reply { cmd: cmd.clone(), src: src.clone(), to: to.clone(), body: body.clone(), error, ..Reply::default() };
            let mut bytes = Vec::new();
            framing.encode(&reply, &mut bytes);
            prop_assert_eq!(read_reply(framing, &bytes), (cmd.clone(), src.clone(), to.clone(), body.clone(), error));
        }
    }

    #[test]
    fn random_bytes_are_no_panic_and_end(bytes in vec(any::<u8>(), 0..2000), size in 1usize..100, first in any::<u8>()) {
        let bytes = [&[first][..], &bytes].concat();
        heard(pieces(&bytes, size));
        // Behind what tells JSON, too.
        heard(pieces(&[b"{", &bytes[..]].concat(), size));
    }

    /// Damage to something sound goes deeper than random bytes do.
    #[test]
    fn damaged_requests_are_no_panic(said in vec(request(), 1..4), at in any::<prop::sample::Index>(), byte in any::<u8>(), json in any::<bool>()) {
        let framing = if json { Framing::Json } else { Framing::Binary };
        let mut bytes: Vec<u8> = said.iter().flat_map(|request| written(framing, request)).collect();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (inputs, broken) = heard([&bytes[..]]);
        prop_assert!(inputs.len() <= bytes.len() && (broken.is_none() || framing == Framing::Binary || at == 0));
    }
}

#[test]
fn a_line_may_leave_out_much_and_say_more() {
    let (inputs, _) = heard([
        &b"  \r\n{\"cmd\":\"list\"}\r\n\n {\"cmd\":\"history\",\"to\":\"bob\",\"body\":20,\"src\":null,\"x\":[{}]}"[..],
    ]);
    let history = Request { cmd: "history".into(), to: "bob".into(), body: "20".into(), ..Request::default() };
    assert_eq!(requests(inputs), [Request { cmd: "list".into(), ..Request::default() }, history]);
}

#[test]
fn a_bad_line_is_told_and_the_next_one_is_read() {
    let bad: &[&[u8]] = &[
        b"{",
        b"{}",
        b"{\"cmd\":1}",
        b"[\"help\"]",
        b"{\"cmd\":\"x\",\"body\":{}}",
        b"{\"cmd\":\"\xff\"}",
        b"help",
        b"{\"cmd\":\"a\"} x",
    ];
    for line in bad {
        let bytes = [b"\n", *line, b"\n{\"cmd\":\"help\"}\n"].concat();
        let (inputs, broken) = heard([&bytes[..]]);
        assert_eq!((inputs.len(), broken), (2, None), "{}", String::from_utf8_lossy(line));
        assert!(words(&inputs[0]).starts_with("a line holds one JSON object such as"), "{inputs:?}");
        assert!(matches!(&inputs[1], Input::Request(request) if request.cmd == "help"));
    }
    let deep = [b"{\"cmd\":\"x\",\"deep\":".to_vec(), b"[".repeat(10_000), b"\n".to_vec()].concat();
    words(&heard([&deep[..]]).0[0]);
}

#[test]
fn a_line_that_is_too_long_is_told_once_and_passed_over() {
    let line = |bytes: usize| {
        let body = "x".repeat(bytes - "{\"cmd\":\"send\",\"body\":\"\"}".len());
        format!("{{\"cmd\":\"send\",\"body\":\"{body}\"}}\n").into_bytes()
    };
    for size in [1000, LINE_BYTES, 10 * LINE_BYTES] {
        let bytes =
            [line(LINE_BYTES), line(LINE_BYTES + 1), line(5 * LINE_BYTES), b"{\"cmd\":\"help\"}".to_vec()].concat();
        let (inputs, broken) = heard(pieces(&bytes, size));
        assert_eq!((inputs.len(), broken), (4, None), "in pieces of {size}");
        assert!(matches!(&inputs[0], Input::Request(request) if request.cmd == "send"));
        assert!(inputs[1..3].iter().all(|input| words(input).contains("at most 65536 bytes")));
        assert!(matches!(&inputs[3], Input::Request(request) if request.cmd == "help"));
    }
    // One without an end is told as well, and takes no room.
    let (inputs, _) = heard(std::iter::repeat_n(&b"{ no end "[..], 100_000));
    assert_eq!(inputs.len(), 1);
}

#[test]
fn a_frame_out_of_step_ends_it_and_one_that_is_no_text_does_not() {
    let help = Request { cmd: "help".into(), ..Request::default() };
    let mut bytes = written(Framing::Binary, &help);
    bytes.extend(b"\x04list\x01\xff\0\0\0\0");
    bytes.extend(written(Framing::Binary, &help));
    bytes.extend(b"\0\0\0\0\0\x02more");
    let (inputs, broken) = heard(pieces(&bytes, 1));
    assert_eq!(inputs.len(), 3);
    assert!(matches!(&inputs[1], Input::Malformed { cmd, words } if cmd == "list" && words.contains("UTF-8")));
    assert!(broken.unwrap().0.contains("out of step"));
    // What is cut short is told at the end.
    let (inputs, broken) = heard([&written(Framing::Binary, &help)[..6]]);
    assert!(inputs.is_empty() && broken.unwrap().0.contains("within a frame"));
}

#[test]
fn the_largest_frame_is_read_and_a_request_s_error_may_be_set() {
    let long = "n".repeat(255);
    let largest = Request { cmd: long.clone(), src: long.clone(), to: long, body: "b".repeat(65_535), request: None };
    let mut bytes = written(Framing::Binary, &largest);
    *bytes.last_mut().unwrap() = 1;
    let (inputs, broken) = heard(pieces(&bytes, 4096));
    assert_eq!((requests(inputs), broken), (vec![largest], None));
}

#[test]
fn plain_words_are_answered_with_an_example_and_a_long_command_is_one() {
    for typed in ["help\n", "login alice\r\n", "GET / HTTP/1.1\r\n"] {
        let (inputs, broken) = heard(pieces(typed.as_bytes(), 3));
        assert!(inputs.is_empty() && broken.unwrap().0.contains("{\"cmd\": \"help\"}"), "{typed:?}");
    }
    let long = Request { cmd: "x".repeat(104), ..Request::default() };
    assert_eq!(requests(heard([&written(Framing::Binary, &long)[..]]).0), [long]);
}

#[test]
fn what_a_frame_cannot_hold_is_cut_at_a_character_or_a_line() {
    let lines = "0123456789é\n".repeat(6_000);
    let reply = Reply { cmd: "list".into(), src: "é".repeat(200), body: lines, ..Reply::default() };
    let mut bytes = Vec::new();
    Framing::Binary.encode(&reply, &mut bytes);
    let (_, src, _, body, _) = read_reply(Framing::Binary, &bytes);
    assert_eq!(src, "é".repeat(127));
    assert!(body.len() <= binary::BODY_BYTES && body.len() > binary::BODY_BYTES - 20 && body.ends_with("é\n..."));
    // One line without an end is cut within.
    let reply = Reply { body: "é".repeat(40_000), ..Reply::default() };
    bytes.clear();
    Framing::Binary.encode(&reply, &mut bytes);
    let (.., body, _) = read_reply(Framing::Binary, &bytes);
    assert!(body.len() > binary::BODY_BYTES - 3 && body.ends_with("é..."));
}

#[test]
fn json_tells_more_beside_the_five_fields() {
    let line = |details| {
        let mut bytes = Vec::new();
        Framing::Json.encode(&Reply { cmd: "x".into(), details, ..Reply::default() }, &mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    let start = "{\"cmd\":\"x\",\"src\":\"\",\"to\":\"\",\"body\":\"\",\"error\":false";
    assert_eq!(line(Details::Nothing), format!("{start}}}\n"));
    assert_eq!(line(Details::Message { id: 7, time: "t".into() }), format!("{start},\"id\":7,\"time\":\"t\"}}\n"));
    let message =
        Message { id: 7, time: "t".into(), src: "ann".into(), to: "bob".into(), body: "a\nb\\".into(), deleted: false };
    assert_eq!(message.line(), "7 t ann: a\\nb\\\\");
    let page =
        "\"messages\":[{\"id\":7,\"time\":\"t\",\"src\":\"ann\",\"to\":\"bob\",\"body\":\"a\\nb\\\\\"}],\"more\":true";
    assert_eq!(line(Details::History { messages: vec![message], more: true }), format!("{start},{page}}}\n"));
}

#[test]
fn a_list_is_cut_to_what_fits() {
    let lines = vec!["x".repeat(999); 100];
    assert_eq!(listed(lines.iter()), 60);
    assert_eq!(listed(lines[..7].iter()), 7);
}
