//! A service that is late with the head of its answer. The time of an upload is not the service's.

use std::time::Duration;

use super::super::upload::Progress;
use crate::clock::{Clock, Elapsed};

/// Waits for the answer's head, at most `timeout` since the service last had something to do.
pub(super) async fn until_head<F: Future>(
    clock: &dyn Clock,
    answer: F,
    progress: &Progress,
    timeout: Duration,
) -> Result<F::Output, Elapsed> {
    tokio::select! {
        biased;
        answer = answer => Ok(answer),
        () = service_is_late(clock, progress, timeout) => Err(Elapsed),
    }
}

/// Resolves when it has been the service's turn for `timeout`. Ends in any case: a client that stops sending is cut
/// off by its body's own bound.
async fn service_is_late(clock: &dyn Clock, progress: &Progress, timeout: Duration) {
    loop {
        let now = clock.now();
        let deadline = progress.service_since().unwrap_or(now).saturating_add(timeout);
        if deadline <= now {
            return;
        }
        clock.sleep_until(deadline).await;
    }
}
