use serde_json::json;

use super::*;

const CONFIG: &str = "policy:
  allowed_scopes: [openid, profile]
client_profiles:
  pkjwt: { token_endpoint_auth_method: private_key_jwt }
  off: { enabled: false, token_endpoint_auth_method: private_key_jwt }
";

fn good() -> Value {
    json!({
        "client_name": "BFF",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://bff.example/jwks",
        "redirect_uris": ["https://bff.example/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid profile",
        "client_profile": "pkjwt",
        "something_unknown": {"a": 1},
    })
}

fn validate(metadata: Value) -> Result<Client, MetadataError> {
    let config = DcrConfig::parse(CONFIG).unwrap();
    let requested: RequestedMetadata = serde_json::from_value(metadata).unwrap();
    requested.validate(&config, "bff".to_owned())
}

fn with(name: &str, value: Value) -> Result<Client, MetadataError> {
    let mut metadata = good();
    metadata[name] = value;
    validate(metadata)
}

#[test]
fn good_metadata_passes_with_defaults_filled_in() {
    let client = validate(good()).unwrap();
    assert_eq!(client.response_types, ["code"]);
    assert_eq!(client.application_type.as_deref(), Some("web"));
    assert_eq!(client.id_token_signed_response_alg.as_deref(), Some("RS256"));
    assert!(client.wire().get("something_unknown").is_none());
}

#[test]
fn a_refused_scope_is_named() {
    let Err(MetadataError::Scope(text)) = with("scope", json!("openid admin profile root")) else {
        panic!("scope must be refused")
    };
    assert!(text.ends_with(": admin root"), "{text}");
}

#[test]
fn redirect_uris_are_required_and_checked() {
    for uris in [
        json!([]),
        json!(null),
        json!(["http://bff.example/cb"]),
        json!(["https://bff.example/cb", "x"]),
    ] {
        assert!(matches!(
            with("redirect_uris", uris),
            Err(MetadataError::RedirectUri(_))
        ));
    }
}

#[test]
fn whatever_else_is_wrong_is_invalid_client_metadata() {
    for (name, value) in [
        ("client_profile", json!("nope")),
        ("client_profile", json!("off")),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("token_endpoint_auth_method", json!("none")),
        ("token_endpoint_auth_signing_alg", json!("none")),
        ("token_endpoint_auth_signing_alg", json!("HS256")),
        ("id_token_signed_response_alg", json!("none")),
        ("jwks", json!({"keys": []})),
        ("jwks_uri", json!(null)),
        ("jwks_uri", json!("http://bff.example/jwks")),
        ("grant_types", json!(["implicit"])),
        ("grant_types", json!(["refresh_token"])),
        ("response_types", json!(["token"])),
        ("response_types", json!([])),
        ("application_type", json!("toaster")),
        ("subject_type", json!("pairwise")),
        ("post_logout_redirect_uris", json!(["http://bff.example/"])),
        ("client_name", json!("a\nb")),
    ] {
        let outcome = with(name, value.clone());
        assert!(
            matches!(outcome, Err(MetadataError::Metadata(_))),
            "{name} {value} {outcome:?}"
        );
    }
}

#[test]
fn inline_keys_must_be_public_and_usable() {
    for jwks in [
        json!([]),
        json!({}),
        json!({"keys": [{"kty": "oct", "k": "AAAA"}]}),
        json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]}),
        json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}),
        json!({"keys": ["x"]}),
    ] {
        let mut metadata = good();
        metadata["jwks_uri"] = json!(null);
        metadata["jwks"] = jwks.clone();
        assert!(
            matches!(validate(metadata), Err(MetadataError::Metadata(_))),
            "{jwks}"
        );
    }
}

#[test]
fn a_client_id_has_a_plain_alphabet() {
    assert!(check_client_id("bff-server").is_ok());
    for bad in ["", "a b", "a/b", "ä", &"a".repeat(129)] {
        assert!(check_client_id(bad).is_err(), "{bad}");
    }
}
