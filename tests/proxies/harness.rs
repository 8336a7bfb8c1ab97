//! A proxy in front of a whole stack.

use std::net::SocketAddr;

use http::{HeaderMap, Method};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    proxy::Proxy,
    recipe::recipe,
    support::{
        Browser, Port, Reply, Stack,
        web_socket::{Echo, Socket, cookie},
    },
    traefik::Traefik,
};

/// The host that browsers ask for.
const HOST: &str = "automate.localhost";

/// The proxy in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    Haproxy,
    Traefik,
    Envoy,
}

/// A stack behind a proxy.
pub struct Harness {
    /// The server, the IdP, the API.
    pub stack: Stack,
    /// A service that takes WebSockets.
    pub echo: Echo,
    /// The origin that browsers see.
    pub origin: String,
    port: Port,
    _proxy: Running,
}

/// Held for as long as it has to run.
#[expect(dead_code, reason = "both end when they are dropped")]
enum Running {
    Process(Proxy),
    Here(Traefik),
}

/// Below the path that the recipes guard: a public path and one with a demand that nobody meets. Beside it, WebSockets
/// and streams.
const ROUTES: &str = r#"
services:
  api: { base_url: "{api}" }
  live: { base_url: "{live}" }
routes:
  - { id: live, path: "/live/*", target_service: live, websocket: true }
  - { id: stream, path: "/stream/*", target_service: api, streaming: true }
  - { id: api, path: "/api/*", target_service: api, upstream_path: "/v1/{path}" }
  - { id: public, path: "/api/crud/public/*", target_service: api, preserve_path: true, auth: none, methods: [GET] }
  - { id: scoped, path: /api/crud/scoped, target_service: api, preserve_path: true, required_scopes: [orders.write] }
"#;

