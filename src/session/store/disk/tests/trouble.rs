//! A full disk, and a failing disk.

use super::*;

/// The guarantees while writes fail, and afterwards.
async fn nothing_is_lost(begin: fn(&Trouble), end: fn(&Trouble)) {
    let harness = Harness::new();
    let store = harness.open().await;
    let in_a_minute = Due::At(harness.after(MINUTE));
    let alice = harness.login(&store, "alice", in_a_minute).await;
    let bob = harness.login(&store, "bob", in_a_minute).await;
    let carol = harness.login(&store, "carol", Due::Never).await;
    let idle = harness.login(&store, "dave", Due::Never).await;
    begin(&harness.trouble);

    // A refresh token that was rotated is kept.
    harness
        .write(&store, &alice, "second", Due::At(harness.after(HOUR / 4)))
        .await;
    harness
        .write(&store, &alice, "third", Due::At(harness.after(HOUR / 4)))
        .await;
    assert_eq!(access(&store, &alice).await.unwrap(), "third");
    let stale = store.replace(
        &alice,
        Version::FIRST,
        harness.session("alice", "stale"),
        Due::Never,
    );
    assert!(matches!(stale.await, Err(ReplaceError::Conflict)));
    // A logout is a logout.
    let last = store.remove(&bob, EndReason::Logout).await.unwrap();
    assert_eq!(last.unwrap().subject, "bob");
    assert!(store.remove(&bob, EndReason::Logout).await.unwrap().is_none());
    assert!(store.get(&bob).await.unwrap().is_none());
    let again = store.replace(&bob, Version::FIRST, harness.session("bob", "again"), Due::Never);
    assert!(matches!(again.await, Err(ReplaceError::Gone)));
    // Logins are refused.
    let refused = store.insert(harness.draw("erin", Due::Never)).await;
    assert!(matches!(refused, Err(InsertError::Store(_))));
    assert_eq!(sessions(&store).await, 3);
    assert!(store.flush().await.is_err());

    // Due and overdue sessions follow the present state.
    harness.clock.advance(MINUTE);
    for used in [&alice, &carol] {
        store.touch(used, harness.clock.now()).await.unwrap();
    }
    assert_eq!(due(&store).await, []);
    harness.clock.advance(HOUR / 4);
    assert_eq!(due(&store).await, [alice]);
    harness.clock.advance(Duration::from_millis(1));
    match store.claim(&alice, MINUTE).await.unwrap() {
        Claim::Claimed(claimed) => store
            .release(claimed.lease, Due::At(harness.after(HOUR)))
            .await
            .unwrap(),
        other => panic!("{other:?}"),
    }
    assert_eq!(due(&store).await, []);
    harness.clock.advance(Duration::from_millis(44 * 60_000 - 1));
    assert_eq!(store.overdue(10).await.unwrap(), [idle]);
    assert!(store.remove(&idle, EndReason::Idle).await.unwrap().is_some());
    assert_eq!(store.overdue(10).await.unwrap(), []);

    end(&harness.trouble);
    store.flush().await.unwrap();
    harness.login(&store, "erin", Due::Never).await;
    assert_eq!(access(&store, &alice).await.unwrap(), "third");
    store.core.assert_consistent();
    let crashed = harness.after_a_crash().open().await;
    assert_eq!(access(&crashed, &alice).await.unwrap(), "third");
    assert!(crashed.get(&bob).await.unwrap().is_none());
    assert!(crashed.get(&carol).await.unwrap().is_some());
    assert_eq!(sessions(&crashed).await, 3);
}

#[tokio::test]
async fn a_full_disk_loses_no_session() {
    nothing_is_lost(|trouble| trouble.fill(true), |trouble| trouble.fill(false)).await;
}

#[tokio::test]
async fn a_disk_that_fails_loses_no_session() {
    nothing_is_lost(
        |trouble| trouble.fail_writes_of_data(true),
        |trouble| trouble.fail_writes_of_data(false),
    )
    .await;
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_is_tried_until_it_can() {
    let harness = Harness::new();
    let store = harness.open().await;
    let alice = harness.login(&store, "alice", Due::Never).await;
    harness.trouble.fail_everything(true);
    let session = harness.session("alice", "second");
    assert!(
        store
            .replace(&alice, Version::FIRST, session, Due::Never)
            .await
            .is_err()
    );
    assert!(store.get(&alice).await.is_err());
    assert!(store.flush().await.is_err());
    harness.trouble.fail_everything(false);
    store.flush().await.unwrap();
    assert_eq!(access(&store, &alice).await.unwrap(), "first");
}
