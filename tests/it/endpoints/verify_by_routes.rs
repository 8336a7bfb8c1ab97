//! `/auth/verify` for calls whose target a listed proxy names: they are admitted by their route.

use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack, http_client};

const ROUTES: &str = r#"
services:
  api: { base_url: "{api}" }
routes:
  - { id: orders, path: /orders/*, target_service: api, preserve_path: true }
  - { id: read-only, path: /read-only, target_service: api, preserve_path: true, methods: [GET] }
  - { id: either, path: /either/*, target_service: api, preserve_path: true, auth: optional }
  - { id: public, path: /public/*, target_service: api, preserve_path: true, auth: none }
  - { id: hook, path: /hook, target_service: api, preserve_path: true, auth: none, csrf: false, methods: [POST] }
  - { id: scoped, path: /scoped, target_service: api, preserve_path: true, required_scopes: [orders.write] }
  - { id: admins, path: /admins, target_service: api, preserve_path: true, require: [{ claim: roles, contains: admin }] }
  - { id: silent, path: /silent, target_service: api, preserve_path: true, unauthenticated: "401" }
  - { id: open-there, path: /there, host: authn.localhost, target_service: api, preserve_path: true, auth: none }
"#;

const HOST: &str = "automate.localhost";
const HTML: (&str, &str) = ("accept", "text/html");

/// How a proxy describes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Traefik,
    Caddy,
    Nginx,
    IngressNginx,
    Envoy,
}

const DIALECTS: [Dialect; 5] = [
    Dialect::Traefik,
    Dialect::Caddy,
    Dialect::Nginx,
    Dialect::IngressNginx,
    Dialect::Envoy,
];

// === impl Dialect ===

impl Dialect {
    /// The request of the proxy about a call: its method, its target and its header fields.
    fn question(self, method: &str, host: &str, uri: &str) -> (String, String, Vec<(&'static str, String)>) {
        let own = |value: &str| value.to_owned();
        let forwarded = |uri: &'static str, method_field: &'static str, target: String| {
            vec![
                ("x-forwarded-for", own("203.0.113.9")),
                ("x-forwarded-host", own(host)),
                ("x-forwarded-proto", own("http")),
                (method_field, own(method)),
                (uri, target),
            ]
        };
        let verify = || own("/auth/verify");
        match self {
            Self::Traefik => (
                own("GET"),
                verify(),
                forwarded("x-forwarded-uri", "x-forwarded-method", own(uri)),
            ),
            Self::Caddy => (
                own("GET"),
                own("/auth/verify?unauthenticated=login"),
                forwarded("x-forwarded-uri", "x-forwarded-method", own(uri)),
            ),
            Self::Nginx => (
                own("GET"),
                verify(),
                forwarded("x-original-uri", "x-forwarded-method", own(uri)),
            ),
            Self::IngressNginx => (
                own("GET"),
                verify(),
                forwarded(
                    "x-original-url",
                    "x-original-method",
                    format!("http://{host}{uri}"),
                ),
            ),
            Self::Envoy => (
                own(method),
                format!("/auth/verify{uri}"),
                vec![
                    ("x-forwarded-for", own("203.0.113.9")),
                    ("x-forwarded-proto", own("http")),
                ],
            ),
        }
    }
}

async fn stack_behind(proxy: &str) -> Stack {
    Stack::builder()
        .routes(ROUTES)
        .set("BFF_TRUSTED_PROXIES", proxy)
        .start()
        .await
}

async fn stack() -> Stack {
    stack_behind("127.0.0.1").await
}

async fn send(
    stack: &Stack,
    browser: &Browser,
    method: &str,
    target: &str,
    host: &str,
    fields: &[(&str, &str)],
) -> Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let url = format!("http://{}{target}", stack.address);
    let mut request = http_client().request(method, url).header("host", host);
    if let Some(cookie) = browser.session_cookie() {
        request = request.header("cookie", format!("__Host-Http-bff_session={cookie}"));
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Reply::read(request.send().await.unwrap()).await
}

/// The answer to a proxy that asks about a call to `uri` at `host`, which has these fields of the browser.
async fn ask_at(
    stack: &Stack,
    browser: &Browser,
    dialect: Dialect,
    call: (&str, &str, &str),
    fields: &[(&str, &str)],
) -> Reply {
    let (method, host, uri) = call;
    let host = format!("{host}:{}", stack.address.port());
    let (method, target, named) = dialect.question(method, &host, uri);
    let named: Vec<_> = named
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    send(
        stack,
        browser,
        &method,
        &target,
        &host,
        &[&named, fields].concat(),
    )
    .await
}

async fn ask(
    stack: &Stack,
    browser: &Browser,
    dialect: Dialect,
    method: &str,
    uri: &str,
    fields: &[(&str, &str)],
) -> Reply {
    ask_at(stack, browser, dialect, (method, HOST, uri), fields).await
}

#[tokio::test]
async fn a_public_route_needs_no_session() {
    let stack = stack().await;
    let (nobody, ada) = (stack.browser(), stack.browser());
    ada.log_in().await;
    for dialect in DIALECTS {
        for uri in ["/public", "/public/x?a=b", "/either/x"] {
            let reply = ask(&stack, &nobody, dialect, "GET", uri, &[]).await;
            assert_eq!(reply.status, StatusCode::OK, "{dialect:?} {uri}: {}", reply.body);
            assert_eq!(reply.header("x-user-id"), None);
        }
        let reply = ask(&stack, &ada, dialect, "GET", "/public/x", &[]).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-user-id")), (200, None));
        let reply = ask(&stack, &ada, dialect, "GET", "/either/x", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("x-user-id")),
            (200, Some("u-ada"))
        );
        let reply = ask(&stack, &nobody, dialect, "POST", "/hook", &[]).await;
        assert_eq!(reply.status, StatusCode::OK, "{dialect:?}: {}", reply.body);
        let reply = ask(&stack, &nobody, dialect, "POST", "/public/x", &[]).await;
        assert_eq!(reply.refusal(), (403, "csrf_origin".to_owned()), "{dialect:?}");
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn a_route_with_a_session_refuses_everybody_else() {
    let stack = stack().await;
    let (nobody, ada) = (stack.browser(), stack.browser());
    ada.log_in().await;
    for dialect in DIALECTS {
        for uri in ["/orders", "/orders/7?x=/public", "/scoped", "/elsewhere"] {
            let reply = ask(&stack, &nobody, dialect, "GET", uri, &[]).await;
            assert_eq!(
                reply.refusal(),
                (401, "unauthenticated".to_owned()),
                "{dialect:?} {uri}"
            );
        }
        for uri in ["/orders", "/orders/7?x=/public", "/elsewhere"] {
            let reply = ask(&stack, &ada, dialect, "GET", uri, &[]).await;
            assert_eq!(reply.status, StatusCode::OK, "{dialect:?} {uri}: {}", reply.body);
            assert_eq!(reply.header("x-user-id"), Some("u-ada"));
        }
    }
}

#[tokio::test]
async fn attack_5_a_state_change_on_a_route_owes_both_proofs() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    let origin = ("origin", ada.origin());
    for dialect in DIALECTS {
        for uri in ["/orders/7", "/either/x"] {
            let reply = ask(&stack, &ada, dialect, "POST", uri, &[("x-csrf-token", &token)]).await;
            assert_eq!(
                reply.refusal(),
                (403, "csrf_origin".to_owned()),
                "{dialect:?} {uri}"
            );
            let reply = ask(&stack, &ada, dialect, "POST", uri, &[origin]).await;
            assert_eq!(
                reply.refusal(),
                (403, "csrf_token".to_owned()),
                "{dialect:?} {uri}"
            );
            let both = [origin, ("x-csrf-token", token.as_str())];
            let reply = ask(&stack, &ada, dialect, "POST", uri, &both).await;
            assert_eq!(reply.status, StatusCode::OK, "{dialect:?} {uri}: {}", reply.body);
        }
        // Without a route the origin alone counts.
        let reply = ask(&stack, &ada, dialect, "POST", "/elsewhere", &[origin]).await;
        assert_eq!(reply.status, StatusCode::OK, "{dialect:?}: {}", reply.body);
        // A page cannot add a field to a handshake.
        let handshake = [origin, ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
        let reply = ask(&stack, &ada, dialect, "GET", "/orders/ws", &handshake).await;
        assert_eq!(reply.status, StatusCode::OK, "{dialect:?}: {}", reply.body);
        let reply = ask(&stack, &ada, dialect, "GET", "/orders/ws", &handshake[1..]).await;
        assert_eq!(reply.refusal(), (403, "csrf_origin".to_owned()), "{dialect:?}");
    }
}

#[tokio::test]
async fn the_demands_of_a_route_count() {
    let stack = stack().await;
    assert!(stack.idp.set_roles("u-ada", &["user"]));
    let ada = stack.browser();
    ada.log_in().await;
    for dialect in DIALECTS {
        let reply = ask(&stack, &ada, dialect, "GET", "/scoped", &[]).await;
        assert_eq!(
            reply.refusal(),
            (403, "insufficient_scope".to_owned()),
            "{dialect:?}"
        );
        let reply = ask(&stack, &ada, dialect, "GET", "/admins", &[]).await;
        assert_eq!(reply.refusal(), (403, "claim_required".to_owned()), "{dialect:?}");
        assert_eq!(reply.header("x-user-id"), None);
        let reply = ask(&stack, &ada, dialect, "DELETE", "/read-only", &[]).await;
        assert_eq!(
            reply.refusal(),
            (405, "method_not_allowed".to_owned()),
            "{dialect:?}"
        );
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
        let reply = ask(&stack, &ada, dialect, "GET", "/read-only", &[]).await;
        assert_eq!(reply.status, StatusCode::OK, "{dialect:?}: {}", reply.body);
    }
    assert!(stack.idp.set_roles("u-ada", &["admin"]));
    ada.log_in().await;
    let reply = ask(&stack, &ada, Dialect::Traefik, "GET", "/admins", &[]).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_route_says_how_a_page_without_a_session_ends() {
    let stack = stack().await;
    let nobody = stack.browser();
    for dialect in [Dialect::Traefik, Dialect::Caddy, Dialect::Envoy] {
        let reply = ask(&stack, &nobody, dialect, "GET", "/orders/7", &[HTML]).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{dialect:?}");
        let reply = ask(&stack, &nobody, dialect, "GET", "/silent", &[HTML]).await;
        assert_eq!(
            reply.refusal(),
            (401, "unauthenticated".to_owned()),
            "{dialect:?}"
        );
    }
    let reply = ask(&stack, &nobody, Dialect::Nginx, "GET", "/orders/7", &[HTML]).await;
    assert!(reply.header("x-auth-login").is_some());
    let reply = ask(&stack, &nobody, Dialect::Nginx, "GET", "/silent", &[HTML]).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-auth-login")), (401, None));
}

#[tokio::test]
async fn a_route_with_a_host_counts_for_that_host() {
    let stack = stack().await;
    let nobody = stack.browser();
    for dialect in DIALECTS {
        for (host, status) in [("authn.localhost", 200), ("AUTHN.localhost", 200), (HOST, 401)] {
            let reply = ask_at(&stack, &nobody, dialect, ("GET", host, "/there"), &[]).await;
            assert_eq!(
                reply.status.as_u16(),
                status,
                "{dialect:?} {host}: {}",
                reply.body
            );
        }
    }
}

/// An operator who has not listed the proxy gets what the server did before it knew of routes here.
#[tokio::test]
async fn attack_1_an_unlisted_peer_names_no_route() {
    let stack = stack_behind("192.0.2.7").await;
    let (nobody, ada) = (stack.browser(), stack.browser());
    ada.log_in().await;
    for dialect in DIALECTS {
        for uri in ["/public/x", "/either/x", "/hook", "//public/x"] {
            let reply = ask(&stack, &nobody, dialect, "GET", uri, &[]).await;
            assert_eq!(
                reply.refusal(),
                (401, "unauthenticated".to_owned()),
                "{dialect:?} {uri}"
            );
        }
        let reply = ask(&stack, &ada, dialect, "GET", "/scoped", &[]).await;
        assert_eq!(reply.status, StatusCode::OK, "{dialect:?}: {}", reply.body);
    }
}

/// A proxy sets the field of its dialect and passes the others on as the browser wrote them.
#[tokio::test]
async fn attack_1_a_browser_cannot_name_another_call() {
    let stack = stack().await;
    let nobody = stack.browser();
    let refused = (400, "ambiguous_call".to_owned());
    for dialect in DIALECTS {
        for (name, value) in [
            ("x-forwarded-uri", "/public/x"),
            ("x-original-uri", "/public/x"),
            ("x-original-url", "/public/x"),
            ("x-original-url", "http://automate.localhost/public/x"),
            ("x-original-url", "nonsense"),
            ("x-original-url", "http://automate.localhost"),
            ("x-original-uri", ""),
        ] {
            let reply = ask(&stack, &nobody, dialect, "GET", "/orders/7", &[(name, value)]).await;
            // One that is no path is refused as a path of the gateway is.
            let expected = if value == "nonsense" {
                (400, "ambiguous_path".to_owned())
            } else {
                refused.clone()
            };
            assert_eq!(reply.refusal(), expected, "{dialect:?} {name}: {value}");
        }
        // The same call in another spelling.
        let same = [("x-original-url", "http://automate.localhost/%6frders/7?other")];
        let reply = ask(&stack, &nobody, dialect, "GET", "/orders/7", &same).await;
        assert_eq!(reply.refusal().0, 401, "{dialect:?}");
        let elsewhere = [("x-original-url", "http://authn.localhost/there")];
        let reply = ask(&stack, &nobody, dialect, "GET", "/there", &elsewhere).await;
        assert_eq!(reply.refusal(), refused, "{dialect:?}");
        for name in [
            "x-forwarded-method",
            "x-original-method",
            "x-http-method-override",
        ] {
            let other = [(name, "POST")];
            let reply = ask(&stack, &nobody, dialect, "GET", "/public/x", &other).await;
            assert_eq!(reply.refusal(), refused, "{dialect:?} {name}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_states_no_method_is_told_so() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let ask = async |method: &str, uri: &str| {
        let fields = [("x-original-uri", uri), ("origin", ada.origin())];
        send(&stack, &ada, method, "/auth/verify", HOST, &fields).await
    };
    let reply = ask("GET", "/orders/7").await;
    assert_eq!(reply.refusal(), (400, "ambiguous_call".to_owned()));
    assert!(reply.body.contains("X-Forwarded-Method"), "{}", reply.body);
    // One that keeps the method of the call states it.
    assert_eq!(
        ask("DELETE", "/orders/7").await.refusal(),
        (403, "csrf_token".to_owned())
    );
    assert_eq!(ask("GET", "/elsewhere").await.status, StatusCode::OK);
}

#[tokio::test]
async fn attack_3_the_path_of_a_call_is_read_in_one_way_only() {
    let stack = stack().await;
    let (nobody, ada) = (stack.browser(), stack.browser());
    ada.log_in().await;
    let refused = (400, "ambiguous_path".to_owned());
    for dialect in DIALECTS {
        for uri in [
            "/public//x",
            "/public/..%2forders/7",
            "/public/x;y",
            "/public/%252e",
            // Another reader may take them for the path of a route.
            "/Scoped",
            "/scoped/",
            "/scoped.",
            "/ORDERS/7",
        ] {
            for browser in [&nobody, &ada] {
                let reply = ask(&stack, browser, dialect, "GET", uri, &[]).await;
                assert_eq!(reply.refusal(), refused, "{dialect:?} {uri}");
            }
        }
    }
}

#[tokio::test]
async fn attack_34_a_public_route_hands_out_no_token() {
    let stack = Stack::builder()
        .routes(ROUTES)
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .with_internal_listener()
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    let url = format!("http://{}/auth/verify?service=api", stack.internal.unwrap());
    for (uri, has_token) in [("/public/x", false), ("/either/x", true), ("/orders/7", true)] {
        let request = http_client()
            .get(&url)
            .header("cookie", &cookie)
            .header("x-forwarded-uri", uri)
            .header("x-forwarded-method", "GET");
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        assert_eq!(reply.header("authorization").is_some(), has_token, "{uri}");
    }
}
