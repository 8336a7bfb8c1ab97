//! Facts about the IdP that belong together: the form of an answer, an issuer and its address, the keys that are not usable.
//! The doctor, its JSON and the log of a start say the same.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault};
use serde_json::{Value, json};

use super::{Harness, agree_in_log, check, run};
use crate::support::{Logs, Process, Stack};

/// The server reads the keys of the IdP again after an hour.
const KEYS_ARE_OLD: Duration = Duration::from_mins(61);

async fn never_started() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_described() {
    let stack = never_started().await;
    for (fault, parts) in [
        (
            Fault::html(200),
            &[
                "is not a JSON object, but an HTML page (content type text/html",
                "not a page before it",
            ][..],
        ),
        (
            Fault::text(200, "application/json", ""),
            &["but an empty body (content type application/json)", "OIDC_ISSUER"],
        ),
        (
            Fault::text(200, "application/json", "\u{1f}\0{\0"),
            &["but text in UTF-16 (content type application/json)", "send UTF-8"],
        ),
        (
            Fault::text(200, "text/xml", "<?xml version=\"1.0\"?><md:EntityDescriptor/>"),
            &["but XML (content type text/xml)", "OIDC_ISSUER"],
        ),
        (
            Fault::text(200, "application/json", "{\"issuer\": \"https://idp"),
            &[
                "but JSON that breaks off (content type application/json)",
                "OIDC_ISSUER",
            ],
        ),
    ] {
        stack.idp.fail_always(Endpoint::Discovery, fault);
        agree_in_log(&stack, &[], "discovery", parts).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_json_at_an_endpoint() {
    let harness = Harness::start().await;
    for (endpoint, fault, part) in [
        (
            Endpoint::Par,
            Fault::html(403),
            "403 Forbidden without an OAuth error, but an HTML page",
        ),
        (
            Endpoint::Par,
            Fault::text(403, "text/plain", "blocked"),
            "but text that is not JSON (content type text/plain)",
        ),
        (
            Endpoint::Par,
            Fault::text(201, "application/json", "[]"),
            "it is not a JSON object, but a JSON array",
        ),
    ] {
        harness.stack.idp.fail_always(endpoint, fault);
        let found = harness.check(&[]).await;
        found.blames("discovery", &["gives no OAuth answer", "OIDC_PAR_URL"]);
        found.says("authentication", "failed", &[part, "OIDC_PAR_URL"]);
        harness.stack.idp.heal_all();
    }
}

#[tokio::test]
async fn an_issuer_and_the_address_of_another_idp() {
    let (stack, other) = (never_started().await, never_started().await);
    let another = "the address at which this server reaches the IdP is that of another one";
    for issuer in [
        stack.issuer.as_str(),
        "https://idp.example",
        "https://idp.example/realms/one",
    ] {
        let changes = [("OIDC_ISSUER", issuer), ("IDP_BASE_URL", other.issuer.as_str())];
        let itself = "names itself after the address at which this server asks it";
        agree_in_log(
            &stack,
            &changes,
            "issuer",
            &[itself, "give the IdP the fixed name "],
        )
        .await;
        // It has a name of its own.
        let own = "https://other.example";
        let document = json!({"issuer": own});
        other
            .idp
            .fail_always(Endpoint::Discovery, Fault::json(200, &document));
        let set = format!("set OIDC_ISSUER={own} if that is your IdP");
        agree_in_log(
            &stack,
            &changes,
            "issuer",
            &[another, "let IDP_BASE_URL be the address of ", issuer, &set],
        )
        .await;
        other.idp.heal_all();
    }
    // The same name in another spelling.
    let document = json!({"issuer": "https://idp.example/"});
    other
        .idp
        .fail_always(Endpoint::Discovery, Fault::json(200, &document));
    let changes = [
        ("OIDC_ISSUER", "https://idp.example"),
        ("IDP_BASE_URL", other.issuer.as_str()),
    ];
    agree_in_log(
        &stack,
        &changes,
        "issuer",
        &["equal to the letter", "set OIDC_ISSUER=https://idp.example/"],
    )
    .await;
}

#[tokio::test]
async fn keys_of_the_idp_that_cannot_be_used() {
    let stack = never_started().await;
    let small = "w".repeat(171);
    for (set, parts) in [
        (
            json!({"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "x5c": ["MIIB"], "e": "AQAB"}, {"kty": "oct", "kid": "two"}]}),
            &[
                "key one: `n` is missing; key two: its `kty` is oct",
                "OIDC_JWKS_URL",
            ][..],
        ),
        (
            json!({"keys": [{"kty": "RSA", "kid": "three", "n": small, "e": "AQAB"}]}),
            &["key three: it has 1024 bits, and RSA keys have 2048 to 8192 here"],
        ),
        (
            json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "four", "use": "enc", "x": "AA", "y": "AA"}]}),
            &["key four: its `use` is enc"],
        ),
        (json!({"keys": []}), &["its array `keys` is empty"]),
        (json!({"jwks": []}), &["it has no array `keys`"]),
    ] {
        stack.idp.fail_always(Endpoint::Jwks, Fault::json(200, &set));
        let found = check(&stack, &[]).await;
        found.blames("discovery", parts);
    }
    stack
        .idp
        .fail_always(Endpoint::Jwks, Fault::text(200, "text/html", "<html>log in"));
    check(&stack, &[])
        .await
        .blames("discovery", &["it is an HTML page (content type text/html)"]);
}

