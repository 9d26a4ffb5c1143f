//! How long a client waits: the `grpc-timeout` header, whose form is in gRPC's "HTTP/2 protocol" page.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// When a client does not say. Longer than an election, shorter than a person's patience.
pub(crate) const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);
/// Whatever a client says: what waits costs memory.
const MAX_PATIENCE: Duration = Duration::from_secs(60);
/// The protocol's bound on digits, which also keeps the arithmetic below from overflowing.
const MAX_DIGITS: usize = 8;

/// When to give up on a call that arrived now.
pub(super) fn of(metadata: &MetadataMap) -> Instant {
    let timeout = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
    Instant::now() + timeout.unwrap_or(DEFAULT_PATIENCE).min(MAX_PATIENCE)
}

/// None where it is malformed: as if the client had not said.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_units() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parse("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn garbage_is_no_deadline() {
        for bad in ["", "S", "1", "+1S", "-1S", "1.5S", "123456789S", "1s", "é", "1é", " 1S"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bounded_and_defaulted() {
        let patience = |value: Option<&'static str>| {
            let mut metadata = MetadataMap::new();
            if let Some(value) = value {
                metadata.insert("grpc-timeout", value.parse().unwrap());
            }
            of(&metadata) - Instant::now()
        };
        assert_eq!(patience(None), DEFAULT_PATIENCE);
        assert_eq!(patience(Some("nonsense")), DEFAULT_PATIENCE);
        assert_eq!(patience(Some("99999999H")), MAX_PATIENCE);
        assert_eq!(patience(Some("250m")), Duration::from_millis(250));
    }
}
