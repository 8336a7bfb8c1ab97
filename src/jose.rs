//! JSON Web Signatures: signing with our keys, and the one [`verify()`] for foreign signatures.
//!
//! No other module decodes a JWT. Signing holds a key that was parsed once (aws-lc-rs). Verifying passes only the
//! signature to `jsonwebtoken` and makes every other check itself, because that library's own `decode` accepts an
//! unknown `crit`, a missing `aud` and a future `nbf`.

mod algorithm;
mod kept;
mod key_set;
mod proof;
mod sign;
mod verify;

pub use jsonwebtoken::jwk::Jwk;

pub(crate) use self::verify::{audiences, numeric_date};
pub use self::{
    algorithm::{Algorithm, KeyType},
    kept::kept_claims,
    key_set::{KeySet, KeySetError, Rejected, Unusable},
    proof::{MAX_PROOF_LENGTH, ProofKey, Proven, verify_first_proof, verify_proof},
    sign::{KeyPair, SignError, SigningKey},
    verify::{
        Audience, Claims, MAX_TOKEN_LENGTH, Policy, Typ, Verified, VerifyError, unproven_claims, verify,
    },
};

/// Installs aws-lc-rs as the process's one provider for TLS and for JWT signatures. May be called repeatedly; the
/// first line of `main` and of every test that touches TLS.
pub fn install_crypto() {
    // Both fail only if a provider is already installed, and then nothing is left to do.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
