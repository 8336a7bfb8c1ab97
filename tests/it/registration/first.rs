//! The first registration: the request, the log lines, the outcome.

use devstack_idp::Endpoint;
use serde_json::{Value, json};

use super::{calls, file, registered};
use crate::support::{Logs, Stack};

/// With the initial access token; the log says so.
#[tokio::test]
async fn the_first_registration_sends_the_wanted_metadata() {
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let request = stack.idp.requests(Endpoint::Register).remove(0);
    let authorization = format!("Bearer {}", stack.variable("DCR_IAT"));
    assert!(request.header("authorization") == Some(authorization.as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));

    let uris = stack.variable("DCR_REDIRECT_URIS");
    let redirect_uris: Vec<&str> = uris.split(',').collect();
    let logged_out: Vec<String> = redirect_uris
        .iter()
        .map(|uri| uri.replace("/auth/callback", "/auth/logged-out"))
        .collect();
    let wanted = json!({
        "client_id": "bff-server",
        "client_profile": "code-flow-pkjwt",
        "client_name": "bff",
        "redirect_uris": redirect_uris,
        "post_logout_redirect_uris": logged_out,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "web",
        "scope": "openid profile email offline_access",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks_uri": format!("http://{}/.well-known/jwks.json", stack.address),
        "backchannel_logout_uri": format!("http://{}/auth/backchannel-logout", stack.address),
        "backchannel_logout_session_required": true,
    });
    assert_eq!(request.json(), Some(&wanted));
    let registered = registered(&stack);
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&registered[name], value, "{name}");
    }
    assert_eq!(calls(&stack), ["POST /register"]);
    logs.has_line("INFO", "201 Created");
    logs.has_line("INFO", "Client registered: bff-server");
    assert!(logs.lines("WARN").iter().all(|line| line.contains("plain http")));
    assert!(logs.lines("ERROR").is_empty());
}

#[tokio::test]
async fn the_idp_may_fetch_the_keys_while_it_registers_us() {
    let stack = Stack::builder()
        .prepare(|idp| idp.fetch_jwks_at_registration(true))
        .start()
        .await;
    assert_eq!(calls(&stack), ["POST /register"]);
    stack.browser().log_in().await;
}

/// With one warning.
#[tokio::test]
async fn another_assigned_client_id_is_used_from_then_on() {
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .prepare(|idp| {
            idp.on_registration_response(|answer| {
                let text = answer.body.to_string().replace("bff-server", "assigned-7");
                answer.body = serde_json::from_str(&text).unwrap();
            });
        })
        .start()
        .await;
    logs.has_line("INFO", "Client registered: assigned-7 (asked for bff-server)");
    let warnings = logs.lines("WARN");
    let about_it: Vec<_> = warnings
        .iter()
        .filter(|line| line.contains("assigned-7"))
        .collect();
    assert_eq!(about_it.len(), 1, "{warnings:?}");
    assert_eq!(file(&stack)["requested_client_id"], "bff-server");
    assert_eq!(file(&stack)["client_id"], "assigned-7");

    // So it is at the IdP.
    let rename = |client: &mut Value| client["client_id"] = "assigned-7".into();
    stack.idp.mutate_client("bff-server", rename).unwrap();
    stack.idp.clear_hooks();
    stack.browser().log_in().await;
    let (header, claims) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("assigned-7"), &json!("assigned-7"))
    );
    assert_eq!(header["alg"], "ES256");

    stack.idp.clear_requests();
    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(calls(&stack), ["GET /register/assigned-7"]);
    logs.has_line("INFO", "registration unchanged");
}

/// With a warning.
#[tokio::test]
async fn without_a_base_url_the_keys_are_registered_inline() {
    let logs = Logs::capture();
    let mut stack = Stack::builder().set("BFF_BASE_URL", "").start().await;
    let request = stack.idp.requests(Endpoint::Register).remove(0);
    let sent = request.json().unwrap();
    assert!(sent.get("jwks_uri").is_none());
    let key = &sent["jwks"]["keys"][0];
    assert_eq!((&key["kty"], &key["use"]), (&json!("EC"), &json!("sig")));
    assert!(key.get("d").is_none(), "a private key was sent");
    let warning = |line: &&String| line.contains("BFF_BASE_URL") && line.contains("cannot rotate");
    assert_eq!(logs.lines("WARN").iter().filter(warning).count(), 1);
    stack.browser().log_in().await;

    logs.clear();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    logs.has_line("INFO", "registration unchanged");

    // Now there is an address: the keys move there, and both are never registered together.
    let base = format!("http://{}", stack.address);
    stack.restart_with(&[("BFF_BASE_URL", &base)]).await;
    assert!(registered(&stack).get("jwks").is_none());
    assert_eq!(
        registered(&stack)["jwks_uri"],
        format!("{base}/.well-known/jwks.json")
    );
    stack.browser().log_in().await;
}

#[tokio::test]
async fn an_explicit_jwks_uri_is_registered_as_it_stands() {
    let stack = Stack::builder()
        .set("DCR_JWKS_URI", "http://bff:8000/.well-known/jwks.json")
        .start()
        .await;
    assert_eq!(
        registered(&stack)["jwks_uri"],
        "http://bff:8000/.well-known/jwks.json"
    );
}

