use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    random::{SharedRandom, SystemRandom},
    seal::Sealer,
    session::{
        Cached, Change, Due, Limits, MemoryStore, SessionStore,
        testing::{HeldStore, session},
    },
};

const MINUTE: Duration = Duration::from_mins(1);

/// Alice's session, which lives for 100 minutes and 20 without use, and its news.
struct Bench {
    sessions: Sessions,
    clock: ManualClock,
    key: SessionKey,
    news: News,
}

impl Bench {
    async fn new() -> Self {
        Self::over(|lifespan, clock| Arc::new(MemoryStore::new(lifespan, Arc::new(clock)))).await
    }

    async fn over(store: impl FnOnce(Lifespan, ManualClock) -> Arc<dyn SessionStore>) -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
        let limits = Limits {
            lifespan: Lifespan {
                lifetime: 100 * MINUTE,
                idle: 20 * MINUTE,
            },
            ..Limits::default()
        };
        let random: SharedRandom = Arc::new(SystemRandom);
        let sessions = Sessions::new(
            store(limits.lifespan, clock.clone()),
            limits,
            Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap(),
            Arc::new(clock.clone()),
            random,
        );
        let now = clock.now();
        let opened = sessions.open(session("alice", "0", now), Due::Never, None);
        let key = opened.await.unwrap().key;
        let stored = sessions.get(&key).await.unwrap().unwrap();
        let news = sessions.news(&key, sessions.outlook(&stored).mark());
        Self {
            sessions,
            clock,
            key,
            news,
        }
    }

    /// What is new now.
    fn news(&mut self) -> Option<NewsItem> {
        self.news.next().now_or_never()
    }

    async fn stored(&self) -> Stored {
        self.sessions.get(&self.key).await.unwrap().unwrap()
    }

    async fn outlook(&self) -> Outlook {
        self.sessions.outlook(&self.stored().await)
    }

    async fn touch(&self) {
        let stored = self.stored().await;
        self.sessions.touch(&self.key, &stored).await.unwrap();
    }
}

#[tokio::test]
async fn renewed_tokens_and_a_use_are_news_and_another_write_is_none() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.news(), None);
    bench.clock.advance(MINUTE);
    let now = bench.clock.now();
    let renewed = bench
        .sessions
        .update(&bench.key, bench.stored().await, |session| {
            session.tokens.access_obtained_at = now;
            Due::Never
        });
    renewed.await.unwrap();
    let outlook = bench.outlook().await;
    assert_eq!(outlook.access_obtained_at, now);
    assert_eq!(bench.news(), Some(NewsItem::Renewed(outlook)));
    assert_eq!(bench.news(), None);

    let uncertain = bench
        .sessions
        .update(&bench.key, bench.stored().await, |session| {
            session.tokens.uncertain = true;
            Due::Never
        });
    uncertain.await.unwrap();
    assert_eq!(bench.news(), None);

    bench.touch().await;
    let outlook = bench.outlook().await;
    assert_eq!(outlook.ends_at, now.saturating_add(20 * MINUTE));
    assert_eq!(bench.news(), Some(NewsItem::Renewed(outlook)));
    assert_eq!(bench.news(), None);
}

#[tokio::test]
async fn the_end_is_told_before_it_comes_and_once_more_where_it_has_moved() {
    let mut bench = Bench::new().await;
    bench.clock.advance(17 * MINUTE);
    assert_eq!(bench.news(), None);
    bench.clock.advance(MINUTE);
    let outlook = bench.outlook().await;
    assert_eq!(outlook.limit, EndReason::Idle);
    assert_eq!(bench.news(), Some(NewsItem::Expiring(outlook)));
    assert_eq!(bench.news(), None);

    bench.touch().await;
    let outlook = bench.outlook().await;
    assert_eq!(bench.news(), Some(NewsItem::Renewed(outlook)));
    bench.clock.advance(18 * MINUTE);
    assert_eq!(bench.news(), Some(NewsItem::Expiring(outlook)));
    bench.clock.advance(2 * MINUTE);
    assert_eq!(bench.news(), Some(NewsItem::Ended(Some(EndReason::Idle))));
}

#[tokio::test]
async fn the_end_of_the_lifetime_is_told_as_that() {
    let mut bench = Bench::new().await;
    for _ in 0..8 {
        bench.clock.advance(10 * MINUTE);
        bench.touch().await;
        assert!(matches!(bench.news(), Some(NewsItem::Renewed(_))));
    }
    bench.clock.advance(18 * MINUTE);
    let outlook = bench.outlook().await;
    assert_eq!(outlook.limit, EndReason::Lifetime);
    assert_eq!(bench.news(), Some(NewsItem::Expiring(outlook)));
    // A use moves nothing any more.
    bench.touch().await;
    assert_eq!(bench.news(), None);
    bench.clock.advance(2 * MINUTE);
    assert_eq!(bench.news(), Some(NewsItem::Ended(Some(EndReason::Lifetime))));
}

