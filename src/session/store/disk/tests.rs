use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use super::{file::DiskError, testing::Trouble, *};
use crate::{
    clock::{Clock as _, ManualClock},
    diagnostic::Explain as _,
    instruments::Tally,
    random::SystemRandom,
    session::{
        store::{Cached, contract::contract_tests},
        testing::session,
    },
};

mod compaction;
mod damage;
mod killed;
mod mishaps;
mod trouble;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

contract_tests!(|lifespan, clock: ManualClock| async move {
    let store: Arc<dyn SessionStore> = Arc::new(in_a_folder_of_its_own(lifespan, clock).await);
    store
});

/// A store whose folder goes with it.
async fn in_a_folder_of_its_own(lifespan: Lifespan, clock: ManualClock) -> DiskStore {
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place::new(folder.path(), Guard::Strict);
    place.trouble.keep(folder);
    let store = DiskStore::open_in(place, lifespan, sealer(&[[7; 32]]), Arc::new(clock));
    store.await.unwrap()
}

/// The contract with the cache in front, as in the server.
mod cached {
    use super::*;

    contract_tests!(|lifespan, clock: ManualClock| async move {
        let store = in_a_folder_of_its_own(lifespan, clock.clone()).await;
        let store = Cached::new(store, 1 << 30, lifespan, Arc::new(clock), &Tally::default());
        let mut changes = store.changes();
        assert_eq!(changes.next().await, Some(Change::Heard));
        tokio::spawn(async move { while changes.next().await.is_some() {} });
        let store: Arc<dyn SessionStore> = Arc::new(store);
        store
    });
}

fn sealer(secrets: &[[u8; 32]]) -> Sealer {
    Sealer::new(secrets, Arc::new(SystemRandom)).unwrap()
}

/// A folder in which servers come and go.
struct Harness {
    folder: tempfile::TempDir,
    clock: ManualClock,
    trouble: Trouble,
}

impl Harness {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000)),
            trouble: Trouble::default(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("sessions.redb")
    }

    async fn try_open(&self, secrets: &[[u8; 32]]) -> Result<DiskStore, DiskError> {
        let mut place = Place::new(self.folder.path(), Guard::Strict);
        place.trouble = self.trouble.clone();
        let clock = Arc::new(self.clock.clone());
        DiskStore::open_in(place, Lifespan::default(), sealer(secrets), clock).await
    }

    async fn open(&self) -> DiskStore {
        self.try_open(&[[7; 32]]).await.unwrap()
    }

    /// The state on the disk at this moment, as a server finds it after a crash.
    fn after_a_crash(&self) -> Self {
        let copy = Self::new();
        fs::copy(self.file(), copy.file()).unwrap();
        Self {
            clock: self.clock.clone(),
            ..copy
        }
    }

    fn after(&self, duration: Duration) -> Timestamp {
        self.clock.now().saturating_add(duration)
    }

    fn session(&self, subject: &str, access: &str) -> Arc<Session> {
        Arc::new(session(subject, access, self.clock.now()))
    }

    fn draw(&self, subject: &str, due: Due) -> NewSession {
        let session = self.session(subject, "first");
        NewSession::draw(&SystemRandom, session, due, self.clock.now()).1
    }

    async fn login(&self, store: &DiskStore, subject: &str, due: Due) -> SessionKey {
        let new = self.draw(subject, due);
        let key = new.key;
        store.insert(new).await.unwrap();
        key
    }

    async fn write(&self, store: &DiskStore, key: &SessionKey, access: &str, due: Due) {
        let stored = store.get(key).await.unwrap().unwrap();
        let session = self.session(&stored.session.subject, access);
        store.replace(key, stored.version, session, due).await.unwrap();
    }
}

async fn access(store: &DiskStore, key: &SessionKey) -> Option<String> {
    let stored = store.get(key).await.unwrap()?;
    Some(stored.session.tokens.access.expose().to_owned())
}

async fn due(store: &DiskStore) -> Vec<SessionKey> {
    let claimed = store.claim_due(100, Duration::ZERO).await.unwrap();
    claimed.iter().map(|claimed| *claimed.lease.key()).collect()
}

async fn sessions(store: &DiskStore) -> usize {
    store.usage().await.unwrap().sessions
}

