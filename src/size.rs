//! The one grammar of sizes, for settings and routes alike: `64KiB`, `10MiB`, `1GiB`; a bare number is bytes.

/// How to write a size, for messages.
pub const HOW: &str = "write bytes, or a number with a unit: `512MiB`, `1GiB`";

/// Units and their bits.
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is not a whole number, or its unit is unknown.
    #[error("is not a size")]
    Malformed,
    /// It does not fit 64 bits.
    #[error("is larger than any memory")]
    TooLarge,
}

/// Reads a whole number with a unit, or of bytes.
///
/// # Errors
///
/// [`SizeError`].
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let (digits, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| text.strip_suffix(unit).map(|digits| (digits, *shift)))
        .unwrap_or((text, 0));
    let digits = digits.trim_end();
    // No sign, no spaces, no separators.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SizeError::Malformed);
    }
    let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(SizeError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", 0),
            ("1024", 1_024),
            ("1KiB", 1 << 10),
            ("512MiB", 512 << 20),
            ("1GiB", 1 << 30),
            ("2 TiB", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
        for text in ["", "GiB", "1GB", "1G", "1gib", "-1GiB", "1.5GiB"] {
            assert_eq!(parse(text), Err(SizeError::Malformed), "{text}");
        }
        for text in ["99999999999TiB", "18446744073709551616"] {
            assert_eq!(parse(text), Err(SizeError::TooLarge), "{text}");
        }
    }
}
