//! The key of a device, in software, as a browser would use it.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A key that its device does not give away.
pub struct DeviceKey(EcdsaKeyPair);

// === impl DeviceKey ===

impl DeviceKey {
    pub fn make() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// A first proof, with the public key in its header.
    pub fn first_proof(&self, challenge: &str, authorization: &str) -> String {
        let point = self.0.public_key().as_ref();
        let jwk = json!({
            "kty": "EC", "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        });
        let header = json!({ "typ": "dbsc+jwt", "alg": "ES256", "jwk": jwk });
        self.sign(
            &header,
            &json!({ "jti": challenge, "authorization": authorization }),
        )
    }

    /// A later one.
    pub fn proof(&self, challenge: &str) -> String {
        let header = json!({ "typ": "dbsc+jwt", "alg": "ES256" });
        self.sign(&header, &json!({ "jti": challenge }))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a browser is not the server, whose rules these are"
    )]
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
