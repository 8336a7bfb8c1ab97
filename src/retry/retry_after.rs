//! The `Retry-After` header (RFC 9110 section 10.2.3).

use std::time::Duration;

use http::{
    HeaderMap,
    header::{DATE, HeaderName, RETRY_AFTER},
};

use crate::clock::http_date;

/// Longer waits are cut.
const LONGEST: Duration = Duration::from_hours(1);

/// How long an answer asks to wait: a number of seconds, or until a date. `None` where it asks for nothing that can be read.
///
/// A date counts from the `Date` of the same answer, so that the two clocks need not agree.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let value = text(&RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too large for a number is as good as very long.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let (until, now) = (http_date(value)?, http_date(text(&DATE)?)?);
    Some(until.duration_since(now).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn wait(value: &[u8], date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        assert_eq!(retry_after(&HeaderMap::new()), None);
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Mon, 06 Nov 2094 08:49:37 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(wait(value.as_bytes(), now), seconds, "{value}");
        }
        assert_eq!(wait(b"\xff", now), None);
        assert_eq!(wait(b"Sun, 06 Nov 1994 08:49:40 GMT", None), None);
        assert_eq!(wait(b"2", None), Some(2));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(value in "[ -~]{0,64}", date in "[ -~]{0,64}") {
            let _ = wait(value.as_bytes(), Some(&date));
        }
    }
}
