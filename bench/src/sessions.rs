//! The cost of many sessions on disk: the start, the sweep, the file.

use std::{path::Path, sync::Arc, time::Duration};

use bff::{
    clock::{Clock as _, SystemClock},
    instruments::Tally,
    private_file::Guard,
    random::SystemRandom,
    seal::Sealer,
    session::{
        Assurance, Device, DiskStore, Due, Lifespan, Limits, Memo, RedisOptions, RedisStore, Session,
        Sessions, Tokens,
    },
};

use super::{
    Result, idp, nginx, say,
    start::{Bff, Setup, Store},
    table::{Gate, check},
};

/// So long before they expire tokens are renewed (`TOKEN_REFRESH_THRESHOLD`).
pub(super) const THRESHOLD: Duration = Duration::from_mins(5);

/// So many logins are stored at a time.
const AT_ONCE: usize = 512;

/// How long the idle server is watched.
const WATCHED: Duration = Duration::from_secs(30);

const SETUP: Setup = Setup {
    store: Store::Disk,
    ..Setup::USUAL
};

/// Stores `count` sessions and starts the server on them; an error if a gate fails.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement in real time, finer than the clock of the server"
)]
pub(super) async fn run(count: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("bff");
    std::fs::create_dir_all(&state)?;
    let file = state.join("sessions.redb");

    say(&format!("storing {count} sessions"));
    let started = std::time::Instant::now();
    let sessions = on_disk(&state).await?;
    fill(&sessions, count, &session).await?;
    let rate = count_per_second(count, started.elapsed());
    // The file that a server leaves behind if it is killed now.
    let crashed = folder.path().join("crashed");
    std::fs::create_dir_all(&crashed)?;
    std::fs::copy(&file, crashed.join("sessions.redb"))?;
    drop(sessions);
    let length = std::fs::metadata(&file)?.len();

    let started = std::time::Instant::now();
    drop(on_disk(&crashed).await?);
    let after_crash = started.elapsed();
    std::fs::remove_dir_all(&crashed)?;

    let provider = idp::start().await?;
    let upstream = nginx::upstream(folder.path()).await?;
    let started = std::time::Instant::now();
    let bff = Bff::start(SETUP, &state, &provider, upstream.port()).await?;
    let ready_after = started.elapsed();
    let before = bff.server.cpu()?;
    SystemClock.sleep(WATCHED).await;
    let busy = (bff.server.cpu()?.saturating_sub(before)).as_secs_f64() / WATCHED.as_secs_f64();

    say(&format!("\n| {count} sessions on disk | |\n| --- | ---: |"));
    say(&format!("| stored per second, {AT_ONCE} at a time | {rate:.0} |"));
    say(&format!(
        "| bytes of the file per session | {} |",
        length / u64::try_from(count)?
    ));
    say(&format!(
        "| opened after a crash, s | {:.2} |",
        after_crash.as_secs_f64()
    ));
    say(&format!("| resident, MiB | {} |", bff.server.rss()? >> 10));
    let gates = [
        Gate::new("ready after the start, s", ready_after.as_secs_f64(), 2.0),
        Gate::new("opened after a crash, s", after_crash.as_secs_f64(), 2.0),
        Gate::new("idle, with the sweep, % of a core", busy * 100.0, 1.0),
    ];
    check(&gates)
}

/// As many as there is room for.
pub(super) fn limits() -> Limits {
    Limits {
        max: usize::MAX,
        max_per_user: usize::MAX,
        ..Limits::default()
    }
}

/// The sessions of a server whose state folder is `folder`.
pub(super) async fn on_disk(folder: &Path) -> Result<Sessions> {
    let random = Arc::new(SystemRandom);
    let sealer = Sealer::new(&[Store::SECRET], random.clone())?;
    let limits = limits();
    let clock = Arc::new(SystemClock);
    let store = DiskStore::open(
        folder,
        Guard::Strict,
        Lifespan::default(),
        sealer.clone(),
        clock.clone(),
    );
    Ok(Sessions::new(
        Arc::new(store.await?),
        limits,
        sealer,
        clock,
        random,
        &Tally::default(),
    ))
}

/// The sessions of a server with the Redis at `port`.
pub(super) async fn on_redis(port: u16) -> Result<Sessions> {
    let random = Arc::new(SystemRandom);
    let sealer = Sealer::new(&[Store::SECRET], random.clone())?;
    let (limits, clock, tally) = (limits(), Arc::new(SystemClock), Tally::default());
    let options = RedisOptions::parse(&format!("redis://127.0.0.1:{port}"))?;
    let store = RedisStore::connect(
        options,
        limits.lifespan,
        sealer.clone(),
        clock.clone(),
        random.clone(),
        &tally,
    );
    Ok(Sessions::new(
        Arc::new(store.await?),
        limits,
        sealer,
        clock,
        random,
        &tally,
    ))
}

/// Stores `count` sessions that `make` makes.
pub(super) async fn fill(sessions: &Sessions, count: usize, make: &dyn Fn(usize) -> Session) -> Result<()> {
    let mut storing = tokio::task::JoinSet::new();
    for number in 0..count {
        if storing.len() == AT_ONCE
            && let Some(stored) = storing.join_next().await
        {
            stored??;
        }
        let (sessions, session) = (sessions.clone(), make(number));
        storing.spawn(async move {
            let due = Due::at(session.tokens.due_at(THRESHOLD));
            sessions.open(session, due, None).await.map(drop)
        });
    }
    while let Some(stored) = storing.join_next().await {
        stored??;
    }
    Ok(())
}

/// A session of the usual size, whose tokens are not due while it is measured.
pub(super) fn session(number: usize) -> Session {
    session_of("https://idp.example", number)
}

/// The same at the provider `issuer`.
pub(super) fn session_of(issuer: &str, number: usize) -> Session {
    let now = SystemClock.now();
    let user = serde_json::json!({
        "sub": format!("person-{number}"),
        "name": "Ada Lovelace",
        "email": format!("ada-{number}@example.com"),
        "groups": ["engineers", "readers", "writers"],
    });
    let later = now.saturating_add(Duration::from_hours(7));
    Session {
        issuer: issuer.to_owned(),
        subject: format!("person-{number}"),
        sid: Some(format!("sid-{number}")),
        auth_time: Some(now),
        nonce: "n".repeat(43).into(),
        user: user.as_object().cloned().unwrap_or_default(),
        tokens: Tokens {
            access: (*"a".repeat(900)).into(),
            access_obtained_at: now,
            access_expires_at: later,
            refresh: Some("r".repeat(200).into()),
            pending: None,
            refresh_expires_at: None,
            id_token: "i".repeat(900).into(),
            scope: "openid profile email offline_access".to_owned(),
            uncertain: false,
            strikes: None,
            later_auth_time: None,
            for_targets: bff::session::ForTargets::default(),
            api_refreshed_at: None,
        },
        device: Device::default(),
        created_at: now,
        expires_at: later,
        assurance: Assurance::default(),
        bound: bff::session::Bound::default(),
        identity: Memo::default(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for a table")]
fn count_per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
