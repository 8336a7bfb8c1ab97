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

const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// A claim larger than this, as JSON, is left out, in bytes.
const MAX_CLAIM: usize = 4 * 1024;

/// Claims beyond this together, as JSON, are left out, in bytes.
const MAX_CLAIMS: usize = 16 * 1024;

/// Which e-mail addresses an application may know (`OIDC_EMAIL_TRUSTED`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailTrust {
    /// Those of which the IdP says that they are verified: `email_verified` is `true`.
    #[default]
    Verified,
    /// Also those of which it says nothing. Where it says that one is not verified, that counts.
    Unstated,
}

/// An entry of a claim set.
type Claim<'a> = (&'a String, &'a Value);

/// The claims about the person from the newest ID token and UserInfo, the latter winning (it is read later). Bounded;
/// `sub` is always among them.
///
/// `email` is among them only where `email_trust` allows it: at many IdPs people enter any address they like, and
/// applications take an address for the person (OpenID Connect Core 1.0 section 5.7).
#[must_use]
pub fn user_claims(id_token: Option<&Claims>, user_info: Option<&Claims>, email_trust: EmailTrust) -> Claims {
    let mut user = Claims::new();
    let mut size = 0;
    let sources = [user_info, id_token];
    let subject = sources
        .iter()
        .flatten()
        .find_map(|claims| claims.get_key_value("sub"));
    let email = email(sources, email_trust);
    let others = sources.into_iter().flatten().flatten();
    let others = others.filter(|(name, _)| !matches!(name.as_str(), EMAIL | EMAIL_VERIFIED));
    for (name, value) in subject
        .into_iter()
        .chain(email.into_iter().flatten())
        .chain(others)
    {
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

/// `email` and `email_verified`, each where it may be known.
///
/// Both belong together: UserInfo can name another address than the one that the ID token calls verified. So only what is
/// said of this very address counts, and everything that is said of it.
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
            // Some IdPs quote it. That is no statement, but no denial either.
            Value::String(text) if text == "true" => {}
            _ => denied = true,
        }
    }
    let told = (affirmed && !denied).then_some(address);
    [told, statements.first().copied()]
}

/// Whether the IdP gave an address and said nothing of it, so that it was left out.
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

    /// The address that the application is told, without and with `OIDC_EMAIL_TRUSTED`.
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

    #[test]
    fn attack_43_one_source_does_not_vouch_for_the_address_of_another() {
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
    fn what_the_idp_says_of_an_address_is_told_also_where_the_address_is_not() {
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
    fn immoderate_claims_are_left_out_and_the_subject_stays() {
        let mut many: Claims = (0..100)
            .map(|n| (format!("a{n}"), json!("x".repeat(1_000))))
            .collect();
        many.insert("aaa".to_owned(), json!("x".repeat(5_000)));
        many.insert("sub".to_owned(), json!("ada"));
        let user = user_claims(Some(&many), None, EmailTrust::Verified);
        assert_eq!(user["sub"], "ada");
        assert!(!user.contains_key("aaa"));
        assert!(json_length(&Value::Object(user)) < MAX_CLAIMS + 1_000);
    }
}
