//! The one form of a path: what routes are matched on is what the API receives.
//!
//! A path is normalised once (RFC 3986 section 6.2.2) and refused wherever two readers could see two different
//! resources in it. A rule for `/public` therefore never applies to something that the API takes for `/admin`.

use std::fmt;

/// Longer paths are refused, in bytes.
pub const MAX_PATH_LENGTH: usize = 8 * 1024;

/// A path in the only form that is matched and forwarded: absolute, without empty or dot segments, unreserved
/// characters in the clear, everything else percent-encoded with upper-case digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalPath {
    text: String,
    /// Whether a segment holds an encoded `/` or `#`.
    is_encoded: bool,
}

/// Why a path is refused. All of them are a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More than [`MAX_PATH_LENGTH`] bytes.
    #[error("the path is longer than {MAX_PATH_LENGTH} bytes")]
    TooLong,
    /// Does not begin with `/`.
    #[error("the path does not begin with a slash")]
    Relative,
    /// `//`: APIs disagree on whether that is one separator or two.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, encoded or not.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `\`, `/`, `#`, `?`, `;` where it would be read as a separator by some and as data by others, encoded or not.
    #[error("the path holds a character that can be read in two ways")]
    Ambiguous,
    /// A percent sign that is encoded once more, as in `%252e`.
    #[error("the path is percent-encoded twice")]
    EncodedTwice,
    /// A percent sign without two hexadecimal digits.
    #[error("the path has an invalid percent-encoding")]
    InvalidEncoding,
    /// Percent-encoded bytes that are not UTF-8, overlong forms among them.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A control character, encoded or not.
    #[error("the path holds a control character")]
    Control,
    /// Another spelling of a path to which other rules apply, for which an API that is less exact would take it.
    #[error(
        "the path is another spelling of one to which other rules apply (upper case, dots or spaces at the end of a \
         segment, full-width letters)"
    )]
    OtherSpelling,
    /// A byte above 0x7F that is not percent-encoded.
    #[error("the path holds a character that is not ASCII and not encoded")]
    NotAscii,
}

/// What a byte in the clear is in a path.
enum Class {
    /// Stands as it is (RFC 3986 section 3.3, `pchar` without `;`).
    Plain,
    /// Not allowed by RFC 3986, but sent by browsers (WHATWG URL): percent-encoded here, so that one form is left.
    Encode,
    Refused(PathError),
}

// === impl NormalPath ===

impl NormalPath {
    /// Normalises `path`, the path of a request target without its query.
    ///
    /// # Errors
    ///
    /// [`PathError`], the first thing that is wrong.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        Self::read(path, false)
    }

    /// The same, but a segment may hold an encoded `/` or `#`, which stays encoded. Decoded once, with the encoded slash
    /// as a separator, the path is held to the same rules. Whether a route takes it is the routing table's to say.
    ///
    /// # Errors
    ///
    /// [`PathError`], the first thing that is wrong.
    pub fn parse_encoded(path: &str) -> Result<Self, PathError> {
        Self::read(path, true)
    }

    fn read(path: &str, allow_encoded: bool) -> Result<Self, PathError> {
        if path.len() > MAX_PATH_LENGTH {
            return Err(PathError::TooLong);
        }
        if !path.starts_with('/') {
            return Err(PathError::Relative);
        }
        let mut normal = String::with_capacity(path.len());
        let mut bytes = path.bytes();
        // Percent-encoded bytes of one run, which have to be UTF-8 as a whole.
        let mut run = Vec::new();
        let mut is_encoded = false;
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let decoded = decode(bytes.next(), bytes.next())?;
                if is_unreserved(decoded) {
                    end_run(&mut run)?;
                    normal.push(char::from(decoded));
                    continue;
                }
                match decoded {
                    b'/' | b'#' if allow_encoded => is_encoded = true,
                    b'/' | b'\\' | b'#' | b'?' | b';' => return Err(PathError::Ambiguous),
                    _ => {}
                }
                run.push(decoded);
                push_encoded(&mut normal, decoded);
                continue;
            }
            end_run(&mut run)?;
            match classify(byte) {
                Class::Plain => normal.push(char::from(byte)),
                Class::Encode => push_encoded(&mut normal, byte),
                Class::Refused(error) => return Err(error),
            }
        }
        end_run(&mut run)?;
        check_segments(&normal)?;
        if is_encoded {
            check_segments(&normal.replace("%2F", "/"))?;
        }
        check_encoded_twice(&normal)?;
        // What is encoded here grows, and an API has to take it.
        if normal.len() > MAX_PATH_LENGTH {
            return Err(PathError::TooLong);
        }
        Ok(Self {
            text: normal,
            is_encoded,
        })
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a segment holds an encoded `/` or `#`.
    #[must_use]
    pub const fn is_encoded(&self) -> bool {
        self.is_encoded
    }
}

