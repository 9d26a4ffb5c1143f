//! `POST /hooks/{webhook}/{token}`: a message into a webhook's room, for programs that can do no more than post.
//!
//! The body is `{"text": "...", "request": "..."}` (other fields are passed over) or, as `text/plain`, the text itself. A request that
//! is named, in the body or by the header `Idempotency-Key`, is carried out once, however often and wherever it is posted again while its name is
//! remembered. Promises: nothing is read of a body before the token is known to be good, and never more than a bound of it; whatever is
//! posted to one webhook, or with tokens that are none, takes nothing from the others.
//!
//! # What is on its way
//! A server proposes a command again whose answer it has not heard, and the state machine knows it by its name. It knows the last
//! [`NAMED_REQUESTS`] of a webhook, so no more than that are on their way to one at once, through all servers together; were there more, each
//! that is carried out a second time would push out the name of the next. The place is the command's, not the request's: who posts may go away, but
//! its command goes on. Where other posts have gone by meanwhile, the command says how many there were when it came, and is refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde::Deserialize;
use threefold_core::{
    AccountId, Command, Rejection, Reply, RequestName, TokenHash,
    bounds::{BODY_BYTES, NAMED_REQUESTS, REQUEST_NAME_BYTES},
    query,
};
use threefold_proto::convert::{Refusal, Token};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    Gateway,
    attachments::http::refused,
    door::Door,
    grpc::deadline::DEFAULT_PATIENCE,
    millis,
    places::{Full, Places},
    unexpected_reply,
};
use crate::ambient;

/// Posts dealt with at once: bounds what their bodies take.
const POSTS: usize = 256;
/// Of one webhook: who sends slowly whatever there is keeps others waiting for that webhook only.
const POSTS_OF_ONE: usize = 32;
/// Posts of one webhook that this server proposes at once: so that those of eight servers are remembered, and clusters have fewer.
const PROPOSED: usize = NAMED_REQUESTS as usize / 8;
/// How long a post waits for those before it: a moment, or an election.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// Posts to webhooks that this server does not know, looked up at once: each waits for a question to the leader.
const STRANGERS: usize = 16;
/// Webhooks with a line, before those that nobody stands in are forgotten.
const LINES: usize = 1024;
/// A body: the longest text, each byte of it written as an escape, and some fields that are passed over.
const POST_BYTES: usize = 7 * BODY_BYTES;
/// The whole body has to come within this.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Who is let in.
pub(super) struct Hooks {
    posts: Arc<Places>,
    strangers: Semaphore,
    lines: Mutex<BTreeMap<AccountId, Arc<Semaphore>>>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { posts: Places::new(POSTS, POSTS_OF_ONE), strangers: Semaphore::new(STRANGERS), lines: Mutex::default() }
    }
}

impl Hooks {
    /// A place among the posts of a webhook that are on their way, in the order of those who ask.
    async fn turn(&self, webhook: AccountId) -> Result<OwnedSemaphorePermit, Refusal> {
        let line = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() >= LINES {
                // Whoever stands in a line, or has a place of it, holds on to it.
                lines.retain(|_, line| Arc::strong_count(line) > 1);
            }
            Arc::clone(lines.entry(webhook).or_insert_with(|| Arc::new(Semaphore::new(PROPOSED))))
        };
        match timeout(TURN_PATIENCE, line.acquire_owned()).await {
            Ok(place) => place.map_err(|_| Refusal::unavailable("this server is stopping")),
            Err(_) => Err(at_once()),
        }
    }
}

