use super::{
    held::{Held, PROLONG},
    *,
};
use crate::{
    clock::{ManualClock, Timestamp},
    random::SystemRandom,
    shared::testing::MemoryShared,
    telemetry::testing::Logs,
};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// The shared state of some replicas, and their folders.
struct Harness {
    shared: MemoryShared,
    clock: ManualClock,
    dir: tempfile::TempDir,
}

impl Harness {
    fn new() -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        Self {
            shared: MemoryShared::new(Arc::new(clock.clone())),
            dir: tempfile::tempdir().unwrap(),
            clock,
        }
    }

    /// The record as the replica with this folder and these secrets sees it.
    fn replica(&self, folder: &str, secrets: &[[u8; 32]]) -> Document {
        let random: SharedRandom = Arc::new(SystemRandom);
        Document::new(
            Record::Client,
            Arc::new(self.shared.clone()),
            Sealer::new(secrets, Arc::clone(&random)).unwrap(),
            Arc::new(self.clock.clone()),
            random,
            self.dir.path().join(folder).join("client.sealed"),
        )
    }

    fn dump(&self) -> Vec<u8> {
        self.shared.dump(Record::Client).unwrap()
    }
}

async fn write(document: &Document, text: &str) {
    let held = document.lock().await.unwrap();
    document.write(Some(text.as_bytes())).await.unwrap();
    give_back(held).await;
}

