//! Removes values from a foreign text.
//!
//! A server that refuses a token often quotes it unchanged, escaped for JSON or a URL, or shortened. The form of a
//! word does not show whether it is a token: codes can be short. The sent values are known, so the search looks for
//! exactly these.

use std::{collections::HashSet, fmt};

use super::{Secret, decoded::Decoded};

/// A part of a value of at least this length is removed too, in bytes: quoted values are often shortened.
const PIECE: usize = 8;

/// A longer value is found only by its parts, in bytes.
const LONG: usize = 4 * PIECE;

/// A shorter value is removed only as a separate word, in bytes: it is part of many words.
const SHORT: usize = 4;

/// How often a text may have been escaped.
const LAYERS: usize = 4;

/// The replacement for a removed value.
const MARK: &str = "[…]";

/// Values that a text must not show. Its `Debug` shows how many there are.
#[derive(Clone, Default)]
pub struct Withheld {
    values: Vec<Secret>,
}

// === impl Withheld ===

impl Withheld {
    /// Adds `value`. An empty one is in every text and counts for nothing.
    pub fn add(&mut self, value: &str) {
        if !value.is_empty() {
            self.values.push(Secret::from(value));
        }
        // Form encoding turns spaces into a character that is an escape nowhere else.
        if value.contains(' ') {
            self.values.push(Secret::new(value.replace(' ', "+")));
        }
    }

    /// `text` without the values, also short ones, and without longer pieces of them; upper or lower case does
    /// not matter. Percent-encoding, escapes of JSON and character references of HTML are seen through.
    #[must_use]
    pub fn strike(&self, text: &str) -> String {
        if self.values.is_empty() {
            return text.to_owned();
        }
        let pieces = self.pieces();
        let mut struck = vec![false; text.len()];
        let mut layer = Decoded::plain(text);
        for _ in 0..LAYERS {
            self.mark(&layer, &pieces, &mut struck);
            match layer.decode() {
                Some(deeper) => layer = deeper,
                None => break,
            }
        }
        without(text, &struck)
    }

    /// Every run of [`PIECE`] bytes of a value, in lower case.
    fn pieces(&self) -> HashSet<[u8; PIECE]> {
        let values = self.values.iter().map(|value| lower(value.expose()));
        values
            .flat_map(|value| value.windows(PIECE).filter_map(piece).collect::<Vec<_>>())
            .collect()
    }

    fn mark(&self, layer: &Decoded, pieces: &HashSet<[u8; PIECE]>, struck: &mut [bool]) {
        let bytes = layer.bytes();
        for (start, window) in bytes.windows(PIECE).enumerate() {
            if piece(window).is_some_and(|piece| pieces.contains(&piece)) {
                layer.strike(start..start + PIECE, struck);
            }
        }
        for value in &self.values {
            let value = lower(value.expose());
            if value.len() >= LONG {
                continue;
            }
            for start in 0..bytes.len() {
                if let Some(end) = layer.end_of(start, &value)
                    && (value.len() >= SHORT || stands_alone(bytes, start, end))
                {
                    layer.strike(start..end, struck);
                }
            }
        }
    }
}

impl<'a> Extend<&'a str> for Withheld {
    fn extend<I: IntoIterator<Item = &'a str>>(&mut self, values: I) {
        for value in values {
            self.add(value);
        }
    }
}

impl<'a> FromIterator<&'a str> for Withheld {
    fn from_iter<I: IntoIterator<Item = &'a str>>(values: I) -> Self {
        let mut withheld = Self::default();
        withheld.extend(values);
        withheld
    }
}

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Withheld({})", self.values.len())
    }
}

fn lower(text: &str) -> Vec<u8> {
    text.to_ascii_lowercase().into_bytes()
}

fn piece(window: &[u8]) -> Option<[u8; PIECE]> {
    window.try_into().ok()
}

fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    !is_word(before) && !is_word(bytes.get(end))
}

