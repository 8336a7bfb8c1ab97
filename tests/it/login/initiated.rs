//! Logins that another site begins (OpenID Connect Core 1.0 section 4).

use devstack_idp::Endpoint;
use http::{Method, StatusCode, header};

use super::nothing_exchanged;
use crate::support::{Browser, Reply, Stack};

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

async fn post(browser: &Browser, pairs: &[(&str, &str)]) -> Reply {
    let request = browser
        .request(Method::POST, "/auth/login")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        // As a browser says it of a form on another site.
        .header("origin", "https://portal.example")
        .body(query(pairs));
    browser.send(request).await
}

#[tokio::test]
async fn another_site_leads_to_the_idp_and_to_the_page_that_it_names() {
    let stack = Stack::start().await;
    for with_form in [false, true] {
        let ada = stack.browser();
        let pairs = [
            ("iss", &*stack.issuer),
            ("login_hint", "ada"),
            ("target_link_uri", "/orders?page=2"),
            ("client_id", "bff-server"),
            ("domain_hint", "example.com"),
            ("tenant", "acme"),
        ];
        let path = if with_form {
            let reply = post(&ada, &pairs).await;
            assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
            assert!(reply.set_cookies().is_empty());
            reply.location().to_owned()
        } else {
            format!("/auth/login?{}", query(&pairs))
        };
        let started = ada.get(&path).await;
        let request = super::request::form(&stack.idp.requests(Endpoint::Par).pop().unwrap());
        for (name, value) in [
            ("login_hint", "ada"),
            ("domain_hint", "example.com"),
            ("tenant", "acme"),
        ] {
            assert_eq!(request.get(name).map(String::as_str), Some(value));
        }
        assert!(!request.contains_key("target_link_uri") && !request.contains_key("iss"));
        let callback = ada.person().authorize(started.location()).await.unwrap();
        let end = ada.get(&callback).await.leads_on();
        assert_eq!(end, format!("{}/orders?page=2", ada.origin()));
    }
}

#[tokio::test]
async fn it_logs_nobody_in_and_ends_no_session_by_itself() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie();
    let link = format!(
        "/auth/login?{}",
        query(&[("iss", &stack.issuer), ("login_hint", "grace")])
    );
    let again = ada.come_from_elsewhere(&link).await.leads_on();
    // A person is logged in, and the IdP is asked all the same: the request may concern another person.
    assert!(ada.go_on_to(&again).await.location().starts_with(&stack.issuer));
    assert_eq!(ada.session_cookie(), cookie);
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn attack_8_parameters_of_another_site_are_verified() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let iss = ("iss", &*stack.issuer);
    for (pairs, code) in [
        (vec![("iss", "https://evil.example")], "invalid_parameter"),
        (vec![iss, ("client_id", "another")], "invalid_parameter"),
        (
            vec![iss, ("target_link_uri", "https://evil.example/")],
            "invalid_return_to",
        ),
        (
            vec![iss, ("target_link_uri", "/auth/logout")],
            "invalid_return_to",
        ),
        (vec![iss, ("domain_hint", "a\u{0}")], "invalid_parameter"),
        (vec![iss, iss], "duplicate_parameter"),
        // The request does not name the IdP.
        (vec![("target_link_uri", "/orders")], "invalid_parameter"),
    ] {
        let request = ada.request(Method::GET, &format!("/auth/login?{}", query(&pairs)));
        let reply = ada.send(request.header("accept", "application/json")).await;
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{pairs:?}");
        assert!(reply.set_cookies().is_empty());
    }
    for pairs in [vec![], vec![("login_hint", "ada")], vec![iss, iss]] {
        assert_eq!(
            post(&ada, &pairs).await.status,
            StatusCode::BAD_REQUEST,
            "{pairs:?}"
        );
    }
    let long = "x".repeat(5_000);
    assert_eq!(
        post(&ada, &[iss, ("login_hint", &long)]).await.status,
        StatusCode::BAD_REQUEST
    );
    nothing_exchanged(&stack);
}
