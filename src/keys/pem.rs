//! Reading one PEM file into a private key.
//!
//! `pem` does the framing, `rsa` checks RSA keys; the key that signs is always the one of aws-lc-rs, so that no private
//! operation happens in `rsa` (RUSTSEC-2023-0071).

mod fix;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use pem::Pem;
use rsa::{
    RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey as _,
    pkcs8::{ObjectIdentifier, PrivateKeyInfo},
    traits::PublicKeyParts as _,
};
use zeroize::Zeroizing;

use super::form::Form;
use crate::{
    access::{Need, Refused},
    jose::KeyPair,
    private_file::{Exposed, Guard, folder_of},
};

/// A larger file is not a PEM file with one key, in bytes.
const MAX_FILE_LENGTH: u64 = 64 * 1024;

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;

const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const OID_RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const OID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const OID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const OID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const OID_DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// Curves and algorithms that people do try, for the message.
const KNOWN: [(ObjectIdentifier, &str); 9] = [
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "P-384"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "P-521"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), "secp256k1"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.33"), "P-224"),
    (
        ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.7"),
        "brainpoolP256r1",
    ),
    (ObjectIdentifier::new_unwrap("1.3.101.113"), "Ed448"),
    (ObjectIdentifier::new_unwrap("1.3.101.110"), "X25519"),
    (ObjectIdentifier::new_unwrap("1.3.101.111"), "X448"),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.3.1"),
        "Diffie-Hellman",
    ),
];

/// A file that is unusable as a key. The message names its actual content and the fix; it never contains a byte of
/// the file.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} cannot be used as a key: {problem}")]
pub struct UnusableKey {
    /// The file.
    pub path: PathBuf,
    /// The fault.
    #[source]
    pub problem: KeyProblem,
}

/// The fault of a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// No file of that name.
    #[error("there is no such file")]
    Missing,
    /// The operating system refuses.
    #[error("it {}", .0.reason())]
    Unreadable(Refused),
    /// Others can use it.
    #[error("{0}")]
    Exposed(Exposed),
    /// A folder, a socket or the like.
    #[error("it is not a file but {0}")]
    NotAFile(&'static str),
    /// A folder, which container engines make in place of a file that is missing.
    #[error("it is a folder")]
    Folder,
    /// More than 64 KiB.
    #[error("it is larger than 64 KiB; a PEM file with one private key has a few KiB")]
    TooLarge,
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// No PEM block in it.
    #[error("it contains no PEM block (`-----BEGIN …`), and no other known form of a key")]
    NotPem,
    /// A key in another form than PEM.
    #[error("{0}")]
    OtherForm(Form),
    /// A PEM block that is cut off, or whose content does not parse.
    #[error("its {0} is damaged")]
    Damaged(&'static str),
    /// Needs a passphrase.
    #[error("its private key is encrypted")]
    Encrypted,
    /// A public key.
    #[error("it holds a public key only")]
    PublicOnly,
    /// A certificate or a request for one.
    #[error("it holds a certificate (or a request for one) but no private key")]
    Certificate,
    /// The container that `ssh-keygen` writes.
    #[error("it is an OpenSSH key")]
    OpenSsh,
    /// A PEM block of another kind.
    #[error("it holds PEM but no private key")]
    NoPrivateKey,
    /// More than one private key.
    #[error("it holds {0} private keys")]
    SeveralKeys(usize),
    /// RSA below 2048 bits.
    #[error("its RSA key has {0} bits; at least 2048 are needed")]
    RsaTooSmall(usize),
    /// RSA above 8192 bits.
    #[error("its RSA key has {0} bits; at most 8192 are supported")]
    RsaTooLarge(usize),
    /// An RSA key whose numbers do not fit together.
    #[error("its RSA key is not valid (its numbers contradict each other)")]
    RsaInvalid,
    /// RSA whose container allows PSS only.
    #[error("its key is restricted to RSA-PSS (`id-RSASSA-PSS`)")]
    RsaPss,
    /// DSA.
    #[error("it is a DSA key, and no JWT algorithm uses DSA")]
    Dsa,
    /// Another curve or algorithm.
    #[error("its key is of type {0}; supported are RSA (2048 bits or more), P-256 and Ed25519")]
    UnsupportedType(String),
}

/// Reads the private key in the file `path`: RSA of 2048 to 8192 bits (PKCS#8 or PKCS#1), P-256 (PKCS#8 or SEC1) or
/// Ed25519 (PKCS#8 version 1 or 2). Other blocks beside the one private key do not matter.
///
/// # Errors
///
/// [`UnusableKey`] with the actual content.
pub fn read_key(path: &Path) -> Result<KeyPair, UnusableKey> {
    read_guarded(path, Guard::Off)
}

/// The same for a key that is to be used: not where `guard` refuses the file or its folder.
pub(super) fn read_guarded(path: &Path, guard: Guard) -> Result<KeyPair, UnusableKey> {
    read_bounded(path)
        .and_then(|(file, text)| {
            let key = parse(&text)?;
            // A file without a key has other problems.
            guard.file(&file).map_err(KeyProblem::Exposed)?;
            guard.folder(folder_of(path)).map_err(KeyProblem::Exposed)?;
            guard.place_of(path).map_err(KeyProblem::Exposed)?;
            Ok(key)
        })
        .map_err(|problem| UnusableKey {
            path: path.to_owned(),
            problem,
        })
}

fn read_bounded(path: &Path) -> Result<(File, Zeroizing<Vec<u8>>), KeyProblem> {
    // Looked at before it is opened: opening a FIFO would wait for a writer.
    let failed = |error: io::Error| KeyProblem::from_io(path, &error);
    let kind = path.metadata().map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(KeyProblem::Folder);
    }
    if !kind.is_file() {
        return Err(KeyProblem::NotAFile("a device, pipe or socket"));
    }
    let file = File::open(path).map_err(failed)?;
    let mut text = Zeroizing::new(Vec::new());
    (&file)
        .take(MAX_FILE_LENGTH + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE_LENGTH) {
        return Err(KeyProblem::TooLarge);
    }
    Ok((file, text))
}