/// `text` with a mark for each run of characters with a matched byte.
fn without(text: &str, struck: &[bool]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut in_run = false;
    for (start, character) in text.char_indices() {
        let bytes = struck.iter().skip(start).take(character.len_utf8());
        let is_struck = bytes.into_iter().any(|struck| *struck);
        match (is_struck, in_run) {
            (true, false) => shown.push_str(MARK),
            (true, true) => {}
            (false, _) => shown.push(character),
        }
        in_run = is_struck;
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strike(values: &[&str], text: &str) -> String {
        values.iter().copied().collect::<Withheld>().strike(text)
    }

    #[test]
    fn attack_39_a_value_is_taken_out_whatever_its_length() {
        let long = "x".repeat(70_000);
        for value in ["Ab3", "Ab3d", "Ab3defg", "Ab3defgh", "Ab3defgh-ijkl_mnop", &long] {
            for (text, left) in [
                (
                    format!("the code {value} is not known"),
                    "the code […] is not known",
                ),
                (format!("code='{value}'"), "code='[…]'"),
                (value.to_owned(), "[…]"),
                (format!("a ({value}), b {value}."), "a ([…]), b […]."),
                (value.to_uppercase(), "[…]"),
            ] {
                assert_eq!(strike(&[value], &text), left);
            }
        }
        assert_eq!(
            strike(&["7"], "code 7 of 17 at 7:70"),
            "code […] of 17 at […]:70",
            "what is short goes where it stands alone"
        );
        assert_eq!(strike(&["", "secret"], "nothing here"), "nothing here");
        assert_eq!(strike(&[], "secret"), "secret");
    }

    #[test]
    fn attack_39_an_escaped_value_is_taken_out() {
        let value = "a/b+c=\"d&e<f>g%h";
        for text in [
            "a%2Fb%2Bc%3D%22d%26e%3Cf%3Eg%25h",
            "a%2fb%2bc%3d%22d%26e%3cf%3eg%25h",
            // Twice.
            "a%252Fb%252Bc%253D%2522d%2526e%253Cf%253Eg%2525h",
            r#"a\/b+c=\"d&e<f>g%h"#,
            r"a\u002fb\u002Bc\u003d\u0022d\u0026e\u003Cf\u003eg%h",
            r"a\x2fb+c=\x22d&e<f>g%h",
            "a/b+c=&quot;d&amp;e&lt;f&gt;g%h",
            "a&#47;b&#x2B;c&#61;&#34;d&#38;e&#60;f&#62;g%h",
        ] {
            assert_eq!(strike(&[value], &format!("bad {text} here")), "bad […] here");
        }
        assert_eq!(strike(&["ab1"], "code %22ab1%22"), "code %22[…]%22");
        // The text before it seems to form an escape with the value.
        for (value, text, left) in [
            ("AA!a", "100%AA%21a", "100%[…]"),
            ("AA!abcde", "%AA%21abcde.", "%[…]."),
            ("0061/x", r"\u0061%2fx", r"\u[…]"),
            // A possible escape is part of the value itself.
            (r"\\!A", r"is \\!A.", "is […]."),
        ] {
            assert_eq!(strike(&[value], text), left);
        }
        assert_eq!(strike(&["my secret"], "id:my+secret"), "id:[…]");
        assert_eq!(strike(&["gr\u{fc}n-1"], "is gr%C3%BCn-1"), "is […]");
    }

    #[test]
    fn attack_39_a_value_that_is_cut_is_taken_out() {
        let value = "0123456789abcdefghij";
        assert_eq!(
            strike(&[value], "token 0123456789ab... is bad"),
            "token […]... is bad"
        );
        assert_eq!(strike(&[value], "token ...cdefghij"), "token ...[…]");
        assert_eq!(strike(&[value], "token 01234567 89abcdef"), "token […] […]");
        // Too little to be of use, and too common to be meant.
        assert_eq!(strike(&[value], "error 0123"), "error 0123");
    }

    #[test]
    fn no_value_is_shown_by_debug() {
        let withheld: Withheld = ["hunter2", "hunter3"].into_iter().collect();
        assert_eq!(format!("{withheld:?}"), "Withheld(2)");
    }

    proptest! {
        #[test]
        fn attack_39_no_value_is_left_in_any_text(
            before in ".{0,30}",
            value in "[!-~]{4,40}",
            after in ".{0,30}",
            encode in any::<bool>(),
        ) {
            let quoted = if encode {
                url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>()
            } else {
                value.clone()
            };
            let shown = strike(&[&value], &format!("{before}{quoted}{after}"));
            // The mark itself is not a value.
            let shown = shown.replace(MARK, "\u{0}").to_ascii_lowercase();
            let value = value.to_ascii_lowercase();
            prop_assert!(!shown.contains(&value), "{shown}");
            prop_assert!(!shown.contains(&quoted.to_ascii_lowercase()), "{shown}");
        }

        #[test]
        fn hostile_texts_never_panic(value in ".{0,12}", text in "([%\\\\&#ux;0-9a-f]|.){0,80}") {
            strike(&[&value], &text);
        }
    }
}
