//! Dates as HTTP has them (RFC 9110 section 5.6.7).

use time::{Date, Month, Time, UtcDateTime};

use super::Timestamp;

/// Reads the fixed form, `Sun, 06 Nov 1994 08:49:37 GMT`; nobody sends the obsolete ones.
#[must_use]
pub fn http_date(value: &str) -> Option<Timestamp> {
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

    #[test]
    fn the_example_of_the_standard_is_read() {
        let expected = Some(Timestamp::from_unix_seconds(784_111_777));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        for garbage in [
            "",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:00:00 GMT",
            "784111777",
        ] {
            assert_eq!(http_date(garbage), None, "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(value in ".{0,64}", days in "[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,12} GMT") {
            let _ = http_date(&value);
            let _ = http_date(&days);
        }
    }
}