/// Reads the private key in `text`.
pub(super) fn parse(text: &[u8]) -> Result<KeyPair, KeyProblem> {
    if text.trim_ascii().is_empty() {
        return Err(KeyProblem::Empty);
    }
    if !text.windows(11).any(|window| window == b"-----BEGIN ") {
        return Err(Form::of(text).map_or(KeyProblem::NotPem, KeyProblem::OtherForm));
    }
    let damaged = || Form::of(text).map_or(KeyProblem::Damaged("PEM block"), KeyProblem::OtherForm);
    let blocks = pem::parse_many(text).map_err(|_| damaged())?;
    if blocks.is_empty() {
        return Err(damaged());
    }
    let (private, other): (Vec<Pem>, Vec<Pem>) = blocks
        .into_iter()
        .partition(|block| block.tag().ends_with("PRIVATE KEY"));
    let count = private.len();
    let mut private = private.into_iter();
    match (private.next(), private.next()) {
        (Some(block), None) => parse_block(block),
        (Some(_), Some(_)) => Err(KeyProblem::SeveralKeys(count)),
        (None, _) => Err(KeyProblem::without_private_key(&other)),
    }
}

fn parse_block(block: Pem) -> Result<KeyPair, KeyProblem> {
    // RFC 1421 section 4.6.1.1: the legacy encryption of OpenSSL.
    let legacy_encryption = block
        .headers()
        .get("Proc-Type")
        .is_some_and(|value| value.contains("ENCRYPTED"));
    if legacy_encryption {
        return Err(KeyProblem::Encrypted);
    }
    let tag = block.tag().to_owned();
    let der = Zeroizing::new(block.into_contents());
    match tag.as_str() {
        "PRIVATE KEY" => parse_pkcs8(&der),
        "RSA PRIVATE KEY" => parse_rsa(&der),
        "EC PRIVATE KEY" => parse_sec1(&der),
        "ENCRYPTED PRIVATE KEY" => Err(KeyProblem::Encrypted),
        "DSA PRIVATE KEY" => Err(KeyProblem::Dsa),
        "OPENSSH PRIVATE KEY" => Err(KeyProblem::OpenSsh),
        _ => Err(KeyProblem::NoPrivateKey),
    }
}

