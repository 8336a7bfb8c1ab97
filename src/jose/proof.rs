//! Proofs of possession: a JWT whose key no issuer publishes, because the signer has made it for us.
//!
//! The first proof contains the key, and shows only that the signer has it. Each later one is checked with the stored
//! key, and must not contain one. The caller decides who may send a first proof, and which challenge a proof answers.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Algorithm, Claims, Typ, VerifyError,
    verify::{Part, Unverified},
};

/// Longer proofs are refused before anything is parsed, in bytes: a key of 4,096 bits and a signature by it take 2 KiB.
pub const MAX_PROOF_LENGTH: usize = 8 * 1024;

/// The algorithms for a proof.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::ES256, Algorithm::RS256];

/// A coordinate on P-256, in bytes.
const COORDINATE: usize = 32;

/// The modulus of an RSA key, in bytes: 2,048 to 4,096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

/// The exponent of an RSA key, in bytes. It is 65537 in practice.
const MAX_EXPONENT: usize = 4;

/// Members that only a private key has (RFC 7518 section 6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// A public key as a JWK (RFC 7517) with only its required members: on P-256, or RSA of 2,048 to 4,096 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum ProofKey {
    /// For `ES256` (RFC 7518 section 6.2.1).
    EC {
        /// The curve.
        crv: Curve,
        /// The coordinates in base64url.
        x: String,
        /// As `x`.
        y: String,
    },
    /// For `RS256` (RFC 7518 section 6.3.1).
    RSA {
        /// The modulus in base64url.
        n: String,
        /// The exponent in base64url.
        e: String,
    },
}

/// The one curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Curve {
    /// P-256.
    #[serde(rename = "P-256")]
    P256,
}

/// A proof that its key has signed.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The key.
    pub key: ProofKey,
    /// All claims, unchecked.
    pub claims: Claims,
}

/// Checks a proof that contains its key: length, algorithm, `crit`, `typ`, key, signature. The key is in the header;
/// in the payload only if the header has none, as in an older form of Device Bound Session Credentials.
///
/// # Errors
///
/// [`VerifyError`], the first thing that is wrong.
pub fn verify_first_proof(token: &str, typ: Typ) -> Result<Proven, VerifyError> {
    let token = Unverified::read(token, MAX_PROOF_LENGTH, &ALGORITHMS, typ)?;
    let key = match token.peek(Part::Header, "jwk")? {
        Some(key) => Some(key),
        None => token.peek(Part::Payload, "jwk")?,
    };
    let key = key.and_then(ProofKey::accepted).ok_or(VerifyError::Key)?;
    let claims = claims_by(&token, &key)?;
    Ok(Proven { key, claims })
}

/// Checks a proof with the known `key`: length, algorithm, `crit`, `typ`, signature. Returns all claims, unchecked.
///
/// # Errors
///
/// [`VerifyError`], the first thing that is wrong.
pub fn verify_proof(token: &str, typ: Typ, key: &ProofKey) -> Result<Claims, VerifyError> {
    let token = Unverified::read(token, MAX_PROOF_LENGTH, &ALGORITHMS, typ)?;
    if token.peek(Part::Header, "jwk")?.is_some() {
        return Err(VerifyError::SuperfluousKey);
    }
    claims_by(&token, key)
}

fn claims_by(token: &Unverified<'_>, key: &ProofKey) -> Result<Claims, VerifyError> {
    if token.algorithm != key.algorithm() {
        return Err(VerifyError::Algorithm);
    }
    token.verify([&key.decoding()?])
}

// === impl ProofKey ===

impl ProofKey {
    /// The key of a JWK, if it is accepted. A private part is not allowed in a proof.
    fn accepted(jwk: Value) -> Option<Self> {
        if PRIVATE.iter().any(|member| jwk.get(member).is_some()) {
            return None;
        }
        // Other members are not kept.
        let key: Self = serde_json::from_value(jwk).ok()?;
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let fits = match &key {
            Self::EC { x, y, .. } => [x, y]
                .iter()
                .all(|text| decoded(text).is_some_and(|bytes| bytes.len() == COORDINATE)),
            Self::RSA { n, e } => {
                let (n, e) = (decoded(n)?, decoded(e)?);
                let is_number = |bytes: &[u8]| bytes.first().is_some_and(|first| *first != 0);
                let is_large = MODULUS.contains(&n.len()) && n.first().is_some_and(|first| *first >= 0x80);
                let is_odd = e.last().is_some_and(|last| last % 2 == 1) && *e != [1];
                is_large && is_number(&e) && e.len() <= MAX_EXPONENT && is_odd
            }
        };
        fits.then_some(key)
    }

    /// The algorithm that its signatures have.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::EC { .. } => Algorithm::ES256,
            Self::RSA { .. } => Algorithm::RS256,
        }
    }

    /// The SHA-256 thumbprint (RFC 7638) in base64url: one key has one thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // The necessary members in the order of their names, without white space. Base64url needs no escapes.
        let members = match self {
            Self::EC { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::RSA { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
    }

    /// How much memory its texts take, in bytes.
    #[must_use]
    pub const fn text_length(&self) -> usize {
        match self {
            Self::EC { x, y, .. } => x.len() + y.len(),
            Self::RSA { n, e } => n.len() + e.len(),
        }
    }

    fn decoding(&self) -> Result<DecodingKey, VerifyError> {
        match self {
            Self::EC { x, y, .. } => DecodingKey::from_ec_components(x, y),
            Self::RSA { n, e } => DecodingKey::from_rsa_components(n, e),
        }
        .map_err(|_| VerifyError::Key)
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
        }
    }
}

#[cfg(test)]
mod tests;
