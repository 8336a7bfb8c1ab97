//! The refusals of `verify`, each for its own reason.

use std::sync::LazyLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use jsonwebtoken::jwk::ThumbprintHash;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jose::{Jwk, KeyPair, SigningKey, install_crypto};

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://idp.example";
const US: &str = "bff-server";

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_jwk(kid: &str) -> Value {
    let public = RSA.public_key();
    json!({
        "kty": "RSA", "kid": kid, "use": "sig",
        "n": b64(public.modulus().big_endian_without_leading_zero()),
        "e": b64(public.exponent().big_endian_without_leading_zero()),
    })
}

/// A key with which nothing here is signed.
fn other_rsa_jwk(kid: &str) -> Value {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
    with(rsa_jwk(kid), "n", b64(modulus))
}

fn p256_jwk(kid: &str) -> Value {
    let point = P256.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
        "x": b64(&point[1..33]), "y": b64(&point[33..65]),
    })
}

fn with(mut jwk: Value, member: &str, value: impl Into<Value>) -> Value {
    jwk[member] = value.into();
    jwk
}

fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().unwrap().remove(member);
    value
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn both() -> KeySet {
    set(&[rsa_jwk("rsa"), p256_jwk("p256")])
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": US, "sub": "ada", "iat": NOW, "exp": NOW + 300, "nonce": "n"})
}

fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64(header.to_string()), b64(claims.to_string()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library blinds and salts with its own generator"
)]
fn rng() -> SystemRandom {
    SystemRandom::new()
}

fn rs256(header: &Value, claims: &Value) -> String {
    let input = signing_input(header, claims);
    let mut signature = vec![0; RSA.public_modulus_len()];
    RSA.sign(&RSA_PKCS1_SHA256, &rng(), input.as_bytes(), &mut signature)
        .unwrap();
    format!("{input}.{}", b64(signature))
}

fn es256(header: &Value, claims: &Value) -> String {
    let input = signing_input(header, claims);
    let signature = P256.sign(&rng(), input.as_bytes()).unwrap();
    format!("{input}.{}", b64(signature))
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"})
}

fn check_with(token: &str, keys: &KeySet, algorithms: &[Algorithm]) -> Result<Verified, VerifyError> {
    install_crypto();
    let policy = Policy {
        algorithms,
        typ: Typ::IdToken,
        issuer: ISSUER,
        audience: Audience::Client { id: US, trusted: &[] },
    };
    verify(token, keys, &policy, Timestamp::from_unix_seconds(NOW))
}

fn check(token: &str, keys: &KeySet) -> Result<Verified, VerifyError> {
    check_with(token, keys, &Algorithm::ALL)
}

/// The error for a token that is valid except for its claims.
fn claims_error(claims: &Value) -> VerifyError {
    check(&rs256(&header(), claims), &both()).unwrap_err()
}

/// The error for a token that is valid except for its header.
fn header_error(header: &Value) -> VerifyError {
    check(&rs256(header, &claims()), &both()).unwrap_err()
}

#[test]
fn a_right_token_passes_with_all_its_claims() {
    let verified = check(&rs256(&header(), &claims()), &both()).unwrap();
    assert_eq!(verified.algorithm, Algorithm::RS256);
    assert_eq!(Value::Object(verified.claims), claims());
    for header in [
        json!({"alg": "RS256"}),
        json!({"alg": "RS256", "kid": "rsa"}),
        json!({"alg": "RS256", "typ": "jwt", "x-other": {"a": [1]}}),
    ] {
        assert!(check(&rs256(&header, &claims()), &both()).is_ok(), "{header}");
    }
    assert!(
        check(
            &es256(&json!({"alg": "ES256", "kid": "p256"}), &claims()),
            &both()
        )
        .is_ok()
    );
}

#[test]
fn a_set_counts_the_keys_that_it_does_not_look_at() {
    for (keys, beyond) in [(1, 0), (100, 0), (103, 3)] {
        let keys: Vec<Value> = (0..keys).map(|number| p256_jwk(&number.to_string())).collect();
        let set = KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap();
        assert_eq!((set.len(), set.beyond()), (keys.len() - beyond, beyond));
    }
}

