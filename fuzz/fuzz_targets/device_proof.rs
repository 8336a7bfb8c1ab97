//! The proof of a device's key and the header fields that carry it: raw, and with a header and claims of the fuzzer's choice
//! under a good signature.

#![no_main]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a finding says so by panicking, and the browser is not the server, whose rules these are"
)]

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bff::{
    jose::{ProofKey, Typ, install_crypto, verify_first_proof, verify_proof},
    web::fuzzing::device_fields,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const FIELDS: [&str; 3] = [
    "secure-session-response",
    "sec-secure-session-id",
    "secure-session-skipped",
];

struct Device {
    pair: EcdsaKeyPair,
    jwk: Value,
    key: ProofKey,
}

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    install_crypto();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": part(&point[1..33]), "y": part(&point[33..]) });
    let key = serde_json::from_value(jwk.clone()).unwrap();
    Device { pair, jwk, key }
});

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(data) {
        for name in FIELDS {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let [Some(proof), Some(id)] = device_fields(&headers) {
        assert_eq!(proof, id, "one value is read in two ways");
    }

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let device = &*DEVICE;
    // This is not signed.
    assert!(verify_proof(text, Typ::DeviceProof, &device.key).is_err());

    let Some((header, claims)) = text.split_once('\n') else {
        return;
    };
    // `JWK` is the placeholder for the key.
    let header = header.replace("JWK", &device.jwk.to_string());
    let claims = claims.replace("JWK", &device.jwk.to_string());
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(&header),
        URL_SAFE_NO_PAD.encode(&claims)
    );
    let signature = device.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let first = verify_first_proof(&token, Typ::DeviceProof);
    let later = verify_proof(&token, Typ::DeviceProof, &device.key);
    if first.is_err() && later.is_err() {
        return;
    }
    // Another reader of the same header agrees.
    let header: Value = serde_json::from_str(&header).unwrap();
    assert_eq!(header["alg"], "ES256");
    assert!(header["typ"].as_str().unwrap().eq_ignore_ascii_case("dbsc+jwt"));
    assert!(header.get("crit").is_none());
    if later.is_ok() {
        assert!(header.get("jwk").is_none());
    }
    if let Ok(first) = first {
        assert_eq!(
            first.key, device.key,
            "another key counts than the one that has signed"
        );
    }
});
