//! `/auth/verify` and `/auth/forward`: forward authentication.

use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack, http_client};

const PATHS: [&str; 2] = ["/auth/verify", "/auth/forward"];

/// As a proxy asks: with the browser's cookie, on the listener of this URL.
async fn ask(ada: &Browser, url: String, method: &str, headers: &[(&str, &str)]) -> Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = http_client().request(method, url);
    if let Some(cookie) = ada.session_cookie() {
        request = request.header("cookie", format!("__Host-bff_session={cookie}"));
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
            let reply = ask(&ada, url, method, &[]).await;
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

#[tokio::test]
async fn a_token_goes_out_on_the_internal_listener_alone_and_for_a_known_service() {
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

#[tokio::test]
async fn a_listed_proxy_asks_about_a_state_change_with_the_proof_of_its_origin() {
    let stack = Stack::builder()
        .with_internal_listener()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let own = ada.origin();
    for address in [stack.address, stack.internal.unwrap()] {
        let url = format!("http://{address}/auth/verify");
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH", "post", "get", ""] {
            for proof in [
                &[][..],
                &[("origin", "https://evil.example")],
                &[("sec-fetch-site", "cross-site")],
            ] {
                let mut headers = vec![("x-forwarded-method", method)];
                headers.extend(proof);
                let reply = ask(&ada, url.clone(), "GET", &headers).await;
                assert_eq!(reply.refusal(), (403, "csrf_origin".to_owned()), "{method}");
                assert_eq!(reply.header("x-user-id"), None);
            }
            for proof in [("origin", own), ("sec-fetch-site", "same-origin")] {
                let headers = [("x-forwarded-method", method), proof];
                assert_eq!(
                    ask(&ada, url.clone(), "GET", &headers).await.status,
                    StatusCode::OK
                );
            }
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            let headers = [("x-forwarded-method", method), ("origin", "https://evil.example")];
            assert_eq!(
                ask(&ada, url.clone(), "GET", &headers).await.status,
                StatusCode::OK
            );
        }
        // Two proxies in a row, or a client that hides one method behind another.
        for methods in [["GET", "POST"], ["POST", "GET"]] {
            let headers = methods.map(|method| ("x-forwarded-method", method));
            let reply = ask(&ada, url.clone(), "GET", &headers).await;
            assert_eq!(reply.refusal(), (403, "csrf_origin".to_owned()));
        }
    }
}

#[tokio::test]
async fn attack_1_what_a_peer_that_is_not_listed_says_of_a_method_counts_as_absent() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let url = format!("http://{}/auth/verify", stack.address);
    let reply = ask(&ada, url, "GET", &[("x-forwarded-method", "POST")]).await;
    assert_eq!(reply.status, StatusCode::OK);
}
