//! Frames on a death stream: a length of four bytes, big endian, then a protobuf message.

use std::io;

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// No frame is larger: a hello holds a handful of configurations.
const FRAME_BYTES: usize = 1 << 20;

/// How reading a frame ended.
#[derive(Debug)]
pub enum Read<T> {
    /// A frame.
    Frame(T),
    /// The bytes ended between two frames.
    End,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A message as a frame.
///
/// # Errors
/// When it is too large.
pub fn encode(message: &impl Message) -> io::Result<Vec<u8>> {
    let length = u32::try_from(message.encoded_len()).ok().filter(|length| *length as usize <= FRAME_BYTES);
    let mut bytes = length.ok_or_else(|| invalid("a frame is too large"))?.to_be_bytes().to_vec();
    message.encode(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes a frame down to the kernel.
///
/// # Errors
/// When it cannot be written whole.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    stream.write_all(&encode(message)?).await?;
    stream.flush().await
}

/// Reads a frame. Not to be dropped while it waits: bytes may be lost.
///
/// # Errors
/// When the stream fails, ends within a frame, or holds something else.
pub async fn read<T: Message + Default>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Read<T>> {
    let mut length = [0; 4];
    let mut have = 0;
    while have < length.len() {
        let step = match stream.read(&mut length[have..]).await {
            // Under TLS an end without a farewell reads as an error; whether it was clean is known below.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && have == 0 => return Ok(Read::End),
            other => other?,
        };
        match step {
            // With a farewell: only a living process says it.
            0 if have == 0 => return Err(io::ErrorKind::ConnectionAborted.into()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            step => have += step,
        }
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES {
        return Err(invalid("a frame is too large"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    T::decode(&*bytes).map(Read::Frame).map_err(|_| invalid("a frame that makes no sense"))
}
