//! Durations as people write them: `30s`, `1m30s`, `250ms`.

use std::time::Duration;

/// Parses a duration. A number without a unit is in seconds.
///
/// # Errors
///
/// A sentence about the form.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed.ok_or_else(|| format!("{text:?} is not a time: write for example 30s, 1m30s or 250ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed() {
        let cases =
            [("30s", 30_000), ("1m30s", 90_000), ("250ms", 250), ("2", 2_000), ("0.5", 500)];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "s", "1x", "1e400", "-1", "NaN", "1m30"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
