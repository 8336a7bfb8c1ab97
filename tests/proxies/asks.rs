//! Forward authentication: the proxy asks before each call.

use std::time::Duration;

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};
use url::Url;

use crate::harness::{Harness, Kind, PAGE, send};

/// The addresses of pages that are easily damaged on the way.
const ADDRESSES: [&str; 4] = [
    "/api/crud/orders",
    "/api/crud/orders?a=b&c=d&prompt=none&return_to=/x&service=crud&unauthenticated=401",
    "/api/crud/a%20b?q=%26%3D%25&r=1+2&s=%2B",
    "/api/crud/z%C3%BCrich?caf%C3%A9=%E2%82%AC&u=https://other.example/a?b",
];

#[tokio::test]
async fn nginx_as_the_recipe_says() {
    as_the_recipe_says(Kind::Nginx).await;
}

#[tokio::test]
async fn caddy_as_the_recipe_says() {
    as_the_recipe_says(Kind::Caddy).await;
}

#[tokio::test]
async fn envoy_as_the_recipe_says() {
    as_the_recipe_says(Kind::Envoy).await;
}

#[tokio::test]
async fn what_traefik_documents_as_the_recipe_says() {
    as_the_recipe_says(Kind::Traefik).await;
}

async fn as_the_recipe_says(kind: Kind) {
    let harness = Harness::asks(kind).await;
    the_keys_of_the_client_can_be_read(&harness).await;
    a_page_leads_to_the_login_and_back(&harness).await;
    a_call_without_a_session_gets_401(&harness).await;
    attack_42_a_state_change_needs_the_proof_of_its_origin(&harness).await;
    a_call_is_admitted_by_its_route(&harness).await;
    attack_4_and_43_the_api_gets_only_the_providers_claims(&harness).await;
    a_session_that_is_used_lives_on(&harness).await;
    attack_56_a_websocket_of_a_foreign_page_is_refused(&harness, kind).await;
}

async fn the_keys_of_the_client_can_be_read(harness: &Harness) {
    let reply = harness.browser().get("/.well-known/jwks.json").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(!reply.json()["keys"].as_array().unwrap().is_empty());
}

async fn a_page_leads_to_the_login_and_back(harness: &Harness) {
    for address in ADDRESSES {
        let ada = harness.browser();
        let reply = send(&ada, Method::GET, address, &PAGE).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{address}: {}", reply.body);
        let login = Url::parse(&harness.origin)
            .unwrap()
            .join(reply.location())
            .unwrap();
        assert_eq!(login.origin().ascii_serialization(), harness.origin);
        assert_eq!(login.path(), "/auth/login");
        let callback = ada.log_in_by(login.as_str()).await;
        let end = callback.leads_on();
        assert_eq!(end, format!("{}{address}", harness.origin));
        let reply = send(&ada, Method::GET, &end, &PAGE).await;
        assert_eq!(reply.status, StatusCode::OK, "{address}: {}", reply.body);
        let seen = harness.stack.api.last().target;
        let (_, rest) = address.split_once("/crud").unwrap();
        assert!(seen.ends_with(rest), "{seen}");
    }
}

async fn a_call_without_a_session_gets_401(harness: &Harness) {
    let nobody = harness.browser();
    let before = harness.stack.api.calls().len();
    for fields in [
        &[][..],
        &[("accept", "application/json")],
        &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
    ] {
        let reply = send(&nobody, Method::GET, "/api/crud/x", fields).await;
        assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()), "{fields:?}");
    }
    let form = [PAGE[0], PAGE[1], ("origin", harness.origin.as_str())];
    let reply = send(&nobody, Method::POST, "/api/crud/x", &form).await;
    assert_eq!(reply.refusal().0, 401);
    assert_eq!(harness.stack.api.calls().len(), before);
}

async fn attack_42_a_state_change_needs_the_proof_of_its_origin(harness: &Harness) {
    let ada = harness.browser();
    ada.log_in().await;
    let before = harness.stack.api.calls().len();
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        for foreign in [
            &[][..],
            &[("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site")],
        ] {
            let reply = send(&ada, method.clone(), "/api/crud/x", foreign).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{method} {foreign:?}");
        }
    }
    assert_eq!(harness.stack.api.calls().len(), before);
    let request = ada.request(Method::POST, "/api/crud/x").body("hello");
    let reply = ada.send(request).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "without the CSRF token");
    assert_eq!(harness.stack.api.calls().len(), before);
    let request = ada.request(Method::POST, "/api/crud/x").body("hello");
    let request = request.header("x-csrf-token", ada.csrf_token().await);
    let reply = ada.send(request).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(harness.stack.api.last().body, "hello");
}

