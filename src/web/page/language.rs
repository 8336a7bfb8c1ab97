//! Which language a person reads (RFC 9110 section 12.5.4).

use http::HeaderValue;

/// The maximum number of ranges; browsers send as many as a person speaks languages.
const MAX_RANGES: usize = 32;

/// The index of the first of `available` that `accept` prefers: exactly, or in another region (`de-AT` for `de`).
pub(super) fn choose(accept: Option<&HeaderValue>, available: &[&str]) -> Option<usize> {
    let accept = accept?.to_str().ok()?;
    let mut ranges: Vec<(&str, u16)> = accept
        .split(',')
        .take(MAX_RANGES)
        .filter_map(range)
        .filter(|(_, weight)| *weight > 0)
        .collect();
    // Stable, so that the first of two with equal weight counts.
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    ranges.into_iter().find_map(|(range, _)| {
        let exact = available.iter().position(|tag| tag.eq_ignore_ascii_case(range));
        exact.or_else(|| {
            available
                .iter()
                .position(|tag| primary(tag).eq_ignore_ascii_case(primary(range)))
        })
    })
}

/// A range and its weight in thousandths. `None` if it is malformed.
fn range(text: &str) -> Option<(&str, u16)> {
    let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim() {
        "" => 1_000,
        parameter => {
            let value = parameter
                .strip_prefix("q=")
                .or_else(|| parameter.strip_prefix("Q="))?;
            weight(value)?
        }
    };
    Some((range.trim(), weight))
}

/// RFC 9110 section 12.4.2: from 0 to 1 with up to three decimals.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

/// The language without region and script.
fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(accept: &str) -> Option<&'static str> {
        const AVAILABLE: [&str; 4] = ["en", "de", "pt-BR", "fr"];
        let accept = HeaderValue::from_str(accept).unwrap();
        choose(Some(&accept), &AVAILABLE).map(|index| AVAILABLE[index])
    }

    #[test]
    fn the_first_language_that_there_is_counts() {
        for (accept, expected) in [
            ("de", Some("de")),
            ("DE", Some("de")),
            ("de-AT,de;q=0.9,en;q=0.8", Some("de")),
            ("it-IT, fr;q=0.7, en;q=0.9", Some("en")),
            ("en;q=0.5, de;q=0.50, fr;q=0.501", Some("fr")),
            ("de;q=0, fr", Some("fr")),
            ("pt", Some("pt-BR")),
            ("pt-PT", Some("pt-BR")),
            ("it", None),
            ("*", None),
            ("", None),
            ("de;q=2, fr;q=x, en;level=1", None),
            ("den", None),
        ] {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
        assert_eq!(choose(None, &["en"]), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(accept in "[ -~]{0,120}") {
            let _ = chosen(&accept);
        }
    }
}
