//! Several hosts: each with its own redirect URI, and nothing of a request in any URL.

use devstack_idp::Endpoint;
use http::{Method, StatusCode, header::HOST};

use super::query;
use crate::support::{Browser, HOSTS, Reply, Stack};

async fn with_host(stack: &Stack, target: &str, headers: &[(&str, &str)]) -> Reply {
    let browser = stack.browser();
    let mut request = browser.request(Method::GET, target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = browser.send(request).await;
    assert!(browser.login_cookies().is_empty() || reply.status == StatusCode::FOUND);
    reply
}

#[tokio::test]
async fn every_host_logs_in_with_its_own_redirect_uri() {
    let stack = Stack::start().await;
    for host in 0..HOSTS.len() {
        let origin = stack.origin(host);
        let browser = Browser::new("ada", &origin);
        let callback = browser.authorize("/auth/login").await;
        let exact = format!("{origin}/auth/callback");
        assert!(callback.starts_with(&format!("{exact}?")));
        let pushed = stack.idp.requests(Endpoint::Par).pop().unwrap();
        assert_eq!(pushed.field("redirect_uri"), Some(exact.as_str()));
        let reply = browser.get(&callback).await;
        assert_eq!(reply.leads_on(), format!("{origin}/"));
        let exchange = stack.idp.requests(Endpoint::Token).pop().unwrap();
        assert_eq!(exchange.field("redirect_uri"), Some(exact.as_str()));
        assert!(browser.is_logged_in().await);
        let elsewhere = browser.at(&stack.origin((host + 1) % HOSTS.len()));
        assert!(!elsewhere.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_login_ends_on_the_host_where_it_began() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let other = ada.at(&stack.origin(1));
    for (name, value) in ada.cookies(ada.origin()) {
        other.set_cookie(&name, &value);
    }
    let reply = other.get_json(&callback.replace(HOSTS[0], HOSTS[1])).await;
    super::is_problem(&reply, StatusCode::BAD_REQUEST, "login_other_host");
    super::nothing_exchanged(&stack);
    assert!(!other.is_logged_in().await);
}

/// Before any cookie is set.
#[tokio::test]
async fn an_unregistered_host_leads_to_the_fallback() {
    let stack = Stack::start().await;
    let port = stack.address.port();
    let stranger = Browser::new("ada", &format!("http://stranger.localhost:{port}"));
    let reply = stranger
        .get("/auth/login?return_to=%2Fdeep%3Fa%3Db&prompt=login")
        .await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert!(reply.set_cookies().is_empty());
    assert_eq!(stack.idp.count(Endpoint::Par), 0);
    let fallback = reply.location().to_owned();
    assert!(fallback.starts_with(&format!("http://127.0.0.1:{port}/auth/login?")));
    let kept = query(&fallback);
    assert_eq!(kept["return_to"], "/deep?a=b");
    assert_eq!(kept["prompt"], "login");

    // There it simply continues.
    let reply = stranger.log_in_by(&fallback).await;
    assert_eq!(reply.leads_on(), format!("http://127.0.0.1:{port}/deep?a=b"));
    assert!(
        stranger
            .at(&format!("http://127.0.0.1:{port}"))
            .is_logged_in()
            .await
    );
}

/// A message explains it.
#[tokio::test]
async fn a_proxy_that_rewrites_host_causes_no_loop() {
    let stack = Stack::start().await;
    let rewritten = [("host", "internal.example")];
    let first = with_host(&stack, "/auth/login", &rewritten).await;
    let marked = first.location().to_owned();
    assert!(first.set_cookies().is_empty());
    let again = with_host(&stack, &marked, &rewritten).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.header("location").is_none() && again.set_cookies().is_empty());
    super::is_error_page(&again, "unknown_host");
    let json = with_host(
        &stack,
        &marked,
        &[("host", "internal.example"), ("accept", "application/json")],
    )
    .await;
    super::is_problem(&json, StatusCode::BAD_REQUEST, "unknown_host");
    assert_eq!(stack.idp.count(Endpoint::Par), 0);
}

#[tokio::test]
async fn attack_1_only_a_listed_proxy_chooses_the_login_host() {
    let stack = Stack::start().await;
    let port = stack.address.port();
    let own = format!("{}/auth/callback", stack.origin(0));
    let other = format!("{}:{port}", HOSTS[1]);
    for (name, value) in [
        ("x-forwarded-host", other.as_str()),
        ("x-forwarded-host", "evil.example"),
        ("x-original-host", other.as_str()),
        ("x-host", other.as_str()),
        ("x-forwarded-server", other.as_str()),
        (
            "forwarded",
            &format!("for=192.0.2.1;host=\"{other}\";proto=https"),
        ),
        ("x-forwarded-proto", "https"),
        ("x-original-url", "/auth/logout"),
    ] {
        let reply = with_host(&stack, "/auth/login", &[(name, value)]).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{name}");
        let pushed = stack.idp.requests(Endpoint::Par).pop().unwrap();
        assert_eq!(pushed.field("redirect_uri"), Some(own.as_str()), "{name}");
    }
}

#[tokio::test]
async fn attack_1_a_proxy_chooses_among_registered_hosts() {
    let stack = Stack::builder()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    let port = stack.address.port();
    let named = format!("{}:{port}", HOSTS[2]);
    let reply = with_host(&stack, "/auth/login", &[("x-forwarded-host", &named)]).await;
    assert_eq!(reply.status, StatusCode::FOUND);
    let pushed = stack.idp.requests(Endpoint::Par).pop().unwrap();
    let expected = format!("{}/auth/callback", stack.origin(2));
    assert_eq!(pushed.field("redirect_uri"), Some(expected.as_str()));

    let reply = with_host(&stack, "/auth/login", &[("x-forwarded-host", "evil.example")]).await;
    assert!(
        reply
            .location()
            .starts_with(&format!("http://127.0.0.1:{port}/auth/login?"))
    );
    assert!(reply.set_cookies().is_empty());
    assert_eq!(stack.idp.count(Endpoint::Par), 1);
}

#[tokio::test]
async fn an_injected_host_enters_no_url() {
    let stack = Stack::start().await;
    let port = stack.address.port();
    for host in [
        "evil.example",
        "evil.example:80",
        &format!("{}:1", HOSTS[0]),
        HOSTS[0],
        &format!("{}.evil.example:{port}", HOSTS[0]),
        &format!("{}@evil.example", HOSTS[0]),
        &format!("evil.example#{}:{port}", HOSTS[0]),
        &format!("evil.example/{}:{port}", HOSTS[0]),
        &format!("{}:{port}, evil.example", HOSTS[0]),
        "[::1]",
        "127.0.0.1:port",
    ] {
        let target = format!("http://127.0.0.1:{port}/auth/login");
        let reply = with_host(&stack, &target, &[(HOST.as_str(), host)]).await;
        if reply.status == StatusCode::FOUND {
            let expected = format!("http://127.0.0.1:{port}/auth/login?");
            assert!(
                reply.location().starts_with(&expected),
                "{host}: {}",
                reply.location()
            );
            assert!(!reply.location().contains("evil"), "{host}");
        } else {
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{host}");
        }
        assert!(reply.set_cookies().is_empty(), "{host}");
        assert!(!reply.body.contains("evil"), "{host}");
    }
    assert_eq!(stack.idp.count(Endpoint::Par), 0);
}

#[tokio::test]
async fn without_the_dynamic_callback_all_use_the_fallback() {
    let stack = Stack::builder()
        .set("BFF_DYNAMIC_CALLBACK", "false")
        .start()
        .await;
    let ada = stack.browser();
    let reply = ada.get("/auth/login").await;
    let fallback = format!("http://127.0.0.1:{}", stack.address.port());
    assert!(reply.location().starts_with(&format!("{fallback}/auth/login?")));
    assert!(reply.set_cookies().is_empty());
    ada.log_in_by(reply.location()).await;
    assert!(ada.at(&fallback).is_logged_in().await);
}