#[tokio::test]
async fn a_restart_ends_no_session() {
    let harness = Harness::new();
    let store = harness.open().await;
    let alice = harness.login(&store, "alice", Due::At(harness.after(HOUR))).await;
    let bob = harness.login(&store, "bob", Due::Never).await;
    harness
        .write(&store, &alice, "second", Due::At(harness.after(MINUTE)))
        .await;
    let version = store.get(&alice).await.unwrap().unwrap().version;
    let gone = harness.login(&store, "carol", Due::Never).await;
    store.remove(&gone, EndReason::Logout).await.unwrap().unwrap();
    harness.clock.advance(MINUTE);
    store.touch(&bob, harness.clock.now()).await.unwrap();
    let lease = store.claim(&bob, HOUR).await.unwrap();
    drop(store);

    let store = harness.open().await;
    let stored = store.get(&alice).await.unwrap().unwrap();
    assert_eq!(stored.version, version);
    assert_eq!(access(&store, &alice).await.unwrap(), "second");
    assert!(store.get(&gone).await.unwrap().is_none());
    assert_eq!(
        store.get(&bob).await.unwrap().unwrap().last_seen,
        harness.clock.now()
    );
    let whose = Whose::person(&stored.session);
    assert_eq!(store.find(whose).await.unwrap()[0].key, alice);
    assert_eq!(due(&store).await, [alice]);
    // Its holder no longer exists.
    assert!(matches!(lease, Claim::Claimed(_)));
    assert!(matches!(
        store.claim(&bob, HOUR).await.unwrap(),
        Claim::Claimed(_)
    ));
    assert_eq!(sessions(&store).await, 2);
    store.core.assert_consistent();
}

#[tokio::test]
async fn a_claim_of_a_process_that_died_is_taken_over() {
    let harness = Harness::new();
    let store = harness.open().await;
    let due = Due::At(harness.clock.now());
    let [named, due_one, completed, released] = [
        harness.login(&store, "alice", Due::Never).await,
        harness.login(&store, "bob", due).await,
        harness.login(&store, "carol", Due::Never).await,
        harness.login(&store, "dave", Due::Never).await,
    ];
    let claim = async |key| match store.claim(key, HOUR).await.unwrap() {
        Claim::Claimed(claimed) => claimed,
        other => panic!("{other:?}"),
    };
    let _dies = claim(&named).await;
    assert_eq!(store.claim_due(10, HOUR).await.unwrap().len(), 1);
    let Claimed { lease, stored, .. } = claim(&completed).await;
    let renewed = harness.session("carol", "second");
    let complete = store.complete(&lease, stored.version, renewed, Due::Never);
    complete.await.unwrap();
    store
        .release(claim(&released).await.lease, Due::Unchanged)
        .await
        .unwrap();
    store.flush().await.unwrap();

    let store = harness.after_a_crash().open().await;
    for (key, expected) in [
        (named, true),
        (due_one, true),
        (completed, false),
        (released, false),
    ] {
        match store.claim(&key, HOUR).await.unwrap() {
            Claim::Claimed(claimed) => assert_eq!(claimed.taken_over, expected),
            other => panic!("{other:?}"),
        }
    }
}

