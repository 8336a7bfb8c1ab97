//! The whole stack in one process.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use bff::{
    admin::Socket,
    app::{App, Listeners, Ports, RunError},
    clock::SystemClock,
    config::{Config, Environment},
    health::Health,
    random::{RandomExt as _, SystemRandom},
};
use devstack_idp::{Control, Idp};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{
    command::Page,
    idp_alone::{put_samples, stopped},
    mint, page, ports, sample_api, say,
};

/// The names under which the page is reached. Browsers know by themselves that they are this machine.
const HOSTS: [&str; 2] = ["automate.localhost", "authn.localhost"];

/// The ports of IdP and bff that a person finds them at.
pub const USUAL_PORTS: (u16, u16) = (9000, 8000);

/// Linux allows 107 bytes for the path of a socket. The server creates it under a longer temporary name first.
const MAX_SOCKET_PATH: usize = 90;

const AUDIENCE: &str = "sample-api";

/// The options of a stack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the state.
    pub state: PathBuf,
    /// How long access tokens live: short, so that one sees them being renewed.
    pub access_token_lifetime: Duration,
    /// The ports of IdP and bff. One that is taken is replaced, 0 by any that is free.
    pub ports: (u16, u16),
}

/// Replacements for parts of a stack.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The page that replaces the sample page. A dev server may also stand in front of the bff, or its page calls the bff
    /// from its own origin.
    pub page: Option<Page>,
    /// Origins whose pages may call with credentials (`CORS__ALLOW_ORIGINS`); by default that of the dev server.
    pub cors_origins: Option<String>,
}

/// A stack whose APIs and IdP run and whose bff is about to.
pub struct Stack {
    /// The hand inside the IdP.
    pub idp: Control,
    /// The issuer identifier.
    pub issuer: String,
    /// The origins that serve the page.
    pub origins: Vec<String>,
    options: Options,
    api: SocketAddr,
    /// Where the page comes from, for a person.
    page: String,
    /// Whether it is not the sample page.
    own_page: bool,
    /// Which ports were taken, as lines for a person.
    taken: Vec<String>,
    registered: bool,
    app: App,
    listener: TcpListener,
    admin: Option<Socket>,
    /// The IdP ends with the stack.
    _idp_stops: DropGuard,
}

/// Starts everything, says where to click, and serves until the process is stopped.
///
/// # Errors
///
/// If a part cannot start; the text says which.
pub async fn run(options: Options, overrides: Overrides) -> Result<(), Box<dyn Error>> {
    let stack = Stack::prepare_with(options, overrides).await?;
    stack.announce();
    let shutdown = CancellationToken::new();
    tokio::spawn(say_when_ready(
        stack.health(),
        stack.open_here(),
        stack.options.access_token_lifetime,
    ));
    let stop = shutdown.clone();
    tokio::spawn(async move {
        stopped().await;
        stop.cancel();
    });
    // Boxed: it contains the whole server.
    Box::pin(stack.serve(shutdown)).await?;
    Ok(())
}

// === impl Stack ===

impl Stack {
    /// Starts the IdP, the sample API and the page, and makes the bff ready to serve.
    ///
    /// # Errors
    ///
    /// If a part cannot start; the text says which.
    pub async fn prepare(options: Options) -> Result<Self, Box<dyn Error>> {
        Self::prepare_with(options, Overrides::default()).await
    }

