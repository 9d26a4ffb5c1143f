//! Server addresses as people write them, made into addresses one can connect to.

use crate::Error;

/// The client port of a server whose address names none.
pub const DEFAULT_PORT: u16 = 7400;

/// Reads a list such as `127.0.0.1:7400,7401,https://chat.example:443`: parts are separated by commas, each a
/// `host`, `host:port`, either with `http://` or `https://` before it, or a port alone, which belongs to the host
/// before it (or to this machine).
///
/// # Errors
/// [`Error::Usage`] for an empty list or a malformed part.
pub fn parse_servers(text: &str) -> Result<Vec<String>, Error> {
    let mut servers: Vec<String> = Vec::new();
    let mut before = "http://127.0.0.1".to_owned();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let address = if let Ok(port) = part.parse::<u16>() { format!("{before}:{port}") } else { normalise(part)? };
        if let Some((host, _)) = address.rsplit_once(':') {
            host.clone_into(&mut before);
        }
        if !servers.contains(&address) {
            servers.push(address);
        }
    }
    if servers.is_empty() {
        return Err(Error::Usage("name at least one server, such as 127.0.0.1:7400".to_owned()));
    }
    Ok(servers)
}

/// One address, with scheme and port.
pub(crate) fn normalise(address: &str) -> Result<String, Error> {
    let (scheme, authority) = address.trim_end_matches('/').split_once("://").unwrap_or(("http", address));
    let malformed = || Error::Usage(format!("{address:?} is no server address: write host:port"));
    if scheme != "http" && scheme != "https" {
        return Err(malformed());
    }
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside the brackets of an IPv6 address separates no port.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| malformed())?),
        _ => (authority, DEFAULT_PORT),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || !(bracketed || host.chars().all(plain)) {
        return Err(malformed());
    }
    Ok(format!("{scheme}://{host}:{port}"))
}

/// An address as people know it: without `http://`.
pub(crate) fn display(address: &str) -> &str {
    address.strip_prefix("http://").unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases: &[(&str, &[&str])] = &[
            ("127.0.0.1:7400,7401,7402", &["http://127.0.0.1:7400", "http://127.0.0.1:7401", "http://127.0.0.1:7402"]),
            ("7400", &["http://127.0.0.1:7400"]),
            (" a.example , https://b.example:443/ ", &["http://a.example:7400", "https://b.example:443"]),
            ("[::1]:7401,7402", &["http://[::1]:7401", "http://[::1]:7402"]),
            ("[::1]", &["http://[::1]:7400"]),
            ("a:1,a:1", &["http://a:1"]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_servers(text).unwrap(), *expected, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_rest() {
        for text in ["", ",,", "a:99999", "a:b", ":7400", "ftp://a", "a b:1", "http://"] {
            assert!(matches!(parse_servers(text), Err(Error::Usage(_))), "{text}");
        }
    }
}
