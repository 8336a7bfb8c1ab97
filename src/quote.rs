//! Foreign values in messages: on one line, bounded, and never text that looks like a key or a token; and suggestions
//! for misspelled words.
//!
//! The caller decides whether a value may be quoted at all. This module catches misplaced values: a token instead of
//! a name, a key instead of a path.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// A shorter word is not a token or a key, in bytes.
const LEAST_SECRET: usize = 12;
/// Longer texts are not compared, in bytes.
const MAX_COMPARED: usize = 64;
/// The replacement for a value that looks like a secret.
const WITHHELD: &str = "(not shown: it looks like a key or a token)";

/// `text` between `mark`s: escaped, of at most `most` characters, without the credentials and the query that a URL may
/// carry. What looks like a key or a token is not shown at all.
#[must_use]
pub fn quote(text: &str, mark: char, most: usize) -> String {
    if looks_like_a_secret(text) {
        return WITHHELD.to_owned();
    }
    let text = without_url_secrets(text);
    let mut escaped: String = text.escape_debug().take(most).collect();
    if text.escape_debug().nth(most).is_some() {
        escaped.push('…');
    }
    format!("{mark}{escaped}{mark}")
}

/// The one of `words` that is nearest to `text`, if it is at most two strokes away, and less than half of itself.
#[must_use]
pub fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > MAX_COMPARED {
        return None;
    }
    let mut near: Vec<(usize, &str)> = words
        .map(|word| (strsim::damerau_levenshtein(text, word), word))
        .filter(|(distance, word)| *distance <= 2 && distance * 2 < word.len())
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    match near.as_slice() {
        [(best, _), (second, _), ..] if best == second => None,
        [(_, word), ..] => Some(word),
        [] => None,
    }
}

/// Whether `text` contains a PEM block, a JWT, a private JWK or base64 of one of them or of a DER structure.
#[must_use]
pub fn looks_like_a_secret(text: &str) -> bool {
    if text.contains("-----BEGIN") || text.contains("\"kty\"") {
        return true;
    }
    text.split(|character: char| character.is_whitespace() || ",\"'`;:@?&#()[]{}<>".contains(character))
        .flat_map(|word| [word, word.split_once('=').map_or(word, |(_, value)| value)])
        .any(|word| word.len() >= LEAST_SECRET && (has_secret_start(word) || is_der(word)))
}

/// Whether `text` begins like a JWT, like base64 of a DER structure, or like base64 of a PEM block.
#[must_use]
pub fn has_secret_start(text: &str) -> bool {
    ["eyJ", "MII", "LS0t"].iter().any(|start| text.starts_with(start))
}

/// Whether `text` is base64 or base64url of exactly one DER structure: keys of elliptic curves are too short to begin
/// with `MII`.
fn is_der(text: &str) -> bool {
    if !text.starts_with('M') {
        return false;
    }
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&alphabet::STANDARD, &alphabet::URL_SAFE]
        .into_iter()
        .filter_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).ok())
        .map(zeroize::Zeroizing::new)
        .any(|bytes| match bytes.as_slice() {
            // ITU-T X.690 section 8.1.3: a sequence with the length in one byte, or in one more.
            [0x30, length, rest @ ..] if *length < 0x80 => rest.len() == usize::from(*length),
            [0x30, 0x81, length, rest @ ..] => rest.len() == usize::from(*length),
            _ => false,
        })
}

/// Everything before an `@` may be a password, wherever a sloppy parser would end the host; a query may contain a
/// token.
fn without_url_secrets(text: &str) -> String {
    let mut shown = String::new();
    for (index, part) in text.split("://").enumerate() {
        if index == 0 {
            shown.push_str(part);
            continue;
        }
        shown.push_str("://");
        let part = match part.rfind('@') {
            Some(at) => {
                shown.push('…');
                &part[at..]
            }
            None => part,
        };
        let Some(query) = part.find(['?', '#']) else {
            shown.push_str(part);
            continue;
        };
        let (before, query) = part.split_at(query);
        shown.push_str(before);
        let end = query.find([',', ' ']).unwrap_or(query.len());
        // The mark alone contains nothing.
        shown.push_str(&query[..query.len().min(1)]);
        if end > 1 {
            shown.push('…');
        }
        shown.push_str(&query[end..]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const P256: &str = include_str!("keys/fixtures/p256-pkcs8.pem");
    const SEC1: &str = include_str!("keys/fixtures/p256-sec1.pem");
    const ED25519: &str = include_str!("keys/fixtures/ed25519-pkcs8-v1.pem");

    fn body(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }

    #[test]
    fn what_looks_like_a_secret_is_withheld() {
        let encoded = GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new()).encode(P256);
        for text in [
            P256,
            &body(P256),
            &body(SEC1),
            &body(ED25519),
            &encoded,
            "eyJhbGciOiJub25lIn0.e30.",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "https://idp.example/eyJhbGciOiJub25lIn0.e30.?token=eyJhbGciOiJub25lIn0.e30.",
            "iat=eyJhbGciOiJub25lIn0.e30.",
            r#"{"kty":"OKP","d":"x"}"#,
        ] {
            assert_eq!(quote(text, '"', 200), WITHHELD, "{text}");
        }
    }

    #[test]
    fn what_people_write_is_shown() {
        for text in [
            "http",
            "MIIT",
            "Microsoft365",
            "MONITORING=on",
            "M1234567890123",
            "https://app.example/auth/callback",
            "/run/secrets/my-key",
            "info,bff::oidc=debug",
        ] {
            assert_eq!(quote(text, '`', 200), format!("`{text}`"));
        }
    }

    #[test]
    fn urls_lose_credentials_and_queries() {
        for (text, shown) in [
            ("https://me:pw@a.example/x", "https://…@a.example/x"),
            ("https://me:p/w@a.example", "https://…@a.example"),
            ("https://a.example?token=x", "https://a.example?…"),
            ("https://a.example?", "https://a.example?"),
            (
                "https://a.example#x, https://b.example",
                "https://a.example#…, https://b.example",
            ),
            ("what?", "what?"),
        ] {
            assert_eq!(quote(text, '"', 200), format!("\"{shown}\""));
        }
    }

    #[test]
    fn values_are_on_one_line_and_bounded() {
        assert_eq!(quote("1\n\u{1b}[31m", '"', 200), r#""1\n\u{1b}[31m""#);
        assert_eq!(quote(&"x".repeat(500), '`', 3), "`xxx…`");
    }

    proptest! {
        #[test]
        fn no_text_panics_or_gets_too_long(text in any::<String>()) {
            prop_assert!(quote(&text, '"', 50).chars().count() <= 53);
        }

        #[test]
        fn no_password_of_a_url_is_shown(password in "[a-z0-9:/#?]{0,9}planted[a-z0-9:/#?]{0,9}") {
            let text = format!("https://me:{password}@a.example/");
            prop_assert!(!quote(&text, '"', 200).contains("planted"));
        }
    }
}
