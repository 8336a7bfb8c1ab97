//! A person breaks one thing, and gets the true cause on the first try.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bff::keys::KeyKind;
use devstack_idp::{Control, Endpoint, Fault, MintIat, Recorded, system_clock};
use serde_json::json;

use super::{Harness, check, run};
use crate::{
    start::make_key,
    support::{Process, Stack},
};

/// A registered client whose keys the IdP has by itself, and no server.
pub(super) async fn inline() -> Stack {
    let stack = Stack::builder().set("BFF_BASE_URL", "").without_server();
    let stack = stack.start_without_waiting().await;
    let ended = run(&stack, &["register"], &[]).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    stack
}

/// A folder with the signing key and the registration, from which the keyring is lost.
fn without_keyring(stack: &Stack) -> PathBuf {
    let restored = stack.folder().join("restored");
    fs::create_dir(&restored).unwrap();
    for name in ["bff_client.json", "bff-signing.pem"] {
        fs::copy(stack.folder().join("keys").join(name), restored.join(name)).unwrap();
    }
    restored
}

fn change(idp: &Control, field: &'static str, value: serde_json::Value) {
    idp.mutate_client("bff-server", move |client| client[field] = value)
        .unwrap();
}

#[tokio::test]
async fn nothing_is_broken() {
    let harness = Harness::start().await;
    let found = harness.check(&[]).await;
    assert_eq!((found.code, found.failed()), (0, vec![]), "{:#}", found.report);
    for row in found.rows() {
        assert_eq!(row["status"], "ok", "{row:#}");
    }
    // Keys that the IdP has by itself need no server.
    let stack = inline().await;
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    found.says("server", "skipped", &["not running"]);
    found.says("jwks", "skipped", &["inline"]);
    found.says("kid", "ok", &[]);
    found.says("authentication", "ok", &["a pushed authorization request"]);
}

