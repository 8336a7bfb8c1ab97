use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom as LibraryRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    jose::install_crypto,
    random::{SharedRandom, SystemRandom},
    session::{
        EndReason, Lifespan, Limits, MemoryOnce,
        testing::{HeldStore, session},
    },
};

static MINE: LazyLock<EcdsaKeyPair> = LazyLock::new(pair);
static OTHER: LazyLock<EcdsaKeyPair> = LazyLock::new(pair);

struct Harness {
    devices: Devices,
    clock: ManualClock,
}

fn pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library blinds with its own generator"
)]
fn signed(pair: &EcdsaKeyPair, with_key: bool, claims: &Value) -> String {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut header = json!({ "typ": "dbsc+jwt", "alg": "ES256" });
    if with_key {
        let point = pair.public_key().as_ref();
        header["jwk"] =
            json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) });
    }
    let text = format!(
        "{}.{}",
        b64(header.to_string().as_bytes()),
        b64(claims.to_string().as_bytes())
    );
    let signature = pair.sign(&LibraryRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", b64(signature.as_ref()))
}

/// A first proof that answers an invitation.
fn answer(pair: &EcdsaKeyPair, invitation: &Invitation) -> String {
    let claims = json!({ "jti": invitation.challenge, "authorization": invitation.authorization });
    signed(pair, true, &claims)
}

// === impl Harness ===

impl Harness {
    fn new() -> Self {
        install_crypto();
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let shared: SharedClock = Arc::new(clock.clone());
        let random: SharedRandom = Arc::new(SystemRandom);
        let lifespan = Lifespan {
            lifetime: Duration::from_hours(8),
            idle: Duration::from_hours(8),
        };
        let limits = Limits {
            lifespan,
            max: 10,
            max_per_user: 10,
            memory: 1 << 20,
        };
        let sealer = Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap();
        let store = Arc::new(HeldStore::new(lifespan, Arc::clone(&shared)));
        let sessions = Sessions::new(
            store,
            limits,
            sealer.clone(),
            Arc::clone(&shared),
            random,
            &crate::instruments::Tally::default(),
        );
        let once = Arc::new(MemoryOnce::new(Arc::clone(&shared)));
        Self {
            devices: Devices::new(sessions, once, sealer, shared),
            clock,
        }
    }

    async fn open(&self) -> SessionKey {
        let session = session("ada", "access", self.clock.now());
        let opened = self.devices.sessions.open(session, Due::Never, None).await;
        opened.unwrap().key
    }

    async fn kept(&self, key: &SessionKey) -> Option<DeviceKey> {
        let stored = self.devices.sessions.get(key).await.unwrap().unwrap();
        stored.session.bound.device.as_deref().cloned()
    }

    /// A session that is bound to [`MINE`].
    async fn bound(&self) -> (SessionKey, DeviceKey) {
        let key = self.open().await;
        let proof = answer(&MINE, &self.devices.invite(&key));
        let registered = self.devices.register(&proof, None).await.unwrap();
        assert_eq!(registered.key, key);
        (key, registered.device)
    }
}

#[tokio::test]
async fn an_invited_browser_registers_its_key_once_and_proves_it() {
    let harness = Harness::new();
    let key = harness.open().await;
    let invitation = harness.devices.invite(&key);
    let proof = answer(&MINE, &invitation);
    let registered = harness.devices.register(&proof, Some(key)).await.unwrap();
    assert_eq!(harness.kept(&key).await, Some(registered.device.clone()));
    assert_eq!(registered.device.since, harness.clock.now());

    // Its answer may have got lost.
    let again = harness.devices.register(&proof, None).await.unwrap();
    assert_eq!(again.device, registered.device);

    let later = signed(&MINE, false, &json!({ "jti": harness.devices.challenge(&key) }));
    assert!(harness.devices.check(&key, &registered.device, &later).is_ok());
    // Several at once, and none writes anything.
    assert!(harness.devices.check(&key, &registered.device, &later).is_ok());
}

#[tokio::test]
async fn attack_53_a_second_key_never_takes_the_place_of_the_first() {
    let harness = Harness::new();
    let key = harness.open().await;
    let invitation = harness.devices.invite(&key);
    let first = harness
        .devices
        .register(&answer(&MINE, &invitation), None)
        .await
        .unwrap();
    for invitation in [invitation, harness.devices.invite(&key)] {
        let refused = harness.devices.register(&answer(&OTHER, &invitation), None).await;
        assert!(matches!(refused, Err(ProofError::Registered)), "{refused:?}");
    }
    assert_eq!(harness.kept(&key).await, Some(first.device));
}

