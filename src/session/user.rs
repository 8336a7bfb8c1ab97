//! The facts about the person that an application may know.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    diagnostic::{Knob, fix, told},
    jose::Claims,
};

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

const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// Claims beyond this together, as JSON, are left out, in bytes.
const MAX_CLAIMS: usize = 64 * 1024;

/// The maximum number of omitted claims that the log names.
const MAX_SAID: usize = 64;

/// The facts about a person that an application may know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserClaims {
    /// The claims; `sub` is always among them.
    pub kept: Claims,
    /// The omitted claims.
    pub left_out: Vec<LeftOut>,
}

/// A claim that did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, shortened if it is long.
    pub claim: String,
    /// Its size as JSON, the name included, in bytes.
    pub size: usize,
}

/// Tells the operator once of each claim that is left out.
#[derive(Debug, Default)]
pub struct LeftOutNotice {
    said: Mutex<BTreeSet<String>>,
}

/// Which e-mail addresses an application may know (`OIDC_EMAIL_TRUSTED`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailTrust {
    /// Addresses that the IdP calls verified: `email_verified` is `true`.
    #[default]
    Verified,
    /// Also addresses about which it says nothing. If it says that one is not verified, that counts.
    Unstated,
}

/// An entry of a claim set.
type Claim<'a> = (&'a String, &'a Value);

// === impl UserClaims ===

