//! Each row of the table of errors: provoked, and told with what to do.

use std::{fs, time::Duration};

use devstack_idp::{AssertionAudience, Endpoint, Fault, MintIat};

use super::{Harness, check, run};
use crate::support::{Builder, Port, Stack};

async fn unregistered(builder: Builder) -> Stack {
    builder.without_server().start_without_waiting().await
}

/// `bff register` is refused with 77 and says `parts`.
async fn refused(stack: &Stack, changes: &[(&str, &str)], parts: &[&str]) {
    let ended = run(stack, &["register"], changes).await;
    assert_eq!(ended.code, 77, "{}", ended.output);
    for part in parts {
        assert!(ended.output.contains(part), "no {part:?} in:\n{}", ended.output);
    }
}

#[tokio::test]
async fn invalid_scope_at_registration() {
    let stack = unregistered(Stack::builder().prepare(|idp| {
        idp.change_dcr(|dcr| {
            dcr.policy
                .allowed_scopes
                .retain(|scope| scope != "offline_access");
        });
    }))
    .await;
    let found = check(&stack, &[]).await;
    found.blames(
        "scopes",
        &[
            "does not offer offline_access",
            "policy.allowed_scopes",
            "restart the IdP",
            "OIDC_SCOPES",
        ],
    );
    refused(
        &stack,
        &[],
        &[
            "invalid_scope",
            "refused are \"offline_access\"",
            "policy.allowed_scopes",
            "restart it",
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_redirect_uri() {
    let stack = unregistered(Stack::builder()).await;
    let uri = "http://app.example/auth/callback";
    let changes = [("DCR_REDIRECT_URIS", uri), ("BFF_DANGER_ALLOW_HTTP", "true")];
    refused(
        &stack,
        &changes,
        &[
            "invalid_redirect_uri",
            uri,
            "trailing slash",
            "DCR_FORCE_REPLACE=true",
        ],
    )
    .await;
}

#[tokio::test]
async fn invalid_client() {
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .require_assertion_audience(AssertionAudience::TokenEndpoint);
    let found = harness.check(&[]).await;
    found.blames(
        "authentication",
        &["another audience", "BFF_ASSERTION_AUDIENCE=token_endpoint"],
    );
    assert_eq!(
        harness
            .check(&[("BFF_ASSERTION_AUDIENCE", "token_endpoint")])
            .await
            .code,
        0,
        "as it said"
    );

    harness
        .stack
        .idp
        .require_assertion_audience(AssertionAudience::Any);
    harness.stack.idp.refuse_assertion_typ(true);
    let found = harness.check(&[]).await;
    found.blames("authentication", &["`typ`", "BFF_ASSERTION_TYP=none"]);
    let code = harness.check(&[("BFF_ASSERTION_TYP", "none")]).await.code;
    assert_eq!(code, 0, "as it said");
    harness.stack.idp.refuse_assertion_typ(false);

    // The reason is invisible from here, so the doctor reports the whole request.
    let fault = Fault::oauth_error(401, "invalid_client");
    harness.stack.idp.fail_always(Endpoint::Par, fault.clone());
    harness.stack.idp.fail_always(Endpoint::Token, fault);
    let found = harness.check(&[]).await;
    found.blames(
        "authentication",
        &[
            "client `bff-server`",
            "private_key_jwt",
            "kid `",
            "(in our JWKS)",
            "alg ES256",
            "aud `",
            "it may keep an answer from before",
        ],
    );
}

#[tokio::test]
async fn a_client_secret_that_is_not_the_clients() {
    let stack = unregistered(Stack::builder().set("DCR_CLIENT_PROFILE", "code-flow-secret")).await;
    let method = [("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic")];
    let ended = run(&stack, &["register"], &method).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert_eq!(check(&stack, &method).await.code, 0);
    let text = fs::read_to_string(stack.credentials()).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let secret = file["client_secret"].as_str().unwrap();
    fs::write(stack.credentials(), text.replace(secret, "planted-and-wrong")).unwrap();
    let found = check(&stack, &method).await;
    found.blames(
        "authentication",
        &["invalid_client", "client_secret_basic", "AUTH_CLIENT_SECRET"],
    );
    let mut expired = file.clone();
    expired["client_secret_expires_at"] = 1_600_000_000.into();
    fs::write(stack.credentials(), expired.to_string()).unwrap();
    let found = check(&stack, &method).await;
    found.blames("method", &["has expired", "days ago", "DCR_FORCE_REPLACE=true"]);
}

#[tokio::test]
async fn without_pushed_requests_a_made_up_code_proves_it() {
    let harness = Harness::of(Stack::builder().set("MS_BFF_PAR_ENABLED", "false")).await;
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    found.says("authentication", "ok", &["a token request with a made-up code"]);
    assert_eq!(harness.stack.idp.count(Endpoint::Par), 0);
    // One to see whether the endpoint is there, and one with the made-up code.
    let asked = harness.stack.idp.requests(Endpoint::Token);
    let proofs = asked.iter().filter(|request| request.assertion().is_some());
    assert_eq!((asked.len(), proofs.count()), (2, 1));
    found.says("redirect_uris", "ok", &[]);
}

#[tokio::test]
async fn a_registration_access_token_that_is_no_longer_valid() {
    let harness = Harness::start().await;
    for status in [401, 403] {
        let fault = Fault::oauth_error(status, "invalid_token");
        harness
            .stack
            .idp
            .fail_always(Endpoint::RegistrationManagement, fault);
        let found = harness.check(&[]).await;
        let code = status.to_string();
        found.blames(
            "registration",
            &["registration access token", &code, "DCR_FORCE_REPLACE=true"],
        );
        // The client itself works.
        found.says("authentication", "ok", &[]);
        assert_eq!(found.code, 1);
    }
    harness.stack.idp.heal_all();
    assert!(harness.stack.idp.remove_client("bff-server").unwrap());
    let found = harness.check(&[]).await;
    found.blames(
        "registration",
        &[
            "the client bff-server was deleted at the IdP",
            "invalid_client",
            "DCR_IAT",
            "bff_client.json",
        ],
    );
    found.says("authentication", "failed", &["fix registration first"]);
    let fresh = harness.stack.idp.mint_iat(MintIat::default());
    let found = harness.check(&[("DCR_IAT", &fresh)]).await;
    let notes = found.report["notes"].to_string();
    assert!(
        notes.contains("the next start would register a new client in the place of bff-server, with DCR_IAT: it was deleted"),
        "{notes}"
    );
}

#[tokio::test]
async fn neither_credentials_nor_token() {
    let stack = unregistered(Stack::builder().without_iat()).await;
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 1);
    found.blames(
        "registration",
        &[
            "no client credentials in",
            "bff_client.json",
            "mint an initial access token",
            "DCR_IAT",
        ],
    );
    refused(&stack, &[], &["no client credentials in", "DCR_IAT"]).await;
    // With an administrator's token there is a way.
    let found = check(&stack, &[("BOOTSTRAP_ADMIN_TOKEN", "admin-token")]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    assert_eq!(
        stack.idp.count(Endpoint::AdminIat),
        0,
        "nothing is minted by looking"
    );
}

#[tokio::test]
async fn a_client_id_that_is_taken() {
    let stack = unregistered(Stack::builder()).await;
    assert_eq!(run(&stack, &["register"], &[]).await.code, 0);
    fs::remove_file(stack.credentials()).unwrap();
    let iat = stack.idp.mint_iat(MintIat {
        expires_in: Duration::from_mins(5),
        ..MintIat::default()
    });
    refused(
        &stack,
        &[("DCR_IAT", &iat)],
        &["bff-server is taken", "restore", "have the client removed"],
    )
    .await;
}

#[tokio::test]
async fn an_idp_that_cannot_be_reached_or_is_none() {
    let harness = Harness::start().await;
    let nobody = Port::reserve();
    let nowhere = format!("http://{}", nobody.address());
    let found = harness.check(&[("OIDC_ISSUER", &nowhere)]).await;
    assert_eq!(found.code, 69);
    found.blames(
        "discovery",
        &[&nowhere, "refused", "correct OIDC_ISSUER, which points there"],
    );
    let found = harness.check(&[("IDP_BASE_URL", &nowhere)]).await;
    found.blames(
        "discovery",
        &[&nowhere, "correct IDP_BASE_URL, which points there"],
    );
    let tls = harness.stack.issuer.replace("http:", "https:");
    let found = harness.check(&[("OIDC_ISSUER", &tls)]).await;
    assert_eq!(found.code, 69);
    found.blames("discovery", &[&tls, "does not speak TLS", "OIDC_ISSUER"]);

    for (fault, part) in [
        (Fault::html(200), "not a JSON object"),
        (Fault::html(503), "503"),
        (Fault::CloseWithoutAnswer, "broke"),
        (Fault::CutBody, "broke"),
    ] {
        harness.stack.idp.fail_always(Endpoint::Discovery, fault);
        let found = harness.check(&[]).await;
        assert_eq!(found.code, 69, "{part}");
        found.blames("discovery", &[part, "OIDC_ISSUER"]);
        let ended = run(&harness.stack, &["register"], &[]).await;
        assert_eq!(ended.code, 69, "{}", ended.output);
    }
    harness
        .stack
        .idp
        .fail_always(Endpoint::Discovery, Fault::redirect(302, &nowhere));
    let found = harness.check(&[]).await;
    found.blames("discovery", &["redirects are not followed", "OIDC_ISSUER"]);
    assert_eq!(found.code, 1);
}

#[tokio::test]
async fn a_page_in_the_place_of_one_endpoint() {
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .fail_always(Endpoint::RegistrationManagement, Fault::html(200));
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 69);
    found.blames(
        "registration",
        &["not a registration response", "registration_client_uri"],
    );
    harness.stack.idp.heal_all();
    harness.stack.idp.fail_always(Endpoint::Par, Fault::html(502));
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 69);
    found.blames("authentication", &["502"]);
    harness.stack.idp.heal_all();
    harness.stack.idp.fail_always(Endpoint::Jwks, Fault::html(500));
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 69);
    found.blames("discovery", &["own keys", "500", "jwks_uri"]);
    harness
        .stack
        .idp
        .fail_always(Endpoint::Jwks, Fault::json(200, &serde_json::json!({"keys": []})));
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 1);
    found.blames("discovery", &["is not a JWK Set with a key", "OIDC_JWKS_URL"]);
}

/// The only test that waits for a time-out of the machine's clock: a separate process has no other clock.
#[tokio::test]
async fn an_idp_that_never_answers() {
    let harness = Harness::start().await;
    harness.stack.idp.fail_always(Endpoint::Discovery, Fault::Hang);
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 69);
    found.blames("discovery", &["no answer in time", "OIDC_ISSUER"]);
}
