//! The `Range` header (RFC 9110, section 14): one range of bytes. Several at once are not served; the whole is sent instead, as
//! the RFC allows.

/// What part of a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// From the first to the last byte.
    Part { first: u64, last: u64 },
    /// Something behind its end.
    Nothing,
}

/// Reads a `Range` header for a file of that size.
pub(super) fn wanted(header: Option<&str>, bytes: u64) -> Wanted {
    let Some((begin, end)) =
        header.and_then(|header| header.strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    match (number(begin), number(end)) {
        (Some(first), last) if last.is_some() || end.is_empty() => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                return Wanted::Whole;
            }
            if first >= bytes {
                return Wanted::Nothing;
            }
            Wanted::Part { first, last: last.min(bytes - 1) }
        }
        (None, Some(count)) if begin.is_empty() => {
            if count == 0 || bytes == 0 {
                return Wanted::Nothing;
            }
            Wanted::Part { first: bytes.saturating_sub(count), last: bytes - 1 }
        }
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_hundred_bytes() {
        let of = |header| wanted(Some(header), 100);
        assert_eq!(of("bytes=0-9"), Wanted::Part { first: 0, last: 9 });
        assert_eq!(of("bytes=90-"), Wanted::Part { first: 90, last: 99 });
        assert_eq!(of("bytes=90-1000"), Wanted::Part { first: 90, last: 99 });
        assert_eq!(of("bytes=-10"), Wanted::Part { first: 90, last: 99 });
        assert_eq!(of("bytes=-1000"), Wanted::Part { first: 0, last: 99 });
        for behind in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(of(behind), Wanted::Nothing, "{behind}");
        }
        for whole in ["", "bytes=", "bytes=-", "bytes=9-1", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=+1-2"] {
            assert_eq!(of(whole), Wanted::Whole, "{whole}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Nothing);
    }
}
