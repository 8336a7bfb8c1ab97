use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    random::{RandomExt as _, SystemRandom},
    session::OpenError,
    shared::testing::MemoryShared,
    telemetry::testing::Logs,
};

struct Harness {
    shared: MemoryShared,
    clock: ManualClock,
    /// How often a code was sent.
    sent: AtomicUsize,
}

impl Harness {
    fn new() -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        Self {
            shared: MemoryShared::new(Arc::new(clock.clone())),
            clock,
            sent: AtomicUsize::new(0),
        }
    }

    fn replica(&self) -> Relay {
        Relay {
            passing: Arc::new(self.shared.clone()),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SystemRandom),
        }
    }

    fn attempt(&self) -> Attempt {
        // As in a cookie; absent values were not requested.
        let attempt = serde_json::json!({
            "n": SystemRandom.base64url::<32>(),
            "v": SystemRandom.base64url::<32>(),
            "t": self.clock.now(),
            "h": "app.example",
            "u": "/",
        });
        serde_json::from_value(attempt).unwrap()
    }

    fn logged_in(&self) -> LoggedIn {
        LoggedIn {
            id: SessionId::parse(SystemRandom.base64url::<32>().as_bytes()).unwrap(),
            ends_at: self.clock.now(),
            location: Url::parse("https://app.example/orders").unwrap(),
        }
    }

    /// The callback at one replica, whose exchange takes so long.
    async fn callback(&self, attempt: &Attempt, code: &str, takes: Duration) -> Told {
        let complete = async {
            self.sent.fetch_add(1, Ordering::SeqCst);
            self.clock.sleep(takes).await;
            Ok(self.logged_in())
        };
        let (outcome, _) = self
            .replica()
            .once(attempt, &code.to_owned().into(), complete, sent)
            .await;
        told(outcome)
    }

    async fn failing(&self, attempt: &Attempt, error: CallbackError, remember: Remember) -> Told {
        let complete = async { Err(error) };
        let remember = match remember {
            Remember::Sent => sent,
            Remember::Nothing => not_sent,
        };
        let (outcome, _) = self
            .replica()
            .once(attempt, &"code".to_owned().into(), complete, remember)
            .await;
        told(outcome)
    }

    /// Lets time pass until `work` is done.
    async fn passing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => self.clock.advance(LOOK),
            }
        }
    }
}

/// The session, or the text for the person.
type Told = Result<String, String>;

fn told(outcome: Result<LoggedIn, CallbackError>) -> Told {
    match outcome {
        Ok(logged_in) => Ok(logged_in.id.expose()),
        Err(error) => Err(error.to_string()),
    }
}

fn sent(_: &Result<LoggedIn, CallbackError>) -> Remember {
    Remember::Sent
}

fn not_sent(_: &Result<LoggedIn, CallbackError>) -> Remember {
    Remember::Nothing
}

/// The first is at another replica.
#[tokio::test]
async fn a_second_callback_waits_for_the_first() {
    let harness = Harness::new();
    let attempt = harness.attempt();
    let takes = Duration::from_secs(3);
    let both = async {
        tokio::join!(
            harness.callback(&attempt, "code", takes),
            harness.callback(&attempt, "code", takes)
        )
    };
    let (one, two) = harness.passing(both).await;
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(harness.sent.load(Ordering::SeqCst), 1);
}

/// The code is sent once while the attempt is valid.
#[tokio::test]
async fn an_answer_is_kept_for_a_minute() {
    let harness = Harness::new();
    let attempt = harness.attempt();
    let first = harness.callback(&attempt, "code", Duration::ZERO).await.unwrap();
    harness.clock.advance(ANSWERS_FOR / 2);
    let again = harness.callback(&attempt, "code", Duration::ZERO).await.unwrap();
    assert_eq!(again, first);
    let another = harness.callback(&attempt, "other", Duration::ZERO).await;
    assert_eq!(another.unwrap_err(), CallbackError::UnknownAttempt.to_string());
    harness.clock.advance(ANSWERS_FOR);
    let late = harness.callback(&attempt, "code", Duration::ZERO).await;
    assert_eq!(late.unwrap_err(), CallbackError::UnknownAttempt.to_string());
    // Up to its end.
    harness
        .clock
        .advance(attempt.ends_at().duration_since(harness.clock.now()));
    harness
        .callback(&attempt, "code", Duration::ZERO)
        .await
        .unwrap_err();
    assert_eq!(harness.sent.load(Ordering::SeqCst), 1);
}

