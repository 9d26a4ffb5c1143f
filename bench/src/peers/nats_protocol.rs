//! The text protocol of NATS: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};

/// The longest payload taken: NATS itself recommends no more.
const PAYLOAD_BYTES: usize = 8 << 20;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// About itself, at the beginning.
    Info,
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// All is well (only with verbose connections).
    Ok,
    /// Something is wrong.
    Error(String),
    /// A message.
    Message {
        /// Where it was sent.
        subject: String,
        /// Where an answer goes, if one is wanted.
        reply: Option<String>,
        /// What it says.
        payload: Vec<u8>,
    },
}

/// Takes one thing off the front, if it is there as a whole.
///
/// # Errors
/// When it is malformed.
pub fn take(buffer: &mut BytesMut) -> anyhow::Result<Option<Said>> {
    let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let line = std::str::from_utf8(&buffer[..end]).context("a line that is no text")?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let said = match word {
        "INFO" => Said::Info,
        "PING" => Said::Ping,
        "PONG" => Said::Pong,
        "+OK" => Said::Ok,
        "-ERR" => Said::Error(rest.to_owned()),
        "MSG" => {
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            let (subject, reply, length) = match words.as_slice() {
                [subject, _, length] => (*subject, None, *length),
                [subject, _, reply, length] => (*subject, Some((*reply).to_owned()), *length),
                _ => bail!("a message without its length: {line:?}"),
            };
            let (subject, length) = (subject.to_owned(), length.parse::<usize>()?);
            if length > PAYLOAD_BYTES {
                bail!("a message of {length} bytes");
            }
            let from = end + 2;
            let Some(payload) = buffer.get(from..from + length + 2) else { return Ok(None) };
            let (payload, ending) = payload.split_at(length);
            if ending != b"\r\n" {
                bail!("a message without its end");
            }
            let payload = payload.to_vec();
            buffer.advance(from + length + 2);
            return Ok(Some(Said::Message { subject, reply, payload }));
        }
        _ => bail!("the server said {line:?}"),
    };
    buffer.advance(end + 2);
    Ok(Some(said))
}

/// Appends a message; an answer goes to `reply`, if it is not empty.
pub fn publish(buffer: &mut BytesMut, subject: &str, reply: &str, payload: &[u8]) {
    buffer.extend_from_slice(format!("PUB {subject} {reply} {}\r\n", payload.len()).as_bytes());
    buffer.extend_from_slice(payload);
    buffer.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, reply: Option<&str>, payload: &str) -> Said {
        Said::Message {
            subject: subject.to_owned(),
            reply: reply.map(str::to_owned),
            payload: payload.as_bytes().to_vec(),
        }
    }

    #[test]
    fn everything_a_server_says() {
        let text =
            "INFO {\"a\":1}\r\nPING\r\nPONG\r\n+OK\r\n-ERR 'no'\r\nMSG a.b 1 3\r\na\r\n\r\nMSG a 1 r.x 0\r\n\r\n";
        let mut buffer = BytesMut::from(text);
        let expected = [
            Said::Info,
            Said::Ping,
            Said::Pong,
            Said::Ok,
            Said::Error("'no'".to_owned()),
            message("a.b", None, "a\r\n"),
            message("a", Some("r.x"), ""),
        ];
        for said in expected {
            assert_eq!(take(&mut buffer).unwrap(), Some(said));
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_message_cut_anywhere_is_waited_for() {
        let whole = b"MSG a.b 1 reply 5\r\nhello\r\n";
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(take(&mut part).unwrap(), None, "{cut}");
            assert_eq!(&part[..], &whole[..cut], "nothing is lost while waiting");
        }
    }

    #[test]
    fn malformed_lines_are_errors() {
        for bad in
            ["HELLO\r\n", "MSG a\r\n", "MSG a 1 x\r\n", "MSG a 1 18446744073709551615\r\n", "MSG a 1 2\r\nabcd", "\r\n"]
        {
            assert!(take(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_published_has_its_length() {
        let mut buffer = BytesMut::new();
        publish(&mut buffer, "a.b", "r", b"hello");
        publish(&mut buffer, "a", "", b"");
        assert_eq!(&buffer[..], b"PUB a.b r 5\r\nhello\r\nPUB a  0\r\n\r\n");
    }
}
