//! How times, names and messages are written on this port.

use threefold_proto::{chat, framing::Message};

/// In the place of a deleted account's name.
const DELETED_USER: &str = "(deleted user)";

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A time in UTC, as RFC 3339 says.
pub(super) fn time(time_ms: u64) -> String {
    let (year, month, day) = date(time_ms / DAY_MS);
    let (seconds, ms) = (time_ms % DAY_MS / 1000, time_ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day since 1970: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months count from March, so that the leap day is a year's last.
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A person's name.
pub(super) fn name(name: String) -> String {
    if name.is_empty() { DELETED_USER.to_owned() } else { name }
}

/// A room's name.
pub(super) fn room(name: &str) -> String {
    format!("#{name}")
}

/// Where a message went, as `own` sees it.
pub(super) fn recipient(message: &chat::Message, own_account: u64, own_name: &str) -> String {
    if !message.room_name.is_empty() {
        room(&message.room_name)
    } else if message.author == own_account {
        name(message.peer_name.clone())
    } else {
        own_name.to_owned()
    }
}

/// A message of a page.
pub(super) fn message(message: chat::Message, own_account: u64, own_name: &str) -> Message {
    Message {
        id: message.id,
        time: time(message.time_ms),
        to: recipient(&message, own_account, own_name),
        src: name(message.author_name),
        body: message.body,
        deleted: message.deleted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_in_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_000 - 1), "2000-02-28T23:59:59.999Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(1_709_251_199_000), "2024-02-29T23:59:59.000Z");
        assert_eq!(time(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(4_102_444_800_000), "2100-01-01T00:00:00.000Z");
    }
}
