//! `bff check` and `bff register` beside an independent provider.

use serde_json::{Value, json};

use super::support::Stack;

async fn check(stack: &Stack, changes: &[(&str, &str)]) -> (i32, Value) {
    let (code, text) = stack.run(&["check", "--json"], changes).await;
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (code, report)
}

fn failed(report: &Value) -> Vec<&str> {
    let rows = report["findings"].as_array().unwrap().iter();
    let failed = rows.filter(|row| row["status"] == "failed");
    failed.map(|row| row["check"].as_str().unwrap()).collect()
}

async fn is_well(settings: Value, changes: &[(&str, &str)], proof: &str) -> Stack {
    let stack = Stack::start(&settings, changes).await;
    let (code, report) = check(&stack, &[]).await;
    assert_eq!((code, failed(&report)), (0, vec![]), "{report:#}");
    assert!(report.to_string().contains(proof), "{report:#}");
    stack
}

#[tokio::test]
async fn a_healthy_server_is_said_to_be_healthy_and_goes_on() {
    let mut stack = is_well(json!({}), &[], "a pushed authorization request").await;
    // Its registration access token was not lost by looking.
    check(&stack, &[]).await;
    stack.restart(&[("OIDC_SCOPES", "openid offline_access")]).await;
    stack.logs.has_part("INFO", "registration updated: scope:");
    stack.ada().log_in().await;
}

#[tokio::test]
async fn without_pushed_requests_a_made_up_code_proves_it() {
    let stack = is_well(json!({"pushedRequests": false}), &[], "a made-up code").await;
    let errors = stack.provider.errors().await;
    assert!(
        errors.iter().any(|error| error["error"] == "invalid_grant"),
        "{errors:?}"
    );
}

#[tokio::test]
async fn with_a_client_secret_too() {
    is_well(
        json!({}),
        &[("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic")],
        "client_secret_basic; a pushed authorization request",
    )
    .await;
}

#[tokio::test]
async fn what_is_broken_is_named() {
    let stack = Stack::start(&json!({}), &[]).await;
    let uris = stack.environment()["DCR_REDIRECT_URIS"].replace("authn.", "moved.");
    // The keyring is lost, and the key has another name.
    let restored = stack.keys().with_file_name("restored");
    std::fs::create_dir(&restored).unwrap();
    for name in ["bff_client.json", "bff-signing.pem"] {
        std::fs::copy(stack.keys().join(name), restored.join(name)).unwrap();
    }
    let key = restored.join("bff-signing.pem");
    let renamed = vec![
        ("BFF_KID", "renamed"),
        ("BFF_JWT_SIGNING_KEY", key.to_str().unwrap()),
        ("BFF_STATE_DIR", restored.to_str().unwrap()),
    ];
    for (changes, first) in [
        (vec![("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_post")], "method"),
        (renamed, "jwks"),
        (vec![("DCR_REDIRECT_URIS", uris.as_str())], "redirect_uris"),
        (vec![("OIDC_SCOPES", "openid billing")], "scopes"),
        (vec![("DCR_CLIENT_ID", "somebody-else")], "registration"),
    ] {
        let (code, report) = check(&stack, &changes).await;
        assert_ne!(code, 0, "{first}");
        assert_eq!(failed(&report).first(), Some(&first), "{report:#}");
    }
}

#[tokio::test]
async fn an_initial_access_token_is_tried_without_being_spent() {
    let stack = Stack::prepare(&json!({})).await;
    let token = stack.provider.mint().await;
    let (code, report) = check(&stack, &[("DCR_IAT", &token)]).await;
    assert_eq!(code, 0, "{report:#}");
    assert!(report.to_string().contains("the IdP takes DCR_IAT"), "{report:#}");
    assert_eq!(stack.provider.clients().await, [] as [String; 0]);
    assert_eq!(stack.provider.unused_initial_access_tokens().await, 1);
    let (code, report) = check(&stack, &[("DCR_IAT", "never-minted-by-anybody")]).await;
    assert_eq!((code, failed(&report)), (1, vec!["registration"]), "{report:#}");
    assert!(report.to_string().contains("mint a new one"), "{report:#}");

    let (code, text) = stack.run(&["register"], &[("BFF_BASE_URL", "")]).await;
    assert_eq!(code, 77, "{text}");
    assert!(text.contains("mint an initial access token at the IdP"), "{text}");
}