#[tokio::test]
async fn admin_socket() {
    let harness = Harness::start().await;
    let folder = harness.stack.folder();
    let path = folder.join("admin.sock");
    let set = |path: &std::path::Path| path.display().to_string();
    std::fs::write(&path, "mine").unwrap();
    let long = folder.join("x".repeat(100));
    for (path, says) in [
        (path.clone(), "is no socket"),
        (folder.join("none/admin.sock"), "the folder does not exist"),
        (long, "temporary name"),
    ] {
        let found = harness.check(&[("BFF_ADMIN_SOCKET", &set(&path))]).await;
        assert_eq!(found.code, 64, "{:#}", found.report);
        found.blames("configuration", &["BFF_ADMIN_SOCKET", says]);
    }
    // A server that runs has it.
    std::fs::remove_file(&path).unwrap();
    let _server = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let found = harness.check(&[("BFF_ADMIN_SOCKET", &set(&path))]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
}

#[tokio::test]
async fn method() {
    let harness = Harness::start().await;
    let found = harness
        .check(&[("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic")])
        .await;
    assert_eq!((found.code, found.failed()), (1, vec!["method"]));
    found.blames(
        "method",
        &[
            "client_secret_basic",
            "private_key_jwt",
            "MS_BFF_TOKEN_AUTH_METHOD=private_key_jwt",
            // The client has one at which the IdP refuses every other method.
            "let DCR_CLIENT_PROFILE (now code-flow-pkjwt)",
        ],
    );
    let no_profile = [
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
        ("DCR_CLIENT_PROFILE", ""),
    ];
    let found = harness.check(&no_profile).await;
    assert!(!found.row("method")["fix"].to_string().contains("PROFILE"));
    // The registered values work until somebody changes them.
    found.says("authentication", "ok", &["private_key_jwt"]);
    // The stored record knows the method of a client that is not read.
    let unread = [
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
        ("SKIP_DCR_BOOTSTRAP", "true"),
    ];
    let found = harness.check(&unread).await;
    found.blames("method", &["private_key_jwt"]);
    assert!(
        !found.row("method").to_string().contains("none"),
        "{:#}",
        found.report
    );

    // At the other end.
    change(
        &harness.stack.idp,
        "token_endpoint_auth_method",
        json!("client_secret_post"),
    );
    let found = harness.check(&[]).await;
    found.blames(
        "method",
        &["the IdP has registered client_secret_post", "bff register"],
    );
    found.says(
        "authentication",
        "failed",
        &["invalid_client", "fix method first"],
    );
}

#[tokio::test]
async fn key() {
    let harness = Harness::start().await;
    // Beside the keyring it is no mistake: it is to come next.
    let other = harness.stack.folder().join("keys/other.pem");
    make_key(&other, KeyKind::P256);
    let signing = ("BFF_JWT_SIGNING_KEY", other.to_str().unwrap());
    let found = harness.check(&[signing]).await;
    assert_eq!((found.code, found.failed()), (0, vec![]), "{:#}", found.report);
    assert!(
        found.report["notes"]
            .to_string()
            .contains("that BFF_JWT_SIGNING_KEY names is new"),
        "{:#}",
        found.report
    );

    let restored = without_keyring(&harness.stack);
    let foreign = restored.join("other.pem");
    fs::rename(&other, &foreign).unwrap();
    let changes = [
        ("BFF_JWT_SIGNING_KEY", foreign.to_str().unwrap()),
        ("BFF_STATE_DIR", restored.to_str().unwrap()),
    ];
    let found = harness.check(&changes).await;
    found.blames(
        "jwks",
        &[
            "serves other keys",
            "is not there; there are: ",
            "BFF_JWT_SIGNING_KEY",
        ],
    );
    assert_eq!(found.failed(), ["jwks", "authentication"]);
    found.says(
        "authentication",
        "failed",
        &[
            "invalid_client",
            "method private_key_jwt",
            "kid `",
            "(in our JWKS)",
            "alg ES256",
            "does NOT have that kid",
        ],
    );

    // Under the name of the old one: the name alone proves nothing.
    let kid = harness.stack.idp.requests(Endpoint::Par);
    let kid = kid.iter().find_map(Recorded::assertion).unwrap();
    let kid = kid.0["kid"].as_str().unwrap().to_owned();
    assert!(!kid.is_empty());
    let served = harness.stack.browser().get("/.well-known/jwks.json").await.json();
    let served = served["keys"][0]["kid"].as_str().unwrap();
    let found = harness
        .check(&[changes[0], changes[1], ("BFF_KID", served)])
        .await;
    found.blames("jwks", &["is there, but it is another key"]);
}

#[tokio::test]
async fn key_that_the_idp_has_by_itself() {
    let stack = inline().await;
    let key = stack.folder().join("keys/bff-signing.pem");
    fs::remove_file(&key).unwrap();
    make_key(&key, KeyKind::P256);
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 64);
    found.blames(
        "keys",
        &[
            "is lost",
            "holds another key",
            "from a backup",
            "start the server",
        ],
    );
    let mut bff = Process::start(&stack.folder(), &[], &stack.variables);
    bff.says("registration updated: jwks").await;
    assert_eq!(check(&stack, &[]).await.code, 0, "as it said");
    bff.terminate();
    bff.ended().await;

    // The IdP has it under another name.
    stack
        .idp
        .mutate_client("bff-server", |client| {
            client["jwks"]["keys"][0]["kid"] = json!("renamed");
        })
        .unwrap();
    let found = check(&stack, &[]).await;
    found.blames(
        "kid",
        &[
            "has the signing key as kid renamed",
            "signs as kid",
            "bff register",
        ],
    );

    // The IdP has another one.
    let foreign = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "foreign",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]});
    change(&stack.idp, "jwks", foreign);
    let found = check(&stack, &[]).await;
    found.blames(
        "kid",
        &[
            "does not have the signing key",
            "jwks there: key ",
            "bff register",
            "restore keyring.json",
        ],
    );
    let fix = found.row("kid")["fix"].as_str().unwrap();
    assert!(
        !fix.contains("put the former key"),
        "naming a known key changes nothing: {fix}"
    );
    assert_eq!(found.failed(), ["kid", "authentication"]);
    assert_eq!(run(&stack, &["register"], &[]).await.code, 0);
    assert_eq!(check(&stack, &[]).await.code, 0, "as it said");

    // Gone.
    fs::remove_file(&key).unwrap();
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 64);
    found.blames("keys", &["does not exist", "bff_client.json", "from a backup"]);
    assert!(!key.exists(), "the doctor makes no key");
}