fn at_once() -> Refusal {
    Refusal::RateLimited { what: "too many posts to this webhook at once", retry_after_ms: 1000 }
}

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
        let unknown = || Refusal::Rejected(Rejection::UnknownWebhook);
        let webhook = AccountId(webhook.parse().map_err(|_| unknown())?);
        let token = Token::from_hexadecimal(token).ok_or_else(unknown)?.hash();
        self.require_webhook(webhook, &token).await?;
        let hooks = &self.shared.hooks;
        let _place = hooks.posts.take(webhook).map_err(|full| match full {
            Full::InAll => Refusal::Overloaded("too many posts at once".into()),
            Full::OfOne(_) => at_once(),
        })?;
        let payer = self.door().read(|store| query::writes_of(store, webhook));
        self.door().count_write(payer).map_err(|wait| Refusal::RateLimited {
            what: "too many posts of whoever made this webhook",
            retry_after_ms: millis(wait),
        })?;
        let body = timeout(BODY_PATIENCE, to_bytes(body, POST_BYTES)).await;
        let body = body.map_err(|_| Refusal::invalid("the body was too slow"))?;
        let body =
            body.map_err(|_| Refusal::invalid(format!("the body has more than {POST_BYTES} bytes, or is broken")))?;
        let (body, name) = read(headers, &body)?;
        let turn = hooks.turn(webhook).await?;
        // How many there were is asked before the first proposal, and as late as possible: a server that is behind
        // would count too few, and take a new post for one of long ago.
        self.wait_consistent(Instant::now() + DEFAULT_PATIENCE).await?;
        let after = Some(self.counts(webhook, &token).ok_or_else(unknown)?);
        let command = Command::PostWebhook { webhook, token, name, body, after };
        let gateway = self.clone();
        let submitted = tokio::spawn(async move {
            let submitted = gateway.submit(command, Instant::now() + DEFAULT_PATIENCE).await;
            drop(turn);
            submitted
        });
        match submitted.await.map_err(|_| Refusal::unavailable("this server is stopping"))??.0 {
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
    async fn require_webhook(&self, webhook: AccountId, token: &TokenHash) -> Result<(), Refusal> {
        if self.counts(webhook, token).is_some() {
            return Ok(());
        }
        let strangers = self.shared.hooks.strangers.try_acquire();
        let _place = strangers.map_err(|_| Refusal::Overloaded("too many posts to unknown webhooks at once".into()))?;
        self.catch_up(Instant::now() + DEFAULT_PATIENCE).await?;
        self.counts(webhook, token).map(drop).ok_or(Refusal::Rejected(Rejection::UnknownWebhook))
    }

    /// How many posts the webhook has counted, if it takes what is posted with that token.
    fn counts(&self, webhook: AccountId, token: &TokenHash) -> Option<u64> {
        self.door().read(|store| query::webhook_counts(store, webhook, token))
    }
}

