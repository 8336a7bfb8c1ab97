//! A text with its escapes resolved, which still knows where each byte came from.

use std::ops::Range;

/// The longest recognised escape, in bytes: `&#1114111;`.
const MAX_ESCAPE: usize = 10;

/// Bytes in lower case, each with its range in the original text.
pub(super) struct Decoded {
    bytes: Vec<u8>,
    origins: Vec<Range<usize>>,
}

// === impl Decoded ===

impl Decoded {
    /// `text` unchanged.
    pub(super) fn plain(text: &str) -> Self {
        Self {
            bytes: text.to_ascii_lowercase().into_bytes(),
            origins: (0..text.len()).map(|at| at..at + 1).collect(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Marks the range of these bytes in the original text.
    pub(super) fn strike(&self, range: Range<usize>, struck: &mut [bool]) {
        for origin in self.origins.get(range).unwrap_or_default() {
            if let Some(struck) = struck.get_mut(origin.clone()) {
                struck.fill(true);
            }
        }
    }

    /// The end of `value`, in lower case, if it begins at `start`, with each of its characters literal or escaped.
    /// Text before `start` does not count: a stray `%` there would take two digits of the value for its own.
    pub(super) fn end_of(&self, start: usize, value: &[u8]) -> Option<usize> {
        // For each number of matched bytes of the value, the possible positions in the text. A backslash may be
        // literal or an escape, so there can be several.
        let mut reached = vec![Vec::new(); value.len() + 1];
        reached.first_mut()?.push(start);
        for taken in 0..value.len() {
            let left = value.get(taken..)?;
            for at in std::mem::take(reached.get_mut(taken)?) {
                let rest = self.bytes.get(at..).unwrap_or_default();
                let mut reach = |taken: usize, at: usize| {
                    if let Some(places) = reached.get_mut(taken)
                        && !places.contains(&at)
                    {
                        places.push(at);
                    }
                };
                if rest.first() == left.first() {
                    reach(taken + 1, at + 1);
                }
                if let Some((unescaped, length)) = escape(rest.get(..MAX_ESCAPE).unwrap_or(rest))
                    && let Some(behind) = unescaped.taken_from(left)
                {
                    reach(value.len() - behind.len(), at + length);
                }
            }
        }
        reached.last()?.iter().max().copied()
    }

    /// The text with one layer of escapes removed; `None` if there is none.
    pub(super) fn decode(&self) -> Option<Self> {
        let mut decoded = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            origins: Vec::with_capacity(self.bytes.len()),
        };
        let mut at = 0;
        let mut changed = false;
        while let Some(byte) = self.bytes.get(at) {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let rest = rest.get(..MAX_ESCAPE).unwrap_or(rest);
            let (value, length) = match escape(rest) {
                Some(found) => {
                    changed = true;
                    found
                }
                None => (Unescaped::Byte(*byte), 1),
            };
            let origin = self.origin(at..at + length);
            value.push(|byte| {
                decoded.bytes.push(byte);
                decoded.origins.push(origin.clone());
            });
            at += length;
        }
        changed.then_some(decoded)
    }

    fn origin(&self, range: Range<usize>) -> Range<usize> {
        let origins = self.origins.get(range).unwrap_or_default();
        let start = origins.first().map_or(0, |origin| origin.start);
        let end = origins.last().map_or(start, |origin| origin.end);
        start..end
    }
}

/// The character of an escape.
enum Unescaped {
    Byte(u8),
    Character(char),
}

impl Unescaped {
    /// The rest of `value` after this prefix.
    fn taken_from<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let mut left = Some(value);
        self.push(|byte| {
            left = left.and_then(|left| left.strip_prefix(&[byte]));
        });
        left
    }

    /// In lower case, like everything here.
    fn push(&self, mut push: impl FnMut(u8)) {
        match self {
            Self::Byte(byte) => push(byte.to_ascii_lowercase()),
            Self::Character(character) => {
                let mut buffer = [0; 4];
                let character = character.to_ascii_lowercase();
                character.encode_utf8(&mut buffer).bytes().for_each(push);
            }
        }
    }
}

/// The escape at the beginning of `text`, which is in lower case, with its length.
fn escape(text: &[u8]) -> Option<(Unescaped, usize)> {
    match text {
        [b'%', high, low, ..] => Some((Unescaped::Byte(byte(*high, *low)?), 3)),
        [b'\\', b'x', high, low, ..] => Some((Unescaped::Byte(byte(*high, *low)?), 4)),
        [b'\\', b'u', a, b, c, d, ..] => {
            let code = u32::from(byte(*a, *b)?) << 8 | u32::from(byte(*c, *d)?);
            Some((Unescaped::Character(char::from_u32(code)?), 6))
        }
        [b'\\', escaped @ (b'/' | b'\\' | b'"' | b'\''), ..] => Some((Unescaped::Byte(*escaped), 2)),
        [b'&', ..] => reference(text),
        _ => None,
    }
}

/// A character reference of HTML.
fn reference(text: &[u8]) -> Option<(Unescaped, usize)> {
    let end = text.iter().position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(text.get(1..end)?).ok()?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((Unescaped::Character(character), end + 1))
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}
