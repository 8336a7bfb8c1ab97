//! Many sessions whose tokens are due within one minute: how fast a server renews them.
//!
//! An RSA signature costs a core up to a millisecond, so that with RS256 the signatures are the limit; with ES256 it is the
//! provider, whose token endpoint takes its time here. Both limits are measured in the same run.

mod renewer;
mod stub;

use std::{env, path::Path, process::Command, time::Duration};

use bff::{
    clock::{Clock as _, SystemClock, Timestamp},
    jose::Algorithm,
    keys::{KeyKind, Keys},
    session::Session,
};
use url::Url;

use self::stub::Counts;
pub(super) use self::{renewer::renew, stub::serve as stub};
use super::{
    Result,
    process::{MEASURED_CORE, OTHER_CORE, Server, free_port},
    redis, say,
    sessions::{THRESHOLD, fill, on_disk, on_redis, session_of},
    start::Store,
    table::{Gate, check},
};

/// Within so long all tokens become due.
const SPREAD: Duration = Duration::from_mins(1);

/// `TOKEN_REFRESH_CONCURRENCY`, as by default.
const CONCURRENCY: usize = 32;

/// An endpoint that takes so long for an answer can give [`CONCURRENCY`] of them in that time.
const SLOW: Duration = Duration::from_millis(25);

/// So long the answers of the slow endpoint are counted.
const ASKING: Duration = Duration::from_secs(5);

/// So long the signatures of a core are counted.
const SIGNING: Duration = Duration::from_secs(5);

/// One measurement.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    algorithm: &'static str,
    store: Store,
    /// How long an answer of the provider takes.
    latency: Duration,
    /// Within so long all become due.
    spread: Duration,
}

/// The outcome of a measurement.
struct Outcome {
    /// Renewals per second.
    rate: f64,
    /// CPU time of the server for each of them.
    cost: Duration,
    /// As many requests as were under way at a time.
    most_at_once: u32,
}

/// Renews the tokens of `count` sessions in each case with `only` in its name; an error where a gate does not hold.
pub(super) async fn run(count: usize, only: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = [
        redis::start(folder.path()).await?,
        redis::start(folder.path()).await?,
    ];
    let case = |name, algorithm, store, latency| Case {
        name,
        algorithm,
        store,
        latency,
        // Where the signatures are the limit, nothing else is to be waited for.
        spread: if algorithm == "RS256" {
            Duration::ZERO
        } else {
            SPREAD
        },
    };
    let [first, second] = [&redis[0], &redis[1]].map(|redis| Store::Redis(redis.port()));
    let cases = [
        case("RS256, in memory", "RS256", Store::Memory, Duration::ZERO),
        case("RS256, on disk", "RS256", Store::Disk, Duration::ZERO),
        case("RS256, in Redis", "RS256", first, Duration::ZERO),
        case("ES256, on disk, slow endpoint", "ES256", Store::Disk, SLOW),
        case("ES256, in Redis, slow endpoint", "ES256", second, SLOW),
    ];
    let signatures = signatures_per_second().await?;
    let concurrency = f64::from(u32::try_from(CONCURRENCY)?);
    say("counting the answers of the slow endpoint");
    let endpoint = answers_per_second().await?;
    let mut gates = Vec::new();
    let mut rows = vec![
        format!(
            "\n| {count} sessions due within a minute | renewals per second | CPU ms each | at most at once |"
        ),
        "| --- | ---: | ---: | ---: |".to_owned(),
        format!(
            "| RS256 signatures of one core | {signatures:.0} | {:.2} | |",
            1e3 / signatures
        ),
        format!("| the slow endpoint, {CONCURRENCY} at a time | {endpoint:.0} | | |"),
    ];
    let chosen = cases.iter().filter(|case| case.name.contains(only));
    for (number, case) in chosen.enumerate() {
        say(&format!("storing {count} sessions: {}", case.name));
        let folder = folder.path().join(number.to_string());
        let outcome = measure(*case, &folder, count).await?;
        rows.push(format!(
            "| {} | {:.0} | {:.2} | {} |",
            case.name,
            outcome.rate,
            outcome.cost.as_secs_f64() * 1e3,
            outcome.most_at_once
        ));
        let limit = if case.latency.is_zero() {
            signatures
        } else {
            endpoint
        };
        gates.push(Gate::at_least(
            format!("{}: of what its limit allows", case.name),
            outcome.rate / limit,
            0.9,
        ));
        gates.push(Gate::new(
            format!("{}: refreshes at a time", case.name),
            f64::from(outcome.most_at_once),
            concurrency,
        ));
    }
    for row in rows {
        say(&row);
    }
    check(&gates)
}

async fn measure(case: Case, folder: &Path, count: usize) -> Result<Outcome> {
    let provider = provider(case.latency).await?;
    let issuer = format!("http://127.0.0.1:{}", provider.port());
    let server = match case.store {
        Store::Memory => renewer(provider.port(), count).await?,
        store => {
            let state = folder.join("bff");
            std::fs::create_dir_all(&state)?;
            let sessions = match store {
                Store::Redis(port) => on_redis(port).await?,
                _ => on_disk(&state).await?,
            };
            // All become due from the moment on at which the server is there.
            let start = SystemClock.now().saturating_add(storing_takes(count));
            let step = case.spread / u32::try_from(count)?;
            fill(&sessions, count, &|number| due_from(&issuer, number, start, step)).await?;
            drop(sessions);
            server(case, &state, &issuer).await?
        }
    };
    let counts = follow(&provider, count).await?;
    let cost = server.cpu()? / u32::try_from(count)?;
    Ok(Outcome {
        rate: counts.rate(),
        cost,
        most_at_once: counts.most_at_once,
    })
}