/// It has no table of claims.
#[tokio::test]
async fn a_file_of_a_server_of_before_is_read() {
    let harness = Harness::new();
    let store = harness.open().await;
    let alice = harness.login(&store, "alice", Due::Never).await;
    drop(store);
    {
        let database = Database::open(harness.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        let held = redb::TableDefinition::<&[u8; 32], ()>::new("held");
        assert!(transaction.delete_table(held).unwrap());
        transaction.commit().unwrap();
    }
    let store = harness.open().await;
    assert_eq!(access(&store, &alice).await.unwrap(), "first");
    match store.claim(&alice, HOUR).await.unwrap() {
        Claim::Claimed(claimed) => assert!(!claimed.taken_over),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_caller_relies_on_is_on_the_disk_when_the_call_returns() {
    let harness = Harness::new();
    let store = harness.open().await;
    let alice = harness.login(&store, "alice", Due::Never).await;
    harness.write(&store, &alice, "second", Due::Never).await;
    let gone = harness.login(&store, "bob", Due::Never).await;
    store.remove(&gone, EndReason::Logout).await.unwrap().unwrap();
    let begun = store.get(&alice).await.unwrap().unwrap().last_seen;
    harness.clock.advance(MINUTE);
    store.touch(&alice, harness.clock.now()).await.unwrap();

    let crashed = harness.after_a_crash().open().await;
    assert_eq!(access(&crashed, &alice).await.unwrap(), "second");
    assert!(crashed.get(&gone).await.unwrap().is_none());
    assert_eq!(crashed.get(&alice).await.unwrap().unwrap().last_seen, begun);
    store.flush().await.unwrap();
    let crashed = harness.after_a_crash().open().await;
    assert_eq!(
        crashed.get(&alice).await.unwrap().unwrap().last_seen,
        harness.clock.now()
    );
}

#[tokio::test]
async fn the_file_is_private_and_shows_nothing() {
    let harness = Harness::new();
    let store = harness.open().await;
    harness.login(&store, "alice", Due::Never).await;
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(harness.file()), 0o600);
    let content = fs::read(harness.file()).unwrap();
    for secret in ["alice", "first", "refresh", "idp.test", "openid"] {
        assert!(
            !content
                .windows(secret.len())
                .any(|part| part == secret.as_bytes()),
            "{secret}"
        );
    }
    drop(store);
    fs::set_permissions(harness.file(), fs::Permissions::from_mode(0o644)).unwrap();
    drop(harness.open().await);
    assert_eq!(mode(harness.file()), 0o600);
}

#[tokio::test]
async fn one_process_has_the_file_and_another_waits_for_it() {
    let harness = Harness::new();
    let first = harness.open().await;
    let mut second = harness.try_open(&[[7; 32]]).boxed();
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    harness.clock.advance(MINUTE / 4);
    let second = second.await.unwrap();

    let mut third = harness.try_open(&[[7; 32]]).boxed();
    assert!((&mut third).now_or_never().is_none());
    harness.clock.advance(MINUTE / 2);
    let told = third.await.unwrap_err().told();
    for part in [
        "sessions.redb",
        "[Redis]",
        "[StoreKind]=memory",
        "another process",
    ] {
        assert!(told.contains(part), "{told}");
    }
    drop(second);
}

#[tokio::test]
async fn a_rotated_secret_ends_no_session() {
    let harness = Harness::new();
    let (old, new) = ([1; 32], [2; 32]);
    let store = harness.try_open(&[old]).await.unwrap();
    let alice = harness.login(&store, "alice", Due::Never).await;
    drop(store);
    let store = harness.try_open(&[new, old]).await.unwrap();
    let person = harness.session("alice", "first");
    assert_eq!(store.find(Whose::person(&person)).await.unwrap().len(), 1);
    harness.write(&store, &alice, "second", Due::Never).await;
    drop(store);
    let store = harness.try_open(&[new]).await.unwrap();
    assert_eq!(access(&store, &alice).await.unwrap(), "second");
    // The value under which it is found was renewed too.
    assert_eq!(store.find(Whose::person(&person)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_none_and_troubles_no_other() {
    let harness = Harness::new();
    let store = harness.open().await;
    let now = Due::At(harness.clock.now());
    let lost = harness.login(&store, "alice", now).await;
    drop(store);
    let store = harness.try_open(&[[2; 32]]).await.unwrap();
    let bob = harness.login(&store, "bob", now).await;
    assert!(store.get(&lost).await.unwrap().is_none());
    assert!(matches!(store.claim(&lost, MINUTE).await.unwrap(), Claim::Gone));
    assert_eq!(due(&store).await, [bob]);
    assert_eq!(store.overdue(10).await.unwrap(), []);
    // It may be a wrong secret that is corrected soon.
    assert_eq!(sessions(&store).await, 2);
    harness.clock.advance(2 * HOUR);
    assert_eq!(store.overdue(10).await.unwrap(), [bob]);
    assert_eq!(sessions(&store).await, 1);
    store.core.assert_consistent();
}

#[tokio::test]
async fn a_look_goes_through_many_that_were_used() {
    let harness = Harness::new();
    let store = harness.open().await;
    let logins = (0..2_500).map(|_| harness.login(&store, "alice", Due::Never));
    let keys = future::join_all(logins).await;
    harness.clock.advance(HOUR / 2);
    let used = keys
        .iter()
        .skip(1)
        .map(|key| store.touch(key, harness.clock.now()));
    future::try_join_all(used).await.unwrap();
    harness.clock.advance(HOUR / 2);
    assert_eq!(store.overdue(10).await.unwrap(), [keys[0]]);
    store.core.assert_consistent();
}

#[tokio::test]
async fn a_file_of_another_layout_is_refused() {
    let harness = Harness::new();
    drop(harness.open().await);
    super::file::write_format_for_test(&harness.file(), 7);
    let told = harness.try_open(&[[7; 32]]).await.unwrap_err().told();
    assert!(
        told.contains("layout 7, this one knows 1") && told.contains("move the file away"),
        "{told}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_said() {
    let harness = Harness::new();
    let blocked = harness.folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let clock = Arc::new(harness.clock.clone());
    let folder = blocked.join("state");
    let opened = DiskStore::open(
        &folder,
        Guard::Strict,
        Lifespan::default(),
        sealer(&[[7; 32]]),
        clock,
    );
    let told = opened.await.unwrap_err().told();
    assert!(
        told.contains("[StateFolder]") && told.contains("[StoreKind]=memory"),
        "{told}"
    );
}

/// A removal may come between a claim and its note.
#[tokio::test]
async fn no_lease_is_noted_on_a_session_that_is_gone() {
    let harness = Harness::new();
    let store = harness.open().await;
    let key = harness.login(&store, "alice", Due::Never).await;
    store.remove(&key, EndReason::Logout).await.unwrap().unwrap();
    store.writer.hold(vec![key]).await.unwrap();
    assert!(store.core.read(|seen| seen.file.held()).unwrap().is_empty());
}

#[tokio::test]
async fn an_undone_claim_is_taken_over_again() {
    let harness = Harness::new();
    let store = harness.open().await;
    let (died, fresh) = (
        harness.login(&store, "alice", Due::Never).await,
        harness.login(&store, "bob", Due::Never).await,
    );
    store.claim(&died, HOUR).await.unwrap();
    drop(store);
    let store = harness.open().await;
    for (key, taken_over) in [(died, true), (fresh, false)] {
        for _ in 0..2 {
            let Claim::Claimed(claimed) = store.claim(&key, HOUR).await.unwrap() else {
                panic!("held");
            };
            assert_eq!(claimed.taken_over, taken_over);
            // As if the note of it did not get to the disk.
            store.leases.lock().undo(&claimed);
        }
    }
}
