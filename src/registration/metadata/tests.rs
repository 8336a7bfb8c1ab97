use super::*;
use crate::{oidc::LogoutSupport, registration::tests::options};

fn jwks() -> Value {
    json!({"keys": []})
}

fn wanted() -> WantedMetadata {
    WantedMetadata::new(&options(), Some(Algorithm::PS256), jwks)
}

#[test]
fn the_metadata_is_what_the_contract_lists() {
    let body = wanted().create_body(Some("bff-server"));
    assert_eq!(
        body,
        json!({
            "redirect_uris": ["https://a.example/auth/callback", "https://b.example:8443/auth/callback"],
            "post_logout_redirect_uris": [
                "https://a.example/auth/logged-out", "https://b.example:8443/auth/logged-out"
            ],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "web",
            "scope": "openid profile offline_access",
            "client_name": "bff",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "PS256",
            "jwks_uri": "https://a.example/.well-known/jwks.json",
            "client_id": "bff-server",
            "client_profile": "code-flow-pkjwt",
        })
    );
}

#[test]
fn extensions_are_sent_only_where_they_are_configured() {
    let mut options = options();
    options.client_profile = None;
    let body = WantedMetadata::new(&options, None, jwks).create_body(None);
    assert!(body.get("client_profile").is_none());
    assert!(body.get("client_id").is_none());
}

#[test]
fn the_id_token_algorithm_is_named_only_without_rs256() {
    let named = |supported: &[Algorithm]| {
        wanted()
            .for_id_tokens(supported)
            .fields()
            .get(ID_TOKEN_ALG)
            .cloned()
    };
    assert_eq!(named(&[Algorithm::PS256, Algorithm::RS256]), None);
    assert_eq!(named(&[]), None);
    assert_eq!(named(&[Algorithm::ES256, Algorithm::EdDSA]), Some(json!("ES256")));
}

const LOGOUT_URI: &str = "https://a.example/auth/backchannel-logout";
const LOGOUT_FIELDS: [&str; 2] = ["backchannel_logout_uri", "backchannel_logout_session_required"];

#[test]
fn the_backchannel_uri_is_registered_if_supported() {
    let fields = |uri, offered| {
        let wanted = wanted().for_back_channel(uri, offered);
        LOGOUT_FIELDS.map(|name| wanted.fields().get(name).cloned())
    };
    let uri = Some(LOGOUT_URI);
    assert_eq!(fields(uri, LogoutSupport::None), [None, None]);
    assert_eq!(
        fields(uri, LogoutSupport::Supported),
        [Some(json!(LOGOUT_URI)), None]
    );
    assert_eq!(
        fields(uri, LogoutSupport::WithSession),
        [Some(json!(LOGOUT_URI)), Some(json!(true))]
    );
    assert_eq!(fields(None, LogoutSupport::WithSession), [None, None]);
}

#[test]
fn the_uri_for_logouts_goes_where_the_idp_knows_it_no_more() {
    let before = wanted().for_back_channel(Some(LOGOUT_URI), LogoutSupport::WithSession);
    let current = before.fields().clone();
    let after = wanted().after(&Remembered::new(&before, &current));
    let body = after.update_body(Some(&current), "bff-server", None);
    for name in LOGOUT_FIELDS {
        assert!(after.removes(name) && body.get(name).is_none());
    }
    // A value of somebody else stays.
    let body = wanted().update_body(Some(&current), "bff-server", None);
    assert_eq!(body["backchannel_logout_uri"], LOGOUT_URI);
}

#[test]
fn the_frontchannel_uri_is_registered_as_the_last_resort() {
    let uri = Some("https://a.example/auth/frontchannel-logout");
    let registered = |back, uri, front| {
        let wanted = wanted()
            .for_back_channel(Some(LOGOUT_URI), back)
            .for_front_channel(uri, front);
        let uri = wanted.fields().get("frontchannel_logout_uri").cloned();
        let required = wanted.fields().get("frontchannel_logout_session_required");
        assert_eq!(required.is_some(), uri.is_some());
        uri
    };
    let none = LogoutSupport::None;
    let with_session = LogoutSupport::WithSession;
    assert_eq!(registered(none, uri, with_session), uri.map(|uri| json!(uri)));
    assert_eq!(registered(none, uri, LogoutSupport::Supported), None);
    assert_eq!(registered(none, uri, none), None);
    assert_eq!(registered(none, None, with_session), None);
    assert_eq!(registered(LogoutSupport::Supported, uri, with_session), None);
}

#[test]
fn never_both_jwks_and_jwks_uri() {
    let mut options = options();
    options.jwks = Jwks::Inline;
    let wanted = WantedMetadata::new(&options, Some(Algorithm::ES256), jwks);
    assert!(wanted.fields().contains_key("jwks") && !wanted.fields().contains_key("jwks_uri"));

    let current = json!({"jwks_uri": "https://a.example/.well-known/jwks.json"});
    let body = wanted.update_body(current.as_object(), "id", None);
    assert!(body.get("jwks_uri").is_none() && body.get("jwks").is_some());
}

#[test]
fn a_secret_method_registers_no_signing_algorithm() {
    let mut options = options();
    options.auth_method = AuthMethod::ClientSecretBasic;
    let wanted = WantedMetadata::new(&options, Some(Algorithm::PS256), jwks);
    assert!(!wanted.fields().contains_key(SIGNING_ALG));
    let body = wanted.update_body(json!({SIGNING_ALG: "PS256"}).as_object(), "id", None);
    assert!(body.get(SIGNING_ALG).is_none());
}

