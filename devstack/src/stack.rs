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
    app::{App, Listeners, Ports, RunError},
    clock::SystemClock,
    config::{Config, Environment},
    health::Health,
    random::{RandomExt as _, SystemRandom},
};
use devstack_idp::{Control, Idp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    idp_alone::{put_samples, stopped},
    mint, page, ports, sample_api, say,
};

/// The names under which the page is reached. Browsers know by themselves that they are this machine.
const HOSTS: [&str; 2] = ["automate.localhost", "authn.localhost"];

const AUDIENCE: &str = "sample-api";

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the state lives.
    pub state: PathBuf,
    /// How long access tokens live: short, so that one sees them being renewed.
    pub access_token_lifetime: Duration,
    /// Whether the usual ports are tried first.
    pub usual_ports: bool,
}

/// What is brought to a stack in place of its own parts.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The origin of a dev server, whose page takes the place of the sample page. Its page may also stand in front of the
    /// bff, or call it from its own origin.
    pub page: Option<Url>,
    /// Origins whose pages may call with credentials (`CORS__ALLOW_ORIGINS`); that of `page` where there is none.
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
    page: String,
    registered: bool,
    app: App,
    listener: TcpListener,
}

/// Starts everything, says where to click, and serves until the process is stopped.
///
/// # Errors
///
/// Where a part cannot start; the text says which.
pub async fn run(options: Options, surroundings: Surroundings) -> Result<(), Box<dyn Error>> {
    let stack = Stack::prepare_with(options, surroundings).await?;
    stack.announce();
    let shutdown = CancellationToken::new();
    tokio::spawn(say_when_ready(
        stack.health(),
        stack.origins.clone(),
        stack.options.access_token_lifetime,
    ));
    let stop = shutdown.clone();
    tokio::spawn(async move {
        stopped().await;
        stop.cancel();
    });
    // Boxed: it holds the whole server.
    Box::pin(stack.serve(shutdown)).await?;
    Ok(())
}

// === impl Stack ===

impl Stack {
    /// Starts the IdP, the sample API and the page, and makes the bff ready to serve.
    ///
    /// # Errors
    ///
    /// Where a part cannot start; the text says which.
    pub async fn prepare(options: Options) -> Result<Self, Box<dyn Error>> {
        Self::prepare_with(options, Surroundings::default()).await
    }

    /// The same with what is brought to it.
    ///
    /// # Errors
    ///
    /// Where a part cannot start; the text says which.
    pub async fn prepare_with(
        mut options: Options,
        surroundings: Surroundings,
    ) -> Result<Self, Box<dyn Error>> {
        let (idp_port, bff_port) = if options.usual_ports { (9000, 8000) } else { (0, 0) };
        let idp_listener = ports::listen(idp_port).await?;
        let listener = ports::listen(bff_port).await?;
        let (idp_port, bff_port) = (idp_listener.local_addr()?.port(), listener.local_addr()?.port());
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
        let idp = Idp::new(idp_options)?;
        let control = idp.control().clone();
        tokio::spawn(devstack_idp::serve(
            idp_listener,
            idp,
            std::future::pending::<()>(),
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
        let page = if let Some(page) = &surroundings.page {
            page.origin().ascii_serialization()
        } else {
            let router = page::router(page::Config {
                origins: origins.clone(),
            });
            format!("http://{}", serve(router).await?)
        };
        let config_dir = state.join("config");
        fs::create_dir_all(&config_dir)?;
        fs::write(config_dir.join("routes.yaml"), routes(api, &page))?;

        let mut variables = variables(&state, &issuer, bff_port, &origins, &surroundings);
        let registered = state.join("bff-keys/bff_client.json").exists();
        if !registered {
            let token = mint::initial_access_token(&issuer, &admin_token).await?;
            variables.insert("DCR_IAT", token);
        }
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
            page,
            registered,
            app: App::new(config, Ports::default())?,
            listener,
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
    /// Where the bff stops by itself.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let listeners = Listeners {
            public: self.listener,
            internal: None,
        };
        self.app.run(listeners, shutdown).await
    }

    fn announce(&self) {
        let registration = if self.registered {
            "registered earlier: no initial access token is needed"
        } else {
            "an initial access token was minted at the IdP's admin API"
        };
        let state = &self.options.state;
        say(&format!(
            "
  development IdP   {issuer}   (clients: {clients})
  sample API        http://{api}
  page              {page}, passed on by the bff
  bff               {bff}
  registration      {registration}
  state             {state}   (remove it to begin anew)
",
            issuer = self.issuer,
            api = self.api,
            page = self.page,
            bff = self.origins.join("   "),
            clients = state.join("ServiceConfigs/IdP/config/clients.yaml").display(),
            state = state.display(),
        ));
    }
}

/// What an operator would set, and nothing else: the rest are defaults.
fn variables(
    state: &Path,
    issuer: &str,
    port: u16,
    origins: &[String],
    surroundings: &Surroundings,
) -> BTreeMap<&'static str, String> {
    let path = |name: &str| state.join(name).display().to_string();
    // The first is what people reach who come by another name.
    let base = format!("http://localhost:{port}");
    let page = surroundings
        .page
        .as_ref()
        .map(|page| page.origin().ascii_serialization());
    let redirect_uris: Vec<String> = std::iter::once(&base)
        .chain(origins)
        .chain(&page)
        .map(|origin| format!("{origin}/auth/callback"))
        .collect();
    let cors_origins = surroundings.cors_origins.clone().or_else(|| page.clone());
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

fn routes(api: SocketAddr, page: &str) -> String {
    format!(
        r#"# Written by devstack at every start.
services:
  sample-api: {{ base_url: "http://{api}", timeout: 10s }}
  page: {{ base_url: "{page}", timeout: 10s }}
routes:
  - id: sample-api
    path: /api/*
    target_service: sample-api
    upstream_path: /{{path}}
    auth: session
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

async fn say_when_ready(health: Health, origins: Vec<String>, access_token_lifetime: Duration) {
    use bff::clock::Clock as _;
    while !health.report().ready {
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    let first = origins.first().map(String::as_str).unwrap_or_default();
    let seconds = access_token_lifetime.as_secs();
    say(&format!(
        "
  Ready. Open {first}
  Log in as ada, grace or edsger; the password is the name.
  Access tokens live {seconds} seconds: leave the page open and watch them being renewed. Ctrl-C stops everything.
"
    ));
}
