//! The stop, as a load balancer and a container engine see it.

use std::sync::Arc;

use axum::{Router, body::Body, http::header::CONTENT_TYPE, routing::get};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::StatusCode;
use tokio::sync::Notify;

use super::Harness;
use crate::support::{Events, Stack, service};

/// A service that answers `/held` when it is allowed to, and sends events for ever.
async fn slow_service(gate: &Arc<Notify>) -> String {
    let gate = Arc::clone(gate);
    let events = || async {
        let first = futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("data: 1\n\n")) });
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        ([(CONTENT_TYPE, "text/event-stream")], body)
    };
    let router = Router::new()
        .route(
            "/held",
            get(async move || {
                gate.notified().await;
                "done"
            }),
        )
        .route("/events", get(events));
    service(router).await
}

async fn start(gate: &Arc<Notify>, settings: &[(&str, &str)]) -> Harness {
    let url = slow_service(gate).await;
    let routes = format!(
        "services:\n  slow: {{ base_url: \"{url}\" }}\nroutes:\n  - id: slow\n    path: /slow/*\n    \
         target_service: slow\n    upstream_path: /{{path}}\n    auth: none\n"
    );
    Harness::of(Stack::builder().routes(&routes), ":", settings).await
}

#[tokio::test]
async fn it_says_that_it_stops_serves_on_and_lets_everything_finish() {
    let gate = Arc::new(Notify::new());
    let harness = start(&gate, &[("SHUTDOWN_DELAY", "1s"), ("SHUTDOWN_TIMEOUT", "20s")]).await;
    let ada = harness.browser();
    let held = tokio::spawn({
        let ada = ada.clone();
        async move { ada.get("/slow/held").await }
    });
    let mut events = ada
        .request(http::Method::GET, "/slow/events")
        .send()
        .await
        .unwrap();
    assert_eq!(events.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    harness.bff.terminate();
    harness.becomes("503").await;
    // A load balancer that has not looked yet sends something new.
    let reply = ada.get("/.well-known/jwks.json").await;
    assert_eq!(reply.status, StatusCode::OK);
    // The stream ends in order, which does not count as cut.
    assert_eq!(events.chunk().await.unwrap(), None);
    gate.notify_one();
    assert_eq!(held.await.unwrap().body, "done");
    let ended = harness.bff.ended().await;
    ended.says(0, &["not ready any more, and still serving", "stopped"]);
}

/// The shutdown does not wait for them.
#[tokio::test]
async fn event_streams_end_in_order_at_a_shutdown() {
    let gate = Arc::new(Notify::new());
    let harness = start(&gate, &[("SHUTDOWN_DELAY", "0"), ("SHUTDOWN_TIMEOUT", "20s")]).await;
    let ada = harness.browser();
    ada.log_in().await;
    let mut events = Events::open(&ada).await;
    events.more().await;
    harness.bff.terminate();
    assert_eq!(events.next().await, None);
    // The tab reconnects with the id of its last event.
    assert!(!events.last_id.is_empty());
    harness.bff.ended().await.says(0, &["stopped"]);
}

#[tokio::test]
async fn what_is_cut_off_is_counted_and_has_an_exit_code_of_its_own() {
    let gate = Arc::new(Notify::new());
    let harness = start(&gate, &[("SHUTDOWN_DELAY", "0"), ("SHUTDOWN_TIMEOUT", "1s")]).await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let ada = harness.browser();
            tokio::spawn(async move { ada.request(http::Method::GET, "/slow/held").send().await })
        })
        .collect();
    // They have arrived at the service, or are on their way there.
    for _ in 0..50 {
        crate::support::pause().await;
    }
    harness.bff.terminate();
    let ended = harness.bff.ended().await;
    ended.says(75, &["requests that did not finish in time were cut off: 3"]);
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_second_signal_waits_for_nothing() {
    let gate = Arc::new(Notify::new());
    let mut harness = start(&gate, &[("SHUTDOWN_DELAY", "60s")]).await;
    harness.bff.terminate();
    harness.bff.says("still serving").await;
    harness.bff.terminate();
    assert_eq!(harness.bff.ended().await.code, 130);
}
