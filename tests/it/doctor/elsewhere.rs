//! Addresses and files that belong to somebody else: another server, another kind of server, another IdP.

use std::{fs, net::SocketAddr};

use axum::{Router, http::StatusCode, routing::get};
use devstack_idp::{Endpoint, Fault};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{Harness, agree, agree_in_log, breaks::inline, check};
use crate::support::{
    Stack,
    proxy::{Does, TestProxy},
};

async fn never_started() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

/// A server that answers every path with this.
async fn answering(status: u16, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    let router = Router::new().fallback(get(async move || (status, body)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// It answers the request in absolute form, or the CONNECT, as if it were for itself.
#[tokio::test]
async fn a_web_server_in_the_place_of_a_proxy() {
    let stack = never_started().await;
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let bad = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for answer in [page, missing, bad] {
        let proxy = TestProxy::start(Does::Answer(answer)).await;
        let url = format!("http://{}", proxy.address());
        let changes = [
            ("OIDC_ISSUER", "http://keycloak:8080"),
            ("HTTP_PROXY", url.as_str()),
        ];
        let parts = [
            &url[7..],
            "perhaps a web server",
            "correct HTTP_PROXY if no proxy answers there",
        ];
        agree_in_log(&stack, &changes, "discovery", &parts).await;
        let found = check(&stack, &changes).await;
        assert_eq!(found.row("discovery")["settings"][0]["name"], "HTTP_PROXY");

        let changes = [
            ("OIDC_ISSUER", "https://idp.example"),
            ("HTTPS_PROXY", url.as_str()),
        ];
        agree_in_log(&stack, &changes, "discovery", &[&url[7..], "HTTPS_PROXY"]).await;
        let found = check(&stack, &changes).await;
        assert_eq!(
            found.row("discovery")["settings"][0]["name"],
            "HTTPS_PROXY",
            "{:#}",
            found.report
        );
    }
    // A proxy that marks itself passes the answer of the IdP on.
    let marked = "HTTP/1.1 404 Not Found\r\nvia: 1.1 squid\r\ncontent-length: 0\r\n\r\n";
    let proxy = TestProxy::start(Does::Answer(marked)).await;
    let url = format!("http://{}", proxy.address());
    let changes = [
        ("OIDC_ISSUER", "http://keycloak:8080"),
        ("HTTP_PROXY", url.as_str()),
    ];
    check(&stack, &changes)
        .await
        .blames("discovery", &["404", "correct OIDC_ISSUER"]);
}

#[tokio::test]
async fn a_base_url_that_is_the_address_of_the_idp() {
    let harness = Harness::start().await;
    for stack in [&harness.stack, &never_started().await] {
        let changes = [("BFF_BASE_URL", stack.issuer.as_str())];
        let found = check(stack, &changes).await;
        found.blames(
            "jwks",
            &[
                "is an address of the IdP, and not of this server",
                "set BFF_BASE_URL to the address at which browsers reach this server",
            ],
        );
        let notes = found.report["notes"].to_string();
        assert!(
            notes.contains("BFF_BASE_URL: is the address of the IdP, too"),
            "{notes}"
        );
    }
    let other = never_started().await;
    let mut started = super::start(&other, &[("BFF_BASE_URL", &harness.stack.issuer)]);
    // Another IdP than its own.
    started.says("Client registered").await;
    assert!(
        !started.output().contains("address of the IdP, too"),
        "{}",
        started.output()
    );
    started.terminate();
    started.ended().await;
    let stack = never_started().await;
    let mut started = super::start(&stack, &[("BFF_BASE_URL", &stack.issuer)]);
    started.says("BFF_BASE_URL: is the address of the IdP, too").await;
    // Before that, a signal is not received.
    started.says("listening").await;
    started.terminate();
    started.ended().await;
}

#[tokio::test]
async fn another_server_at_our_addresses() {
    let harness = Harness::start().await;
    // It is not the server, although it answers like a healthy one.
    for body in ["ok", "<html>", "{\"status\":\"ok\"}"] {
        let other = answering(200, body).await;
        let stack = never_started().await;
        let port = other.port().to_string();
        let parts = ["another process listens there", "PORT"];
        agree(&stack, &[("PORT", &port)], "server", &parts).await;

        let base = format!("http://{other}");
        let found = harness.check(&[("BFF_BASE_URL", &base)]).await;
        found.blames(
            "jwks",
            &[
                "does not serve the keys",
                "correct BFF_BASE_URL if another server answers there",
            ],
        );
    }
    let other = answering(404, "").await;
    let uri = format!("http://{other}/keys.json");
    let found = harness.check(&[("DCR_JWKS_URI", &uri)]).await;
    found.blames(
        "jwks",
        &["404", "correct DCR_JWKS_URI if another server answers there"],
    );
    // A proxy for a server that is stopped.
    let gateway = answering(502, "").await;
    let base = format!("http://{gateway}");
    let found = check(&never_started_with_key().await, &[("BFF_BASE_URL", &base)]).await;
    found.says("jwks", "skipped", &["502", "the server is not running here"]);
}

/// Its signing key exists.
async fn never_started_with_key() -> Stack {
    let stack = never_started().await;
    super::run(&stack, &["keys", "generate"], &[]).await.says(0, &[]);
    stack
}

/// Some IdPs say this of a client that is registered for a method with a secret.
#[tokio::test]
async fn an_idp_that_misses_a_client_secret() {
    let harness = Harness::start().await;
    for (status, code, description) in [
        (400, "invalid_request", "Missing parameter: client_secret"),
        (400, "invalid_request", "client_secret is required"),
        (
            401,
            "unauthorized_client",
            "INVALID_CREDENTIALS: client secret not provided",
        ),
        (401, "invalid_client", "no client_secret in the request"),
    ] {
        let refusal = Fault::json(status, &json!({"error": code, "error_description": description}));
        for (endpoint, changes) in [
            (Endpoint::Par, &[][..]),
            (Endpoint::Token, &[("MS_BFF_PAR_ENABLED", "false")]),
        ] {
            harness.stack.idp.fail_always(endpoint, refusal.clone());
            if endpoint == Endpoint::Par {
                harness.stack.idp.fail_always(Endpoint::Token, refusal.clone());
            }
            let found = harness.check(changes).await;
            let row = if code == "invalid_client" {
                "authentication"
            } else {
                "method"
            };
            found.blames(row, &[description, "MS_BFF_TOKEN_AUTH_METHOD", "probably"]);
            harness.stack.idp.heal_all();
        }
    }
    assert_eq!(harness.check(&[]).await.code, 0);
}

/// A server that speaks Redis: `(command, answer)`, and `+OK` to every other command.
async fn speaks_redis(answers: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(BufReader::new(stream), answers));
        }
    });
    address
}

