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
    Result,
    process::own_cpu,
    redis, say,
    sessions::session,
    table::{Gate, Samples, check},
};

/// A session of the usual size takes about as many bytes in Redis.
const SEALED: usize = 3 * 1024;

/// So many callers read at a time, as many as connections call the server in the other measurements.
const CALLERS: u32 = 64;

/// So often each of them reads for one number.
const LOOKS: u32 = 500;

/// Reads and bare calls take turns so often; the median counts.
const ROUNDS: usize = 5;

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
    let uncached = replica(server.port(), 0).await?;
    let (mut cached, mut fetched, mut bare) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        cached.push(look(&there, &key).await?);
        fetched.push(look(&uncached, &key).await?);
        bare.push(round_trip(server.port()).await?);
    }
    let [cached, fetched, bare] = [cached, fetched, bare].map(|samples| samples.median());
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
    say(&format!("| a cached session, CPU µs | {cached:.2} |"));
    say(&format!("| a session that is fetched, CPU µs | {fetched:.1} |"));
    say(&format!("| a bare GET of as many bytes, CPU µs | {bare:.1} |"));
    let gates = [
        Gate::new(
            "a logout is seen everywhere, 99th percentile, ms",
            millis(of(99)),
            100.0,
        ),
        Gate::new(
            "a session that is fetched, CPU µs over a cached session and a bare GET",
            fetched - bare - cached,
            10.0,
        ),
    ];
    check(&gates)
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

/// The CPU time of one read of a session, in microseconds.
async fn look(sessions: &Sessions, key: &SessionKey) -> Result<f64> {
    // The first read fetches it, once changes of others are heard.
    for _ in 0..100 {
        sessions.get(key).await?;
        tokio::task::yield_now().await;
    }
    each_of_many(|| {
        let (sessions, key) = (sessions.clone(), *key);
        async move {
            for _ in 0..LOOKS {
                sessions.get(&key).await?.ok_or("the session is gone")?;
            }
            Ok(())
        }
    })
    .await
}

/// The CPU time of a round trip to Redis alone, in microseconds.
async fn round_trip(port: u16) -> Result<f64> {
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let () = ::redis::cmd("SET")
        .arg("bare")
        .arg(vec![b'x'; SEALED])
        .query_async(&mut connection)
        .await?;
    each_of_many(|| {
        let mut connection = connection.clone();
        async move {
            for _ in 0..LOOKS {
                let value: Vec<u8> = ::redis::cmd("GET")
                    .arg("bare")
                    .query_async(&mut connection)
                    .await?;
                if value.len() != SEALED {
                    return Err("Redis lost a value".into());
                }
            }
            Ok(())
        }
    })
    .await
}

/// The CPU time of this process for each of the calls that `caller` makes [`LOOKS`] of, in microseconds. One call at a
/// time would measure above all how threads fall asleep and wake up.
async fn each_of_many<F>(caller: impl Fn() -> F) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let before = own_cpu()?;
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(caller())).collect();
    for caller in callers {
        caller.await??;
    }
    let took = own_cpu()?.saturating_sub(before);
    Ok(took.as_secs_f64() * 1e6 / f64::from(CALLERS * LOOKS))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