#[test]
fn attack_26_none_is_refused() {
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let input = signing_input(&json!({"alg": name, "kid": "rsa"}), &claims());
        for token in [format!("{input}."), format!("{input}.{}", b64("x"))] {
            assert_eq!(check(&token, &both()).unwrap_err(), VerifyError::Algorithm);
        }
    }
    let input = signing_input(&json!({"kid": "rsa"}), &claims());
    assert_eq!(
        check(&format!("{input}."), &both()).unwrap_err(),
        VerifyError::Malformed
    );
    // An empty signature under a real algorithm.
    let input = signing_input(&header(), &claims());
    assert_eq!(
        check(&format!("{input}."), &both()).unwrap_err(),
        VerifyError::Signature
    );
}

#[test]
fn attack_26_hs_keyed_by_the_public_key_is_refused() {
    let jwk = rsa_jwk("rsa");
    let public_forms = [
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        jwk.to_string().into_bytes(),
        RSA.public_key().as_ref().to_vec(),
    ];
    for key in public_forms {
        let input = signing_input(&json!({"alg": "HS256", "kid": "rsa"}), &claims());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), input.as_bytes());
        let token = format!("{input}.{}", b64(tag));
        assert_eq!(check(&token, &both()).unwrap_err(), VerifyError::Algorithm);
    }
    // Not even if the issuer publishes a symmetric key.
    let oct = json!({"kty": "oct", "kid": "rsa", "k": b64("0123456789abcdef0123456789abcdef")});
    assert!(set(&[oct]).is_empty());
}

#[test]
fn attack_26_a_key_that_the_token_brings_along_is_not_looked_at() {
    let own = p256_jwk("p256");
    for header in [
        json!({"alg": "ES256", "jwk": own}),
        json!({"alg": "ES256", "kid": "p256", "jwk": own}),
        json!({"alg": "ES256", "jku": "https://attacker.example/jwks.json"}),
        json!({"alg": "ES256", "x5u": "https://attacker.example/cert.pem", "x5c": ["AAAA"]}),
    ] {
        // The issuer has no such key: the token's own does not make up for it.
        let error = check(&es256(&header, &claims()), &set(&[rsa_jwk("rsa")])).unwrap_err();
        assert_eq!(error, VerifyError::UnknownKey, "{header}");
    }
    // And if the issuer has a key with that id, it is the one that counts.
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let input = signing_input(&json!({"alg": "ES256", "kid": "p256", "jwk": own}), &claims());
    let token = format!("{input}.{}", b64(other.sign(&rng(), input.as_bytes()).unwrap()));
    assert_eq!(check(&token, &both()).unwrap_err(), VerifyError::Signature);
}

#[test]
fn attack_26_a_foreign_or_extra_audience_is_refused() {
    for audience in [
        json!("other"),
        json!(["other"]),
        json!([US, "other"]),
        json!([]),
        json!([[US]]),
        json!([US, 7]),
        json!(null),
        json!(7),
        json!({"a": US}),
        json!("BFF-SERVER"),
        json!("bff-server "),
    ] {
        let error = claims_error(&with(claims(), "aud", audience.clone()));
        assert_eq!(error, VerifyError::Audience, "{audience}");
    }
    assert_eq!(claims_error(&without(claims(), "aud")), VerifyError::Audience);
    let list = with(claims(), "aud", json!([US]));
    assert!(check(&rs256(&header(), &list), &both()).is_ok());
}

#[test]
fn attack_26_a_wrong_authorized_party_is_refused() {
    for party in [json!("other"), json!(null), json!([US]), json!("")] {
        let error = claims_error(&with(claims(), "azp", party));
        assert_eq!(error, VerifyError::AuthorizedParty);
    }
    let own = with(claims(), "azp", US);
    assert!(check(&rs256(&header(), &own), &both()).is_ok());
}

#[test]
fn the_issuer_is_compared_exactly() {
    for issuer in [
        json!("https://idp.example/"),
        json!("https://IDP.example"),
        json!("http://idp.example"),
        json!([ISSUER]),
        json!(null),
    ] {
        assert_eq!(claims_error(&with(claims(), "iss", issuer)), VerifyError::Issuer);
    }
    assert_eq!(claims_error(&without(claims(), "iss")), VerifyError::Issuer);
}

