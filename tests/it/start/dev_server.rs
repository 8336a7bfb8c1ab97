//! `docs/dev-server.md`: the page of a dev server of one's own, in the three ways that it names.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
    routing::get,
};
use devstack::{
    command::Page,
    stack::{Options, Overrides, Stack},
};
use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::{Browser, http_client, pause};

const DOCUMENT: &str = include_str!("../../../docs/dev-server.md");

/// A dev server and the development stack with `--page` and its origin.
struct Running {
    /// The origin of the dev server.
    page: String,
    /// The origin of the bff.
    bff: String,
    shutdown: CancellationToken,
    _state: TempDir,
}

/// The target to which the dev server forwards `/auth` and `/api`, once it is known.
type Target = Arc<Mutex<Option<String>>>;

// === impl Running ===

impl Running {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let page = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let target = Target::default();
        let dev_server = Router::new()
            .route("/", get(async || "my page"))
            .route("/src/main.js", get(async || "// my script"))
            .fallback(pass_on)
            .with_state(Arc::clone(&target));
        tokio::spawn(async move { axum::serve(listener, dev_server).await });
        let url = Url::parse(&page).unwrap();
        let running = Self::start_with(page, Page::Server(url)).await;
        *target.lock() = Some(running.bff.clone());
        running
    }

    /// The stack with this page.
    async fn start_with(origin: String, page: Page) -> Self {
        bff::jose::install_crypto();
        let state = tempfile::tempdir().unwrap();
        let options = Options {
            state: state.path().to_owned(),
            access_token_lifetime: Duration::from_mins(10),
            ports: (0, 0),
        };
        let overrides = Overrides {
            page: Some(page),
            cors_origins: None,
        };
        let stack = Stack::prepare_with(options, overrides).await.unwrap();
        let port = Url::parse(&stack.origins[0]).unwrap().port().unwrap();
        let bff = format!("http://localhost:{port}");
        let health = stack.health();
        let shutdown = CancellationToken::new();
        tokio::spawn(stack.serve(shutdown.clone()));
        for _ in 0..10_000 {
            if health.report().ready {
                return Self {
                    page: origin,
                    bff,
                    shutdown,
                    _state: state,
                };
            }
            pause().await;
        }
        panic!("the bff does not become ready: {:?}", health.report());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The behaviour of `server.proxy` of Vite for an entry with only a `target`: it forwards everything unchanged,
/// including `Host`.
async fn pass_on(State(target): State<Target>, request: Request) -> Response {
    let target = target.lock().clone().unwrap();
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let answer = http_client()
        .request(head.method, format!("{target}{path}"))
        .headers(head.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}

/// Session, a read, a write with both proofs, and the logout; `server` is empty or the origin that is called.
async fn the_application_works(ada: &Browser, server: &str) {
    let session = ada.get(&format!("{server}/auth/session")).await;
    let session = session.json();
    assert_eq!(session["authenticated"], true, "{session}");
    let hello = ada.get(&format!("{server}/api/hello")).await;
    assert_eq!(hello.status, StatusCode::OK, "{}", hello.body);
    assert!(hello.body.contains("Ada"), "{}", hello.body);
    let token = session["csrf_token"].as_str().unwrap();
    let change = |path: &str, body: &'static str| {
        ada.request(Method::POST, &format!("{server}{path}"))
            .header("x-csrf-token", token)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body)
    };
    let note = ada.send(change("/api/notes", "{\"text\":\"a\"}")).await;
    assert!(note.status.is_success(), "{} {}", note.status, note.body);
    let out = ada.send(change("/auth/logout", "")).await;
    assert_eq!(out.status, StatusCode::OK, "{}", out.body);
    assert!(out.json()["logout_url"].as_str().is_some());
}

#[test]
fn the_document_names_what_is_tried_here() {
    for part in [
        "cargo run -p devstack -- --page http://localhost:5173",
        "\"/auth\": { target: \"http://localhost:8000\" }",
        "\"/api\": { target: \"http://localhost:8000\" }",
        "http://localhost:8000/auth/login?return_to=",
        "credentials: \"include\"",
        "DCR_REDIRECT_URIS",
        "CORS__ALLOW_ORIGINS=http://localhost:5173",
    ] {
        assert!(DOCUMENT.contains(part), "{part}");
    }
    // The short form of an entry would make Vite replace `Host`, and the login would end at the port of the bff.
    let entries = DOCUMENT.lines().filter(|line| line.starts_with("      \"/"));
    for entry in entries {
        assert!(
            entry.contains("{ target: ") && !entry.contains("changeOrigin"),
            "{entry}"
        );
    }
    let page = |number: usize| {
        let mut commands = DOCUMENT
            .lines()
            .filter(|line| line.starts_with("cargo run -p devstack -- "));
        let words: Vec<&str> = commands
            .nth(number)
            .unwrap()
            .split_ascii_whitespace()
            .skip(5)
            .collect();
        devstack::command::parse(&words).map(|parsed| parsed.page.unwrap())
    };
    let url = Url::parse("http://localhost:5173/").unwrap();
    assert_eq!(page(0).unwrap(), Page::Server(url));
    // The folder is not there.
    assert!(page(1).unwrap_err().to_string().contains("./dist"));
}

