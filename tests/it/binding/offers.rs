//! Which browsers the server invites to bind a session, and what happens to the others.

use http::{Method, StatusCode};

use super::fixture::{self, MINUTE, invitation, is_logged_in, log_in, session, start};
use crate::support::Stack;

#[tokio::test]
async fn a_login_over_https_invites_the_browser_to_register_a_key() {
    for word in ["device", "device-if-possible"] {
        let stack = start(&[("SESSION_BINDING", word)]).await;
        let reply = log_in(&stack.browser()).await;
        let invited = invitation(&reply).unwrap();
        assert_eq!(invited.algorithms, "(ES256 RS256)");
        assert_eq!(invited.path, "/auth/dbsc/register");
        assert_ne!(invited.challenge, invited.authorization);
        assert!(reply.header("cache-control").unwrap().contains("no-store"));
    }
}

#[tokio::test]
async fn nobody_is_invited_where_nothing_would_come_of_it() {
    // No binding to a device.
    for word in ["off", "ua"] {
        let stack = start(&[("SESSION_BINDING", word)]).await;
        assert!(invitation(&log_in(&stack.browser()).await).is_none(), "{word}");
        let reply = fixture::post(&stack.browser(), "/auth/dbsc/register", &[]).await;
        assert_eq!(reply.refusal(), (403, "device_registration_refused".to_owned()));
        let reply = fixture::post(&stack.browser(), "/auth/dbsc/refresh", &[]).await;
        assert_eq!(reply.json(), serde_json::json!({ "continue": false }));
    }
    // No https.
    let stack = Stack::builder()
        .set("SESSION_BINDING", "device-if-possible")
        .start()
        .await;
    let browser = stack.browser();
    let reply = browser.log_in_by("/auth/login").await;
    assert!(invitation(&reply).is_none());
    stack.advance(2 * MINUTE).await;
    assert!(is_logged_in(&browser).await, "an ordinary session");
}

/// With a clear problem and page.
#[tokio::test]
async fn device_refuses_a_browser_without_a_key() {
    let stack = start(&[("SESSION_BINDING", "device")]).await;
    let browser = stack.browser();
    log_in(&browser).await;
    assert!(
        is_logged_in(&browser).await,
        "while the browser may still register"
    );
    stack.clock.advance(MINUTE);
    let answer = session(&browser).await;
    assert_eq!(answer["authenticated"], false);
    assert_eq!(answer["reason"], "device_required");
    for path in ["/api/x", "/auth/verify", "/auth/csrf"] {
        let reply = browser.get(path).await;
        assert_eq!(reply.refusal(), (403, "device_required".to_owned()), "{path}");
    }
    // Another login in this browser would change nothing, so there is no redirect.
    let page = browser
        .request(Method::GET, "/api/x")
        .header("accept", "text/html");
    let page = browser.send(page).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(
        page.body.contains("This browser cannot be used here"),
        "{}",
        page.body
    );
    assert!(page.body.contains("/auth/logout"));
    assert!(stack.api.calls().is_empty());
}

/// Its session is an ordinary one.
#[tokio::test]
async fn device_if_possible_serves_a_browser_without_a_key() {
    let stack = start(&[("SESSION_BINDING", "device-if-possible")]).await;
    let browser = stack.browser();
    log_in(&browser).await;
    stack.advance(5 * MINUTE).await;
    assert!(is_logged_in(&browser).await);
    assert_eq!(browser.get("/api/x").await.status, StatusCode::OK);
}
