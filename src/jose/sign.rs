//! Signing with a key that was parsed once.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType,
    Jwk, KeyAlgorithm, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, RSAKeyParameters, RSAKeyType,
    ThumbprintHash,
};
use serde::Serialize;

use super::{Algorithm, KeyType};
use crate::secret::Secret;

/// A private key that is ready to sign. Only aws-lc-rs performs private-key operations (RUSTSEC-2023-0071).
pub enum KeyPair {
    /// RSA, 2048 bits or more.
    Rsa(RsaKeyPair),
    /// P-256 with SHA-256 and fixed-length signatures (`ECDSA_P256_SHA256_FIXED_SIGNING`).
    P256(EcdsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

/// A private key with its key id and public half.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<KeyPair>,
    public: Jwk,
    kid: String,
}

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key does not do this algorithm.
    #[error("a key of this type does not sign with {0}")]
    Algorithm(Algorithm),
    /// The header or the claims do not serialise.
    #[error("cannot serialise the token")]
    Serialise(#[from] serde_json::Error),
    /// The library refused.
    #[error("the signature operation failed")]
    Operation,
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<&'a str>,
    alg: Algorithm,
    #[serde(skip_serializing_if = "str::is_empty")]
    kid: &'a str,
}

// === impl KeyPair ===

impl KeyPair {
    /// The kind of key.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::Rsa(_) => KeyType::Rsa,
            Self::P256(_) => KeyType::P256,
            Self::Ed25519(_) => KeyType::Ed25519,
        }
    }

    fn public_parameters(&self) -> Result<AlgorithmParameters, SignError> {
        Ok(match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                AlgorithmParameters::RSA(RSAKeyParameters {
                    key_type: RSAKeyType::RSA,
                    n: URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
                    e: URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Self::P256(pair) => {
                // An uncompressed point: 0x04, then x and y with 32 bytes each (SEC1 section 2.3.3).
                let point = pair.public_key().as_ref();
                let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
                    return Err(SignError::Operation);
                };
                AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                    key_type: EllipticCurveKeyType::EC,
                    curve: EllipticCurve::P256,
                    x: URL_SAFE_NO_PAD.encode(x),
                    y: URL_SAFE_NO_PAD.encode(y),
                })
            }
            Self::Ed25519(pair) => AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
            }),
        })
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match (self, algorithm) {
            (Self::Rsa(pair), Algorithm::PS256) => sign_rsa(pair, &RSA_PSS_SHA256, message),
            (Self::Rsa(pair), Algorithm::RS256) => sign_rsa(pair, &RSA_PKCS1_SHA256, message),
            (Self::P256(pair), Algorithm::ES256) => {
                let signature = pair.sign(&rng(), message).map_err(|_| SignError::Operation)?;
                Ok(signature.as_ref().to_vec())
            }
            (Self::Ed25519(pair), Algorithm::EdDSA | Algorithm::Ed25519) => {
                let signature = pair.try_sign(message).map_err(|_| SignError::Operation)?;
                Ok(signature.as_ref().to_vec())
            }
            _ => Err(SignError::Algorithm(algorithm)),
        }
    }
}

fn sign_rsa(
    pair: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, SignError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &rng(), message, &mut signature)
        .map_err(|_| SignError::Operation)?;
    Ok(signature)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library salts and blinds with its own generator"
)]
fn rng() -> SystemRandom {
    SystemRandom::new()
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({:?})", self.key_type())
    }
}

// === impl SigningKey ===

impl SigningKey {
    /// A signing key, called `kid` or, without one, by its RFC 7638 thumbprint (SHA-256).
    ///
    /// # Errors
    ///
    /// [`SignError::Operation`] if the library cannot compute the public half.
    pub fn new(pair: KeyPair, kid: Option<String>) -> Result<Self, SignError> {
        // A key type with a single algorithm names it, and Ed25519 uses its common name. An RSA key may sign PS256 or
        // RS256, so it names none.
        let key_algorithm = match pair.key_type() {
            KeyType::P256 => Some(KeyAlgorithm::ES256),
            KeyType::Ed25519 => Some(KeyAlgorithm::EdDSA),
            KeyType::Rsa | KeyType::P384 => None,
        };
        let mut public = Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm,
                ..CommonParameters::default()
            },
            algorithm: pair.public_parameters()?,
        };
        let kid = match kid {
            Some(kid) => kid,
            None => public
                .thumbprint(ThumbprintHash::SHA256)
                .map_err(|_| SignError::Operation)?,
        };
        public.common.key_id = Some(kid.clone());
        Ok(Self {
            pair: Arc::new(pair),
            public,
            kid,
        })
    }

    /// The same key, called `kid`.
    #[must_use]
    pub fn called(&self, kid: &str) -> Self {
        let mut renamed = self.clone();
        renamed.public.common.key_id = Some(kid.to_owned());
        kid.clone_into(&mut renamed.kid);
        renamed
    }

    /// The same key without a key id: a verifier has to try its keys.
    #[must_use]
    pub fn unnamed(&self) -> Self {
        let mut unnamed = self.called("");
        unnamed.public.common.key_id = None;
        unnamed
    }

    /// The key id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The RFC 7638 thumbprint (SHA-256).
    ///
    /// # Errors
    ///
    /// [`SignError::Operation`] if the library cannot compute it.
    pub fn thumbprint(&self) -> Result<String, SignError> {
        self.public
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| SignError::Operation)
    }

    /// The public half as a JWK (RFC 7517), with `use` and `kid`, and with `alg` if the key type has only one.
    #[must_use]
    pub const fn public(&self) -> &Jwk {
        &self.public
    }

    /// The kind of key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.pair.key_type()
    }

    /// The algorithms it signs with, the one to prefer first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [Algorithm] {
        match self.pair.key_type() {
            KeyType::Rsa => &[Algorithm::PS256, Algorithm::RS256],
            KeyType::P256 => &[Algorithm::ES256],
            KeyType::Ed25519 => &[Algorithm::EdDSA, Algorithm::Ed25519],
            KeyType::P384 => &[],
        }
    }

    /// Whether a signature takes about a millisecond of CPU, so that it must not run on an async worker.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(*self.pair, KeyPair::Rsa(_))
    }

    /// A signed JWT in compact form (RFC 7515 section 7.1) with `typ`, if it is to have one, `alg` and `kid` in its header.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the key does not do the algorithm, the claims do not serialise, or the library failed.
    pub fn sign<'a>(
        &'a self,
        algorithm: Algorithm,
        typ: impl Into<Option<&'a str>>,
        claims: &impl Serialize,
    ) -> Result<Secret, SignError> {
        let header = serde_json::to_vec(&Header {
            typ: typ.into(),
            alg: algorithm,
            kid: &self.kid,
        })?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
        let signature = self.pair.sign(algorithm, token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(Secret::new(token))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("type", &self.key_type())
            .finish_non_exhaustive()
    }
}
