//! What a browser may show in place: a few kinds of pictures, told by their first bytes. Whatever else a file claims to be, it
//! is given out as bytes to be saved, so that nobody's file runs as a page of this server.

/// The content type of a picture that may be shown, by the first bytes of the file.
pub(super) fn picture(first: &[u8]) -> Option<&'static str> {
    let webp = |first: &[u8]| first.starts_with(b"RIFF") && first.get(8..12) == Some(b"WEBP");
    match first {
        _ if first.starts_with(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        _ if first.starts_with(b"\xff\xd8\xff") => Some("image/jpeg"),
        _ if first.starts_with(b"GIF87a") || first.starts_with(b"GIF89a") => Some("image/gif"),
        _ if webp(first) => Some("image/webp"),
        _ => None,
    }
}

/// So many bytes at the beginning tell what a file is.
pub(super) const TOLD_BY: usize = 12;

/// What nothing is known of.
const BYTES: &str = "application/octet-stream";

/// What a file is to be called that is announced as that and begins so, where that is something else: what is an `image/` for whoever looks at it
/// later is one of those that are told here. Everything else is as its author says.
pub(super) fn corrected(announced: &str, first: &[u8]) -> Option<&'static str> {
    // Whoever reads a header may pass over spaces before it.
    let is_image = announced.trim_start().get(..6).is_some_and(|kind| kind.eq_ignore_ascii_case("image/"));
    match picture(first) {
        Some(kind) => (announced != kind).then_some(kind),
        None => is_image.then_some(BYTES),
    }
}

/// `Content-Disposition` (RFC 6266) with the file's name in both its forms: plain, and as UTF-8 (RFC 8187).
pub(super) fn disposition(is_shown: bool, name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|character| match character {
            '"' | '\\' | '%' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect();
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let how = if is_shown { "inline" } else { "attachment" };
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_are_shown_whatever_a_file_is_called() {
        assert_eq!(picture(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(picture(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(picture(b"GIF89a"), Some("image/gif"));
        assert_eq!(picture(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in [&b"<svg onload=alert(1)>"[..], b"<html>", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE", b"", b"\x89PNG"] {
            assert_eq!(picture(other), None);
        }
    }

    #[test]
    fn what_is_called_an_image_is_one() {
        const GIF: &[u8] = b"GIF89a";
        for (announced, first, expected) in [
            ("image/gif", GIF, None),
            ("image/png", GIF, Some("image/gif")),
            ("image/GIF; x=y", GIF, Some("image/gif")),
            ("", GIF, Some("image/gif")),
            ("text/html", GIF, Some("image/gif")),
            ("image/png", b"<html>", Some(BYTES)),
            ("Image/svg+xml", b"<svg>", Some(BYTES)),
            ("image/png", b"", Some(BYTES)),
            ("  image/svg+xml", b"<svg>", Some(BYTES)),
            ("text/html", b"<html>", None),
            ("", b"words", None),
            ("imagé", b"words", None),
        ] {
            assert_eq!(corrected(announced, first), expected, "{announced} {first:?}");
        }
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        let header = disposition(false, "a\"; filename=\"b\\é%20.html");
        assert_eq!(
            header,
            "attachment; filename=\"a_; filename=_b___20.html\"; filename*=UTF-8''a%22%3B%20filename%3D%22b%5C%C3%A9%2520.html"
        );
        assert!(disposition(true, "x.png").starts_with("inline; filename=\"x.png\""));
    }
}
