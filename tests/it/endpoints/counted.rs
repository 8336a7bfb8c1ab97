//! The counters of the server, for its operators.

use bff::instruments::Series;
use devstack_idp::{Endpoint, Fault};
use http::StatusCode;

use crate::support::{Stack, times};

#[tokio::test]
async fn sessions_and_refreshes_are_counted_by_what_became_of_them() {
    let mut stack = Stack::start().await;
    let (ada, grace) = (stack.browser(), stack.browser());
    ada.log_in().await;
    grace.log_in().await;
    assert_eq!(stack.counted(Series::of("bff_sessions_created_total")), 2);

    stack.idp.fail_next(Endpoint::Token, Fault::status(500));
    stack.advance(times::EXPIRED).await;
    stack.advance(times::EXPIRED).await;
    stack
        .until("both have new tokens", |stack| {
            stack.counted(Series::of("bff_token_refresh_success_total")) >= 2
        })
        .await;
    let failed = |reason| Series::labelled("bff_token_refresh_failed_total", "reason", reason);
    assert_eq!(stack.counted(failed("outage")), 1);
    assert_eq!(stack.counted(failed("invalid_grant")), 0);

    assert_eq!(ada.post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    let ended = |reason| Series::labelled("bff_sessions_destroyed_total", "reason", reason);
    assert_eq!(stack.counted(ended("logout")), 1);
    assert_eq!(stack.counted(ended("idle")), 0);
    assert_eq!(stack.counted(Series::of("bff_token_lease_takeovers_total")), 0);
}
