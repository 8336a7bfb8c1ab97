use http::Method;

use super::*;
use crate::gateway::{Found, NormalPath};

const ROUTES: &str = "
services:
  crud: { base_url: 'http://crud.internal:8080/v1' }
  flat: { base_url: 'http://flat:8080' }
routes:
  - { id: crud, path: /api/crud/*, target_service: crud }
  - { id: around, path: /reports/*, target_service: crud, upstream_path: '/archive/{path}/full' }
  - { id: fixed, path: /status, target_service: crud, upstream_path: /internal/health }
  - { id: whole, path: /kept/*, target_service: flat, preserve_path: true }
  - { id: flat, path: /flat/*, target_service: flat }
  - { id: page, path: '/*', target_service: flat }
";

fn with_match<T>(path: &str, then: impl FnOnce(&Routes, &Match<'_>) -> T) -> T {
    let routes = Routes::parse(ROUTES).unwrap();
    let normal = NormalPath::parse(path).unwrap();
    let Found::Match(matched) = routes.find("", &normal, &Method::GET) else {
        panic!("no route for {path}");
    };
    then(&routes, &matched)
}

#[test]
fn a_location_at_the_service_is_mapped_back() {
    for (path, reference, expected) in [
        (
            "/api/crud/x",
            "http://crud.internal:8080/v1/orders/7?a=b#c",
            "/api/crud/orders/7?a=b#c",
        ),
        (
            "/api/crud/x",
            "HTTP://CRUD.internal:8080/v1/orders",
            "/api/crud/orders",
        ),
        (
            "/api/crud/x",
            "//crud.internal:8080/v1/orders",
            "/api/crud/orders",
        ),
        ("/api/crud/x", "/v1/orders/", "/api/crud/orders/"),
        ("/api/crud/x", "/v1", "/api/crud"),
        ("/api/crud/x", "/v1?page=2", "/api/crud?page=2"),
        ("/api/crud/x", "/v1/a%20b/caf%C3%A9", "/api/crud/a%20b/caf%C3%A9"),
        // To another route of the same service, where this one does not lead.
        ("/status", "/v1/orders/7", "/api/crud/orders/7"),
        ("/status", "/v1/internal/health", "/status"),
        ("/reports/7", "/v1/archive/8/full", "/reports/8"),
        ("/reports/7", "/v1/orders/8", "/api/crud/orders/8"),
        ("/kept/x", "http://flat:8080/kept/y", "/kept/y"),
        ("/flat/x", "http://flat:8080/y", "/flat/y"),
        ("/flat/x", "/y", "/flat/y"),
        ("/flat/x", "/", "/flat/"),
        ("/x", "http://flat:8080/", "/"),
    ] {
        let mapped = with_match(path, |routes, matched| location(reference, routes, matched));
        assert_eq!(mapped.unwrap(), expected, "{path} {reference}");
    }
}

#[test]
fn any_other_location_stays_as_it_is() {
    for (path, reference) in [
        ("/api/crud/x", "https://elsewhere.example/v1/orders"),
        ("/api/crud/x", "https://crud.internal:8080/v1/orders"),
        ("/api/crud/x", "http://crud.internal/v1/orders"),
        ("/api/crud/x", "http://crud.internal:8080/v2/orders"),
        ("/api/crud/x", "http://crud.internal:8080/v1x"),
        ("/api/crud/x", "/v2/orders"),
        ("/api/crud/x", "orders/7"),
        ("/api/crud/x", "?page=2"),
        ("/api/crud/x", "../x"),
        ("/api/crud/x", "mailto:ada@example.test"),
        ("/api/crud/x", "/\\elsewhere.example/v1"),
        // The public path already.
        ("/flat/x", "/flat/y"),
        ("/api/crud/x", "/api/crud/orders"),
    ] {
        let mapped = with_match(path, |routes, matched| location(reference, routes, matched));
        assert_eq!(mapped, None, "{path} {reference}");
    }
}

#[test]
fn a_cookie_of_the_service_is_one_of_the_browsers_paths() {
    for (path, cookie, expected) in [
        (
            "/api/crud/x",
            "a=b; Domain=crud.internal; Path=/v1; HttpOnly",
            "a=b; Path=/api/crud; HttpOnly",
        ),
        ("/api/crud/x", "a=b;domain=.internal", "a=b"),
        (
            "/api/crud/x",
            "a=b; PATH=/v1/orders/",
            "a=b; Path=/api/crud/orders",
        ),
        ("/reports/x", "a=b; Path=/v1/archive/7", "a=b; Path=/reports/7"),
        ("/status", "a=b; Path=/v1/internal/health", "a=b; Path=/status"),
        ("/flat/x", "a=; Path=/", "a=; Path=/flat"),
        (
            "/flat/x",
            "a=b; Secure; Path=/y; SameSite=Lax",
            "a=b; Secure; Path=/flat/y; SameSite=Lax",
        ),
    ] {
        let mapped = with_match(path, |_, matched| {
            set_cookie(&HeaderValue::from_str(cookie).unwrap(), matched)
        });
        assert_eq!(mapped.unwrap(), expected, "{path} {cookie}");
    }
}

#[test]
fn any_other_cookie_stays_as_it_is() {
    for (path, cookie) in [
        ("/api/crud/x", "a=b"),
        ("/api/crud/x", "a=b; Domain=app.example; Secure"),
        ("/api/crud/x", "a=b; Path=/elsewhere"),
        ("/api/crud/x", "a=b; Path=relative"),
        // Wider than the service's own path: the cookie belongs to the whole application.
        ("/api/crud/x", "a=b; Path=/"),
        ("/status", "a=b; Path=/v1"),
        ("/api/crud/x", "a=b; Path="),
        ("/api/crud/x", "__Host-a=b; Path=/; Secure"),
        ("/api/crud/x", "a=\"; Path=/v1x\""),
        ("/kept/x", "a=b; Path=/kept"),
        ("/x", "a=b; Path=/"),
        ("/x", "a=b; Path=/y"),
    ] {
        let mapped = with_match(path, |_, matched| {
            set_cookie(&HeaderValue::from_str(cookie).unwrap(), matched)
        });
        assert_eq!(mapped, None, "{path} {cookie}");
    }
}

#[test]
fn a_location_at_the_service_never_becomes_one_at_another_host() {
    let routes = Routes::parse(
        "
services:
  based: { base_url: 'http://based:8080/v1' }
routes:
  - { id: all, path: '/*', target_service: based }
",
    )
    .unwrap();
    let normal = NormalPath::parse("/x").unwrap();
    let Found::Match(matched) = routes.find("", &normal, &Method::GET) else {
        panic!("no route");
    };
    let mapped = |reference: &str| location(reference, &routes, &matched);
    assert_eq!(mapped("/v1/orders").unwrap(), "/orders");
    for reference in [
        "/v1//evil.example/x",
        "http://based:8080/v1//evil.example/x",
        "/v1/\\evil.example",
        "/v1/\t/evil.example",
        "/v1/.//evil.example",
        "/v1/x/..//evil.example",
        "/v1///evil.example",
    ] {
        assert_eq!(mapped(reference), None, "{reference:?}");
    }
}
