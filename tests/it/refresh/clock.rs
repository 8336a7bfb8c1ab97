//! A machine whose clock is set back.

use std::time::Duration;

use http::StatusCode;

use super::{DUE, Harness};
use crate::support::Stack;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn attack_44_a_clock_set_back_postpones_no_refresh() {
    let harness = Harness::start().await;
    harness.stack.clock.set_back(3 * HOUR);
    let before = harness.refreshed_at().await;
    harness.pass(DUE).await;
    harness.refreshes_are(1).await;
    harness.renewed_since(&before).await;
    // Shown times use the wall clock.
    let session = harness.ada.session().await;
    let refreshed = session["refreshed_at"].as_str().unwrap();
    assert!(refreshed.starts_with("2027-01-15T05:00:3"), "{refreshed}");
    assert_eq!(harness.ada.get("/api/hello").await.status, StatusCode::OK);
}

#[tokio::test]
async fn attack_44_a_clock_set_back_lengthens_no_session() {
    let harness = Harness::of(Stack::builder().set("SESSION_IDLE_TIMEOUT", "10m")).await;
    harness.stack.clock.set_back(3 * HOUR);
    harness.stack.clock.advance(Duration::from_secs(599));
    assert!(
        harness
            .ada
            .get("/auth/session?touch=false")
            .await
            .body
            .contains("true")
    );
    harness.stack.clock.advance(Duration::from_secs(1));
    assert!(!harness.ada.is_logged_in().await);
}

#[tokio::test]
async fn logins_go_by_the_clock_on_the_wall() {
    let harness = Harness::start().await;
    harness.stack.clock.set_back(3 * HOUR);
    let other = harness.stack.browser();
    other.log_in().await;
    assert!(other.is_logged_in().await);
}
