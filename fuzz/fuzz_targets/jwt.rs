//! A foreign JWT: raw, and with a header and claims of the fuzzer's choice under a valid signature.

#![no_main]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a finding says so by panicking, and the issuer is not the server, whose rules these are"
)]

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bff::{
    clock::Timestamp,
    jose::{Algorithm, Audience, KeySet, Policy, Typ, VerifyError, verify},
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "bff-server";
const NOW: u32 = 1_800_000_000;
const LEEWAY: f64 = 60.0;

struct Issuer {
    pair: EcdsaKeyPair,
    keys: KeySet,
}

static IDP: LazyLock<Issuer> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let document = json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": "a",
        "x": part(&point[1..33]), "y": part(&point[33..]),
    }] });
    let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 1);
    Issuer { pair, keys }
});

fn check(token: &str) -> Result<(), VerifyError> {
    let policy = Policy {
        algorithms: &[Algorithm::ES256, Algorithm::RS256],
        typ: Typ::IdToken,
        issuer: ISSUER,
        audience: Audience::Client {
            id: AUDIENCE,
            trusted: &[],
        },
    };
    verify(
        token,
        &IDP.keys,
        &policy,
        Timestamp::from_unix_seconds(u64::from(NOW)),
    )
    .map(drop)
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // This is not signed.
    assert!(check(text).is_err(), "a forged token is accepted");

    let Some((header, claims)) = text.split_once('\n') else {
        return;
    };
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = IDP.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    if check(&token).is_err() {
        return;
    }
    // Another reader of the same header and claims agrees.
    let header: Value = serde_json::from_str(header).unwrap();
    assert_eq!(header["alg"], "ES256");
    assert!(header.get("crit").is_none());
    let claims: Value = serde_json::from_str(claims).unwrap();
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["aud"] == AUDIENCE || claims["aud"] == json!([AUDIENCE]));
    assert!(matches!(claims.get("azp"), None | Some(Value::Null)) || claims["azp"] == AUDIENCE);
    let now = f64::from(NOW);
    assert!(claims["exp"].as_f64().unwrap() > now - LEEWAY - 1.0);
    assert!(claims["iat"].as_f64().unwrap() < now + LEEWAY + 1.0);
    if let Some(nbf) = claims.get("nbf").and_then(Value::as_f64) {
        assert!(nbf < now + LEEWAY + 1.0);
    }
});