/// An unsent code may be tried again.
#[tokio::test]
async fn a_failed_attempt_is_reported() {
    let harness = Harness::new();
    let attempt = harness.attempt();
    harness
        .failing(&attempt, CallbackError::NoIdToken, Remember::Sent)
        .await
        .unwrap_err();
    let joined = harness.callback(&attempt, "code", Duration::ZERO).await;
    assert!(joined.unwrap_err().contains("no ID token"));
    let attempt = harness.attempt();
    harness
        .failing(&attempt, CallbackError::LoggedOut, Remember::Sent)
        .await
        .unwrap_err();
    let joined = harness.callback(&attempt, "code", Duration::ZERO).await;
    assert_eq!(joined.unwrap_err(), CallbackError::LoggedOut.to_string());
    let attempt = harness.attempt();
    harness
        .failing(&attempt, CallbackError::NotReady, Remember::Nothing)
        .await
        .unwrap_err();
    harness.callback(&attempt, "code", Duration::ZERO).await.unwrap();
}

/// Its code is not sent again.
#[tokio::test]
async fn a_dead_replica_is_waited_for_a_limited_time() {
    let harness = Harness::new();
    let attempt = harness.attempt();
    {
        let dies = harness.callback(&attempt, "code", PATIENCE * 2);
        let mut dies = std::pin::pin!(dies);
        assert!(futures_util::poll!(&mut dies).is_pending());
    }
    let began = harness.clock.now();
    let waits = harness
        .passing(harness.callback(&attempt, "code", Duration::ZERO))
        .await;
    assert_eq!(waits.unwrap_err(), CallbackError::Abandoned.to_string());
    assert!(harness.clock.now().duration_since(began) >= PATIENCE);
    assert_eq!(harness.sent.load(Ordering::SeqCst), 1);
}

/// It says so.
#[tokio::test]
async fn without_shared_memory_each_replica_acts_alone() {
    let logs = Logs::capture();
    let harness = Harness::new();
    harness.shared.set_down(true);
    let attempt = harness.attempt();
    harness.callback(&attempt, "code", Duration::ZERO).await.unwrap();
    logs.has_part("WARN", "may be completing");
}

/// Another cookie gets no answer.
#[tokio::test]
async fn attack_46_a_dump_gives_no_session() {
    let harness = Harness::new();
    let attempt = harness.attempt();
    let id = harness.callback(&attempt, "code", Duration::ZERO).await.unwrap();
    let dump = String::from_utf8_lossy(&harness.shared.dump_of_passing()).into_owned();
    let secrets = [attempt.nonce.expose(), attempt.code_verifier.expose()];
    for part in [&*id, "code", "orders", "LoggedIn", secrets[0], secrets[1]] {
        assert!(!dump.contains(part), "{part}");
    }
    // The same code, another attempt: it has nothing to do with that one.
    let other = harness.callback(&harness.attempt(), "code", Duration::ZERO).await;
    assert_ne!(other.unwrap(), id);
    assert_eq!(harness.sent.load(Ordering::SeqCst), 2);
}

#[test]
fn a_failure_reads_the_same_at_every_replica() {
    for (error, expected) in [
        (CallbackError::NoIdToken, Failure::AnswerRefused),
        (CallbackError::TooWeak, Failure::TooWeak),
        (CallbackError::Open(OpenError::TooMany), Failure::NoRoom),
        (CallbackError::Open(OpenError::Taken), Failure::StoreUnavailable),
        (CallbackError::NotReady, Failure::NotReady),
    ] {
        let told = serde_json::to_vec(&Answer::of(&Err(error))).unwrap();
        let answer: Answer = serde_json::from_slice(&told).unwrap();
        let heard = Result::<LoggedIn, _>::from(answer).unwrap_err();
        assert_eq!(Failure::of(&heard), expected, "{heard}");
    }
}
