//! Numbers on the command line that make sense.

/// A day: nothing is measured for longer.
const MOST_SECONDS: f64 = 24.0 * 3600.0;
/// More messages a second than any schedule here can keep.
const MOST_RATE: f64 = 1e6;

/// A length of time in seconds, from zero to a day.
///
/// # Errors
/// When it is no number, or out of bounds.
pub fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0, MOST_SECONDS)
}

/// A measured time in seconds: as [`seconds`], and not nothing.
///
/// # Errors
/// When it is no number, or out of bounds.
pub fn some_seconds(text: &str) -> Result<f64, String> {
    within(text, 0.1, MOST_SECONDS)
}

/// Messages a second, from one in a hundred seconds to a million.
///
/// # Errors
/// When it is no number, or out of bounds.
pub fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.01, MOST_RATE)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "no number".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("must be from {least} to {most}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_can_be_slept_for() {
        assert_eq!(seconds("0"), Ok(0.0));
        assert_eq!(some_seconds("2.5"), Ok(2.5));
        assert_eq!(rate("20"), Ok(20.0));
        for bad in ["-1", "NaN", "inf", "1e300", "", "soon"] {
            assert!(seconds(bad).is_err() && some_seconds(bad).is_err() && rate(bad).is_err(), "{bad}");
        }
        assert!(some_seconds("0").is_err() && rate("0").is_err());
    }
}
