//! The comparison: all servers are up, each is loaded in turn, several rounds.

use std::{env, path::Path, process::Command, time::Duration};

use devstack_idp::Person;

use super::{
    Result, idp, logins, nginx,
    process::{MEASURED_CORE, Server, free_port},
    redis, say,
    start::{Bff, Setup, Store},
    table::{Gate, Samples, check, print_cases},
    wrk,
};

const BARE: &str = "bare axum handler";
const VERIFY: &str = "bff verify";
const VERIFY_ON_DISK: &str = "bff verify, sessions on disk";
const VERIFY_ON_REDIS: &str = "bff verify, sessions in Redis";
const PROXIED_ON_REDIS: &str = "bff proxied GET, sessions in Redis";
const NGINX_PROXY: &str = "nginx proxy";
const BARE_PROXY: &str = "bare axum + hyper proxy";
const PROXIED: &str = "bff proxied GET";
const TEN_ROUTES: &str = "bff proxied GET, 10 routes";
const THOUSAND_ROUTES: &str = "bff proxied GET, 1,000 routes";

/// A case: the request and the server.
struct Case<'a> {
    name: &'static str,
    server: &'a Server,
    url: String,
    cookie: Option<&'a str>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// How often each case is measured.
    pub(super) rounds: usize,
    /// How long each measurement takes.
    pub(super) seconds: u64,
    /// How many logins are measured for each kind of key.
    pub(super) logins: usize,
}

/// The cost of the requests, in the order of the table.
struct Requests {
    names: Vec<&'static str>,
    samples: Vec<Samples>,
}

/// Measures everything and prints the tables; an error if a gate fails. With words in `only`, measures the requests alone
/// whose case contains one of them.
pub(super) async fn run(effort: Effort, only: &[String]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let provider = idp::start().await?;
    let upstream = nginx::upstream(folder).await?;

    let is_whole = only.is_empty();
    let absolute = if is_whole {
        say("measuring the start");
        let (live_after, idle_memory) = start(folder, &provider, upstream.port()).await?;
        let logins = logins(effort, folder, &provider, upstream.port()).await?;
        vec![
            Gate::new("login with RS256, ms of CPU", logins[0], 1.6),
            Gate::new("login with RS256 and PAR, ms of CPU", logins[1], 2.7),
            Gate::new("login with ES256, ms of CPU", logins[2], 0.8),
            Gate::new("idle memory, MiB", idle_memory, 12.0),
            Gate::new("live after exec, ms", millis(live_after), 20.0),
        ]
    } else {
        Vec::new()
    };
    let requests = requests(effort, only, folder, &provider, upstream.port()).await?;

    let cost = |name: &str| {
        let at = requests.names.iter().position(|known| *known == name);
        at.map_or(f64::NAN, |at| requests.samples[at].median())
    };
    let ratios = [
        Gate::new("verify / bare handler", cost(VERIFY) / cost(BARE), 1.25),
        Gate::new(
            "verify with sessions in Redis / bare handler",
            cost(VERIFY_ON_REDIS) / cost(BARE),
            1.3,
        ),
        Gate::new(
            "verify with sessions on disk / in memory",
            cost(VERIFY_ON_DISK) / cost(VERIFY),
            1.05,
        ),
        Gate::new(
            "proxied GET with sessions in Redis / in memory",
            cost(PROXIED_ON_REDIS) / cost(PROXIED),
            1.05,
        ),
        Gate::new(
            "proxied GET / bare axum + hyper proxy",
            cost(PROXIED) / cost(BARE_PROXY),
            1.1,
        ),
        Gate::new(
            "proxied GET / nginx proxy",
            cost(PROXIED) / cost(NGINX_PROXY),
            1.5,
        ),
        Gate::new(
            "proxied GET with 1,000 routes / 10 routes",
            cost(THOUSAND_ROUTES) / cost(TEN_ROUTES),
            1.05,
        ),
    ];
    let measured = |gate: &Gate| is_whole || !gate.is_unknown();
    let gates: Vec<Gate> = ratios.into_iter().filter(measured).chain(absolute).collect();
    print_cases(&requests.names, &requests.samples);
    check(&gates)
}

