use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    random::SystemRandom,
    shared::testing::MemoryShared,
};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

struct Harness {
    shared: MemoryShared,
    clock: ManualClock,
}

impl Harness {
    fn new() -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        Self {
            shared: MemoryShared::new(Arc::new(clock.clone())),
            clock,
        }
    }

    /// A replica with these secrets, the first of these keys signing.
    fn replica(&self, name: &str, secrets: &[[u8; 32]], keys: &[&str]) -> (Peers, Peer) {
        let random: SharedRandom = Arc::new(SystemRandom);
        let sealer = Sealer::new(secrets, Arc::clone(&random)).unwrap();
        let peers = Peers::new(Arc::new(self.shared.clone()), name, &sealer, &random);
        let own = Peer {
            name: name.to_owned(),
            secrets: peers.secrets.to_vec(),
            signing: keys[0].to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        (peers, own)
    }
}

async fn look((peers, own): &(Peers, Peer)) -> Result<(), Discord> {
    peers.post(own).await.unwrap();
    own.agrees_with(&peers.living().await.unwrap())
}

#[tokio::test]
async fn a_replica_alone_agrees_with_itself() {
    let harness = Harness::new();
    let one = harness.replica("one", &[OLD], &["k1"]);
    assert_eq!(look(&one).await, Ok(()));
    assert_eq!(look(&one).await, Ok(()));
}

#[tokio::test]
async fn secrets_roll_with_no_replica_that_is_not_understood() {
    let lists: [&[[u8; 32]]; 4] = [&[OLD], &[OLD, NEW], &[NEW, OLD], &[NEW]];
    for (before, after) in lists.iter().zip(&lists[1..]) {
        let harness = Harness::new();
        let mut replicas: Vec<_> = (0..3)
            .map(|number| harness.replica(&format!("before {number}"), before, &["k1"]))
            .collect();
        for index in 0..replicas.len() {
            replicas[index].0.withdraw().await.unwrap();
            replicas[index] = harness.replica(&format!("after {index}"), after, &["k1"]);
            for replica in &replicas {
                assert_eq!(look(replica).await, Ok(()), "{index}");
            }
        }
    }
}

#[tokio::test]
async fn a_deviating_secret_is_logged_with_a_replica_name() {
    let harness = Harness::new();
    let peer = || "two".to_owned();
    let two = harness.replica("two", &[OLD], &["k1"]);
    look(&two).await.unwrap();
    let foreign = harness.replica("one", &[NEW], &["k1"]);
    assert_eq!(look(&foreign).await, Err(Discord::OwnSecret { peer: peer() }));
    // Too early: the others cannot open the data that this one seals.
    foreign.0.withdraw().await.unwrap();
    let early = harness.replica("one", &[NEW, OLD], &["k1"]);
    assert_eq!(look(&early).await, Err(Discord::OwnSecret { peer: peer() }));
    early.0.withdraw().await.unwrap();
    // Too late: this one cannot open the data that the others seal.
    two.0.withdraw().await.unwrap();
    let two = harness.replica("two", &[OLD, NEW], &["k1"]);
    look(&two).await.unwrap();
    let late = harness.replica("one", &[NEW], &["k1"]);
    assert_eq!(look(&late).await, Err(Discord::TheirSecret { peer: peer() }));
    let text = look(&late).await.unwrap_err().told();
    assert!(text.contains("two") && text.contains("[SessionSecret]"), "{text}");
}

#[tokio::test]
async fn a_key_that_signs_has_to_be_published_by_all() {
    let harness = Harness::new();
    let two = harness.replica("two", &[OLD], &["k1", "k2"]);
    look(&two).await.unwrap();
    let one = harness.replica("one", &[OLD], &["k2", "k1"]);
    assert_eq!(look(&one).await, Ok(()));
    one.0.withdraw().await.unwrap();
    let (peer, key) = ("two".to_owned(), "k3".to_owned());
    let one = harness.replica("one", &[OLD], &["k3", "k1"]);
    assert_eq!(look(&one).await, Err(Discord::OwnKey { peer, key }));
    one.0.withdraw().await.unwrap();
    let (peer, key) = ("two".to_owned(), "k1".to_owned());
    assert_eq!(
        look(&harness.replica("one", &[OLD], &["k2"])).await,
        Err(Discord::TheirKey { peer, key })
    );
}

/// One that stopped is forgotten at once.
#[tokio::test]
async fn a_dead_replica_is_forgotten() {
    let harness = Harness::new();
    let two = harness.replica("two", &[OLD], &["k1"]);
    look(&two).await.unwrap();
    let one = harness.replica("one", &[NEW], &["k1"]);
    look(&one).await.unwrap_err();
    harness.clock.advance(LIVES_FOR);
    assert_eq!(look(&one).await, Ok(()));
    look(&two).await.unwrap_err();
    two.0.withdraw().await.unwrap();
    assert_eq!(look(&one).await, Ok(()));
}

/// Forged notes stop no process.
#[tokio::test]
async fn the_board_reveals_no_secrets() {
    let harness = Harness::new();
    let one = harness.replica("one", &[OLD], &["k1"]);
    look(&one).await.unwrap();
    let board = harness.shared.board().await.unwrap();
    let note = String::from_utf8(board[0].1.clone()).unwrap();
    assert!(!note.contains(&URL_SAFE_NO_PAD.encode(OLD)));
    // Another purpose than that of any sealed or signed data.
    for (id, note) in [("x", &b"not json"[..]), ("y", b"{}"), ("z", b"[1]")] {
        harness.shared.post(id, note, LIVES_FOR).await.unwrap();
    }
    assert_eq!(look(&one).await, Ok(()));
    let forged = r#"{"name":"a\nb","secrets":[],"signing":"","keys":[]}"#;
    harness
        .shared
        .post("w", forged.as_bytes(), LIVES_FOR)
        .await
        .unwrap();
    let text = look(&one).await.unwrap_err().told();
    assert!(!text.contains('\n') && text.contains("ab"), "{text}");
}