/// PKCS#8 (RFC 5208, RFC 5958).
fn parse_pkcs8(der: &[u8]) -> Result<KeyPair, KeyProblem> {
    let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyProblem::Damaged("PKCS#8 structure"))?;
    match info.algorithm.oid {
        OID_RSA => parse_rsa(info.private_key),
        OID_EC => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(KeyPair::P256)
            .map_err(|_| match info.algorithm.parameters_oid() {
                Ok(OID_P256) => KeyProblem::Damaged("P-256 key"),
                Ok(curve) => KeyProblem::unsupported(curve),
                Err(_) => KeyProblem::UnsupportedType("EC with a curve of its own".to_owned()),
            }),
        OID_ED25519 => Ed25519KeyPair::from_pkcs8(der)
            .map(KeyPair::Ed25519)
            .map_err(|_| KeyProblem::Damaged("Ed25519 key")),
        OID_RSA_PSS => Err(KeyProblem::RsaPss),
        OID_DSA => Err(KeyProblem::Dsa),
        other => Err(KeyProblem::unsupported(other)),
    }
}

/// PKCS#1 (RFC 8017 appendix A.1.2), which PKCS#8 also contains for RSA.
fn parse_rsa(der: &[u8]) -> Result<KeyPair, KeyProblem> {
    let damaged = || KeyProblem::Damaged("RSA key");
    // The size comes first: nothing is computed with numbers of unreasonable length.
    let numbers = rsa::pkcs1::RsaPrivateKey::try_from(der).map_err(|_| damaged())?;
    let bits = bit_length(numbers.modulus.as_bytes());
    if bits < MIN_RSA_BITS {
        return Err(KeyProblem::RsaTooSmall(bits));
    }
    if bits > MAX_RSA_BITS {
        return Err(KeyProblem::RsaTooLarge(bits));
    }
    let checked = RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyProblem::RsaInvalid)?;
    checked.validate().map_err(|_| KeyProblem::RsaInvalid)?;
    let pair = RsaKeyPair::from_der(der).map_err(|_| KeyProblem::RsaInvalid)?;
    // Two parsers that disagree about the modulus would publish a key that does not verify.
    if pair.public_modulus_len() != checked.size() {
        return Err(KeyProblem::RsaInvalid);
    }
    Ok(KeyPair::Rsa(pair))
}

/// SEC1 (RFC 5915 section 3).
fn parse_sec1(der: &[u8]) -> Result<KeyPair, KeyProblem> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .map(KeyPair::P256)
        .map_err(|_| {
            // Only for the message: the curve that the structure names, if we know it.
            let named = |oid: &ObjectIdentifier| {
                let oid = oid.as_bytes();
                der.windows(oid.len()).any(|window| window == oid)
            };
            KNOWN
                .iter()
                .find(|(oid, _)| named(oid))
                .map_or(KeyProblem::Damaged("SEC1 structure"), |(oid, _)| {
                    KeyProblem::unsupported(*oid)
                })
        })
}

fn bit_length(big_endian: &[u8]) -> usize {
    let significant = big_endian.iter().skip_while(|byte| **byte == 0);
    let mut bits = 0_usize;
    for (index, byte) in significant.enumerate() {
        bits += if index == 0 {
            // At most 8, so the conversion cannot fail.
            usize::try_from(u8::BITS - byte.leading_zeros()).unwrap_or_default()
        } else {
            8
        };
    }
    bits
}

// === impl KeyProblem ===

impl KeyProblem {
    fn from_io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Folder,
            _ => Self::Unreadable(Refused::of(path, Need::ReadPrivate, error)),
        }
    }

    fn without_private_key(blocks: &[Pem]) -> Self {
        let has = |end: &str| blocks.iter().any(|block| block.tag().ends_with(end));
        if has("PUBLIC KEY") {
            Self::PublicOnly
        } else if has("CERTIFICATE") || has("CERTIFICATE REQUEST") {
            Self::Certificate
        } else {
            Self::NoPrivateKey
        }
    }

    fn unsupported(oid: ObjectIdentifier) -> Self {
        let name = KNOWN
            .iter()
            .find(|(known, _)| *known == oid)
            .map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned());
        Self::UnsupportedType(name)
    }
}

#[cfg(test)]
mod tests;
