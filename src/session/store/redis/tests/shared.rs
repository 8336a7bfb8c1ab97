//! Records and the board, for two processes.

use super::{
    harness::{own_prefix, shared_cluster},
    *,
};
use crate::shared::{Meter as _, Passing as _, Record, Shared as _, Taken, contract};

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn records_locks_and_the_board_are_as_promised() {
    let url = shared().url_of_its_own();
    let (one, two) = (connect_now(&url).await, connect_now(&url).await);
    contract::records_are_swapped(&one, &two).await;
    contract::locks_have_one_holder(&one, &two).await;
    contract::notes_are_seen_by_all(&one, &two).await;
    contract::time_is_one_for_all(&one, &two).await;
    contract::values_pass(&one, &two).await;
    contract::allowances_are_common(&one, &two).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn records_locks_and_the_board_are_as_promised_in_a_cluster() {
    let url = format!("{}?prefix={}", shared_cluster().url(), own_prefix());
    let (one, two) = (connect_now(&url).await, connect_now(&url).await);
    contract::records_are_swapped(&one, &two).await;
    contract::locks_have_one_holder(&one, &two).await;
    contract::notes_are_seen_by_all(&one, &two).await;
    contract::time_is_one_for_all(&one, &two).await;
    contract::values_pass(&one, &two).await;
    contract::allowances_are_common(&one, &two).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn locks_and_notes_end_with_their_time() {
    let url = shared().url_of_its_own();
    let (one, two) = (connect_now(&url).await, connect_now(&url).await);
    let short = Duration::from_millis(20);
    assert!(one.hold(Record::Client, "one", short).await.unwrap());
    one.post("one", b"a", short).await.unwrap();
    one.put("a", b"a", short).await.unwrap();
    one.add("a", b"a", short).await.unwrap();
    eventually("both have ended", async || {
        two.hold(Record::Client, "two", MINUTE).await.unwrap()
            && two.board().await.unwrap().is_empty()
            && two.fetch("a").await.unwrap().is_none()
            && two.all("a").await.unwrap().is_empty()
    })
    .await;
    assert!(!one.swap(Record::Client, None, b"a", Some("one")).await.unwrap());
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn what_arrives_a_second_time_is_not_refused() {
    let url = shared().url_of_its_own();
    let one = connect_now(&url).await;
    for _ in 0..2 {
        assert!(one.swap(Record::Client, None, b"a", None).await.unwrap());
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_allowance_fills_up_and_is_forgotten() {
    const MILLIS: u64 = 1_000;
    let url = shared().url_of_its_own();
    let one = connect_now(&url).await;
    for _ in 0..2 {
        let mut refused = 0;
        for _ in 0..3 {
            while let Taken::Refused(_) = one.take("a", 20 * MILLIS, 40 * MILLIS).await.unwrap() {
                refused += 1;
                assert!(refused < 100_000);
            }
        }
        assert!(refused > 0, "the third one has to wait");
        let name = one.inner.names.limit("a");
        eventually("nothing is left of it", async || {
            one.inner.value(&name).await.unwrap().is_none()
        })
        .await;
    }
}
