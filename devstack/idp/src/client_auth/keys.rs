//! Public keys of clients: which of a JWK Set can verify an assertion (RFC 7517).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use serde_json::Value;

const MAX_KEYS: usize = 32;
const MIN_RSA_BITS: usize = 2048;
/// RFC 7518, section 6: members that only a private or symmetric key has.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Checks an inline JWK Set at registration; the number of keys that could verify a signature.
pub(crate) fn check_inline(jwks: &Value) -> Result<usize, String> {
    let keys = jwks
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| "jwks must be an object with an array `keys`".to_owned())?;
    if keys.len() > MAX_KEYS {
        return Err(format!("jwks holds more than {MAX_KEYS} keys"));
    }
    for key in keys {
        let Some(key) = key.as_object() else {
            return Err("jwks.keys must hold objects".to_owned());
        };
        if let Some(member) = PRIVATE_MEMBERS
            .into_iter()
            .find(|member| key.contains_key(*member))
        {
            return Err(format!(
                "jwks holds a private or symmetric key (member `{member}`)"
            ));
        }
    }
    Ok(keys
        .iter()
        .filter(|key| ALGORITHMS.iter().any(|alg| usable(key, *alg).is_some()))
        .count())
}

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::PS256,
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

/// The algorithm of an assertion, if discovery lists it.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "PS256" => Some(Algorithm::PS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        // RFC 9864, section 2.2.
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// The matching keys: by `kid` if the assertion names one, and always by type, `use`, `key_ops` and `alg`.
pub(crate) fn candidates(jwks: &Value, alg: Algorithm, kid: Option<&str>) -> Vec<DecodingKey> {
    let keys = jwks.get("keys").and_then(Value::as_array);
    keys.into_iter()
        .flatten()
        .take(MAX_KEYS)
        .filter(|key| kid.is_none_or(|kid| key.get("kid").and_then(Value::as_str) == Some(kid)))
        .filter_map(|key| usable(key, alg))
        .collect()
}

/// Another name of `EdDSA` with such a key (RFC 9864, section 2.2).
fn is_ed25519(alg: Algorithm, named: &Value) -> bool {
    alg == Algorithm::EdDSA && named == "Ed25519"
}

/// One bad key must not spoil the others, so each is read separately.
fn usable(key: &Value, alg: Algorithm) -> Option<DecodingKey> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let name = serde_json::to_value(alg).ok()?;
    if text("use").is_some_and(|usage| usage != "sig")
        || key
            .get("alg")
            .is_some_and(|named| *named != name && !is_ed25519(alg, named))
        || key.get("key_ops").is_some_and(|ops| !is_verify(ops))
    {
        return None;
    }
    let fits = match alg {
        Algorithm::PS256 | Algorithm::RS256 => {
            text("kty") == Some("RSA") && text("n").and_then(bits).is_some_and(|n| n >= MIN_RSA_BITS)
        }
        Algorithm::ES256 => text("kty") == Some("EC") && text("crv") == Some("P-256"),
        Algorithm::EdDSA => text("kty") == Some("OKP") && text("crv") == Some("Ed25519"),
        _ => false,
    };
    if !fits {
        return None;
    }
    let mut key = key.clone();
    if let Some(members) = key.as_object_mut() {
        // It has been compared, and the library does not know every name.
        members.remove("alg");
    }
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    DecodingKey::from_jwk(&jwk).ok()
}

fn is_verify(ops: &Value) -> bool {
    ops.as_array()
        .is_some_and(|ops| ops.iter().any(|op| op == "verify"))
}

fn bits(n: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(n).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    let significant = bytes.get(first..)?;
    let top = significant.first()?;
    Some(significant.len() * 8 - top.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::SigningKey;

    #[test]
    fn keys_are_chosen_by_kid_use_alg_and_type() {
        crate::install_crypto();
        let rsa = SigningKey::generate_rsa().unwrap();
        let ec = SigningKey::generate_ec().unwrap();
        let broken = json!({"kty": "RSA", "kid": "broken", "n": "!", "e": 3});
        let mut bare = rsa.public_jwk();
        bare.as_object_mut().unwrap().remove("alg");
        let jwks = json!({"keys": [broken, rsa.public_jwk(), ec.public_jwk()]});
        assert_eq!(candidates(&jwks, Algorithm::RS256, Some(&rsa.kid)).len(), 1);
        assert_eq!(candidates(&jwks, Algorithm::RS256, None).len(), 1);
        assert_eq!(
            candidates(&jwks, Algorithm::PS256, None).len(),
            0,
            "the JWK says RS256"
        );
        assert_eq!(
            candidates(&json!({"keys": [bare]}), Algorithm::PS256, None).len(),
            1
        );
        assert_eq!(candidates(&jwks, Algorithm::RS256, Some(&ec.kid)).len(), 0);
        assert_eq!(candidates(&jwks, Algorithm::ES256, Some("other")).len(), 0);
        let mut encryption = ec.public_jwk();
        encryption["use"] = json!("enc");
        assert_eq!(
            candidates(&json!({"keys": [encryption]}), Algorithm::ES256, None).len(),
            0
        );
        assert_eq!(check_inline(&jwks), Ok(2));
    }
}
