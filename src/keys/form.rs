//! Forms other than PEM in which people have keys, and the command that makes PEM of each.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::pkcs8::PrivateKeyInfo;
use zeroize::Zeroizing;

/// Tags of DER (X.690 section 8).
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;

/// The beginning of every PEM block (RFC 7468 section 2).
const BEGIN: &[u8] = b"-----BEGIN ";

/// The form of a file that is not PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// PEM with `\n` as two characters in place of line ends, as in JSON and in environment variables.
    EscapedLineEnds,
    /// PEM in base64, as in Kubernetes secrets.
    Base64OfPem,
    /// PEM without its first and last line.
    Unframed,
    /// PEM as UTF-16, as some editors and shells of Windows write it.
    Utf16,
    /// The binary form of a private key.
    Der,
    /// A private key with its certificates (RFC 7292).
    Pkcs12,
    /// The binary form of a certificate.
    DerCertificate,
    /// The binary form of a public key.
    DerPublicKey,
    /// A JSON Web Key (RFC 7517).
    Jwk,
}

// === impl Form ===

impl Form {
    /// The command that converts it to PEM.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::EscapedLineEnds => r#"make PEM of it with `printf '%b' "$(cat FILE)" > key.pem`"#,
            Self::Base64OfPem => "decode it with `base64 -d FILE > key.pem`",
            Self::Unframed => "make PEM of it with `base64 -d FILE | openssl pkey -inform DER -out key.pem`",
            Self::Utf16 => "convert it with `iconv -f UTF-16 -t UTF-8 FILE > key.pem`",
            Self::Der => "make PEM of it with `openssl pkey -inform DER -in FILE -out key.pem`",
            Self::Pkcs12 => {
                "take the private key out of it with `openssl pkcs12 -in FILE -nocerts -noenc -out key.pem`"
            }
            Self::DerCertificate | Self::DerPublicKey => {
                "name the file with the private key that belongs to it"
            }
            Self::Jwk => "export the private key as PEM (PKCS#8) from where it was made",
        }
    }

    /// The form of `text`, as far as it is recognisable.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        if holds(text, BEGIN) {
            let text = text.trim_ascii();
            let line = text.strip_prefix(b"\"").unwrap_or(text);
            let is_escaped = line.starts_with(BEGIN) && holds(line, b"-----\\n");
            return is_escaped.then_some(Self::EscapedLineEnds);
        }
        if is_utf16(text) {
            return Some(Self::Utf16);
        }
        let trimmed = text.trim_ascii();
        if trimmed.starts_with(b"{") && holds(trimmed, b"\"kty\"") {
            return Some(Self::Jwk);
        }
        // A binary form may begin and end with any byte.
        of_der(text).or_else(|| of_base64(trimmed))
    }
}

/// `\u{feff}` first, or `-` as two bytes.
fn is_utf16(text: &[u8]) -> bool {
    [[0xff, 0xfe], [0xfe, 0xff], [b'-', 0], [0, b'-']]
        .iter()
        .any(|start| text.starts_with(start))
}

fn of_base64(text: &[u8]) -> Option<Form> {
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(
        text.iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    let decoded = Zeroizing::new(STANDARD.decode(&*packed).ok()?);
    if holds(&decoded, BEGIN) {
        return Some(Form::Base64OfPem);
    }
    (of_der(&decoded)? == Form::Der).then_some(Form::Unframed)
}

fn of_der(bytes: &[u8]) -> Option<Form> {
    let (SEQUENCE, content, []) = element(bytes)? else {
        return None;
    };
    if PrivateKeyInfo::try_from(bytes).is_ok() || rsa::pkcs1::RsaPrivateKey::try_from(bytes).is_ok() {
        return Some(Form::Der);
    }
    let (first_tag, first, rest) = element(content)?;
    let (second_tag, _, _) = element(rest)?;
    match (first_tag, first, second_tag) {
        // RFC 5915 section 3: version 1, and the private key.
        (INTEGER, [1], OCTET_STRING) => Some(Form::Der),
        // RFC 7292 section 4: version 3, and the contents.
        (INTEGER, [3], SEQUENCE) => Some(Form::Pkcs12),
        // RFC 5280 section 4.1: the certificate, and the algorithm that signed it.
        (SEQUENCE, _, SEQUENCE) => Some(Form::DerCertificate),
        // RFC 5280 section 4.1.2.7: the algorithm, and the key.
        (SEQUENCE, _, BIT_STRING) => Some(Form::DerPublicKey),
        _ => None,
    }
}

/// The first element of `bytes`: its tag, its content, and the rest. No key has lengths of more than four bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = length
                .iter()
                .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EscapedLineEnds => r"it holds `\n` in place of line ends",
            Self::Base64OfPem => "it is PEM in base64",
            Self::Unframed => {
                "it is a private key in base64 without the lines `-----BEGIN …` and `-----END …`"
            }
            Self::Utf16 => "it is UTF-16 text",
            Self::Der => "it is a private key in DER form",
            Self::Pkcs12 => "it is a PKCS#12 file",
            Self::DerCertificate => "it is a certificate in DER form, without a private key",
            Self::DerPublicKey => "it is a public key in DER form",
            Self::Jwk => "it is a JSON Web Key",
        })
    }
}

#[cfg(test)]
mod tests;
