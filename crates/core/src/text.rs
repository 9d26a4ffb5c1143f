//! The rules for text that people choose: names, device names, message bodies, search patterns.
//!
//! The rules depend on nothing but fixed properties of characters. A table that grows with the Unicode version of
//! the compiler (letters, case) would let two builds of the program disagree about one command, and so
//! two replicas about the state. Names are therefore ASCII: letters, digits, `_`, `.` and `-`; that also leaves
//! no two names that look alike, and every name fits IRC. Other scripts belong into bodies and device names.

use crate::{
    bounds::{
        BODY_BYTES, CONTENT_TYPE_BYTES, DEVICE_BYTES, DISPLAY_NAME_BYTES, EMOJI_BYTES, FILE_NAME_BYTES, NAME_CHARS,
        PASSWORD_HASH_BYTES, TOPIC_BYTES,
    },
    reply::Rejection,
};

/// The form in which names are compared: unique ignoring case.
#[must_use]
pub fn fold_name(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Whether somebody may be called that.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_name(name: &str) -> Result<(), Rejection> {
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_CHARS {
        return Err(invalid(format!("a name has 1 to {NAME_CHARS} characters, not {chars}")));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(invalid("a name consists of the letters a to z, digits, '_', '.' and '-'".to_owned()));
    }
    Ok(())
}

/// Whether that may be sent.
///
/// Refused are empty and blank texts and control characters, which would let an author play tricks on the
/// terminals of readers. Line feed, tab and carriage return are text; bell and backspace are let through
/// because real text has them (overstruck letters in old files) and they can do no harm beyond their line.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_body(body: &str) -> Result<(), Rejection> {
    if body.len() > BODY_BYTES {
        return Err(invalid(format!("a message has at most {BODY_BYTES} bytes, not {}", body.len())));
    }
    if body.chars().all(char::is_whitespace) {
        return Err(invalid("the message is empty".to_owned()));
    }
    // Most texts have none of the bytes that a control character begins with (U+0080 to U+009F begin with 0xC2).
    let begins_control = |byte: u8| byte < 0x20 || byte == 0x7f || byte == 0xc2;
    if !body.bytes().fold(false, |found, byte| found | begins_control(byte)) {
        return Ok(());
    }
    let refused =
        |character: &char| character.is_control() && !matches!(character, '\n' | '\t' | '\r' | '\u{7}' | '\u{8}');
    match body.chars().find(refused) {
        Some(character) => {
            Err(invalid(format!("a message must not hold the control character U+{:04X}", u32::from(character))))
        }
        None => Ok(()),
    }
}

/// Whether a device may be called that.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_device(device: &str) -> Result<(), Rejection> {
    if device.is_empty() || device.len() > DEVICE_BYTES {
        return Err(invalid(format!("a device's name has 1 to {DEVICE_BYTES} bytes, not {}", device.len())));
    }
    if device.chars().any(char::is_control) {
        return Err(invalid("a device's name must not hold control characters".to_owned()));
    }
    Ok(())
}

/// Whether somebody may be shown as that; empty means by the account's name alone.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_display_name(name: &str) -> Result<(), Rejection> {
    if name.len() > DISPLAY_NAME_BYTES {
        return Err(invalid(format!("a display name has at most {DISPLAY_NAME_BYTES} bytes, not {}", name.len())));
    }
    if name.chars().any(|character| character.is_control() || turns(character)) {
        return Err(invalid("a display name must not hold control characters".to_owned()));
    }
    if name.trim() != name {
        return Err(invalid("a display name must not begin or end with a space".to_owned()));
    }
    Ok(())
}

/// Whether that can be a reaction: short, and in one piece. Whether it is a picture is for people to say; the tables that
/// would know change every year.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_emoji(emoji: &str) -> Result<(), Rejection> {
    if emoji.is_empty() || emoji.len() > EMOJI_BYTES {
        return Err(invalid(format!("a reaction has 1 to {EMOJI_BYTES} bytes, not {}", emoji.len())));
    }
    if emoji.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(invalid("a reaction must not hold spaces or control characters".to_owned()));
    }
    Ok(())
}

/// U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows, which would not be the name any more.
fn turns(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a file may be called that: no path, and nothing that would show as something else.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_file_name(name: &str) -> Result<(), Rejection> {
    if name.is_empty() || name.len() > FILE_NAME_BYTES {
        return Err(invalid(format!("a file's name has 1 to {FILE_NAME_BYTES} bytes, not {}", name.len())));
    }
    if name.chars().any(|character| character.is_control() || turns(character) || matches!(character, '/' | '\\')) {
        return Err(invalid("a file's name must not hold '/', '\\' or control characters".to_owned()));
    }
    if matches!(name, "." | "..") {
        return Err(invalid(format!("a file cannot be called {name}")));
    }
    Ok(())
}

/// Whether that can be a content type (RFC 9110, section 8.3.1), or nothing. Its inside is not looked at: nobody relies on it.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_content_type(content_type: &str) -> Result<(), Rejection> {
    if content_type.len() > CONTENT_TYPE_BYTES {
        let bytes = content_type.len();
        return Err(invalid(format!("a content type has at most {CONTENT_TYPE_BYTES} bytes, not {bytes}")));
    }
    let is_type = content_type.contains('/') && content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !content_type.is_empty() && !is_type {
        return Err(invalid("a content type is like image/png".to_owned()));
    }
    Ok(())
}