#[test]
fn a_critical_header_is_refused_whatever_it_says() {
    for critical in [
        json!(["exp"]),
        json!(["b64"]),
        json!([]),
        json!("exp"),
        json!(null),
        json!(false),
        json!({}),
    ] {
        let error = header_error(&with(header(), "crit", critical.clone()));
        assert_eq!(error, VerifyError::Critical, "{critical}");
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "JOSE",
        "",
    ] {
        assert_eq!(
            header_error(&with(header(), "typ", typ)),
            VerifyError::Type,
            "{typ}"
        );
    }
    assert_eq!(header_error(&with(header(), "typ", 7)), VerifyError::Malformed);
}

#[test]
fn a_token_that_is_too_long_is_refused_before_it_is_read() {
    let long = with(claims(), "padding", "x".repeat(MAX_TOKEN_LENGTH));
    assert_eq!(claims_error(&long), VerifyError::TooLong);
    assert_eq!(
        check(&".".repeat(MAX_TOKEN_LENGTH + 1), &both()).unwrap_err(),
        VerifyError::TooLong
    );
    assert_eq!(
        check(&".".repeat(MAX_TOKEN_LENGTH), &both()).unwrap_err(),
        VerifyError::Malformed
    );
}

#[test]
fn an_encrypted_token_is_told_apart() {
    let header = b64(json!({"alg": "RSA-OAEP-256", "enc": "A256GCM"}).to_string());
    let token = format!("{header}.a.b.c.d");
    assert_eq!(check(&token, &both()).unwrap_err(), VerifyError::Encrypted);
}

