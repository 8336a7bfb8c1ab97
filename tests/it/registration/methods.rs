//! From one method of client authentication to another, by the environment and an update of the registration: the recipe
//! in docs/registration.md.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Control, Endpoint, Fault, Recorded, UpdateMethod};
use serde_json::Value;
use tokio::sync::Notify;

use super::{calls, file, fresh_iat, registered};
use crate::support::{Browser, Builder, Logs, Stack, pause};

const KEY: &str = "private_key_jwt";
const HEADER: &str = "client_secret_basic";
const FORM: &str = "client_secret_post";

/// Profiles of the IdP allow one method each, so that a switch changes both variables.
fn profile(method: &str) -> &'static str {
    match method {
        HEADER => "code-flow-secret",
        FORM => "code-flow-secret-post",
        _ => "code-flow-pkjwt",
    }
}

fn starting_with(method: &str) -> Builder {
    Stack::builder()
        .set("MS_BFF_TOKEN_AUTH_METHOD", method)
        .set("DCR_CLIENT_PROFILE", profile(method))
}

/// The recipe: the variables, a restart, no initial access token.
async fn switch(stack: &mut Stack, method: &str) {
    stack
        .restart_with(&[
            ("DCR_IAT", ""),
            ("MS_BFF_TOKEN_AUTH_METHOD", method),
            ("DCR_CLIENT_PROFILE", profile(method)),
        ])
        .await;
}

/// How a request proves who it comes from.
fn proof(request: &Recorded) -> &'static str {
    let basic = request
        .header("authorization")
        .is_some_and(|value| value.starts_with("Basic "));
    match (
        basic,
        request.field("client_secret"),
        request.field("client_assertion"),
    ) {
        (true, None, None) => HEADER,
        (false, Some(_), None) => FORM,
        (false, None, Some(_)) => KEY,
        other => panic!("{other:?}"),
    }
}

async fn api_token(ada: &Browser, stack: &Stack) -> String {
    let reply = ada.get("/api/hello").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    stack.api.last().header("authorization").unwrap().to_owned()
}

/// Waits until calls carry another access token.
async fn is_renewed(ada: &Browser, stack: &Stack, token: &str) {
    for _ in 0..1_000 {
        if api_token(ada, stack).await != token {
            return;
        }
        pause().await;
    }
    panic!("the access token was not renewed");
}

/// A login, a refresh and a logout, each request to the IdP with `method`.
async fn works_with(stack: &mut Stack, method: &str) {
    stack.idp.clear_requests();
    let ada = stack.browser();
    ada.log_in().await;
    let token = api_token(&ada, stack).await;
    stack
        .advance_until("a refresh is asked for", Duration::from_mins(1), |stack| {
            stack.idp.count(Endpoint::Token) == 2
        })
        .await;
    is_renewed(&ada, stack, &token).await;
    ada.post("/auth/logout").await;
    stack
        .until("the tokens are revoked", |stack| {
            stack.idp.count(Endpoint::Revoke) > 0
        })
        .await;
    for endpoint in [Endpoint::Par, Endpoint::Token, Endpoint::Revoke] {
        for request in stack.idp.requests(endpoint) {
            assert_eq!(proof(&request), method, "{endpoint:?}");
        }
    }
}

/// Goes this way, with a whole session at each stop.
async fn goes(way: &[&str], prepare: impl FnOnce(&Control) + 'static) {
    let logs = Logs::capture();
    let (first, others) = way.split_first().unwrap();
    let mut stack = starting_with(first).prepare(prepare).start().await;
    works_with(&mut stack, first).await;
    for method in others {
        let before = file(&stack);
        logs.clear();
        stack.idp.clear_requests();
        switch(&mut stack, method).await;
        let line = logs.has_part("INFO", "registration updated: ");
        assert!(line.contains("token_endpoint_auth_method: "), "{line}");
        let updated = calls(&stack).pop().unwrap();
        assert!(
            updated == "PUT /register/bff-server" || updated == "PATCH /register/bff-server",
            "{updated}"
        );
        assert_eq!(registered(&stack)["token_endpoint_auth_method"], *method);
        let now = file(&stack);
        if *method == KEY {
            assert_eq!(
                now.get("client_secret"),
                None,
                "a secret that was given up is kept"
            );
            assert_eq!(registered(&stack)["token_endpoint_auth_signing_alg"], "ES256");
        } else {
            let secret = now["client_secret"].as_str().unwrap();
            assert!(!logs.text().contains(secret), "the secret was logged");
            let had_one = before["client_secret"].is_string();
            assert_eq!(had_one, before["client_secret"] == secret);
            // A PATCH keeps it, because it has no meaning there (RFC 7591 section 2).
            if updated.starts_with("PUT") {
                assert_eq!(registered(&stack).get("token_endpoint_auth_signing_alg"), None);
            }
        }
        works_with(&mut stack, method).await;
        logs.clear();
        stack.restart_with(&[]).await;
        logs.has_line("INFO", "registration unchanged");
    }
    assert_eq!(stack.idp.client_ids(), ["bff-server"]);
}

#[tokio::test]
async fn methods_switch_from_key_to_basic_to_post_and_back() {
    goes(&[KEY, HEADER, FORM, KEY], |_| {}).await;
}

#[tokio::test]
async fn methods_switch_from_key_to_post_to_basic_and_back() {
    goes(&[KEY, FORM, HEADER, KEY], |idp| idp.rotate_rat_on_update(true)).await;
}

#[tokio::test]
async fn from_a_secret_to_the_key_and_back_where_updates_are_patches() {
    goes(&[HEADER, KEY, HEADER], |idp| {
        idp.update_method(UpdateMethod::Patch);
    })
    .await;
}

