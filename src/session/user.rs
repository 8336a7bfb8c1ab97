//! What an application may know of the person.

use std::collections::BTreeSet;

use parking_lot::Mutex;
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

/// Claims beyond this together, as JSON, are left out, in bytes.
const MAX_CLAIMS: usize = 64 * 1024;

/// Of so many claims at most it is said that they are left out.
const MAX_SAID: usize = 64;

/// What an application may know of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserClaims {
    /// The claims; `sub` is always among them.
    pub kept: Claims,
    /// What did not fit.
    pub left_out: Vec<LeftOut>,
}

/// A claim that did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, cut where it is long.
    pub claim: String,
    /// Its size as JSON, the name included, in bytes.
    pub size: usize,
}

/// Tells the operator once of each claim that is left out.
#[derive(Debug, Default)]
pub struct LeftOutNotice {
    said: Mutex<BTreeSet<String>>,
}

// === impl UserClaims ===

impl UserClaims {
    /// The claims about the person from the newest ID token and UserInfo, the latter winning (it is read later). What
    /// does not fit into 64 KiB is left out, the largest ones first, so that one list of a thousand groups costs nobody
    /// the name.
    #[must_use]
    pub fn of(id_token: Option<&Claims>, user_info: Option<&Claims>) -> Self {
        let mut found: Vec<(usize, &String, &Value)> = Vec::new();
        for (name, value) in id_token.into_iter().flatten() {
            if user_info.is_none_or(|claims| !claims.contains_key(name)) {
                found.push((name.len() + json_length(value), name, value));
            }
        }
        for (name, value) in user_info.into_iter().flatten() {
            found.push((name.len() + json_length(value), name, value));
        }
        found.retain(|(_, name, _)| !PROTOCOL_CLAIMS.contains(&name.as_str()));
        found.sort_by_key(|(size, name, _)| (name.as_str() != "sub", *size));
        let mut user = Self::default();
        let mut together = 0;
        for (size, name, value) in found {
            if together + size <= MAX_CLAIMS {
                together += size;
                user.kept.insert(name.clone(), value.clone());
            } else {
                user.left_out.push(LeftOut {
                    claim: name.chars().take(64).collect(),
                    size,
                });
            }
        }
        user
    }
}

// === impl LeftOutNotice ===

impl LeftOutNotice {
    /// Warns of what was left out, where that has not been said yet.
    pub fn warn(&self, left_out: &[LeftOut]) {
        for LeftOut { claim, size } in left_out {
            let mut said = self.said.lock();
            if said.len() < MAX_SAID && said.insert(claim.clone()) {
                tracing::warn!(
                    %claim,
                    bytes = size,
                    "a claim is left out, since a session keeps {MAX_CLAIMS} bytes of claims; remove it at the IdP or by \
                     OIDC_SCOPES if nobody needs it"
                );
            }
        }
    }
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
        let user = UserClaims::of(Some(&id_token), Some(&user_info)).kept;
        let expected = json!({ "sub": "ada", "roles": ["a"], "name": "Ada", "email": "ada@example.org" });
        assert_eq!(Value::Object(user), expected);
    }

    #[test]
    fn one_claim_may_take_all_the_room_there_is() {
        let groups: Vec<String> = (0..2_000).map(|number| format!("group {number:020}")).collect();
        let id_token = claims(json!({ "sub": "ada", "groups": groups }));
        let user = UserClaims::of(Some(&id_token), None);
        assert_eq!(user.kept.len(), 2);
        assert_eq!(user.left_out, []);
        assert!(json_length(&Value::Object(user.kept)) > 55 * 1024);
    }

    #[test]
    fn of_immoderate_claims_the_largest_are_left_out_and_the_subject_stays() {
        let mut many: Claims = (0..100)
            .map(|n| (format!("a{n}"), json!("x".repeat(1_000))))
            .collect();
        many.insert("huge".to_owned(), json!("x".repeat(70_000)));
        many.insert("sub".to_owned(), json!("s".repeat(2_000)));
        many.insert("name".to_owned(), json!("Ada"));
        let user = UserClaims::of(Some(&many), None);
        assert!(user.kept.contains_key("sub") && user.kept.contains_key("name"));
        assert!(!user.kept.contains_key("huge"));
        assert!(json_length(&Value::Object(user.kept.clone())) < MAX_CLAIMS + 1_000);
        assert_eq!(user.kept.len() + user.left_out.len(), many.len());
        let huge = user.left_out.iter().find(|left| left.claim == "huge").unwrap();
        assert_eq!(huge.size, 70_006);
    }
}
