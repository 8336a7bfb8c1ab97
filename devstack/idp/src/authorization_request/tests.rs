use url::form_urlencoded::Serializer;

use super::*;
use crate::options::from_yaml;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn client() -> Client {
    let yaml = "client_id: bff
token_endpoint_auth_method: private_key_jwt
redirect_uris: [https://a.example/cb]
grant_types: [authorization_code, refresh_token]
response_types: [code]
scope: openid offline_access
";
    from_yaml("client", yaml).unwrap()
}

fn request(change: &[(&str, &str)]) -> Result<AuthorizationRequest, RequestError> {
    let mut pairs = vec![
        ("client_id", "bff"),
        ("redirect_uri", "https://a.example/cb"),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in change {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
    AuthorizationRequest::validate(
        &Params::parse(body.as_bytes()).unwrap(),
        &client(),
        true,
        &["https://orders.example".to_owned()],
    )
}

#[test]
fn a_good_request_passes() {
    let good = request(&[("prompt", "login consent"), ("max_age", "0")]).unwrap();
    assert_eq!(good.scope, ["openid"]);
    assert_eq!(good.max_age, Some(0));
    assert!(good.has_prompt(Prompt::Login) && good.has_prompt(Prompt::Consent));
}

#[test]
fn a_redirect_uri_must_be_exactly_a_registered_one() {
    for uri in [
        "",
        "https://a.example/cb/",
        "https://a.example/cb?x",
        "https://A.example/cb",
        "https://evil/",
    ] {
        let outcome = request(&[("redirect_uri", uri)]);
        assert!(matches!(outcome, Err(RequestError::Untrusted(_))), "{uri}");
    }
}

#[test]
fn every_other_mistake_goes_back_with_its_code() {
    for (change, expected) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("scope", "openid admin"), "invalid_scope"),
        (("scope", ""), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "dance"), "invalid_request"),
        (("max_age", "-1"), "invalid_request"),
        (("request", "a.b.c"), "request_not_supported"),
    ] {
        let Err(RequestError::Refused { code, state, .. }) = request(&[change]) else {
            panic!("{change:?} must be refused")
        };
        assert_eq!((code, state.as_deref()), (expected, Some("s")), "{change:?}");
    }
}

#[test]
fn offline_access_needs_the_prompt_where_the_idp_wants_it() {
    let without = request(&[("scope", "openid offline_access")]).unwrap();
    assert_eq!(without.granted_scope(&client(), true), ["openid"]);
    assert_eq!(
        without.granted_scope(&client(), false),
        ["openid", "offline_access"]
    );
    let with = request(&[("scope", "openid offline_access"), ("prompt", "consent")]).unwrap();
    for wants_prompt in [true, false] {
        assert_eq!(
            with.granted_scope(&client(), wants_prompt),
            ["openid", "offline_access"]
        );
    }
}
