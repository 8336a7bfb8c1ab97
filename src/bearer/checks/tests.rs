use serde_json::json;

use super::*;
use crate::bearer::{Idps, idps::Around};
use crate::url_policy::HttpPolicy;

const NOW: u64 = 1_800_000_000;

fn idp(keys: &str) -> Idp {
    let around = Around {
        variables: &|_| None,
        folder: None,
        allow_http: HttpPolicy::LocalOnly,
        login_issuer: "https://idp.example",
    };
    let text =
        format!("idps: [{{ name: corp, issuer: 'https://idp.example', audience: [ours, too], {keys} }}]");
    let idps = Idps::parse(&text, &around).unwrap();
    idps.iter().next().unwrap().clone()
}

/// Good claims with one changed, or without it.
fn claims(name: &str, value: Value) -> Claims {
    let mut claims = json!({
        "iss": "https://idp.example", "aud": "ours", "sub": "u-ada", "client_id": "app", "jti": "1",
        "iat": NOW, "exp": NOW + 300, "scope": "read", "acr": "x", "roles": ["admin"],
    });
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    members.clone()
}

#[test]
fn a_token_says_who_brings_it() {
    let bearer = of_jwt(&idp(""), claims("x", json!(1))).unwrap();
    assert_eq!(bearer.name, "auth:account:corp:u-ada");
    assert_eq!(
        (bearer.scope.as_str(), bearer.acr.as_deref()),
        ("read", Some("x"))
    );
    assert_eq!(
        (bearer.roles, bearer.permissions),
        (vec!["admin".to_owned()], vec!["read".to_owned()])
    );
    assert_eq!(bearer.expires_at, Some(Timestamp::from_unix_seconds(NOW + 300)));
    let service = of_jwt(&idp(""), claims("sub", json!("app"))).unwrap();
    assert_eq!(service.name, "auth:service:corp:app");
    assert_eq!(of_jwt(&idp(""), claims("scope", Value::Null)).unwrap().scope, "");
}

/// RFC 9068 section 2.2.
#[test]
fn a_token_without_a_required_claim_is_refused() {
    for name in ["sub", "client_id", "jti"] {
        for value in [
            Value::Null,
            json!(7),
            json!(""),
            json!("a\nb"),
            json!("x".repeat(256)),
        ] {
            let refused = of_jwt(&idp(""), claims(name, value.clone())).unwrap_err();
            assert_eq!(refused, BadToken::Claim(name), "{value}");
        }
    }
    assert_eq!(
        of_jwt(&idp(""), claims("scope", json!(["read"]))).unwrap_err(),
        BadToken::Claim("scope")
    );
}

#[test]
fn attack_57_a_bound_token_is_refused() {
    let cnf = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    assert_eq!(
        of_jwt(&idp(""), claims("cnf", cnf.clone())).unwrap_err(),
        BadToken::Bound
    );
    assert_eq!(
        of_jwt(&idp("accept_untyped: true"), claims("cnf", cnf)).unwrap_err(),
        BadToken::Bound
    );
}

#[test]
fn attack_26_an_id_token_is_not_an_access_token() {
    let untyped = idp("accept_untyped: true");
    for name in ["nonce", "at_hash"] {
        assert_eq!(
            of_jwt(&untyped, claims(name, json!("x"))).unwrap_err(),
            BadToken::IdToken
        );
    }
    let mut without = claims("client_id", Value::Null);
    without.remove("jti");
    without.insert("azp".to_owned(), json!("u-ada"));
    assert_eq!(of_jwt(&untyped, without).unwrap().name, "auth:service:corp:u-ada");
}

fn answer(name: &str, value: Value) -> Result<Bearer, BadToken> {
    let mut claims = claims(name, value);
    claims.entry("active").or_insert(json!(true));
    of_answer(&idp(""), claims, Timestamp::from_unix_seconds(NOW))
}

/// RFC 7662 section 2.2.
#[test]
fn an_answer_is_checked_like_a_token() {
    assert_eq!(answer("x", json!(1)).unwrap().name, "auth:account:corp:u-ada");
    assert_eq!(answer("sub", Value::Null).unwrap().name, "auth:service:corp:app");
    for optional in ["iss", "exp", "client_id", "jti", "iat", "nbf", "token_type"] {
        assert!(answer(optional, Value::Null).is_ok(), "{optional}");
    }
    assert_eq!(answer("exp", Value::Null).unwrap().expires_at, None);
    for (name, value, refused) in [
        ("active", json!(false), BadToken::Inactive),
        ("active", json!("true"), BadToken::Inactive),
        ("iss", json!("https://other.example"), BadToken::Other),
        ("iss", json!(7), BadToken::Other),
        ("aud", json!("other"), BadToken::Other),
        ("aud", Value::Null, BadToken::Other),
        ("aud", json!(["other", 7]), BadToken::Other),
        ("exp", json!(NOW), BadToken::Time),
        ("exp", json!("soon"), BadToken::Time),
        ("nbf", json!(NOW + 1), BadToken::Time),
        (
            "token_type",
            json!("refresh_token"),
            BadToken::Claim("token_type"),
        ),
        ("token_type", json!("DPoP"), BadToken::Claim("token_type")),
        ("cnf", json!({}), BadToken::Bound),
        ("sub", json!(7), BadToken::Claim("sub")),
    ] {
        assert_eq!(
            answer(name, value.clone()).unwrap_err(),
            refused,
            "{name}: {value}"
        );
    }
    assert!(answer("aud", json!(["other", "too"])).is_ok());
    assert!(answer("token_type", json!("bearer")).is_ok());
}