/// A folder that the server does not know, with a key that was just made to come next.
async fn rotated_elsewhere(harness: &Harness) -> PathBuf {
    let copied = harness.stack.folder().join("copied");
    fs::create_dir(&copied).unwrap();
    for entry in fs::read_dir(harness.stack.folder().join("keys")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copied.join(entry.file_name())).unwrap();
    }
    let ended = run(&harness.stack, &["keys", "rotate"], &in_folder(&copied)).await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    copied
}

fn in_folder(folder: &Path) -> [(&str, &str); 2] {
    let folder = folder.to_str().unwrap();
    [("BFF_KEYS_DIR", folder), ("BFF_STATE_DIR", folder)]
}

#[tokio::test]
async fn a_next_key_that_the_server_does_not_serve() {
    let harness = Harness::start().await;
    let folder = rotated_elsewhere(&harness).await;
    let found = harness.check(&in_folder(&folder)).await;
    assert_eq!((found.code, found.failed()), (0, vec![]), "{:#}", found.report);
    found.says("jwks", "ok", &["serves the signing key"]);
    let notes = found.report["notes"].to_string();
    assert!(notes.contains("which is next, is not served yet"), "{notes}");

    let path = folder.join("keyring.json");
    let change = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut ring: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let keys = ring["keys"].as_array_mut().unwrap();
        change(keys.iter_mut().find(|key| key["state"] == "next").unwrap());
        fs::write(&path, ring.to_string()).unwrap();
    };
    change(&|next| next["since"] = (next["since"].as_u64().unwrap() - 61_000).into());
    let found = harness.check(&in_folder(&folder)).await;
    assert_eq!(
        (found.code, found.failed()),
        (1, vec!["jwks"]),
        "{:#}",
        found.report
    );
    found.blames(
        "jwks",
        &[
            "the next key",
            "does not follow keyring.json",
            "BFF_STATE_DIR",
            "BFF_KEYS_DIR",
        ],
    );
    found.says("kid", "ok", &[]);

    change(&|next| next["state"] = "previous".into());
    let found = harness.check(&in_folder(&folder)).await;
    assert_eq!((found.code, found.failed()), (0, vec![]), "{:#}", found.report);
    let notes = found.report["notes"].to_string();
    assert!(notes.contains("which is previous, is not served"), "{notes}");
}

#[tokio::test]
async fn the_deepest_cause_is_named_first() {
    let harness = Harness::start().await;
    let nobody = crate::support::Port::reserve();
    let nowhere = format!("http://{}", nobody.address());
    let page = format!("{}/nowhere.json", harness.stack.issuer);
    let changes = [("DCR_JWKS_URI", page.as_str()), ("IDP_BASE_URL", &nowhere)];
    let ended = run(&harness.stack, &["check"], &changes).await;
    assert_eq!(ended.code, 69, "{}", ended.output);
    let words: Vec<&str> = ended.output.split_whitespace().collect();
    let text = words.join(" ");
    assert!(
        text.contains("failed: jwks, discovery. Begin with discovery:"),
        "{text}"
    );
}

#[tokio::test]
async fn kid() {
    let harness = Harness::start().await;
    let renamed = |restored: &Path| {
        let key = restored.join("bff-signing.pem").to_str().unwrap().to_owned();
        let state = restored.to_str().unwrap().to_owned();
        [
            ("BFF_KID", "renamed".to_owned()),
            ("BFF_JWT_SIGNING_KEY", key),
            ("BFF_STATE_DIR", state),
        ]
    };
    let changes = renamed(&without_keyring(&harness.stack));
    let found = harness
        .check(&changes.each_ref().map(|(name, value)| (*name, value.as_str())))
        .await;
    found.blames(
        "jwks",
        &["the key with the kid renamed is there under the kid", "BFF_KID"],
    );
    let stack = inline().await;
    let changes = renamed(&without_keyring(&stack));
    let found = check(
        &stack,
        &changes.each_ref().map(|(name, value)| (*name, value.as_str())),
    )
    .await;
    found.blames("kid", &["kid renamed", "BFF_KID"]);
    found.says(
        "authentication",
        "failed",
        &["kid `renamed`", "does NOT have that kid", "fix kid first"],
    );
}

