//! Other spellings of a path: what an API that is less exact than the routing table would take it for.
//!
//! Many APIs do not tell upper case from lower case, or drop dots and spaces at the end of a name as Windows does, or
//! normalise Unicode. With `/public/*` open to anybody and `/public/private/*` for people with a session, the path
//! `/public/Private/x` matches the first and could mean the second. Such a path is refused, since nobody can know what
//! the API makes of it.

use std::{borrow::Cow, collections::HashMap};

use http::Method;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

use super::{Auth, Group, Prefixes, Routes};
use crate::own_paths;

/// One round can bring about what the next one reads: a full-width `%` begins an escape.
const MAX_ROUNDS: usize = 3;

/// The groups of a routing table by the folded form of their paths.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    exact: HashMap<String, Vec<Exact>>,
    below: Prefixes<Vec<usize>>,
    /// Whether every path of the table is its own folded form, so that a path which is its own folded form too is
    /// found under no other spelling.
    plain: bool,
}

/// A group with an exact path.
#[derive(Clone, Copy, Debug)]
struct Exact {
    group: usize,
    slash: bool,
}

/// The one form in which all spellings of a path meet.
#[derive(Debug, PartialEq, Eq)]
struct Folded<'a> {
    /// Without a slash at the end; nothing for `/`.
    path: Cow<'a, str>,
    /// Whether a slash stood at the end.
    slash: bool,
}

// === impl Spellings ===

impl Spellings {
    pub(super) fn of(routes: &Routes) -> Self {
        let mut spellings = Self {
            plain: true,
            ..Self::default()
        };
        for (path, group) in &routes.exact {
            let folded = Folded::of(path);
            spellings.plain &= !folded.slash && folded.path == path.trim_end_matches('/');
            let group = Exact {
                group: *group,
                slash: folded.slash,
            };
            let path = folded.path.into_owned();
            spellings.exact.entry(path).or_default().push(group);
        }
        for (prefix, group) in &routes.below.map {
            let folded = Folded::of(prefix).path;
            spellings.plain &= folded == prefix.as_str();
            spellings
                .below
                .entry(folded.into_owned())
                .or_default()
                .push(*group);
        }
        spellings
    }

    /// Whether `path`, which has matched the group `matched` and has a route there for `method`, is a spelling of a path
    /// for which something else holds: it needs a session where this one needs none, or the other way round, its
    /// method is refused, no route has it, or it belongs to the server itself.
    pub(super) fn mean_another_policy(
        &self,
        groups: &[Group],
        matched: usize,
        path: &str,
        method: &Method,
    ) -> bool {
        let Folded { path: folded, slash } = Folded::of(path);
        let is_plain = matches!(folded, Cow::Borrowed(_));
        if is_plain && !slash && self.plain {
            return false;
        }
        if !is_plain && (own_paths::is_reserved(&folded) || !slash && own_paths::is_alias(&folded)) {
            return true;
        }
        let policy = |group: usize| groups.get(group)?.route(method).map(super::Route::auth);
        let own = policy(matched);
        if let Some(exact) = self.exact.get(&*folded) {
            if exact.iter().any(|exact| exact.group == matched) {
                return false;
            }
            let mut others = exact.iter().filter(|exact| {
                let policy = policy(exact.group);
                // A slash at the end is an honest difference to many an API, as in `/app` and `/app/*`. It counts only
                // where it would open what is closed.
                exact.slash == slash || policy != Some(Auth::None)
            });
            if let Some(first) = others.next() {
                return policy(first.group) != own || others.any(|other| policy(other.group) != own);
            }
        }
        match self.below.longest(&folded) {
            Some((groups, _)) => {
                !groups.contains(&matched) && groups.iter().any(|group| policy(*group) != own)
            }
            // Dot segments that only the folded form has lead out of every route.
            None => true,
        }
    }
}

// === impl Folded ===

impl<'a> Folded<'a> {
    /// Folds `path`, which is in normal form.
    fn of(path: &'a str) -> Self {
        let slash = path.len() > 1 && path.ends_with('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        if is_plain(path) {
            return Self {
                path: Cow::Borrowed(path),
                slash,
            };
        }
        let mut text = fold_characters(&decode(path));
        for _ in 1..MAX_ROUNDS {
            let next = fold_characters(&decode(&text));
            if next == text {
                break;
            }
            text = next;
        }
        Self {
            path: Cow::Owned(fold_segments(&text)),
            slash,
        }
    }
}

/// Whether a path without a slash at its end is its own folded form: the usual case, which costs one look at each byte.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'A'..=b'Z' | b'%' => false,
        b'.' => !matches!(bytes.get(at + 1), None | Some(b'/')),
        b':' => bytes.get(at + 1) != Some(&b':'),
        _ => true,
    })
}

