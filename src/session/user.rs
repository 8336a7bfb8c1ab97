//! What an application may know of the person.

use serde_json::Value;

use crate::jose::Claims;

/// Claims that speak of the token or of the login, not of the person.
const PROTOCOL_CLAIMS: [&str; 17] = [
    "iss",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "azp",
    "auth_time",
    "sid",
    "acr",
    "amr",
    "typ",
    "events",
];

/// A claim larger than this, as JSON, is left out, in bytes.
const MAX_CLAIM: usize = 4 * 1024;

/// Claims beyond this together, as JSON, are left out, in bytes.
const MAX_CLAIMS: usize = 16 * 1024;

/// The claims about the person from the newest ID token and UserInfo, the latter winning (it is read later). Bounded;
/// `sub` is always among them.
#[must_use]
pub fn user_claims(id_token: Option<&Claims>, user_info: Option<&Claims>) -> Claims {
    let mut user = Claims::new();
    let mut size = 0;
    let sources = [user_info, id_token];
    let subject = sources
        .iter()
        .flatten()
        .find_map(|claims| claims.get_key_value("sub"));
    let others = sources.into_iter().flatten().flatten();
    for (name, value) in subject.into_iter().chain(others) {
        if PROTOCOL_CLAIMS.contains(&name.as_str()) || user.contains_key(name) {
            continue;
        }
        let weight = name.len() + json_length(value);
        if weight <= MAX_CLAIM && size + weight <= MAX_CLAIMS {
            size += weight;
            user.insert(name.clone(), value.clone());
        } else {
            tracing::debug!(
                claim = name.get(..64).unwrap_or_default(),
                "a claim is too large and was left out"
            );
        }
    }
    user
}

fn json_length(value: &Value) -> usize {
    serde_json::to_string(value).map_or(usize::MAX / 2, |json| json.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_person_is_kept_and_the_protocol_is_not() {
        let id_token = claims(json!({
            "sub": "ada", "iss": "x", "aud": "y", "exp": 1, "nonce": "n", "at_hash": "h", "sid": "s", "roles": ["a"],
            "name": "old",
        }));
        let user_info = claims(json!({ "sub": "ada", "name": "Ada", "email": "ada@example.org" }));
        let user = user_claims(Some(&id_token), Some(&user_info));
        let expected = json!({ "sub": "ada", "roles": ["a"], "name": "Ada", "email": "ada@example.org" });
        assert_eq!(Value::Object(user), expected);
    }

    #[test]
    fn immoderate_claims_are_left_out_and_the_subject_stays() {
        let mut many: Claims = (0..100)
            .map(|n| (format!("a{n}"), json!("x".repeat(1_000))))
            .collect();
        many.insert("aaa".to_owned(), json!("x".repeat(5_000)));
        many.insert("sub".to_owned(), json!("ada"));
        let user = user_claims(Some(&many), None);
        assert_eq!(user["sub"], "ada");
        assert!(!user.contains_key("aaa"));
        assert!(json_length(&Value::Object(user)) < MAX_CLAIMS + 1_000);
    }
}