    /// The same with replacements.
    ///
    /// # Errors
    ///
    /// If a part cannot start; the text says which.
    pub async fn prepare_with(mut options: Options, overrides: Overrides) -> Result<Self, Box<dyn Error>> {
        let usual = options.ports;
        let idp_listener = ports::listen(usual.0).await?;
        let listener = ports::listen(usual.1).await?;
        let (idp_port, bff_port) = (idp_listener.local_addr()?.port(), listener.local_addr()?.port());
        let moved = [
            replaced("development IdP", usual.0, idp_port),
            replaced("bff", usual.1, bff_port),
        ];
        // A registration belongs to one issuer and one set of URLs, so other ports have a state of their own.
        let state = options.state.join(format!("{bff_port}-{idp_port}"));
        fs::create_dir_all(&state)?;
        let state = state.canonicalize()?;

        let issuer = format!("http://localhost:{idp_port}");
        let admin_token = SystemRandom.base64url::<24>();
        let idp_config = state.join("ServiceConfigs/IdP/config");
        put_samples(&idp_config)?;
        let mut idp_options =
            devstack_idp::Options::from_config_dir(&idp_config, issuer.clone(), admin_token.as_str())?;
        idp_options.access_token_lifetime = options.access_token_lifetime;
        AUDIENCE.clone_into(&mut idp_options.audience);
        // The bff keeps its sessions, so their state at the IdP survives a restart too.
        idp_options.state_file = Some(idp_config.with_file_name("state.json"));
        let idp = Idp::new(idp_options)?;
        let control = idp.control().clone();
        let stop = CancellationToken::new();
        tokio::spawn(devstack_idp::serve(
            idp_listener,
            idp,
            stop.clone().cancelled_owned(),
        ));

        let origins: Vec<String> = HOSTS
            .iter()
            .map(|host| format!("http://{host}:{bff_port}"))
            .collect();
        let api = serve(sample_api::router(sample_api::Options {
            issuer: issuer.clone(),
            jwks_uri: format!("{issuer}/jwks"),
            audience: AUDIENCE.to_owned(),
            clock: Arc::new(SystemClock),
        })?)
        .await?;
        let page = if let Some(page) = &overrides.page {
            page.clone()
        } else {
            let router = page::router(page::Config {
                origins: origins.clone(),
            });
            let address = serve(router).await?;
            Page::Server(Url::parse(&format!("http://{address}"))?)
        };
        let config_dir = state.join("config");
        fs::create_dir_all(&config_dir)?;
        fs::write(config_dir.join("routes.yaml"), routes(api, &page))?;

        let mut variables = variables(&state, &issuer, bff_port, &origins, &overrides);
        let registered = state.join("bff-keys/bff_client.json").exists();
        if !registered {
            let token = mint::initial_access_token(&issuer, &admin_token).await?;
            variables.insert("DCR_IAT", token);
        }
        // For `bff sessions`, if the path is short enough for a socket.
        let admin_socket =
            Some(state.join("admin.sock")).filter(|path| path.as_os_str().len() < MAX_SOCKET_PATH);
        let admin = admin_socket.as_deref().map(Socket::bind).transpose()?;
        options.state = state;

        let environment: Environment = variables.into_iter().collect();
        let (config, warnings) = Config::load(&environment)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self {
            idp: control,
            issuer,
            origins,
            options,
            api,
            page: match &page {
                Page::Server(url) => format!("{}, passed on by the bff", url.origin().ascii_serialization()),
                Page::Folder(folder) => format!("the files in {}", folder.display()),
            },
            own_page: overrides.page.is_some(),
            taken: moved.into_iter().flatten().collect(),
            registered,
            app: App::new(config, Ports::default()).await?,
            admin,
            listener,
            _idp_stops: stop.drop_guard(),
        })
    }

    /// The bff's own state.
    #[must_use]
    pub fn health(&self) -> Health {
        self.app.health().clone()
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    ///
    /// If the bff stops by itself.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let listeners = Listeners {
            public: self.listener,
            internal: None,
            admin: self.admin,
        };
        self.app.run(listeners, shutdown).await
    }

    /// The bff's own address.
    fn base(&self) -> std::io::Result<String> {
        let port = self.listener.local_addr()?.port();
        Ok(format!("http://localhost:{port}"))
    }

    /// The first page for a person. With a page of their own it is the address that `docs/dev-server.md` names.
    fn open_here(&self) -> String {
        let first = self.origins.first().cloned().unwrap_or_default();
        if self.own_page {
            self.base().unwrap_or(first)
        } else {
            first
        }
    }

    fn announce(&self) {
        say(&self.announcement());
    }

    fn announcement(&self) -> String {
        let registration = if self.registered {
            "registered earlier: no initial access token is needed"
        } else {
            "an initial access token was minted at the IdP's admin API"
        };
        let state = &self.options.state;
        let taken = self
            .taken
            .iter()
            .fold(String::new(), |text, line| text + "\n  " + line);
        let base = self.base().into_iter();
        let reached: Vec<String> = base.chain(self.origins.iter().cloned()).collect();
        format!(
            "{taken}
  development IdP   {issuer}   (clients: {clients})
  sample API        http://{api}
  page              {page}
  bff               {bff}
  registration      {registration}
  state             {state}   (remove it to begin anew)
  sessions          {sessions}
",
            issuer = self.issuer,
            api = self.api,
            page = self.page,
            bff = reached.join("   "),
            clients = state.join("ServiceConfigs/IdP/config/clients.yaml").display(),
            state = state.display(),
            sessions = match &self.admin {
                Some(_) => format!(
                    "BFF_ADMIN_SOCKET={} cargo run -- sessions list",
                    state.join("admin.sock").display()
                ),
                None => "no socket for `bff sessions`: the path of the state is too long".to_owned(),
            },
        )
    }
}

