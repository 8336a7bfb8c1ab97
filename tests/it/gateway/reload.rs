//! Changed routes, while the server runs.

use std::{fs, time::Duration};

use axum::{Router, body::Body, routing::any};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode};

use crate::support::{Browser, Logs, Process, Stack, service, told};

/// Many looks.
const LOOKS: Duration = Duration::from_secs(30);

const BEFORE: &str = "- { id: a, path: /a/*, target_service: api, preserve_path: true }";
const AFTER: &str = "- { id: b, path: /b/*, target_service: api, preserve_path: true }";

/// Writes the routes behind the service.
fn write(stack: &Stack, api: &str, routes: &str) {
    let text = format!("services:\n  api: {{ base_url: '{api}' }}\nroutes:\n{routes}\n");
    fs::write(stack.folder().join("config/routes.yaml"), text).unwrap();
}

/// Waits until the changed routes answer.
async fn until(stack: &Stack, browser: &Browser, path: &str, status: StatusCode) {
    for _ in 0..120 {
        stack.advance(Duration::from_secs(1)).await;
        if browser.get(path).await.status == status {
            return;
        }
    }
    panic!("{path} never answers {status}");
}

async fn stack() -> Stack {
    let routes = format!("services:\n  api: {{ base_url: '{{api}}' }}\nroutes:\n{BEFORE}\n");
    Stack::builder().routes(&routes).start().await
}

#[tokio::test]
async fn changed_routes_are_read_and_a_bad_file_changes_nothing() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/a/x").await.status, StatusCode::OK);
    for bad in [
        "- { id: b, path: /b/*, target_service: nowhere }",
        "- { id: b",
        "- { id: b, path: /auth/*, target_service: api }",
    ] {
        write(&stack, &stack.api.url(), bad);
        stack.advance(LOOKS).await;
        assert_eq!(ada.get("/a/x").await.status, StatusCode::OK, "{bad}");
        assert_eq!(ada.get("/b/x").await.status, StatusCode::NOT_FOUND, "{bad}");
    }
    fs::remove_file(stack.folder().join("config/routes.yaml")).unwrap();
    stack.advance(LOOKS).await;
    assert_eq!(ada.get("/a/x").await.status, StatusCode::OK);

    write(&stack, &stack.api.url(), AFTER);
    until(&stack, &ada, "/b/x", StatusCode::OK).await;
    assert_eq!(ada.get("/a/x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn attack_5_a_route_of_a_reload_needs_both_proofs() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let token = ada.csrf_token().await;
    write(&stack, &stack.api.url(), AFTER);
    until(&stack, &ada, "/b/x", StatusCode::OK).await;
    let calls = stack.api.calls().len();
    let without_token = ada.request(Method::POST, "/b/x");
    assert_eq!(
        ada.send(without_token).await.refusal(),
        (403, "csrf_token".to_owned())
    );
    let foreign = ada
        .request(Method::POST, "/b/x")
        .header("origin", "https://evil.example")
        .header("x-csrf-token", &token);
    assert_eq!(ada.send(foreign).await.refusal(), (403, "csrf_origin".to_owned()));
    assert_eq!(stack.api.calls().len(), calls);
    let stranger = stack.browser();
    assert_eq!(stranger.get("/b/x").await.status, StatusCode::UNAUTHORIZED);
    let request = ada.request(Method::POST, "/b/x").header("x-csrf-token", &token);
    assert_eq!(ada.send(request).await.status, StatusCode::OK);
}

/// Although its route is gone.
#[tokio::test]
async fn a_stream_outlives_a_reload() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let receiver = std::sync::Arc::new(parking_lot::Mutex::new(Some(receiver)));
    let api = service(Router::new().fallback(any(async move || {
        let receiver = receiver.lock().take();
        Body::from_stream(stream::unfold(receiver, |receiver| async {
            let mut receiver = receiver?;
            let piece = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), Some(receiver)))
        }))
    })))
    .await;
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    write(&stack, &api, AFTER);
    until(&stack, &ada, "/a/x", StatusCode::NOT_FOUND).await;
    let request = ada.request(Method::GET, "/b/events");
    sender.send(Bytes::from_static(b"one")).unwrap();
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "one");
    write(&stack, &stack.api.url(), BEFORE);
    until(&stack, &ada, "/b/x", StatusCode::NOT_FOUND).await;
    sender.send(Bytes::from_static(b"two")).unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "two");
}

/// Nobody corrects one file, starts again, and reads of the other one.
#[tokio::test]
async fn mistakes_of_both_files_are_told_together() {
    let mut stack = stack().await;
    let config = stack.folder().join("config");
    write(
        &stack,
        &stack.api.url(),
        "- { id: b, path: /b/*, target_service: nowhere }",
    );
    fs::write(config.join("idps.yaml"), "idps: [{ name: a }]").unwrap();
    let both = |text: &str| {
        for (file, mistake) in [("routes.yaml", "nowhere"), ("idps.yaml", "issuer")] {
            let mut lines = text.lines();
            assert!(
                lines.any(|line| line.contains(&format!("{file}:")) && line.contains(mistake)),
                "{text}"
            );
        }
        assert!(text.contains("correct routes.yaml and idps.yaml"), "{text}");
    };
    // While the server runs, in the doctor's look, and at a start.
    let logs = Logs::capture();
    for _ in 0..120 {
        stack.advance(Duration::from_secs(1)).await;
        if logs.count("correct routes.yaml and idps.yaml") > 0 {
            break;
        }
    }
    both(&logs.text());
    let variables = stack.variables.clone();
    let ended = Process::start(&stack.folder(), &["check", "--config-only"], &variables);
    both(&ended.ended().await.output);
    stack.stop().await.unwrap();
    both(&told(&stack.app().await.unwrap_err()));
    // Each alone, too.
    fs::remove_file(config.join("idps.yaml")).unwrap();
    let alone = told(&stack.app().await.unwrap_err());
    assert!(
        alone.contains("nowhere") && !alone.contains("idps.yaml"),
        "{alone}"
    );
}