/// The log says so.
#[tokio::test]
async fn an_unsupported_method_keeps_the_registered_one() {
    for (method, wanted) in [(KEY, HEADER), (HEADER, FORM), (FORM, KEY)] {
        let logs = Logs::capture();
        let mut stack = starting_with(method).start().await;
        logs.clear();
        // The profile was forgotten, and allows the old method only.
        stack
            .restart_with(&[("DCR_IAT", ""), ("MS_BFF_TOKEN_AUTH_METHOD", wanted)])
            .await;
        let error = logs.has_part("ERROR", "the stored registration stays in use");
        for part in [
            "invalid_client_metadata",
            profile(method),
            "DCR_CLIENT_PROFILE",
            "MS_BFF_TOKEN_AUTH_METHOD",
        ] {
            assert!(error.contains(part), "no {part} in {error}");
        }
        logs.has_part(
            "WARN",
            &format!("is registered with {method}, not with {wanted} as configured"),
        );
        works_with(&mut stack, method).await;

        // Also while the IdP is down, and with registration skipped.
        stack
            .idp
            .fail_next(Endpoint::RegistrationManagement, Fault::status(503));
        stack.restart_with(&[]).await;
        works_with(&mut stack, method).await;
        stack.restart_with(&[("SKIP_DCR_BOOTSTRAP", "true")]).await;
        works_with(&mut stack, method).await;

        // Mended.
        stack.restart_with(&[("SKIP_DCR_BOOTSTRAP", "")]).await;
        logs.clear();
        switch(&mut stack, wanted).await;
        logs.has_part("INFO", "registration updated: ");
        works_with(&mut stack, wanted).await;
    }
}

/// Sessions live on.
#[tokio::test]
async fn an_interrupted_switch_of_methods_is_completed_later() {
    let mut stack = starting_with(KEY).start().await;
    stack
        .idp
        .fail_next(Endpoint::RegistrationManagement, Fault::status(503));
    switch(&mut stack, HEADER).await;
    stack.idp.clear_requests();
    let ada = stack.browser();
    ada.log_in().await;
    let token = api_token(&ada, &stack).await;
    stack
        .advance_until("it is made up for", Duration::from_secs(10), |stack| {
            registered(stack)["token_endpoint_auth_method"] == HEADER
        })
        .await;
    // A session that began with the key is renewed with the secret.
    stack
        .advance_until("a refresh is asked for", Duration::from_mins(1), |stack| {
            stack.idp.count(Endpoint::Token) == 2
        })
        .await;
    is_renewed(&ada, &stack, &token).await;
    let proofs: Vec<&str> = stack.idp.requests(Endpoint::Token).iter().map(proof).collect();
    assert_eq!(proofs, [KEY, HEADER]);
}

/// The log tells of the loss.
#[tokio::test]
async fn switching_back_replaces_a_lost_secret() {
    let mut stack = starting_with(KEY).start().await;
    // The IdP reads, updates, and its answer with the new secret never arrives.
    let at_once = Arc::new(Notify::new());
    at_once.notify_one();
    let management = Endpoint::RegistrationManagement;
    stack.idp.fail_next(management, Fault::HoldUntil(at_once));
    stack.idp.fail_next(management, Fault::CloseAfterProcessing);
    stack
        .restart_without_waiting(&[
            ("DCR_IAT", ""),
            ("MS_BFF_TOKEN_AUTH_METHOD", HEADER),
            ("DCR_CLIENT_PROFILE", profile(HEADER)),
        ])
        .await;
    stack.ready().await;
    stack.advance(Duration::from_secs(2)).await;
    let error = crate::support::told(&stack.ended().await);
    for part in [
        "bff-server",
        "client_secret_basic",
        "no secret",
        "MS_BFF_TOKEN_AUTH_METHOD=private_key_jwt",
    ] {
        assert!(error.contains(part), "no {part} in {error}");
    }

    switch(&mut stack, KEY).await;
    works_with(&mut stack, KEY).await;
    switch(&mut stack, HEADER).await;
    works_with(&mut stack, HEADER).await;
}

/// Switching the method gives it up.
#[tokio::test]
async fn a_deviating_secret_hinders_no_update() {
    let logs = Logs::capture();
    let mut stack = starting_with(HEADER).start().await;
    let mut stored = file(&stack);
    stored["client_secret"] = "another-one".into();
    std::fs::write(stack.credentials(), stored.to_string()).unwrap();
    logs.clear();
    stack
        .restart_with(&[("OIDC_SCOPES", "openid offline_access")])
        .await;
    logs.has_part("INFO", "registration updated: scope: ");
    let warning = logs.has_part("WARN", "only without the client secret of bff_client.json");
    assert!(!warning.contains("another-one"), "{warning}");

    switch(&mut stack, KEY).await;
    works_with(&mut stack, KEY).await;
    switch(&mut stack, HEADER).await;
    works_with(&mut stack, HEADER).await;
}

#[tokio::test]
async fn a_replacement_with_another_method_needs_no_switch() {
    let mut stack = starting_with(KEY).start().await;
    // The client cannot be managed any more, and it was removed.
    assert!(stack.idp.remove_client("bff-server").unwrap());
    let iat = fresh_iat(&stack);
    stack
        .restart_with(&[
            ("DCR_IAT", &iat),
            ("DCR_FORCE_REPLACE", "true"),
            ("MS_BFF_TOKEN_AUTH_METHOD", FORM),
            ("DCR_CLIENT_PROFILE", profile(FORM)),
        ])
        .await;
    assert_ne!(file(&stack)["client_secret"], Value::Null);
    works_with(&mut stack, FORM).await;
}
