//! `POST /hooks/{webhook}/{token}`: a message into a webhook's room, for programs that can do no more than post.
//!
//! The body is `{"text": "...", "request": "..."}` (other fields are passed over) or, as `text/plain`, the text itself. A request that
//! is named, in the body or by the header `Idempotency-Key`, is carried out once, however often and wherever it is posted again while its name is
//! remembered. Promises: nothing is read of a body before the token is known to be good, and never more than a bound of it.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde::Deserialize;
use threefold_core::{
    AccountId, Command, Rejection, Reply, RequestName, TokenHash,
    bounds::{BODY_BYTES, REQUEST_NAME_BYTES},
    query,
};
use threefold_proto::convert::{Refusal, Token};
use tokio::time::{Instant, timeout_at};

use super::{
    Gateway, attachments::http::refused, door::Door, grpc::deadline::DEFAULT_PATIENCE, millis, unexpected_reply,
};
use crate::ambient;

/// Posts dealt with at once: bounds what their bodies take.
pub(super) const POSTS: usize = 256;
/// A body: the longest text, each byte of it written as an escape, and some fields that are passed over.
const POST_BYTES: usize = 7 * BODY_BYTES;
/// The whole body has to come within this.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// The route, over a gateway.
pub(super) fn routes<D: Door>(gateway: Gateway<D>) -> Router {
    Router::new()
        .route("/hooks/{webhook}/{token}", post(take::<D>))
        // Counted while it is read.
        .layer(DefaultBodyLimit::disable())
        .with_state(gateway)
}

async fn take<D: Door>(
    State(gateway): State<Gateway<D>>,
    Path((webhook, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    match gateway.post(&webhook, &token, &head.headers, body).await {
        Ok(sent) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], sent).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// A body in JSON.
#[derive(Deserialize)]
struct Posted {
    text: String,
    request: Option<String>,
}

impl<D: Door> Gateway<D> {
    async fn post(&self, webhook: &str, token: &str, headers: &HeaderMap, body: Body) -> Result<String, Refusal> {
        let deadline = Instant::now() + DEFAULT_PATIENCE;
        let unknown = || Refusal::Rejected(Rejection::UnknownWebhook);
        let webhook = AccountId(webhook.parse().map_err(|_| unknown())?);
        let token = Token::from_hexadecimal(token).ok_or_else(unknown)?.hash();
        let _place =
            self.shared.posts.try_acquire().map_err(|_| Refusal::Overloaded("too many posts at once".into()))?;
        self.require_webhook(webhook, &token, deadline).await?;
        self.door().count_write(webhook).map_err(|wait| Refusal::RateLimited {
            what: "too many posts to this webhook",
            retry_after_ms: millis(wait),
        })?;
        let body = timeout_at(Instant::now() + BODY_PATIENCE, to_bytes(body, POST_BYTES)).await;
        let body = body.map_err(|_| Refusal::invalid("the body was too slow"))?;
        let body =
            body.map_err(|_| Refusal::invalid(format!("the body has more than {POST_BYTES} bytes, or is broken")))?;
        let (body, name) = read(headers, &body)?;
        let command = Command::PostWebhook { webhook, token, name, body };
        match self.submit(command, deadline).await?.0 {
            Reply::MessageSent { conversation, event, time_ms } => {
                let sent = serde_json::json!({"id": event.0, "conversation": conversation.0, "time_ms": time_ms});
                Ok(sent.to_string())
            }
            Reply::Rejected(rejection) => Err(rejection.into()),
            Reply::SessionOpened { .. }
            | Reply::InstanceOpened { .. }
            | Reply::RoomCreated { .. }
            | Reply::UploadReached { .. }
            | Reply::AttachmentFinished(_)
            | Reply::BotCreated { .. }
            | Reply::WebhookCreated { .. }
            | Reply::Done => Err(unexpected_reply()),
        }
    }

    /// Saves the log what can only be refused. A webhook that this server does not know may be a moment old.
    async fn require_webhook(&self, webhook: AccountId, token: &TokenHash, deadline: Instant) -> Result<(), Refusal> {
        let is_good = || self.door().read(|store| query::takes_posts(store, webhook, token));
        if !is_good() {
            self.catch_up(deadline).await?;
        }
        if is_good() { Ok(()) } else { Err(Refusal::Rejected(Rejection::UnknownWebhook)) }
    }
}

/// The text, and the name of the request.
fn read(headers: &HeaderMap, body: &[u8]) -> Result<(String, RequestName), Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_text =
        header("content-type").is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/"));
    let posted = if is_text {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::invalid("the text is not UTF-8"))?;
        // What `echo` and `curl` put behind a text is no part of it.
        Posted { text: text.trim_end_matches(['\r', '\n']).to_owned(), request: None }
    } else {
        let words = "a post is {\"text\": \"...\"}, or the text itself as text/plain";
        serde_json::from_slice(body).map_err(|error| Refusal::invalid(format!("{words}: {error}")))?
    };
    let name = match posted.request.as_deref().or_else(|| header("idempotency-key")) {
        Some(name) if name.is_empty() || name.len() > REQUEST_NAME_BYTES => {
            return Err(Refusal::invalid(format!("a request's name has 1 to {REQUEST_NAME_BYTES} bytes")));
        }
        Some(name) => RequestName::of(name),
        // Servers may propose a command twice, so it has a name in any case.
        None => {
            let random = ambient::random().map_err(|error| Refusal::Internal(format!("no randomness: {error}")))?;
            RequestName(u64::from_be_bytes(random))
        }
    };
    Ok((posted.text, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn json_and_plain_text_are_told_apart() {
        let json = with(&[("content-type", "application/json")]);
        let (text, name) = read(&json, br#"{"text": "hi", "request": "a", "username": "x"}"#).unwrap();
        assert_eq!((text.as_str(), name), ("hi", RequestName::of("a")));
        // As curl sends it unasked.
        let form = with(&[("content-type", "application/x-www-form-urlencoded")]);
        assert_eq!(read(&form, br#"{"text": "hi"}"#).unwrap().0, "hi");
        let plain = with(&[("content-type", "Text/Plain; charset=utf-8"), ("idempotency-key", "b")]);
        let (text, name) = read(&plain, "{\"text\": \"ö\"}\n".as_bytes()).unwrap();
        assert_eq!((text.as_str(), name), ("{\"text\": \"ö\"}", RequestName::of("b")));
        let nameless = || read(&json, br#"{"text": "hi"}"#).unwrap().1;
        assert_ne!(nameless(), nameless());
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let json = with(&[("content-type", "application/json")]);
        let long = format!(r#"{{"text": "x", "request": "{}"}}"#, "n".repeat(65));
        for body in ["", "hello", "[]", "{}", r#"{"text": 7}"#, r#"{"text": "x", "request": ""}"#, &long] {
            assert!(matches!(read(&json, body.as_bytes()), Err(Refusal::Rejected(Rejection::Invalid(_)))), "{body}");
        }
        assert!(read(&with(&[("content-type", "text/plain")]), &[0xff]).is_err());
    }
}
