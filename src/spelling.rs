//! Spellings of a path: one folded form for all of them, which shows what path another reader could see.
//!
//! A reader may decode a path once more than we do, ignore case, normalise Unicode (NFKC), drop invisible characters,
//! take `\` for `/`, or drop path parameters, dots and spaces from a segment as Windows and Java do. A path is folded
//! by all of these at once. The form is only compared; a folded path is never forwarded.
//! `docs/adr/0025-one-folding-of-spellings.md` gives the reasons.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed, props::DefaultIgnorableCodePoint};

/// A path whose form still changes after this many rounds has none. One round can create input for the next: a
/// full-width `%` begins an escape. Nobody writes that in good faith.
const MAX_ROUNDS: usize = 4;

const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();
const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();

/// The target of a segment of a folded path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    /// A non-empty name.
    Down(&'a str),
    /// `..`: back.
    Up,
}

/// The folded form of `path`, which is a normal path: without a slash at its end and without empty segments. It is
/// empty for `/`. `None` if there is none:
///
/// - the path is percent-encoded too many times;
/// - bytes appear that no UTF-8 has, overlong spellings of ASCII;
/// - a `..` appears only in the folded form. Readers disagree on its effect.
#[must_use]
pub fn fold(path: &str) -> Option<Cow<'_, str>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if is_folded(path) {
        return Some(Cow::Borrowed(path));
    }
    let characters = fold_characters(path)?;
    let segments: Option<Vec<&str>> = steps(&characters)
        .map(|step| match step {
            Step::Down(name) => Some(name),
            Step::Up => None,
        })
        .collect();
    Some(Cow::Owned(join(&segments?)))
}

/// The folded form of any `path`, and of each prefix of it, because some readers stop at a `?` or `;` before a `..`
/// that leads elsewhere. `None` if the path is percent-encoded too many times, or has overlong spellings of ASCII.
#[must_use]
pub fn fold_beginnings(path: &str) -> Option<Vec<String>> {
    let characters = fold_characters(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let beginnings = steps(&characters).map(|step| {
        match step {
            Step::Down(name) => segments.push(name),
            Step::Up => {
                segments.pop();
            }
        }
        join(&segments)
    });
    Some(beginnings.collect())
}

/// Whether a normal path without a slash at its end is its own folded form. That is the usual case, and costs one
/// look at each byte.
fn is_folded(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'A'..=b'Z' | b'%' => false,
        b'.' => !matches!(bytes.get(at + 1), None | Some(b'/')),
        b':' => bytes.get(at + 1) != Some(&b':'),
        _ => true,
    })
}

fn join(segments: &[&str]) -> String {
    segments.iter().flat_map(|segment| ["/", segment]).collect()
}

/// The characters of `path` without any percent-encoding, folded, until nothing changes any more.
fn fold_characters(path: &str) -> Option<String> {
    let mut text = path.to_owned();
    for _ in 0..=MAX_ROUNDS {
        let next = fold_case(&decode(&text)?);
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

/// The characters of all escapes. Other characters stay.
fn decode(text: &str) -> Option<String> {
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
    let overlong = bytes.iter().any(|byte| matches!(byte, 0xC0 | 0xC1));
    (!overlong).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// NFKC (which makes full-width letters plain ones), without characters that are not shown, and without case. Upper
/// case first: servers compare by either, and some letters meet in only one of them (`ı` and `i` in upper case, `ß` and
/// `ss` as well).
fn fold_case(text: &str) -> String {
    let folded: String = NFKC
        .normalize(text)
        .chars()
        .filter(|character| !character.is_control() && !IGNORABLE.contains(*character))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    // The lower case of `İ`, which is a plain `i` if one character becomes one character.
    NFKC.normalize(&folded).replace("i\u{307}", "i")
}

/// The segments as a file system reads them: either slash separates; a name ends before its parameters, its stream
/// (`::`), and dots and spaces.
fn steps(text: &str) -> impl Iterator<Item = Step<'_>> {
    text.split(['/', '\\']).filter_map(|segment| {
        let name = segment.split([';', '?', '#']).next().unwrap_or_default();
        let name = name.split("::").next().unwrap_or_default().trim();
        if name == ".." {
            return Some(Step::Up);
        }
        let name = name.trim_end_matches(|end: char| end == '.' || end.is_whitespace());
        (!name.is_empty()).then_some(Step::Down(name))
    })
}

#[cfg(test)]
mod tests;
