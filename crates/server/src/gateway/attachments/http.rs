//! Attachments over plain HTTP, for pages and for curl: `POST /attachments?name=...` with the file as the body, and
//! `GET /attachments/{conversation}/{message}/{attachment}`, with ranges, or with `?thumbnail` for a small picture of it.
//!
//! A body is taken as it comes and never held whole. What is broken off is taken back: unlike a stream, a request cannot be gone
//! on with.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures::StreamExt as _;
use threefold_core::{AttachmentId, ConversationId, EventId, Rejection, content::ContentHash, event::Attached, query};
use threefold_proto::{
    chat::{self, ErrorCode},
    convert::{Refusal, Token, code_of, error_of},
};
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use super::{Begun, CHUNK_PATIENCE, Upload, kind, piped, range, thumbnail};
use crate::{
    ambient,
    gateway::{Caller, Gateway, door::Door, grpc::deadline::DEFAULT_PATIENCE},
};

/// The routes, over a gateway.
pub(in crate::gateway) fn routes<D: Door>(gateway: Gateway<D>) -> Router {
    Router::new()
        .route("/attachments", post(upload::<D>))
        .route("/attachments/{conversation}/{message}/{attachment}", get(download::<D>))
        // The body is counted as it comes.
        .layer(DefaultBodyLimit::disable())
        .with_state(gateway)
}

async fn upload<D: Door>(State(gateway): State<Gateway<D>>, request: Request) -> Response {
    match take(&gateway, request).await {
        Ok(attached) => (StatusCode::CREATED, [(header::CONTENT_TYPE, JSON)], described(&attached)).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

const JSON: &str = "application/json";
/// Whatever is in a file: it loads nothing, and runs nowhere.
pub(super) const POLICY: &str = "default-src 'none'; sandbox";
/// An attachment never changes, but who may read it does: a browser may keep it, and asks each time before it shows it.
pub(super) const ASKED_EACH_TIME: &str = "private, no-cache";

fn described(attached: &Attached) -> String {
    serde_json::json!({
        "id": attached.attachment.0,
        "name": attached.name,
        "content_type": attached.content_type,
        "bytes": attached.bytes,
        "sha256": attached.sha256.to_string(),
    })
    .to_string()
}

async fn take<D: Door>(gateway: &Gateway<D>, request: Request) -> Result<Attached, Refusal> {
    // Taken apart: a request with its body cannot be shared between threads, and its headers are looked at in between.
    let (head, body) = request.into_parts();
    let caller = admit(gateway, &head.headers).await?;
    let said = parameters(head.uri.query().unwrap_or_default());
    let text = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let bytes = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let bytes = bytes.ok_or_else(|| Refusal::invalid("a file is sent with its Content-Length"))?;
    let expected = match said.get("sha256") {
        Some(hex) => Some(ContentHash::from_hex(hex).ok_or_else(|| Refusal::invalid("a SHA-256 has 64 hex digits"))?),
        None => None,
    };
    let nonce = ambient::random().map_err(|error| Refusal::Internal(format!("no randomness: {error}")))?;
    let begin = chat::BeginUpload {
        nonce: u64::from_be_bytes(nonce),
        name: said.get("name").cloned().unwrap_or_else(|| "file".to_owned()),
        content_type: text(header::CONTENT_TYPE).unwrap_or_default().to_owned(),
        bytes,
    };
    match gateway.begin_upload(&caller, begin, Instant::now() + DEFAULT_PATIENCE).await? {
        Begun::Open(upload) => receive(gateway, upload.only_try(), body, expected).await,
        Begun::Finished(attached) => Ok(attached),
    }
}

async fn receive<D: Door>(
    gateway: &Gateway<D>,
    mut upload: Upload<D>,
    body: Body,
    expected: Option<ContentHash>,
) -> Result<Attached, Refusal> {
    let mut pieces = body.into_data_stream();
    loop {
        let piece = tokio::select! {
            biased;
            () = gateway.closed() => return Err(Refusal::unavailable("this server is stopping")),
            piece = timeout_at(upload.due(), pieces.next()) => piece,
        };
        let chunk_s = CHUNK_PATIENCE.as_secs();
        let slow = |_| Refusal::invalid(format!("the upload was too slow: 256 KiB have to come within {chunk_s} s"));
        match piece.map_err(slow)? {
            Some(Ok(piece)) => drop(upload.put(piece).await?),
            Some(Err(error)) => return Err(Refusal::invalid(format!("the file did not come whole: {error}"))),
            None => return upload.finish(expected).await,
        }
    }
}

async fn download<D: Door>(
    State(gateway): State<Gateway<D>>,
    Path((conversation, message, attachment)): Path<(u64, u64, u64)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let place = (ConversationId(conversation), EventId(message), AttachmentId(attachment));
    let asked = Asked { method, wants_thumbnail: wants_thumbnail(uri.query().unwrap_or_default()), headers };
    give(&gateway, place, &asked).await.unwrap_or_else(|refusal| refused(&refusal))
}

/// How a file is asked for.
struct Asked {
    method: Method,
    wants_thumbnail: bool,
    headers: HeaderMap,
}

fn wants_thumbnail(query: &str) -> bool {
    query.split('&').any(|parameter| parameter.split('=').next() == Some("thumbnail"))
}

async fn give<D: Door>(
    gateway: &Gateway<D>,
    (conversation, message, attachment): (ConversationId, EventId, AttachmentId),
    Asked { method, wants_thumbnail, headers }: &Asked,
) -> Result<Response, Refusal> {
    let caller = admit(gateway, headers).await?;
    let reader = caller.session.account;
    let find = || gateway.door().read(|store| query::attachment(store, reader, conversation, message, attachment));
    if find().is_err() {
        // It may be that this server has not heard of the message yet.
        gateway.wait_consistent(Instant::now() + DEFAULT_PATIENCE).await?;
    }
    let attached = find()?;
    let etag = match wants_thumbnail {
        true => thumbnail::etag(&attached.sha256),
        false => format!("\"{}\"", attached.sha256),
    };
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|known| known == "*" || known.contains(&etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, &*etag), (header::CACHE_CONTROL, ASKED_EACH_TIME)])
            .into_response());
    }
    let request = chat::DownloadAttachmentRequest {
        conversation: conversation.0,
        message: message.0,
        attachment: attachment.0,
        offset: 0,
        length: 0,
    };
    if *wants_thumbnail {
        let open = || gateway.open_download(&caller, &request);
        let answer = thumbnail::answer(&gateway.shared.attachments.thumbnails, reader, &attached, open).await?;
        // It may have taken a while, in which the message was deleted, or the reader left.
        find()?;
        return Ok(answer);
    }
    // A part of what has changed is no part of what is there; but an attachment never changes.
    let is_same = text(header::IF_RANGE).is_none_or(|known| known == etag);
    let wanted = range::wanted(text(header::RANGE).filter(|_| is_same), attached.bytes);
    let (status, first, length) = match wanted {
        range::Wanted::Whole => (StatusCode::OK, 0, attached.bytes),
        range::Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        range::Wanted::Nothing => {
            let size = format!("bytes */{}", attached.bytes);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, size)]).into_response());
        }
    };
    let request = chat::DownloadAttachmentRequest { offset: first, length, ..request };
    let download = gateway.open_download(&caller, &request)?;
    let picture = if attached.bytes > 0 { kind::picture(&download.chunk(0)?) } else { None };
    let builder = Response::builder()
        .status(status)
        .header(header::ETAG, etag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, length)
        .header(header::CONTENT_TYPE, picture.unwrap_or("application/octet-stream"))
        .header(header::CONTENT_DISPOSITION, kind::disposition(picture.is_some(), &attached.name))
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::CACHE_CONTROL, ASKED_EACH_TIME);
    let builder = match wanted {
        range::Wanted::Part { first, last } => {
            builder.header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", attached.bytes))
        }
        range::Wanted::Whole | range::Wanted::Nothing => builder,
    };
    let body = if *method == Method::HEAD || length == 0 { Body::empty() } else { Body::from_stream(piped(download)) };
    builder.body(body).map_err(|error| Refusal::Internal(format!("the answer's headers: {error}")))
}

