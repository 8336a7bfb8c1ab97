//! The command line and its exit codes.

use std::{fs, net::TcpListener, path::Path};

use bff::keys::KeyKind;

use super::{folder, make_key};
use crate::support::{Ended, Port, Process, Stack};

/// Settings with which the server would start.
fn sound() -> Vec<(&'static str, &'static str)> {
    vec![
        ("OIDC_ISSUER", "https://idp.example"),
        ("BFF_BASE_URL", "https://app.example"),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
        ("DCR_IAT", "planted-secret-iat"),
    ]
}

async fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let ended = Process::start(folder, arguments, variables).ended().await;
    assert!(!ended.output.contains("planted-secret"), "a secret in the output");
    ended
}

/// Before anything is bound or written.
#[tokio::test]
async fn all_mistakes_are_listed_at_once() {
    let folder = folder();
    // If the socket was opened first, the complaint would be about it.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut variables = sound();
    variables.extend([
        ("PORT", port.as_str()),
        ("OIDC_ISSUER", "ftp://idp.example"),
        (
            "DCR_REDIRECT_URIS",
            "https://app.example/wrong,http://app.example/auth/callback",
        ),
        ("DCR_FORCE_REPLACE", "yes"),
        ("DCR_CLIENT_ID", "one"),
        ("AUTH_CLIENT_ID", "other"),
        ("SESSION_SECRET", "planted-secret-short"),
        ("BFF_COOKIE_SAMESITE", "None"),
        ("SESSION_LIFETIME", "soon"),
        ("MS_BFF_DPOP_ENABLED", "true"),
    ]);
    for arguments in [&[][..], &["serve"], &["check", "--config-only"]] {
        let ended = run(folder.path(), arguments, &variables).await;
        ended.says(
            64,
            &[
                "the configuration has 9 mistakes",
                "OIDC_ISSUER = \"ftp://idp.example\"",
                "DCR_REDIRECT_URIS = \"https://app.example/wrong\"",
                "DCR_REDIRECT_URIS = \"http://app.example/auth/callback\"",
                "DCR_FORCE_REPLACE = \"yes\"",
                "DCR_CLIENT_ID = \"one\"",
                "SESSION_SECRET\n",
                "BFF_COOKIE_SAMESITE = \"None\"",
                "SESSION_LIFETIME = \"soon\"",
                "MS_BFF_DPOP_ENABLED = \"true\"",
                "is not built yet",
                "fix: ",
            ],
        );
        assert!(!ended.output.contains("PORT"), "{}", ended.output);
        assert!(!folder.path().join("keys").exists(), "something was written");
    }
    let ended = run(folder.path(), &[], &[]).await;
    ended.says(64, &["OIDC_ISSUER", "is required"]);
}

#[tokio::test]
async fn the_configuration_can_be_checked_alone() {
    let folder = folder();
    let ended = run(folder.path(), &["check", "--config-only"], &sound()).await;
    ended.says(0, &["the configuration is consistent"]);
    let mut variables = sound();
    variables.extend([
        ("DCR_REDIRECT_URI", "x"),
        ("BOOTSTRAP_ADMIN_TOKEN", "planted-secret-admin"),
        ("IDP_BASE_URL", "http://idp:8080"),
    ]);
    let ended = run(folder.path(), &["check", "--config-only"], &variables).await;
    ended.says(
        0,
        &[
            "warning: DCR_REDIRECT_URI: is not known and has no effect; did you mean DCR_REDIRECT_URIS?",
            "warning: BOOTSTRAP_ADMIN_TOKEN: ",
            "warning: IDP_BASE_URL: plain http",
        ],
    );
    assert!(!folder.path().join("keys").exists(), "something was written");
}

#[tokio::test]
async fn help_and_mistakes_of_the_command_line_have_their_codes() {
    let folder = folder();
    let help = [
        "serve",
        "check",
        "register",
        "health",
        "config-reference",
        "Usage: bff",
    ];
    run(folder.path(), &["--help"], &[]).await.says(0, &help);
    run(folder.path(), &["--version"], &[])
        .await
        .says(0, &[concat!("bff ", env!("CARGO_PKG_VERSION"))]);
    for arguments in [
        &["no-such-command"][..],
        &["--no-such-flag"],
        &["check", "--json", "--config-only"],
    ] {
        run(folder.path(), arguments, &sound())
            .await
            .says(64, &["Usage: "]);
    }
}

#[tokio::test]
async fn the_reference_is_the_one_in_the_documentation() {
    let folder = folder();
    let ended = run(folder.path(), &["config-reference"], &[]).await;
    assert_eq!(ended.code, 0);
    let committed =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    assert!(
        ended.output.trim_end() == committed.trim_end(),
        "docs/configuration.md is another one"
    );
}

