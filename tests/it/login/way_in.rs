//! A person who opens a page without a session logs in and comes back to exactly that page.

use http::{Method, StatusCode};
use url::Url;

use crate::support::{Browser, Reply, Stack, http_client};

/// The header fields of a browser when a person opens a page, over TLS and without.
const PAGE: [&[(&str, &str)]; 2] = [
    &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
    &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
];

/// Pages whose addresses are easily damaged on the way.
const ADDRESSES: [&str; 6] = [
    "/api/orders",
    "/api/orders?a=b&c=d&prompt=none&return_to=/x",
    "/api/a%20b?q=%26%3D%25&r=1+2&s=%2B",
    "/api/z%C3%BCrich?caf%C3%A9=%E2%82%AC",
    "/api/100%25?=&&?",
    "/api/x?u=https://other.example/a?b",
];

async fn open(browser: &Browser, method: Method, url: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = browser.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    browser.send(request).await
}

/// Logs in where `login` leads; the URL on which the person ends.
async fn end_of(browser: &Browser, login: &str) -> String {
    let login = Url::parse(browser.origin()).unwrap().join(login).unwrap();
    assert_eq!(login.path(), "/auth/login");
    browser.log_in_by(login.as_str()).await.leads_on()
}

#[tokio::test]
async fn a_page_of_a_route_leads_to_the_login_and_back() {
    let stack = Stack::start().await;
    for (number, address) in ADDRESSES.into_iter().enumerate() {
        let ada = stack.browser();
        let reply = open(&ada, Method::GET, address, PAGE[number % 2]).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.body);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let end = end_of(&ada, reply.location()).await;
        assert_eq!(end, format!("{}{address}", stack.origin(0)));
        let reply = open(&ada, Method::GET, &end, PAGE[number % 2]).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(
            stack
                .api
                .last()
                .target
                .ends_with(address.strip_prefix("/api").unwrap())
        );
    }
}

#[tokio::test]
async fn attack_18_calls_forms_and_frames_get_401_as_before() {
    let stack = Stack::start().await;
    let nobody = stack.browser();
    for (method, headers) in [
        (Method::GET, &[][..]),
        (Method::GET, &[("accept", "application/json")]),
        (
            Method::GET,
            &[
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-dest", "empty"),
                ("accept", "text/html"),
            ],
        ),
        (
            Method::GET,
            &[
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
                ("accept", "text/html"),
            ],
        ),
        (
            Method::GET,
            &[("sec-purpose", "prefetch"), ("accept", "text/html")],
        ),
        (Method::POST, PAGE[0]),
        (Method::POST, PAGE[1]),
        (Method::PUT, PAGE[1]),
    ] {
        let reply = open(&nobody, method.clone(), "/api/x", headers).await;
        assert_eq!(
            reply.refusal(),
            (401, "unauthenticated".to_owned()),
            "{method} {headers:?}"
        );
        assert_eq!(reply.header("location"), None);
    }
    let head = open(&nobody, Method::HEAD, "/api/x", PAGE[0]).await;
    assert_eq!(head.status, StatusCode::UNAUTHORIZED);
    assert!(stack.api.calls().is_empty());
}

const ROUTES: &str = "
services: { api: { base_url: '{api}' } }
routes:
  - { id: pages, path: /pages/*, target_service: api, unauthenticated: login }
  - { id: calls, path: /calls/*, target_service: api, unauthenticated: 401 }
";

#[tokio::test]
async fn a_route_can_say_what_happens_without_a_session() {
    let stack = Stack::builder().routes(ROUTES).start().await;
    let nobody = stack.browser();
    for headers in [&[][..], &[("accept", "*/*")], PAGE[0], PAGE[1]] {
        let reply = open(&nobody, Method::GET, "/pages/x?y=z", headers).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{headers:?}");
        let reply = open(&nobody, Method::GET, "/calls/x?y=z", headers).await;
        assert_eq!(
            reply.refusal(),
            (401, "unauthenticated".to_owned()),
            "{headers:?}"
        );
    }
    let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    let reply = open(&nobody, Method::GET, "/pages/x", &script).await;
    assert_eq!(reply.refusal().0, 401);
    let reply = open(&nobody, Method::POST, "/pages/x", PAGE[0]).await;
    assert_eq!(reply.refusal().0, 401);
}

#[tokio::test]
async fn a_page_whose_address_is_too_long_leads_to_the_start_page() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let reply = open(
        &ada,
        Method::GET,
        &format!("/api/x?{}", "y".repeat(5_000)),
        PAGE[0],
    )
    .await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(
        end_of(&ada, reply.location()).await,
        format!("{}/", stack.origin(0))
    );
}