/// The characters behind every escape. What is no escape, or no UTF-8, stays apart from everything else.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let escape = (*byte == b'%')
            .then(|| Some(digit(0)? << 4 | digit(1)?))
            .flatten();
        if let Some(escape) = escape.and_then(|escape| u8::try_from(escape).ok()) {
            bytes.push(escape);
            rest = &after[2..];
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// NFKC (which makes full-width letters plain ones), without characters that are not shown, and without case. Upper
/// case first: servers compare by either, and some letters meet in only one of them (`ı` and `i` in upper case, `ß` and
/// `ss` as well).
fn fold_characters(text: &str) -> String {
    const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();
    const IGNORABLE: icu_properties::CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let folded: String = NFKC
        .normalize(text)
        .chars()
        .filter(|character| !IGNORABLE.contains(*character))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    // The lower case of `İ`, which is a plain `i` where one character becomes one character.
    NFKC.normalize(&folded).replace("i\u{307}", "i")
}

/// Segments as a file system reads them: either slash separates, a name ends before its parameters, its stream (`::`),
/// and dots and spaces, and `..` leads upwards.
fn fold_segments(text: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        let name = segment.split([';', '?', '#']).next().unwrap_or_default();
        let name = name.split("::").next().unwrap_or_default().trim();
        match (
            name,
            name.trim_end_matches(|end: char| end == '.' || end.is_whitespace()),
        ) {
            ("..", _) => {
                segments.pop();
            }
            (_, "") => {}
            (_, name) => segments.push(name),
        }
    }
    segments.iter().flat_map(|segment| ["/", segment]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::NormalPath;
    use super::*;

    fn fold(path: &str) -> String {
        let normal = NormalPath::parse(path).unwrap();
        Folded::of(normal.as_str()).path.into_owned()
    }

    #[test]
    fn all_spellings_of_a_path_have_one_form() {
        for spelling in [
            "/public/private/x",
            "/PUBLIC/Private/X",
            "/public/%50rivate/x/",
            "/public/private./x",
            "/public/private.%20./x%20",
            "/public/%20private/x",
            "/public/private%E3%80%80/x",
            // Full-width letters, full stop and solidus.
            "/public/%EF%BD%90rivate/x",
            "/public/private%EF%BC%8E/x",
            "/public/private%EF%BC%8Fx",
            "/public/private%EF%BC%BCx",
            // A full-width `%2f`.
            "/public/private%EF%BC%852fx",
            // A script `i`, a dotless one, one with a dot, and a soft hyphen.
            "/public/pr%E2%84%B9vate/x",
            "/public/pr%C4%B1vate/x",
            "/public/PR%C4%B0VATE/x",
            "/public/pri%C2%ADvate/x",
            "/public/pri%E2%80%8Bvate/x",
            "/public/private::$INDEX_ALLOCATION/x",
            "/public/private%EF%BC%9Bv=1/x",
            "/public/.../private/x",
            "/public/open/%EF%BC%8E%EF%BC%8E/private/x",
            "/public/open/%E2%80%A5/private/x",
        ] {
            assert_eq!(fold(spelling), "/public/private/x", "{spelling}");
        }
        assert_eq!(fold("/stra%C3%9Fe"), fold("/STRASSE"));
        assert_eq!(fold("/%CE%A3%CF%82"), fold("/%CF%83%CF%83"));
        assert_eq!(fold("/%C3%A9"), fold("/E%CC%81"));
    }

    #[test]
    fn what_is_another_path_to_everybody_stays_another_one() {
        for (path, expected) in [
            ("/", ""),
            ("/a.b/.c/d-e_f~", "/a.b/.c/d-e_f~"),
            ("/a/b:c", "/a/b:c"),
            ("/100%25", "/100%"),
            ("/caf%C3%A9", "/caf\u{e9}"),
            ("/a+b", "/a+b"),
        ] {
            assert_eq!(fold(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn whatever_looks_plain_is_its_own_folded_form(path in "(/[a-z0-9.:~!$&'()*+,=@-]{1,6}){1,4}") {
            if let Ok(normal) = NormalPath::parse(&path)
                && is_plain(normal.as_str())
            {
                prop_assert_eq!(fold_segments(&fold_characters(&decode(&path))), path);
            }
        }

        #[test]
        fn folding_again_changes_nothing(path in "(/|%[0-9a-f]{2}|\\.| |[A-Za-z%:]|\\PC){0,24}") {
            if let Ok(normal) = NormalPath::parse(&format!("/{path}")) {
                let folded = Folded::of(normal.as_str()).path.into_owned();
                prop_assert!(folded.is_empty() || folded.starts_with('/'));
            }
        }
    }
}