#[test]
fn what_is_no_jwt_is_malformed() {
    let good = rs256(&header(), &claims());
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        unreachable!()
    };
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        format!("{head}=.{body}.{signature}"),
        format!(" {good}"),
        format!("{}.{body}.{signature}", b64("[]")),
        format!("{}.{body}.{signature}", b64("\"RS256\"")),
        format!("{}.{body}.{signature}", b64(r#"{"alg":"RS256","alg":"none"}"#)),
        format!("{}.{body}.{signature}", b64(r#"{"alg":null}"#)),
        format!("{}.{body}.{signature}", b64([0xff, 0xfe])),
    ] {
        assert_eq!(
            check(&token, &both()).unwrap_err(),
            VerifyError::Malformed,
            "{token}"
        );
    }
    // Signed, but no claims.
    for payload in ["[]", "7", "", "{", "null"] {
        let input = format!("{head}.{}", b64(payload));
        let mut bytes = vec![0; RSA.public_modulus_len()];
        RSA.sign(&RSA_PKCS1_SHA256, &rng(), input.as_bytes(), &mut bytes)
            .unwrap();
        let token = format!("{input}.{}", b64(bytes));
        assert_eq!(
            check(&token, &both()).unwrap_err(),
            VerifyError::Malformed,
            "{payload}"
        );
    }
}

#[test]
fn a_token_whose_content_or_signature_was_changed_is_refused() {
    let good = rs256(&header(), &claims());
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        unreachable!()
    };
    let other_body = b64(with(claims(), "sub", "eve").to_string());
    let other_head = b64(json!({"alg": "RS256", "kid": "rsa"}).to_string());
    for token in [
        format!("{head}.{other_body}.{signature}"),
        format!("{other_head}.{body}.{signature}"),
        format!("{head}.{body}.{}", b64([7; 256])),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{}", &signature[1..]),
        format!("{head}.{body}.{signature}AAAA"),
    ] {
        assert_eq!(
            check(&token, &both()).unwrap_err(),
            VerifyError::Signature,
            "{token}"
        );
    }
}

#[test]
fn an_expired_token_is_refused_and_one_without_end_too() {
    for expires in [
        json!(NOW - 60),
        json!(NOW - 3_600),
        json!(0),
        json!(-1),
        json!("4000000000"),
        json!(null),
        json!(1e300),
    ] {
        let error = claims_error(&with(claims(), "exp", expires.clone()));
        assert_eq!(error, VerifyError::Expired, "{expires}");
    }
    assert_eq!(claims_error(&without(claims(), "exp")), VerifyError::Expired);
    for expires in [json!(NOW - 59), json!(u64::MAX), json!(1_700_000_000.5)] {
        let token = rs256(&header(), &with(claims(), "exp", expires.clone()));
        assert!(check(&token, &both()).is_ok(), "{expires}");
    }
}

/// So is one without `iat`.
#[test]
fn a_token_from_the_future_is_refused() {
    for member in ["iat", "nbf"] {
        for start in [
            json!(NOW + 61),
            json!(u64::MAX),
            json!("1"),
            json!(-1),
            json!(null),
        ] {
            let error = claims_error(&with(claims(), member, start.clone()));
            assert_eq!(error, VerifyError::NotYetValid, "{member} {start}");
        }
        let token = rs256(&header(), &with(claims(), member, NOW + 60));
        assert!(check(&token, &both()).is_ok(), "{member}");
    }
    assert_eq!(claims_error(&without(claims(), "iat")), VerifyError::NotYetValid);
}

#[test]
fn an_unknown_key_id_is_told_apart() {
    for kid in ["other", "", "RSA", "p256"] {
        assert_eq!(
            header_error(&with(header(), "kid", kid)),
            VerifyError::UnknownKey,
            "{kid}"
        );
    }
    assert_eq!(header_error(&with(header(), "kid", 7)), VerifyError::Malformed);
    let error = check(&rs256(&header(), &claims()), &KeySet::default()).unwrap_err();
    assert_eq!(error, VerifyError::UnknownKey);
}

#[test]
fn a_token_without_key_id_is_refused_where_several_keys_fit() {
    let token = rs256(&json!({"alg": "RS256"}), &claims());
    let two = set(&[rsa_jwk("one"), rsa_jwk("two")]);
    assert_eq!(check(&token, &two).unwrap_err(), VerifyError::AmbiguousKey);
    // A key that says it is for another algorithm does not fit.
    let declared = set(&[rsa_jwk("one"), with(rsa_jwk("two"), "alg", "PS256")]);
    assert!(check(&token, &declared).is_ok());
}

#[test]
fn attack_16_one_unusable_key_does_not_spoil_the_others() {
    let unusable = [
        json!(null),
        json!(7),
        json!({}),
        json!({"kty": "unknown", "kid": "x"}),
        json!({"kty": "RSA", "kid": "x"}),
        json!({"kty": "RSA", "kid": "x", "n": "!!!", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "x", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "Ed448", "kid": "x", "x": "AA"}),
        json!({"kty": "oct", "kid": "x", "k": "AAAA"}),
        with(rsa_jwk("x"), "alg", "RSA1_5"),
        with(rsa_jwk("x"), "alg", "no such algorithm"),
        with(rsa_jwk("x"), "use", "enc"),
        with(rsa_jwk("x"), "use", 7),
        with(rsa_jwk("x"), "key_ops", json!(["encrypt"])),
    ];
    let token = rs256(&header(), &claims());
    for bad in &unusable {
        for keys in [[bad.clone(), rsa_jwk("rsa")], [rsa_jwk("rsa"), bad.clone()]] {
            assert!(check(&token, &set(&keys)).is_ok(), "{bad}");
        }
    }
    let mut all = unusable.to_vec();
    all.push(rsa_jwk("rsa"));
    assert!(check(&token, &set(&all)).is_ok());
}

#[test]
fn of_several_keys_under_one_name_each_is_tried_up_to_a_bound() {
    let token = rs256(&header(), &claims());
    let other = other_rsa_jwk("rsa");
    assert!(check(&token, &set(&[rsa_jwk("rsa"), rsa_jwk("rsa")])).is_ok());
    assert!(check(&token, &set(&[other.clone(), rsa_jwk("rsa")])).is_ok());
    assert!(check(&token, &set(&[p256_jwk("rsa"), rsa_jwk("rsa")])).is_ok());
    let none = set(&[other.clone(), other.clone()]);
    assert_eq!(check(&token, &none).unwrap_err(), VerifyError::Signature);
    let mut many = vec![other; 4];
    many.push(rsa_jwk("rsa"));
    assert_eq!(check(&token, &set(&many)).unwrap_err(), VerifyError::Signature);
    many.remove(0);
    assert!(check(&token, &set(&many)).is_ok());
}

#[test]
fn a_key_that_is_not_for_signatures_is_not_used() {
    let token = rs256(&header(), &claims());
    for jwk in [
        with(rsa_jwk("rsa"), "use", "enc"),
        with(rsa_jwk("rsa"), "key_ops", json!([])),
        with(rsa_jwk("rsa"), "key_ops", json!(["sign"])),
    ] {
        let error = check(&token, &set(std::slice::from_ref(&jwk))).unwrap_err();
        assert_eq!(error, VerifyError::UnknownKey, "{jwk}");
    }
    let keys = set(&[with(without(rsa_jwk("rsa"), "use"), "key_ops", json!(["verify"]))]);
    assert!(check(&token, &keys).is_ok());
}

#[test]
fn the_algorithm_of_header_and_key_must_agree() {
    let token = rs256(&header(), &claims());
    for declared in ["PS256", "RS384", "ES256", "EdDSA", "RSA-OAEP-256"] {
        let keys = set(&[with(rsa_jwk("rsa"), "alg", declared)]);
        assert_eq!(
            check(&token, &keys).unwrap_err(),
            VerifyError::UnknownKey,
            "{declared}"
        );
    }
    // The same signature under another name of the family.
    for name in ["PS256", "RS384", "RS512"] {
        assert_eq!(
            header_error(&with(header(), "alg", name)),
            VerifyError::Signature,
            "{name}"
        );
    }
}

#[test]
fn a_p256_key_is_never_used_for_rs256() {
    let header = json!({"alg": "RS256", "kid": "p256"});
    for jwk in [p256_jwk("p256"), with(p256_jwk("p256"), "alg", "RS256")] {
        let error = check(&rs256(&header, &claims()), &set(&[jwk])).unwrap_err();
        assert_eq!(error, VerifyError::UnknownKey);
    }
    let header = json!({"alg": "ES384", "kid": "p256"});
    let error = check(&es256(&header, &claims()), &both()).unwrap_err();
    assert_eq!(error, VerifyError::UnknownKey);
}

#[test]
fn an_algorithm_that_is_not_configured_is_refused() {
    let token = rs256(&header(), &claims());
    let error = check_with(&token, &both(), &[Algorithm::PS256, Algorithm::ES256]).unwrap_err();
    assert_eq!(error, VerifyError::Algorithm);
    assert_eq!(
        check_with(&token, &both(), &[]).unwrap_err(),
        VerifyError::Algorithm
    );
    assert_eq!(
        header_error(&with(header(), "alg", "rs256")),
        VerifyError::Algorithm
    );
}

#[test]
fn only_a_jwk_set_of_bounded_size_is_accepted() {
    for document in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        "<html>",
    ] {
        assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
    }
    let many: Vec<Value> = (0..300).map(|index| p256_jwk(&index.to_string())).collect();
    assert_eq!(set(&many).len(), 100);
}