#[tokio::test]
async fn an_end_is_told_with_its_reason_wherever_it_came_from() {
    let mut bench = Bench::new().await;
    bench.sessions.end(&bench.key, EndReason::Logout).await.unwrap();
    assert_eq!(bench.news(), Some(NewsItem::Ended(Some(EndReason::Logout))));

    let mut bench = Bench::new().await;
    let store = Arc::clone(&bench.sessions.inner.store);
    store.remove(&bench.key, EndReason::Everywhere).await.unwrap();
    // The reason is on its way.
    assert_eq!(bench.news(), None);
    let told = Change::Ended(bench.key, EndReason::Everywhere);
    bench.sessions.follow(stream::iter([told]).boxed()).await;
    assert_eq!(bench.news(), Some(NewsItem::Ended(Some(EndReason::Everywhere))));
    let why = bench.sessions.why_ended(&bench.key).await.unwrap();
    assert_eq!(why, Some(EndReason::Everywhere));

    let mut bench = Bench::new().await;
    let store = Arc::clone(&bench.sessions.inner.store);
    store.remove(&bench.key, EndReason::Logout).await.unwrap();
    bench.sessions.follow(stream::iter([Change::Heard]).boxed()).await;
    assert_eq!(bench.news(), None);
    bench.clock.advance(WAIT_FOR_THE_REASON);
    assert_eq!(bench.news(), Some(NewsItem::Ended(None)));
    assert_eq!(bench.sessions.why_ended(&bench.key).await.unwrap(), None);
}

#[tokio::test]
async fn what_came_before_the_news_were_asked_for_is_told() {
    let bench = Bench::new().await;
    let known = bench.outlook().await.mark();
    assert_eq!(bench.sessions.why_ended(&bench.key).await.unwrap(), None);
    bench.clock.advance(MINUTE);
    bench.touch().await;
    let outlook = bench.outlook().await;
    let mut news = bench.sessions.news(&bench.key, known);
    assert_eq!(news.next().now_or_never(), Some(NewsItem::Renewed(outlook)));

    // Over, and not tidied up yet.
    bench.clock.advance(20 * MINUTE);
    let why = bench.sessions.why_ended(&bench.key).await.unwrap();
    assert_eq!(why, Some(EndReason::Idle));
    let mut news = bench.sessions.news(&bench.key, known);
    assert_eq!(
        news.next().now_or_never(),
        Some(NewsItem::Ended(Some(EndReason::Idle)))
    );
}

#[tokio::test]
async fn a_use_that_another_process_has_seen_moves_the_end_too() {
    let mut store = None;
    let mut bench = Bench::over(|lifespan, clock| {
        let held = store.insert(HeldStore::new(lifespan, Arc::new(clock.clone())));
        Arc::new(Cached::new(held.clone(), 1 << 20, lifespan, Arc::new(clock)))
    })
    .await;
    let store = store.unwrap();
    let mut changes = bench.sessions.inner.store.changes();
    store.tell.send(Change::Heard).unwrap();
    assert_eq!(changes.next().await, Some(Change::Heard));
    assert_eq!(bench.news(), None);
    let outlook = bench.outlook().await;

    bench.clock.advance(17 * MINUTE);
    store.memory.touch(&bench.key, bench.clock.now()).await.unwrap();
    assert_eq!(bench.news(), None);
    bench.clock.advance(MINUTE);
    let news = bench.news();
    let moved = bench.outlook().await;
    assert_eq!(moved.ends_at, outlook.ends_at.saturating_add(17 * MINUTE));
    assert_eq!(news, Some(NewsItem::Renewed(moved)));

    // Also once it was said that the end is near.
    bench.clock.advance(17 * MINUTE);
    assert_eq!(bench.news(), Some(NewsItem::Expiring(moved)));
    let mut next = std::pin::pin!(bench.news.next());
    assert_eq!((&mut next).now_or_never(), None);
    store.memory.touch(&bench.key, bench.clock.now()).await.unwrap();
    assert_eq!((&mut next).now_or_never(), None);
    bench.clock.advance(ASK_WHETHER_USED);
    assert!(matches!(next.now_or_never(), Some(NewsItem::Renewed(_))));
}
