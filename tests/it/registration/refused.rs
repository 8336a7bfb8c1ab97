//! The IdP refuses, or there is no token: the process stops with the fix, or stays, as configured. Each row of the
//! contract's table of errors about registration.

use std::time::Duration;

use devstack_idp::{Control, Endpoint, Fault, MintIat};

use super::{calls, fresh_iat};
use crate::support::{Builder, Logs, Stack, told};

/// The output of a first start that the IdP refuses.
async fn refusal(stack: Builder) -> (Stack, String) {
    let mut stack = stack.start_without_waiting().await;
    let error = stack.ended().await;
    assert!(!error.is_configuration(), "{error}");
    let text = told(&error);
    assert!(text.contains("fix: "), "{text}");
    let iat = stack.variable("DCR_IAT");
    assert!(iat.is_empty() || !text.contains(&iat), "the token in the message");
    assert!(
        !stack.credentials().exists(),
        "nothing that looks like an identity"
    );
    assert!(stack.idp.client_ids().is_empty());
    (stack, text)
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

fn without_offline_access(idp: &Control) {
    idp.change_dcr(|dcr| {
        dcr.policy
            .allowed_scopes
            .retain(|scope| scope != "offline_access");
    });
}

#[tokio::test]
async fn refused_scopes_are_named_with_where_to_allow_them() {
    let (_, text) = refusal(Stack::builder().prepare(without_offline_access)).await;
    says(
        &text,
        &[
            "invalid_scope",
            r#"the request has "openid profile email offline_access""#,
            r#"refused are "offline_access""#,
            "policy.allowed_scopes",
            "restart it",
            "start again",
        ],
    );
}

#[tokio::test]
async fn refused_redirect_uris_are_listed_with_what_to_correct() {
    // The IdP has its own opinion on plain http.
    let uri = "http://app.example/auth/callback";
    let stack = Stack::builder()
        .set("DCR_REDIRECT_URIS", uri)
        .set("BFF_DANGER_ALLOW_HTTP", "true");
    let (_, text) = refusal(stack).await;
    says(
        &text,
        &[
            "invalid_redirect_uri",
            uri,
            "host, path and trailing slash must match exactly",
            "DCR_REDIRECT_URIS",
            "DCR_FORCE_REPLACE=true",
            "fresh DCR_IAT",
        ],
    );
}

#[tokio::test]
async fn a_token_that_is_expired_used_up_or_wrong_is_told_as_such() {
    let hint = [
        "401",
        "invalid_token",
        "expired, used up or wrong",
        "mint a new one",
        "DCR_IAT",
    ];
    let (stack, text) = refusal(Stack::builder().set("DCR_IAT", "never-minted-by-anybody")).await;
    says(&text, &hint);
    assert_eq!(calls(&stack), ["POST /register"], "asked once");

    let mut stack = Stack::start().await;
    let used = stack.variable("DCR_IAT");
    let brief = MintIat {
        expires_in: Duration::from_secs(5),
        ..MintIat::default()
    };
    let expired = stack.idp.mint_iat(brief);
    stack.advance(Duration::from_secs(10)).await;
    assert!(stack.idp.remove_client("bff-server").unwrap());
    for iat in [used, expired] {
        std::fs::remove_file(stack.credentials()).unwrap_or_default();
        stack.restart_without_waiting(&[("DCR_IAT", &iat)]).await;
        let error = stack.ended().await;
        assert!(!error.is_configuration());
        says(&told(&error), &hint);
    }
}

/// The message also names the variable.
#[tokio::test]
async fn missing_credentials_say_what_to_mint() {
    let (stack, text) = refusal(Stack::builder().without_iat()).await;
    says(
        &text,
        &[
            "no client credentials in",
            "bff_client.json",
            "mint an initial access token at the IdP",
            "DCR_IAT",
            "BOOTSTRAP_ADMIN_TOKEN",
        ],
    );
    assert!(calls(&stack).is_empty());
}

#[tokio::test]
async fn a_taken_client_id_says_to_restore_the_credentials() {
    let mut stack = Stack::start().await;
    std::fs::remove_file(stack.credentials()).unwrap();
    let iat = fresh_iat(&stack);
    for force in ["", "true"] {
        stack
            .restart_without_waiting(&[("DCR_IAT", &iat), ("DCR_FORCE_REPLACE", force)])
            .await;
        let error = stack.ended().await;
        assert!(!error.is_configuration());
        says(
            &told(&error),
            &[
                "the client id bff-server is taken",
                "restore bff_client.json",
                "have the client removed at the IdP",
                "DCR_CLIENT_ID",
            ],
        );
        assert!(!stack.credentials().exists());
    }
    // Removed, as the hint says, the token still registers.
    assert!(stack.idp.remove_client("bff-server").unwrap());
    stack.restart_with(&[]).await;
    stack.browser().log_in().await;
}

#[tokio::test]
async fn metadata_that_the_profile_does_not_allow_is_named() {
    for (profile, part) in [
        ("no-such-profile", "client_profile no-such-profile is not known"),
        (
            "code-flow-secret",
            "needs token_endpoint_auth_method client_secret_basic",
        ),
    ] {
        let (_, text) = refusal(Stack::builder().set("DCR_CLIENT_PROFILE", profile)).await;
        says(
            &text,
            &[
                "invalid_client_metadata",
                part,
                "DCR_CLIENT_PROFILE",
                "MS_BFF_TOKEN_AUTH_METHOD",
            ],
        );
    }
}

#[tokio::test]
async fn an_idp_that_cannot_reach_our_keys_is_told_with_the_variable() {
    let (_, text) = refusal(
        Stack::builder()
            .set("DCR_JWKS_URI", "http://127.0.0.1:1/.well-known/jwks.json")
            .prepare(|idp| idp.fetch_jwks_at_registration(true)),
    )
    .await;
    says(&text, &["invalid_client_metadata", "jwks_uri", "DCR_JWKS_URI"]);
}

#[tokio::test]
async fn other_refusals_name_the_address_and_what_points_there() {
    for status in [404, 405, 413] {
        let (_, text) = refusal(
            Stack::builder().prepare(move |idp| idp.fail_always(Endpoint::Register, Fault::html(status))),
        )
        .await;
        says(&text, &[&status.to_string(), "/register", "DCR_REGISTRATION_URL"]);
    }
}

#[tokio::test]
async fn an_admin_token_that_is_refused_is_told() {
    let (stack, text) = refusal(
        Stack::builder()
            .without_iat()
            .set("BOOTSTRAP_ADMIN_TOKEN", "wrong-admin"),
    )
    .await;
    says(
        &text,
        &[
            "/api/admin/dcr/initial-access-tokens",
            "401",
            "BOOTSTRAP_ADMIN_TOKEN",
            "DCR_IAT",
        ],
    );
    assert!(!text.contains("wrong-admin"));
    assert!(calls(&stack).is_empty());
}

/// It says why.
#[tokio::test]
async fn with_allowed_failure_the_server_lives_and_retries() {
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .set("ALLOW_BOOTSTRAP_FAILURE", "true")
        .prepare(without_offline_access)
        .start_without_waiting()
        .await;
    stack
        .until("the refusal is known", |stack| {
            stack.credentials_problem().is_some()
        })
        .await;
    let readiness = stack.is_live().await;
    assert_eq!(readiness.status, 503);
    let reason = &readiness.json()["components"]["credentials"]["reason"];
    says(reason.as_str().unwrap(), &["policy.allowed_scopes"]);
    let errors = logs.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    says(
        &errors[0],
        &["policy.allowed_scopes", "tried again, as configured"],
    );
    assert_eq!(stack.browser().get("/auth/login").await.status, 503);

    // Slowly: a refusal passes only when a person has done something.
    stack.advance(Duration::from_secs(149)).await;
    assert_eq!(calls(&stack), ["POST /register"]);
    stack
        .idp
        .change_dcr(|dcr| dcr.policy.allowed_scopes.push("offline_access".to_owned()));
    stack
        .advance_until("it is tried again", Duration::from_mins(10), |stack| {
            stack.idp.count(Endpoint::Register) == 2
        })
        .await;
    stack.ready().await;
    logs.has_line("INFO", "Client registered: bff-server");
    stack.browser().log_in().await;
}

#[tokio::test]
async fn with_allowed_failure_a_missing_token_stops_nothing() {
    // Its words are those of readiness, too.
    let _logs = Logs::capture();
    let mut stack = Stack::builder()
        .without_iat()
        .set("ALLOW_BOOTSTRAP_FAILURE", "true")
        .start_without_waiting()
        .await;
    stack
        .until("it is known", |stack| stack.credentials_problem().is_some())
        .await;
    assert_eq!(stack.is_live().await.status, 503);
    says(&stack.credentials_problem().unwrap(), &["DCR_IAT"]);
    assert!(calls(&stack).is_empty());
}