#[tokio::test]
async fn redirect_uri() {
    let harness = Harness::start().await;
    let uris = harness.stack.variable("DCR_REDIRECT_URIS");
    let moved = uris.replace("authn.localhost", "moved.localhost");
    let found = harness.check(&[("DCR_REDIRECT_URIS", &moved)]).await;
    found.blames(
        "redirect_uris",
        &[
            "http://moved.localhost",
            "is not registered",
            "DCR_REDIRECT_URIS",
            "bff register",
        ],
    );
    assert_eq!(found.failed(), ["redirect_uris"], "one cause, one row");

    // A change by an administrator of the IdP, with a slash too many.
    let spoilt: Vec<String> = uris.split(',').map(|uri| format!("{uri}/")).collect();
    change(&harness.stack.idp, "redirect_uris", json!(spoilt));
    let found = harness.check(&[]).await;
    found.blames("redirect_uris", &["/auth/callback/, and compares to the letter"]);
    assert_eq!(
        found.failed().len(),
        uris.split(',').count(),
        "a row for each host"
    );
    found.says("redirect_uris", "failed", &["bff register"]);

    // If the BFF has to keep them, a person has to correct it.
    let found = harness.check(&[("DCR_REDIRECT_UPDATE_MODE", "none")]).await;
    found.blames(
        "redirect_uris",
        &["add it at the IdP", "DCR_REDIRECT_UPDATE_MODE=none"],
    );
}

#[tokio::test]
async fn scope() {
    let harness = Harness::start().await;
    let found = harness.check(&[("OIDC_SCOPES", "openid billing")]).await;
    assert_eq!(found.failed(), ["scopes"]);
    found.blames(
        "scopes",
        &[
            "billing",
            "registered are: openid profile",
            "policy.allowed_scopes",
            "OIDC_SCOPES",
        ],
    );
    change(&harness.stack.idp, "scope", json!("openid"));
    let found = harness.check(&[]).await;
    found.blames("scopes", &["profile, email, offline_access"]);
}

#[tokio::test]
async fn issuer() {
    let harness = Harness::start().await;
    let slash = format!("{}/", harness.stack.issuer);
    let found = harness.check(&[("OIDC_ISSUER", &slash)]).await;
    assert_eq!((found.code, found.failed()), (1, vec!["issuer"]));
    let line = format!("set OIDC_ISSUER={} if", harness.stack.issuer);
    found.blames("issuer", &["to the letter", &line]);
    found.says("registration", "skipped", &["fix the failed checks above first"]);
}

#[tokio::test]
async fn initial_access_token() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let found = check(&stack, &[("DCR_IAT", "never-minted-by-anybody")]).await;
    assert_eq!((found.code, found.failed()), (1, vec!["registration"]));
    found.blames(
        "registration",
        &[
            "DCR_IAT is refused",
            "401",
            "expired, used up or wrong",
            "mint a new one",
        ],
    );

    // An IdP that takes nonsense is not believed.
    let nonsense = Fault::json(201, &json!({"client_id": "made-of-nothing"}));
    stack.idp.fail_next(Endpoint::Register, nonsense);
    check(&stack, &[])
        .await
        .blames("registration", &["no client can be made of", "remove it"]);
    stack.idp.fail_next(Endpoint::Register, Fault::status(404));
    check(&stack, &[])
        .await
        .blames("registration", &["404", "correct DCR_REGISTRATION_URL"]);
    stack
        .idp
        .fail_next(Endpoint::Register, Fault::json(422, &json!({})));
    check(&stack, &[])
        .await
        .says("registration", "skipped", &["cannot be told"]);

    // A good one is said to be good, and stays so.
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    found.says("registration", "skipped", &["the IdP takes DCR_IAT"]);
    assert!(stack.idp.client_ids().is_empty());
    assert_eq!(run(&stack, &["register"], &[]).await.code, 0);

    // Used up: the file that would say so is lost.
    fs::remove_file(stack.credentials()).unwrap();
    check(&stack, &[])
        .await
        .blames("registration", &["DCR_IAT is refused", "mint a new one"]);
}

