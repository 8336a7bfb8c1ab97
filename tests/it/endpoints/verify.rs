//! `/auth/verify` and `/auth/forward`: forward authentication.

use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack, http_client};

const PATHS: [&str; 2] = ["/auth/verify", "/auth/forward"];

/// Like a proxy: with the browser's cookie, on the listener of this URL.
async fn ask(ada: &Browser, url: String, method: &str, headers: &[(&str, &str)]) -> Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = http_client().request(method, url);
    if let Some(cookie) = ada.session_cookie() {
        request = request.header("cookie", format!("__Host-Http-bff_session={cookie}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn it_says_who_is_logged_in_for_any_method() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for path in PATHS {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND",
        ] {
            let url = format!("http://{}{path}", stack.address);
            let reply = ask(&ada, url, method, &[("origin", ada.origin())]).await;
            assert_eq!(
                (reply.status, reply.body.as_str()),
                (StatusCode::OK, ""),
                "{method} {path}"
            );
            assert_eq!(reply.header("x-user-id"), Some("u-ada"));
            assert_eq!(reply.header("x-user-name"), Some("Ada Lovelace"));
            assert!(reply.header("x-user-email").unwrap().contains('@'));
            assert_eq!(reply.header("x-auth-time"), Some("1800000000"));
            let reference = reply.header("x-session-id").unwrap();
            assert!(!reference.is_empty() && !ada.session_cookie().unwrap().contains(reference));
            assert_eq!(reply.header("authorization"), None);
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn nobody_is_a_401() {
    let stack = Stack::builder().with_internal_listener().start().await;
    let nobody = stack.browser();
    for address in [stack.address, stack.internal.unwrap()] {
        for path in PATHS {
            for method in ["GET", "POST", "DELETE"] {
                let url = format!("http://{address}{path}");
                let reply = ask(&nobody, url, method, &[("x-user-id", "u-ada")]).await;
                assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()));
                assert_eq!(reply.header("x-user-id"), None);
            }
        }
    }
}

/// And only for a known service.
#[tokio::test]
async fn a_token_leaves_only_on_the_internal_listener() {
    let stack = Stack::builder().with_internal_listener().start().await;
    let ada = stack.browser();
    ada.log_in().await;
    ada.get("/api/x").await;
    let token = stack.api.last().header("authorization").unwrap().to_owned();
    for path in PATHS {
        let public = format!("http://{}{path}", stack.address);
        let internal = format!("http://{}{path}", stack.internal.unwrap());
        let reply = ask(&ada, format!("{internal}?service=api"), "GET", &[]).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(reply.header("authorization") == Some(&token), "another token");
        assert_eq!(reply.header("x-user-id"), Some("u-ada"));

        let reply = ask(&ada, format!("{internal}?service="), "GET", &[]).await;
        assert_eq!(
            (reply.status, reply.header("authorization")),
            (StatusCode::OK, None)
        );
        for service in ["other", "API", "api%00", "a%20pi"] {
            let reply = ask(&ada, format!("{internal}?service={service}"), "GET", &[]).await;
            assert_eq!(reply.refusal(), (400, "unknown_service".to_owned()), "{service}");
            assert_eq!(reply.header("authorization"), None);
        }
        let reply = ask(&ada, format!("{internal}?service=api&service=api"), "GET", &[]).await;
        assert_eq!(reply.refusal(), (400, "duplicate_parameter".to_owned()));

        for (query, headers) in [
            ("service=api", &[][..]),
            ("service=other", &[]),
            ("x=y&service=api", &[]),
            ("s%65rvice=api", &[]),
            (
                "service=api",
                &[("x-forwarded-for", "127.0.0.1"), ("host", "127.0.0.1")],
            ),
        ] {
            let reply = ask(&ada, format!("{public}?{query}"), "GET", headers).await;
            assert_eq!(reply.refusal(), (400, "internal_only".to_owned()), "{query}");
            assert_eq!(reply.header("authorization"), None);
        }
    }
}

/// The fields that a foreign page sends with a request, if any.
const FOREIGN: [&[(&str, &str)]; 4] = [
    &[],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "cross-site")],
];

