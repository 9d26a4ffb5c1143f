//! The binary framing: each field behind its length.
//!
//! ```text
//! length u8, cmd | length u8, src | length u8, to | length u16 (big endian), body | error u8
//! ```
//!
//! Texts are UTF-8. `error` is 0, and 1 in a reply that refuses. A request whose `error` is anything else has lost its
//! frame: the other side is out of step, and there is no way to find the next one. A reply's texts that are longer than
//! their lengths can say are cut: names at a character, a body at the end of a line, and `...` stands behind it.

use super::{Broken, Input, Reply, Request};

/// The longest text behind one byte of length.
const SHORT_BYTES: usize = u8::MAX as usize;
/// The longest body.
pub const BODY_BYTES: usize = u16::MAX as usize;
/// What a cut body ends with.
const CUT: &str = "...";

/// The next frame at the beginning of `bytes`, and how many of them it takes; none while it is not whole.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Input, usize)>, Broken> {
    let mut rest = bytes;
    let Some(fields) = split(&mut rest) else { return Ok(None) };
    let Some((&error, rest)) = rest.split_first() else { return Ok(None) };
    if error > 1 {
        return Err(Broken(format!("the frame ends with {error} where `error` is 0 or 1: out of step")));
    }
    let taken = bytes.len() - rest.len();
    Ok(Some((request(fields), taken)))
}

fn split<'a>(rest: &mut &'a [u8]) -> Option<[&'a [u8]; 4]> {
    let mut short = || {
        let (&length, tail) = rest.split_first()?;
        let (field, tail) = tail.split_at_checked(usize::from(length))?;
        *rest = tail;
        Some(field)
    };
    let (cmd, src, to) = (short()?, short()?, short()?);
    let (length, tail) = rest.split_first_chunk::<2>()?;
    let (body, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = tail;
    Some([cmd, src, to, body])
}

fn request(fields: [&[u8]; 4]) -> Input {
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
    match fields.map(text) {
        [Some(cmd), Some(src), Some(to), Some(body)] => Input::Request(Request { cmd, src, to, body, request: None }),
        [cmd, _, _, _] => {
            Input::Malformed { cmd: cmd.unwrap_or_default(), words: "a text of this frame is not UTF-8".to_owned() }
        }
    }
}

/// Adds a reply's frame.
pub(super) fn encode(reply: &Reply, to: &mut Vec<u8>) {
    for text in [&reply.cmd, &reply.src, &reply.to] {
        let text = &text[..text.floor_char_boundary(SHORT_BYTES)];
        to.push(text.len() as u8);
        to.extend_from_slice(text.as_bytes());
    }
    let (body, cut) = body(&reply.body);
    to.extend_from_slice(&((body.len() + cut.len()) as u16).to_be_bytes());
    to.extend_from_slice(body.as_bytes());
    to.extend_from_slice(cut.as_bytes());
    to.push(u8::from(reply.error));
}

/// As much of a body as fits, and what stands behind it.
fn body(body: &str) -> (&str, &'static str) {
    if body.len() <= BODY_BYTES {
        return (body, "");
    }
    let kept = &body[..body.floor_char_boundary(BODY_BYTES - CUT.len())];
    let kept = kept.rfind('\n').map_or(kept, |end| &kept[..=end]);
    (kept, CUT)
}
