use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::clock::ManualClock;

struct Harness {
    once: Arc<Once<u32>>,
    clock: ManualClock,
    completed: Arc<AtomicU32>,
}

impl Harness {
    fn new() -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000));
        Self {
            once: Arc::new(Once::new(Arc::new(clock.clone()))),
            clock,
            completed: Arc::default(),
        }
    }

    /// Completes at once; the answer is how often it was completed.
    async fn complete(&self, state: &str, code: &str, remember: Remember) -> Result<u32, Spent> {
        let completed = Arc::clone(&self.completed);
        let ends_at = Timestamp::from_unix_seconds(1_600);
        self.once
            .complete(state, code, ends_at, || async move {
                (completed.fetch_add(1, Ordering::SeqCst) + 1, remember)
            })
            .await
    }
}

#[tokio::test]
async fn attack_46_a_concurrent_callback_gets_the_same_answer() {
    let harness = Harness::new();
    let gate = Arc::new(Notify::new());
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (once, gate) = (Arc::clone(&harness.once), Arc::clone(&gate));
            let completed = Arc::clone(&harness.completed);
            tokio::spawn(async move {
                let ends_at = Timestamp::from_unix_seconds(1_600);
                let complete = || async move {
                    gate.notified().await;
                    (completed.fetch_add(1, Ordering::SeqCst) + 1, Remember::Sent)
                };
                once.complete("state", "code", ends_at, complete).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    // Another code does not join.
    assert_eq!(
        harness.complete("state", "other", Remember::Sent).await,
        Err(Spent::Used)
    );
    gate.notify_one();
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), Ok(1));
    }
}

#[tokio::test]
async fn attack_46_a_browser_that_hangs_up_stops_nothing() {
    let harness = Harness::new();
    let gate = Arc::new(Notify::new());
    let (once, inside) = (Arc::clone(&harness.once), Arc::clone(&gate));
    let first = tokio::spawn(async move {
        let complete = || async move {
            inside.notified().await;
            (7, Remember::Sent)
        };
        once.complete("state", "code", Timestamp::from_unix_seconds(1_600), complete)
            .await
    });
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.notify_one();
    assert_eq!(harness.complete("state", "code", Remember::Sent).await, Ok(7));
}

#[tokio::test]
async fn a_success_is_the_only_one_for_as_long_as_the_attempt_is_good() {
    let harness = Harness::new();
    assert_eq!(harness.complete("state", "code", Remember::Sent).await, Ok(1));
    harness.clock.advance(Duration::from_secs(59));
    assert_eq!(harness.complete("state", "code", Remember::Sent).await, Ok(1));
    assert_eq!(
        harness.complete("state", "other", Remember::Sent).await,
        Err(Spent::Used)
    );
    harness.clock.advance(Duration::from_secs(1));
    assert_eq!(
        harness.complete("state", "code", Remember::Sent).await,
        Err(Spent::Used)
    );
    assert_eq!(harness.complete("another", "code", Remember::Sent).await, Ok(2));
}

/// For as long as its attempt is valid.
#[tokio::test]
async fn attack_46_a_sent_code_stays_spent() {
    let harness = Harness::new();
    assert_eq!(harness.complete("state", "code", Remember::Sent).await, Ok(1));
    harness.clock.advance(ANSWERS_FOR + Duration::from_secs(1));
    // Many others come, and expired ones are removed.
    for number in 0..PRUNE_AT * 3 {
        let state = format!("state {number}");
        harness.complete(&state, "code", Remember::Sent).await.unwrap();
    }
    let again = harness.complete("state", "code", Remember::Sent).await;
    assert_eq!(again, Err(Spent::Used));
}

#[tokio::test]
async fn what_was_not_sent_may_be_tried_again() {
    let harness = Harness::new();
    assert_eq!(harness.complete("state", "code", Remember::Nothing).await, Ok(1));
    assert_eq!(harness.complete("state", "code", Remember::Sent).await, Ok(2));
    assert_eq!(harness.complete("state", "code", Remember::Sent).await, Ok(2));
}

#[tokio::test]
async fn a_task_that_dies_leaves_nobody_waiting_and_the_attempt_spent() {
    let harness = Harness::new();
    let ends_at = Timestamp::from_unix_seconds(1_600);
    let died = harness
        .once
        .complete("state", "code", ends_at, || async { panic!("as a test") })
        .await;
    assert_eq!(died, Err(Spent::Abandoned));
    let again = harness.complete("state", "code", Remember::Sent).await;
    assert_eq!(again, Err(Spent::Abandoned));
}

#[tokio::test]
async fn attempts_that_are_over_are_forgotten() {
    let harness = Harness::new();
    for number in 0..PRUNE_AT * 2 {
        let state = format!("state {number}");
        harness.complete(&state, "code", Remember::Sent).await.unwrap();
    }
    // Past the end of the attempts.
    harness.clock.advance(Duration::from_mins(10));
    for number in 0..PRUNE_AT * 2 {
        let state = format!("later {number}");
        harness.complete(&state, "code", Remember::Sent).await.unwrap();
    }
    let map_len = harness.once.shared.attempts.lock().map.len();
    assert!(map_len < PRUNE_AT * 4, "{map_len}");
}