/// A session whose tokens are due so many steps after `start`.
fn due_from(issuer: &str, number: usize, start: Timestamp, step: Duration) -> Session {
    let mut session = session_of(issuer, number);
    let tokens = &mut session.tokens;
    let due = start.saturating_add(step * u32::try_from(number).unwrap_or(u32::MAX));
    tokens.access_expires_at = due.saturating_add(THRESHOLD);
    tokens.access_obtained_at = tokens.access_expires_at.saturating_sub(THRESHOLD * 12);
    session
}

/// More than that many take to be stored.
fn storing_takes(count: usize) -> Duration {
    Duration::from_secs(5)
        .saturating_add(Duration::from_micros(500) * u32::try_from(count).unwrap_or(u32::MAX))
}

/// Waits until all are renewed.
async fn follow(provider: &Server, count: usize) -> Result<Counts> {
    let url = Url::parse(&format!("http://127.0.0.1:{}/counts", provider.port()))?;
    let mut before = 0;
    let mut idle = 0;
    loop {
        SystemClock.sleep(Duration::from_secs(5)).await;
        let counts: Counts = serde_json::from_slice(&fetch(&url).await?)?;
        say(&format!(
            "{} of {count} renewed, {:.0} per second",
            counts.answered,
            counts.rate()
        ));
        if usize::try_from(counts.answered)? >= count {
            return Ok(counts);
        }
        idle = if counts.answered == before { idle + 1 } else { 0 };
        before = counts.answered;
        if idle > 60 {
            return Err("nothing is renewed any more".into());
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement is on the other side of the wire"
)]
async fn fetch(url: &Url) -> Result<Vec<u8>> {
    Ok(reqwest::get(url.clone()).await?.bytes().await?.to_vec())
}

/// The provider in a process of its own.
async fn provider(latency: Duration) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("stub")
        .arg(port.to_string())
        .arg(latency.as_millis().to_string());
    Server::start(command, OTHER_CORE, port).await
}

/// The server, as a client that the configuration names.
async fn server(case: Case, folder: &Path, issuer: &str) -> Result<Server> {
    let port = free_port()?;
    let base = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(env::current_exe()?.with_file_name("bff"));
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("PORT", port.to_string())
        .env("OIDC_ISSUER", issuer)
        .env("AUTH_CLIENT_ID", "bench")
        .env("BFF_BASE_URL", &base)
        .env("BFF_CONFIG_DIR", folder)
        .env("BFF_JWT_SIGNING_KEY", folder.join("bff-signing.pem"))
        .env(
            "BFF_KEY_TYPE",
            if case.algorithm == "RS256" {
                "rsa-2048"
            } else {
                "p-256"
            },
        )
        .env("BFF_JWT_SIGNING_ALG", case.algorithm)
        .env("LOG_LEVEL", "warn");
    case.store.configure(&mut command);
    Server::start_anywhere(command, port).await
}

/// How many answers of the slow endpoint [`CONCURRENCY`] callers get in a second who do nothing but ask.
async fn answers_per_second() -> Result<f64> {
    let provider = provider(SLOW).await?;
    let url = Url::parse(&format!("http://127.0.0.1:{}/token", provider.port()))?;
    let end = SystemClock.now().saturating_add(ASKING);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENCY {
        callers.spawn(ask_until(end, url.clone()));
    }
    while let Some(caller) = callers.join_next().await {
        caller?.map_err(|error| error.to_string())?;
    }
    let url = Url::parse(&format!("http://127.0.0.1:{}/counts", provider.port()))?;
    Ok(serde_json::from_slice::<Counts>(&fetch(&url).await?)?.rate())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement is on the other side of the wire"
)]
async fn ask_until(end: Timestamp, url: Url) -> std::result::Result<(), reqwest::Error> {
    let client = reqwest::Client::new();
    while SystemClock.now() < end {
        client.post(url.clone()).send().await?.bytes().await?;
    }
    Ok(())
}

/// The same over sessions in memory.
async fn renewer(provider: u16, count: usize) -> Result<Server> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("renew")
        .arg(provider.to_string())
        .arg(count.to_string());
    Server::start_anywhere(command, provider).await
}

/// How many RS256 signatures the measured core makes in a second.
async fn signatures_per_second() -> Result<f64> {
    let mut command = tokio::process::Command::new("taskset");
    command
        .args(["--cpu-list", &MEASURED_CORE.to_string()])
        .arg(env::current_exe()?)
        .arg("sign");
    let output = command.output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Signs for a while with a key that is kept nowhere, and prints how often in a second.
#[expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement in real time, finer than the clock of the server"
)]
pub(super) fn sign() -> Result<()> {
    let keys = Keys::throwaway(KeyKind::Rsa2048)?;
    let claims = serde_json::json!({
        "iss": "bench",
        "sub": "bench",
        "aud": "http://127.0.0.1:8000",
        "jti": "n".repeat(43),
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    });
    let begun = std::time::Instant::now();
    let mut signed: u64 = 0;
    while begun.elapsed() < SIGNING {
        keys.signing().sign(Algorithm::RS256, "JWT", &claims)?;
        signed += 1;
    }
    say(&format!("{:.1}", signed as f64 / begun.elapsed().as_secs_f64()));
    Ok(())
}