impl UserClaims {
    /// The claims about the person from the newest ID token and UserInfo. UserInfo wins, because it is read later.
    /// Claims beyond 64 KiB are omitted, the largest first, so that one list of a thousand groups does not cost the
    /// name.
    ///
    /// `email` is among them only where `email_trust` allows it: at many IdPs people enter any address they like, and
    /// applications take an address for the person (OpenID Connect Core 1.0 section 5.7).
    #[must_use]
    pub fn of(id_token: Option<&Claims>, user_info: Option<&Claims>, email_trust: EmailTrust) -> Self {
        let sources = [user_info, id_token];
        let email = email(sources, email_trust);
        let others = sources.into_iter().flatten().flatten();
        let others = others.filter(|(name, _)| !matches!(name.as_str(), EMAIL | EMAIL_VERIFIED));
        let mut found: Vec<(usize, &String, &Value)> = Vec::new();
        for (name, value) in email.into_iter().flatten().chain(others) {
            let is_known = found.iter().any(|(_, known, _)| *known == name);
            if !is_known && !PROTOCOL_CLAIMS.contains(&name.as_str()) {
                found.push((name.len() + json_length(value), name, value));
            }
        }
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

/// The claims that are [kept](UserClaims::kept).
#[must_use]
pub fn user_claims(id_token: Option<&Claims>, user_info: Option<&Claims>, email_trust: EmailTrust) -> Claims {
    UserClaims::of(id_token, user_info, email_trust).kept
}

// === impl LeftOutNotice ===

impl LeftOutNotice {
    /// Warns of omitted claims, once each.
    pub fn warn(&self, left_out: &[LeftOut]) {
        for LeftOut { claim, size } in left_out {
            let mut said = self.said.lock();
            if said.len() < MAX_SAID && said.insert(claim.clone()) {
                let what = format_args!(
                    "a claim is omitted, because a session keeps at most {MAX_CLAIMS} bytes of claims"
                );
                let fix = fix!("remove it at the IdP or by {} if nobody needs it", Knob::Scopes);
                tracing::warn!(%claim, bytes = size, "{}", told(what, fix));
            }
        }
    }
}

/// `email` and `email_verified`, if they may be known.
///
/// Both belong together: UserInfo can name another address than the one that the ID token calls verified. Therefore
/// only statements about this very address count, and all of them do.
fn email(sources: [Option<&Claims>; 2], trust: EmailTrust) -> [Option<Claim<'_>>; 2] {
    let sources = || sources.into_iter().flatten();
    let Some(address) = sources().find_map(|claims| claims.get_key_value(EMAIL)) else {
        return [None, None];
    };
    let statements: Vec<Claim<'_>> = sources()
        .filter(|claims| claims.get(EMAIL) == Some(address.1))
        .filter_map(|claims| claims.get_key_value(EMAIL_VERIFIED))
        .collect();
    let (mut affirmed, mut denied) = (trust == EmailTrust::Unstated, false);
    for (_, statement) in &statements {
        match statement {
            Value::Bool(true) => affirmed = true,
            Value::Null => {}
            // Some IdPs quote it. That is neither a statement nor a denial.
            Value::String(text) if text == "true" => {}
            _ => denied = true,
        }
    }
    let told = (affirmed && !denied).then_some(address);
    [told, statements.first().copied()]
}

/// Whether the IdP gave an address without a statement about it, so that it was omitted.
#[must_use]
pub fn email_is_unstated(id_token: &Claims, user_info: Option<&Claims>) -> bool {
    let sources = [user_info, Some(id_token)];
    let given = sources.iter().flatten().any(|claims| claims.contains_key(EMAIL));
    given
        && email(sources, EmailTrust::Verified)[0].is_none()
        && email(sources, EmailTrust::Unstated)[0].is_some()
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
        let user_info = claims(json!({ "sub": "ada", "name": "Ada", "picture": "https://a.example/ada" }));
        let user = user_claims(Some(&id_token), Some(&user_info), EmailTrust::Verified);
        let expected =
            json!({ "sub": "ada", "roles": ["a"], "name": "Ada", "picture": "https://a.example/ada" });
        assert_eq!(Value::Object(user), expected);
    }

    const ADA: &str = "ada@example.org";

    /// The address for the application, without and with `OIDC_EMAIL_TRUSTED`.
    fn told(id_token: Value, user_info: Value) -> [Option<String>; 2] {
        let (id_token, user_info) = (claims(id_token), claims(user_info));
        [EmailTrust::Verified, EmailTrust::Unstated].map(|trust| {
            let user = user_claims(Some(&id_token), Some(&user_info), trust);
            user.get("email").and_then(Value::as_str).map(ToOwned::to_owned)
        })
    }

    #[test]
    fn attack_43_an_address_that_is_not_verified_is_told_to_nobody() {
        let yes = Some(ADA.to_owned());
        for (statement, expected) in [
            (json!(true), [yes.clone(), yes.clone()]),
            (json!(false), [None, None]),
            (json!(null), [None, yes.clone()]),
            (json!("true"), [None, yes.clone()]),
            (json!("false"), [None, None]),
            (json!("yes"), [None, None]),
            (json!(1), [None, None]),
            (json!([true]), [None, None]),
        ] {
            let of_user_info = told(json!({}), json!({ "email": ADA, "email_verified": statement }));
            assert_eq!(of_user_info, expected, "{statement}");
            let of_id_token = told(json!({ "email": ADA, "email_verified": statement }), json!({}));
            assert_eq!(of_id_token, expected, "{statement}");
        }
        assert_eq!(told(json!({}), json!({ "email": ADA })), [None, yes]);
        assert_eq!(told(json!({}), json!({ "email_verified": true })), [None, None]);
    }

    /// `email_verified` counts for the address of its own source.
    #[test]
    fn attack_43_sources_do_not_vouch_for_each_other() {
        let verified = json!({ "email": ADA, "email_verified": true });
        let bare = json!({ "email": ADA });
        let other = json!({ "email": "grace@example.org" });
        let denied = json!({ "email": ADA, "email_verified": false });
        let vouching = json!({ "email_verified": true });
        let yes = Some(ADA.to_owned());
        let grace = Some("grace@example.org".to_owned());
        assert_eq!(told(verified.clone(), other), [None, grace]);
        assert_eq!(told(vouching.clone(), bare.clone()), [None, yes.clone()]);
        assert_eq!(told(bare.clone(), vouching), [None, yes.clone()]);
        assert_eq!(told(verified.clone(), bare), [yes.clone(), yes]);
        assert_eq!(told(verified.clone(), denied.clone()), [None, None]);
        assert_eq!(told(denied, verified), [None, None]);
    }

    #[test]
    fn email_verified_is_kept_without_an_address() {
        let user_info = claims(json!({ "sub": "ada", "email": ADA, "email_verified": false }));
        let user = user_claims(None, Some(&user_info), EmailTrust::Verified);
        assert_eq!(
            Value::Object(user),
            json!({ "sub": "ada", "email_verified": false })
        );
        assert!(!email_is_unstated(&user_info, None));
        assert!(email_is_unstated(&claims(json!({ "email": ADA })), None));
        assert!(!email_is_unstated(&Claims::new(), None));
    }

    #[test]
    fn one_claim_may_take_all_the_room_there_is() {
        let groups: Vec<String> = (0..2_000).map(|number| format!("group {number:020}")).collect();
        let id_token = claims(json!({ "sub": "ada", "groups": groups }));
        let user = UserClaims::of(Some(&id_token), None, EmailTrust::Verified);
        assert_eq!(user.kept.len(), 2);
        assert_eq!(user.left_out, []);
        assert!(json_length(&Value::Object(user.kept)) > 55 * 1024);
    }

    /// The subject stays.
    #[test]
    fn the_largest_of_too_many_claims_are_omitted() {
        let mut many: Claims = (0..100)
            .map(|n| (format!("a{n}"), json!("x".repeat(1_000))))
            .collect();
        many.insert("huge".to_owned(), json!("x".repeat(70_000)));
        many.insert("sub".to_owned(), json!("s".repeat(2_000)));
        many.insert("name".to_owned(), json!("Ada"));
        let user = UserClaims::of(Some(&many), None, EmailTrust::Verified);
        assert!(user.kept.contains_key("sub") && user.kept.contains_key("name"));
        assert!(!user.kept.contains_key("huge"));
        assert!(json_length(&Value::Object(user.kept.clone())) < MAX_CLAIMS + 1_000);
        assert_eq!(user.kept.len() + user.left_out.len(), many.len());
        let huge = user.left_out.iter().find(|left| left.claim == "huge").unwrap();
        assert_eq!(huge.size, 70_006);
    }
}
