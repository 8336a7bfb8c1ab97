//! Encoded copies of a file that lie beside it, as build systems make them: `app.js.br` beside `app.js`.

use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};

/// A content coding (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Encoding {
    Brotli,
    Zstandard,
    Gzip,
}

// === impl Encoding ===

impl Encoding {
    /// The smallest first.
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstandard, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(in crate::gateway) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The end of the name of a copy.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zst",
            Self::Gzip => "gz",
        }
    }
}

/// The coding among `there` that the client prefers; `None` for the file itself (RFC 9110 section 12.5.3).
pub(super) fn choose(headers: &HeaderMap, there: &[Encoding]) -> Option<Encoding> {
    let weight = |name: &str| weight(headers, name);
    let best = there
        .iter()
        .map(|encoding| (weight(encoding.name()).unwrap_or(0), *encoding))
        // The first of the best.
        .rev()
        .max_by_key(|(weight, _)| *weight)?;
    // Without a word about it, the plain file is as good as any.
    let plain = weight("identity").unwrap_or(1);
    (best.0 > 0 && best.0 >= plain).then_some(best.1)
}

/// The weight of a coding, in thousandths; `None` if no field names it.
fn weight(headers: &HeaderMap, name: &str) -> Option<u16> {
    let mut of_all = None;
    for entry in headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = entry.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        // `x-gzip` is another name of it (RFC 9110 section 8.4.1.3).
        let is_it =
            coding.eq_ignore_ascii_case(name) || name == "gzip" && coding.eq_ignore_ascii_case("x-gzip");
        if !is_it && coding != "*" {
            continue;
        }
        let weight = parts
            .find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim()
                    .eq_ignore_ascii_case("q")
                    .then(|| thousandths(value.trim()))
            })
            .unwrap_or(1000);
        if is_it {
            return Some(weight);
        }
        // The plain file needs to be refused by its name, or by a star with a weight of nothing.
        if name != "identity" || weight == 0 {
            of_all = Some(weight);
        }
    }
    of_all
}

/// A weight (RFC 9110 section 12.4.2); nothing, if it is none.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_short = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if is_short => 1000,
        "0" if is_short => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_copy_is_chosen() {
        use Encoding::{Brotli, Gzip, Zstandard};
        let all = Encoding::ALL;
        for (accept, there, expected) in [
            ("br, gzip, zstd", &all[..], Some(Brotli)),
            ("gzip, deflate, br, zstd", &[Zstandard, Gzip], Some(Zstandard)),
            ("gzip;q=1.0, br;q=0.5", &all, Some(Gzip)),
            ("GZIP", &all, Some(Gzip)),
            ("x-gzip", &all, Some(Gzip)),
            ("*", &all, Some(Brotli)),
            ("*;q=0.5, br;q=0", &all, Some(Zstandard)),
            ("br;q=0.2, identity;q=0.9", &all, None),
            ("br;q=0", &all, None),
            ("br;q=0.000", &all, None),
            ("br;q=no", &all, None),
            ("identity", &all, None),
            ("deflate", &all, None),
            ("", &all, None),
            ("br", &[], None),
            ("br", &[Gzip], None),
            ("brr, xgzip", &all, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(choose(&headers, there), expected, "{accept}");
        }
        assert_eq!(choose(&HeaderMap::new(), &all), None);
    }
}
