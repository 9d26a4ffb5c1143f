//! Tells the page of a cluster of `up` where servers can be killed and started: at the control endpoint of that `up`.
//!
//! An ordinary server has nothing to tell. One of `up` tells it only to a page that it gave out itself, shown by a browser on this
//! machine: the connection is from here, `Host` is this machine's own name for this port (no other site's name that was made to point
//! here), and the browser says that the request is of the same origin. Other sites' pages can neither read the answer nor guess the token in it; and
//! whoever is elsewhere, behind a proxy that runs here, could not reach the endpoint with it.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{Gateway, door::Door, http::ClientAddress, websocket::origin::is_loopback};
use crate::config::Control;

/// `GET /up`: the endpoint and its token, or 204 where there is none for who asks.
pub(super) async fn tell<D: Door>(
    State(gateway): State<Gateway<D>>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Response {
    let is_here = from.to_canonical().is_loopback();
    let told = match gateway.control() {
        Some(control) if is_here && is_own_page(control, &headers) => {
            let told = serde_json::json!({ "address": control.address.to_string(), "token": control.token });
            ([(header::CONTENT_TYPE, "application/json")], told.to_string()).into_response()
        }
        Some(_) | None => StatusCode::NO_CONTENT.into_response(),
    };
    let kept_to_itself = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (kept_to_itself, [("cross-origin-resource-policy", "same-origin")], told).into_response()
}

/// Whether a browser asks for a page that came from here.
fn is_own_page(control: &Control, headers: &HeaderMap) -> bool {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    };
    let is_own_host = only("host")
        .and_then(|host| host.rsplit_once(':'))
        .is_some_and(|(host, port)| is_loopback(host) && port == control.page_port.to_string());
    // Those that pass others' requests on say so.
    let is_passed_on =
        ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"].iter().any(|name| headers.contains_key(*name));
    is_own_host && !is_passed_on && only("sec-fetch-site") == Some("same-origin")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::gateway::testing::Solo;

    const CONTROL: &str = "127.0.0.1:45678";

    async fn ask(from: &str, pairs: &[(&'static str, &'static str)], gateway: Gateway<Solo>) -> Response {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        tell(State(gateway), Extension(ClientAddress(from.parse().unwrap())), headers).await
    }

    fn of_up() -> Gateway<Solo> {
        let told = format!("{CONTROL},{}", "5e".repeat(32));
        let control = Control::read(&told, "127.0.0.1:7400".parse().unwrap());
        Solo::new().gateway().with_control(control)
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:7400");
    const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

    #[tokio::test]
    async fn the_page_of_up_is_told() {
        for host in ["127.0.0.1:7400", "localhost:7400", "[::1]:7400"] {
            let answer = ask("127.0.0.1", &[("host", host), SAME], of_up()).await;
            assert_eq!(answer.status(), StatusCode::OK, "{host}");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&told["address"], &told["token"]), (&CONTROL.into(), &"5e".repeat(32).into()));
        }
    }

    #[tokio::test]
    async fn nobody_else_is() {
        assert_eq!(ask("127.0.0.1", &[HOST, SAME], Solo::new().gateway()).await.status(), StatusCode::NO_CONTENT);
        let cases: [(&str, &[(&str, &str)]); 8] = [
            ("10.0.0.7", &[HOST, SAME]),
            ("127.0.0.1", &[HOST]),
            ("127.0.0.1", &[SAME]),
            ("127.0.0.1", &[HOST, ("sec-fetch-site", "same-site")]),
            ("127.0.0.1", &[HOST, ("sec-fetch-site", "cross-site")]),
            ("127.0.0.1", &[("host", "evil.example:7400"), SAME]),
            ("127.0.0.1", &[("host", "127.0.0.1:7401"), SAME]),
            ("127.0.0.1", &[HOST, SAME, ("x-forwarded-for", "10.0.0.7")]),
        ];
        for (from, headers) in cases {
            assert_eq!(ask(from, headers, of_up()).await.status(), StatusCode::NO_CONTENT, "{from} {headers:?}");
        }
        assert_eq!(ask("127.0.0.1", &[HOST, HOST, SAME], of_up()).await.status(), StatusCode::NO_CONTENT);
    }

    #[test]
    fn what_is_no_address_and_token_is_nothing() {
        let here = "127.0.0.1:7400".parse().unwrap();
        let token = "5e".repeat(32);
        assert!(Control::read(&format!("{CONTROL},{token}"), here).is_some());
        assert!(Control::read(&format!("10.0.0.7:1,{token}"), here).is_none(), "elsewhere");
        assert!(Control::read(&format!("{CONTROL},short"), here).is_none());
        assert!(Control::read("", here).is_none());
        let everywhere = "0.0.0.0:7400".parse().unwrap();
        assert!(
            Control::read(&format!("{CONTROL},{token}"), everywhere).is_none(),
            "a server for others has no such thing"
        );
    }
}
