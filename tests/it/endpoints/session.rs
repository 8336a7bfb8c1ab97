//! `/auth/session`: who is logged in, for the application.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::support::Stack;

const PATHS: [&str; 2] = ["/auth/session", "/api/auth/session"];

#[tokio::test]
async fn nobody_is_told_so_and_nothing_else() {
    let stack = Stack::start().await;
    for path in PATHS {
        let reply = stack.browser().get(path).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.json(), json!({ "authenticated": false }));
        assert!(reply.set_cookies().is_empty());
    }
}

#[tokio::test]
async fn the_application_learns_who_it_is_and_how_long_and_no_token() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in PATHS {
        let reply = ada.get(path).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let session = reply.json();
        let mut members: Vec<&String> = session.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(
            members,
            [
                "acr",
                "authenticated",
                "csrf_token",
                "expires_at",
                "refreshed_at",
                "token_expires_at",
                "user"
            ]
        );
        assert_eq!(session["authenticated"], true);
        assert_eq!(session["user"]["sub"], "u-ada");
        assert_eq!(session["user"]["name"], "Ada Lovelace");
        // The clock stands at 1 800 000 000; idle limit 1 h, access token 60 s.
        assert_eq!(session["expires_at"], "2027-01-15T09:00:00Z");
        assert_eq!(session["token_expires_at"], "2027-01-15T08:01:00Z");
        assert_eq!(session["refreshed_at"], "2027-01-15T08:00:00Z");
        assert_eq!(session["csrf_token"].as_str().unwrap(), ada.csrf_token().await);
        for protocol in ["iss", "aud", "exp", "nonce", "at_hash", "sid"] {
            assert!(session["user"].get(protocol).is_none(), "{protocol}");
        }
    }
    assert!(stack.api.calls().is_empty());
}

/// Pages put it into the `subject` of questions to a policy decision point.
#[tokio::test]
async fn a_person_has_one_name_over_all_providers() {
    let routes = r#"
services:
  api: { base_url: "{api}", identity_headers: true }
routes:
  - { id: api, path: "/api/*", target_service: api, preserve_path: true }
"#;
    let entry = |provider: &str, issuer: &str| {
        format!(
            "idps: [{{ name: a, {provider}issuer: \"{issuer}\", audience: x, jwks_url: 'https://idp.example/k' }}]"
        )
    };
    let (ours, other) = ("{issuer}", "https://idp.example");
    for (alias, idps, expected) in [
        ("", None, "oidc"),
        ("corp idp", None, "corp%20idp"),
        ("corp", Some(entry("", other)), "corp"),
        ("corp", Some(entry("", ours)), "a"),
        ("corp", Some(entry("provider: main, ", ours)), "main"),
        ("", Some(entry("", other)), "oidc"),
    ] {
        let mut builder = Stack::builder().routes(routes).set("OIDC_PROVIDER_ALIAS", alias);
        if let Some(idps) = &idps {
            builder = builder.idps(idps);
        }
        let stack = builder.start().await;
        let ada = stack.browser();
        ada.log_in().await;
        let name = format!("auth:account:{expected}:u-ada");
        assert_eq!(ada.session().await["user"]["arn"], json!(name), "{idps:?}");
        assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
        assert_eq!(stack.api.last().header("x-original-user"), Some(name.as_str()));
    }
}

#[tokio::test]
async fn a_claim_of_the_idp_is_never_that_name() {
    let stack = Stack::start().await;
    stack
        .idp
        .on_userinfo(|claims| claims["arn"] = json!("auth:account:oidc:root"));
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get("/auth/session").await;
    assert_eq!(reply.body.matches("\"arn\"").count(), 1, "{}", reply.body);
    assert_eq!(reply.json()["user"]["arn"], "auth:account:oidc:u-ada");
}

#[tokio::test]
async fn asking_extends_the_session_unless_it_says_not_to() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    stack.advance(Duration::from_mins(10)).await;

    let reply = ada.get("/auth/session?touch=false").await;
    assert_eq!(reply.json()["expires_at"], "2027-01-15T09:00:00Z");
    assert!(reply.set_cookies().is_empty());

    let reply = ada.get("/auth/session").await;
    assert_eq!(reply.json()["expires_at"], "2027-01-15T09:10:00Z");
    assert_eq!(reply.set_cookies().len(), 1);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let reply = ada.get("/auth/session?touch=false").await;
    assert_eq!(reply.json()["expires_at"], "2027-01-15T09:10:00Z");

    // Asked only without touching it, it ends when it would have ended.
    for _ in 0..5 {
        stack.clock.advance(Duration::from_mins(10));
        assert!(ada.is_logged_in().await);
    }
    stack.clock.advance(Duration::from_secs(601));
    assert!(!ada.is_logged_in().await);
}

#[tokio::test]
async fn other_methods_and_odd_parameters_are_refused() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in PATHS {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let reply = ada.send(ada.request(method.clone(), path)).await;
            assert_eq!(
                reply.refusal(),
                (405, "method_not_allowed".to_owned()),
                "{method}"
            );
            let allow = reply.header("allow").unwrap();
            assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
        }
        let head = ada.send(ada.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    }
    let reply = ada.get("/auth/session?touch=false&touch=true").await;
    assert_eq!(reply.refusal(), (400, "duplicate_parameter".to_owned()));
    let reply = ada.get(&format!("/auth/session?{}", "x".repeat(9_000))).await;
    assert_eq!(reply.refusal(), (400, "query_too_long".to_owned()));
    assert!(stack.api.calls().is_empty());
}