/// The name of a room as it is stored: without the `#` that people write before it.
#[must_use]
pub fn room_name(name: &str) -> &str {
    name.strip_prefix('#').unwrap_or(name)
}

/// Whether a room may be about that.
///
/// # Errors
/// [`Rejection::Invalid`] that says which rule is broken.
pub fn check_topic(topic: &str) -> Result<(), Rejection> {
    if topic.len() > TOPIC_BYTES {
        return Err(invalid(format!("a topic has at most {TOPIC_BYTES} bytes, not {}", topic.len())));
    }
    if topic.chars().any(char::is_control) {
        return Err(invalid("a topic must not hold control characters".to_owned()));
    }
    Ok(())
}

/// Whether that can be a password's hash. Its inside is the server's business.
pub(crate) fn check_password_hash(hash: &str) -> Result<(), Rejection> {
    if hash.is_empty() || hash.len() > PASSWORD_HASH_BYTES {
        return Err(invalid(format!("a password's hash has 1 to {PASSWORD_HASH_BYTES} bytes, not {}", hash.len())));
    }
    Ok(())
}

/// A name that somebody asked for, cut to what a rejection may repeat.
pub(crate) fn quoted_name(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(NAME_CHARS).collect()
}

fn invalid(what: String) -> Rejection {
    Rejection::Invalid(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(result: Result<(), Rejection>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn names() {
        let longest = "n".repeat(NAME_CHARS);
        for name in ["a", "Ann", "ann_b.c-9", "007", &longest] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "ann b", "ann@b", "#room", "an*", "Zoë", "боря", "a\n", "a\0"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(refused(check_name(&"n".repeat(33))), "a name has 1 to 32 characters, not 33");
        assert_eq!(fold_name("Ann_B"), fold_name("aNN_b"));
    }

    #[test]
    fn bodies() {
        let longest = "é".repeat(BODY_BYTES / 2);
        for body in ["x", " x ", "a\nb\tc\r\nd", "_\u{8}o", "שלום 👋🏽", "\u{200d}", &longest] {
            assert_eq!(check_body(body), Ok(()), "{body:?}");
        }
        for body in ["", " ", "\n\t", "\u{3000}", "a\0", "a\u{1b}[2J", "a\u{7f}", "a\u{9b}"] {
            assert!(check_body(body).is_err(), "{body:?}");
        }
        assert_eq!(refused(check_body(&format!("{longest}!"))), "a message has at most 16384 bytes, not 16385");
        assert_eq!(refused(check_body("a\u{1b}")), "a message must not hold the control character U+001B");
    }

    #[test]
    fn no_control_character_slips_through() {
        let let_through = ['\n', '\t', '\r', '\u{7}', '\u{8}'];
        for character in '\0'..=char::MAX {
            let is_refused = character.is_control() && !let_through.contains(&character);
            assert_eq!(check_body(&format!("text{character}")).is_err(), is_refused, "{character:?}");
        }
    }

    #[test]
    fn devices() {
        assert_eq!(check_device("Zoë's 📱"), Ok(()));
        assert!(check_device("").is_err() && check_device("a\nb").is_err());
        assert!(check_device(&"d".repeat(DEVICE_BYTES + 1)).is_err());
    }

    #[test]
    fn display_names() {
        for name in ["", "Zoë Müller", "Боря", "李小龍", "Ann 🌻"] {
            assert_eq!(check_display_name(name), Ok(()), "{name}");
        }
        for name in [" Ann", "Ann\n", "a\u{202e}b", "\u{1b}[1m", &"n".repeat(DISPLAY_NAME_BYTES + 1)] {
            assert!(check_display_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn reactions() {
        for emoji in ["👍", "👩‍👩‍👧‍👦", "+1", "漢", &"x".repeat(EMOJI_BYTES)] {
            assert_eq!(check_emoji(emoji), Ok(()), "{emoji}");
        }
        for emoji in ["", " ", "a b", "a\n", "\u{3000}", "\u{1b}", &"x".repeat(EMOJI_BYTES + 1)] {
            assert!(check_emoji(emoji).is_err(), "{emoji:?}");
        }
    }

    #[test]
    fn rooms() {
        assert_eq!((room_name("#tea"), room_name("tea"), room_name("##tea")), ("tea", "tea", "#tea"));
        assert_eq!((check_topic(""), check_topic("Tee für alle ☕")), (Ok(()), Ok(())));
        assert!(check_topic("a\nb").is_err() && check_topic(&"t".repeat(TOPIC_BYTES + 1)).is_err());
    }

    #[test]
    fn a_quoted_name_is_bounded() {
        assert_eq!(quoted_name(&"x\u{1b}".repeat(1000)), "x".repeat(NAME_CHARS));
    }
}
