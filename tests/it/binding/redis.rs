//! Bound sessions on several replicas: each understands the others.

use bff::app::Listeners;
use http::{HeaderValue, StatusCode, header};
use reqwest::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{MINUTE, challenge, invitation, log_in, start},
    key::DeviceKey,
};
use crate::support::{Browser, Redis, Reply};

/// A request of the browser to another replica, as a proxy would forward it.
async fn at(port: u16, browser: &Browser, path: &str, headers: &[(&str, &str)]) -> Reply {
    let method = if path.starts_with("/auth/dbsc/") {
        "POST"
    } else {
        "GET"
    };
    let mut request: Request = browser.request(method.parse().unwrap(), path).build().unwrap();
    let host = browser.origin().trim_start_matches("http://").to_owned();
    request.url_mut().set_port(Some(port)).unwrap();
    request
        .headers_mut()
        .insert(header::HOST, HeaderValue::try_from(host).unwrap());
    for (name, value) in headers {
        let name: header::HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    browser.execute(request).await
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores"]
async fn any_replica_takes_the_proof_for_what_another_has_said() {
    let redis = Redis::start().await;
    let stack = start(&[
        ("SESSION_BINDING", "device"),
        ("SESSION_STORE", "redis"),
        ("REDIS_URL", &redis.url()),
        ("SESSION_SECRET", &"1a".repeat(32)),
        // The clock stands still, and the first registration of replicas without a common folder waits for others.
        ("BFF_STATE_STORE", "files"),
    ])
    .await;
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = public.local_addr().unwrap().port();
    let shutdown = CancellationToken::new();
    let listeners = Listeners {
        public,
        internal: None,
        admin: None,
    };
    let second = tokio::spawn(stack.app().await.unwrap().run(listeners, shutdown.clone()));
    let first = stack.address.port();

    // Invited by the first, registered at the second.
    let browser = stack.browser();
    let invited = invitation(&log_in(&browser).await).unwrap();
    let key = DeviceKey::make();
    let proof = key.first_proof(&invited.challenge, &invited.authorization);
    let reply = at(
        other,
        &browser,
        "/auth/dbsc/register",
        &[("secure-session-response", &proof)],
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let (mut asked, id) = challenge(&reply);
    stack.clock.advance(MINUTE);
    for port in [first, other] {
        let answer = at(port, &browser, "/auth/session", &[]).await.json();
        assert_eq!(answer["authenticated"], true);
    }
    // Without the bound cookie it passes nowhere, even if it was cached before it was bound.
    let bare = Browser::new("grace", browser.origin());
    bare.set_cookie("__Host-Http-bff_session", &browser.session_cookie().unwrap());
    for port in [first, other] {
        let answer = at(port, &bare, "/auth/session", &[]).await.json();
        assert_eq!(answer["reason"], "device_proof_required");
    }
    // A key is registered once among all of them.
    let again = DeviceKey::make().first_proof(&invited.challenge, &invited.authorization);
    let reply = at(
        first,
        &browser,
        "/auth/dbsc/register",
        &[("secure-session-response", &again)],
    )
    .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);

    for port in [first, other, first] {
        let proof = key.proof(&asked);
        let headers = [
            ("sec-secure-session-id", &*id),
            ("secure-session-response", &*proof),
        ];
        let reply = at(port, &browser, "/auth/dbsc/refresh", &headers).await;
        assert_eq!(reply.status, StatusCode::OK);
        asked = challenge(&reply).0;
    }
    shutdown.cancel();
    second.await.unwrap().unwrap();
}
