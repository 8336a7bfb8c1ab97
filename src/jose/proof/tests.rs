use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jose::install_crypto;

static P256: LazyLock<EcdsaKeyPair> = LazyLock::new(pair);
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ec_jwk(pair: &EcdsaKeyPair) -> Value {
    let point = pair.public_key().as_ref();
    json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
}

fn rsa_jwk() -> Value {
    let public = RSA.public_key();
    json!({
        "kty": "RSA",
        "n": b64(public.modulus().big_endian_without_leading_zero()),
        "e": b64(public.exponent().big_endian_without_leading_zero()),
    })
}

fn with(mut value: Value, member: &str, to: impl Into<Value>) -> Value {
    value[member] = to.into();
    value
}

fn header(alg: &str) -> Value {
    json!({ "typ": "dbsc+jwt", "alg": alg })
}

fn first(jwk: Value) -> Value {
    with(header("ES256"), "jwk", jwk)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library blinds with its own generator"
)]
fn rng() -> SystemRandom {
    SystemRandom::new()
}

fn by_ec(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = pair.sign(&rng(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", b64(signature))
}

fn by_rsa(encoding: &'static dyn RsaEncoding, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let mut signature = vec![0; RSA.public_modulus_len()];
    RSA.sign(encoding, &rng(), signed.as_bytes(), &mut signature)
        .unwrap();
    format!("{signed}.{}", b64(signature))
}

fn claims() -> Value {
    json!({ "jti": "c1", "authorization": "r1" })
}

fn check_first(token: &str) -> Result<Proven, VerifyError> {
    install_crypto();
    verify_first_proof(token, Typ::DeviceProof)
}

fn key() -> ProofKey {
    ProofKey::accepted(ec_jwk(&P256)).unwrap()
}

#[test]
fn a_first_proof_shows_the_key_that_has_signed_it() {
    let proven = check_first(&by_ec(&P256, &first(ec_jwk(&P256)), &claims())).unwrap();
    assert_eq!(proven.key, key());
    assert_eq!(Value::from(proven.claims), claims());
    let rsa = with(header("RS256"), "jwk", rsa_jwk());
    let proven = check_first(&by_rsa(&RSA_PKCS1_SHA256, &rsa, &claims())).unwrap();
    assert_eq!(proven.key.algorithm(), Algorithm::RS256);
    let later = by_rsa(&RSA_PKCS1_SHA256, &header("RS256"), &claims());
    assert!(verify_proof(&later, Typ::DeviceProof, &proven.key).is_ok());
}

#[test]
fn the_payload_may_hold_the_key_if_the_header_does_not() {
    let payload = with(claims(), "jwk", ec_jwk(&P256));
    assert_eq!(
        check_first(&by_ec(&P256, &header("ES256"), &payload))
            .unwrap()
            .key,
        key()
    );
    // A key in the header has precedence.
    let other = first(ec_jwk(&pair()));
    assert_eq!(
        check_first(&by_ec(&P256, &other, &payload)).unwrap_err(),
        VerifyError::Signature
    );
    let broken = first(json!(null));
    assert_eq!(
        check_first(&by_ec(&P256, &broken, &payload)).unwrap_err(),
        VerifyError::Key
    );
}

#[test]
fn attack_53_a_later_proof_counts_by_the_known_key_alone() {
    install_crypto();
    let check = |token: &str| verify_proof(token, Typ::DeviceProof, &key());
    assert!(check(&by_ec(&P256, &header("ES256"), &claims())).is_ok());
    let thief = pair();
    assert_eq!(
        check(&by_ec(&thief, &header("ES256"), &claims())).unwrap_err(),
        VerifyError::Signature
    );
    // Nor an own key in the token.
    assert_eq!(
        check(&by_ec(&thief, &first(ec_jwk(&thief)), &claims())).unwrap_err(),
        VerifyError::SuperfluousKey
    );
    assert_eq!(
        check(&by_ec(
            &thief,
            &header("ES256"),
            &with(claims(), "jwk", ec_jwk(&thief))
        ))
        .unwrap_err(),
        VerifyError::Signature
    );
    // Nor another algorithm with the same header.
    assert_eq!(
        check(&by_rsa(&RSA_PKCS1_SHA256, &header("RS256"), &claims())).unwrap_err(),
        VerifyError::Algorithm
    );
}

#[test]
fn other_algorithms_types_and_forms_are_refused() {
    let signed = |header: Value| check_first(&by_ec(&P256, &header, &claims())).unwrap_err();
    let jwk = ec_jwk(&P256);
    for alg in ["none", "None", "HS256", "ES384", "PS256", "EdDSA", ""] {
        assert_eq!(
            signed(with(header(alg), "jwk", jwk.clone())),
            VerifyError::Algorithm,
            "{alg}"
        );
    }
    let none = format!(
        "{}.{}.",
        b64(with(header("none"), "jwk", jwk.clone()).to_string()),
        b64("{}")
    );
    assert_eq!(check_first(&none).unwrap_err(), VerifyError::Algorithm);
    for typ in [json!("JWT"), json!("dpop+jwt"), json!("logout+jwt"), json!(null)] {
        assert_eq!(
            signed(with(first(jwk.clone()), "typ", typ.clone())),
            VerifyError::Type,
            "{typ}"
        );
    }
    assert_eq!(
        signed(with(first(jwk.clone()), "crit", json!(["x"]))),
        VerifyError::Critical
    );
    assert_eq!(signed(header("ES256")), VerifyError::Key);
    let rsa_by_other = with(header("RS256"), "jwk", jwk.clone());
    assert_eq!(signed(rsa_by_other), VerifyError::Algorithm);
    let pss = with(header("RS256"), "jwk", rsa_jwk());
    assert_eq!(
        check_first(&by_rsa(&RSA_PSS_SHA256, &pss, &claims())).unwrap_err(),
        VerifyError::Signature
    );
    let good = by_ec(&P256, &first(jwk), &claims());
    for wrong in [
        String::new(),
        format!("{good}.x"),
        format!("{good}.x.y"),
        "x".repeat(MAX_PROOF_LENGTH + 1),
        good.replacen('.', "..", 1),
    ] {
        assert!(check_first(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn keys_that_are_private_small_or_odd_are_refused() {
    let refused = |jwk: Value| ProofKey::accepted(jwk).is_none();
    let (ec, rsa) = (ec_jwk(&P256), rsa_jwk());
    assert!(!refused(ec.clone()) && !refused(rsa.clone()));
    // Unneeded members are dropped.
    let more = with(with(ec.clone(), "kid", "x"), "alg", "none");
    assert_eq!(ProofKey::accepted(more), ProofKey::accepted(ec.clone()));
    for member in PRIVATE {
        assert!(refused(with(ec.clone(), member, "AA")), "{member}");
        assert!(refused(with(rsa.clone(), member, json!(null))), "{member}");
    }
    for (member, value) in [
        ("crv", "P-384"),
        ("kty", "oct"),
        ("kty", "OKP"),
        ("x", ""),
        ("y", "AA"),
        ("x", "not base64url!"),
    ] {
        assert!(refused(with(ec.clone(), member, value)), "{member} {value}");
    }
    let modulus = |length: usize| b64(vec![0xff; length]);
    for n in [
        modulus(128),
        modulus(255),
        modulus(513),
        b64([&[0; 1][..], &[0xff; 256]].concat()),
        b64([0x7f; 256]),
    ] {
        assert!(refused(with(rsa.clone(), "n", n.clone())), "{}", n.len());
    }
    for e in [
        b64([1]),
        b64([2]),
        b64([0, 3]),
        b64([1, 0, 0, 0, 1]),
        String::new(),
    ] {
        assert!(refused(with(rsa.clone(), "e", e.clone())), "{e}");
    }
    assert!(refused(json!("x")) && refused(json!(null)) && refused(json!([])));
    // A point that is on no curve verifies nothing.
    let nowhere = with(ec, "y", b64([1; 32]));
    let token = by_ec(&P256, &first(nowhere), &claims());
    assert_eq!(check_first(&token).unwrap_err(), VerifyError::Signature);
}

#[test]
fn a_key_is_kept_as_a_jwk_and_has_its_thumbprint() {
    // RFC 7638 section 3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst\
             n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91\
             CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        .replace(' ', "");
    let key = ProofKey::accepted(json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256" })).unwrap();
    assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    for jwk in [ec_jwk(&P256), rsa_jwk()] {
        let key = ProofKey::accepted(jwk.clone()).unwrap();
        assert_eq!(serde_json::to_value(&key).unwrap(), jwk);
        assert_eq!(serde_json::from_value::<ProofKey>(jwk).unwrap(), key);
    }
}

proptest! {
    #[test]
    fn nothing_that_nobody_has_signed_counts(header in ".{0,80}", payload in ".{0,80}", signature in "[A-Za-z0-9_-]{0,90}") {
        let token = format!("{}.{}.{signature}", b64(header), b64(payload));
        prop_assert!(check_first(&token).is_err());
        prop_assert!(verify_proof(&token, Typ::DeviceProof, &key()).is_err());
    }

    #[test]
    fn any_changed_byte_of_a_proof_is_noticed(at: prop::sample::Index, bit in 0u8..7) {
        static PROOF: LazyLock<String> = LazyLock::new(|| by_ec(&P256, &header("ES256"), &claims()));
        install_crypto();
        let mut token = PROOF.clone().into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(token) {
            prop_assert!(verify_proof(&token, Typ::DeviceProof, &key()).is_err());
        }
    }
}
