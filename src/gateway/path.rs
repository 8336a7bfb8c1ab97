//! The one normal form of a path: routes match on it, and the API receives it.
//!
//! A path is normalised once (RFC 3986 section 6.2.2). It is refused if two readers could see two different resources
//! in it. Therefore a rule for `/public` never applies to a path that the API takes for `/admin`.

use std::fmt;

/// Longer paths are refused, in bytes.
pub const MAX_PATH_LENGTH: usize = 8 * 1024;

/// A path in the only form that is matched and forwarded: absolute, without empty or dot segments, unreserved
/// characters in the clear, everything else percent-encoded with upper-case digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalPath {
    text: String,
    /// Whether a segment contains an encoded `/` or `#`.
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
    /// `\`, `/`, `#`, `?` or `;`, encoded or not, at a place where some readers see a separator and others see data.
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

/// The role of a literal byte in a path.
enum Class {
    /// Unreserved in a segment (RFC 3986 section 3.3, `pchar` without `;`).
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

    /// The same, but a segment may contain an encoded `/` or `#`, which stays encoded. Decoded once, with the encoded
    /// slash as a separator, the path obeys the same rules. The routing table decides whether a route accepts it.
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
        // Encoding lengthens the path, and an API has to accept it.
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

    /// Whether a segment contains an encoded `/` or `#`.
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

/// Checks the characters of a run of percent-encoded bytes, and resets it.
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

/// `%25` alone is a genuine percent sign. Followed by two digits it is a second encoding. The check runs on the
/// normal form, because the digits can be encoded too.
fn check_encoded_twice(path: &str) -> Result<(), PathError> {
    // Nearly all paths have none, and a byte is found sooner than a text.
    if !path.contains('%') {
        return Ok(());
    }
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
mod tests;
