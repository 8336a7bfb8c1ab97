//! One-time notices to operators.

use http::{Method, StatusCode, header};

use crate::support::{Logs, Stack};

#[tokio::test]
async fn a_second_session_cookie_of_our_name_is_told_once() {
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let with = |cookies: String| {
        stack
            .browser()
            .request(Method::GET, "/api/x")
            .header(header::COOKIE, cookies)
    };
    let name = "__Host-Http-bff_session";
    assert_eq!(
        ada.send(with(format!("{name}=x"))).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert!(logs.lines_with("several session cookies").is_empty());
    for _ in 0..3 {
        let reply = ada.send(with(format!("{name}={cookie}; {name}=planted"))).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    let line = logs.has_part("WARN", "several session cookies");
    assert!(
        line.contains(name) && line.contains("SESSION_COOKIE_NAME"),
        "{line}"
    );
    assert!(!logs.text().contains(&cookie));
}

/// With the fix.
#[tokio::test]
async fn a_host_without_a_redirect_uri_is_logged_once() {
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let ada = stack.browser();
    let on = |host: &str| {
        ada.request(Method::GET, &format!("http://{}/auth/login", stack.address))
            .header(header::HOST, host)
    };
    for host in ["forgotten.example", "FORGOTTEN.example", "forgotten.example"] {
        let reply = ada.send(on(host)).await;
        assert_eq!(reply.status, StatusCode::FOUND);
    }
    let line = logs.has_part("WARN", "without a redirect URI");
    for part in ["forgotten.example", "DCR_REDIRECT_URIS", "BFF_TRUSTED_PROXIES"] {
        assert!(line.contains(part), "{line}");
    }
    // An attacker who invents hosts cannot fill the log.
    for number in 0..50 {
        ada.send(on(&format!("h{number}.example"))).await;
    }
    let told = logs.lines_with("without a redirect URI").len();
    assert!(told <= 8, "{told}");
}

#[tokio::test]
async fn without_the_dynamic_callback_nobody_is_told_of_other_hosts() {
    let logs = Logs::capture();
    let stack = Stack::builder()
        .set("BFF_DYNAMIC_CALLBACK", "false")
        .start()
        .await;
    assert_eq!(stack.browser().get("/auth/login").await.status, StatusCode::FOUND);
    assert!(logs.lines_with("without a redirect URI").is_empty());
}