/// The message about a part that could not have its usual port.
fn replaced(name: &str, usual: u16, port: u16) -> Option<String> {
    (usual != 0 && usual != port)
        .then(|| format!("Port {usual} is taken by another program: the {name} listens on {port} instead."))
}

/// The settings of an operator, and nothing else: the rest are defaults.
fn variables(
    state: &Path,
    issuer: &str,
    port: u16,
    origins: &[String],
    overrides: &Overrides,
) -> BTreeMap<&'static str, String> {
    let path = |name: &str| state.join(name).display().to_string();
    // The first is for people who come by another name.
    let base = format!("http://localhost:{port}");
    let page = match &overrides.page {
        Some(Page::Server(url)) => Some(url.origin().ascii_serialization()),
        Some(Page::Folder(_)) | None => None,
    };
    let redirect_uris: Vec<String> = std::iter::once(&base)
        .chain(origins)
        .chain(&page)
        .map(|origin| format!("{origin}/auth/callback"))
        .collect();
    let cors_origins = overrides.cors_origins.clone().or_else(|| page.clone());
    let mut variables = BTreeMap::from([
        ("OIDC_ISSUER", issuer.to_owned()),
        ("BFF_BASE_URL", base),
        ("BFF_CONFIG_DIR", path("config")),
        ("BFF_JWT_SIGNING_KEY", path("bff-keys/bff-signing.pem")),
        ("AUTH_CLIENT_ID", "bff-server".to_owned()),
        ("DCR_CLIENT_PROFILE", "code-flow-pkjwt".to_owned()),
        ("DCR_REDIRECT_URIS", redirect_uris.join(",")),
    ]);
    variables.extend(cors_origins.map(|origins| ("CORS__ALLOW_ORIGINS", origins)));
    variables
}

fn routes(api: SocketAddr, page: &Page) -> String {
    let service = match page {
        Page::Server(url) => {
            let origin = url.origin().ascii_serialization();
            format!("base_url: \"{origin}\", timeout: 10s")
        }
        // A quoted text of YAML takes any path as JSON writes it.
        Page::Folder(folder) => {
            let path = serde_json::Value::from(folder.display().to_string());
            format!("files: {path}")
        }
    };
    format!(
        r#"# Written by devstack at every start.
services:
  sample-api: {{ base_url: "http://{api}", timeout: 10s }}
  page: {{ {service} }}
routes:
  - id: sample-api
    path: /api/*
    target_service: sample-api
    upstream_path: /{{path}}
    auth: session
    websocket: true
    streaming: true
  - id: page
    path: /*
    target_service: page
    preserve_path: true
    methods: [GET]
    auth: none
"#
    )
}

async fn serve(router: Router) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn say_when_ready(health: Health, open_here: String, access_token_lifetime: Duration) {
    use bff::clock::Clock as _;
    while !health.report().ready {
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    let seconds = access_token_lifetime.as_secs();
    say(&format!(
        "
  Ready. Open {open_here}
  Log in as ada, grace or edsger; the password is the name.
  Access tokens live {seconds} seconds: leave the page open and watch them being renewed. Ctrl-C stops everything.
"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named() {
        let said = replaced("bff", 8000, 8001).unwrap();
        assert!(said.contains("8000") && said.contains("8001"), "{said}");
        assert_eq!(replaced("bff", 8000, 8000), None);
        assert_eq!(replaced("bff", 0, 39151), None, "no port was asked for");
    }

    #[tokio::test]
    async fn the_address_of_the_documents_is_named() {
        bff::jose::install_crypto();
        let state = tempfile::tempdir().unwrap();
        let mut stack = Stack::prepare(Options {
            state: state.path().to_owned(),
            access_token_lifetime: Duration::from_mins(1),
            ports: (0, 0),
        })
        .await
        .unwrap();
        let base = stack.base().unwrap();
        assert!(base.starts_with("http://localhost:"), "{base}");
        assert!(stack.announcement().contains(&base));
        assert_eq!(stack.open_here(), stack.origins[0]);
        let kept = stack.options.state.join("ServiceConfigs/IdP/state.json");
        assert!(kept.exists(), "the IdP keeps what sessions need");
        stack.own_page = true;
        assert_eq!(stack.open_here(), base);
        stack.taken = vec!["Port 8000 is taken".to_owned()];
        assert!(stack.announcement().contains("Port 8000 is taken"));
    }
}
