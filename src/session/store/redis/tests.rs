//! Against real servers, which the tests start and which end with them.

mod harness;

use std::sync::Arc;

use self::harness::shared;
use super::*;
use crate::{clock::ManualClock, random::SystemRandom, session::store::contract::contract_tests};

fn sealer() -> Sealer {
    Sealer::new(&[[9; 32]], Arc::new(SystemRandom)).unwrap()
}

async fn connect(url: &str, lifespan: Lifespan, clock: SharedClock) -> Result<RedisStore, RedisStartError> {
    crate::jose::install_crypto();
    let options = RedisOptions::parse(url).unwrap();
    RedisStore::connect(options, lifespan, sealer(), clock, Arc::new(SystemRandom)).await
}

/// A store on the server that all tests share, under a prefix of its own.
async fn store(lifespan: Lifespan, clock: ManualClock) -> Arc<dyn SessionStore> {
    let url = shared().url_of_its_own();
    Arc::new(connect(&url, lifespan, Arc::new(clock)).await.unwrap())
}

contract_tests!(store, #[ignore = "needs redis-server; scripts/test stores runs it"]);