/// The page that a bundler has built, without its dev server.
#[tokio::test]
async fn the_bff_serves_a_folder() {
    let dist = tempfile::tempdir().unwrap();
    std::fs::write(dist.path().join("index.html"), "my built page").unwrap();
    std::fs::create_dir(dist.path().join("assets")).unwrap();
    std::fs::write(dist.path().join("assets/main.js"), "// my built script").unwrap();
    let folder = Page::Folder(dist.path().canonicalize().unwrap());
    let running = Running::start_with(String::new(), folder).await;
    let ada = Browser::new("ada", &running.bff);
    assert_eq!(ada.get("/").await.body, "my built page");
    let script = ada.get("/assets/main.js").await;
    assert_eq!(script.body, "// my built script");
    assert!(script.header("content-type").unwrap().contains("javascript"));
    // The router of the page decides.
    let request = ada
        .request(Method::GET, "/orders/7")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    assert_eq!(ada.send(request).await.body, "my built page");
    assert_eq!(ada.get("/assets/none.js").await.status, StatusCode::NOT_FOUND);
    let reply = ada.log_in_by("/auth/login?return_to=/").await;
    assert_eq!(reply.leads_on(), format!("{}/", running.bff), "{}", reply.body);
    the_application_works(&ada, "").await;
}

/// The settings for a bff without the development stack.
#[test]
fn the_settings_of_the_document_are_accepted() {
    let settings = DOCUMENT.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let is_variable = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        is_variable.then(|| (name.to_owned(), value.to_owned()))
    });
    let rest = [
        ("OIDC_ISSUER", "http://localhost:9000"),
        ("BFF_BASE_URL", "http://localhost:8000"),
        ("AUTH_CLIENT_ID", "bff-server"),
    ];
    let rest = rest.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment: bff::config::Environment = settings.chain(rest).collect();
    let (config, _) = bff::config::Config::load(&environment).unwrap();
    let login = config.login;
    for origins in [&login.own_origins, &login.return_origins, &login.cors_origins] {
        assert!(
            origins
                .iter()
                .any(|origin| origin.to_string() == "http://localhost:5173")
        );
    }
}

#[tokio::test]
async fn the_bff_in_front_of_the_dev_server() {
    let running = Running::start().await;
    let ada = Browser::new("ada", &running.bff);
    assert_eq!(ada.get("/").await.body, "my page");
    assert_eq!(ada.get("/src/main.js").await.body, "// my script");
    let reply = ada.log_in_by("/auth/login?return_to=/").await;
    assert_eq!(reply.leads_on(), format!("{}/", running.bff), "{}", reply.body);
    the_application_works(&ada, "").await;
}

#[tokio::test]
async fn the_dev_server_in_front_of_the_bff() {
    let running = Running::start().await;
    let ada = Browser::new("ada", &running.page);
    assert_eq!(ada.get("/").await.body, "my page");
    let reply = ada.log_in_by("/auth/login?return_to=/").await;
    assert_eq!(reply.leads_on(), format!("{}/", running.page), "{}", reply.body);
    the_application_works(&ada, "").await;
}

#[tokio::test]
async fn both_side_by_side() {
    let running = Running::start().await;
    let ada = Browser::new("ada", &running.page);
    let login = format!("{}/auth/login?return_to={}/", running.bff, running.page);
    let reply = ada.log_in_by(&login).await;
    assert_eq!(reply.leads_on(), format!("{}/", running.page), "{}", reply.body);
    // A script of the page may read the answers, with the session cookie sent along.
    let request = ada
        .request(Method::GET, &format!("{}/auth/session", running.bff))
        .header(header::ORIGIN, &running.page);
    let session = ada.send(request).await;
    assert_eq!(
        session.header("access-control-allow-origin"),
        Some(running.page.as_str())
    );
    assert_eq!(session.header("access-control-allow-credentials"), Some("true"));
    the_application_works(&ada, &running.bff).await;
}
