use std::sync::Arc;

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    diagnostic::Explain as _,
    random::{SharedRandom, SystemRandom},
    registration::Registered,
    seal::Sealer,
    shared::{Record, testing::MemoryShared},
};

const ISSUER: &str = "https://idp.test";

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

    fn file(&self, folder: &str) -> CredentialsFile {
        CredentialsFile::new(self.dir.path().join(folder).join("bff_client.json"))
    }

    fn vault(&self, folder: &str) -> SharedVault {
        let random: SharedRandom = Arc::new(SystemRandom);
        let document = Document::new(
            Record::Client,
            Arc::new(self.shared.clone()),
            Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap(),
            Arc::new(self.clock.clone()),
            random,
            self.dir.path().join(folder).join("client.sealed"),
        );
        SharedVault::new(document, self.file(folder))
    }

    /// Lets time pass until `work` is done, and says how much has.
    async fn passing<T>(&self, work: impl Future<Output = T>) -> (T, Duration) {
        let began = self.clock.now();
        let step = Duration::from_millis(100);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return (done, self.clock.now().duration_since(began)),
                () = tokio::task::yield_now() => self.clock.advance(step),
            }
        }
    }
}

fn record(client_id: &str) -> Credentials {
    let mut record = Credentials::new(ISSUER.to_owned(), None);
    record.registered = Some(Registered {
        client_id: client_id.to_owned(),
        client_secret: None,
        client_secret_expires_at: None,
        registration_access_token: Some("rat-1".to_owned().into()),
        registration_client_uri: Some(format!("{ISSUER}/register/{client_id}")),
        signing_algorithm: None,
        remembered: crate::registration::Remembered::default(),
    });
    record
}

fn id(record: Option<Credentials>) -> Option<String> {
    Some(record?.registered?.client_id)
}

/// The contract of each vault, as two processes see it.
async fn promises(one: &dyn Vault, two: &dyn Vault, harness: &Harness) {
    let clock = &harness.clock;
    assert_eq!(id(one.load().await.unwrap()), None);
    let (lock, _) = harness.passing(one.lock(clock)).await;
    let lock = lock.unwrap();
    // One at a time.
    let mut waiting = std::pin::pin!(two.lock(clock));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("both have the lock"),
        () = async { for _ in 0..20 { tokio::task::yield_now().await; clock.advance(Duration::from_millis(100)); } } => {}
    }
    one.prove_writable().await.unwrap();
    assert_eq!(id(one.load().await.unwrap()), None);
    let before = two.fingerprint().await;
    one.store(&record("first")).await.unwrap();
    assert_eq!(id(two.load().await.unwrap()).unwrap(), "first");
    assert_ne!(two.fingerprint().await, before);
    assert_eq!(two.fingerprint().await, two.fingerprint().await);
    drop(lock);
    let (lock, _) = harness.passing(waiting).await;
    let _lock = lock.unwrap();
    two.store(&record("second")).await.unwrap();
    assert_eq!(id(one.load().await.unwrap()).unwrap(), "second");
    let stored = one.load().await.unwrap().unwrap();
    let known = stored.registered.unwrap();
    assert_eq!(known.registration_access_token.unwrap().expose(), "rat-1");
    two.remove().await.unwrap();
    assert_eq!(id(one.load().await.unwrap()), None);
}

#[tokio::test]
async fn a_file_keeps_the_promises() {
    let harness = Harness::new();
    std::fs::create_dir(harness.dir.path().join("folder")).unwrap();
    promises(&harness.file("folder"), &harness.file("folder"), &harness).await;
}

#[tokio::test]
async fn what_replicas_share_keeps_the_promises() {
    let harness = Harness::new();
    promises(&harness.vault("1"), &harness.vault("2"), &harness).await;
}

/// They may know of an earlier one.
#[tokio::test]
async fn the_first_registration_waits_for_other_replicas() {
    let harness = Harness::new();
    let one = harness.vault("1");
    let (lock, waited) = harness.passing(one.lock(&harness.clock)).await;
    assert!(waited >= GRACE, "{waited:?}");
    one.store(&record("first")).await.unwrap();
    drop(lock);
    // Redis loses its data. A new replica comes before the one with the copy looks again.
    harness.shared.empty();
    let two = harness.vault("2");
    let later = async {
        harness.clock.sleep(GRACE / 2).await;
        one.load().await.unwrap()
    };
    let ((lock, _), _) = harness
        .passing(async { tokio::join!(two.lock(&harness.clock), later) })
        .await;
    let lock = lock.unwrap();
    assert_eq!(id(two.load().await.unwrap()).unwrap(), "first");
    // With a record, the caller does not wait: the clock stands still.
    drop(lock);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    harness.vault("3").lock(&harness.clock).await.unwrap();
}

#[tokio::test]
async fn the_file_of_a_single_server_is_taken_up() {
    let harness = Harness::new();
    std::fs::create_dir(harness.dir.path().join("1")).unwrap();
    harness.file("1").store(&record("before")).await.unwrap();
    // The caller does not wait: the clock stands still.
    harness.vault("1").lock(&harness.clock).await.unwrap();
    assert_eq!(id(harness.vault("2").load().await.unwrap()).unwrap(), "before");
}

#[tokio::test]
async fn what_is_wrong_says_what_to_mend_and_passes() {
    let harness = Harness::new();
    let one = harness.vault("1");
    let not_held = one.store(&record("x")).await.unwrap_err();
    assert!(matches!(not_held, CredentialsError::LockLost));
    harness.shared.put(Record::Client, b"of somebody else".to_vec());
    let foreign = one.load().await.unwrap_err();
    assert!(foreign.told().contains("[SessionSecret]"), "{foreign}");
    harness.shared.set_down(true);
    let down = one.load().await.unwrap_err();
    assert!(matches!(down, CredentialsError::Unavailable { .. }));
    for error in [not_held, foreign, down] {
        let kind = crate::registration::RegistrationError::from(error).kind();
        assert_eq!(kind, crate::registration::ErrorKind::Unreachable);
    }
}
