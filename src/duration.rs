//! The one grammar of durations, for settings and routes alike: `500ms`, `90s`, `5m`, `8h`, `2d`; a bare number is seconds.

use std::time::Duration;

/// How to write a duration, for messages.
pub const HOW: &str = "write seconds, or a number with a unit: `500ms`, `90s`, `5m`, `8h`, `2d`";

/// No time limit of ours is longer.
const LONGEST: Duration = Duration::from_hours(24 * 3650);

/// Units and their milliseconds. `ms` stands before the units that it ends with.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not a whole number, or its unit is unknown.
    #[error("is not a duration")]
    Malformed,
    /// It is longer than any limit of ours.
    #[error("is longer than ten years")]
    TooLong,
}

/// Reads a whole number with a unit, or of seconds.
///
/// # Errors
///
/// [`DurationError`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|digits| (digits, *unit)))
        .unwrap_or((text, 1_000));
    // No sign, no spaces, no separators; only then is a number that does not fit a large one.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::Malformed);
    }
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or(DurationError::TooLong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_has_a_unit_or_is_seconds() {
        for (text, millis) in [
            ("0", 0),
            ("300", 300_000),
            ("500ms", 500),
            ("90s", 90_000),
            ("5m", 300_000),
            ("8h", 28_800_000),
            ("2d", 172_800_000),
            ("007m", 420_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "s", "m", "ms", "-1", "+1", "1.5h", "1 h", " 1", "1h30m", "1w", "5M", "5MS", "5 m", "1e3",
            "٣", "0x10", "1_000", "½h", "1us", "1sm",
        ] {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text}");
        }
        for text in [
            "99999999999999999999",
            "99999999999999999d",
            "3651d",
            "999999999999999999ms",
        ] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn near_misses_never_panic(text in "[0-9٣]{0,25} ?[smhdMé]{0,4}") {
            let _ = parse(&text);
        }

        #[test]
        fn every_number_of_seconds_is_itself(seconds in 0..=315_360_000_u64) {
            let expected = Ok(Duration::from_secs(seconds));
            prop_assert_eq!(parse(&seconds.to_string()), expected);
            prop_assert_eq!(parse(&format!("{seconds}s")), expected);
            prop_assert_eq!(parse(&format!("{seconds}000ms")), expected);
        }
    }
}
