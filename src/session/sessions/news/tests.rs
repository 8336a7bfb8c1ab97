use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    instruments::Tally,
    random::{SharedRandom, SystemRandom},
    seal::Sealer,
    session::{
        Cached, Change, Due, Limits, MemoryStore, SessionStore,
        testing::{HeldStore, session},
    },
};

const MINUTE: Duration = Duration::from_mins(1);

/// Alice's session, which lives for 100 minutes and 20 without use, and its news.
struct Harness {
    sessions: Sessions,
    clock: ManualClock,
    key: SessionKey,
    news: News,
}

impl Harness {
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
            &Tally::default(),
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

    /// The present news.
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
    let mut harness = Harness::new().await;
    assert_eq!(harness.news(), None);
    harness.clock.advance(MINUTE);
    let now = harness.clock.now();
    let renewed = harness
        .sessions
        .update(&harness.key, harness.stored().await, |session| {
            session.tokens.access_obtained_at = now;
            Due::Never
        });
    renewed.await.unwrap();
    let outlook = harness.outlook().await;
    assert_eq!(outlook.access_obtained_at, now);
    assert_eq!(harness.news(), Some(NewsItem::Renewed(outlook)));
    assert_eq!(harness.news(), None);

    let uncertain = harness
        .sessions
        .update(&harness.key, harness.stored().await, |session| {
            session.tokens.uncertain = true;
            Due::Never
        });
    uncertain.await.unwrap();
    assert_eq!(harness.news(), None);

    harness.touch().await;
    let outlook = harness.outlook().await;
    assert_eq!(outlook.ends_at, now.saturating_add(20 * MINUTE));
    assert_eq!(harness.news(), Some(NewsItem::Renewed(outlook)));
    assert_eq!(harness.news(), None);
}

/// Once more after the end has moved.
#[tokio::test]
async fn watchers_are_warned_of_the_end() {
    let mut harness = Harness::new().await;
    harness.clock.advance(17 * MINUTE);
    assert_eq!(harness.news(), None);
    harness.clock.advance(MINUTE);
    let outlook = harness.outlook().await;
    assert_eq!(outlook.limit, EndReason::Idle);
    assert_eq!(harness.news(), Some(NewsItem::Expiring(outlook)));
    assert_eq!(harness.news(), None);

    harness.touch().await;
    let outlook = harness.outlook().await;
    assert_eq!(harness.news(), Some(NewsItem::Renewed(outlook)));
    harness.clock.advance(18 * MINUTE);
    assert_eq!(harness.news(), Some(NewsItem::Expiring(outlook)));
    harness.clock.advance(2 * MINUTE);
    assert_eq!(harness.news(), Some(NewsItem::Ended(Some(EndReason::Idle))));
}

#[tokio::test]
async fn the_end_of_the_lifetime_is_told_as_that() {
    let mut harness = Harness::new().await;
    for _ in 0..8 {
        harness.clock.advance(10 * MINUTE);
        harness.touch().await;
        assert!(matches!(harness.news(), Some(NewsItem::Renewed(_))));
    }
    harness.clock.advance(18 * MINUTE);
    let outlook = harness.outlook().await;
    assert_eq!(outlook.limit, EndReason::Lifetime);
    assert_eq!(harness.news(), Some(NewsItem::Expiring(outlook)));
    // A use moves nothing any more.
    harness.touch().await;
    assert_eq!(harness.news(), None);
    harness.clock.advance(2 * MINUTE);
    assert_eq!(harness.news(), Some(NewsItem::Ended(Some(EndReason::Lifetime))));
}

