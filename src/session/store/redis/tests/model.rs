//! The store behaves like the memory store, for any calls in any order.

use std::collections::HashMap;

use super::*;
use crate::session::store::MemoryStore;

/// The number of steps in each round.
const STEPS: usize = 300;

/// Both stores, with one clock, and the test's own view of each.
struct Pair {
    redis: Arc<dyn SessionStore>,
    memory: Arc<dyn SessionStore>,
    clock: ManualClock,
    /// The key in Redis and in memory.
    keys: Vec<(SessionKey, SessionKey)>,
    leases: Vec<(Lease, Lease)>,
}

/// A small generator, so that a round can be repeated by its seed.
struct Dice(u64);

// === impl Dice ===

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn due(&mut self, now: Timestamp) -> Due {
        match self.roll(4) {
            0 => Due::Never,
            1 => Due::Unchanged,
            _ => Due::At(now.saturating_add(MINUTE * u32::try_from(self.roll(20)).unwrap())),
        }
    }
}

// === impl Pair ===

impl Pair {
    fn any_key(&self, dice: &mut Dice) -> Option<(SessionKey, SessionKey)> {
        (!self.keys.is_empty()).then(|| self.keys[dice.roll(self.keys.len())])
    }

    /// The memory store's name for a session of Redis.
    fn twin(&self, key: &SessionKey) -> SessionKey {
        self.keys.iter().find(|(redis, _)| redis == key).unwrap().1
    }

    async fn insert(&mut self, dice: &mut Dice) {
        let now = self.clock.now();
        let subject = ["alice", "bob"][dice.roll(2)];
        let mut session = session(subject, "0", now);
        session.sid = (dice.roll(2) == 0).then(|| "login".to_owned());
        session.expires_at = now.saturating_add(MINUTE * u32::try_from(30 + dice.roll(600)).unwrap());
        let (session, due) = (Arc::new(session), dice.due(now));
        let (_, one) = NewSession::draw(&SystemRandom, Arc::clone(&session), due, now);
        let (_, two) = NewSession::draw(&SystemRandom, session, due, now);
        self.keys.push((one.key, two.key));
        let versions = (
            self.redis.insert(one).await.unwrap(),
            self.memory.insert(two).await.unwrap(),
        );
        assert_eq!(versions.0, versions.1);
    }

    async fn replace(&mut self, dice: &mut Dice) {
        let Some((one, two)) = self.any_key(dice) else {
            return;
        };
        let expected = Version(1 + u64::try_from(dice.roll(3)).unwrap());
        let mut session = session("alice", &dice.roll(1_000).to_string(), self.clock.now());
        if let Some(stored) = self.memory.get(&two).await.unwrap() {
            let (access, old) = (session.tokens.access.clone(), &*stored.session);
            session = Session::clone(old);
            session.tokens.access = access;
            if dice.roll(3) == 0 {
                session.expires_at = self
                    .clock
                    .now()
                    .saturating_add(MINUTE * u32::try_from(dice.roll(90)).unwrap());
            }
        }
        let (session, due) = (Arc::new(session), dice.due(self.clock.now()));
        let outcomes = (
            self.redis
                .replace(&one, expected, Arc::clone(&session), due)
                .await,
            self.memory.replace(&two, expected, session, due).await,
        );
        assert_eq!(format!("{:?}", outcomes.0), format!("{:?}", outcomes.1));
    }

    async fn claim(&mut self, dice: &mut Dice) {
        let Some((one, two)) = self.any_key(dice) else {
            return;
        };
        match (
            self.redis.claim(&one, 5 * MINUTE).await.unwrap(),
            self.memory.claim(&two, 5 * MINUTE).await.unwrap(),
        ) {
            (Claim::Claimed(one), Claim::Claimed(two)) => {
                assert_alike(Some(&one.stored), Some(&two.stored));
                self.leases.push((one.lease, two.lease));
            }
            (Claim::Held(one, rest_of_one), Claim::Held(two, rest_of_two)) => {
                assert_alike(Some(&one), Some(&two));
                assert_eq!(rest_of_one, rest_of_two);
            }
            (Claim::Gone, Claim::Gone) => {}
            (one, two) => panic!("{one:?} and {two:?}"),
        }
    }

    async fn claim_due(&mut self, dice: &mut Dice) {
        // All of them: sessions that are due at the same time have no defined order.
        let _ = dice;
        let one = self.redis.claim_due(1_000, 5 * MINUTE).await.unwrap();
        let two = self.memory.claim_due(1_000, 5 * MINUTE).await.unwrap();
        assert_eq!(one.len(), two.len());
        let mut twins: HashMap<_, _> = two
            .into_iter()
            .map(|claimed| (claimed.lease.key, claimed))
            .collect();
        for one in one {
            let two = twins.remove(&self.twin(&one.lease.key)).unwrap();
            assert_alike(Some(&one.stored), Some(&two.stored));
            self.leases.push((one.lease, two.lease));
        }
    }

