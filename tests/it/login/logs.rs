//! The log lines of a login, a refresh and a logout contain no secret.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use parking_lot::Mutex;

use crate::support::{Logs, Stack};

/// No query, token, code, assertion or cookie.
#[tokio::test]
async fn attack_23_no_log_line_holds_a_secret() {
    let logs = Logs::capture_everything();
    let stack = Stack::builder().set("MS_BFF_PAR_ENABLED", "false").start().await;
    let granted: Arc<Mutex<Vec<String>>> = Arc::default();
    stack.idp.on_token_response({
        let granted = Arc::clone(&granted);
        move |answer| {
            for name in ["access_token", "refresh_token", "id_token"] {
                granted.lock().push(answer[name].as_str().unwrap().to_owned());
            }
        }
    });

    let ada = stack.browser();
    let mut secrets = Vec::new();
    let started = ada
        .get("/auth/login?return_to=/query-of-a-login&login_hint=hint-of-a-login")
        .await;
    let sent = super::query(started.location());
    secrets.extend(["state", "nonce", "code_challenge"].map(|name| sent[name].clone()));
    secrets.extend(ada.cookies(ada.origin()).into_values());
    // First refused, then successful.
    let callback = ada.authorize("/auth/login").await;
    let wrong = super::with_parameter(&callback, "iss", Some("https://query.example"));
    assert_eq!(ada.get(&wrong).await.status, StatusCode::BAD_REQUEST);
    let callback = ada.authorize("/auth/login").await;
    secrets.extend(ada.cookies(ada.origin()).into_values());
    secrets.extend(["state", "code"].map(|name| super::query(&callback)[name].clone()));
    ada.get(&callback).await.leads_on();
    secrets.push(ada.session_cookie().unwrap());
    secrets.push(ada.csrf_token().await);

    assert_eq!(ada.get("/api/x?query-of-a-call").await.status, StatusCode::OK);
    stack.advance(Duration::from_secs(40)).await;
    while stack.idp.count(Endpoint::Token) < 2 {
        crate::support::pause().await;
    }
    stack
        .idp
        .fail_next(Endpoint::Revoke, devstack_idp::Fault::status(500));
    let out = ada.post("/auth/logout?return_to=/query-of-a-logout").await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    while stack.idp.count(Endpoint::Revoke) == 0 {
        crate::support::pause().await;
    }

    for endpoint in [Endpoint::Token, Endpoint::Revoke] {
        for request in stack.idp.requests(endpoint) {
            for name in ["client_assertion", "code_verifier", "refresh_token"] {
                secrets.extend(request.field(name).map(str::to_owned));
            }
        }
    }
    secrets.extend(granted.lock().iter().cloned());
    secrets.extend(
        stack
            .variables
            .iter()
            .filter(|(name, _)| name == "DCR_IAT")
            .map(|(_, iat)| iat.clone()),
    );
    assert!(secrets.len() > 15 && secrets.iter().all(|secret| secret.len() > 20));

    let text = logs.text();
    assert!(
        text.contains("/auth/callback") && text.contains("TRACE"),
        "nothing was captured"
    );
    for line in text.lines() {
        let holds = secrets.iter().any(|secret| line.contains(secret.as_str()));
        let (head, _) = line.split_at(line.floor_char_boundary(90));
        assert!(!holds, "a line that begins like this holds a secret: {head}");
        for query in [
            "query-of-a-",
            "hint-of-a-login",
            "query.example",
            "?code=",
            "&state=",
        ] {
            assert!(!line.contains(query), "a line holds a query: {head}");
        }
    }
}

#[tokio::test]
async fn a_refused_login_has_the_level_that_the_documentation_says() {
    let documented = include_str!("../../../docs/logging.md");
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let told = |level: &str, message: &str| {
        let lines = logs.lines(&level.to_ascii_uppercase());
        let found = lines.iter().filter(|line| line.contains(message)).count();
        assert_eq!(found, 1, "{level} {message:?} in:\n{}", logs.text());
        let row = documented.lines().any(|line| {
            line.starts_with(&format!("| `{message}`")) && line.ends_with(&format!("| {level} |"))
        });
        assert!(row, "docs/logging.md does not say that {message:?} is {level}");
        logs.clear();
    };
    let ada = stack.browser();

    stack.idp.fail_next(
        Endpoint::Par,
        devstack_idp::Fault::oauth_error(400, "invalid_request"),
    );
    ada.get("/auth/login").await;
    told("warn", "a login could not be started");
    stack
        .idp
        .fail_next(Endpoint::Par, devstack_idp::Fault::status(500));
    ada.get("/auth/login").await;
    told("error", "a login could not be started");

    let callback = ada.authorize("/auth/login").await;
    ada.get(&super::with_parameter(
        &callback,
        "iss",
        Some("https://evil.example"),
    ))
    .await;
    told("warn", "a callback was refused");
    let callback = ada.authorize("/auth/login").await;
    let denied = super::with_parameter(&callback, "code", None);
    ada.get(&super::with_parameter(&denied, "error", Some("access_denied")))
        .await;
    told("info", "a login was refused by the identity provider");
    let callback = ada.authorize("/auth/login").await;
    stack.idp.fail_next(
        Endpoint::Token,
        devstack_idp::Fault::oauth_error(400, "invalid_grant"),
    );
    ada.get(&callback).await;
    told("warn", "the authorization code was not exchanged");
}

/// It comes back in an error.
#[tokio::test]
async fn attack_39_an_echo_of_what_we_sent_is_not_logged() {
    let logs = Logs::capture_everything();
    let stack = Stack::builder().set("MS_BFF_PAR_ENABLED", "false").start().await;
    let quote = |error| Fault::Quote { status: 400, error };
    // Short enough for no rule about long words.
    stack
        .idp
        .on_next_token_response(|answer| answer["refresh_token"] = "rt-7x".into());
    let ada = stack.browser();
    ada.log_in().await;
    stack.idp.fail_next(Endpoint::Token, quote("invalid_scope"));
    stack.advance(Duration::from_secs(40)).await;
    while !logs.text().contains("could not be renewed") {
        crate::support::pause().await;
    }

    stack.idp.on_authorize_response(|parameters| {
        for (name, value) in parameters {
            if name == "code" {
                "c0d3".clone_into(value);
            }
        }
    });
    stack.idp.fail_next(Endpoint::Token, quote("invalid_request"));
    let eve = stack.browser();
    let callback = eve.authorize("/auth/login").await;
    let refused = eve.get(&callback).await;
    assert!(!refused.status.is_success());

    let sent: Vec<String> = stack
        .idp
        .requests(Endpoint::Token)
        .iter()
        .flat_map(|request| {
            ["code", "refresh_token", "code_verifier", "client_assertion"]
                .map(|name| request.field(name).map(str::to_owned))
        })
        .flatten()
        .collect();
    for short in ["rt-7x", "c0d3"] {
        assert!(sent.iter().any(|value| value == short), "{short} was not sent");
    }
    let text = logs.text();
    assert!(
        text.contains("invalid_scope ('refresh_token'"),
        "the error was not shown"
    );
    for line in text.lines() {
        for value in &sent {
            assert!(
                !line.contains(value.as_str()),
                "{}",
                &line[..line.floor_char_boundary(90)]
            );
        }
    }
}