/// It omits the forbidden ones.
#[test]
fn an_update_keeps_unknown_fields() {
    let current = json!({
        "client_id": "other",
        "client_secret": "old",
        "client_secret_expires_at": 0,
        "client_id_issued_at": 5,
        "registration_access_token": "token",
        "registration_client_uri": "https://idp.example/register/1",
        "logo_uri": null,
        "subject_type": "public",
        "scope": "openid",
    });
    let body = wanted().update_body(current.as_object(), "bff-server", Some("secret"));
    for forbidden in FORBIDDEN_IN_UPDATE.into_iter().chain(["logo_uri"]) {
        assert!(body.get(forbidden).is_none(), "{forbidden}");
    }
    assert_eq!(body["client_id"], "bff-server");
    assert_eq!(body["client_secret"], "secret");
    assert_eq!(body["subject_type"], "public");
    assert_eq!(body["scope"], "openid profile offline_access");

    let body = wanted().update_body(current.as_object(), "bff-server", None);
    assert!(body.get("client_secret").is_none());
}

/// And a list of one as its entry, where the standard wants a list.
#[test]
fn a_list_of_one_means_its_value() {
    for (name, value, listed) in [
        (
            "token_endpoint_auth_method",
            json!("private_key_jwt"),
            json!(["private_key_jwt"]),
        ),
        ("jwks_uri", json!("https://a/jwks"), json!(["https://a/jwks"])),
        ("backchannel_logout_session_required", json!(true), json!([true])),
        ("scope", json!("openid email"), json!(["openid email"])),
        ("scope", json!("openid email"), json!(["email", "openid"])),
        ("jwks", json!({"keys": []}), json!([{"keys": []}])),
        ("redirect_uris", json!(["https://a/x"]), json!("https://a/x")),
        (
            "grant_types",
            json!(["authorization_code"]),
            json!("authorization_code"),
        ),
        ("response_types", json!(["code id_token"]), json!("code id_token")),
    ] {
        assert_eq!(meaning(name, &value), meaning(name, &listed), "{name}");
    }
    for (name, value, other) in [
        (
            "token_endpoint_auth_method",
            json!("private_key_jwt"),
            json!(["private_key_jwt", "none"]),
        ),
        ("token_endpoint_auth_method", json!("private_key_jwt"), json!([])),
        ("jwks_uri", json!("https://a/jwks"), json!([["https://a/jwks"]])),
        // A type of response may have a space in it (RFC 6749 section 3.1.1).
        (
            "response_types",
            json!(["code", "id_token"]),
            json!("code id_token"),
        ),
    ] {
        assert_ne!(meaning(name, &value), meaning(name, &other), "{name}");
    }
}

#[test]
fn a_digest_is_of_the_meaning() {
    let same = |name, a, b| assert_eq!(field_digest(name, &a), field_digest(name, &b), "{name}");
    same("scope", json!("a b"), json!(" b  a a"));
    same("redirect_uris", json!(["x", "y"]), json!(["y", "x", "x"]));
    same("response_types", json!("code"), json!(["code"]));
    same(
        "jwks",
        json!({"keys": [{"kty": "EC", "kid": "1", "x": "x", "y": "y", "crv": "P-256", "use": "sig"}]}),
        json!({"keys": [{"kid": "1", "kty": "EC", "crv": "P-256", "x": "x", "y": "y", "alg": "ES256"}]}),
    );
    let differ = |name, a, b| assert_ne!(field_digest(name, &a), field_digest(name, &b), "{name}");
    differ("scope", json!("a b"), json!("a"));
    differ("client_name", json!("a b"), json!("b a"));
    differ("redirect_uris", json!(["https://a/x"]), json!(["https://a/x/"]));
    differ(
        "jwks",
        json!({"keys": [{"kid": "1"}]}),
        json!({"keys": [{"kid": "2"}]}),
    );
}

#[test]
fn an_algorithm_that_was_sent_stays_while_it_fits() {
    const RSA: &[Algorithm] = &[Algorithm::PS256, Algorithm::RS256];
    let sent: Digests = [(SIGNING_ALG.to_owned(), field_digest(SIGNING_ALG, &json!("RS256")))].into();
    let names = ["PS256".to_owned(), "RS256".to_owned()];
    assert_eq!(sent_algorithm(&sent, RSA, Some(&names)), Some(Algorithm::RS256));
    assert_eq!(sent_algorithm(&sent, RSA, None), Some(Algorithm::RS256));
    assert_eq!(sent_algorithm(&sent, RSA, Some(&names[..1])), None);
    assert_eq!(sent_algorithm(&sent, &[Algorithm::ES256], None), None);
    assert_eq!(sent_algorithm(&Digests::new(), RSA, None), None);
}

#[test]
fn initiate_login_uri_is_removed_without_https() {
    let mut options = options();
    options.initiate_login_uri = Some("https://a.example/auth/login".to_owned());
    let before = WantedMetadata::new(&options, None, jwks);
    assert_eq!(
        before.fields()["initiate_login_uri"],
        "https://a.example/auth/login"
    );
    options.initiate_login_uri = None;
    let current = before.fields().clone();
    let after = WantedMetadata::new(&options, None, jwks).after(&Remembered::new(&before, &current));
    assert!(after.removes("initiate_login_uri"));
}
