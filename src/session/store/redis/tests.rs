//! Against real servers, which the tests start and which end with them.

mod cluster;
mod data;
mod documented;
mod failover;
mod harness;
mod model;
mod once;
mod proxy;
mod several;
mod shared;
mod starting;

use std::sync::Arc;

use self::harness::{eventually, shared};
use super::*;
use crate::{
    clock::{Clock as _, ManualClock, SystemClock},
    instruments::Tally,
    random::SystemRandom,
    session::{SessionId, store::contract::contract_tests, testing::session},
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn sealer() -> Sealer {
    Sealer::new(&[[9; 32]], Arc::new(SystemRandom)).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000))
}

async fn connect_with(
    options: RedisOptions,
    lifespan: Lifespan,
    clock: SharedClock,
) -> Result<RedisStore, RedisStartError> {
    crate::jose::install_crypto();
    RedisStore::connect(
        options,
        lifespan,
        sealer(),
        clock,
        Arc::new(SystemRandom),
        &Tally::default(),
    )
    .await
}

async fn connect(url: &str, clock: SharedClock) -> RedisStore {
    let options = RedisOptions::parse(url).unwrap();
    connect_with(options, Lifespan::default(), clock).await.unwrap()
}

/// A store by the machine's clock.
async fn connect_now(url: &str) -> RedisStore {
    connect(url, Arc::new(SystemClock)).await
}

impl RedisStore {
    /// A session of `subject` whose tokens are due in `due`.
    async fn login(&self, subject: &str, due: Duration) -> SessionKey {
        self.try_login(subject, due).await.unwrap()
    }

    async fn try_login(&self, subject: &str, due: Duration) -> Result<SessionKey, InsertError> {
        let (_, new) = self.new_session(subject, due);
        let key = new.key;
        self.insert(new).await.map(|_| key)
    }

    fn new_session(&self, subject: &str, due: Duration) -> (SessionId, NewSession) {
        let now = self.inner.clock.now();
        let mut session = session(subject, "access", now);
        session.sid = Some("login".to_owned());
        let due = Due::At(now.saturating_add(due));
        NewSession::draw(&SystemRandom, Arc::new(session), due, now)
    }

    async fn lives(&self, key: &SessionKey) -> bool {
        self.get(key).await.unwrap().is_some()
    }

    /// Writes the access token.
    async fn write(&self, key: &SessionKey, access: &str) -> Result<Version, ReplaceError> {
        let stored = self.get(key).await?.ok_or(ReplaceError::Gone)?;
        let mut session = Session::clone(&stored.session);
        session.tokens.access = access.into();
        self.replace(key, stored.version, Arc::new(session), Due::Unchanged)
            .await
    }

    async fn end(&self, key: &SessionKey) -> bool {
        self.try_end(key).await.unwrap()
    }

    async fn try_end(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let last = self.remove(key, EndReason::Logout).await?;
        Ok(last.is_some())
    }
}

/// A store on the server that all tests share, with its own prefix.
async fn store(lifespan: Lifespan, clock: ManualClock) -> Arc<dyn SessionStore> {
    let options = RedisOptions::parse(&shared().url_of_its_own()).unwrap();
    Arc::new(connect_with(options, lifespan, Arc::new(clock)).await.unwrap())
}

contract_tests!(store, #[ignore = "needs redis-server; scripts/test stores runs it"]);
