//! Which pages may read what plain HTTP answers: those that may connect over WebSocket, and no others (the Fetch standard's CORS).
//!
//! A page whose server has died fetches pictures and sends files at the next one, which to a browser is another site. No answer depends
//! on cookies, so nothing is given away by letting a page ask; without this the page could not read what it is answered.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{door::Door, websocket::Entrance};

/// What a page may ask with.
const METHODS: &str = "GET, HEAD, POST";
/// What it may say beside it.
const SAID: &str = "authorization, content-type, range, if-none-match, if-range";
/// What it may read of an answer.
const READ: &str = "content-disposition, content-length, content-range, etag";
/// So long a browser need not ask again, in seconds.
const REMEMBERED_S: &str = "600";

/// Answers what a browser asks beforehand, and says of each answer whether the page may read it.
pub(super) async fn share<D: Door>(State(entrance): State<Entrance<D>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let allowed = entrance.origins.check(request.headers(), &entrance.gateway.door().client_addresses()).is_ok();
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if !allowed {
        return response;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let more = match asks_first {
        true => &[
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, SAID),
            (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED_S),
        ][..],
        false => &[(header::ACCESS_CONTROL_EXPOSE_HEADERS, READ)],
    };
    for (name, value) in more {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