/// The text, and the name of the request.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<(String, RequestName), Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_text =
        header("content-type").is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/"));
    // Of JSON too, which would otherwise be looked at only where it is not passed over.
    let text = std::str::from_utf8(body).map_err(|_| Refusal::invalid("the text is not UTF-8"))?;
    let posted = if is_text {
        // What `echo` and `curl` put behind a text is no part of it.
        Posted { text: text.trim_end_matches(['\r', '\n']).to_owned(), request: None }
    } else {
        let words = "a post is {\"text\": \"...\"}, or the text itself as text/plain";
        serde_json::from_str(text).map_err(|error| Refusal::invalid(format!("{words}: {error}")))?
    };
    // Whatever bytes it is: a name that was passed over would make each retry a message of its own.
    let key = headers.get("idempotency-key").map(HeaderValue::as_bytes);
    let name = match posted.request.as_deref().map(str::as_bytes).or(key) {
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
    use threefold_core::{BotAction, Operation, Recipient, RequestId};
    use tokio::time::sleep;

    use super::*;
    use crate::{
        config::{Limits, Rate},
        gateway::testing::Solo,
    };

    /// Somebody with a room and webhooks, each with the token of the same number.
    fn scene(solo: &Solo, webhooks: u8) -> (TokenHash, Vec<(AccountId, String)>) {
        let session = TokenHash::of(b"ann");
        let name = "ann".to_owned();
        solo.apply(&Command::Register {
            name,
            password_hash: "hash".to_owned(),
            token_hash: session,
            device: "laptop".to_owned(),
        });
        let create = Operation::CreateRoom { name: "tea".to_owned(), topic: String::new(), public: true };
        write(solo, session, 1, create);
        let webhook = |number: u8| {
            let (room, token) = (Recipient::Room("tea".to_owned()), Token::new([number; 32]));
            let make = Operation::CreateWebhook { room, name: format!("ci{number}"), token: token.hash() };
            match write(solo, session, 2 + u64::from(number), make) {
                Reply::WebhookCreated { webhook, .. } => (webhook, format!("{number:02x}").repeat(32)),
                other => panic!("{other:?}"),
            }
        };
        (session, (0..webhooks).map(webhook).collect())
    }

    fn write(solo: &Solo, session: TokenHash, number: u64, operation: Operation) -> Reply {
        let request = RequestId { instance: 1, number };
        solo.apply(&Command::Write { session, request, operation, answered: None }).reply
    }

    async fn post(gateway: &Gateway<Solo>, to: &(AccountId, String), body: Body) -> Result<String, Refusal> {
        let plain = with(&[("content-type", "text/plain")]);
        gateway.post(&to.0.to_string(), &to.1, &plain, body).await
    }

    /// Of one webhook as many are on their way as are remembered of it by all servers together, also when those who posted are gone.
    #[tokio::test(start_paused = true)]
    async fn few_of_one_webhook_are_on_their_way_until_they_are_answered() {
        let solo = Solo::new();
        let (_, webhooks) = scene(&solo, 2);
        let gateway = solo.gateway();
        let before = solo.applied();
        solo.hold_answers();
        let posts =
            (0..POSTS_OF_ONE).map(|_| timeout(Duration::from_secs(1), post(&gateway, &webhooks[0], "x".into())));
        assert!(futures::future::join_all(posts).await.iter().all(Result::is_err), "nobody has waited for an answer");
        assert_eq!(solo.applied() - before, PROPOSED as u64);
        let refused = post(&gateway, &webhooks[0], "x".into()).await;
        assert!(matches!(refused, Err(Refusal::RateLimited { retry_after_ms: 1000, .. })), "{refused:?}");
        assert_eq!(solo.applied() - before, PROPOSED as u64, "who waited in vain has posted nothing");
        // Another one has places of its own.
        let other = timeout(Duration::from_secs(1), post(&gateway, &webhooks[1], "y".into())).await;
        assert!(other.is_err() && solo.applied() - before == PROPOSED as u64 + 1);
        // Who waits for a place gets it in time.
        let release = async {
            sleep(Duration::from_secs(2)).await;
            solo.release_answers();
        };
        assert!(tokio::join!(post(&gateway, &webhooks[0], "x".into()), release).0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_posts_slowly_keeps_only_those_of_the_same_webhook_waiting() {
        let solo = Solo::new();
        let (_, webhooks) = scene(&solo, 2);
        let gateway = solo.gateway();
        let slow = || Body::from_stream(futures::stream::pending::<Result<&'static str, std::io::Error>>());
        let posts = (0..POSTS_OF_ONE + 5).map(|_| post(&gateway, &webhooks[0], slow()));
        let slowly = futures::future::join_all(posts);
        let other = async {
            sleep(Duration::from_secs(1)).await;
            post(&gateway, &webhooks[1], "y".into()).await
        };
        let (slowly, other) = tokio::join!(slowly, other);
        assert!(other.is_ok(), "{other:?}");
        let too_many = slowly.iter().filter(|refused| matches!(refused, Err(Refusal::RateLimited { .. }))).count();
        assert_eq!(too_many, 5);
        assert!(slowly.iter().all(Result::is_err));
    }

    /// Whoever invents tokens while this server cannot ask whether they are new.
    #[tokio::test(start_paused = true)]
    async fn invented_tokens_do_not_shut_out_those_who_have_one() {
        let solo = Solo::new();
        let (_, webhooks) = scene(&solo, 1);
        let gateway = solo.gateway();
        let strangers: Vec<_> = (0..STRANGERS).map(|_| gateway.shared.hooks.strangers.try_acquire().unwrap()).collect();
        let invented = (webhooks[0].0, "f".repeat(64));
        assert!(matches!(post(&gateway, &invented, "x".into()).await, Err(Refusal::Overloaded(_))));
        assert!(post(&gateway, &webhooks[0], "x".into()).await.is_ok());
        drop(strangers);
        let unknown = Err(Refusal::Rejected(Rejection::UnknownWebhook));
        assert_eq!(post(&gateway, &invented, "x".into()).await, unknown);
    }

    /// What it has counted may be of long ago: a new post would be refused as one that was perhaps made.
    #[tokio::test]
    async fn a_server_that_cannot_tell_how_far_it_is_proposes_nothing() {
        let solo = Solo::new();
        let (_, webhooks) = scene(&solo, 1);
        let gateway = solo.gateway();
        let before = solo.applied();
        solo.set_cut_off(true);
        assert!(matches!(post(&gateway, &webhooks[0], "x".into()).await, Err(Refusal::Unavailable { .. })));
        assert_eq!(solo.applied(), before);
        solo.set_cut_off(false);
        assert!(post(&gateway, &webhooks[0], "x".into()).await.is_ok());
    }

    /// The body may take as long as a command does.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_ends_late_leaves_time_for_its_command() {
        let solo = Solo::new();
        let (_, webhooks) = scene(&solo, 1);
        let gateway = solo.gateway();
        let late = futures::stream::once(async {
            sleep(BODY_PATIENCE - Duration::from_millis(10)).await;
            Ok::<_, std::io::Error>("late")
        });
        let deadlines = solo.deadlines();
        assert!(post(&gateway, &webhooks[0], Body::from_stream(late)).await.is_ok());
        let left = deadlines.borrow().unwrap().duration_since(Instant::now());
        assert!(left > DEFAULT_PATIENCE / 2, "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_posted_counts_as_written_by_whoever_made_the_webhook() {
        let writes = Some(Rate { burst: 3, every: Duration::from_secs(600) });
        let solo = Solo::with_limits(&Limits { writes, ..Limits::new(0, 0, 0) });
        let (session, webhooks) = scene(&solo, 3);
        let gateway = solo.gateway();
        for webhook in &webhooks {
            assert!(post(&gateway, webhook, "x".into()).await.is_ok());
        }
        assert!(matches!(post(&gateway, &webhooks[0], "x".into()).await, Err(Refusal::RateLimited { .. })));
        // As do the writes of bots.
        let of_bot = TokenHash::of(b"echo");
        let make = BotAction::Create { token: of_bot };
        let make = Operation::ManageBot { name: "echo".to_owned(), action: make };
        let Reply::BotCreated { account } = write(&solo, session, 5, make) else { panic!() };
        let (token_hash, device) = (of_bot, "host".to_owned());
        solo.apply(&Command::LogIn { account, credential_version: 1, token_hash, device });
        let deadline = Instant::now() + DEFAULT_PATIENCE;
        let echo = gateway.authenticate(token_hash, deadline).await.unwrap();
        let ann = gateway.authenticate(session, deadline).await.unwrap();
        assert_eq!((echo.counted_as, ann.counted_as), (ann.session.account, ann.session.account));
        let soon = Instant::now() + Duration::from_millis(100);
        assert!(matches!(gateway.pace(&echo, soon).await, Err(Refusal::RateLimited { .. })));
    }

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
        let foreign = |key: &'static [u8]| {
            let mut headers = with(&[("content-type", "text/plain")]);
            headers.insert("idempotency-key", HeaderValue::from_bytes(key).unwrap());
            read(&headers, b"hi").unwrap().1
        };
        assert_eq!(foreign("Prüfung".as_bytes()), RequestName::of("Prüfung"));
        assert_eq!(foreign(b"Pr\xfcfung"), foreign(b"Pr\xfcfung"));
        assert_ne!(foreign(b"Pr\xfcfung"), foreign(b"Pr\xf6fung"));
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
        assert!(read(&json, b"{\"t\": \"\xc2\", \"text\": \"x\"}").is_err(), "no JSON, though the rest of it would do");
    }
}
