//! Which web pages may connect.
//!
//! A browser lets any page open a WebSocket to anywhere, and says in `Origin` which page it was (RFC 6455, section 10.2). Programs
//! say nothing, and could say anything: this protects people from pages, not the server from programs.
//!
//! A page is let in that this server gave out, or another member of the cluster: when the server that a page came from dies, the page
//! goes on at the next one. Where members are is what they told the cluster under mutual TLS, so no page can claim to be of one.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, header};

/// The pages that may connect: those the servers of the cluster gave out, and these.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Besides the cluster's own: `https://chat.example`, as browsers write it.
    #[must_use]
    pub fn new(allowed: Vec<String>) -> Self {
        Self(allowed)
    }

    /// Lets a request in; `members` are the client addresses of the cluster's servers.
    ///
    /// # Errors
    /// The reason why not, for whoever wrote the page.
    pub(crate) fn check(&self, headers: &HeaderMap, members: &[String]) -> Result<(), String> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = text(origin).filter(|_| origins.next().is_none()).ok_or("the request has no plain origin\n")?;
        let host = headers.get(header::HOST).and_then(text);
        let own = host.is_some_and(|host| is_at(origin, host)) || members.iter().any(|member| is_of(origin, member));
        if own || self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        Err(format!("pages of {origin} may not connect here; this server's allowed-origins names those that may\n"))
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// An origin's host and port, and the port that its scheme leaves out.
fn place(origin: &str) -> Option<(&str, &'static str)> {
    let usual = |place| (place, ":443");
    origin.strip_prefix("http://").map(|place| (place, ":80")).or_else(|| origin.strip_prefix("https://").map(usual))
}

/// Whether a page of this origin was given out at this host and port. Browsers leave the usual port out of both, programs may not.
fn is_at(origin: &str, host: &str) -> bool {
    let Some((place, usual_port)) = place(origin) else { return false };
    let plain = |place: &str| place.strip_suffix(usual_port).unwrap_or(place).to_ascii_lowercase();
    plain(place) == plain(host)
}

/// Whether a page of this origin was given out by the member at this address. A member on this machine alone has several names:
/// people write `localhost` where the cluster writes `127.0.0.1`.
fn is_of(origin: &str, member: &str) -> bool {
    let same_machine = || {
        let ((host, port), (member, member_port)) = (place(origin)?.0.rsplit_once(':')?, member.rsplit_once(':')?);
        Some(port == member_port && is_loopback(host) && is_loopback(member))
    };
    is_at(origin, member) || same_machine().unwrap_or(false)
}

/// Whether a host is nowhere but on the machine that names it.
pub(in crate::gateway) fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
        origins.check(&headers(&[("origin", origin), ("host", host)]), &[]).is_ok()
    }

    #[test]
    fn programs_and_own_pages_are_let_in() {
        assert!(Origins::default().check(&headers(&[("host", "chat-1:7400")]), &[]).is_ok(), "a program");
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
    fn pages_of_the_other_members_are_let_in() {
        let is_let_in = |origin: &'static str, members: &[&str]| {
            let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
            let headers = headers(&[("origin", origin), ("host", "chat-2:7400")]);
            Origins::default().check(&headers, &members).is_ok()
        };
        assert!(is_let_in("http://chat-1:7400", &["chat-2:7400", "chat-1:7400"]));
        assert!(is_let_in("https://Chat-1", &["chat-1:443"]));
        assert!(!is_let_in("http://chat-3:7400", &["chat-2:7400", "chat-1:7400"]));
        assert!(!is_let_in("http://chat-1:7401", &["chat-1:7400"]), "something else on that machine");
        let local = ["127.0.0.1:7400", "127.0.0.1:7401", "[::1]:7402"];
        for origin in ["http://127.0.0.1:7401", "http://localhost:7401", "http://[::1]:7400", "http://localhost:7402"] {
            assert!(is_let_in(origin, &local), "{origin}");
        }
        for origin in
            ["http://localhost:7403", "http://localhost", "http://localhost.evil.example:7401", "http://10.0.0.1:7401"]
        {
            assert!(!is_let_in(origin, &local), "{origin}");
        }
        assert!(!is_let_in("http://localhost:7400", &["chat-1:7400"]), "this is somebody's own machine");
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
        assert!(Origins::default().check(&doubled, &[]).is_err());
        assert!(Origins::default().check(&headers(&[("origin", "http://chat-1:7400")]), &[]).is_err(), "no host");
    }
}
