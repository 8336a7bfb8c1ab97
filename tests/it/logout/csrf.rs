//! Who may log a person out.

use http::{Method, StatusCode, header};

use super::{out, still_in, submit};
use crate::support::{Browser, Stack};

#[tokio::test]
async fn attack_35_a_post_without_both_proofs_ends_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    let foreign = grace.csrf_token().await;
    let foreign = foreign.as_str();
    let own = ada.origin().to_owned();
    for (headers, code) in [
        (vec![], "csrf_origin"),
        (vec![("x-csrf-token", token.as_str())], "csrf_origin"),
        (
            vec![("x-csrf-token", &token), ("origin", "https://evil.example")],
            "csrf_origin",
        ),
        (vec![("x-csrf-token", &token), ("origin", "null")], "csrf_origin"),
        (
            vec![("x-csrf-token", &token), ("sec-fetch-site", "cross-site")],
            "csrf_origin",
        ),
        (
            vec![("x-csrf-token", &token), ("sec-fetch-site", "same-site")],
            "csrf_origin",
        ),
        (
            vec![
                ("x-csrf-token", &token),
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ],
            "csrf_origin",
        ),
        (
            vec![
                ("x-csrf-token", &token),
                ("origin", &own),
                ("origin", "https://evil.example"),
            ],
            "csrf_origin",
        ),
        (vec![("origin", own.as_str())], "csrf_token"),
        (vec![("origin", &own), ("x-csrf-token", "")], "csrf_token"),
        (vec![("origin", &own), ("x-csrf-token", foreign)], "csrf_token"),
        (
            vec![("origin", &own), ("x-csrf-token", &token[1..])],
            "csrf_token",
        ),
    ] {
        for path in ["/auth/logout", "/api/auth/logout"] {
            let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
            let mut request = stack
                .browser()
                .request(Method::GET, &format!("{own}{path}"))
                .build()
                .unwrap();
            *request.method_mut() = Method::POST;
            request
                .headers_mut()
                .insert(header::COOKIE, cookie.parse().unwrap());
            for (name, value) in &headers {
                request.headers_mut().append(*name, value.parse().unwrap());
            }
            let reply = ada.execute(request).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (StatusCode::FORBIDDEN, code)
            );
            still_in(&stack, &ada, &reply).await;
        }
    }
    // The form field is held to the same.
    for token in ["", foreign, "x"] {
        let reply = submit(&ada, &[("csrf_token", token)]).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::FORBIDDEN, "csrf_token")
        );
        still_in(&stack, &ada, &reply).await;
    }
    // A wrong header is not rescued by a right field.
    let request = ada
        .request(Method::POST, "/auth/logout")
        .header("x-csrf-token", foreign)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("csrf_token={token}"));
    assert_eq!(ada.send(request).await.status, StatusCode::FORBIDDEN);
}

/// No session ends.
#[tokio::test]
async fn attack_35_a_get_from_elsewhere_shows_a_button() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")],
        &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "no-cors")],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-mode", "navigate")],
        &[
            ("origin", "http://automate.localhost"),
            ("referer", "http://automate.localhost/"),
        ],
    ] {
        for path in ["/auth/logout", "/auth/logout?everywhere=true", "/api/auth/logout"] {
            let mut request = ada.request(Method::GET, path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let reply = ada.send(request).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{headers:?}");
            crate::login::guarded(&reply);
            assert!(
                reply
                    .body
                    .contains("<form method=\"post\" action=\"/auth/logout\">")
            );
            still_in(&stack, &ada, &reply).await;
        }
    }
    let reply = ada.get_json("/auth/logout").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::FORBIDDEN, "logout_needs_post")
    );
    assert!(!reply.body.contains(&ada.csrf_token().await));
    still_in(&stack, &ada, &reply).await;
}

