//! Figures of a cluster as people read them.

/// A term; after a sole survivor's force with the epoch before it, as in `1.7`.
#[must_use]
pub fn term(term: u64) -> String {
    let (epoch, within) = (term >> 32, term & u64::from(u32::MAX));
    if epoch == 0 { within.to_string() } else { format!("{epoch}.{within}") }
}

/// How long something runs, in two units.
#[must_use]
pub fn uptime(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_in_two_units() {
        let cases = [(0, "0s"), (61_000, "1m 1s"), (7_260_000, "2h 1m"), (90_000_000, "1d 1h")];
        for (ms, text) in cases {
            assert_eq!(uptime(ms), text);
        }
    }

    #[test]
    fn terms_after_a_force_have_an_epoch() {
        assert_eq!((term(7).as_str(), term((1 << 32) + 7).as_str()), ("7", "1.7"));
    }
}
