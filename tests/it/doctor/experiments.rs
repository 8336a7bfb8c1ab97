//! A client that cannot be read is refused without a reason: the doctor changes one property of the request at a time, and
//! names the one that the IdP does not accept.

use std::{fs, path::Path};

use bff::{jose::SigningKey, keys::KeyKind};
use devstack_idp::{AssertionAudience, Endpoint, Fault};
use serde_json::{Value, json};

use super::{Found, Harness, breaks::inline, check, run};
use crate::{start::make_key, support::Stack};

/// The client of the registration as one that somebody else has registered, and that nobody can read.
const BY_HAND: [(&str, &str); 3] = [
    ("DCR_ENABLED", "false"),
    ("AUTH_CLIENT_ID", "bff-server"),
    ("DCR_CLIENT_ID", ""),
];

/// All requests of the doctor may be as many, with the refused one.
const MOST: usize = 12;

async fn by_hand(stack: &Stack, changes: &[(&str, &str)]) -> Found {
    check(stack, &[&BY_HAND[..], changes].concat()).await
}

/// The doctor blames the proof with `says`, and a check with `fix` is good.
async fn explained(stack: &Stack, changes: &[(&str, &str)], says: &[&str], fix: &[(&str, &str)]) {
    stack.idp.clear_requests();
    let found = by_hand(stack, changes).await;
    assert_eq!(
        (found.code, found.failed()),
        (1, vec!["authentication"]),
        "{:#}",
        found.report
    );
    found.blames("authentication", says);
    assert!(asked(stack) <= MOST, "{}", asked(stack));
    // The same for a person.
    let table = run(stack, &["check"], &[&BY_HAND[..], changes].concat()).await;
    assert_eq!(table.code, 1, "{}", table.output);
    let words: Vec<&str> = table.output.split_whitespace().collect();
    let text = words.join(" ");
    for part in says {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    if !fix.is_empty() {
        let mended = by_hand(stack, &[changes, fix].concat()).await;
        assert_eq!(mended.code, 0, "as it said: {:#}", mended.report);
    }
}

/// The requests with client authentication.
fn asked(stack: &Stack) -> usize {
    let endpoints = [Endpoint::Par, Endpoint::Token].into_iter();
    let requests = endpoints.flat_map(|endpoint| stack.idp.requests(endpoint));
    let credentials = ["client_assertion", "client_secret"];
    requests
        .filter(|request| {
            credentials.iter().any(|name| request.field(name).is_some())
                || request.header("authorization").is_some()
        })
        .count()
}

fn change(stack: &Stack, change: impl FnOnce(&mut Value)) {
    stack.idp.mutate_client("bff-server", change).unwrap();
}

/// The public half of the key in a file, called `kid`.
fn public(file: &Path, kid: Option<&str>) -> Value {
    let key = SigningKey::new(bff::keys::read_key(file).unwrap(), None).unwrap();
    let kid = kid.map_or_else(|| key.kid().to_owned(), str::to_owned);
    serde_json::to_value(key.called(&kid).public()).unwrap()
}

fn has_keys(stack: &Stack, keys: &[Value]) {
    let keys = json!({ "keys": keys });
    change(stack, |client| {
        client["jwks"] = keys;
        client.as_object_mut().unwrap().remove("jwks_uri");
    });
}

#[tokio::test]
async fn audience_and_typ() {
    let stack = inline().await;
    stack
        .idp
        .require_assertion_audience(AssertionAudience::TokenEndpoint);
    let token_endpoint = [("BFF_ASSERTION_AUDIENCE", "token_endpoint")];
    explained(
        &stack,
        &[],
        &["another audience", "set BFF_ASSERTION_AUDIENCE=token_endpoint"],
        &token_endpoint,
    )
    .await;

    stack.idp.require_assertion_audience(AssertionAudience::Issuer);
    explained(
        &stack,
        &token_endpoint,
        &["another audience", "set BFF_ASSERTION_AUDIENCE=issuer"],
        &[("BFF_ASSERTION_AUDIENCE", "issuer")],
    )
    .await;
    stack.idp.refuse_assertion_typ(true);
    let none = [("BFF_ASSERTION_TYP", "none")];
    explained(&stack, &[], &["`typ`", "set BFF_ASSERTION_TYP=none"], &none).await;
    // Neither alone is enough.
    explained(
        &stack,
        &token_endpoint,
        &[
            "another audience",
            "set BFF_ASSERTION_AUDIENCE=issuer and BFF_ASSERTION_TYP=none",
        ],
        &[("BFF_ASSERTION_AUDIENCE", "issuer"), none[0]],
    )
    .await;
}

#[tokio::test]
async fn the_algorithm_that_the_client_has_at_the_idp() {
    let stack = Stack::builder()
        .set("BFF_BASE_URL", "")
        .set("BFF_KEY_TYPE", "rsa-2048")
        .without_server();
    let stack = stack.start_without_waiting().await;
    assert_eq!(run(&stack, &["register"], &[]).await.code, 0);
    for (other, ours) in [("RS256", "PS256"), ("PS256", "RS256")] {
        change(&stack, |client| {
            client["token_endpoint_auth_signing_alg"] = json!(other);
        });
        let set = format!("set BFF_JWT_SIGNING_ALG={other}");
        let said = format!("signed with {other}, and none with {ours}");
        explained(
            &stack,
            &[("BFF_JWT_SIGNING_ALG", ours)],
            &[&said, &set],
            &[("BFF_JWT_SIGNING_ALG", other)],
        )
        .await;
    }
}

#[tokio::test]
async fn a_key_under_another_kid() {
    let stack = inline().await;
    let key = stack.folder().join("keys/bff-signing.pem");
    // An IdP that gives each key a name of its own.
    has_keys(&stack, &[public(&key, Some("portal-1"))]);
    explained(
        &stack,
        &[],
        &["it has the signing key, and not under the kid ", "set BFF_KID"],
        &[],
    )
    .await;
    let rotated = [("BFF_KID", "portal-1")];
    let ended = run(&stack, &["keys", "rotate", "--now"], &rotated).await;
    assert_eq!(ended.code, 0, "{}", ended.output);

    // Our name is another one, and the IdP has the thumbprint.
    has_keys(&stack, &[public(&key, None)]);
    let thumbprint = public(&key, None)["kid"].as_str().unwrap().to_owned();
    let folder = stack.folder().join("renamed");
    fs::create_dir(&folder).unwrap();
    fs::copy(&key, folder.join("bff-signing.pem")).unwrap();
    let folder = folder.to_str().unwrap();
    let changes = [
        ("BFF_KEYS_DIR", folder),
        ("BFF_STATE_DIR", folder),
        ("BFF_KID", "ours"),
    ];
    let set = format!("set BFF_KID={thumbprint}");
    explained(
        &stack,
        &changes,
        &["it has the signing key, and not under the kid ours", &set],
        &[("BFF_KID", &thumbprint)],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_does_not_sign() {
    let stack = inline().await;
    let folder = stack.folder().join("keys");
    let files = || -> Vec<std::path::PathBuf> {
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|ending| ending == "pem"))
            .collect()
    };
    let first = folder.join("bff-signing.pem");
    // A key that was named a moment ago.
    let named = stack.folder().join("keys/named.pem");
    make_key(&named, KeyKind::P256);
    has_keys(&stack, &[public(&named, None)]);
    let name = [("BFF_JWT_SIGNING_KEY", named.to_str().unwrap())];
    explained(
        &stack,
        &name,
        &["which is next, and none of ", "bff keys rotate --now"],
        &[],
    )
    .await;
    fs::remove_file(&named).unwrap();

    let ended = run(&stack, &["keys", "rotate"], &BY_HAND).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    let next = files().into_iter().find(|path| *path != first).unwrap();
    has_keys(&stack, &[public(&next, None)]);
    explained(
        &stack,
        &[],
        &["which is next, and none of ", "bff keys rotate --now"],
        &[],
    )
    .await;
    let ended = run(&stack, &["keys", "rotate", "--now"], &BY_HAND).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert_eq!(by_hand(&stack, &[]).await.code, 0, "as it said");

    has_keys(&stack, &[public(&first, None)]);
    let said = ["which is previous, and none of ", "register its public half"];
    explained(&stack, &[], &said, &[]).await;
    let kid = public(&first, None)["kid"].as_str().unwrap().to_owned();
    let ended = run(&stack, &["keys", "retire", &kid], &BY_HAND).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    explained(&stack, &[], &["which is retired, and none of ", &kid], &[]).await;
}

/// A client with a secret, and the settings of the doctor.
async fn with_secret(method: &str) -> (Stack, String) {
    let stack = Stack::builder()
        .set("DCR_CLIENT_PROFILE", "")
        .set("BFF_BASE_URL", "");
    let stack = stack.without_server().start_without_waiting().await;
    let ended = run(&stack, &["register"], &[("MS_BFF_TOKEN_AUTH_METHOD", method)]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    let file: Value = serde_json::from_slice(&fs::read(stack.credentials()).unwrap()).unwrap();
    let secret = file["client_secret"].as_str().unwrap().to_owned();
    (stack, secret)
}

#[tokio::test]
async fn another_method() {
    let methods = ["client_secret_basic", "client_secret_post"];
    for (registered, ours) in [
        (methods[0], methods[1]),
        (methods[1], methods[0]),
        (methods[1], "private_key_jwt"),
        (methods[0], "private_key_jwt"),
    ] {
        let (stack, secret) = with_secret(registered).await;
        let settings = |method| {
            [
                ("MS_BFF_TOKEN_AUTH_METHOD", method),
                ("AUTH_CLIENT_SECRET", &*secret),
            ]
        };
        let set = format!("set MS_BFF_TOKEN_AUTH_METHOD={registered}");
        let said = format!("with {registered}, and not with {ours}");
        explained(
            &stack,
            &settings(ours),
            &[&said, &set],
            &settings(registered)[..1],
        )
        .await;
    }
    // A secret for a client that has a key.
    let stack = inline().await;
    let changes = [
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
        ("AUTH_CLIENT_SECRET", "not-the-secret-of-anybody"),
    ];
    explained(
        &stack,
        &changes,
        &["set MS_BFF_TOKEN_AUTH_METHOD=private_key_jwt"],
        &[("MS_BFF_TOKEN_AUTH_METHOD", "private_key_jwt")],
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_of_pushed_requests_that_refuses_by_itself() {
    let stack = inline().await;
    let without = [("MS_BFF_PAR_ENABLED", "false")];
    for fault in [
        Fault::status(401),
        Fault::html(401),
        Fault::oauth_error(401, "invalid_client"),
    ] {
        stack.idp.fail_always(Endpoint::Par, fault.clone());
        let says = [
            "the token endpoint accepts the client",
            "set MS_BFF_PAR_ENABLED=false",
        ];
        explained(&stack, &[], &says, &without).await;
        // It gives no reason, and another property is the cause.
        stack
            .idp
            .require_assertion_audience(AssertionAudience::TokenEndpoint);
        let found = by_hand(&stack, &[]).await;
        found.blames(
            "authentication",
            &["another audience", "set BFF_ASSERTION_AUDIENCE=token_endpoint"],
        );
        stack.idp.require_assertion_audience(AssertionAudience::Any);
    }
}

#[tokio::test]
async fn experiments_are_few_and_end_when_the_idp_asks() {
    let stack = inline().await;
    for _ in 0..6 {
        let ended = run(&stack, &["keys", "rotate", "--now"], &BY_HAND).await;
        assert_eq!(ended.code, 0, "{}", ended.output);
    }
    let refused = Fault::oauth_error(401, "invalid_client");
    stack.idp.fail_always(Endpoint::Par, refused.clone());
    stack.idp.fail_always(Endpoint::Token, refused.clone());
    let secret = ("AUTH_CLIENT_SECRET", "not-the-secret-of-anybody");
    stack.idp.clear_requests();
    let found = by_hand(&stack, &[secret]).await;
    found.blames(
        "authentication",
        &[
            "refused as well: typ none, the audience token_endpoint",
            "not tried, to send few requests: the previous key ",
        ],
    );
    assert_eq!(asked(&stack), MOST);
    // Nothing is claimed of keys that nobody can see.
    found.says(
        "authentication",
        "failed",
        &["whether the IdP has that kid is not known"],
    );
    found.says("kid", "skipped", &["cannot be read"]);

    stack.idp.heal_all();
    for status in [429, 503] {
        stack.idp.fail_always(Endpoint::Par, refused.clone());
        stack.idp.fail_always(Endpoint::Token, Fault::status(status));
        stack.idp.clear_requests();
        let found = by_hand(&stack, &[]).await;
        let said = format!("not tried, because the IdP answered {status}: typ none");
        found.blames("authentication", &["invalid_client", &said]);
        assert_eq!(
            asked(&stack),
            2,
            "the refused one, and the one that it answered so"
        );
        stack.idp.heal_all();
    }
}

/// The server is not the source of the keys of such a client, or nobody knows whether it is.
#[tokio::test]
async fn an_address_of_keys_that_the_idp_does_not_need() {
    let harness = Harness::start().await;
    let key = harness.stack.folder().join("keys/bff-signing.pem");
    has_keys(&harness.stack, &[public(&key, None)]);
    let silent = crate::support::Port::reserve();
    let silent = format!("http://{}/jwks.json", silent.address());
    let elsewhere = [("DCR_JWKS_URI", silent.as_str())];
    let found = by_hand(&harness.stack, &elsewhere).await;
    assert_eq!((found.code, found.failed()), (0, vec![]), "{:#}", found.report);
    found.says(
        "jwks",
        "skipped",
        &["cannot be reached", "the IdP has the signing key all the same"],
    );
    harness.stack.idp.refuse_assertion_typ(true);
    let found = by_hand(&harness.stack, &elsewhere).await;
    assert_eq!(found.failed(), ["authentication"], "{:#}", found.report);
    found.blames("authentication", &["BFF_ASSERTION_TYP=none"]);
    // Without an explanation, it stays a possible cause beside the proof.
    harness.stack.idp.refuse_assertion_typ(false);
    has_keys(&harness.stack, &[]);
    let found = by_hand(&harness.stack, &elsewhere).await;
    assert_eq!(found.failed(), ["jwks", "authentication"], "{:#}", found.report);
    let text = found.row("authentication").to_string();
    assert!(
        !text.contains("where the IdP fetches") && !text.contains("does NOT have"),
        "{text}"
    );
}
