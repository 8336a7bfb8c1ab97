//! A server behind TLS on loopback, with a clock that a test moves.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bff::{
    app::{App, Listeners, Ports},
    clock::{Clock as _, ManualClock, SystemClock},
    config::{Config, Environment},
    random::SystemRandom,
};
use devstack_idp::{Idp, MintIat, Options};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// For `localhost`; the browser is told to ignore it.
const CERTIFICATE: &[u8] = include_bytes!("../../src/tls/testing/server.pem");
const KEY: &[u8] = include_bytes!("../../src/tls/testing/server.key");

/// A running server. It ends when it is dropped.
pub struct Secure {
    /// Its origin, behind TLS.
    pub origin: String,
    /// The IdP, on another site.
    pub issuer: String,
    /// Its time and the IdP's.
    pub clock: ManualClock,
    /// The address of its listener without TLS.
    address: SocketAddr,
    shutdown: CancellationToken,
    _state: TempDir,
}

// === impl Secure ===

impl Secure {
    /// Starts IdP, server and the end of TLS, and waits until the server is ready.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        bff::jose::install_crypto();
        let state = tempfile::tempdir().unwrap();
        let clock = ManualClock::starting_at(SystemClock.now());
        let shutdown = CancellationToken::new();

        let idp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://localhost:{}", idp.local_addr().unwrap().port());
        let mut options = Options::sample(issuer.clone(), "admin-token").unwrap();
        // Time is moved in leaps here.
        options.access_token_lifetime = Duration::from_hours(1);
        let idp_clock = clock.clone();
        options.clock = Arc::new(move || idp_clock.wall().unix_seconds());
        let provider = Idp::new(options).unwrap();
        let iat = provider.control().mint_iat(MintIat::default());
        tokio::spawn(devstack_idp::serve(
            idp,
            provider,
            shutdown.clone().cancelled_owned(),
        ));

        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = public.local_addr().unwrap();
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!(
            "https://automate.localhost:{}",
            secure.local_addr().unwrap().port()
        );
        tokio::spawn(end_tls(secure, address));

        std::fs::create_dir(state.path().join("config")).unwrap();
        let path = |name: &str| state.path().join(name).display().to_string();
        let mut all: Vec<(String, String)> = [
            ("OIDC_ISSUER", issuer.clone()),
            ("BFF_BASE_URL", origin.clone()),
            ("BFF_CONFIG_DIR", path("config")),
            ("BFF_JWT_SIGNING_KEY", path("keys/bff-signing.pem")),
            ("BFF_KEY_TYPE", "p-256".to_owned()),
            ("DCR_CLIENT_ID", "bff-server".to_owned()),
            ("DCR_CLIENT_PROFILE", "code-flow-pkjwt".to_owned()),
            ("DCR_REDIRECT_URIS", format!("{origin}/auth/callback")),
            // The IdP does not know who has signed the certificate.
            ("DCR_JWKS_URI", format!("http://{address}/.well-known/jwks.json")),
            ("DCR_IAT", iat),
            ("SESSION_STORE", "memory".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        all.extend(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let environment: Environment = all.into_iter().collect();
        let (config, _) = Config::load(&environment).unwrap_or_else(|error| panic!("{error}"));
        let ports = Ports {
            clock: Arc::new(clock.clone()),
            random: Arc::new(SystemRandom),
            ..Ports::default()
        };
        let app = App::new(config, ports)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let health = app.health().clone();
        let listeners = Listeners {
            public,
            internal: None,
            admin: None,
        };
        tokio::spawn(app.run(listeners, shutdown.clone()));
        let running = Self {
            origin,
            issuer,
            clock,
            address,
            shutdown,
            _state: state,
        };
        for _ in 0..600 {
            if health.report().ready {
                return running;
            }
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        panic!("the bff does not become ready: {:?}", health.report());
    }

    /// The answer of `/auth/session` to another client with stolen `cookies`.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is not the server, whose rules these are"
    )]
    pub async fn as_thief(&self, cookies: &str, headers: &[(&str, &str)]) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let host = self.origin.trim_start_matches("https://");
        let mut request = client
            .get(format!("http://{}/auth/session", self.address))
            .header("host", host)
            .header("cookie", cookies);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Terminates TLS, and forwards everything unchanged.
async fn end_tls(listener: TcpListener, to: SocketAddr) {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A browser opens connections in advance, and drops some of them.
            let Ok(mut inside) = acceptor.accept(stream).await else {
                return;
            };
            let Ok(mut outside) = TcpStream::connect(to).await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        });
    }
}