/// A lock is given back by a task.
async fn give_back(held: Held) {
    drop(held);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn text(document: &Document) -> Option<String> {
    let found = document.read().await.unwrap();
    found.body.map(|body| String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_one_writes_the_others_read_and_nobody_else() {
    let harness = Harness::new();
    let (one, two) = (harness.replica("1", &[OLD]), harness.replica("2", &[OLD]));
    assert_eq!(text(&one).await, None);
    write(&one, "rat-1").await;
    assert_eq!(text(&two).await.unwrap(), "rat-1");
    write(&two, "rat-2").await;
    assert_eq!(text(&one).await.unwrap(), "rat-2");
    assert_eq!((one.known_revision(), two.known_revision()), (2, 2));
    let held = one.lock().await.unwrap();
    one.write(None).await.unwrap();
    give_back(held).await;
    assert_eq!(text(&two).await, None);
    assert_eq!(two.known_revision(), 3);
}

/// Neither changes anything.
#[tokio::test]
async fn a_dump_and_a_foreign_secret_reveal_nothing() {
    let harness = Harness::new();
    write(&harness.replica("1", &[OLD]), "registration-access-token").await;
    let dump = harness.dump();
    assert!(!dump.windows(5).any(|part| part == b"token"));
    let file = std::fs::read(harness.dir.path().join("1/client.sealed")).unwrap();
    assert!(!file.windows(5).any(|part| part == b"token"));
    let foreign = harness.replica("2", &[NEW]);
    assert!(matches!(foreign.read().await, Err(DocumentError::Foreign)));
    let held = foreign.lock().await.unwrap();
    assert!(matches!(
        foreign.write(Some(b"x")).await,
        Err(DocumentError::Foreign)
    ));
    give_back(held).await;
    assert_eq!(harness.dump(), dump);
    // A record never opens as another one, nor with a changed byte.
    let mut changed = dump.clone();
    *changed.last_mut().unwrap() ^= 1;
    harness.shared.put(Record::Client, changed);
    let fresh = harness.replica("3", &[OLD]);
    assert!(matches!(fresh.read().await, Err(DocumentError::Foreign)));
}

#[tokio::test]
async fn only_the_holder_of_the_lock_writes() {
    let harness = Harness::new();
    let (one, two) = (harness.replica("1", &[OLD]), harness.replica("2", &[OLD]));
    assert!(matches!(
        one.write(Some(b"x")).await,
        Err(DocumentError::LockLost)
    ));
    let held = one.lock().await.unwrap();
    assert!(two.try_lock().await.unwrap().is_none());
    assert!(one.try_lock().await.unwrap().is_none(), "of one process, too");
    assert!(matches!(
        two.write(Some(b"x")).await,
        Err(DocumentError::LockLost)
    ));
    // It is extended as long as it is held.
    for _ in 0..10 {
        harness.clock.advance(PROLONG);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    one.write(Some(b"first")).await.unwrap();
    give_back(held).await;
    write(&two, "second").await;
    assert_eq!(text(&one).await.unwrap(), "second");
}

#[tokio::test]
async fn a_delayed_replica_does_not_overwrite_later_changes() {
    let harness = Harness::new();
    let (one, two) = (harness.replica("1", &[OLD]), harness.replica("2", &[OLD]));
    let held = one.lock().await.unwrap();
    // Its lease is over, without its knowing.
    let holder = one.inner.holder.lock().clone().unwrap();
    harness.shared.let_go(Record::Client, &holder).await.unwrap();
    write(&two, "theirs").await;
    assert!(matches!(
        one.write(Some(b"x")).await,
        Err(DocumentError::LockLost)
    ));
    give_back(held).await;
    assert_eq!(text(&one).await.unwrap(), "theirs");
}

#[tokio::test]
async fn what_redis_has_lost_comes_back_from_a_replica() {
    let logs = Logs::capture();
    let harness = Harness::new();
    let (one, two) = (harness.replica("1", &[OLD]), harness.replica("2", &[OLD]));
    write(&one, "first").await;
    let snapshot = harness.dump();
    write(&one, "second").await;
    // Emptied.
    harness.shared.empty();
    assert_eq!(text(&two).await, None, "this one has never seen it");
    assert_eq!(text(&one).await.unwrap(), "second");
    assert_eq!(text(&two).await.unwrap(), "second");
    // Restored from an older copy.
    harness.shared.put(Record::Client, snapshot);
    assert_eq!(text(&two).await.unwrap(), "second");
    assert_eq!(logs.count("was restored"), 2);
    // Emptied while no replica ran.
    drop((one, two));
    harness.shared.empty();
    let again = harness.replica("1", &[OLD]);
    assert_eq!(text(&again).await.unwrap(), "second");
}

#[tokio::test]
async fn where_no_file_can_be_written_the_copy_is_in_memory() {
    let harness = Harness::new();
    std::fs::write(harness.dir.path().join("1"), "in the way").unwrap();
    let one = harness.replica("1", &[OLD]);
    write(&one, "first").await;
    harness.shared.empty();
    assert_eq!(text(&one).await.unwrap(), "first");
}

#[tokio::test]
async fn what_cannot_be_asked_for_again_outlives_a_redis_that_is_down() {
    let logs = Logs::capture();
    let harness = Harness::new();
    let (one, two) = (harness.replica("1", &[OLD]), harness.replica("2", &[OLD]));
    write(&one, "first").await;
    let held = one.lock().await.unwrap();
    harness.shared.set_down(true);
    assert!(matches!(
        one.write(Some(b"second")).await,
        Err(DocumentError::Shared(_))
    ));
    one.write_for_certain(b"second").await.unwrap();
    logs.has_part("WARN", "alone");
    assert!(matches!(two.read().await, Err(DocumentError::Shared(_))));
    harness.shared.set_down(false);
    give_back(held).await;
    assert_eq!(text(&two).await.unwrap(), "first");
    assert_eq!(text(&one).await.unwrap(), "second");
    assert_eq!(text(&two).await.unwrap(), "second");
}

/// Unless another replica has written meanwhile.
#[tokio::test]
async fn an_irreplaceable_answer_outlives_a_lost_lock() {
    let harness = Harness::new();
    let (one, two) = (harness.replica("1", &[OLD]), harness.replica("2", &[OLD]));
    let held = one.lock().await.unwrap();
    one.write(Some(b"a request is under way")).await.unwrap();
    harness.shared.empty();
    one.write_for_certain(b"the client").await.unwrap();
    give_back(held).await;
    assert_eq!(text(&two).await.unwrap(), "the client");
    // Another replica has written meanwhile.
    let held = one.lock().await.unwrap();
    one.write(Some(b"a request is under way")).await.unwrap();
    let holder = one.inner.holder.lock().clone().unwrap();
    harness.shared.let_go(Record::Client, &holder).await.unwrap();
    write(&two, "theirs").await;
    assert!(matches!(
        one.write_for_certain(b"another client").await,
        Err(DocumentError::LockLost)
    ));
    give_back(held).await;
    assert_eq!(text(&one).await.unwrap(), "theirs");
}

#[tokio::test]
async fn a_former_secret_can_be_taken_away_once_the_seal_is_renewed() {
    let harness = Harness::new();
    write(&harness.replica("1", &[OLD]), "text").await;
    harness.replica("1", &[OLD, NEW]).renew_seal().await.unwrap();
    assert_eq!(text(&harness.replica("2", &[OLD])).await.unwrap(), "text");
    harness.replica("1", &[NEW, OLD]).renew_seal().await.unwrap();
    assert_eq!(text(&harness.replica("3", &[NEW])).await.unwrap(), "text");
    assert_eq!(harness.replica("3", &[NEW]).read().await.unwrap().revision, 1);
}

/// A command that ends at once after its work would leave the lock for a whole lease: found by a check that followed a
/// registration.
#[test]
fn a_process_that_ends_gives_its_locks_back_before() {
    let harness = Harness::new();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let document = harness.replica("1", &[OLD]);
        runtime.block_on(async {
            let held = document.try_lock().await.unwrap();
            assert!(held.is_some());
            drop(held);
            document.given_back().await;
        });
    }
}
