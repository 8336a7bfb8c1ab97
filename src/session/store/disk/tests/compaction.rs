//! Space that is given back.

use super::*;

#[tokio::test]
async fn a_mostly_empty_file_shrinks_at_the_next_start() {
    let harness = Harness::new();
    let store = harness.open().await;
    let large = "x".repeat(64 << 10);
    let logins = (0..1_200).map(|_| async {
        let session = harness.session("alice", &large);
        let (id, new) = NewSession::draw(&SystemRandom, session, Due::Never, harness.clock.now());
        store.insert(new).await.unwrap();
        id.key()
    });
    let keys = future::join_all(logins).await;
    let (gone, kept) = keys.split_at(keys.len() - 3);
    let ends = gone.iter().map(|key| store.remove(key, EndReason::Logout));
    future::try_join_all(ends).await.unwrap();
    drop(store);
    let length = || harness.file().metadata().unwrap().len();
    let before = length();
    let store = harness.open().await;
    assert!(
        before > 64 << 20 && length() < before / 8,
        "{before} {}",
        length()
    );
    assert_eq!(sessions(&store).await, 3);
    for key in kept {
        assert_eq!(access(&store, key).await.unwrap().len(), large.len());
    }
    store.core.assert_consistent();
}