#[tokio::test]
async fn the_button_of_the_page_works_in_a_browser() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let page = ada.get("/auth/logout?return_to=/bye").await;
    // Without this a browser sends `Origin: null` from a page with `Referrer-Policy: no-referrer`.
    assert!(
        page.body
            .contains("<meta name=\"referrer\" content=\"same-origin\">")
    );
    // `form-action` would be held against the redirect to the IdP.
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("form-action")
    );
    let fields: Vec<(&str, &str)> = page
        .body
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (name, rest.split_once('"').unwrap().0)
        })
        .collect();
    assert_eq!(fields[1], ("return_to", "/bye"));
    let cookie = ada.session_cookie().unwrap();
    let reply = submit(&ada, &fields).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(reply.location().starts_with(&stack.issuer));
    out(&stack, &ada, &cookie).await;
}

#[tokio::test]
async fn a_link_on_a_page_of_ours_logs_out() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie().unwrap();
    let other = stack.browser();
    other.log_in().await;
    let request = ada
        .request(Method::GET, "/auth/logout?everywhere=true")
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate");
    let reply = ada.send(request).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(reply.location().starts_with(&format!("{}/logout?", stack.issuer)));
    out(&stack, &ada, &cookie).await;
    // `everywhere` needs the token.
    assert!(other.is_logged_in().await);
}

#[tokio::test]
async fn a_link_with_the_token_ends_all_sessions_of_the_person() {
    let stack = Stack::start().await;
    let (ada, other) = (stack.browser(), stack.browser());
    ada.log_in().await;
    other.log_in().await;
    let token = ada.csrf_token().await;
    let follow = async |site: &str, query: &str| {
        let request = ada
            .request(Method::GET, &format!("/auth/logout?{query}"))
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate");
        ada.send(request).await
    };
    // A wrong token is reported, also that of another session of the person.
    for wrong in ["x".to_owned(), other.csrf_token().await] {
        let reply = follow("same-origin", &format!("csrf={wrong}&everywhere=true")).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(reply.body.contains("csrf_token"), "{}", reply.body);
        assert!(ada.is_logged_in().await && other.is_logged_in().await);
    }
    // A foreign page that knows the token still needs the person.
    let all = format!("csrf={token}&everywhere=true");
    for site in ["cross-site", "same-site", "none"] {
        follow(site, &all).await;
        assert!(ada.is_logged_in().await && other.is_logged_in().await, "{site}");
    }
    let reply = follow("same-origin", &all).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(reply.location().starts_with(&format!("{}/logout?", stack.issuer)));
    assert!(!reply.location().contains(&token));
    assert!(!ada.is_logged_in().await && !other.is_logged_in().await);
}

#[tokio::test]
async fn forms_that_are_none_are_refused() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let post = |body: Vec<u8>| {
        ada.request(Method::POST, "/auth/logout")
            .header("x-csrf-token", &token)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    };
    for (body, code) in [
        (vec![b'x'; 20 * 1024], "malformed_form"),
        (vec![0xff, 0xfe], "malformed_form"),
        (b"csrf_token=a&csrf_token=b".to_vec(), "duplicate_parameter"),
        (
            b"everywhere=true&everywhere=false".to_vec(),
            "duplicate_parameter",
        ),
    ] {
        let reply = ada.send(post(body)).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, code)
        );
        still_in(&stack, &ada, &reply).await;
    }
}

#[tokio::test]
async fn other_methods_end_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = ada.request(method, "/auth/logout").header("x-csrf-token", &token);
        let reply = ada.send(request).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
        still_in(&stack, &ada, &reply).await;
    }
}

#[tokio::test]
async fn everywhere_without_a_session_is_refused_and_ends_nothing() {
    let stack = Stack::start().await;
    let (desk, phone) = (stack.browser(), stack.browser());
    desk.log_in().await;
    phone.log_in().await;
    let token = desk.csrf_token().await;
    assert_eq!(desk.post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    // A page that is still open does not know it yet.
    let request = desk
        .request(Method::POST, "/auth/logout?everywhere=true")
        .header("x-csrf-token", &token);
    let reply = desk.send(request).await;
    assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()));
    let reply = desk
        .go_on_to(&format!("/auth/logout?everywhere=true&csrf={token}"))
        .await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(phone.is_logged_in().await);
    // Without an impossible wish the page still says that it is done.
    assert_eq!(desk.post("/auth/logout").await.status, StatusCode::SEE_OTHER);
}