async fn admit<D: Door>(gateway: &Gateway<D>, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(Token::from_authorization).ok_or(Refusal::Rejected(Rejection::SessionInvalid))?;
    gateway.authenticate(token.hash(), Instant::now() + DEFAULT_PATIENCE).await
}

/// An error over plain HTTP.
pub(in crate::gateway) fn refused(refusal: &Refusal) -> Response {
    if let Refusal::Internal(words) = refusal {
        tracing::error!(words, "a request failed by this server's fault");
    }
    let error = error_of(refusal);
    let body = serde_json::json!({ "error": error.message, "code": error.code().as_str_name() }).to_string();
    let mut answer = (status_of(error.code()), [(header::CONTENT_TYPE, JSON)], body).into_response();
    if error.retry_after_ms > 0 {
        answer.headers_mut().insert(header::RETRY_AFTER, error.retry_after_ms.div_ceil(1000).into());
    }
    answer
}

/// An error's status in HTTP (RFC 9110, section 15).
fn status_of(code: ErrorCode) -> StatusCode {
    // A full quota, too: what is 429, or any 5xx, libraries send again by themselves, and this would never be answered otherwise.
    if matches!(code, ErrorCode::AttachmentTooLarge | ErrorCode::QuotaExceeded) {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    match code_of(code) {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled | Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
    }
}

/// The parameters of a query, as forms send them (URL Standard, section 5.1); of two with one name the last.
pub(crate) fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// What a `Range` asks for; none where that is behind the end, or the file is empty.
pub(crate) fn range(header: &str, bytes: u64) -> Option<std::ops::RangeInclusive<u64>> {
    match range::wanted(Some(header), bytes) {
        range::Wanted::Whole => bytes.checked_sub(1).map(|last| 0..=last),
        range::Wanted::Part { first, last } => Some(first..=last),
        range::Wanted::Nothing => None,
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = tail.first_chunk::<2>().and_then(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        });
        match (byte, escaped) {
            (b'%', Some(escaped)) => {
                bytes.push(escaped);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_as_pages_send_them() {
        let said = parameters("name=caf%C3%A9+noir%2B.png&x&sha256=ab&name2=%zz%4&=");
        assert_eq!(said["name"], "café noir+.png");
        assert_eq!(said["sha256"], "ab");
        assert_eq!(said["name2"], "%zz%4");
        assert_eq!(decoded("%ff"), "\u{fffd}");
    }

    #[test]
    fn only_what_may_go_better_later_is_worth_another_try() {
        // What libraries repeat by themselves.
        let is_repeated = |code: ErrorCode| status_of(code).is_server_error() || status_of(code).as_u16() == 429;
        let repeated: Vec<_> =
            (1..1000).filter_map(|code| ErrorCode::try_from(code).ok()).filter(|code| is_repeated(*code)).collect();
        use ErrorCode::{Internal, Overloaded, RateLimited, Unavailable};
        for code in [Unavailable, Overloaded, RateLimited, Internal] {
            assert!(repeated.contains(&code), "{code:?}");
        }
        assert_eq!(repeated.len(), 4, "{repeated:?}");
        assert_eq!(status_of(ErrorCode::QuotaExceeded), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