impl fmt::Debug for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 3986 section 2.3.
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn classify(byte: u8) -> Class {
    match byte {
        _ if is_unreserved(byte) => Class::Plain,
        b'/' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' => {
            Class::Plain
        }
        b'\\' | b'#' | b'?' | b';' => Class::Refused(PathError::Ambiguous),
        0x00..=0x1F | 0x7F => Class::Refused(PathError::Control),
        0x80.. => Class::Refused(PathError::NotAscii),
        _ => Class::Encode,
    }
}

fn decode(high: Option<u8>, low: Option<u8>) -> Result<u8, PathError> {
    let digit = |byte: Option<u8>| match byte? {
        byte @ b'0'..=b'9' => Some(byte - b'0'),
        byte @ b'a'..=b'f' => Some(byte - b'a' + 10),
        byte @ b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(PathError::InvalidEncoding),
    }
}

fn push_encoded(path: &mut String, byte: u8) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    path.push('%');
    path.push(DIGITS[usize::from(byte >> 4)]);
    path.push(DIGITS[usize::from(byte & 0xF)]);
}

/// Checks the characters that a run of percent-encoded bytes stands for, and forgets it.
fn end_run(run: &mut Vec<u8>) -> Result<(), PathError> {
    if run.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(run).map_err(|_| PathError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    run.clear();
    Ok(())
}

fn check_segments(path: &str) -> Result<(), PathError> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            // The last one may be empty: `/notes/` is another resource than `/notes`, but a clear one.
            "" if segments.peek().is_some() => return Err(PathError::EmptySegment),
            "." | ".." => return Err(PathError::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

/// `%25` alone is an honest percent sign; followed by two digits it is a second encoding. Looked for in the normal
/// form, since the digits can be encoded too.
fn check_encoded_twice(path: &str) -> Result<(), PathError> {
    let twice = path.split("%25").skip(1).any(|after| {
        let mut digits = after.bytes();
        decode(digits.next(), digits.next()).is_ok()
    });
    if twice {
        Err(PathError::EncodedTwice)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> String {
        NormalPath::parse(path).unwrap().as_str().to_owned()
    }

    #[test]
    fn one_form_is_left() {
        for (path, expected) in [
            ("/", "/"),
            ("/api/notes", "/api/notes"),
            ("/api/notes/", "/api/notes/"),
            ("/%61pi/%7Euser/%2d%5F", "/api/~user/-_"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b"),
            // Not equivalent to the character in the clear (RFC 3986 section 2.2), so left as it is.
            ("/a%2cb", "/a%2Cb"),
            ("/[x]|{y}^\"<>`", "/%5Bx%5D%7C%7By%7D%5E%22%3C%3E%60"),
            ("/100%25", "/100%25"),
            ("/100%25-sure", "/100%25-sure"),
            ("/...", "/..."),
            ("/.well-known", "/.well-known"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn attack_3_a_path_that_the_api_could_see_as_another_one_is_refused() {
        for (path, expected) in [
            ("/public%23/../admin", PathError::Ambiguous),
            ("/admin%23/public", PathError::Ambiguous),
            ("/admin#/public", PathError::Ambiguous),
            ("/admin?x=/public", PathError::Ambiguous),
            ("/admin%3fx=/public", PathError::Ambiguous),
            ("/public/..;/admin", PathError::Ambiguous),
            ("/public;/admin", PathError::Ambiguous),
            ("/public%3b/admin", PathError::Ambiguous),
            ("/public%2Fadmin", PathError::Ambiguous),
            ("/public%2f..%2fadmin", PathError::Ambiguous),
            ("/public\\admin", PathError::Ambiguous),
            ("/public%5cadmin", PathError::Ambiguous),
            ("//admin", PathError::EmptySegment),
            ("/public//admin", PathError::EmptySegment),
            ("/public//", PathError::EmptySegment),
            ("/public/../admin", PathError::DotSegment),
            ("/public/%2e%2e/admin", PathError::DotSegment),
            ("/public/%2E./admin", PathError::DotSegment),
            ("/public/..", PathError::DotSegment),
            ("/./admin", PathError::DotSegment),
            ("/public/%2e", PathError::DotSegment),
            ("/public/%252e%252e/admin", PathError::EncodedTwice),
            ("/public%252fadmin", PathError::EncodedTwice),
            ("/public%25%32%66admin", PathError::EncodedTwice),
            ("/public%c0%afadmin", PathError::NotUtf8),
            ("/%c0%ae%c0%ae/admin", PathError::NotUtf8),
            ("/%ff", PathError::NotUtf8),
            // A character split over two runs is none.
            ("/%c3x%a9", PathError::NotUtf8),
            ("/a%00", PathError::Control),
            ("/a%0d%0aHost:%20evil", PathError::Control),
            ("/a\u{7f}", PathError::Control),
            ("/a\0b", PathError::Control),
            ("/a%C2%85", PathError::Control),
            ("/caf\u{e9}", PathError::NotAscii),
            ("/a%", PathError::InvalidEncoding),
            ("/a%2", PathError::InvalidEncoding),
            ("/a%zz", PathError::InvalidEncoding),
            ("/a%u002e", PathError::InvalidEncoding),
            ("", PathError::Relative),
            ("*", PathError::Relative),
            ("admin", PathError::Relative),
        ] {
            assert_eq!(NormalPath::parse(path), Err(expected), "{path}");
        }
    }

    #[test]
    fn attack_3_an_encoded_separator_is_read_both_ways_where_it_may_be_there() {
        for (path, expected) in [
            ("/files/a%2fb%2Fc", "/files/a%2Fb%2Fc"),
            ("/files/a%23b", "/files/a%23b"),
            ("/files/folder%2F", "/files/folder%2F"),
            ("/a%2Fb/%41", "/a%2Fb/A"),
        ] {
            let parsed = NormalPath::parse_encoded(path).unwrap();
            assert_eq!((parsed.as_str(), parsed.is_encoded()), (expected, true), "{path}");
            assert_eq!(NormalPath::parse(path), Err(PathError::Ambiguous), "{path}");
        }
        assert!(!NormalPath::parse_encoded("/files/a%25b").is_ok_and(|path| path.is_encoded()));
        for (path, expected) in [
            ("/files/a%2F..%2Fb", PathError::DotSegment),
            ("/files/..%2Fb", PathError::DotSegment),
            ("/files/a%2F%2e", PathError::DotSegment),
            ("/files/a%2F.", PathError::DotSegment),
            ("/files/%2Fetc", PathError::EmptySegment),
            ("/files/a%2F%2Fb", PathError::EmptySegment),
            ("/files/a%2F/b", PathError::EmptySegment),
            ("/files/a%5Cb", PathError::Ambiguous),
            ("/files/a%2Fb%5C..", PathError::Ambiguous),
            ("/files/a%3Bb", PathError::Ambiguous),
            ("/files/a%3Fb", PathError::Ambiguous),
            ("/files/a%2Fb%00", PathError::Control),
            ("/files/a%2F%0A", PathError::Control),
            ("/files/a%252Fb", PathError::EncodedTwice),
            ("/files/a%2F%2523", PathError::EncodedTwice),
            ("/files/a%2F%c0%af", PathError::NotUtf8),
            ("/files/a#b", PathError::Ambiguous),
        ] {
            assert_eq!(NormalPath::parse_encoded(path), Err(expected), "{path}");
        }
    }

    #[test]
    fn a_path_has_a_bound_before_and_after_encoding() {
        let longest = format!("/{}", "a".repeat(MAX_PATH_LENGTH - 1));
        assert_eq!(normal(&longest), longest);
        let longer = format!("{longest}a");
        assert_eq!(NormalPath::parse(&longer), Err(PathError::TooLong));
        let grows = format!("/{}", "[".repeat(MAX_PATH_LENGTH / 2));
        assert_eq!(NormalPath::parse(&grows), Err(PathError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_has_one_stable_form(path in "(/|%2[eEfF]|%5[cC]|%25|%[0-9a-fA-F]{2}|\\.|[a-z~;#?\\\\]|\\PC){0,24}") {
            if let Ok(path) = NormalPath::parse(&path) {
                let text = path.as_str();
                // Stable: whoever normalises again sees the same.
                let again = NormalPath::parse(text);
                prop_assert_eq!(again.as_ref(), Ok(&path));
                prop_assert!(text.starts_with('/') && text.is_ascii());
                prop_assert!(!text.contains("//") && !text.contains(['\\', '#', '?', ';']));
                prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert!(!text.to_ascii_lowercase().contains("%2f"));
                // What a URL library makes of it is the same path.
                let url = url::Url::parse(&format!("http://api{text}")).unwrap();
                prop_assert_eq!(url.path(), text);
            }
        }

        #[test]
        fn an_encoding_of_unreserved_characters_changes_nothing(path in "(/[a-z0-9._~-]{1,8}){1,6}", which: u64) {
            let encoded: String = path
                .chars()
                .enumerate()
                .map(|(at, character)| match (which >> (at % 64) & 1, character) {
                    (1, character) if character != '/' => format!("%{:02x}", u32::from(character)),
                    (_, character) => character.to_string(),
                })
                .collect();
            prop_assert_eq!(NormalPath::parse(&encoded), NormalPath::parse(&path));
        }
    }
}