#[test]
fn errors_never_hold_a_part_of_the_token() {
    let token = rs256(
        &with(header(), "kid", "planted-kid"),
        &with(claims(), "iss", "planted-iss"),
    );
    let error = check(&token, &both()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"));
}

/// RFC 7515 appendix A.2: the signature holds, the claims are of another world.
#[test]
fn rfc_7515_a_2_rs256() {
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t\
        1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j\
        zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ\
        Ge77Rw";
    let keys = set(&[
        json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPdd\
        xHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63\
        kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-\
        DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
    ]);
    assert_eq!(check(TOKEN, &keys).unwrap_err(), VerifyError::Issuer);
    let changed = TOKEN.replace(".cC4h", ".cC4i");
    assert_eq!(check(&changed, &keys).unwrap_err(), VerifyError::Signature);
}

/// RFC 7515 appendix A.3.
#[test]
fn rfc_7515_a_3_es256() {
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let keys = set(&[json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})]);
    assert_eq!(check(TOKEN, &keys).unwrap_err(), VerifyError::Issuer);
    let changed = TOKEN.replace(".DtEh", ".DtEi");
    assert_eq!(check(&changed, &keys).unwrap_err(), VerifyError::Signature);
}

/// RFC 8037 appendix A: key, thumbprint, and a signature over a payload that is not a set of claims.
#[test]
fn rfc_8037_appendix_a() {
    const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let seed = URL_SAFE_NO_PAD
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let key = SigningKey::new(KeyPair::Ed25519(pair), None).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let jwk = serde_json::to_value(key.public()).unwrap();
    assert_eq!(jwk["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(
        check(TOKEN, &set(std::slice::from_ref(&jwk))).unwrap_err(),
        VerifyError::Malformed
    );
    let changed = TOKEN.replace(".hgyY", ".hgyZ");
    assert_eq!(check(&changed, &set(&[jwk])).unwrap_err(), VerifyError::Signature);
}

#[test]
fn ed25519_and_eddsa_are_two_names_of_one_algorithm() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = SigningKey::new(KeyPair::Ed25519(pair), Some("okp".to_owned())).unwrap();
    let jwk = serde_json::to_value(key.public()).unwrap();
    assert_eq!(jwk["alg"], "EdDSA");
    let both = [Algorithm::EdDSA, Algorithm::Ed25519];
    for algorithm in both {
        let token = key.sign(algorithm, "JWT", &claims()).unwrap();
        let header = token.expose().split('.').next().unwrap();
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(header["alg"], algorithm.name());
        for declared in [json!("EdDSA"), json!("Ed25519"), json!(null)] {
            let keys = set(&[with(jwk.clone(), "alg", declared.clone())]);
            let verified = check_with(token.expose(), &keys, &both);
            assert_eq!(verified.unwrap().algorithm, algorithm, "{declared}");
        }
        for declared in [json!("Ed448"), json!("ES256"), json!(7)] {
            let keys = set(&[with(jwk.clone(), "alg", declared.clone())]);
            let error = check_with(token.expose(), &keys, &both);
            assert_eq!(error.unwrap_err(), VerifyError::UnknownKey, "{declared}");
        }
        let keys = set(std::slice::from_ref(&jwk));
        let error = check_with(token.expose(), &keys, &[Algorithm::ES256]);
        assert_eq!(error.unwrap_err(), VerifyError::Algorithm);
    }
}

