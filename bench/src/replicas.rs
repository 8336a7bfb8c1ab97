//! How soon a logout at one replica is effective at another, and the cost of reading a session.

use std::{sync::Arc, time::Duration};

use bff::{
    clock::SystemClock,
    health::Health,
    instruments::Tally,
    random::SystemRandom,
    seal::Sealer,
    session::{Cached, Due, EndReason, Limits, RedisOptions, RedisStore, SessionKey, Sessions},
};
use tokio_util::sync::CancellationToken;

use super::{
    Result, redis, say,
    sessions::session,
    table::{Gate, print_gates},
};

/// A session of the usual size takes about as many bytes in Redis.
const SEALED: usize = 3 * 1024;

/// So often a session is looked at for one number.
const LOOKS: u32 = 20_000;

/// Ends `count` sessions at one of two replicas on a Redis; an error if a gate fails.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement in real time, finer than the clock of the server"
)]
pub(super) async fn run(count: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = redis::start(folder.path()).await?;
    let limits = Limits::default();
    let (here, there) = (
        replica(server.port(), limits.memory).await?,
        replica(server.port(), limits.memory).await?,
    );
    let mut seen_after = Vec::new();
    for number in 0..count {
        let opened = here.open(session(number), Due::Never, None).await?;
        if there.get(&opened.key).await?.is_none() {
            return Err("a login at one replica is none at the other".into());
        }
        let begun = std::time::Instant::now();
        here.end(&opened.key, EndReason::Logout).await?;
        while there.get(&opened.key).await?.is_some() {
            tokio::task::yield_now().await;
        }
        seen_after.push(begun.elapsed());
    }
    seen_after.sort();
    let of = |percent: usize| seen_after[(seen_after.len() * percent / 100).min(seen_after.len() - 1)];

    let key = here.open(session(count), Due::Never, None).await?.key;
    let cached = look(&there, &key).await?;
    let fetched = look(&replica(server.port(), 0).await?, &key).await?;
    say(&format!(
        "\n| two replicas on Redis, {count} logouts | |\n| --- | ---: |"
    ));
    say(&format!(
        "| a logout is seen after, median, ms | {:.2} |",
        millis(of(50))
    ));
    say(&format!(
        "| the same, 99th percentile, ms | {:.2} |",
        millis(of(99))
    ));
    say(&format!(
        "| a session at hand, µs | {:.2} |",
        cached.as_secs_f64() * 1e6
    ));
    say(&format!(
        "| a session that is fetched, µs | {:.1} |",
        fetched.as_secs_f64() * 1e6
    ));
    let bare = round_trip(server.port()).await?;
    say(&format!(
        "| a bare GET of as many bytes, µs | {:.1} |",
        bare.as_secs_f64() * 1e6
    ));
    let gates = [
        Gate::new(
            "a logout is seen everywhere, 99th percentile, ms",
            millis(of(99)),
            100.0,
        ),
        Gate::new(
            "a session that is fetched, µs over a session at hand and a bare GET",
            (fetched.saturating_sub(bare).saturating_sub(cached)).as_secs_f64() * 1e6,
            10.0,
        ),
    ];
    if print_gates(&gates) {
        Ok(())
    } else {
        Err("a gate does not hold".into())
    }
}

/// The sessions of one replica, with a cache of `memory` bytes.
async fn replica(port: u16, memory: usize) -> Result<Sessions> {
    let random = Arc::new(SystemRandom);
    let sealer = Sealer::new(&[[7; 32]], random.clone())?;
    let (limits, clock, tally) = (Limits::default(), Arc::new(SystemClock), Tally::default());
    let options = RedisOptions::parse(&format!("redis://127.0.0.1:{port}"))?;
    let store = RedisStore::connect(
        options,
        limits.lifespan,
        sealer.clone(),
        clock.clone(),
        random.clone(),
        &tally,
    );
    let store = Cached::new(store.await?, memory, limits.lifespan, clock.clone(), &tally);
    let sessions = Sessions::new(Arc::new(store), limits, sealer, clock, random, &tally);
    let follows = sessions.clone();
    tokio::spawn(async move { follows.run(&Health::new(), CancellationToken::new()).await });
    Ok(sessions)
}

/// The time of one read of a session.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement in real time, finer than the clock of the server"
)]
async fn look(sessions: &Sessions, key: &SessionKey) -> Result<Duration> {
    // The first look fetches it, once changes of others are heard.
    for _ in 0..100 {
        sessions.get(key).await?;
        tokio::task::yield_now().await;
    }
    let begun = std::time::Instant::now();
    for _ in 0..LOOKS {
        sessions.get(key).await?;
    }
    Ok(begun.elapsed() / LOOKS)
}

/// What Redis and the way to it take by themselves.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement in real time, finer than the clock of the server"
)]
async fn round_trip(port: u16) -> Result<Duration> {
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let () = ::redis::cmd("SET")
        .arg("bare")
        .arg(vec![b'x'; SEALED])
        .query_async(&mut connection)
        .await?;
    let begun = std::time::Instant::now();
    for _ in 0..LOOKS {
        let value: Vec<u8> = ::redis::cmd("GET")
            .arg("bare")
            .query_async(&mut connection)
            .await?;
        if value.len() != SEALED {
            return Err("Redis lost a value".into());
        }
    }
    Ok(begun.elapsed() / LOOKS)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