    async fn use_lease(&mut self, dice: &mut Dice) {
        if self.leases.is_empty() {
            return;
        }
        let at = dice.roll(self.leases.len());
        if dice.roll(2) == 0 {
            let (one, two) = &self.leases[at];
            let held = (
                self.redis.extend(one, 3 * MINUTE).await.unwrap(),
                self.memory.extend(two, 3 * MINUTE).await.unwrap(),
            );
            assert_eq!(held.0, held.1);
        } else {
            let ((one, two), due) = (self.leases.swap_remove(at), dice.due(self.clock.now()));
            self.redis.release(one, due).await.unwrap();
            self.memory.release(two, due).await.unwrap();
        }
    }

    async fn touch(&mut self, dice: &mut Dice) {
        let Some((one, two)) = self.any_key(dice) else {
            return;
        };
        let at = self
            .clock
            .now()
            .saturating_sub(MINUTE * u32::try_from(dice.roll(3)).unwrap());
        self.redis.touch(&one, at).await.unwrap();
        self.memory.touch(&two, at).await.unwrap();
    }

    async fn remove(&mut self, dice: &mut Dice) {
        let Some((one, two)) = self.any_key(dice) else {
            return;
        };
        let removed = (
            self.redis.remove(&one, EndReason::Logout).await.unwrap(),
            self.memory.remove(&two, EndReason::Logout).await.unwrap(),
        );
        assert_eq!(
            removed.0.map(|session| session.encode().unwrap()),
            removed.1.map(|session| session.encode().unwrap())
        );
    }

    /// Each sees the same.
    async fn compare(&self) {
        for (one, two) in &self.keys {
            let (one, two) = (
                self.redis.get(one).await.unwrap(),
                self.memory.get(two).await.unwrap(),
            );
            assert_alike(one.as_ref(), two.as_ref());
        }
        for whose in [
            Whose::Subject {
                issuer: "https://idp.test",
                subject: "alice",
            },
            Whose::Subject {
                issuer: "https://idp.test",
                subject: "bob",
            },
            Whose::Sid {
                issuer: "https://idp.test",
                sid: "login",
            },
        ] {
            let found = self.redis.find(whose).await.unwrap();
            let mut found: Vec<_> = found
                .into_iter()
                .map(|listed| Listed {
                    key: self.twin(&listed.key),
                    ..listed
                })
                .collect();
            let mut expected = self.memory.find(whose).await.unwrap();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
        let overdue = self.redis.overdue(1_000).await.unwrap();
        let mut overdue: Vec<_> = overdue.iter().map(|key| self.twin(key)).collect();
        let mut expected = self.memory.overdue(1_000).await.unwrap();
        overdue.sort_unstable();
        expected.sort_unstable();
        assert_eq!(overdue, expected);
        let usage = (
            self.redis.usage().await.unwrap(),
            self.memory.usage().await.unwrap(),
        );
        assert_eq!(usage.0.sessions, usage.1.sessions);
    }
}

fn assert_alike(one: Option<&Stored>, two: Option<&Stored>) {
    let seen = |stored: &Stored| (stored.session.encode().unwrap(), stored.version, stored.last_seen);
    assert_eq!(one.map(seen), two.map(seen));
}

async fn round(seed: u64) {
    let (lifespan, clock) = (Lifespan::default(), clock());
    let mut pair = Pair {
        redis: store(lifespan, clock.clone()).await,
        memory: Arc::new(MemoryStore::new(lifespan, Arc::new(clock.clone()))),
        clock,
        keys: Vec::new(),
        leases: Vec::new(),
    };
    let mut dice = Dice(seed);
    for _ in 0..STEPS {
        match dice.roll(12) {
            0 | 1 => pair.insert(&mut dice).await,
            2 | 3 => pair.replace(&mut dice).await,
            4 => pair.claim(&mut dice).await,
            5 => pair.claim_due(&mut dice).await,
            6 | 7 => pair.use_lease(&mut dice).await,
            8 => pair.touch(&mut dice).await,
            9 => pair.remove(&mut dice).await,
            10 => pair.clock.advance(MINUTE * u32::try_from(dice.roll(10)).unwrap()),
            _ => pair.compare().await,
        }
    }
    pair.compare().await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn both_stores_do_the_same() {
    for seed in 1..=30_u64 {
        println!("seed {seed}");
        round(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).await;
    }
}
