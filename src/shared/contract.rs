//! The promises of [`Shared`] and [`Passing`], to which every implementation is held.

use super::*;

const LEASE: Duration = Duration::from_mins(1);

/// A record is written only by a caller that knows its content, and if a holder is named, only while that holds the
/// lock.
pub(crate) async fn records_are_swapped(one: &dyn Shared, two: &dyn Shared) {
    let record = Record::Client;
    assert_eq!(one.read(record).await.unwrap(), None);
    assert!(!one.swap(record, Some(b"x"), b"first", None).await.unwrap());
    assert!(one.swap(record, None, b"first", None).await.unwrap());
    assert!(!two.swap(record, None, b"other", None).await.unwrap());
    assert_eq!(two.read(record).await.unwrap().unwrap(), b"first");
    assert!(
        !two.swap(record, Some(b"first"), b"other", Some("two"))
            .await
            .unwrap()
    );
    assert!(two.hold(record, "two", LEASE).await.unwrap());
    assert!(
        !one.swap(record, Some(b"first"), b"other", Some("one"))
            .await
            .unwrap()
    );
    assert!(
        two.swap(record, Some(b"first"), b"second", Some("two"))
            .await
            .unwrap()
    );
    assert_eq!(one.read(record).await.unwrap().unwrap(), b"second");
    // Every record is independent.
    assert_eq!(one.read(Record::Keyring).await.unwrap(), None);
    one.prove_room(record, 16 * 1024).await.unwrap();
    assert_eq!(one.read(record).await.unwrap().unwrap(), b"second");
    two.let_go(record, "two").await.unwrap();
}

/// A lock has one holder, who may prolong it, and ends with its lease.
pub(crate) async fn locks_have_one_holder(one: &dyn Shared, two: &dyn Shared) {
    let record = Record::Keyring;
    assert!(!one.prolong(record, "one", LEASE).await.unwrap());
    assert!(one.hold(record, "one", LEASE).await.unwrap());
    assert!(one.prolong(record, "one", LEASE).await.unwrap());
    assert!(!two.prolong(record, "two", LEASE).await.unwrap());
    assert!(!two.hold(record, "two", LEASE).await.unwrap());
    assert!(two.hold(Record::Client, "two", LEASE).await.unwrap());
    two.let_go(Record::Client, "two").await.unwrap();
    two.let_go(record, "two").await.unwrap();
    assert!(!two.hold(record, "two", LEASE).await.unwrap());
    one.let_go(record, "one").await.unwrap();
    assert!(two.hold(record, "two", LEASE).await.unwrap());
    two.let_go(record, "two").await.unwrap();
}

/// Each process finds the notes of all that have not withdrawn theirs.
pub(crate) async fn notes_are_seen_by_all(one: &dyn Shared, two: &dyn Shared) {
    let seen = async |shared: &dyn Shared| {
        let mut notes = shared.board().await.unwrap();
        notes.sort();
        notes
    };
    assert_eq!(seen(one).await, []);
    one.post("one", b"a", LEASE).await.unwrap();
    two.post("two", b"b", LEASE).await.unwrap();
    two.post("two", b"c", LEASE).await.unwrap();
    let both = [
        ("one".to_owned(), b"a".to_vec()),
        ("two".to_owned(), b"c".to_vec()),
    ];
    assert_eq!(seen(one).await, both);
    assert_eq!(seen(two).await, both);
    one.withdraw("one").await.unwrap();
    assert_eq!(seen(two).await, both[1..]);
    two.withdraw("two").await.unwrap();
    assert_eq!(seen(one).await, []);
}

/// One of several is the first, and all can read its value.
pub(crate) async fn values_pass(one: &dyn Passing, two: &dyn Passing) {
    assert_eq!(one.fetch("a").await.unwrap(), None);
    assert!(one.put_first("a", b"one", LEASE).await.unwrap());
    assert!(!two.put_first("a", b"two", LEASE).await.unwrap());
    assert_eq!(two.fetch("a").await.unwrap().unwrap(), b"one");
    two.put("a", b"two", LEASE).await.unwrap();
    assert_eq!(one.fetch("a").await.unwrap().unwrap(), b"two");
    assert_eq!(one.fetch("b").await.unwrap(), None);
    one.forget("a").await.unwrap();
    one.forget("a").await.unwrap();
    assert!(two.put_first("a", b"two", LEASE).await.unwrap());
    assert_eq!(one.all("a").await.unwrap(), Vec::<Vec<u8>>::new());
    one.add("a", b"first", LEASE).await.unwrap();
    two.add("a", b"second", LEASE).await.unwrap();
    let mut notes = one.all("a").await.unwrap();
    notes.sort();
    assert_eq!(notes, [&b"first"[..], b"second"]);
    assert_eq!(one.fetch("a").await.unwrap().unwrap(), b"two");
}

/// Two processes use one allowance, which fills up by the time of the shared state.
pub(crate) async fn allowances_are_common(one: &dyn Meter, two: &dyn Meter) {
    const HOUR: u64 = 3_600_000_000;
    for name in ["a", "b"] {
        for (meter, hours) in [(one, 1), (two, 2)] {
            let Taken::Allowed(whole) = meter.take(name, HOUR, 2 * HOUR).await.unwrap() else {
                panic!();
            };
            let passed = Duration::from_hours(hours).checked_sub(whole).unwrap();
            assert!(passed < Duration::from_secs(10), "{whole:?}");
        }
        for meter in [one, two] {
            let Taken::Refused(after) = meter.take(name, HOUR, 2 * HOUR).await.unwrap() else {
                panic!();
            };
            let passed = Duration::from_hours(1).checked_sub(after).unwrap();
            assert!(passed < Duration::from_secs(10), "{after:?}");
        }
    }
}

mod tests {
    use std::sync::Arc;

    use super::{super::testing::MemoryShared, *};
    use crate::clock::{ManualClock, Timestamp};

    #[tokio::test]
    async fn the_memory_of_a_test_promises_the_same() {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let shared = MemoryShared::new(Arc::new(clock.clone()));
        records_are_swapped(&shared, &shared).await;
        locks_have_one_holder(&shared, &shared).await;
        notes_are_seen_by_all(&shared, &shared).await;
        time_is_one_for_all(&shared, &shared).await;
        values_pass(&shared, &shared).await;
        allowances_are_common(&shared, &shared).await;
        assert!(shared.hold(Record::Client, "one", LEASE).await.unwrap());
        shared.post("one", b"a", LEASE).await.unwrap();
        clock.advance(LEASE);
        assert!(shared.hold(Record::Client, "two", LEASE).await.unwrap());
        assert_eq!(shared.board().await.unwrap(), []);
        assert_eq!(shared.fetch("a").await.unwrap(), None);
        assert!(shared.all("a").await.unwrap().is_empty());
    }
}

/// All replicas get the same time, which advances.
pub(crate) async fn time_is_one_for_all(one: &dyn Shared, two: &dyn Shared) {
    let first = one.time().await.unwrap();
    let second = two.time().await.unwrap();
    assert!(first <= second && second.abs_diff(first) < Duration::from_secs(10));
}