/// RFC 7638 section 3.1: the thumbprint by which keys without a name of their own are called.
#[test]
fn rfc_7638_thumbprint() {
    let jwk: Jwk = serde_json::from_value(json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o\
            knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu\
            6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8aw\
            apJzKnqDKgw",
    }))
    .unwrap();
    assert_eq!(
        jwk.thumbprint(ThumbprintHash::SHA256).unwrap(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

proptest! {
    #[test]
    fn garbage_never_panics_and_never_passes(token in ".{0,300}") {
        prop_assert!(check(&token, &both()).is_err());
    }

    #[test]
    fn garbage_parts_never_panic_and_never_pass(
        header in "[ -~]{0,60}",
        payload in proptest::collection::vec(any::<u8>(), 0..80),
        signature in proptest::collection::vec(any::<u8>(), 0..300),
        name in 0..9_usize,
    ) {
        let algorithm = Algorithm::ALL[name].name();
        for header in [header.clone(), format!("{{\"alg\":\"{algorithm}\",\"x\":{header:?}}}")] {
            let token = format!("{}.{}.{}", b64(header), b64(&payload), b64(&signature));
            prop_assert!(check(&token, &both()).is_err());
        }
    }

    #[test]
    fn one_changed_character_never_passes(index in 0..400_usize, replacement in "[A-Za-z0-9_-]") {
        let token = es256(&json!({"alg": "ES256", "kid": "p256"}), &claims());
        let index = index % token.len();
        let mut changed = token.clone();
        changed.replace_range(index..=index, &replacement);
        prop_assume!(changed != token);
        prop_assert!(check(&changed, &both()).is_err());
    }

    #[test]
    fn a_hostile_key_set_never_panics(document in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = KeySet::parse(&document);
    }

    #[test]
    fn a_hostile_key_never_panics(
        n in "[A-Za-z0-9_-]{0,400}", e in "[A-Za-z0-9_-]{0,8}", x in "[A-Za-z0-9_-]{0,90}",
    ) {
        let keys = set(&[
            json!({"kty": "RSA", "kid": "rsa", "n": n, "e": e}),
            json!({"kty": "EC", "crv": "P-256", "kid": "p256", "x": x, "y": e}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "okp", "x": x}),
        ]);
        prop_assert!(check(&rs256(&header(), &claims()), &keys).is_err());
        let ec = es256(&json!({"alg": "ES256", "kid": "p256"}), &claims());
        prop_assert!(check(&ec, &keys).is_err());
        let okp = signing_input(&json!({"alg": "EdDSA", "kid": "okp"}), &claims()) + "." + &b64([0; 64]);
        prop_assert!(check(&okp, &keys).is_err());
    }
}