#[tokio::test]
async fn initial_access_token_of_a_replacement() {
    let harness = Harness::start().await;
    let changes = [
        ("DCR_IAT", "never-minted-by-anybody"),
        ("DCR_FORCE_REPLACE", "true"),
    ];
    let found = harness.check(&changes).await;
    assert_eq!(found.failed(), ["registration"]);
    found.blames(
        "registration",
        &["DCR_FORCE_REPLACE", "DCR_IAT is refused", "mint a new one"],
    );
    let fresh = harness.stack.idp.mint_iat(MintIat::default());
    let found = harness.check(&[("DCR_IAT", &fresh), changes[1]]).await;
    assert_eq!(found.code, 0, "{:#}", found.report);
    assert!(
        found.report["notes"]
            .to_string()
            .contains("the next start would register a new client in the place of bff-server, with DCR_IAT")
    );
}

#[tokio::test]
async fn a_client_of_the_configuration() {
    let harness = Harness::start().await;
    let nowhere = harness.stack.folder().join("none.json");
    let skip = [
        ("SKIP_DCR_BOOTSTRAP", "true"),
        ("BFF_CLIENT_CRED_PATH", nowhere.to_str().unwrap()),
        ("BFF_STATE_DIR", harness.stack.folder().to_str().unwrap()),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let skip = skip.each_ref().map(|(name, value)| (*name, value.as_str()));
    let by_hand = [
        ("DCR_ENABLED", "false"),
        ("AUTH_CLIENT_ID", "bff-server"),
        ("DCR_CLIENT_ID", ""),
    ];
    for changes in [&skip[..], &by_hand] {
        let found = harness.check(changes).await;
        assert_eq!(found.code, 0, "{:#}", found.report);
        found.says("algorithm", "ok", &["ES256", "the IdP lists it"]);
        found.says("kid", "ok", &["the IdP takes what ", " signs"]);
        found.says("registration", "skipped", &[]);
        found.says("redirect_uris", "ok", &["the IdP takes requests for all"]);
        found.says("authentication", "ok", &[]);
    }
    // A pushed request reveals a mistake that no reading shows.
    let foreign = format!(
        "http://foreign.localhost:{}/auth/callback",
        harness.stack.address.port()
    );
    let mut changes = by_hand.to_vec();
    changes.push(("DCR_REDIRECT_URIS", &foreign));
    let found = harness.check(&changes).await;
    found.blames(
        "redirect_uris",
        &["the IdP refuses", &foreign, "DCR_REDIRECT_URIS"],
    );
    let mut changes = by_hand.to_vec();
    changes[1].1 = "somebody-else";
    let found = harness.check(&changes).await;
    found.blames("authentication", &["somebody-else", "invalid_client"]);
    found.says("kid", "skipped", &["is served at ", "cannot be read"]);

    // A client of another method has neither.
    let mut changes = by_hand.to_vec();
    changes.extend([
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
        ("AUTH_CLIENT_SECRET", "not-the-secret-of-anybody"),
    ]);
    let found = harness.check(&changes).await;
    for check in ["algorithm", "kid"] {
        found.says(check, "skipped", &["nothing is signed with a client secret"]);
    }
    // One cause, one row.
    let others = Fault::json(200, &listing_algorithms(&harness.stack, &["RS256"]));
    harness.stack.idp.fail_always(Endpoint::Discovery, others);
    let found = harness.check(&by_hand).await;
    assert_eq!(found.failed(), ["algorithm"]);
    let rows = found.rows().iter();
    assert_eq!(rows.filter(|row| row["check"] == "algorithm").count(), 1);
    let mut changes = by_hand.to_vec();
    changes.push(("BFF_JWT_SIGNING_ALG", "ES256"));
    let found = harness.check(&changes).await;
    found.says("algorithm", "skipped", &["ES256", "the IdP lists RS256"]);
}

/// The least of metadata, with these algorithms for assertions.
fn listing_algorithms(stack: &Stack, algorithms: &[&str]) -> serde_json::Value {
    let issuer = &stack.issuer;
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
    })
}

#[tokio::test]
async fn clock() {
    for (offset, direction) in [(120, "behind"), (-120, "ahead of")] {
        let stack = Stack::builder().idp(move |options| {
            let real = system_clock();
            options.clock = Arc::new(move || real().saturating_add_signed(offset));
        });
        let harness = Harness::of(stack).await;
        let found = harness.check(&[]).await;
        let what = format!(" s {direction} the IdP's");
        found.blames("clock", &["this machine's clock is 1", &what, "NTP"]);
        assert_eq!(found.failed(), ["clock", "authentication"]);
        found.says("authentication", "failed", &["fix clock first"]);
    }
}

