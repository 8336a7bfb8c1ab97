//! An address of the IdP is wrong, in the settings or at the IdP.

use devstack_idp::{Endpoint, Fault};
use serde_json::json;

use super::Harness;
use crate::support::Stack;

#[tokio::test]
async fn endpoints_that_lead_nowhere() {
    let harness = Harness::start().await;
    let issuer = &harness.stack.issuer;
    for (variable, member, prevents_logins) in [
        ("OIDC_AUTHORIZATION_URL", "authorization_endpoint", true),
        ("OIDC_TOKEN_URL", "token_endpoint", true),
        ("OIDC_PAR_URL", "pushed_authorization_request_endpoint", true),
        ("OIDC_USERINFO_URL", "userinfo_endpoint", false),
        ("OIDC_REVOCATION_URL", "revocation_endpoint", false),
        ("OIDC_END_SESSION_URL", "end_session_endpoint", false),
    ] {
        let found = harness.check(&[(variable, &format!("{issuer}/misspelt"))]).await;
        assert_eq!(found.code, 1, "{variable} {:#}", found.report);
        assert_eq!(found.failed()[0], "discovery", "{variable} {:#}", found.report);
        let fix = format!("correct {variable}");
        found.blames("discovery", &["nothing serves the", member, "404", &fix]);
        let what = found.row("discovery")["what"].to_string();
        assert_eq!(what.contains("nobody could log in"), prevents_logins, "{what}");
    }
}

/// The address of our keys in the place of the one of the IdP's: they are readable, and verify no ID token.
#[tokio::test]
async fn our_own_keys_in_the_place_of_the_idps() {
    let harness = Harness::start().await;
    let own = format!("{}/.well-known/jwks.json", harness.stack.variable("BFF_BASE_URL"));
    let found = harness.check(&[("OIDC_JWKS_URL", &own)]).await;
    assert_eq!(found.code, 1, "{:#}", found.report);
    assert_eq!(found.failed(), ["discovery"], "{:#}", found.report);
    found.blames("discovery", &["read from this server", "remove OIDC_JWKS_URL"]);
}

/// Addresses that follow from a setting have the cause of that setting.
#[tokio::test]
async fn addresses_that_follow_from_others() {
    let harness = Harness::of(Stack::builder().set("BFF_BASE_URL", "")).await;
    let uris = harness.stack.variable("DCR_REDIRECT_URIS");
    let moved = uris.replacen("127.0.0.1", "[::1]", 1);
    let found = harness.check(&[("DCR_REDIRECT_URIS", &moved)]).await;
    assert_eq!(found.failed(), ["redirect_uris"], "{:#}", found.report);
    found.blames("redirect_uris", &["correct DCR_REDIRECT_URIS"]);
    found.says("registration", "ok", &[]);

    let harness = Harness::start().await;
    let keys = format!("{}/.well-known/jwks.json", harness.stack.variable("BFF_BASE_URL"));
    let other = [
        ("BFF_BASE_URL", "http://other.localhost:8000"),
        ("DCR_JWKS_URI", &keys),
    ];
    let found = harness.check(&other).await;
    assert_eq!(found.failed(), ["registration"], "{:#}", found.report);
    found.blames(
        "registration",
        &["backchannel_logout_uri", "put BFF_BASE_URL back"],
    );
}

/// Requests that the server would send in a form that the IdP does not take.
#[tokio::test]
async fn pushed_requests_that_do_not_fit() {
    let harness = Harness::start().await;
    let found = harness
        .check(&[("OIDC_PAR_URL", "none"), ("MS_BFF_PAR_ENABLED", "true")])
        .await;
    assert_eq!(found.code, 1, "{:#}", found.report);
    found.blames(
        "discovery",
        &["pushed", "OIDC_PAR_URL", "MS_BFF_PAR_ENABLED=auto"],
    );

    harness
        .stack
        .idp
        .on_discovery(|document| document["require_pushed_authorization_requests"] = json!(true));
    let found = harness.check(&[("MS_BFF_PAR_ENABLED", "false")]).await;
    found.blames(
        "discovery",
        &["demands pushed requests", "MS_BFF_PAR_ENABLED=auto"],
    );
    let found = harness.check(&[]).await;
    assert_eq!(found.failed(), [] as [&str; 0], "{:#}", found.report);

    harness
        .stack
        .idp
        .on_discovery(|document| document["code_challenge_methods_supported"] = json!(["plain"]));
    let found = harness.check(&[]).await;
    let notes = found.report["notes"].to_string();
    assert!(notes.contains("S256"), "{notes}");
}

/// An IdP that fails at the moment needs no change of a setting.
#[tokio::test]
async fn an_idp_that_fails_for_a_while() {
    let harness = Harness::start().await;
    for (endpoint, status) in [
        (Endpoint::Discovery, 503),
        (Endpoint::Discovery, 429),
        (Endpoint::Jwks, 500),
    ] {
        harness
            .stack
            .idp
            .fail_always(endpoint, Fault::oauth_error(status, "temporarily_unavailable"));
        let found = harness.check(&[]).await;
        found.blames("discovery", &[&status.to_string(), "try again later"]);
        harness.stack.idp.heal(endpoint);
    }
}