async fn answer_all(mut stream: BufReader<TcpStream>, answers: &[(&str, &str)]) -> Option<()> {
    loop {
        let count = number(&mut stream).await?;
        let mut words = Vec::new();
        for _ in 0..count {
            let mut word = vec![0; number(&mut stream).await? + 2];
            stream.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word).trim_end().to_uppercase());
        }
        let answer = answers.iter().find(|(command, _)| *command == words[0]);
        let answer = answer.map_or("+OK\r\n", |(_, answer)| answer);
        stream.get_mut().write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The number in a line like `*2` or `$4`.
async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().get(1..)?.parse().ok()
}

#[tokio::test]
async fn a_redis_of_another_kind_than_the_url_says() {
    let stack = never_started().await;
    let sentinel = speaks_redis(&[(
        "INFO",
        "$43\r\nredis_version:7.0.15\r\nredis_mode:sentinel\r\n\r\n",
    )])
    .await;
    let plain = speaks_redis(&[("SENTINEL", "-ERR unknown command 'SENTINEL', with args\r\n")]).await;
    let secret = "7a".repeat(32);
    for (url, says, form) in [
        (
            format!("redis://{sentinel}"),
            "is a sentinel",
            "write redis+sentinel://HOST:PORT,HOST:PORT/PRIMARY in REDIS_URL",
        ),
        (
            format!("redis+sentinel://{plain}/main"),
            "is a plain Redis, and no sentinel",
            "write redis://HOST:PORT in REDIS_URL",
        ),
    ] {
        let changes = [
            ("REDIS_URL", url.as_str()),
            ("SESSION_SECRET", &secret),
            ("SESSION_STORE", "redis"),
            ("BFF_STATE_STORE", "files"),
        ];
        agree(&stack, &changes, "configuration", &[says, form]).await;
    }
}

/// The file was copied from a server of another IdP.
#[tokio::test]
async fn credentials_of_another_idp() {
    let (stack, other) = (inline().await, inline().await);
    fs::copy(other.credentials(), stack.credentials()).unwrap();
    let file = stack.credentials().display().to_string();
    let parts = [&file, "belongs to the issuer ", &other.issuer, &stack.issuer];
    agree(&stack, &[], "registration", &parts).await;
}