#[expect(clippy::too_many_lines, reason = "one row for each case of the table")]
async fn requests(
    effort: Effort,
    only: &[String],
    folder: &Path,
    provider: &idp::Provider,
    upstream: u16,
) -> Result<Requests> {
    let empty = nginx::empty(folder).await?;
    let nginx_proxy = nginx::proxy(folder, upstream).await?;
    let bare = bare(None).await?;
    let bare_proxy = self::bare(Some(upstream)).await?;
    let warn = Bff::start(Setup::USUAL, &folder.join("warn"), provider, upstream).await?;
    let info_setup = Setup {
        log_level: "info",
        ..Setup::USUAL
    };
    let info = Bff::start(info_setup, &folder.join("info"), provider, upstream).await?;
    let redis = redis::start(folder).await?;
    let redis_setup = Setup {
        store: Store::Redis(redis.port()),
        ..Setup::USUAL
    };
    let shared = Bff::start(redis_setup, &folder.join("shared"), provider, upstream).await?;
    let disk_setup = Setup {
        store: Store::Disk,
        ..Setup::USUAL
    };
    let disk = Bff::start(disk_setup, &folder.join("disk"), provider, upstream).await?;
    let ten = Bff::start(
        Setup {
            routes: 10,
            ..Setup::USUAL
        },
        &folder.join("ten"),
        provider,
        upstream,
    )
    .await?;
    let many_setup = Setup {
        routes: 1_000,
        ..Setup::USUAL
    };
    let many = Bff::start(many_setup, &folder.join("many"), provider, upstream).await?;
    let ada = Person::new("ada", "ada")?;
    let (cookie, info_cookie) = (warn.log_in(&ada).await?, info.log_in(&ada).await?);
    let (shared_cookie, disk_cookie) = (shared.log_in(&ada).await?, disk.log_in(&ada).await?);

    let (ten_cookie, many_cookie) = (ten.log_in(&ada).await?, many.log_in(&ada).await?);

    let at = |server: &Server, path: &str| format!("http://127.0.0.1:{}{path}", server.port());
    let case = |name, server, url, cookie| Case {
        name,
        server,
        url,
        cookie,
    };
    let cases = [
        case("nginx, 204", &empty, at(&empty, "/"), None),
        case(BARE, &bare, at(&bare, "/auth/verify"), None),
        case(
            VERIFY,
            &warn.server,
            warn.url("/auth/verify"),
            Some(cookie.as_str()),
        ),
        case(
            "bff verify, LOG_LEVEL=info",
            &info.server,
            info.url("/auth/verify"),
            Some(info_cookie.as_str()),
        ),
        case(
            VERIFY_ON_DISK,
            &disk.server,
            disk.url("/auth/verify"),
            Some(disk_cookie.as_str()),
        ),
        case(
            VERIFY_ON_REDIS,
            &shared.server,
            shared.url("/auth/verify"),
            Some(shared_cookie.as_str()),
        ),
        case(
            PROXIED_ON_REDIS,
            &shared.server,
            shared.url("/api/x"),
            Some(shared_cookie.as_str()),
        ),
        case(NGINX_PROXY, &nginx_proxy, at(&nginx_proxy, "/api/x"), None),
        case(BARE_PROXY, &bare_proxy, at(&bare_proxy, "/api/x"), None),
        case(PROXIED, &warn.server, warn.url("/api/x"), Some(cookie.as_str())),
        case(
            TEN_ROUTES,
            &ten.server,
            ten.url("/api/x"),
            Some(ten_cookie.as_str()),
        ),
        case(
            THOUSAND_ROUTES,
            &many.server,
            many.url("/api/x"),
            Some(many_cookie.as_str()),
        ),
        case(
            "bff proxied GET, LOG_LEVEL=info",
            &info.server,
            info.url("/api/x"),
            Some(info_cookie.as_str()),
        ),
    ];
    let is_asked = |case: &Case<'_>| only.is_empty() || only.iter().any(|word| case.name.contains(word));
    let cases: Vec<Case<'_>> = cases.into_iter().filter(is_asked).collect();
    let mut samples = vec![Samples::default(); cases.len()];
    for round in 1..=effort.rounds {
        for (case, samples) in cases.iter().zip(&mut samples) {
            let before = case.server.cpu()?;
            let requests = wrk::load(&case.url, case.cookie, effort.seconds).await?;
            let used = case.server.cpu()?.saturating_sub(before);
            #[expect(
                clippy::cast_precision_loss,
                reason = "a number of requests in seconds is small"
            )]
            let cost = used.as_secs_f64() * 1e6 / requests as f64;
            samples.push(cost);
            let rate = requests / effort.seconds;
            say(&format!(
                "round {round}/{}: {}: {cost:.1} µs, {rate} requests/s",
                effort.rounds, case.name
            ));
        }
    }
    Ok(Requests {
        names: cases.iter().map(|case| case.name).collect(),
        samples,
    })
}

/// CPU of a login in milliseconds: RS256, RS256 and PAR, ES256.
async fn logins(effort: Effort, folder: &Path, provider: &idp::Provider, upstream: u16) -> Result<[f64; 3]> {
    let rsa = Setup {
        key_type: "rsa-2048",
        algorithm: "RS256",
        ..Setup::USUAL
    };
    let setups = [
        ("login, RS256", rsa),
        ("login, RS256 and PAR", Setup { par: "true", ..rsa }),
        ("login, ES256", Setup::USUAL),
    ];
    let mut costs = [f64::NAN; 3];
    for ((name, setup), cost) in setups.into_iter().zip(&mut costs) {
        let used = logins::measure(setup, &folder.join(name), provider, upstream, effort.logins).await?;
        *cost = millis(used);
        say(&format!("{name}: {cost:.2} ms"));
    }
    Ok(costs)
}

/// The time until a server with existing keys is live, and its memory then (MiB).
async fn start(folder: &Path, provider: &idp::Provider, upstream: u16) -> Result<(Duration, f64)> {
    let folder = folder.join("start");
    let bff = Bff::start(Setup::USUAL, &folder, provider, upstream).await?;
    #[expect(clippy::cast_precision_loss, reason = "memory in KiB is small")]
    let rss = bff.server.rss()? as f64 / 1024.0;
    drop(bff);
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(Bff::time_to_live(Setup::USUAL, &folder, provider)?);
    }
    times.sort();
    Ok((times[times.len() / 2], rss))
}

/// The server that does less: the handler, or with an upstream the proxy.
async fn bare(upstream: Option<u16>) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(env::current_exe()?);
    match upstream {
        None => command.arg("bare").arg(port.to_string()),
        Some(upstream) => command
            .arg("proxy")
            .arg(port.to_string())
            .arg(upstream.to_string()),
    };
    Server::start(command, MEASURED_CORE, port).await
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
