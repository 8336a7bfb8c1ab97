//! Starting the server that all this is about.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use devstack_idp::{MintIat, Person};
use http::{StatusCode, header};

use super::{
    Result,
    idp::Provider,
    process::{MEASURED_CORE, Server, free_port},
};

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// `BFF_KEY_TYPE`.
    pub(super) key_type: &'static str,
    /// `BFF_JWT_SIGNING_ALG`.
    pub(super) algorithm: &'static str,
    /// `MS_BFF_PAR_ENABLED`.
    pub(super) par: &'static str,
    /// `LOG_LEVEL`.
    pub(super) log_level: &'static str,
    /// Where sessions are kept.
    pub(super) store: Store,
    /// How many routes it has.
    pub(super) routes: usize,
}

/// `SESSION_STORE`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Store {
    Memory,
    Disk,
    /// With its port.
    Redis(u16),
}

/// A server that is registered and ready.
pub(super) struct Bff {
    /// Its process.
    pub(super) server: Server,
    /// A client that treats the server's redirects as answers.
    http: reqwest::Client,
}

// === impl Setup ===

impl Setup {
    /// The usual server: sessions in memory, one route.
    pub(super) const USUAL: Self = Self {
        key_type: "p-256",
        algorithm: "ES256",
        par: "false",
        log_level: "warn",
        store: Store::Memory,
        routes: 1,
    };
}

// === impl Store ===

impl Store {
    /// The key of every server that shares sessions here, as a server reads it.
    pub(super) const SECRET: [u8; 32] = [0x7a; 32];

    /// Sets the environment of a server that keeps its sessions here.
    pub(super) fn configure(self, command: &mut Command) {
        let kind = match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Redis(port) => {
                command.env("REDIS_URL", format!("redis://127.0.0.1:{port}"));
                "redis"
            }
        };
        command
            .env("SESSION_STORE", kind)
            .env("LOGIN_RATE_LIMIT", "off")
            .env("SESSION_SECRET", "7a".repeat(32));
    }
}

// === impl Bff ===

impl Bff {
    /// Starts the release binary beside this one, with files in `folder` and routes to `upstream`.
    pub(super) async fn start(
        setup: Setup,
        folder: &Path,
        provider: &Provider,
        upstream: u16,
    ) -> Result<Self> {
        Self::start_with(setup, folder, provider, &routes(setup.routes, upstream), &[]).await
    }

    /// The same with this `routes.yaml`, and with further settings.
    pub(super) async fn start_with(
        setup: Setup,
        folder: &Path,
        provider: &Provider,
        routes: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("routes.yaml"), routes)?;
        let port = free_port()?;
        let mut command = command(setup, folder, provider, port)?;
        command.envs(settings.iter().copied());
        let server = Server::start(command, MEASURED_CORE, port).await?;
        let bff = Self {
            server,
            http: client()?,
        };
        bff.ready().await?;
        Ok(bff)
    }

    /// How long it takes from the start of the process until `/health/live` answers, keys and registration being
    /// there.
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement in real time, finer than the clock of the server"
    )]
    pub(super) fn time_to_live(setup: Setup, folder: &Path, provider: &Provider) -> Result<Duration> {
        let port = free_port()?;
        let mut command = command(setup, folder, provider, port)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let live = loop {
            if is_live(port) {
                break Ok(started.elapsed());
            }
            if started.elapsed() > Duration::from_secs(5) {
                break Err("the server does not become live".into());
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        child.kill()?;
        child.wait()?;
        live
    }

    /// The URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port())
    }

    /// Logs a person in; returns the session cookie as a browser would send it.
    pub(super) async fn log_in(&self, person: &Person) -> Result<String> {
        let started = self.http.get(self.url("/auth/login")).send().await?;
        let cookies = cookies(&started);
        let location = text(&started, &header::LOCATION)?;
        let callback = person.authorize(&location).await?;
        let answer = self
            .http
            .get(callback)
            .header(header::COOKIE, cookies)
            .send()
            .await?;
        if !matches!(answer.status(), StatusCode::OK | StatusCode::FOUND) {
            return Err(format!("the login failed: {}", answer.status()).into());
        }
        let cookies = cookies_of(&answer);
        let session = cookies
            .into_iter()
            .find(|cookie| cookie.starts_with("__Host-Http-bff_session="));
        session.ok_or_else(|| "the login gave no session".into())
    }

    /// The CSRF token of a session, as a page reads it.
    pub(super) async fn csrf_token(&self, session: &str) -> Result<String> {
        let answer = self.http.get(self.url("/auth/session"));
        let answer = answer.header(header::COOKIE, session).send().await?;
        let session: serde_json::Value = serde_json::from_str(&answer.text().await?)?;
        let token = session.get("csrf_token").and_then(serde_json::Value::as_str);
        token.map(str::to_owned).ok_or_else(|| "no CSRF token".into())
    }

    async fn ready(&self) -> Result<()> {
        use bff::clock::Clock as _;
        for _ in 0..1_000 {
            if self.http.get(self.url("/health/ready")).send().await?.status() == StatusCode::OK {
                return Ok(());
            }
            bff::clock::SystemClock
                .sleep(std::time::Duration::from_millis(10))
                .await;
        }
        Err("the server does not become ready".into())
    }
}

