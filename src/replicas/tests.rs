use std::{fs, path::PathBuf};

use futures_util::future::BoxFuture;

use super::*;
use crate::{
    clock::{Clock as _, SystemClock},
    health::Status,
    jose::SigningKey,
    keys::{
        AnnounceError, ByHandError, Keeper, KeyKind, KeysError, Options, Policy, Rotation, State, Warning,
        generate_if_new,
    },
    private_file::Guard,
    random::SystemRandom,
    shared::testing::MemoryShared,
};

/// The shared state, and a separate folder for each replica.
struct Harness {
    shared: MemoryShared,
    dir: tempfile::TempDir,
}

/// One that has opened its keys.
struct Running {
    replicas: Replicas,
    keeper: Keeper,
    keys: Keys,
    warnings: Vec<Warning>,
}

impl Harness {
    fn new() -> Self {
        Self {
            shared: MemoryShared::new(Arc::new(SystemClock)),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the key `key`, and puts it into the folders of these replicas.
    fn mount(&self, key: &str, folders: &[&str]) {
        let made = self.path(key);
        generate_if_new(&made, KeyKind::P256, &[]).unwrap();
        for folder in folders {
            fs::create_dir_all(self.path(folder)).unwrap();
            fs::copy(&made, self.path(folder).join(key)).unwrap();
        }
    }

    fn replicas(&self, folder: &str, secret: u8) -> Replicas {
        let random: SharedRandom = Arc::new(SystemRandom);
        let sealer = Sealer::new(&[[secret; 32]], Arc::clone(&random)).unwrap();
        let shared = Arc::new(self.shared.clone());
        Replicas::new(shared, folder, &sealer, Arc::new(SystemClock), &random).with_records(
            &sealer,
            &random,
            &self.path(folder),
        )
    }

    fn options(&self, folder: &str, named: &str) -> Options {
        Options {
            signing_key: self.path(folder).join(named),
            kid: None,
            generate: KeyKind::P256,
            extra: Vec::new(),
            dir: self.path(folder),
            identity_markers: Vec::new(),
            guard: Guard::Strict,
        }
    }

    fn rotation(&self, folder: &str) -> Rotation {
        Rotation {
            state_dir: self.path(folder),
            policy: Policy::default(),
            algorithm: None,
        }
    }

    fn try_open(&self, folder: &str, named: &str, secret: u8) -> Result<Running, KeysError> {
        let replicas = self.replicas(folder, secret);
        let store = replicas.keyring(Handle::current()).unwrap();
        let (options, rotation) = (self.options(folder, named), self.rotation(folder));
        let opened =
            tokio::task::block_in_place(|| Keeper::open_in(store, options, rotation, SystemClock.wall()));
        let (keeper, keys, warnings) = opened?;
        Ok(Running {
            replicas,
            keeper,
            keys,
            warnings,
        })
    }

    fn open(&self, folder: &str, named: &str) -> Running {
        self.try_open(folder, named, 1).unwrap()
    }
}

impl Running {
    /// The keyring's statement about each key, by file.
    fn states(&self) -> Vec<(String, State)> {
        let keys = self.keeper.keyring().keys.iter();
        keys.map(|key| (key.file.display().to_string(), key.state))
            .collect()
    }

    async fn post(&self) {
        let own = self.replicas.peers.own(&self.keys);
        self.replicas.peers.post(&own).await.unwrap();
    }
}

/// No peer objects to a key.
#[derive(Debug)]
struct Content;

impl Announce for Content {
    fn announce<'a>(&'a self, _: Option<&'a SigningKey>) -> BoxFuture<'a, Result<(), AnnounceError>> {
        Box::pin(async { Ok(()) })
    }
}

fn is(file: &str, state: State) -> (String, State) {
    (file.to_owned(), state)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_mount_the_same_key_agree_that_it_signs() {
    let harness = Harness::new();
    harness.mount("k1", &["1", "2"]);
    let one = harness.open("1", "k1");
    let two = harness.open("2", "k1");
    assert_eq!(one.states(), [is("k1", State::Active)]);
    assert_eq!(one.states(), two.states());
    assert_eq!(one.keys.signing_thumbprint(), two.keys.signing_thumbprint());
    assert_eq!(one.keys.document(), two.keys.document());
    let dump = harness.shared.dump(Record::Keyring).unwrap();
    assert!(!dump.windows(6).any(|part| part == b"active"));
    assert!(!harness.path("1/keyring.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_key_signs_only_when_every_replica_has_it() {
    let harness = Harness::new();
    harness.mount("k1", &["1", "2"]);
    let two = harness.open("2", "k1");
    two.post().await;
    harness.mount("k2", &["1"]);
    let one = harness.open("1", "k2");
    let expected = [is("k1", State::Active), is("k2", State::Next)];
    assert_eq!(one.states(), expected);
    let next = one.keys.coming().unwrap();
    let asked = one.replicas.known_by_peers(Arc::new(Content));
    let error = asked.announce(Some(&next)).await.unwrap_err();
    assert!(matches!(&error, AnnounceError::Peers { cause, .. } if cause.contains("replica 2")));
    assert!(error.told().contains("mount its PEM"), "{error}");
    asked.announce(None).await.unwrap();
    // Without the other one, or if no other one answers.
    two.replicas.peers.withdraw().await.unwrap();
    asked.announce(Some(&next)).await.unwrap();
    harness.shared.set_down(true);
    asked.announce(Some(&next)).await.unwrap_err();
    harness.shared.set_down(false);
    // It has the key, too.
    fs::copy(harness.path("k2"), harness.path("2").join("k2")).unwrap();
    let two = harness.open("2", "k1");
    assert_eq!(two.states(), expected);
    two.post().await;
    asked.announce(Some(&next)).await.unwrap();
}

/// Another replica has the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_signing_key_takes_nothing_over() {
    let harness = Harness::new();
    harness.mount("k1", &["1"]);
    harness.mount("k2", &["2"]);
    let one = harness.open("1", "k1");
    one.post().await;
    let two = harness.open("2", "k2");
    assert_eq!(two.states(), [is("k1", State::Active)]);
    let health = Health::new();
    let mut standing = Standing::default();
    standing.tell(two.replicas.look(&two.keys).await, &health);
    let told = health.report().components;
    let told = told.iter().find(|(part, _)| *part == Component::Replicas);
    let Some((_, Status::Pending { reason })) = told else {
        panic!("{told:?}");
    };
    assert!(
        reason.contains("the replica 1 does not publish the key"),
        "{reason}"
    );
    // No other replica has the key any more: it takes over while it runs.
    one.replicas.peers.withdraw().await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let Running {
        replicas,
        keeper,
        keys,
        ..
    } = two;
    keeper.run(Arc::new(SystemClock), stop, Arc::new(Content)).await;
    let again = harness.open("2", "k2");
    let expected = [is("k1", State::Previous), is("k2", State::Active)];
    assert_eq!(again.states(), expected);
    let two = Running {
        replicas,
        keys,
        ..again
    };
    standing.tell(two.replicas.look(&two.keys).await, &health);
    let told = health.report().components;
    assert!(told.contains(&(Component::Replicas, Status::Ok)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_a_foreign_secret_starts_and_changes_nothing() {
    let harness = Harness::new();
    harness.mount("k1", &["1", "2"]);
    let one = harness.open("1", "k1");
    one.post().await;
    let dump = harness.shared.dump(Record::Keyring);
    let foreign = harness.try_open("2", "k1", 2).unwrap();
    let warned = foreign
        .warnings
        .iter()
        .any(|warning| warning.told().contains("[SessionSecret]"));
    assert!(warned, "{:?}", foreign.warnings);
    let discord = foreign.replicas.look(&foreign.keys).await.unwrap_err();
    assert!(
        discord.told().contains("[SessionSecret]") && discord.told().contains("replica 1"),
        "{discord}"
    );
    assert_eq!(harness.shared.dump(Record::Keyring), dump);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_brings_no_former_key_back() {
    let harness = Harness::new();
    harness.mount("k1", &["1", "2"]);
    let one = harness.open("1", "k1");
    harness.mount("k2", &["1", "2"]);
    drop(one);
    // By hand, on the spot.
    let one = harness.open("1", "k2");
    let replicas = one.replicas.clone();
    let store = replicas.keyring(Handle::current()).unwrap();
    let (options, rotation) = (harness.options("1", "k2"), harness.rotation("1"));
    tokio::task::block_in_place(|| {
        let now = SystemClock.wall();
        let (mut keeper, ..) = Keeper::open_by_hand_in(store, options, rotation, now).unwrap();
        keeper.rotate(now, true, false).unwrap();
        // A key that is made here the others would not have.
        let error = keeper.rotate(now, false, false).unwrap_err();
        assert!(matches!(error, ByHandError::NoCommonFolder), "{error}");
    });
    harness.shared.empty();
    let one = harness.open("1", "k1");
    let expected = [is("k1", State::Previous), is("k2", State::Active)];
    assert_eq!(one.states(), expected);
    assert_eq!(harness.open("2", "k1").states(), expected);
}

#[test]
fn a_known_replica_waits_and_a_new_one_does_not() {
    let health = Health::new();
    let status = || {
        let components = health.report().components;
        let found = components
            .into_iter()
            .find(|(part, _)| *part == Component::Replicas);
        found.unwrap().1
    };
    let mut standing = Standing::default();
    let trouble = || Err("trouble".to_owned().into());
    standing.tell(trouble(), &health);
    assert!(matches!(status(), Status::Pending { reason } if reason == "trouble"));
    standing.tell(Ok(()), &health);
    assert_eq!(status(), Status::Ok);
    for _ in 1..LOOKS_BEFORE_TOLD {
        standing.tell(trouble(), &health);
        assert_eq!(status(), Status::Ok);
    }
    standing.tell(trouble(), &health);
    assert!(matches!(status(), Status::Degraded { .. }));
    standing.tell(Ok(()), &health);
    assert_eq!(status(), Status::Ok);
}
