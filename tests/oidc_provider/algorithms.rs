//! The algorithm of client assertions: every kind of key end to end, and a provider that supports only some of them
//! (`token_endpoint_auth_signing_alg_values_supported`, OpenID Connect Discovery 1.0 section 3).

use serde_json::{Value, json};

use crate::support::{Stack, told};

/// Registers, logs in, renews and logs out; each assertion on the way was signed with `algorithm`.
async fn signs_with(algorithm: &str, settings: Value, changes: &[(&str, &str)]) {
    let mut stack = Stack::start(&settings, changes).await;
    assert_eq!(stack.client().await["token_endpoint_auth_signing_alg"], algorithm);
    stack.works().await;
    let assertions = stack.provider.assertions().await;
    for grant in ["authorization_code", "refresh_token"] {
        assert!(assertions.iter().any(|assertion| assertion["grant"] == grant));
    }
    assert!(assertions.iter().all(|assertion| assertion["alg"] == algorithm));
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
}

/// A provider that knows these algorithms only.
fn knows(algorithms: &[&str]) -> Value {
    json!({"assertionAlgorithms": algorithms})
}

#[tokio::test]
async fn an_rsa_key_signs_with_ps256_where_nobody_says_otherwise() {
    signs_with("PS256", json!({}), &[("BFF_KEY_TYPE", "rsa-2048")]).await;
}

#[tokio::test]
async fn an_rsa_key_signs_with_rs256_where_that_is_asked_for() {
    let changes = [("BFF_KEY_TYPE", "rsa-2048"), ("BFF_JWT_SIGNING_ALG", "RS256")];
    signs_with("RS256", json!({}), &changes).await;
}

#[tokio::test]
async fn an_rsa_key_signs_with_rs256_if_only_that_is_known() {
    signs_with(
        "RS256",
        knows(&["RS256", "HS256"]),
        &[("BFF_KEY_TYPE", "rsa-2048")],
    )
    .await;
}

#[tokio::test]
async fn an_rsa_key_signs_with_ps256_if_only_that_is_known() {
    signs_with("PS256", knows(&["PS256"]), &[("BFF_KEY_TYPE", "rsa-2048")]).await;
}

#[tokio::test]
async fn a_p_256_key_signs_with_es256() {
    signs_with("ES256", knows(&["RS256", "ES256"]), &[("BFF_KEY_TYPE", "p-256")]).await;
}

#[tokio::test]
async fn an_ed25519_key_signs_with_eddsa() {
    signs_with("EdDSA", json!({}), &[("BFF_KEY_TYPE", "ed25519")]).await;
}

#[tokio::test]
async fn an_unsupported_key_is_logged_before_a_token_is_spent() {
    let mut stack = Stack::prepare(&knows(&["RS256", "PS256"])).await;
    let token = stack.provider.mint().await;
    let error = stack
        .fail_to_start(&[("DCR_IAT", &token), ("BFF_KEY_TYPE", "p-256")])
        .await;
    assert!(error.is_configuration(), "{error}");
    let message = told(&error);
    for part in ["ES256", "RS256, PS256", "BFF_JWT_SIGNING_KEY"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(stack.provider.unused_initial_access_tokens().await, 1);

    // Follows the advice: a key of another type, in an empty folder.
    std::fs::remove_dir_all(stack.keys()).unwrap();
    stack
        .restart(&[("DCR_IAT", &token), ("BFF_KEY_TYPE", "rsa-2048")])
        .await;
    assert_eq!(stack.client().await["token_endpoint_auth_signing_alg"], "PS256");
    stack.works().await;
}

#[tokio::test]
async fn a_dropped_algorithm_is_replaced_with_an_update() {
    // The same key supports both; the registered one is kept while the provider lists it.
    let mut stack = Stack::start(&json!({}), &[("BFF_KEY_TYPE", "rsa-2048")]).await;
    stack.restart(&[("BFF_JWT_SIGNING_ALG", "RS256")]).await;
    stack.logs.has_part(
        "INFO",
        "registration updated: token_endpoint_auth_signing_alg: \"PS256\" -> \"RS256\"",
    );
    stack.works().await;
    let mut stack = stack.without("BFF_JWT_SIGNING_ALG");
    stack.restart(&[]).await;
    stack.logs.has_line("INFO", "registration unchanged");
    assert_eq!(stack.client().await["token_endpoint_auth_signing_alg"], "RS256");
    stack.works().await;
}