/// A `routes.yaml` with `count` routes. The first one takes the measured calls and rewrites
/// their path, and the others stand where each look-up passes
/// them: beside its path and below it, with parameters.
fn routes(count: usize, upstream: u16) -> String {
    let mut text = format!(
        "services: {{ api: {{ base_url: \"http://127.0.0.1:{upstream}\" }} }}\n\
         routes:\n- {{ id: api, path: '/api/*', target_service: api, auth: session, upstream_path: '/v1/{{path}}' }}\n"
    );
    for at in 1..count {
        let path = match at % 3 {
            0 => format!("/other{at}/*"),
            1 => format!("/api/things{at}/{{id}}"),
            _ => format!("/api/things{at}/{{id}}/parts/*"),
        };
        let route = format!(
            "- {{ id: r{at}, path: '{path}', target_service: api, auth: none, preserve_path: true }}\n"
        );
        text.push_str(&route);
    }
    text
}

fn command(setup: Setup, folder: &Path, provider: &Provider, port: u16) -> Result<Command> {
    let base = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(env::current_exe()?.with_file_name("bff"));
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("PORT", port.to_string())
        .env("OIDC_ISSUER", &provider.issuer)
        .env("BFF_BASE_URL", &base)
        .env("BFF_CONFIG_DIR", folder)
        .env("BFF_JWT_SIGNING_KEY", folder.join("bff-signing.pem"))
        .env("BFF_KEY_TYPE", setup.key_type)
        .env("BFF_JWT_SIGNING_ALG", setup.algorithm)
        .env("MS_BFF_PAR_ENABLED", setup.par)
        .env("LOG_LEVEL", setup.log_level)
        .env("SESSION_MAX_PER_USER", "100000")
        .env("DCR_REDIRECT_URIS", format!("{base}/auth/callback"))
        .env("DCR_IAT", provider.control.mint_iat(MintIat::default()));
    setup.store.configure(&mut command);
    Ok(command)
}

fn is_live(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn cookies(answer: &reqwest::Response) -> String {
    cookies_of(answer).join("; ")
}

fn cookies_of(answer: &reqwest::Response) -> Vec<String> {
    let lines = answer
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .filter_map(|line| line.split(';').next().map(str::to_owned))
        .collect()
}

fn text(answer: &reqwest::Response, name: &header::HeaderName) -> Result<String> {
    Ok(answer
        .headers()
        .get(name)
        .ok_or("a header is missing")?
        .to_str()?
        .to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement is on the other side of the wire"
)]
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}