/// Both listeners, a listed proxy and an unlisted one.
async fn asked_by_anybody(check: impl AsyncFn(&Browser, String)) {
    for listed in ["127.0.0.1", "192.0.2.7"] {
        let stack = Stack::builder()
            .with_internal_listener()
            .set("BFF_TRUSTED_PROXIES", listed)
            .start()
            .await;
        let ada = stack.browser();
        ada.log_in().await;
        for address in [stack.address, stack.internal.unwrap()] {
            check(&ada, format!("http://{address}/auth/verify")).await;
        }
    }
}

/// The call with this method and these header fields passes only with an own origin.
async fn needs_the_proof(ada: &Browser, url: &str, method: &str, call: &[(&str, &str)]) {
    for foreign in FOREIGN {
        let reply = ask(ada, url.to_owned(), method, &[call, foreign].concat()).await;
        assert_eq!(
            reply.refusal(),
            (403, "csrf_origin".to_owned()),
            "{method} {call:?} {foreign:?}"
        );
        assert_eq!(reply.header("x-user-id"), None);
    }
    for own in [("origin", ada.origin()), ("sec-fetch-site", "same-origin")] {
        let reply = ask(ada, url.to_owned(), method, &[call, &[own]].concat()).await;
        assert_eq!(reply.status, StatusCode::OK, "{method} {call:?} {own:?}");
    }
}

#[tokio::test]
async fn attack_42_any_unsafe_method_needs_an_own_origin() {
    asked_by_anybody(async |ada, url| {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH"] {
            // Envoy and Istio keep the method of the call, with or without saying it once more.
            needs_the_proof(ada, &url, method, &[]).await;
            needs_the_proof(ada, &url, method, &[("x-forwarded-method", "GET")]).await;
        }
        for name in ["x-forwarded-method", "x-original-method"] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH", "post", "get", ""] {
                needs_the_proof(ada, &url, "GET", &[(name, method)]).await;
            }
            // Two proxies in a row, or a client that hides one method behind another.
            for methods in [["GET", "POST"], ["POST", "GET"]] {
                needs_the_proof(ada, &url, "GET", &methods.map(|method| (name, method))).await;
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                for foreign in FOREIGN {
                    let headers = [&[(name, method)], foreign].concat();
                    let reply = ask(ada, url.clone(), "GET", &headers).await;
                    assert_eq!(reply.status, StatusCode::OK, "{headers:?}");
                }
            }
        }
        let both = [("x-forwarded-method", "GET"), ("x-original-method", "POST")];
        needs_the_proof(ada, &url, "GET", &both).await;
        needs_the_proof(ada, &url, "GET", &[("x-http-method-override", "DELETE")]).await;
    })
    .await;
}

#[tokio::test]
async fn attack_56_a_websocket_handshake_needs_an_own_origin() {
    asked_by_anybody(async |ada, url| {
        for sign in [
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-fetch-mode", "websocket"),
        ] {
            needs_the_proof(ada, &url, "GET", &[sign]).await;
            needs_the_proof(ada, &url, "GET", &[sign, ("x-forwarded-method", "GET")]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_answer_repeats_the_correlation_id() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let url = format!("http://{}/auth/verify", stack.address);
    let given = [("x-correlation-id", "order-7")];
    let nobody = ask(&ada, url.clone(), "GET", &given).await;
    assert_eq!(
        (nobody.status.as_u16(), nobody.header("x-correlation-id")),
        (401, Some("order-7"))
    );
    ada.log_in().await;
    let verified = ask(&ada, url.clone(), "GET", &given).await;
    assert_eq!(
        (verified.status.as_u16(), verified.header("x-correlation-id")),
        (200, Some("order-7"))
    );
    let made = ask(&ada, url, "GET", &[]).await;
    assert_eq!(made.header("x-correlation-id").unwrap().len(), 16);
}
