//! Why a connection ends, and how its client is told: an error frame where there is an error, a close code and a reason.

use axum::extract::ws::{CloseCode, CloseFrame, close_code};
use threefold_core::Rejection;
use threefold_proto::convert::Refusal;
use tokio_tungstenite::tungstenite;

use super::FRAME_BYTES;

/// The session has ended: log in again.
const SESSION_OVER: CloseCode = 4001;
/// The cursor is of another history: subscribe from zero.
const CURSOR_INVALID: CloseCode = 4002;
/// RFC 6455, section 5.5: a control frame's payload has at most 125 bytes, two of which are the code.
const REASON_BYTES: usize = 123;

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// There is nobody to tell any more.
    Gone,
    /// The client has said that it goes, and was answered.
    Left,
    /// The client hears this last.
    Refused(Refusal),
    /// It broke the rules of the transport.
    Broken(CloseCode, &'static str),
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Ending {
    /// Of a frame that could not be read.
    pub fn of(error: axum::Error) -> Self {
        use tungstenite::{Error, error::CapacityError};
        let error = error.into_inner();
        match error.downcast_ref::<Error>() {
            Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                const { assert!(FRAME_BYTES == 256 * 1024) };
                Self::Broken(close_code::SIZE, "a frame has at most 256 KiB")
            }
            Some(Error::Utf8(_)) => Self::Broken(close_code::INVALID, "a text frame is UTF-8"),
            Some(Error::Protocol(_)) => Self::Broken(close_code::PROTOCOL, "this is not WebSocket as RFC 6455 has it"),
            Some(_) | None => Self::Gone,
        }
    }

    /// How the client is told.
    pub fn close_frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone | Self::Left => return None,
            Self::Refused(refusal) => (code(refusal), refusal.to_string()),
            Self::Broken(code, words) => (*code, (*words).to_owned()),
        };
        Some(CloseFrame { code, reason: bounded(reason).into() })
    }
}

/// One exhaustive list, as for gRPC's statuses.
fn code(refusal: &Refusal) -> CloseCode {
    match refusal {
        Refusal::Unavailable(_) => close_code::RESTART,
        Refusal::Overloaded(_) | Refusal::RateLimited { .. } => close_code::AGAIN,
        Refusal::CursorInvalid => CURSOR_INVALID,
        Refusal::Internal(_) => close_code::ERROR,
        Refusal::Rejected(rejection) if *rejection == Rejection::SessionInvalid => SESSION_OVER,
        // Whatever else there is to refuse, the client must change something.
        Refusal::Rejected(_) | Refusal::NotSearchable(_) => close_code::POLICY,
    }
}

fn bounded(mut words: String) -> String {
    if words.len() > REASON_BYTES {
        words.truncate(words.floor_char_boundary(REASON_BYTES));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(refusal: Refusal) -> CloseFrame {
        Ending::from(refusal).close_frame().unwrap()
    }

    #[test]
    fn each_end_has_its_code() {
        assert_eq!(close(Refusal::unavailable("this server is stopping")).code, 1012);
        assert_eq!(close(Refusal::Overloaded("slow".into())).code, 1013);
        assert_eq!(close(Refusal::CursorInvalid).code, 4002);
        assert_eq!(close(Refusal::Internal("hash".into())).code, 1011);
        assert_eq!(close(Refusal::Rejected(Rejection::SessionInvalid)).code, 4001);
        assert_eq!(close(Refusal::invalid("no")).code, 1008);
        assert!(Ending::Gone.close_frame().is_none() && Ending::Left.close_frame().is_none());
    }

    #[test]
    fn a_reason_fits_its_frame() {
        let frame = close(Refusal::invalid("é".repeat(200)));
        assert!(frame.reason.len() <= REASON_BYTES && frame.reason.len() > REASON_BYTES - 2);
    }
}