async fn a_call_is_admitted_by_its_route(harness: &Harness) {
    let (nobody, ada) = (harness.browser(), harness.browser());
    ada.log_in().await;
    let before = harness.stack.api.calls().len();
    let reply = send(&nobody, Method::GET, "/api/crud/public/x?y", &[]).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let reply = send(&ada, Method::GET, "/api/crud/scoped", &[]).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.body);
    assert_eq!(harness.stack.api.calls().len(), before + 1);
    // A browser cannot name another call than its own.
    for name in ["x-forwarded-uri", "x-original-uri", "x-original-url"] {
        let other = [(name, "/api/crud/public/x")];
        let reply = send(&nobody, Method::GET, "/api/crud/x", &other).await;
        assert!(!reply.status.is_success(), "{name}: {}", reply.status);
    }
    for name in ["x-forwarded-method", "x-original-method"] {
        let reply = send(&nobody, Method::DELETE, "/api/crud/public/x", &[(name, "GET")]).await;
        assert!(!reply.status.is_success(), "{name}: {}", reply.status);
    }
    assert_eq!(harness.stack.api.calls().len(), before + 1);
}

async fn attack_4_and_43_the_api_gets_only_the_providers_claims(harness: &Harness) {
    const SPOOFED: [(&str, &str); 7] = [
        ("x-user-id", "root"),
        ("x-user-email", "root@example.org"),
        ("x-user-name", "root"),
        ("x-session-id", "root"),
        ("x-auth-time", "1"),
        // The recipe for Caddy takes the cookie to the answer under this name.
        ("x-renewed-cookie", "a=b"),
        ("authorization", "Bearer root"),
    ];
    let ada = harness.browser();
    ada.log_in().await;
    let reply = send(&ada, Method::GET, "/api/crud/x", &SPOOFED).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.set_cookies().is_empty(), "{:?}", reply.set_cookies());
    let call = harness.stack.api.last();
    assert_eq!(call.header("x-user-id"), Some("u-ada"));
    assert_eq!(call.header("x-user-name"), Some("Ada Lovelace"));
    assert_eq!(call.header("x-auth-time"), Some("1800000000"));
    assert!(call.header("x-user-email").unwrap().starts_with("ada@"));
    for private in ["authorization", "cookie"] {
        assert_eq!(call.header(private).unwrap_or_default(), "", "{private}");
    }

    // Nobody states facts that the provider does not state, not even the browser.
    harness.stack.idp.on_userinfo(|answer| {
        let claims = answer.as_object_mut().unwrap();
        claims.retain(|name, _| name == "sub");
    });
    harness.stack.idp.on_id_token(|draft| {
        draft
            .claims
            .retain(|name, _| !matches!(name.as_str(), "email" | "email_verified" | "name" | "auth_time"));
    });
    let ada = harness.browser();
    ada.log_in().await;
    let reply = send(&ada, Method::GET, "/api/crud/x", &SPOOFED).await;
    assert_eq!(reply.status, StatusCode::OK);
    let call = harness.stack.api.last();
    assert_eq!(call.header("x-user-id"), Some("u-ada"));
    for absent in ["x-user-email", "x-user-name", "x-auth-time"] {
        assert_eq!(call.header(absent).unwrap_or_default(), "", "{absent}");
    }
    assert!(reply.set_cookies().is_empty(), "{:?}", reply.set_cookies());
}

async fn a_session_that_is_used_lives_on(harness: &Harness) {
    let ada = harness.browser();
    ada.log_in().await;
    // Beyond the idle limit of an hour, with a call in between.
    for _ in 0..2 {
        harness.stack.advance(Duration::from_mins(40)).await;
        let reply = send(&ada, Method::GET, "/api/crud/x", &[]).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        let renewed = reply.set_cookies();
        assert!(
            renewed
                .iter()
                .any(|cookie| cookie.starts_with("__Host-Http-bff_session=")),
            "{renewed:?}"
        );
    }
}

async fn attack_56_a_websocket_of_a_foreign_page_is_refused(harness: &Harness, kind: Kind) {
    harness.stack.api.answer(|call| {
        if call.header("upgrade").is_some() {
            let fields = [("connection", "upgrade"), ("upgrade", "websocket")];
            (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
        } else {
            StatusCode::OK.into_response()
        }
    });
    let ada = harness.browser();
    ada.log_in().await;
    let before = harness.stack.api.calls().len();
    for foreign in ["https://evil.example", "null"] {
        assert_eq!(harness.handshake(&ada, "/api/crud/ws", foreign).await, 403);
    }
    assert_eq!(harness.stack.api.calls().len(), before);
    // The stand-in opens no tunnel.
    let open = if kind == Kind::Traefik { 200 } else { 101 };
    assert_eq!(
        harness.handshake(&ada, "/api/crud/ws", &harness.origin).await,
        open
    );
    assert_eq!(harness.stack.api.calls().len(), before + 1);
}
