//! Times as people write them on a command line, in this machine's own time zone unless they name another.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};

/// Milliseconds since 1970.
///
/// # Errors
/// In words, when it is no time.
pub fn parse(text: &str) -> Result<u64, String> {
    parse_at(text.trim(), Local::now())
        .ok_or_else(|| "a time such as 12:30, 2026-05-17, \"2026-05-17 12:30\" or 2026-05-17T12:30:00Z".to_owned())
}

fn parse_at(text: &str, now: DateTime<Local>) -> Option<u64> {
    if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
        return u64::try_from(exact.timestamp_millis()).ok();
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    let both = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let both = both.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let today = ["%H:%M:%S", "%H:%M"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok());
    let local = both.or(day).or(today.map(|time| now.date_naive().and_time(time)))?;
    // Where the clock is set back an hour comes twice: the first one loses nothing.
    u64::try_from(Local.from_local_datetime(&local).earliest()?.timestamp_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_hours_and_instants() {
        let now = Local.with_ymd_and_hms(2026, 5, 17, 12, 0, 0).unwrap();
        let at = |hour, minute, second| {
            u64::try_from(Local.with_ymd_and_hms(2026, 5, 17, hour, minute, second).unwrap().timestamp_millis()).ok()
        };
        assert_eq!(parse_at("9:30", now), at(9, 30, 0));
        assert_eq!(parse_at("09:30:05", now), at(9, 30, 5));
        assert_eq!(parse_at("2026-05-17", now), at(0, 0, 0));
        assert_eq!(parse_at("2026-05-17 09:30", now), at(9, 30, 0));
        assert_eq!(parse_at("2026-05-17T09:30:05", now), at(9, 30, 5));
        assert_eq!(parse_at("1970-01-01T00:00:01Z", now), Some(1000));
        assert_eq!(parse_at("1970-01-01T00:00:01+00:01", now), None, "before 1970");
        for nonsense in ["", "yesterday", "25:00", "2026-13-01", "12"] {
            assert_eq!(parse_at(nonsense, now), None, "{nonsense}");
        }
        assert!(parse("never").unwrap_err().contains("12:30"));
    }
}
