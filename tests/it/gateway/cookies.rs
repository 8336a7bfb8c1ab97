//! Our cookies stay ours; those of the application pass.

use axum::{Router, body::Body, response::IntoResponse as _, routing::any};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack, http_client, raw, service, times};

async fn with_cookies(ada: &Browser, path: &str, lines: &[&str]) -> Reply {
    let mut request = ada.request(Method::GET, path).build().unwrap();
    request.headers_mut().remove("cookie");
    for line in lines {
        request.headers_mut().append("cookie", line.parse().unwrap());
    }
    Reply::read(http_client().execute(request).await.unwrap()).await
}

#[tokio::test]
async fn attack_6_an_api_sees_only_the_applications_cookies() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let ours = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for path in ["/api/x", "/public/x"] {
        let first = format!("theme=dark; {ours}; lang=de");
        let mixed = [
            first.as_str(),
            "__Host-bff_login_abc=1; __host-BFF_SESSION=2; bff_session=3; __Secure-bff_session=4; x=__Host-bff",
            "__Host-bff_logout=5; last",
        ];
        let reply = with_cookies(&ada, path, &mixed).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        assert_eq!(
            stack.api.last().header("cookie"),
            Some("theme=dark; lang=de; x=__Host-bff; last"),
            "{path}"
        );
        assert_eq!(with_cookies(&ada, path, &[&ours]).await.status, StatusCode::OK);
        assert_eq!(stack.api.last().header("cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn attack_19_any_cookie_header_is_anonymous_or_a_4xx() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let id = ada.session_cookie().unwrap();
    let session = format!("__Host-Http-bff_session={id}");
    let large = format!("x={}", "x".repeat(64 * 1024));
    let parts = "a;".repeat(20_000);
    let pairs = "a=b; ".repeat(10_000);
    let doubled = format!("{session}; {session}");
    let quoted = format!("__Host-Http-bff_session=\"{id}\"");
    let longer = format!("{session}A");
    let shorter = session[..session.len() - 1].to_owned();
    let upper = format!("__HOST-BFF_SESSION={id}");
    let unprefixed = format!("bff_session={id}");
    let beyond = format!("{session}; {large}");
    let many: Vec<String> = (0..60).map(|n| format!("c{n}={}", "x".repeat(500))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let hostile: Vec<Vec<&str>> = vec![
        vec![""],
        vec![";;;"],
        vec!["="],
        vec!["no equals sign"],
        vec![&large],
        vec![&parts],
        vec![&pairs],
        vec![&doubled],
        vec![&session, &session],
        vec![&session, "__Host-Http-bff_session=x"],
        vec![&session, "__Host-Http-bff_session"],
        vec![&quoted],
        vec![&longer],
        vec![&shorter],
        vec![&upper],
        vec![&unprefixed],
        vec![&beyond],
        many,
    ];
    for lines in hostile {
        let shown = lines[0].get(..40).unwrap_or(lines[0]);
        for path in ["/api/x", "/auth/verify", "/auth/csrf"] {
            let reply = with_cookies(&ada, path, &lines).await;
            assert!(
                matches!(reply.status.as_u16(), 401 | 431),
                "{path} {shown}: {}",
                reply.status
            );
        }
        let reply = with_cookies(&ada, "/auth/session", &lines).await;
        let anonymous = reply.status == StatusCode::OK && reply.json()["authenticated"] == false;
        assert!(
            anonymous || reply.status.as_u16() == 431,
            "{shown}: {}",
            reply.status
        );
    }
    assert!(stack.api.calls().is_empty());
    // Still there for who comes in honesty, also with the cookies of an application in several lines.
    let reply = with_cookies(&ada, "/api/x", &["a=b", &session, "c=d"]).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(stack.api.last().header("cookie"), Some("a=b; c=d"));
}

#[tokio::test]
async fn attack_19_an_oversized_header_harms_only_its_sender() {
    let stack = Stack::start().await;
    for header in [
        format!("Cookie: {}\r\n", "x".repeat(512 * 1024)),
        "Cookie: a=b\r\n".repeat(50_000),
        format!("{}: x\r\n", "n".repeat(200 * 1024)),
    ] {
        let request = format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{header}Connection: close\r\n\r\n");
        let answer = raw(stack.address, &request).await;
        // A client that keeps sending may not see the answer before the connection is gone.
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
    }
    assert_eq!(stack.browser().get("/health/live").await.status, StatusCode::OK);
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_28_an_api_sets_none_of_our_cookies() {
    let stack = Stack::start().await;
    stack.api.answer(|_| {
        let mut response = "ok".into_response();
        for cookie in [
            "theme=dark; Path=/",
            "__Host-Http-bff_session=planted; Path=/; Secure",
            "__Host-bff_session=planted; Path=/; Secure",
            "__HOST-bff_Session=planted; Path=/; Secure",
            "bff_session=planted",
            "__Secure-bff_session=planted; Domain=localhost",
            "__Host-bff_login_abc=planted",
            "__Host-bff_logout=planted",
            "=__Host-Http-bff_session=planted",
            "lang=de",
        ] {
            response
                .headers_mut()
                .append("set-cookie", cookie.parse().unwrap());
        }
        response
    });
    let ada = stack.browser();
    ada.log_in().await;
    for path in ["/api/x", "/public/x"] {
        let reply = ada.get(path).await;
        assert_eq!(reply.set_cookies(), ["theme=dark; Path=/", "lang=de"], "{path}");
    }
    assert!(ada.is_logged_in().await);
}

/// A service that begins to answer with one event and continues on demand.
async fn events() -> (String, tokio::sync::mpsc::Sender<Bytes>) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(4);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let handler = move || {
        let receiver = std::sync::Arc::clone(&receiver);
        async move {
            let receiver = receiver.lock().await.take().unwrap();
            let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
                let piece = receiver.recv().await?;
                Some((Ok::<_, std::io::Error>(piece), receiver))
            });
            let headers = [
                ("content-type", "text/event-stream"),
                ("cache-control", "max-age=60"),
            ];
            (headers, Body::from_stream(stream.boxed())).into_response()
        }
    };
    let url = service(Router::new().fallback(any(handler))).await;
    (url, sender)
}

#[tokio::test]
async fn attack_20_a_stream_begins_with_a_renewed_cookie() {
    let (url, events) = events().await;
    let routes = format!(
        "services:\n  api:\n    base_url: \"{url}\"\nroutes:\n  - id: api\n    path: /api/*\n    target_service: api\n    auth: session\n"
    );
    let stack = Stack::builder().routes(&routes).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    // The cookie is renewed once a minute.
    stack.advance(times::OVER_A_MINUTE).await;

    let mut answer = ada.request(Method::GET, "/api/events").send().await.unwrap();
    // The head is here although nothing of the body is.
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store");
    let cookie = header("set-cookie");
    let value = format!("__Host-Http-bff_session={};", ada.session_cookie().unwrap());
    assert!(cookie.starts_with(&value) && cookie.contains("Max-Age=3600"));
    // Each event comes when it is sent, and not when the next one is.
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(Bytes::from(event)).await.unwrap();
        assert_eq!(answer.chunk().await.unwrap().unwrap(), event);
    }
    drop(events);
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn attack_20_a_call_soon_after_another_renews_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    assert!(ada.get("/api/x").await.set_cookies().is_empty());
    stack.advance(times::OVER_A_MINUTE).await;
    assert_eq!(ada.get("/api/x").await.set_cookies().len(), 1);
    assert!(ada.get("/api/x").await.set_cookies().is_empty());
}
