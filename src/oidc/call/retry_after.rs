//! The `Retry-After` header (RFC 9110 section 10.2.3).

use std::time::Duration;

use time::{Date, Month, Time, UtcDateTime};

use crate::clock::Timestamp;

/// Longer waits are cut.
const LONGEST: Duration = Duration::from_hours(1);

/// How long to wait: seconds, or until an HTTP date. `None` for anything else.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too large for a number is as good as very long.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let date = http_date(value)?;
    Some(date.duration_since(now).min(LONGEST))
}

/// The fixed form, `Sun, 06 Nov 1994 08:49:37 GMT`; the obsolete ones are not in use.
pub(in crate::oidc) fn http_date(value: &str) -> Option<Timestamp> {
    let (_, rest) = value.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = parts.next()?.parse().ok()?;
    let month = month(parts.next()?)?;
    let year = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.splitn(3, ':').map(str::parse::<u8>);
    let mut field = || clock.next()?.ok();
    let time = Time::from_hms(field()?, field()?, field()?).ok()?;
    if parts.next() != Some("GMT") || parts.next().is_some() {
        return None;
    }
    let date = Date::from_calendar_date(year, month, day).ok()?;
    let seconds = UtcDateTime::new(date, time).unix_timestamp();
    Some(Timestamp::from_unix_seconds(u64::try_from(seconds).ok()?))
}

fn month(name: &str) -> Option<Month> {
    Some(match name {
        "Jan" => Month::January,
        "Feb" => Month::February,
        "Mar" => Month::March,
        "Apr" => Month::April,
        "May" => Month::May,
        "Jun" => Month::June,
        "Jul" => Month::July,
        "Aug" => Month::August,
        "Sep" => Month::September,
        "Oct" => Month::October,
        "Nov" => Month::November,
        "Dec" => Month::December,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        let seconds = |value: &str| parse(value, NOW).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(3600));
        // The example of RFC 9110 section 5.6.7 is NOW.
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:40 GMT"), Some(3));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(seconds("Mon, 06 Nov 2094 08:49:37 GMT"), Some(3600));
        for garbage in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:00:00 GMT",
        ] {
            assert_eq!(seconds(garbage), None, "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(value in ".{0,64}", days in "[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,12} GMT") {
            let _ = parse(&value, NOW);
            let _ = parse(&days, NOW);
        }
    }
}