/// It mints one initial access token.
#[tokio::test]
async fn an_admin_token_mints_only_a_needed_token() {
    let mut stack = Stack::builder()
        .without_iat()
        .set("BOOTSTRAP_ADMIN_TOKEN", "admin-token")
        .start()
        .await;
    let minted = stack.idp.requests(Endpoint::AdminIat);
    assert_eq!(minted.len(), 1);
    let asked = minted[0].json().unwrap();
    assert_eq!(
        (&asked["label"], &asked["max_uses"]),
        (&json!("bff-server"), &json!(1))
    );
    assert_eq!(calls(&stack), ["POST /register"]);

    stack.idp.clear_requests();
    stack.restart_with(&[]).await;
    assert_eq!(stack.idp.count(Endpoint::AdminIat), 0);
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
}

#[tokio::test]
async fn every_kind_of_key_registers_and_logs_in() {
    for (kind, algorithm, kty) in [
        ("rsa-2048", "PS256", "RSA"),
        ("p-256", "ES256", "EC"),
        ("ed25519", "EdDSA", "OKP"),
    ] {
        let stack = Stack::builder().set("BFF_KEY_TYPE", kind).start().await;
        assert_eq!(
            registered(&stack)["token_endpoint_auth_signing_alg"],
            algorithm,
            "{kind}"
        );
        let ada = stack.browser();
        let keys = ada.get("/.well-known/jwks.json").await.json();
        assert_eq!(keys["keys"][0]["kty"], kty, "{kind}");
        ada.log_in().await;
        let (header, _) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
        assert_eq!(header["alg"], algorithm, "{kind}");
        assert_eq!(header["kid"], keys["keys"][0]["kid"], "{kind}");
    }
}

#[tokio::test]
async fn an_idp_that_lists_only_the_new_name_of_eddsa_gets_it() {
    for configured in [None, Some("Ed25519")] {
        let mut builder = Stack::builder().set("BFF_KEY_TYPE", "ed25519").prepare(|idp| {
            idp.on_discovery(|document| {
                document["token_endpoint_auth_signing_alg_values_supported"] = json!(["Ed25519"]);
            });
        });
        if let Some(algorithm) = configured {
            builder = builder.set("BFF_JWT_SIGNING_ALG", algorithm);
        }
        let stack = builder.start().await;
        assert_eq!(registered(&stack)["token_endpoint_auth_signing_alg"], "Ed25519");
        let ada = stack.browser();
        ada.log_in().await;
        let (header, _) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
        assert_eq!(header["alg"], "Ed25519");
        let keys = ada.get("/.well-known/jwks.json").await.json();
        assert_eq!(keys["keys"][0]["alg"], configured.unwrap_or("EdDSA"));
    }
}

#[tokio::test]
async fn a_configured_algorithm_is_registered_and_used() {
    let stack = Stack::builder()
        .set("BFF_KEY_TYPE", "rsa-2048")
        .set("BFF_JWT_SIGNING_ALG", "RS256")
        .start()
        .await;
    assert_eq!(registered(&stack)["token_endpoint_auth_signing_alg"], "RS256");
    stack.browser().log_in().await;
    let (header, _) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
    assert_eq!(header["alg"], "RS256");
}

#[tokio::test]
async fn the_methods_with_a_secret_use_the_one_that_registration_gave() {
    for (method, profile) in [
        ("client_secret_basic", "code-flow-secret"),
        ("client_secret_post", "code-flow-secret-post"),
    ] {
        let logs = Logs::capture();
        let mut stack = Stack::builder()
            .set("MS_BFF_TOKEN_AUTH_METHOD", method)
            .set("DCR_CLIENT_PROFILE", profile)
            .start()
            .await;
        assert_eq!(registered(&stack)["token_endpoint_auth_method"], method);
        stack.browser().log_in().await;
        let secret = file(&stack)["client_secret"].as_str().unwrap().to_owned();
        assert!(!logs.text().contains(&secret), "the secret was logged");
        stack.restart_with(&[("DCR_IAT", "")]).await;
        logs.has_line("INFO", "registration unchanged");
        stack.browser().log_in().await;
    }
}

#[tokio::test]
async fn while_registration_is_skipped_no_call_is_made() {
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    stack.idp.clear_requests();
    // The stored registration serves, even if the configuration requests another one.
    stack
        .restart_with(&[("SKIP_DCR_BOOTSTRAP", "true"), ("OIDC_SCOPES", "openid")])
        .await;
    assert!(calls(&stack).is_empty());
    logs.has_line("INFO", "registration skipped, as configured");
    stack.browser().log_in().await;

    // Nothing is stored: the client that the configuration names serves.
    std::fs::remove_file(stack.credentials()).unwrap();
    stack.restart_with(&[]).await;
    assert!(calls(&stack).is_empty());
    stack.browser().log_in().await;
}

#[tokio::test]
async fn over_https_other_sites_learn_where_a_login_begins() {
    let stack = Stack::builder()
        .set(
            "DCR_REDIRECT_URIS",
            "https://app.example/auth/callback,https://other.example/auth/callback",
        )
        .start()
        .await;
    // OpenID Connect Dynamic Client Registration 1.0 section 2.
    assert_eq!(
        registered(&stack)["initiate_login_uri"],
        "https://app.example/auth/login"
    );
}