/// Header fields that a proxy sets.
type Fields = Vec<(&'static str, String)>;

/// How each proxy describes the page that a person opens: its name, the path of its request, and header fields.
fn dialects(host: &str, address: &str) -> Vec<(&'static str, String, Fields)> {
    let host = || host.to_owned();
    let of = |name, value: String| (name, value);
    let forwarded = || {
        vec![
            of("x-forwarded-host", host()),
            of("x-forwarded-proto", "http".to_owned()),
            of("x-forwarded-method", "GET".to_owned()),
            of("x-forwarded-uri", address.to_owned()),
        ]
    };
    let nginx = || vec![of("host", host()), of("x-original-uri", address.to_owned())];
    let mut ingress = nginx();
    ingress[1] = of("x-original-url", format!("http://{}{address}", host()));
    ingress.push(of("x-original-method", "GET".to_owned()));
    vec![
        ("traefik", "/auth/verify".to_owned(), forwarded()),
        (
            "caddy",
            "/auth/forward?unauthenticated=login".to_owned(),
            forwarded(),
        ),
        (
            "envoy",
            format!("/auth/verify{address}"),
            vec![of("host", host())],
        ),
        ("nginx", "/auth/verify".to_owned(), nginx()),
        ("ingress-nginx", "/auth/verify".to_owned(), ingress),
        (
            "by parameter",
            "/auth/verify?unauthenticated=401".to_owned(),
            forwarded(),
        ),
    ]
}

/// Like a proxy for a person who opens a page.
async fn ask(
    stack: &Stack,
    path: &str,
    of_proxy: &[(&'static str, String)],
    of_browser: &[(&str, &str)],
) -> Reply {
    let mut request = http_client().get(format!("http://{}{path}", stack.address));
    for (name, value) in of_browser {
        request = request.header(*name, *value);
    }
    for (name, value) in of_proxy {
        request = request.header(*name, value);
    }
    Reply::read(request.send().await.unwrap()).await
}

/// The URL of the login in an answer to a proxy: nginx gets it beside a 401, because it turns a redirect into a 500.
fn login_of(proxy: &str, reply: &Reply) -> String {
    if matches!(proxy, "nginx" | "ingress-nginx" | "by parameter") {
        assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()), "{proxy}");
        reply
            .header("x-auth-login")
            .unwrap_or_else(|| panic!("{proxy}: no login"))
            .to_owned()
    } else {
        assert_eq!(reply.status, StatusCode::FOUND, "{proxy}: {}", reply.body);
        assert_eq!(reply.header("x-auth-login"), None);
        reply.location().to_owned()
    }
}

#[tokio::test]
async fn a_page_behind_a_proxy_that_asks_leads_to_the_login_and_back() {
    let stack = Stack::builder()
        .routes("")
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let origin = stack.origin(1);
    let host = origin.strip_prefix("http://").unwrap();
    for address in ADDRESSES {
        for (proxy, path, headers) in dialects(host, address) {
            let reply = ask(&stack, &path, &headers, PAGE[0]).await;
            let login = login_of(proxy, &reply);
            assert!(
                login.starts_with(&format!("{origin}/auth/login?return_to=")),
                "{proxy}: {login}"
            );
            let ada = Browser::new("ada", &origin);
            assert_eq!(
                end_of(&ada, &login).await,
                format!("{origin}{address}"),
                "{proxy}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_encoded_in_an_address_is_encoded_and_comes_back() {
    let stack = Stack::builder()
        .routes("")
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let origin = stack.origin(0);
    let host = (
        "x-forwarded-host",
        origin.strip_prefix("http://").unwrap().to_owned(),
    );
    for (address, expected) in [
        ("/api/a b?c d", "/api/a%20b?c%20d"),
        ("/api/z\u{fc}rich?\u{20ac}=1", "/api/z%C3%BCrich?%E2%82%AC=1"),
        ("//evil.example/x", "//evil.example/x"),
        ("/\\evil.example/x", "/%5Cevil.example/x"),
    ] {
        let headers = [host.clone(), ("x-forwarded-uri", address.to_owned())];
        let reply = ask(&stack, "/auth/verify", &headers, PAGE[0]).await;
        let ada = stack.browser();
        let end = end_of(&ada, &login_of("traefik", &reply)).await;
        assert_eq!(end, format!("{origin}{expected}"));
    }
}

#[tokio::test]
async fn attack_1_only_a_listed_proxy_says_where_a_person_is() {
    let stack = Stack::start().await;
    let origin = stack.origin(1);
    for (proxy, path, headers) in dialects(origin.strip_prefix("http://").unwrap(), "/api/x") {
        for browser in PAGE {
            let reply = ask(&stack, &path, &headers, browser).await;
            assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()), "{proxy}");
            assert_eq!(
                (reply.header("location"), reply.header("x-auth-login")),
                (None, None)
            );
        }
    }
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_call_or_for_a_foreign_host_gets_401() {
    let stack = Stack::builder()
        .routes("")
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let origin = stack.origin(1);
    for (proxy, path, headers) in dialects(origin.strip_prefix("http://").unwrap(), "/api/x") {
        for browser in [
            &[][..],
            &[("accept", "application/json")],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[("accept", "text/html"), ("upgrade", "websocket")],
            &[("accept", "text/html"), ("x-original-method", "POST")],
            &[("accept", "text/html"), ("x-forwarded-method", "POST")],
        ] {
            let reply = ask(&stack, &path, &headers, browser).await;
            assert_eq!(
                reply.refusal(),
                (401, "unauthenticated".to_owned()),
                "{proxy} {browser:?}"
            );
            assert_eq!(
                (reply.header("location"), reply.header("x-auth-login")),
                (None, None)
            );
        }
    }
    for (proxy, path, headers) in dialects("evil.example", "/api/x") {
        let reply = ask(&stack, &path, &headers, PAGE[0]).await;
        assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()), "{proxy}");
        assert!(!format!("{:?}{}", reply.headers, reply.body).contains("evil.example"));
    }
    let reply = ask(&stack, "/auth/verify?unauthenticated=302", &[], &[]).await;
    assert_eq!(reply.refusal(), (400, "invalid_parameter".to_owned()));
}

#[tokio::test]
async fn a_host_sharing_the_cookie_uses_the_fallback_login() {
    let stack = Stack::builder()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .set("BFF_COOKIE_DOMAIN", "shop.localhost")
        .variables(|variables, _| {
            let port = variables
                .iter()
                .find(|(name, _)| name == "PORT")
                .unwrap()
                .1
                .clone();
            let base = (
                "BFF_BASE_URL".to_owned(),
                format!("http://automate.shop.localhost:{port}"),
            );
            let redirect = format!("http://automate.shop.localhost:{port}/auth/callback");
            let targets = format!("http://app.shop.localhost:{port},http://automate.shop.localhost:{port}");
            variables.retain(|(name, _)| !matches!(name.as_str(), "BFF_BASE_URL" | "DCR_REDIRECT_URIS"));
            let keys = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
            variables.extend([
                base,
                ("DCR_JWKS_URI".to_owned(), keys),
                ("DCR_REDIRECT_URIS".to_owned(), redirect),
                ("BFF_ALLOWED_REDIRECT_HOSTS".to_owned(), targets),
            ]);
        })
        .start()
        .await;
    let port = stack.address.port();
    let ask_for = async |name: &str| {
        let headers = [
            ("x-forwarded-host", format!("{name}:{port}")),
            ("x-forwarded-proto", "http".to_owned()),
            ("x-forwarded-uri", "/a?b=c&d".to_owned()),
        ];
        ask(&stack, "/auth/verify", &headers, PAGE[0]).await
    };
    let reply = ask_for("app.shop.localhost").await;
    let login = login_of("traefik", &reply);
    assert!(login.starts_with(&format!("http://automate.shop.localhost:{port}/auth/login?")));
    let ada = Browser::new("ada", &format!("http://automate.shop.localhost:{port}"));
    assert_eq!(
        end_of(&ada, &login).await,
        format!("http://app.shop.localhost:{port}/a?b=c&d")
    );
    // Not among the targets, or out of the cookie's reach.
    for name in ["other.shop.localhost", "app.example", "appshop.localhost"] {
        assert_eq!(ask_for(name).await.refusal().0, 401, "{name}");
    }
}

/// It sets no other parameter.
#[tokio::test]
async fn a_target_pasted_by_a_proxy_is_taken_whole() {
    let stack = Stack::start().await;
    for address in ["/api/x?a=b&c=%26&d", "/api/a%20b?c=d"] {
        let ada = stack.browser();
        let end = end_of(&ada, &format!("/auth/login?return_to={address}")).await;
        assert_eq!(end, format!("{}{address}", stack.origin(0)));
    }
    let ada = stack.browser();
    for query in [
        "return_to=/x?a=b&prompt=none",
        "return_to=/x?a&max_age=0",
        "return_to=/x?a&return_to=/y",
    ] {
        let reply = ada.get_json(&format!("/auth/login?{query}")).await;
        assert_eq!(reply.refusal(), (400, "ambiguous_target".to_owned()), "{query}");
    }
    // On an unregistered host, the target survives the redirect to the fallback too.
    let elsewhere = ada.at(&format!("http://localhost:{}", stack.address.port()));
    let reply = elsewhere.get("/auth/login?return_to=/api/x?a=b&c=d").await;
    let end = elsewhere.log_in_by(reply.location()).await.leads_on();
    assert_eq!(
        end,
        format!("http://127.0.0.1:{}/api/x?a=b&c=d", stack.address.port())
    );
}
