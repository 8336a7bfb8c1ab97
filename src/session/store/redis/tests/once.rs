//! One-time events, for two processes.

use super::*;
use crate::session::Once as _;

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_id_is_first_once_for_all_processes_until_it_is_forgotten() {
    let url = shared().url_of_its_own();
    let (one, two) = (connect_now(&url).await, connect_now(&url).await);
    assert!(one.first(b"a", MINUTE).await.unwrap());
    assert!(!two.first(b"a", MINUTE).await.unwrap());
    assert!(two.first(b"b", MINUTE).await.unwrap());
    two.forget(b"a").await.unwrap();
    two.forget(b"never seen").await.unwrap();
    assert!(one.first(b"a", Duration::ZERO).await.unwrap());
    eventually("it is forgotten by itself", async || {
        two.first(b"a", MINUTE).await.unwrap()
    })
    .await;
    assert!(!one.first(b"a", MINUTE).await.unwrap());
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn of_many_at_the_same_moment_one_is_first() {
    let url = shared().url_of_its_own();
    let stores = [connect_now(&url).await, connect_now(&url).await];
    let firsts = (0..40).map(|number| stores[number % 2].first(b"a", MINUTE));
    let firsts = futures_util::future::try_join_all(firsts).await.unwrap();
    assert_eq!(firsts.into_iter().filter(|first| *first).count(), 1);
}