/// The others verify what they sign.
#[tokio::test]
async fn broken_keys_beside_usable_ones_are_told() {
    let stack = never_started().await;
    stack.idp.on_jwks(|set: &mut Value| {
        let keys = set["keys"].as_array_mut().unwrap();
        keys.push(json!({"kty": "RSA", "kid": "broken", "use": "sig", "e": "AQAB"}));
        keys.push(json!({"kty": "RSA", "kid": "other", "use": "enc", "n": "AA", "e": "AQAB"}));
    });
    let found = check(&stack, &[]).await;
    assert_eq!(found.failed(), [] as [&str; 0], "{:#}", found.report);
    let notes = found.report["notes"].to_string();
    let said = "keys that cannot be used; what they sign is refused";
    assert!(
        notes.contains(said) && notes.contains("key broken: `n` is missing"),
        "{notes}"
    );
    assert!(!notes.contains("key other"), "{notes}");
}

/// A list of scopes may be incomplete (OpenID Connect Discovery 1.0 section 3).
#[tokio::test]
async fn scopes_that_the_idp_grants_without_listing_them() {
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .on_discovery(|document| document["scopes_supported"] = json!(["openid"]));
    let by_hand = [
        ("DCR_ENABLED", "false"),
        ("AUTH_CLIENT_ID", "bff-server"),
        ("DCR_CLIENT_ID", ""),
    ];
    let not_pushed = [&by_hand[..], &[("MS_BFF_PAR_ENABLED", "false")]].concat();
    let unread = [("SKIP_DCR_BOOTSTRAP", "true")];
    for changes in [&[][..], &by_hand, &not_pushed, &unread] {
        let found = harness.check(changes).await;
        assert_eq!(found.failed(), [] as [&str; 0], "{:#}", found.report);
        let table = run(&harness.stack, &["check"], changes).await;
        assert_eq!(table.code, 0, "{}", table.output);
    }
    let found = harness.check(&by_hand).await;
    found.says(
        "scopes",
        "skipped",
        &[
            "the IdP does not offer",
            "the IdP takes requests with them all the same",
        ],
    );
    let found = harness.check(&not_pushed).await;
    found.says("scopes", "skipped", &["a list may be incomplete"]);
    let found = harness.check(&unread).await;
    found.says(
        "scopes",
        "skipped",
        &["the IdP takes requests with them all the same"],
    );
    let port = crate::support::Port::reserve();
    let mut variables = harness.stack.variables.clone();
    variables.retain(|(name, _)| name != "PORT");
    variables.push(("PORT".to_owned(), port.address().port().to_string()));
    let mut started = Process::start(&harness.stack.folder(), &[], &variables);
    started.says("registration unchanged").await;
    assert!(!started.output().contains("scope"), "{}", started.output());
    started.terminate();
    started.ended().await;
}

/// The token and the client are refused together.
#[tokio::test]
async fn a_client_that_was_deleted_at_the_idp() {
    let harness = Harness::start().await;
    assert!(harness.stack.idp.remove_client("bff-server").unwrap());
    let deleted = "the client bff-server was deleted at the IdP";
    for fault in [
        Fault::oauth_error(401, "invalid_token"),
        Fault::oauth_error(401, "invalid_client"),
        Fault::status(401),
    ] {
        harness
            .stack
            .idp
            .fail_always(Endpoint::RegistrationManagement, fault);
        let found = harness.check(&[]).await;
        found.blames("registration", &[deleted, "invalid_client", "DCR_IAT"]);
        found.says("authentication", "failed", &["fix registration first"]);
        let table = run(&harness.stack, &["check"], &[]).await;
        let text = table.output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(deleted), "{text}");
        let port = crate::support::Port::reserve();
        let mut variables = harness.stack.variables.clone();
        variables.retain(|(name, _)| name != "PORT");
        variables.push(("PORT".to_owned(), port.address().port().to_string()));
        let mut started = Process::start(&harness.stack.folder(), &[], &variables);
        started.says(deleted).await;
        started.terminate();
        started.ended().await;
    }
}

/// The log of a server says it once, although the keys are read again.
#[tokio::test]
async fn broken_keys_are_told_in_the_log_once() {
    let stack = Stack::start().await;
    stack.browser().log_in().await;
    stack.idp.clear_requests();
    let logs = Logs::capture();
    stack.idp.on_jwks(|set: &mut Value| {
        let keys = set["keys"].as_array_mut().unwrap();
        keys.push(json!({"kty": "RSA", "kid": "broken", "use": "sig", "e": "AQAB"}));
        keys.push(json!({"kty": "EC", "crv": "P-256", "kid": "short", "use": "sig", "x": "AA"}));
    });
    for reads in 1..=2 {
        stack.advance(KEYS_ARE_OLD).await;
        stack.browser().log_in().await;
        assert_eq!(stack.idp.count(Endpoint::Jwks), reads);
        let line = logs.has_part("WARN", "keys that cannot be used; what they sign is refused");
        for part in ["key broken: `n` is missing", "key short: `y` is missing"] {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
        assert_eq!(logs.text().matches("key broken").count(), 1, "{}", logs.text());
    }
}