/// Too little for the row by itself, and too much for an IdP that allows for five seconds.
#[tokio::test]
async fn a_clock_that_is_wrong_by_seconds() {
    let harness = Harness::of(Stack::builder().idp(|options| {
        let real = system_clock();
        options.clock = Arc::new(move || real().saturating_sub(15));
    }))
    .await;
    let found = harness.check(&[]).await;
    found.blames(
        "clock",
        &[
            "this machine's clock is 1",
            " s ahead of the IdP's",
            "dated by its own clock",
            "NTP",
        ],
    );
    assert_eq!(found.failed(), ["clock", "authentication"]);
    found.says("authentication", "failed", &["fix clock first"]);
}

#[tokio::test]
async fn an_idp_that_keeps_the_keys_of_before() {
    let builder = Stack::builder().set("BFF_ADMIN_SOCKET", "keys/admin.sock");
    let stack = builder.without_server().start_without_waiting().await;
    let mut before = Process::start(&stack.folder(), &[], &stack.variables);
    before.says("Client registered: ").await;
    stack.idp.keep_client_keys(true);
    assert_eq!(check(&stack, &[]).await.code, 0);
    before.terminate();
    before.ended().await;

    let keys = stack.folder().join("keys");
    for name in ["keyring.json", "bff-signing.pem"] {
        fs::remove_file(keys.join(name)).unwrap();
    }
    make_key(&keys.join("bff-signing.pem"), KeyKind::P256);
    let mut now = Process::start(&stack.folder(), &[], &stack.variables);
    now.says("registration unchanged").await;
    let found = check(&stack, &[]).await;
    found.says("jwks", "ok", &["serves the signing key"]);
    found.blames(
        "authentication",
        &[
            "it may keep an answer from before",
            "have the IdP fetch jwks_uri again",
            // The server knows that nobody came.
            "nobody has fetched our keys from this server since the server started",
            "127.0.0.1 uses a copy of them, or cannot reach ",
            "BFF_BASE_URL",
        ],
    );
    assert_eq!(found.failed(), ["authentication"]);
    stack.idp.forget_client_keys();
    assert_eq!(check(&stack, &[]).await.code, 0, "as it said");
    now.terminate();
    now.ended().await;
}

#[tokio::test]
async fn an_address_of_keys_that_somebody_changed_at_the_idp() {
    let harness = Harness::start().await;
    let elsewhere = format!("{}/jwks", harness.stack.issuer);
    change(&harness.stack.idp, "jwks_uri", json!(elsewhere));
    harness.stack.idp.forget_client_keys();
    let found = harness.check(&[]).await;
    found.blames(
        "kid",
        &["fetches our keys from elsewhere", &elsewhere, "bff register"],
    );
    assert_eq!(found.failed(), ["kid", "authentication"]);
    found.says(
        "authentication",
        "failed",
        &["whether the IdP has that kid is not known", "fix kid first"],
    );
}

#[tokio::test]
async fn an_algorithm_that_the_key_does_not_do() {
    let harness = Harness::start().await;
    change(
        &harness.stack.idp,
        "token_endpoint_auth_signing_alg",
        json!("RS256"),
    );
    let found = harness.check(&[]).await;
    found.blames(
        "algorithm",
        &[
            "to sign with ES256, but the IdP has registered RS256",
            "bff register",
        ],
    );
    assert_eq!(found.failed(), ["algorithm", "authentication"]);
    found.says("authentication", "failed", &["fix algorithm first"]);
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let found = check(
        &stack,
        &[
            ("OIDC_ISSUER", "https://idp.example"),
            ("HTTPS_PROXY", "http://127.0.0.1:1"),
            ("NO_PROXY", ""),
        ],
    )
    .await;
    assert_eq!(found.code, 69, "{:#}", found.report);
    found.blames(
        "discovery",
        &["127.0.0.1:1 (HTTPS_PROXY)", "start the proxy", "NO_PROXY"],
    );
}

#[tokio::test]
async fn a_name_of_the_session_cookie_that_another_one_has() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let found = check(&stack, &[("SESSION_COOKIE_NAME", "bff_login_x")]).await;
    assert_eq!(found.code, 64, "{:#}", found.report);
    found.blames("configuration", &["SESSION_COOKIE_NAME", "`bff_login`"]);
}
