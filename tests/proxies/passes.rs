//! The proxy passes everything on.

use http::{Method, StatusCode};

use crate::harness::{Harness, Kind, PAGE, send};

#[tokio::test]
async fn nginx_passes_everything_on() {
    a_person_logs_in_and_out(&Harness::passes(Kind::Nginx, str::to_owned).await).await;
}

#[tokio::test]
async fn caddy_passes_everything_on() {
    a_person_logs_in_and_out(&Harness::passes(Kind::Caddy, str::to_owned).await).await;
}

async fn a_person_logs_in_and_out(harness: &Harness) {
    let ada = harness.browser();
    // Near the longest that is allowed: the answer carries it in a cookie.
    let address = format!("/api/x?a=b&c=%20{}", "d".repeat(1_800));
    let reply = send(&ada, Method::GET, &address, &PAGE).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.body);
    let callback = ada.log_in_by(reply.location()).await;
    assert_eq!(callback.leads_on(), format!("{}{address}", harness.origin));
    assert_eq!(ada.get(&address).await.status, StatusCode::OK);
    assert_eq!(
        harness.stack.api.last().header("x-forwarded-for"),
        Some("127.0.0.1")
    );
    assert_eq!(ada.post("/api/x").await.status, StatusCode::OK);
    let reply = ada.post("/auth/logout").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    assert!(!ada.is_logged_in().await);
}

/// Without the lines of the recipe that raise limits.
fn with_the_limits_of_nginx(recipe: &str) -> String {
    let raised = [
        "large_client_header_buffers",
        "proxy_buffer_size",
        "proxy_buffers",
    ];
    let lines: Vec<&str> = recipe
        .lines()
        .filter(|line| !raised.iter().any(|raised| line.contains(raised)))
        .collect();
    lines.join("\n")
}

#[tokio::test]
async fn attack_14_twenty_tabs_pass_the_default_limits_of_nginx() {
    let harness = Harness::passes(Kind::Nginx, with_the_limits_of_nginx).await;
    let ada = harness.browser();
    let mut tabs = Vec::new();
    for number in 0..20 {
        let address = format!("/api/x?tab={number}&{}", "y".repeat(400));
        let reply = send(&ada, Method::GET, &address, &PAGE).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{number}: {}", reply.body);
        tabs.push((address, ada.authorize(reply.location()).await));
    }
    // The newest five come back to their pages. Those whose attempt made room end on the start page, or begin again.
    let (mut back, start_page) = (0, format!("{}/", harness.origin));
    for (address, callback) in tabs.into_iter().rev() {
        let reply = ada.get(&callback).await;
        assert!(
            !reply.body.contains("Header Or Cookie Too Large"),
            "{}",
            reply.body
        );
        match reply.target() {
            Some(target) if target == start_page => {}
            Some(target) => {
                assert_eq!(target, format!("{}{address}", harness.origin));
                back += 1;
            }
            None => assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body),
        }
    }
    assert_eq!(back, 5);
    assert!(ada.is_logged_in().await);
}
