//! The recipe of the document that the project was created from, followed by an operator.

use std::{fs, path::Path};

use bff::keys::KeyKind;
use devstack_idp::Endpoint;
use http::{Method, StatusCode};

use super::make_key;
use crate::support::{Browser, HOSTS, Process, Stack, pause};

/// The recipe's environment, with changed URLs and paths, and the two variables beside it.
fn environment(stack: &Stack, folder: &Path, iat: &str) -> Vec<(String, String)> {
    let port = stack.address.port();
    let key = folder.join("keys/fapi-adv-key-1.pem").display().to_string();
    let uris = HOSTS
        .map(|host| format!("http://{host}:{port}/auth/callback"))
        .join(",");
    let mut variables: Vec<(String, String)> = [
        ("AUTH_CLIENT_ID", "bff-server"),
        ("MS_BFF_TOKEN_AUTH_METHOD", "private_key_jwt"),
        ("BFF_JWT_SIGNING_KEY", &key),
        ("DCR_IAT", iat),
        ("DCR_CLIENT_ID", "bff-server"),
        ("DCR_CLIENT_PROFILE", "code-flow-pkjwt"),
        ("DCR_SIGNING_KEY", &key),
        ("DCR_REDIRECT_URIS", &uris),
        ("DCR_FORCE_REPLACE", "true"),
        ("OIDC_ISSUER", &stack.issuer),
        ("BFF_BASE_URL", &format!("http://127.0.0.1:{port}")),
        ("PORT", &port.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    variables.retain(|(_, value)| !value.is_empty());
    variables
}

async fn health(folder: &Path, arguments: &[&str], variables: &[(String, String)]) -> i32 {
    let ended = Process::start(folder, arguments, variables).ended().await;
    ended.code
}

/// Waits until the process is ready, a moment after it has said that it is registered.
async fn ready(stack: &Stack) {
    let probe = stack.browser();
    for _ in 0..2_000 {
        if probe.get("/health/ready").await.status == StatusCode::OK {
            return;
        }
        pause().await;
    }
    panic!("it does not become ready");
}

/// A login works.
#[tokio::test]
async fn the_recipe_registers_and_starts_again_without_a_token() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let folder = stack.folder();
    fs::create_dir(folder.join("keys")).unwrap();
    make_key(&folder.join("keys/fapi-adv-key-1.pem"), KeyKind::Rsa2048);
    let first = environment(&stack, &folder, &stack.variable("DCR_IAT"));
    let mut bff = Process::start(&folder, &[], &first);
    bff.says("Client registered: bff-server").await;
    bff.says("201 Created").await;
    ready(&stack).await;
    assert_eq!(health(&folder, &["health"], &first).await, 0);
    assert_eq!(health(&folder, &["health", "--ready"], &first).await, 0);
    let registered = stack.idp.registered_client("bff-server").unwrap();
    assert_eq!(registered["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(
        registered["jwks_uri"],
        format!("http://{}/.well-known/jwks.json", stack.address)
    );
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/api/hello").await.status, StatusCode::OK);
    // One BFF on several hosts.
    Browser::new("grace", &stack.origin(1)).log_in().await;

    bff.terminate();
    let ended = bff.ended().await;
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert!(ended.output.contains("stopped"));

    let second = environment(&stack, &folder, "");
    let mut bff = Process::start(&folder, &["serve"], &second);
    bff.says("registration unchanged").await;
    ready(&stack).await;
    assert_eq!(stack.idp.count(Endpoint::Register), 1);
    ada.log_in().await;
    assert_eq!(health(&folder, &["health", "--ready"], &second).await, 0);
    bff.terminate();
    assert_eq!(bff.ended().await.code, 0);
}

/// A secret comes from its file.
#[tokio::test]
async fn the_environment_wins_over_settings_yaml() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let folder = stack.folder();
    let token = format!("{}\n", stack.variable("DCR_IAT"));
    bff::private_file::replace(&folder.join("iat"), token.as_bytes()).unwrap();
    let port = stack.address.port();
    let settings = format!(
        "oidc_issuer: http://127.0.0.1:1\n\
         bff_base_url: http://127.0.0.1:{port}\n\
         port: {port}\n\
         bff_key_type: ed25519\n\
         dcr_client_id: bff-from-file\n\
         dcr_client_profile: code-flow-pkjwt\n\
         dcr_redirect_uris:\n  - http://automate.localhost:{port}/auth/callback\n  - http://authn.localhost:{port}/auth/callback\n\
         dcr_iat_file: {}\n",
        folder.join("iat").display()
    );
    fs::write(folder.join("config/settings.yaml"), &settings).unwrap();
    let environment = [("OIDC_ISSUER", stack.issuer.as_str()), ("DCR_CLIENT_ID", "")];
    let mut bff = Process::start(&folder, &[], &environment);
    bff.says("Client registered: bff-from-file").await;
    ready(&stack).await;
    let registered = stack.idp.registered_client("bff-from-file").unwrap();
    assert_eq!(registered["token_endpoint_auth_signing_alg"], "EdDSA");
    assert_eq!(registered["redirect_uris"].as_array().unwrap().len(), 2);
    assert!(
        folder.join("keys/bff-signing.pem").exists(),
        "the default, below the folder it runs in"
    );
    stack.browser().log_in().await;
    bff.terminate();
    assert_eq!(bff.ended().await.code, 0);

    for (line, part) in [
        ("dcr_redirect_uri: x", "did you mean `dcr_redirect_uris`?"),
        ("dcr_iat: planted-secret", "must not stand in settings.yaml"),
        ("PORT: 1", "keys are in lower case"),
        ("? [planted-secret", "line "),
    ] {
        fs::write(folder.join("config/settings.yaml"), format!("{settings}{line}\n")).unwrap();
        let ended = Process::start(&folder, &[], &environment).ended().await;
        assert_eq!(ended.code, 64, "{}", ended.output);
        assert!(
            ended.output.contains("settings.yaml") && ended.output.contains(part),
            "{}",
            ended.output
        );
        assert!(!ended.output.contains("planted-secret"));
    }
}

#[tokio::test]
async fn no_output_holds_a_secret_even_at_trace() {
    let mut stack = Stack::builder().without_server().start_without_waiting().await;
    let folder = stack.folder();
    fs::create_dir(folder.join("keys")).unwrap();
    let key = folder.join("keys/fapi-adv-key-1.pem");
    make_key(&key, KeyKind::P256);
    let iat = stack.variable("DCR_IAT");
    let session_secret = "planted-secret-that-nobody-may-ever-read";
    let mut variables = environment(&stack, &folder, &iat);
    variables.extend(
        [
            ("RUST_LOG", "trace"),
            (
                "SESSION_SECRET",
                "cGxhbnRlZC1zZWNyZXQtdGhhdC1ub2JvZHktbWF5LWV2ZXItcmVhZA==",
            ),
            ("BOOTSTRAP_ADMIN_TOKEN", "admin-token"),
            ("AUTH_CLIENT_SECRET", "planted-client-secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut bff = Process::start(&folder, &[], &variables);
    bff.says("Client registered: bff-server").await;
    ready(&stack).await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login?return_to=%2Fplanted-return").await;
    let login_cookies: Vec<String> = ada.cookies(ada.origin()).into_values().collect();
    ada.get(&callback).await;
    assert!(ada.is_logged_in().await);
    ada.get("/api/hello?planted-query=1").await;
    let csrf = ada.csrf_token().await;
    let session = ada.session_cookie().unwrap();
    // Errors say much; a callback twice, a broken proof, an unknown cookie.
    ada.get(&callback).await;
    ada.send(
        ada.request(Method::POST, "/api/x")
            .header("x-csrf-token", "planted-proof"),
    )
    .await;
    ada.post("/auth/logout").await;
    stack
        .until("the tokens are revoked", |stack| {
            stack.idp.count(Endpoint::Revoke) > 0
        })
        .await;

    let credentials: serde_json::Value =
        serde_json::from_slice(&fs::read(stack.credentials()).unwrap()).unwrap();
    let mut secrets = vec![
        iat,
        csrf,
        session,
        session_secret.to_owned(),
        "cGxhbnRlZC1zZWNyZXQ".to_owned(),
        "admin-token".to_owned(),
        "planted-client-secret".to_owned(),
        "planted-return".to_owned(),
        "planted-query".to_owned(),
        "planted-proof".to_owned(),
        credentials["registration_access_token"]
            .as_str()
            .unwrap()
            .to_owned(),
    ];
    secrets.extend(login_cookies);
    secrets.extend(
        fs::read_to_string(&key)
            .unwrap()
            .lines()
            .skip(1)
            .take(2)
            .map(ToOwned::to_owned),
    );
    for (name, value) in url::Url::parse(&callback).unwrap().query_pairs() {
        if name == "code" || name == "state" {
            secrets.push(value.into_owned());
        }
    }
    let api_call = &stack.api.calls()[0];
    secrets.push(api_call.header("authorization").unwrap().replace("Bearer ", ""));
    for endpoint in [Endpoint::Par, Endpoint::Token, Endpoint::Revoke] {
        let requests = stack.idp.requests(endpoint);
        assert!(!requests.is_empty(), "{endpoint:?}");
        for request in requests {
            for field in ["client_assertion", "code_verifier", "nonce", "token"] {
                secrets.extend(request.field(field).map(ToOwned::to_owned));
            }
        }
    }
    bff.terminate();
    let ended = bff.ended().await;
    assert!(ended.output.contains("TRACE"), "the filter was not obeyed");
    for (at, secret) in secrets.iter().enumerate() {
        assert!(secret.len() > 8, "{at}");
        if let Some(line) = ended.output.lines().find(|line| line.contains(secret.as_str())) {
            let shown = line.replace(secret.as_str(), "(the secret)");
            panic!("secret {at} in: {}", shown.chars().take(300).collect::<String>());
        }
    }
}
