//! The signing keys of the IdP and their rotation.

use std::sync::Arc;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    error::KeyRejected,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::jws::{self, Unverified};

/// How many retired keys are remembered, for ID tokens that come back as a logout hint.
const REMEMBERED: usize = 16;

/// One signing key.
#[derive(Deserialize)]
#[serde(try_from = "StoredKey")]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    algorithm: Algorithm,
    /// The private key in PKCS#8 (RFC 5208), to be kept across a restart.
    pkcs8: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Value,
    public_pem: String,
}

/// A signing key in a file.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    algorithm: Algorithm,
    /// Base64.
    pkcs8: String,
}

/// The signing keys, the published ones, and the former ones.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyRing {
    rsa: Arc<SigningKey>,
    ec: Arc<SigningKey>,
    previous: Vec<Arc<SigningKey>>,
    retired: Vec<Arc<SigningKey>>,
}

/// A key could not be made or did not sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key could not be generated.
    #[error("cannot generate a signing key")]
    Generate,
    /// The stored value is not a private key of its algorithm.
    #[error("cannot read a stored signing key")]
    Stored,
    /// The key is not understood by the JOSE library.
    #[error("cannot use a signing key: {0}")]
    Unusable(#[from] jsonwebtoken::errors::Error),
    /// The public half cannot be written as JSON.
    #[error("cannot write the public key: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<aws_lc_rs::error::Unspecified> for KeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Generate
    }
}

impl From<KeyRejected> for KeyError {
    fn from(_: KeyRejected) -> Self {
        Self::Stored
    }
}

// === impl SigningKey ===

impl SigningKey {
    pub(crate) fn generate_rsa() -> Result<Self, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der<'_> = pair.as_der()?;
        Self::rsa(private.as_ref())
    }

    pub(crate) fn generate_ec() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        Self::ec(pair.to_pkcs8v1()?.as_ref())
    }

    fn rsa(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8)?;
        let encoding = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", pkcs8).as_bytes())?;
        Self::new(Algorithm::RS256, pkcs8, encoding, &pair.public_key().as_der()?)
    }

    fn ec(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)?;
        let encoding = EncodingKey::from_ec_pem(pem("PRIVATE KEY", pkcs8).as_bytes())?;
        Self::new(Algorithm::ES256, pkcs8, encoding, &pair.public_key().as_der()?)
    }

    fn new(
        algorithm: Algorithm,
        pkcs8: &[u8],
        encoding: EncodingKey,
        public: &PublicKeyX509Der<'_>,
    ) -> Result<Self, KeyError> {
        let mut jwk = Jwk::from_encoding_key(&encoding, algorithm)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let decoding = DecodingKey::from_jwk(&jwk)?;
        Ok(Self {
            kid,
            algorithm,
            pkcs8: pkcs8.to_vec(),
            encoding,
            decoding,
            public: serde_json::to_value(&jwk)?,
            public_pem: pem("PUBLIC KEY", public.as_ref()),
        })
    }

    /// The JOSE header of a token that this key signs.
    pub(crate) fn header(&self, typ: &str) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(self.algorithm));
        header.insert("typ".to_owned(), json!(typ));
        header.insert("kid".to_owned(), json!(self.kid));
        header
    }

    /// Signs without checking the header, so that a test can also request a false header.
    pub(crate) fn sign(
        &self,
        header: &Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> Result<String, KeyError> {
        let input = jws::signing_input(header, claims);
        let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &self.encoding, self.algorithm)?;
        Ok(format!("{input}.{signature}"))
    }

    pub(crate) fn verifies(&self, token: &Unverified<'_>) -> bool {
        token
            .header_str("alg")
            .is_some_and(|alg| json!(self.algorithm) == alg)
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.signing_input.as_bytes(),
                &self.decoding,
                self.algorithm,
            )
            .unwrap_or(false)
    }

    /// The public JWK.
    pub(crate) fn public_jwk(&self) -> Value {
        self.public.clone()
    }

    /// The public key as `SubjectPublicKeyInfo` in PEM.
    pub(crate) fn public_pem(&self) -> &str {
        &self.public_pem
    }
}

impl TryFrom<StoredKey> for SigningKey {
    type Error = KeyError;

    fn try_from(stored: StoredKey) -> Result<Self, KeyError> {
        let pkcs8 = STANDARD.decode(stored.pkcs8).map_err(|_| KeyError::Stored)?;
        match stored.algorithm {
            Algorithm::RS256 => Self::rsa(&pkcs8),
            Algorithm::ES256 => Self::ec(&pkcs8),
            _ => Err(KeyError::Stored),
        }
    }
}

impl Serialize for SigningKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = StoredKey {
            algorithm: self.algorithm,
            pkcs8: STANDARD.encode(&self.pkcs8),
        };
        stored.serialize(serializer)
    }
}

// === impl KeyRing ===

impl KeyRing {
    pub(crate) fn generate() -> Result<Self, KeyError> {
        Ok(Self {
            rsa: Arc::new(SigningKey::generate_rsa()?),
            ec: Arc::new(SigningKey::generate_ec()?),
            previous: Vec::new(),
            retired: Vec::new(),
        })
    }

    /// Adopts the keys of `fresh`; the former signing keys stay published until the next rotation.
    pub(crate) fn rotate(&mut self, fresh: Self) {
        self.drop_previous();
        self.previous = vec![
            std::mem::replace(&mut self.rsa, fresh.rsa),
            std::mem::replace(&mut self.ec, fresh.ec),
        ];
    }

    /// Publishes only the signing keys.
    pub(crate) fn drop_previous(&mut self) {
        self.retired.append(&mut self.previous);
        let excess = self.retired.len().saturating_sub(REMEMBERED);
        self.retired.drain(..excess);
    }

    pub(crate) fn rsa(&self) -> Arc<SigningKey> {
        Arc::clone(&self.rsa)
    }

    /// The key for an algorithm; the RSA key for everything but `ES256`.
    pub(crate) fn for_algorithm(&self, alg: Option<&str>) -> Arc<SigningKey> {
        Arc::clone(if alg == Some("ES256") { &self.ec } else { &self.rsa })
    }

    /// The public keys as a JWK Set (RFC 7517, section 5).
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published().map(|key| key.public_jwk()).collect();
        json!({ "keys": keys })
    }

    /// Verifies one of our tokens with the published keys.
    pub(crate) fn verify(&self, token: &Unverified<'_>) -> bool {
        Self::any(self.published(), token)
    }

    /// Verifies one of our tokens of any age: an expired ID token is a valid logout hint.
    pub(crate) fn verify_ever(&self, token: &Unverified<'_>) -> bool {
        Self::any(self.published().chain(&self.retired), token)
    }

    fn published(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        [&self.rsa, &self.ec].into_iter().chain(&self.previous)
    }

    fn any<'k>(mut keys: impl Iterator<Item = &'k Arc<SigningKey>>, token: &Unverified<'_>) -> bool {
        let kid = token.header_str("kid");
        keys.any(|key| kid == Some(key.kid.as_str()) && key.verifies(token))
    }
}

/// PEM (RFC 7468) of DER.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