#[tokio::test]
async fn an_end_is_told_with_its_reason_wherever_it_came_from() {
    let mut harness = Harness::new().await;
    harness
        .sessions
        .end(&harness.key, EndReason::Logout)
        .await
        .unwrap();
    assert_eq!(harness.news(), Some(NewsItem::Ended(Some(EndReason::Logout))));

    let mut harness = Harness::new().await;
    let store = Arc::clone(&harness.sessions.inner.store);
    store.remove(&harness.key, EndReason::Everywhere).await.unwrap();
    // The reason is on its way.
    assert_eq!(harness.news(), None);
    let told = Change::Ended(harness.key, EndReason::Everywhere);
    harness.sessions.follow(stream::iter([told]).boxed()).await;
    assert_eq!(harness.news(), Some(NewsItem::Ended(Some(EndReason::Everywhere))));
    let why = harness.sessions.why_ended(&harness.key).await.unwrap();
    assert_eq!(why, Some(EndReason::Everywhere));

    let mut harness = Harness::new().await;
    let store = Arc::clone(&harness.sessions.inner.store);
    store.remove(&harness.key, EndReason::Logout).await.unwrap();
    harness
        .sessions
        .follow(stream::iter([Change::Heard]).boxed())
        .await;
    assert_eq!(harness.news(), None);
    harness.clock.advance(WAIT_FOR_THE_REASON);
    assert_eq!(harness.news(), Some(NewsItem::Ended(None)));
    assert_eq!(harness.sessions.why_ended(&harness.key).await.unwrap(), None);
}

#[tokio::test]
async fn what_came_before_the_news_were_asked_for_is_told() {
    let harness = Harness::new().await;
    let known = harness.outlook().await.mark();
    assert_eq!(harness.sessions.why_ended(&harness.key).await.unwrap(), None);
    harness.clock.advance(MINUTE);
    harness.touch().await;
    let outlook = harness.outlook().await;
    let mut news = harness.sessions.news(&harness.key, known);
    assert_eq!(news.next().now_or_never(), Some(NewsItem::Renewed(outlook)));

    // Over, and not tidied up yet.
    harness.clock.advance(20 * MINUTE);
    let why = harness.sessions.why_ended(&harness.key).await.unwrap();
    assert_eq!(why, Some(EndReason::Idle));
    let mut news = harness.sessions.news(&harness.key, known);
    assert_eq!(
        news.next().now_or_never(),
        Some(NewsItem::Ended(Some(EndReason::Idle)))
    );
}

#[tokio::test]
async fn a_use_that_another_process_has_seen_moves_the_end_too() {
    let mut store = None;
    let mut harness = Harness::over(|lifespan, clock| {
        let held = store.insert(HeldStore::new(lifespan, Arc::new(clock.clone())));
        Arc::new(Cached::new(
            held.clone(),
            1 << 20,
            lifespan,
            Arc::new(clock),
            &Tally::default(),
        ))
    })
    .await;
    let store = store.unwrap();
    let mut changes = harness.sessions.inner.store.changes();
    store.tell.send(Change::Heard).unwrap();
    assert_eq!(changes.next().await, Some(Change::Heard));
    assert_eq!(harness.news(), None);
    let outlook = harness.outlook().await;

    harness.clock.advance(17 * MINUTE);
    store
        .memory
        .touch(&harness.key, harness.clock.now())
        .await
        .unwrap();
    assert_eq!(harness.news(), None);
    harness.clock.advance(MINUTE);
    let news = harness.news();
    let moved = harness.outlook().await;
    assert_eq!(moved.ends_at, outlook.ends_at.saturating_add(17 * MINUTE));
    assert_eq!(news, Some(NewsItem::Renewed(moved)));

    // Also after the warning of the end.
    harness.clock.advance(17 * MINUTE);
    assert_eq!(harness.news(), Some(NewsItem::Expiring(moved)));
    let mut next = std::pin::pin!(harness.news.next());
    assert_eq!((&mut next).now_or_never(), None);
    store
        .memory
        .touch(&harness.key, harness.clock.now())
        .await
        .unwrap();
    assert_eq!((&mut next).now_or_never(), None);
    harness.clock.advance(ASK_WHETHER_USED);
    assert!(matches!(next.now_or_never(), Some(NewsItem::Renewed(_))));
}