#[tokio::test]
async fn health_says_when_nobody_answers() {
    let folder = folder();
    let mut variables = sound();
    // Reserved, without a listener.
    let port = Port::reserve();
    let number = port.address().port().to_string();
    variables.push(("PORT", &number));
    let ended = run(folder.path(), &["health"], &variables).await;
    ended.says(1, &["/health/live does not answer"]);
    variables.push(("OIDC_ISSUER", "nonsense"));
    run(folder.path(), &["health"], &variables)
        .await
        .says(64, &["OIDC_ISSUER"]);
}

/// It can be stopped.
#[tokio::test]
async fn without_the_idp_the_server_lives_but_is_not_ready() {
    let folder = folder();
    let (own, idp) = (Port::reserve(), Port::reserve());
    let (port, issuer) = (
        own.address().port().to_string(),
        format!("http://{}", idp.address()),
    );
    let mut variables = sound();
    variables.extend([
        ("PORT", port.as_str()),
        ("OIDC_ISSUER", issuer.as_str()),
        ("BFF_KEY_TYPE", "p-256"),
        ("LOG_FORMAT", "json"),
    ]);
    let mut bff = Process::start(folder.path(), &[], &variables);
    bff.says("cannot read the IdP's metadata").await;
    assert_eq!(run(folder.path(), &["health"], &variables).await.code, 0);
    let ready = run(folder.path(), &["health", "--ready"], &variables).await;
    ready.says(1, &["/health/ready answered 503"]);
    bff.terminate();
    let ended = bff.ended().await;
    ended.says(0, &["stopped"]);
    for line in ended.output.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_variable() {
    let folder = folder();
    make_key(&folder.path().join("keys/bff-signing.pem"), KeyKind::P256);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (address, port) = (address.to_string(), address.port().to_string());
    for (variables, name) in [
        (
            [("PORT", port.as_str()), ("BFF_INTERNAL_ADDR", "")],
            "set PORT to",
        ),
        (
            [("PORT", "0"), ("BFF_INTERNAL_ADDR", address.as_str())],
            "set BFF_INTERNAL_ADDR to",
        ),
    ] {
        let mut all = sound();
        all.extend(variables);
        let ended = run(folder.path(), &[], &all).await;
        ended.says(64, &[&format!("cannot listen on {address}: "), name]);
    }
}

#[tokio::test]
async fn a_signing_key_that_cannot_be_used_is_named_with_the_reason() {
    let folder = folder();
    let key = folder.path().join("keys/bff-signing.pem");
    make_key(&key, KeyKind::P256);
    let good = fs::read_to_string(&key).unwrap();
    let relabelled = |label: &str| good.replace("PRIVATE KEY", label);
    for content in [
        String::new(),
        "planted-secret".to_owned(),
        good.replace('M', "%"),
        relabelled("PUBLIC KEY"),
        relabelled("CERTIFICATE"),
        relabelled("ENCRYPTED PRIVATE KEY"),
        good.repeat(2),
    ] {
        fs::write(&key, &content).unwrap();
        let ended = run(folder.path(), &[], &sound()).await;
        ended.says(64, &["bff-signing.pem"]);
        assert!(!ended.output.contains("listening"), "{}", ended.output);
        let body = good.lines().nth(1).unwrap();
        assert!(!ended.output.contains(body), "the key is in the output");
        assert!(fs::read_to_string(&key).unwrap() == content);
    }
    // The reason is printed even if the log is silenced.
    let mut silenced = sound();
    silenced.push(("RUST_LOG", "off"));
    run(folder.path(), &[], &silenced)
        .await
        .says(64, &["bff-signing.pem"]);

    // A lost volume is not a new identity.
    fs::remove_file(&key).unwrap();
    fs::write(folder.path().join("keys/bff_client.json"), "{}").unwrap();
    let ended = run(folder.path(), &[], &sound()).await;
    ended.says(64, &["bff-signing.pem", "bff_client.json", "restore"]);
    assert!(!key.exists());
}

#[tokio::test]
async fn a_refusal_exits_with_77_and_a_broken_file_with_64() {
    let stack = Stack::builder()
        .without_server()
        .without_iat()
        .start_without_waiting()
        .await;
    let folder = stack.folder();
    let ended = Process::start(&folder, &[], &stack.variables).ended().await;
    ended.says(
        77,
        &[
            "ERROR",
            "no client credentials in",
            "fix: mint an initial access token at the IdP",
            "DCR_IAT",
        ],
    );

    let mut variables = stack.variables.clone();
    variables.push(("DCR_IAT".to_owned(), "planted-secret".to_owned()));
    let ended = Process::start(&folder, &["serve"], &variables).ended().await;
    ended.says(77, &["expired, used up or wrong", "fix: mint a new one"]);
    assert!(!ended.output.contains("planted-secret"));

    fs::write(stack.credentials(), "{\"client_secret\":\"planted-secret").unwrap();
    let ended = Process::start(&folder, &[], &variables).ended().await;
    ended.says(64, &["bff_client.json", "restore it from a backup"]);
    assert!(!ended.output.contains("planted-secret"));
}
