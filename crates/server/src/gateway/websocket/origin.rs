//! Which web pages may connect.
//!
//! A browser lets any page open a WebSocket to anywhere, and says in `Origin` which page it was (RFC 6455, section 10.2). Programs
//! say nothing, and could say anything: this protects people from pages, not the server from programs.

use axum::http::{HeaderMap, HeaderValue, header};

/// The pages that may connect: those this server gave out itself, and these.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Besides the server's own: `https://chat.example`, as browsers write it.
    #[must_use]
    pub fn new(allowed: Vec<String>) -> Self {
        Self(allowed)
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// The reason why not, for whoever wrote the page.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = text(origin).filter(|_| origins.next().is_none()).ok_or("the request has no plain origin\n")?;
        let host = headers.get(header::HOST).and_then(text);
        let own = host.is_some_and(|host| is_at(origin, host));
        if own || self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        Err(format!("pages of {origin} may not connect here; this server's allowed-origins names those that may\n"))
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// Whether a page of this origin was given out at this host and port. Browsers leave the usual port out of both, programs may not.
fn is_at(origin: &str, host: &str) -> bool {
    let (place, usual_port) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(place), _) => (place, ":80"),
        (None, Some(place)) => (place, ":443"),
        (None, None) => return false,
    };
    let plain = |place: &str| place.strip_suffix(usual_port).unwrap_or(place).to_ascii_lowercase();
    plain(place) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn is_let_in(origin: &'static str, host: &'static str) -> bool {
        let origins = Origins::new(vec!["https://chat.example".into()]);
        origins.check(&headers(&[("origin", origin), ("host", host)])).is_ok()
    }

    #[test]
    fn programs_and_own_pages_are_let_in() {
        assert!(Origins::default().check(&headers(&[("host", "chat-1:7400")])).is_ok(), "a program");
        assert!(is_let_in("http://chat-1:7400", "chat-1:7400"));
        assert!(is_let_in("https://Chat-1:7400", "chat-1:7400"), "behind something that does TLS");
        assert!(is_let_in("https://chat-1", "chat-1:443"));
        assert!(is_let_in("http://chat-1", "chat-1"));
        assert!(is_let_in("http://[::1]:7400", "[::1]:7400"));
    }

    #[test]
    fn listed_pages_are_let_in() {
        assert!(is_let_in("https://chat.example", "chat-1:7400"));
        assert!(is_let_in("https://CHAT.example", "chat-1:7400"));
    }

    #[test]
    fn other_pages_are_not() {
        for origin in [
            "http://evil.example",
            "http://chat-1:7401",
            "http://chat-1",
            "http://chat.example",
            "https://chat.example:8443",
            "https://chat.example.evil.example",
            "null",
            "",
            "chat-1:7400",
            "ftp://chat-1:7400",
        ] {
            assert!(!is_let_in(origin, "chat-1:7400"), "{origin}");
        }
        let both = [("origin", "http://chat-1:7400"), ("origin", "http://evil.example"), ("host", "chat-1:7400")];
        let mut doubled = headers(&both[..1]);
        doubled.append("origin", HeaderValue::from_static("http://evil.example"));
        doubled.insert("host", HeaderValue::from_static("chat-1:7400"));
        assert!(Origins::default().check(&doubled).is_err());
        assert!(Origins::default().check(&headers(&[("origin", "http://chat-1:7400")])).is_err(), "no host");
    }
}
