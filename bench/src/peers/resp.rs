//! RESP2, the protocol of Redis: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};

/// The deepest nesting taken: an answer to XREAD has five levels.
const DEPTH: usize = 8;

/// The longest string taken: what Redis itself takes.
const STRING_BYTES: usize = 512 << 20;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+text`
    Simple(String),
    /// `-text`
    Error(String),
    /// `:number`
    Integer(i64),
    /// `$length` and so many bytes; none for the null string and the null array.
    Bulk(Option<Vec<u8>>),
    /// `*count` and so many values.
    Array(Vec<Value>),
}

/// Takes one reply off the front, if it is there as a whole.
///
/// # Errors
/// When it is malformed.
pub fn take(buffer: &mut BytesMut) -> anyhow::Result<Option<Value>> {
    let mut rest: &[u8] = buffer;
    let Some(value) = parse(&mut rest, 0)? else { return Ok(None) };
    let used = buffer.len() - rest.len();
    buffer.advance(used);
    Ok(Some(value))
}

fn parse(rest: &mut &[u8], depth: usize) -> anyhow::Result<Option<Value>> {
    if depth > DEPTH {
        bail!("a reply nested too deeply");
    }
    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let line = std::str::from_utf8(&rest[..end]).context("a line that is no text")?;
    let (kind, text) = line.split_at_checked(1).context("an empty line")?;
    *rest = &rest[end + 2..];
    let value = match kind {
        "+" => Value::Simple(text.to_owned()),
        "-" => Value::Error(text.to_owned()),
        ":" => Value::Integer(text.parse()?),
        "$" | "*" if text == "-1" => Value::Bulk(None),
        "$" => {
            let length: usize = text.parse()?;
            if length > STRING_BYTES {
                bail!("a string of {length} bytes");
            }
            let Some(bytes) = rest.get(..length + 2) else { return Ok(None) };
            let (bytes, ending) = bytes.split_at(length);
            if ending != b"\r\n" {
                bail!("a string without its end");
            }
            *rest = &rest[length + 2..];
            Value::Bulk(Some(bytes.to_vec()))
        }
        "*" => {
            let mut values = Vec::new();
            for _ in 0..text.parse::<usize>()? {
                let Some(value) = parse(rest, depth + 1)? else { return Ok(None) };
                values.push(value);
            }
            Value::Array(values)
        }
        _ => bail!("a reply of unknown kind: {line:?}"),
    };
    Ok(Some(value))
}

/// Appends a command.
pub fn put(buffer: &mut BytesMut, words: &[&[u8]]) {
    buffer.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        buffer.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        buffer.extend_from_slice(word);
        buffer.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_every_kind() {
        let text = b"+OK\r\n-ERR no\r\n:-7\r\n$5\r\nab\r\nc\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n";
        let mut buffer = BytesMut::from(&text[..]);
        let expected = [
            Value::Simple("OK".into()),
            Value::Error("ERR no".into()),
            Value::Integer(-7),
            Value::Bulk(Some(b"ab\r\nc".to_vec())),
            Value::Bulk(None),
            Value::Bulk(None),
            Value::Array(vec![Value::Integer(1), Value::Array(vec![Value::Bulk(Some(Vec::new()))])]),
        ];
        for value in expected {
            assert_eq!(take(&mut buffer).unwrap(), Some(value));
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_reply_cut_anywhere_is_waited_for() {
        let whole = b"*2\r\n$3\r\nabc\r\n:12\r\n";
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(take(&mut part).unwrap(), None, "{cut}");
            assert_eq!(&part[..], &whole[..cut], "nothing is lost while waiting");
        }
    }

    #[test]
    fn malformed_replies_are_errors() {
        for bad in [
            "?\r\n",
            "\r\n",
            ":x\r\n",
            "$2\r\nabcd",
            "$-2\r\n",
            "$18446744073709551615\r\n",
            "*9999999999999999999999\r\n",
        ] {
            assert!(take(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
        assert!(take(&mut BytesMut::from("*1\r\n".repeat(100).as_str())).is_err());
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut buffer = BytesMut::new();
        put(&mut buffer, &[b"WAIT", b"2", b""]);
        assert_eq!(&buffer[..], b"*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$0\r\n\r\n");
    }
}
