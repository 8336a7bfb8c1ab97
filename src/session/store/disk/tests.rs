use std::{fs, sync::Arc};

use super::*;
use crate::{
    clock::ManualClock,
    random::SystemRandom,
    session::store::contract::contract_tests,
};

fn sealer(secrets: &[[u8; 32]]) -> Sealer {
    Sealer::new(secrets, Arc::new(SystemRandom)).unwrap()
}

contract_tests!(|lifespan, clock: ManualClock| async move {
    // The folder goes with the process; the file in it is open until then.
    let folder = tempfile::tempdir().unwrap().keep();
    let store = DiskStore::open(
        &folder,
        Guard::Strict,
        lifespan,
        sealer(&[[7; 32]]),
        Arc::new(clock),
    );
    let store: Arc<dyn SessionStore> = Arc::new(store.await.unwrap());
    fs::remove_dir_all(folder).unwrap();
    store
});

/// The contract with the cache in front, as the server has it.
mod cached {
    use super::*;
    use crate::session::store::Cached;

    contract_tests!(|lifespan, clock: ManualClock| async move {
        let folder = tempfile::tempdir().unwrap().keep();
        let store = DiskStore::open(&folder, Guard::Strict, lifespan, sealer(&[[7; 32]]), Arc::new(clock));
        let store: Arc<dyn SessionStore> = Arc::new(Cached::new(store.await.unwrap(), 1 << 30));
        fs::remove_dir_all(folder).unwrap();
        store
    });
}