/// The header fields of a browser when a person opens a page.
pub const PAGE: [(&str, &str); 3] = [
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html,*/*;q=0.8"),
];

// === impl Harness ===

impl Harness {
    /// The proxy forwards calls to the API by itself and asks before each.
    pub async fn asks(kind: Kind) -> Self {
        Self::start(async move |stack: &Stack, port: &Port| {
            let address = port.address();
            let listen = format!("listen {address};");
            let site = format!("http://{HOST}:{} {{", address.port());
            let bff = stack.address.to_string();
            let (bff_url, api_url) = (format!("http://{bff}"), stack.api.url());
            let api = api_url.strip_prefix("http://").unwrap();
            match kind {
                Kind::Nginx => {
                    let replacements = [
                        ("listen 443 ssl;", listen.as_str()),
                        ("automate.example", HOST),
                        ("http://bff:8000", &bff_url),
                        ("http://crud:8080", &api_url),
                    ];
                    Running::Process(Proxy::nginx(address, &recipe("nginx-asks", &replacements)).await)
                }
                Kind::Caddy => {
                    let replacements = [
                        ("automate.example {", site.as_str()),
                        ("bff:8000", &bff),
                        ("crud:8080", api),
                    ];
                    Running::Process(Proxy::caddy(address, &recipe("caddy-asks", &replacements)).await)
                }
                Kind::Envoy => {
                    let (bff_at, api_at) = (socket(stack.address), socket(api.parse().unwrap()));
                    let (listen, domain) = (socket(address), format!("[\"{HOST}:{}\"]", address.port()));
                    let replacements = [
                        ("{ address: 0.0.0.0, port_value: 443 }", listen.as_str()),
                        ("[automate.example]", &domain),
                        ("http://bff:8000", &bff_url),
                        ("{ address: bff, port_value: 8000 }", &bff_at),
                        ("{ address: crud, port_value: 8080 }", &api_at),
                    ];
                    Running::Process(Proxy::envoy(address, &recipe("envoy-asks", &replacements)).await)
                }
                Kind::Haproxy => panic!("HAProxy cannot ask"),
                Kind::Traefik => {
                    let recipe = recipe("traefik-asks", &[("http://bff:8000", &bff_url)]);
                    Running::Here(Traefik::start(port.held().listen(), &recipe, &bff_url, &api_url))
                }
            }
        })
        .await
    }

    /// The proxy passes everything on to the server.
    pub async fn passes(kind: Kind, change: impl Fn(&str) -> String) -> Self {
        Self::start(async move |stack: &Stack, port: &Port| {
            let address = port.address();
            let listen = format!("listen {address};");
            let site = format!("http://{HOST}:{} {{", address.port());
            let bff = stack.address.to_string();
            let hosts = "bff.example automate.example authn.example";
            Running::Process(match kind {
                Kind::Nginx => {
                    let replacements = [
                        ("listen 443 ssl;", listen.as_str()),
                        (hosts, HOST),
                        ("bff:8000", &bff),
                    ];
                    Proxy::nginx(address, &change(&recipe("nginx-passes", &replacements))).await
                }
                Kind::Caddy => {
                    let hosts = format!("{} {{", hosts.replace(' ', ", "));
                    let replacements = [(hosts.as_str(), site.as_str()), ("bff:8000", &bff)];
                    Proxy::caddy(address, &change(&recipe("caddy-passes", &replacements))).await
                }
                Kind::Haproxy => {
                    let bind = format!("bind {address}\n");
                    let replacements = [
                        (
                            "bind :443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1\n",
                            bind.as_str(),
                        ),
                        ("bff:8000", &bff),
                    ];
                    Proxy::haproxy(address, &change(&recipe("haproxy-passes", &replacements))).await
                }
                Kind::Traefik | Kind::Envoy => panic!("{kind:?} is here only where it asks"),
            })
        })
        .await
    }

    async fn start(proxy: impl AsyncFnOnce(&Stack, &Port) -> Running) -> Self {
        let port = Port::reserve();
        let origin = format!("http://{HOST}:{}", port.address().port());
        let base_url = origin.clone();
        let echo = Echo::start().await;
        let stack = Stack::builder()
            .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
            .routes(&ROUTES.replace("{live}", &echo.url()))
            .variables(move |variables, _| {
                let port = variables
                    .iter()
                    .find(|(name, _)| name == "PORT")
                    .unwrap()
                    .1
                    .clone();
                // The IdP reads it when the proxy is not up yet, and knows no names.
                let keys = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
                variables.retain(|(name, _)| !matches!(name.as_str(), "BFF_BASE_URL" | "DCR_REDIRECT_URIS"));
                variables.push(("DCR_JWKS_URI".to_owned(), keys));
                variables.push((
                    "DCR_REDIRECT_URIS".to_owned(),
                    format!("{base_url}/auth/callback"),
                ));
                variables.push(("BFF_BASE_URL".to_owned(), base_url));
            })
            .start()
            .await;
        let proxy = proxy(&stack, &port).await;
        Self {
            stack,
            echo,
            origin,
            port,
            _proxy: proxy,
        }
    }

    /// A fresh browser of Ada.
    pub fn browser(&self) -> Browser {
        Browser::new("ada", &self.origin)
    }

    /// A WebSocket of `browser`, from a page of the application.
    pub async fn web_socket(&self, browser: &Browser, path: &str) -> Socket {
        let cookie = cookie(browser);
        let host = self.origin.strip_prefix("http://").unwrap();
        let fields = [
            ("host", host),
            ("cookie", cookie.as_str()),
            ("origin", &self.origin),
        ];
        Socket::open(self.port.address(), path, &fields).await
    }

    /// Sends a WebSocket handshake from a page of `origin`; the status of the answer.
    pub async fn handshake(&self, browser: &Browser, path: &str, origin: &str) -> u16 {
        let cookie = browser.session_cookie().unwrap_or_default();
        let host = self.origin.strip_prefix("http://").unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: {origin}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Cookie: __Host-Http-bff_session={cookie}\r\n\r\n"
        );
        let mut connection = TcpStream::connect(self.port.address()).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut piece = [0; 1024];
            match connection.read(&mut piece).await.unwrap() {
                0 => break,
                length => answer.extend_from_slice(&piece[..length]),
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {answer}"))
    }
}

/// An address as Envoy writes it.
fn socket(address: SocketAddr) -> String {
    format!("{{ address: {}, port_value: {} }}", address.ip(), address.port())
}

/// Sends a request with exactly these fields beside the cookies, and keeps the cookies of the answer.
pub async fn send(browser: &Browser, method: Method, target: &str, fields: &[(&'static str, &str)]) -> Reply {
    let mut request = browser.request(Method::GET, target).build().unwrap();
    *request.method_mut() = method;
    let headers: &mut HeaderMap = request.headers_mut();
    for (name, value) in fields {
        headers.insert(*name, value.parse().unwrap());
    }
    browser.execute(request).await
}
