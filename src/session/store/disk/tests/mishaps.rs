//! Mishaps from trials: each left a server that did not start, or that had lost something.

use super::*;
use crate::session::store::UNREADABLE_AGAIN;
use crate::session::store::disk::file::Room;

/// At every step.
#[tokio::test]
async fn an_interrupted_creation_is_completed_at_the_start() {
    let mut steps = 0;
    loop {
        let harness = Harness::new();
        harness.trouble.fail_after(Some(steps));
        let is_made = harness.try_open(&[[7; 32]]).await.map(drop).is_ok();
        harness.trouble.fail_after(None);
        let store = harness.try_open(&[[7; 32]]).await;
        let store = store.unwrap_or_else(|error| panic!("after {steps} steps: {error}"));
        harness.login(&store, "alice", Due::Never).await;
        if is_made {
            break;
        }
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_and_keeps_nobody_waiting_for_ever() {
    let harness = Harness::new();
    let store = Arc::new(harness.open().await);
    harness.trouble.stall(true);
    let mut login = tokio::spawn({
        let (store, new) = (Arc::clone(&store), harness.draw("alice", Due::Never));
        async move { store.insert(new).await }
    });
    // By the clock of the store nothing lasts until it is moved.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!((&mut login).now_or_never().is_none());
    harness.clock.advance(ANSWER_WITHIN);
    let told = login.await.unwrap().unwrap_err().to_string();
    assert!(told.contains("the disk does not answer"), "{told}");
    harness.trouble.stall(false);
    store.flush().await.unwrap();
    harness.login(&store, "bob", Due::Never).await;
}

/// A file of more than 64 MiB with a single session in it.
async fn mostly_empty(harness: &Harness) -> (DiskStore, SessionKey) {
    let store = harness.open().await;
    let large = "x".repeat(64 << 10);
    let logins = (0..1_200).map(|_| async {
        let session = harness.session("alice", &large);
        let (id, new) = NewSession::draw(&SystemRandom, session, Due::Never, harness.clock.now());
        store.insert(new).await.unwrap();
        id.key()
    });
    let keys = future::join_all(logins).await;
    let (kept, gone) = keys.split_last().unwrap();
    let ends = gone.iter().map(|key| store.remove(key, EndReason::Logout));
    future::try_join_all(ends).await.unwrap();
    (store, *kept)
}

#[tokio::test]
async fn a_file_that_cannot_shrink_is_used_unchanged() {
    let harness = Harness::new();
    let (store, alice) = mostly_empty(&harness).await;
    harness.trouble.fail_writes_of_data(true);
    // After a failed write it is opened again.
    let session = harness.session("alice", "second");
    store
        .replace(&alice, Version::FIRST, session, Due::Never)
        .await
        .unwrap();
    assert_eq!(access(&store, &alice).await.unwrap(), "second");
    harness.trouble.fail_writes_of_data(false);
    store.flush().await.unwrap();
    drop(store);
    harness.trouble.fail_writes_of_data(true);
    let told = harness.try_open(&[[7; 32]]).await.map(drop);
    if let Err(error) = told {
        assert!(matches!(error, DiskError::File { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_only_logins() {
    let harness = Harness::new();
    let store = harness.open().await;
    let (alice, bob) = (
        harness.login(&store, "alice", Due::Never).await,
        harness.login(&store, "bob", Due::Never).await,
    );
    harness.trouble.leave(Some(Room::Little));
    let refused = store.insert(harness.draw("carol", Due::Never)).await;
    assert!(matches!(refused, Err(InsertError::Store(_))));
    harness.write(&store, &alice, "second", Due::Never).await;
    store.remove(&bob, EndReason::Logout).await.unwrap().unwrap();
    assert!(store.flush().await.is_err());
    // A restart loses nothing.
    let crashed = harness.after_a_crash().open().await;
    assert_eq!(access(&crashed, &alice).await.unwrap(), "second");
    assert!(crashed.get(&bob).await.unwrap().is_none());
    harness.trouble.leave(None);
    harness.login(&store, "carol", Due::Never).await;
    store.flush().await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_told_and_no_other_is_begun() {
    let harness = Harness::new();
    let store = harness.open().await;
    let alice = harness.login(&store, "alice", Due::Never).await;
    let aside = harness.folder.path().join("aside");
    fs::rename(harness.file(), &aside).unwrap();
    let told = store.flush().await.unwrap_err().to_string();
    assert!(told.contains("moved or removed"), "{told}");
    assert!(store.insert(harness.draw("bob", Due::Never)).await.is_err());
    assert!(access(&store, &alice).await.is_some());
    // Also if a write fails meanwhile, after which the file is opened again.
    harness.trouble.fail_writes_of_data(true);
    let session = harness.session("alice", "second");
    let unwritten = store.replace(&alice, Version::FIRST, session, Due::Never).await;
    assert!(matches!(unwritten, Err(ReplaceError::Store(_))));
    assert!(store.flush().await.is_err());
    assert!(!harness.file().exists());
    harness.trouble.fail_writes_of_data(false);
    fs::rename(&aside, harness.file()).unwrap();
    store.flush().await.unwrap();
    assert!(access(&store, &alice).await.is_some());
}

/// The secret may be right then.
#[tokio::test]
async fn an_unreadable_session_is_tried_again_later() {
    let harness = Harness::new();
    let store = harness.open().await;
    let alice = harness.login(&store, "alice", Due::At(harness.clock.now())).await;
    drop(store);
    let wrong = harness.try_open(&[[2; 32]]).await.unwrap();
    assert_eq!(due(&wrong).await, []);
    drop(wrong);
    let store = harness.open().await;
    harness.clock.advance(UNREADABLE_AGAIN);
    assert_eq!(due(&store).await, [alice]);
}
