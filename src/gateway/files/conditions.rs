//! The part of a file that a request asks for: all, some, or nothing if the client has it already (RFC 9110 sections 13 and 14).

use std::{ops::Range, time::SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE},
};

/// The part of a file that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Verdict {
    Whole,
    /// These bytes.
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    /// The file has none of the bytes that were asked for.
    NotSatisfiable,
}

/// Decides on a file with this strong entity tag, date and length, in the order of RFC 9110 section 13.2.2.
pub(in crate::gateway) fn judge(
    method: &Method,
    headers: &HeaderMap,
    tag: &str,
    modified: Option<SystemTime>,
    length: u64,
) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, &IF_MATCH, tag, false) {
            return Verdict::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) = (date(headers, &IF_UNMODIFIED_SINCE), modified)
        && modified > since
    {
        return Verdict::PreconditionFailed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if lists(headers, &IF_NONE_MATCH, tag, true) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date(headers, &IF_MODIFIED_SINCE), modified)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    match headers.get(RANGE) {
        Some(range) if method == Method::GET && range_counts(headers, tag, modified) => part(range, length),
        Some(_) | None => Verdict::Whole,
    }
}

/// Whether a list of entity tags has this one, or stands for all.
fn lists(headers: &HeaderMap, name: &HeaderName, tag: &str, weakly: bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        // Our tags hold no comma, so that one that does is none of ours.
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|listed| {
            let strong = listed.strip_prefix("W/").filter(|_| weakly).unwrap_or(listed);
            strong == tag || listed == "*"
        })
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Whether the client has a part of this very file (RFC 9110 section 13.1.5).
fn range_counts(headers: &HeaderMap, tag: &str, modified: Option<SystemTime>) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else {
        return true;
    };
    let text = condition.to_str().unwrap_or_default();
    if text.starts_with('"') {
        return text == tag;
    }
    // A weak tag, and a date that is not exactly this one, never do.
    modified.is_some() && date(headers, &IF_RANGE) == modified
}

/// One range of bytes. Anything else is as if nothing had been asked for (RFC 9110 section 14.2).
fn part(range: &HeaderValue, length: u64) -> Verdict {
    let asked = range.to_str().ok().and_then(|text| {
        let (unit, ranges) = text.split_once('=')?;
        unit.trim().eq_ignore_ascii_case("bytes").then_some(ranges.trim())
    });
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')) else {
        return Verdict::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // One that is too large is beyond every file.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let bounds = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        _ => return Verdict::Whole,
    };
    if bounds.is_empty() {
        return Verdict::NotSatisfiable;
    }
    Verdict::Part(bounds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TAG: &str = "\"abc\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn judged(method: &Method, fields: &[(HeaderName, &'static str)]) -> Verdict {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        judge(method, &headers, TAG, Some(modified), 100)
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        use Verdict::{NotModified, PreconditionFailed, Whole};
        for (fields, expected) in [
            (&[][..], Whole),
            (&[(IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_NONE_MATCH, "W/\"abc\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"x\", \"abc\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_NONE_MATCH, "\"x\"")], Whole),
            (&[(IF_NONE_MATCH, "abc")], Whole),
            (&[(IF_MODIFIED_SINCE, DATE)], NotModified),
            (&[(IF_MODIFIED_SINCE, LATER)], NotModified),
            (&[(IF_MODIFIED_SINCE, EARLIER)], Whole),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Whole),
            // The tag decides where both stand.
            (&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, LATER)], Whole),
            (&[(IF_MATCH, TAG)], Whole),
            (&[(IF_MATCH, "*")], Whole),
            (&[(IF_MATCH, "W/\"abc\"")], PreconditionFailed),
            (&[(IF_MATCH, "\"x\"")], PreconditionFailed),
            (&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)], PreconditionFailed),
            (&[(IF_UNMODIFIED_SINCE, EARLIER)], PreconditionFailed),
            (&[(IF_UNMODIFIED_SINCE, DATE)], Whole),
            (&[(IF_MATCH, TAG), (IF_UNMODIFIED_SINCE, EARLIER)], Whole),
        ] {
            assert_eq!(judged(&Method::GET, fields), expected, "{fields:?}");
            assert_eq!(judged(&Method::HEAD, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn one_range_is_sent_and_others_are_ignored() {
        use Verdict::{NotSatisfiable, Part, Whole};
        for (range, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=10-19", Part(10..20)),
            ("Bytes = 10 - 19", Part(10..20)),
            ("bytes=90-", Part(90..100)),
            ("bytes=90-500", Part(90..100)),
            ("bytes=-5", Part(95..100)),
            ("bytes=-500", Part(0..100)),
            ("bytes=0-99999999999999999999999", Part(0..100)),
            ("bytes=100-", NotSatisfiable),
            ("bytes=100-200", NotSatisfiable),
            ("bytes=99999999999999999999999-", NotSatisfiable),
            ("bytes=-0", NotSatisfiable),
            ("bytes=5-4", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,5-6", Whole),
            ("lines=0-1", Whole),
            ("bytes", Whole),
        ] {
            assert_eq!(judged(&Method::GET, &[(RANGE, range)]), expected, "{range}");
            assert_eq!(judged(&Method::HEAD, &[(RANGE, range)]), Whole);
        }
        for (condition, counts) in [
            (TAG, true),
            ("W/\"abc\"", false),
            ("\"x\"", false),
            (DATE, true),
            (LATER, false),
            (EARLIER, false),
            ("x", false),
        ] {
            let verdict = judged(&Method::GET, &[(RANGE, "bytes=0-0"), (IF_RANGE, condition)]);
            let expected = if counts { Part(0..1) } else { Whole };
            assert_eq!(verdict, expected, "{condition}");
        }
        // A client that has the file does not need a part of it.
        assert_eq!(
            judged(&Method::GET, &[(RANGE, "bytes=0-0"), (IF_NONE_MATCH, TAG)]),
            Verdict::NotModified
        );
    }
}
