//! `/health`, `/health/live`, `/health/ready`: for orchestrators, and in detail for who may know.

use std::time::Duration;

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use serde_json::json;

use crate::support::{Reply, Stack, http_client};

async fn get(url: String, headers: &[(&str, &str)]) -> Reply {
    let mut request = http_client().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn liveness_needs_nothing_and_readiness_everything() {
    let mut stack = Stack::builder()
        .prepare(|idp| idp.fail_always(Endpoint::Discovery, Fault::status(503)))
        .start_without_waiting()
        .await;
    let base = format!("http://{}", stack.address);
    let live = get(format!("{base}/health/live"), &[]).await;
    assert_eq!(
        (live.status, live.json()),
        (StatusCode::OK, json!({ "status": "live" }))
    );
    assert_eq!(live.header("cache-control"), Some("no-store"));
    for path in ["/health", "/health/ready"] {
        let ready = get(format!("{base}{path}"), &[]).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.json()["status"], "starting");
        assert_eq!(ready.json()["components"]["keys"]["status"], "ok");
        assert_eq!(ready.json()["components"]["discovery"]["status"], "pending");
    }
    assert_eq!(
        get(format!("{base}/.well-known/jwks.json"), &[]).await.status,
        StatusCode::OK
    );

    stack.idp.heal_all();
    stack.advance(Duration::from_mins(2)).await;
    stack.ready().await;
    let ready = get(format!("{base}/health"), &[]).await;
    assert_eq!(
        (ready.status, ready.json()["status"].as_str()),
        (StatusCode::OK, Some("ready"))
    );
}

/// An IdP that fails later only degrades it.
#[tokio::test]
async fn readiness_is_latched() {
    let mut stack = Stack::start().await;
    stack.idp.fail_always(Endpoint::Discovery, Fault::status(503));
    let base = format!("http://{}", stack.address);
    for _ in 0..48 {
        stack.clock.advance(Duration::from_hours(1));
        stack.advance(Duration::from_secs(2)).await;
        if get(format!("{base}/health"), &[]).await.json()["status"] == "degraded" {
            break;
        }
    }
    let reply = get(format!("{base}/health/ready"), &[]).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["status"], "degraded");
    assert_eq!(reply.json()["components"]["discovery"]["status"], "degraded");
    stack.ready().await;
}

#[tokio::test]
async fn details_are_for_direct_neighbours_and_the_internal_listener() {
    let stack = Stack::builder()
        .with_internal_listener()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let public = format!("http://{}/health", stack.address);
    let internal = format!("http://{}/health", stack.internal.unwrap());
    assert!(get(public.clone(), &[]).await.json()["components"].is_object());
    for header in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "via",
    ] {
        let reply = get(public.clone(), &[(header, "127.0.0.1")]).await;
        assert_eq!(reply.json(), json!({ "status": "ready" }), "{header}");
        let reply = get(internal.clone(), &[(header, "203.0.113.9")]).await;
        assert!(reply.json()["components"].is_object(), "{header}");
    }
}

#[tokio::test]
async fn the_internal_listener_has_no_login_and_no_api() {
    let stack = Stack::builder().with_internal_listener().start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let internal = format!("http://{}", stack.internal.unwrap());
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for path in [
        "/auth/session",
        "/auth/login",
        "/auth/csrf",
        "/api/x",
        "/public/x",
        "/",
    ] {
        let reply = get(format!("{internal}{path}"), &[("cookie", &cookie)]).await;
        assert_eq!(reply.refusal(), (404, "not_found".to_owned()), "{path}");
    }
    for path in ["/health/live", "/.well-known/jwks.json", "/auth/verify"] {
        let reply = get(format!("{internal}{path}"), &[("cookie", &cookie)]).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn names_of_the_original_system_answer_where_no_route_does() {
    let stack = Stack::builder()
        .routes("services: {}\nroutes: []\n")
        .start()
        .await;
    let base = format!("http://{}", stack.address);
    for (path, other) in [
        ("/auth/health", "/health/live"),
        ("/api/v1/health", "/health"),
        ("/api/v1/health/live", "/health/live"),
        ("/api/v1/health/ready", "/health/ready"),
    ] {
        let (one, other) = (
            get(format!("{base}{path}"), &[]).await,
            get(format!("{base}{other}"), &[]).await,
        );
        assert_eq!((one.status, one.json()), (other.status, other.json()), "{path}");
    }
    let store = get(format!("{base}/api/v1/health/redis"), &[]).await;
    let expected = json!({ "status": "ready", "components": { "store": { "status": "ok" } } });
    assert_eq!((store.status, store.json()), (StatusCode::OK, expected));
    let store = get(
        format!("{base}/api/v1/health/redis"),
        &[("x-forwarded-for", "192.0.2.1")],
    )
    .await;
    assert_eq!(store.json(), json!({ "status": "ready" }));
}

#[tokio::test]
async fn a_route_wins_over_a_name_of_the_original_system() {
    // The table of the tests has /api/*, for sessions.
    let stack = Stack::start().await;
    let reply = get(format!("http://{}/api/v1/health", stack.address), &[]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    let reply = get(format!("http://{}/auth/health", stack.address), &[]).await;
    assert_eq!(reply.status, StatusCode::OK);
}
