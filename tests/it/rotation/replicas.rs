//! Several servers on one folder.

use std::time::Duration;

use bff::{app::Listeners, keys::KeyKind};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{AHEAD, builder, in_state, published, published_at, swap_named_key};

#[tokio::test]
async fn two_servers_on_one_folder_agree_through_a_whole_rotation() {
    let stack = builder().start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let listeners = Listeners {
        public: listener,
        internal: None,
        admin: None,
    };
    tokio::spawn(stack.app().await.unwrap().run(listeners, stop));
    let old = in_state(&stack, "active").unwrap();
    assert_eq!(published_at(&other).await, std::slice::from_ref(&old));

    swap_named_key(&stack, KeyKind::P256);
    let mut steps = vec![published(&stack).await];
    for _ in 0..(AHEAD.as_secs() + 300) / 10 {
        // Two looks and the time that sockets and files take: both know by then.
        for _ in 0..10 {
            stack.clock.advance(Duration::from_secs(1));
            crate::support::pause().await;
        }
        let (here, there) = (published(&stack).await, published_at(&other).await);
        if here != there {
            // One of them has just looked.
            stack.advance(Duration::from_secs(12)).await;
            for _ in 0..50 {
                crate::support::pause().await;
            }
            assert_eq!(published(&stack).await, published_at(&other).await);
        }
        if steps.last() != Some(&here) {
            steps.push(here);
        }
    }
    let new = in_state(&stack, "active").unwrap();
    assert_ne!(new, old);
    assert_eq!(
        steps,
        [vec![old.clone()], vec![old.clone(), new.clone()], vec![new, old]]
    );
}