/// Also if two keys come at once.
#[tokio::test]
async fn attack_53_an_invitation_is_valid_for_one_key() {
    let harness = Harness::new();
    let key = harness.open().await;
    let invitation = harness.devices.invite(&key);
    let (mine, other) = (answer(&MINE, &invitation), answer(&OTHER, &invitation));
    let (mine, other) = tokio::join!(
        harness.devices.register(&mine, None),
        harness.devices.register(&other, None)
    );
    assert_eq!(u8::from(mine.is_ok()) + u8::from(other.is_ok()), 1);
    // And of two invitations of one session.
    let key = harness.open().await;
    let [one, two] = [harness.devices.invite(&key), {
        harness.clock.advance(Duration::from_millis(1));
        harness.devices.invite(&key)
    }];
    let (mine, other) = (answer(&MINE, &one), answer(&OTHER, &two));
    let (mine, other) = tokio::join!(
        harness.devices.register(&mine, None),
        harness.devices.register(&other, None)
    );
    assert_eq!(u8::from(mine.is_ok()) + u8::from(other.is_ok()), 1);
}

#[tokio::test]
async fn attack_53_no_key_is_registered_without_an_invitation() {
    let harness = Harness::new();
    let (key, other) = (harness.open().await, harness.open().await);
    let Invitation {
        challenge,
        authorization,
    } = harness.devices.invite(&key);
    let foreign = harness.devices.invite(&other);
    let stamp = foreign.authorization.split_once(SEPARATOR).unwrap().1;
    let transplanted = format!("{}.{stamp}", DeviceKey::identifier(&key));
    for authorization in [
        None,
        Some(""),
        Some("."),
        Some(&*challenge),
        Some(&*transplanted),
        Some(&authorization[1..]),
    ] {
        let mut claims = json!({ "jti": challenge });
        if let Some(authorization) = authorization {
            claims["authorization"] = authorization.into();
        }
        let refused = harness
            .devices
            .register(&signed(&MINE, true, &claims), None)
            .await;
        assert!(
            matches!(refused, Err(ProofError::Authorization)),
            "{authorization:?} {refused:?}"
        );
    }
    for jti in [
        json!(null),
        json!(""),
        json!(authorization),
        json!(foreign.challenge),
    ] {
        let claims = json!({ "jti": jti, "authorization": authorization });
        let refused = harness
            .devices
            .register(&signed(&MINE, true, &claims), None)
            .await;
        assert!(matches!(refused, Err(ProofError::Challenge)), "{jti} {refused:?}");
    }
    // The cookie of another session came along.
    let proof = answer(&MINE, &harness.devices.invite(&key));
    let refused = harness.devices.register(&proof, Some(other)).await;
    assert!(matches!(refused, Err(ProofError::Authorization)));
    assert_eq!(harness.kept(&key).await, None);
}

#[tokio::test]
async fn invitations_and_challenges_count_for_five_minutes() {
    let harness = Harness::new();
    let (key, device) = harness.bound().await;
    let unbound = harness.open().await;
    let invitation = harness.devices.invite(&unbound);
    let proof = signed(&MINE, false, &json!({ "jti": harness.devices.challenge(&key) }));
    let moment = Duration::from_millis(1);
    harness.clock.advance(CHALLENGE_LIFETIME.saturating_sub(moment));
    // Also after a newer one was given.
    let _newer = harness.devices.challenge(&key);
    assert!(harness.devices.check(&key, &device, &proof).is_ok());
    harness.clock.advance(moment);
    assert!(matches!(
        harness.devices.check(&key, &device, &proof),
        Err(ProofError::Challenge)
    ));
    let refused = harness.devices.register(&answer(&MINE, &invitation), None).await;
    assert!(matches!(refused, Err(ProofError::Authorization)));
}

#[tokio::test]
async fn attack_53_a_proof_is_bound_to_its_session_and_key() {
    let harness = Harness::new();
    let (key, device) = harness.bound().await;
    let (other, _) = harness.bound().await;
    let challenge = |key| json!({ "jti": harness.devices.challenge(key) });
    let check = |proof: &str| harness.devices.check(&key, &device, proof);
    assert!(matches!(
        check(&signed(&MINE, false, &challenge(&other))),
        Err(ProofError::Challenge)
    ));
    assert!(matches!(
        check(&signed(&OTHER, false, &challenge(&key))),
        Err(ProofError::Proof(VerifyError::Signature))
    ));
    assert!(matches!(
        check(&signed(&OTHER, true, &challenge(&key))),
        Err(ProofError::Proof(VerifyError::SuperfluousKey))
    ));
}

#[tokio::test]
async fn a_session_that_has_ended_takes_no_key() {
    let harness = Harness::new();
    let key = harness.open().await;
    let proof = answer(&MINE, &harness.devices.invite(&key));
    harness
        .devices
        .sessions
        .end(&key, EndReason::Logout)
        .await
        .unwrap();
    let refused = harness.devices.register(&proof, None).await;
    assert!(matches!(refused, Err(ProofError::Gone)), "{refused:?}");
}
