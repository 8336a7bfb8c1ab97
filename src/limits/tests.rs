use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    random::SystemRandom,
    shared::testing::MemoryShared,
    telemetry::testing::Logs,
};

const WHAT: &str = "orders";

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000))
}

fn limits(meter: Option<Arc<dyn Meter>>, clock: &ManualClock) -> Limiter {
    let sealer = Sealer::new(&[[7; 32]], Arc::new(SystemRandom)).unwrap();
    Limiter::new(meter, sealer, Arc::new(clock.clone()))
}

async fn takes(limits: &Limiter, whose: Whose<'_>, rate: Rate) -> usize {
    let mut taken = 0;
    while limits.take(WHAT, whose, rate).await.is_ok() {
        taken += 1;
        assert!(taken < 10_000);
    }
    taken
}

#[tokio::test]
async fn a_burst_is_possible_and_then_the_rate() {
    let clock = clock();
    let limits = limits(None, &clock);
    let rate = Rate::parse("20/s").unwrap().with_burst(5);
    assert_eq!(takes(&limits, Whose::All, rate).await, 5);
    let refused = limits.take(WHAT, Whose::All, rate).await.unwrap_err();
    assert_eq!(
        refused,
        Refused {
            after: Duration::from_millis(50),
            rate
        }
    );
    // A refusal costs nothing.
    clock.advance(Duration::from_millis(50));
    assert_eq!(takes(&limits, Whose::All, rate).await, 1);
    clock.advance(Duration::from_millis(149));
    assert_eq!(takes(&limits, Whose::All, rate).await, 2);
    // No more than the burst after a long rest.
    clock.advance(Duration::from_hours(1));
    assert_eq!(takes(&limits, Whose::All, rate).await, 5);
}

#[tokio::test]
async fn a_use_says_what_is_left() {
    let clock = clock();
    let shared = MemoryShared::new(Arc::new(clock.clone()));
    let alone = limits(None, &clock);
    let together = limits(Some(Arc::new(shared.clone())), &clock);
    let other = limits(Some(Arc::new(shared)), &clock);
    let rate = Rate::parse("60/m").unwrap().with_burst(3);
    let after = |left, seconds| Allowance {
        left,
        whole_in: Duration::from_secs(seconds),
    };
    for limits in [&alone, &together] {
        assert_eq!(limits.take(WHAT, Whose::All, rate).await, Ok(after(2, 1)));
        assert_eq!(limits.take(WHAT, Whose::All, rate).await, Ok(after(1, 2)));
    }
    // Of all replicas.
    assert_eq!(other.take(WHAT, Whose::All, rate).await, Ok(after(0, 3)));
    clock.advance(Duration::from_millis(2_500));
    let expected = Allowance {
        left: 1,
        whole_in: Duration::from_millis(1_500),
    };
    assert_eq!(together.take(WHAT, Whose::All, rate).await, Ok(expected));
}

/// Whatever the pattern, in no window there are more than the burst and the rate.
#[tokio::test]
async fn the_rate_holds_over_any_time() {
    let clock = clock();
    let limits = limits(None, &clock);
    let rate = Rate::parse("100/m").unwrap().with_burst(10);
    let (start, mut taken) = (clock.now(), 0);
    for step in 0..2_000_u64 {
        taken += u64::from(limits.take(WHAT, Whose::All, rate).await.is_ok());
        clock.advance(Duration::from_millis(step * 7_919 % 400));
        let passed = u64::try_from(clock.now().duration_since(start).as_millis()).unwrap();
        assert!(taken <= 10 + passed / 600 + 1, "{taken} in {passed} ms");
    }
    assert!(taken > 500);
}

#[tokio::test]
async fn callers_have_their_own_allowances() {
    let clock = clock();
    let limits = limits(None, &clock);
    let rate = Rate::parse("2/m").unwrap();
    let address = |text: &str| Whose::Address(text.parse().unwrap());
    for whose in [
        address("192.0.2.1"),
        address("192.0.2.2"),
        address("2001:db8::1"),
        address("2001:db8:0:1::1"),
        Whose::Session(b"one"),
        Whose::Session(b"two"),
        Whose::All,
    ] {
        assert_eq!(takes(&limits, whose, rate).await, 2, "{whose:?}");
    }
    // One client has the whole network of 64 bits, and IPv4 has two spellings.
    for whose in [address("2001:db8::ffff:1:2"), address("::ffff:192.0.2.1")] {
        assert_eq!(takes(&limits, whose, rate).await, 0, "{whose:?}");
    }
    // Another route, and another rate of the same, count for themselves.
    limits.take("other", Whose::All, rate).await.unwrap();
    limits.take(WHAT, Whose::All, rate.with_burst(3)).await.unwrap();
}

#[tokio::test]
async fn replicas_count_together() {
    let clock = clock();
    let shared = MemoryShared::new(Arc::new(clock.clone()));
    let one = limits(Some(Arc::new(shared.clone())), &clock);
    let two = limits(Some(Arc::new(shared.clone())), &clock);
    let rate = Rate::parse("6/m").unwrap();
    for _ in 0..3 {
        one.take(WHAT, Whose::Session(b"s"), rate).await.unwrap();
        two.take(WHAT, Whose::Session(b"s"), rate).await.unwrap();
    }
    for limits in [&one, &two] {
        let refused = limits.take(WHAT, Whose::Session(b"s"), rate).await.unwrap_err();
        assert_eq!(refused.after, Duration::from_secs(10));
    }
}

/// Each replica then counts alone, says so once, and comes back to the common count.
#[tokio::test]
async fn without_the_shared_state_each_replica_counts_alone() {
    let (log, clock) = (Logs::capture(), clock());
    let shared = MemoryShared::new(Arc::new(clock.clone()));
    let limits = limits(Some(Arc::new(shared.clone())), &clock);
    let rate = Rate::parse("3/m").unwrap();
    shared.set_down(true);
    assert_eq!(takes(&limits, Whose::All, rate).await, 3);
    clock.advance(Duration::from_mins(5));
    assert_eq!(takes(&limits, Whose::All, rate).await, 3);
    shared.set_down(false);
    clock.advance(Duration::from_mins(5));
    assert_eq!(takes(&limits, Whose::All, rate).await, 3);
    let text = log.text();
    assert_eq!(text.matches("each replica counts alone").count(), 1, "{text}");
    assert_eq!(text.matches("over all replicas again").count(), 1, "{text}");
}

/// The names in the shared state reveal nothing.
#[tokio::test]
async fn a_dump_of_limits_names_nobody() {
    let clock = clock();
    let shared = MemoryShared::new(Arc::new(clock.clone()));
    let limits = limits(Some(Arc::new(shared.clone())), &clock);
    let rate = Rate::parse("3/m").unwrap();
    limits
        .take(WHAT, Whose::Session(b"planted-session"), rate)
        .await
        .unwrap();
    limits
        .take(WHAT, Whose::Address("192.0.2.77".parse().unwrap()), rate)
        .await
        .unwrap();
    let dump = String::from_utf8_lossy(&shared.dump_of_passing()).into_owned();
    assert!(!dump.is_empty());
    for secret in ["planted", "192.0.2.77", WHAT] {
        assert!(!dump.contains(secret), "{dump}");
    }
}
