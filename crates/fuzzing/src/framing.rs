//! The two framings of the chat TCP port.

use threefold_proto::framing::{Decoder, Framing, Input, LINE_BYTES, Reply, Request};

/// What a decoder says of bytes that come in pieces of this size, and whether it is lost at their end.
fn heard(bytes: &[u8], piece_bytes: usize) -> (Vec<Input>, bool) {
    let mut decoder = Decoder::new();
    let mut inputs = Vec::new();
    for piece in bytes.chunks(piece_bytes) {
        decoder.push(piece);
        loop {
            match decoder.take() {
                Ok(Some(input)) => inputs.push(input),
                Ok(None) => break,
                Err(_) => return (inputs, true),
            }
        }
        // One frame that is not whole, and no more: the largest has two names of 255 bytes, a command, and 65,535 bytes of body.
        assert!(decoder.held() <= 2 * LINE_BYTES + piece_bytes, "{} bytes are held", decoder.held());
    }
    match decoder.finish() {
        Ok(last) => inputs.extend(last),
        Err(_) => return (inputs, true),
    }
    (inputs, false)
}

/// It makes no difference how bytes are cut: but that a line of plain words is only noticed where it ends a piece.
fn compare(bytes: &[u8], piece_bytes: usize) -> Vec<Input> {
    let (whole, whole_is_lost) = heard(bytes, bytes.len().max(1));
    let (pieces, pieces_are_lost) = heard(bytes, piece_bytes);
    if whole_is_lost || pieces_are_lost {
        assert!(whole.starts_with(&pieces) || pieces.starts_with(&whole), "{whole:?}\n{pieces:?}");
    } else {
        assert_eq!(whole, pieces);
    }
    whole
}

fn write_binary(Request { cmd, src, to, body, .. }: &Request) -> Vec<u8> {
    let mut frame = Vec::new();
    for text in [cmd, src, to] {
        frame.push(u8::try_from(text.len()).expect("it was read from a frame"));
        frame.extend(text.as_bytes());
    }
    frame.extend(u16::try_from(body.len()).expect("it was read from a frame").to_be_bytes());
    frame.extend(body.as_bytes());
    frame.push(0);
    frame
}

/// Whoever asks is answered, in either framing, with something that can be read.
fn answer(request: Request) {
    let Request { cmd, src, to, body, .. } = request;
    let reply = Reply { cmd, src, to, body, error: true, ..Reply::default() };
    let mut line = Vec::new();
    Framing::Json.encode(&reply, &mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(!line.contains(&b'\n'), "an answer is one line");
    let value: serde_json::Value = serde_json::from_slice(&line).expect("an answer is JSON");
    assert_eq!(value["body"], reply.body.as_str());
    let mut frame = Vec::new();
    Framing::Binary.encode(&reply, &mut frame);
    // The first byte of a connection tells JSON; this is not its first.
    let mut decoder = Decoder::new();
    decoder.push(b"\x04help\0\0\0\0\0");
    decoder.push(&frame);
    assert!(matches!(decoder.take(), Ok(Some(Input::Request(_)))));
    assert!(matches!(decoder.take(), Ok(Some(Input::Request(_)))), "an answer is one frame: {reply:?}");
    assert_eq!(decoder.held(), 0);
}

/// Frames of the binary framing. The first byte says in what pieces they come.
pub fn binary_frame(data: &[u8]) {
    let Some((&piece_bytes, bytes)) = data.split_first() else { return };
    if bytes.first().is_some_and(|first| Framing::of_first_byte(*first) == Framing::Json) {
        return;
    }
    for input in compare(bytes, usize::from(piece_bytes).max(1)) {
        let Input::Request(request) = input else { continue };
        let mut decoder = Decoder::new();
        decoder.push(b"\x04help\0\0\0\0\0");
        decoder.push(&write_binary(&request));
        assert!(matches!(decoder.take(), Ok(Some(Input::Request(_)))));
        assert_eq!(decoder.take(), Ok(Some(Input::Request(request.clone()))));
        answer(request);
    }
}

/// JSON lines. The first byte says in what pieces they come.
pub fn json_line(data: &[u8]) {
    let Some((&piece_bytes, bytes)) = data.split_first() else { return };
    let bytes = [b"\n", bytes].concat();
    for input in compare(&bytes, usize::from(piece_bytes).max(1)) {
        match input {
            Input::Request(request) => {
                let line = serde_json::json!({
                    "cmd": request.cmd, "src": request.src, "to": request.to, "body": request.body,
                    "request": request.request,
                });
                let line = format!("{line}\n");
                if line.len() <= LINE_BYTES {
                    assert_eq!(heard(line.as_bytes(), line.len()), (vec![Input::Request(request.clone())], false));
                }
                answer(request);
            }
            Input::Malformed { words, .. } => assert!(!words.is_empty()),
        }
    }
}
