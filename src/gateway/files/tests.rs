use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    gateway::{
        Around, Found as Route, Gateway, GatewayError, NormalPath, Options, Routes, TokenDefaults,
        loopback::logged_in,
    },
    telemetry::testing::Logs,
};

/// After all files that the tests make, and long before.
const FUTURE: u64 = 4_000_000_000;
const A_DATE: u64 = 1_700_000_000;

const SECRET: &str = "the-s3cret";

/// A folder `dist` with a page, and a secret beside it.
fn site() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("dist/assets/.git")).unwrap();
    fs::create_dir_all(at("dist/docs")).unwrap();
    fs::create_dir_all(at("dist/empty")).unwrap();
    fs::create_dir_all(at("dist/.well-known")).unwrap();
    fs::create_dir(at("keys")).unwrap();
    for (name, text) in [
        ("dist/index.html", "<h1>page</h1>"),
        ("dist/docs/index.html", "<h1>docs</h1>"),
        ("dist/assets/app.js", "plain"),
        ("dist/assets/app.js.br", "brotli"),
        ("dist/assets/app.js.gz", "gzipped"),
        ("dist/assets/.env", SECRET),
        ("dist/assets/.git/config", SECRET),
        ("dist/.well-known/security.txt", "Contact: x"),
        ("dist/caf\u{e9} 100%.txt", "name"),
        ("keys/key.pem", SECRET),
        ("secret.txt", SECRET),
    ] {
        fs::write(at(name), text).unwrap();
    }
    symlink("../secret.txt", at("dist/out.txt")).unwrap();
    symlink("..", at("dist/up")).unwrap();
    symlink("/", at("dist/root")).unwrap();
    symlink("/proc/self", at("dist/self")).unwrap();
    symlink("loop", at("dist/loop")).unwrap();
    symlink("assets/app.js", at("dist/in.js")).unwrap();
    symlink("/etc/hostname", at("dist/absolute")).unwrap();
    folder
}

const ROUTES: &str = "
services:
  page: { files: ./dist }
routes:
  - { id: page, path: /*, target_service: page, auth: none }
  - { id: assets, path: /assets/*, target_service: page, auth: none, preserve_path: true, cache_control: 'max-age=9, immutable' }
  - { id: under, path: /under/*, target_service: page, auth: none }
  - { id: about, path: /about, target_service: page, auth: none, upstream_path: /docs/ }
  - { id: mine, path: /mine/*, target_service: page }
  - { id: maybe, path: /maybe/*, target_service: page, auth: optional }
";

fn read(folder: &TempDir, yaml: &str, private: &Private) -> Result<Routes, String> {
    let around = Around {
        variables: &|_| None,
        folder: Some(folder.path()),
        private,
        unchecked: false,
        tokens: &TokenDefaults::NONE,
    };
    Routes::parse_with(yaml, &around).map_err(|error| error.to_string())
}

fn gateway(folder: &TempDir, yaml: &str) -> Gateway {
    let keys = Private::new(vec![folder.path().join("keys")], Vec::new());
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(FUTURE));
    Gateway::new(
        read(folder, yaml, &keys).unwrap(),
        Options::default(),
        Arc::new(clock),
    )
    .unwrap()
}

async fn asked(
    gateway: &Gateway,
    method: &Method,
    path: &str,
    fields: &[(header::HeaderName, &'static str)],
    with: (bool, Option<crate::gateway::SessionEnd>),
) -> Result<Response<Body>, FileError> {
    let table = gateway.table();
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    let path = NormalPath::parse(path).unwrap();
    let Route::Match(matched) = table.find("", &path, method) else {
        panic!("{path:?} has no route");
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, HeaderValue::from_static(value));
    }
    let request = FileRequest {
        method,
        headers: &headers,
        query,
        is_page: with.0,
        is_https: true,
        session_end: with.1,
    };
    gateway.file(matched, request).await
}

async fn get(
    gateway: &Gateway,
    path: &str,
    fields: &[(header::HeaderName, &'static str)],
) -> Result<Response<Body>, FileError> {
    asked(gateway, &Method::GET, path, fields, (false, None)).await
}

async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn field(answer: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_is_sent_with_what_a_cache_needs() {
    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    let file = File::options()
        .write(true)
        .open(folder.path().join("dist/index.html"))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(A_DATE))
        .unwrap();
    let answer = get(&gateway, "/index.html", &[]).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_LENGTH, "13"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::LAST_MODIFIED, "Tue, 14 Nov 2023 22:13:20 GMT"),
    ] {
        assert_eq!(field(&answer, name.clone()), Some(value), "{name}");
    }
    for name in [
        header::VARY,
        header::CONTENT_ENCODING,
        header::CONTENT_SECURITY_POLICY,
    ] {
        assert_eq!(field(&answer, name), None);
    }
    let tag = field(&answer, header::ETAG).unwrap().to_owned();
    assert_eq!(text(answer).await, "<h1>page</h1>");
    // Other bytes of the same length and date.
    fs::write(folder.path().join("dist/index.html"), "<h1>PAGE</h1>").unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(A_DATE))
        .unwrap();
    let answer = get(&gateway, "/index.html", &[]).await.unwrap();
    assert_ne!(field(&answer, header::ETAG).unwrap(), tag);
    // Dates that say nothing, or that are still to come.
    for seconds in [0, 1, 315_532_800, FUTURE + 10] {
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
        let answer = get(&gateway, "/index.html", &[]).await.unwrap();
        assert_eq!(field(&answer, header::LAST_MODIFIED), None, "{seconds}");
    }
}

#[tokio::test]
async fn paths_lead_to_files_as_routes_say() {
    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    for (path, expected) in [
        ("/", Ok("<h1>page</h1>")),
        ("/docs/", Ok("<h1>docs</h1>")),
        ("/docs/index.html", Ok("<h1>docs</h1>")),
        ("/assets/app.js", Ok("plain")),
        ("/under/docs/", Ok("<h1>docs</h1>")),
        ("/under/", Ok("<h1>page</h1>")),
        ("/about", Ok("<h1>docs</h1>")),
        ("/in.js", Ok("plain")),
        ("/caf%C3%A9%20100%25.txt", Ok("name")),
        ("/index.html/", Err(FileError::NotFound)),
        ("/empty/", Err(FileError::NotFound)),
        ("/empty", Err(FileError::NotFound)),
        ("/nothing", Err(FileError::NotFound)),
        ("/assets/", Err(FileError::NotFound)),
    ] {
        let answer = get(&gateway, path, &[]).await;
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(text(answer).await, expected, "{path}"),
            (answer, expected) => assert_eq!(answer.map(|_| ()), expected.map(|_| ()), "{path}"),
        }
    }
    let long = format!("/{}", "a".repeat(5000));
    assert_eq!(get(&gateway, &long, &[]).await.unwrap_err(), FileError::NotFound);
}

#[tokio::test]
async fn a_folder_gets_a_slash_by_a_relative_redirect() {
    let folder = site();
    fs::create_dir(folder.path().join("dist/a:b")).unwrap();
    fs::write(folder.path().join("dist/a:b/index.html"), "x").unwrap();
    let gateway = gateway(&folder, ROUTES);
    for (path, expected) in [
        ("/docs", "./docs/"),
        ("/docs?x=y", "./docs/?x=y"),
        ("/under", "./under/"),
        ("/under/docs", "./docs/"),
        ("/a:b", "./a:b/"),
    ] {
        let answer = get(&gateway, path, &[]).await.unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT, "{path}");
        assert_eq!(field(&answer, header::LOCATION), Some(expected), "{path}");
    }
}

#[tokio::test]
async fn the_fallback_answers_for_pages_alone() {
    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    for (path, is_page, found) in [
        ("/orders/7", true, true),
        ("/users/jane.doe", true, true),
        ("/orders/7", false, false),
        // A page in the place of a script would break the application without a word.
        ("/assets/gone.js", true, false),
        ("/logo.svg", true, false),
        ("/orders/7.html", true, true),
        ("/.env", true, false),
        ("/assets/.git/config", true, false),
    ] {
        let answer = asked(&gateway, &Method::GET, path, &[], (is_page, None)).await;
        match answer {
            Ok(answer) => {
                assert!(found, "{path}");
                assert_eq!(field(&answer, header::CACHE_CONTROL), Some("no-cache"));
                assert_eq!(text(answer).await, "<h1>page</h1>", "{path}");
            }
            Err(error) => assert!(!found && error == FileError::NotFound, "{path}"),
        }
    }
    // Not even on a route whose files never change.
    let answer = asked(&gateway, &Method::GET, "/assets/x", &[], (true, None))
        .await
        .unwrap();
    assert_eq!(field(&answer, header::CACHE_CONTROL), Some("no-cache"));
    let routes = ROUTES.replace("./dist", "./dist, fallback: docs/index.html");
    let gateway = self::gateway(&folder, &routes);
    let answer = asked(&gateway, &Method::GET, "/orders/7", &[], (true, None)).await;
    assert_eq!(text(answer.unwrap()).await, "<h1>docs</h1>");
    let routes = ROUTES.replace("./dist", "./dist, fallback: false");
    let gateway = self::gateway(&folder, &routes);
    let answer = asked(&gateway, &Method::GET, "/orders/7", &[], (true, None)).await;
    assert_eq!(answer.unwrap_err(), FileError::NotFound);
}

#[tokio::test]
async fn an_encoded_copy_is_sent_to_those_who_read_it() {
    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    let mut tags = Vec::new();
    for (accept, encoding, expected) in [
        ("gzip, br", Some("br"), "brotli"),
        ("gzip", Some("gzip"), "gzipped"),
        ("zstd", None, "plain"),
        ("identity", None, "plain"),
    ] {
        let answer = get(&gateway, "/assets/app.js", &[(header::ACCEPT_ENCODING, accept)])
            .await
            .unwrap();
        assert_eq!(field(&answer, header::CONTENT_ENCODING), encoding, "{accept}");
        assert_eq!(
            field(&answer, header::CONTENT_TYPE),
            Some("text/javascript; charset=utf-8")
        );
        assert_eq!(field(&answer, header::VARY), Some("accept-encoding"));
        assert_eq!(
            field(&answer, header::CACHE_CONTROL),
            Some("max-age=9, immutable")
        );
        tags.push(field(&answer, header::ETAG).unwrap().to_owned());
        assert_eq!(text(answer).await, expected, "{accept}");
    }
    assert_ne!(tags[0], tags[1]);
    assert_eq!(tags[2], tags[3]);
    // A copy alone is a file of its own.
    let answer = get(&gateway, "/assets/app.js.br", &[(header::ACCEPT_ENCODING, "br")])
        .await
        .unwrap();
    assert_eq!(field(&answer, header::CONTENT_ENCODING), None);
    assert_eq!(
        field(&answer, header::CONTENT_TYPE),
        Some("application/octet-stream")
    );
}

#[tokio::test]
async fn conditions_and_ranges_have_their_answers() {
    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    let answer = get(&gateway, "/index.html", &[]).await.unwrap();
    let tag: &'static str = field(&answer, header::ETAG).unwrap().to_owned().leak();
    let answer = get(&gateway, "/index.html", &[(header::IF_NONE_MATCH, tag)])
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(field(&answer, header::ETAG), Some(tag));
    assert_eq!(field(&answer, header::CACHE_CONTROL), Some("no-cache"));
    assert_eq!(field(&answer, header::CONTENT_LENGTH), None);
    assert_eq!(text(answer).await, "");
    let answer = get(&gateway, "/index.html", &[(header::RANGE, "bytes=4-7")])
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(field(&answer, header::CONTENT_RANGE), Some("bytes 4-7/13"));
    assert_eq!(field(&answer, header::CONTENT_LENGTH), Some("4"));
    assert_eq!(text(answer).await, "page");
    let refused = get(&gateway, "/index.html", &[(header::RANGE, "bytes=13-")]).await;
    assert_eq!(refused.unwrap_err(), FileError::NotSatisfiable { length: 13 });
    let refused = get(&gateway, "/index.html", &[(header::IF_MATCH, "\"other\"")]).await;
    assert_eq!(refused.unwrap_err(), FileError::PreconditionFailed);
    let answer = asked(&gateway, &Method::HEAD, "/index.html", &[], (false, None))
        .await
        .unwrap();
    assert_eq!(field(&answer, header::CONTENT_LENGTH), Some("13"));
    assert_eq!(text(answer).await, "");
}

/// A length that is no multiple of that of a piece.
const LARGE: usize = 300_001;

fn large(folder: &TempDir) -> Vec<u8> {
    let bytes: Vec<u8> = (0..LARGE).map(|at| u8::try_from(at % 251).unwrap()).collect();
    fs::write(folder.path().join("dist/large.bin"), &bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_large_file_comes_in_pieces() {
    let folder = site();
    let bytes = large(&folder);
    let gateway = gateway(&folder, ROUTES);
    let answer = get(&gateway, "/large.bin", &[]).await.unwrap();
    let tag = field(&answer, header::ETAG).unwrap().to_owned();
    let mut body = answer.into_body();
    let mut seen = Vec::new();
    while let Some(piece) = body.frame().await {
        let piece = piece.unwrap().into_data().unwrap();
        assert!(piece.len() <= 64 * 1024);
        seen.extend_from_slice(&piece);
    }
    assert!(seen == bytes);
    let answer = get(&gateway, "/large.bin", &[(header::RANGE, "bytes=70000-140000")])
        .await
        .unwrap();
    let part = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(part == bytes[70_000..=140_000]);
    // Another file in its place, of the same length and date.
    let modified = fs::metadata(folder.path().join("dist/large.bin"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(folder.path().join("dist/new"), vec![0; LARGE]).unwrap();
    let file = File::options()
        .write(true)
        .open(folder.path().join("dist/new"))
        .unwrap();
    file.set_modified(modified).unwrap();
    fs::rename(
        folder.path().join("dist/new"),
        folder.path().join("dist/large.bin"),
    )
    .unwrap();
    let answer = get(&gateway, "/large.bin", &[]).await.unwrap();
    assert_ne!(field(&answer, header::ETAG).unwrap(), tag);
}

#[tokio::test]
async fn a_file_that_shrinks_breaks_the_answer() {
    let folder = site();
    large(&folder);
    let gateway = gateway(&folder, ROUTES);
    let mut body = get(&gateway, "/large.bin", &[]).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    let file = File::options()
        .write(true)
        .open(folder.path().join("dist/large.bin"))
        .unwrap();
    file.set_len(10).unwrap();
    assert!(body.collect().await.is_err());
}

#[tokio::test]
async fn attack_48_a_download_of_a_file_ends_with_its_session() {
    use futures_util::FutureExt as _;

    let folder = site();
    large(&folder);
    let gateway = gateway(&folder, ROUTES);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let end_of_session = ended.map(|_| ()).boxed().shared();
    let answer = asked(
        &gateway,
        &Method::GET,
        "/mine/large.bin",
        &[],
        (false, Some(end_of_session)),
    )
    .await;
    let answer = answer.unwrap();
    assert_eq!(field(&answer, header::CACHE_CONTROL), Some("private, no-cache"));
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    end.send(()).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn attack_29_no_shared_cache_keeps_the_file_of_a_session() {
    use futures_util::FutureExt as _;

    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    let never = || Some(std::future::pending().boxed().shared());
    for (path, end, cache_control, vary) in [
        ("/mine/index.html", never(), "private, no-cache", None),
        ("/maybe/index.html", never(), "private, no-cache", None),
        ("/maybe/index.html", None, "no-cache", Some("cookie")),
    ] {
        let answer = asked(&gateway, &Method::GET, path, &[], (false, end))
            .await
            .unwrap();
        assert_eq!(
            field(&answer, header::CACHE_CONTROL),
            Some(cache_control),
            "{path}"
        );
        assert_eq!(field(&answer, header::VARY), vary, "{path}");
    }
}

#[tokio::test]
async fn a_call_never_goes_to_a_folder() {
    let folder = site();
    let gateway = gateway(&folder, ROUTES);
    let table = gateway.table();
    let path = NormalPath::parse("/index.html").unwrap();
    let Route::Match(matched) = table.find("", &path, &Method::GET) else {
        panic!();
    };
    let request = http::Request::get("/index.html").body(Body::empty()).unwrap();
    let refused = gateway.call(&table, matched, request, logged_in());
    assert_eq!(refused.err(), Some(GatewayError::BadGateway));
}

/// On both ways of opening.
fn contents(folder: &TempDir, path: &str) -> Vec<String> {
    let root = Root::open(&folder.path().join("dist")).unwrap();
    let Some(names) = names(path, true) else {
        return Vec::new();
    };
    let opened = [root.find(&names), root.step_by_step(&names)];
    let files = opened
        .into_iter()
        .flatten()
        .filter(|file| file.metadata().unwrap().is_file());
    files.map(|file| io::read_to_string(file).unwrap()).collect()
}

#[test]
fn attack_3_links_lead_nowhere_outside_the_folder() {
    let folder = site();
    for path in [
        "/out.txt",
        "/up/secret.txt",
        "/up/dist/index.html",
        "/root/etc/hostname",
        "/absolute",
        "/self/environ",
        "/self/root/etc/hostname",
        "/loop",
        "/up/keys/key.pem",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E%2Fsecret.txt",
        "/..%5csecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/.env",
        "/assets/%2eenv",
        "/assets/.git/config",
        "/assets/.well-known/x",
        "/x%00",
        "//etc/hostname",
        "",
        "secret.txt",
    ] {
        assert_eq!(contents(&folder, path), Vec::<String>::new(), "{path}");
    }
    // The kernel follows a link that stays in the folder; step by step, no link is followed.
    assert_eq!(contents(&folder, "/in.js"), ["plain"]);
    assert_eq!(contents(&folder, "/assets/app.js"), ["plain", "plain"]);
    assert_eq!(contents(&folder, "/.well-known/security.txt").len(), 2);
}

#[test]
fn a_link_that_leads_out_is_named_in_the_log() {
    let folder = site();
    let routes = read(&folder, ROUTES, &Private::default()).unwrap();
    let dist = routes.services()[0].folder().unwrap();
    let wishes = Wishes {
        path: "/out.txt".to_owned(),
        redirects: false,
        is_page: false,
        well_known: false,
    };
    let logs = Logs::capture();
    for _ in 0..3 {
        let found = dist.find(&wishes, &HeaderMap::new()).unwrap();
        assert!(matches!(found, Found::Nothing));
    }
    let text = logs.text();
    assert_eq!(
        text.matches("is a link that leads out of the folder").count(),
        1,
        "{text}"
    );
}

#[tokio::test]
async fn hidden_files_are_served_only_below_well_known() {
    let folder = site();
    let routes = format!(
        "{ROUTES}  - {{ id: known, path: /.well-known/*, target_service: page, auth: none, preserve_path: true }}\n"
    );
    let wide = gateway(&folder, ROUTES);
    let refused = get(&wide, "/.well-known/security.txt", &[]).await;
    assert_eq!(refused.unwrap_err(), FileError::NotFound);
    let named = gateway(&folder, &routes);
    let answer = get(&named, "/.well-known/security.txt", &[]).await.unwrap();
    assert_eq!(text(answer).await, "Contact: x");
    let refused = get(&named, "/.well-known/.env", &[]).await;
    assert_eq!(refused.unwrap_err(), FileError::NotFound);
}

#[tokio::test]
async fn a_named_pipe_holds_no_thread() {
    let folder = site();
    let pipe = folder.path().join("dist/pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let gateway = gateway(&folder, ROUTES);
    assert_eq!(
        get(&gateway, "/pipe", &[]).await.unwrap_err(),
        FileError::NotFound
    );
}

/// The link is the operator's; the check is made again when it leads elsewhere.
#[tokio::test]
async fn another_folder_in_its_place_is_checked_again() {
    let folder = site();
    fs::create_dir(folder.path().join("next")).unwrap();
    fs::write(folder.path().join("next/index.html"), "next").unwrap();
    let current = folder.path().join("current");
    let lead_to = |target: &str| {
        let _ = fs::remove_file(&current);
        symlink(target, &current).unwrap();
    };
    lead_to("dist");
    let gateway = gateway(&folder, &ROUTES.replace("./dist", "./current"));
    let page = async || get(&gateway, "/index.html", &[]).await;
    assert_eq!(text(page().await.unwrap()).await, "<h1>page</h1>");
    lead_to("next");
    assert_eq!(text(page().await.unwrap()).await, "next");
    for private in ["keys", "."] {
        lead_to(private);
        assert_eq!(
            get(&gateway, "/key.pem", &[]).await.unwrap_err(),
            FileError::Unavailable
        );
    }
    lead_to("gone");
    assert_eq!(page().await.unwrap_err(), FileError::Unavailable);
    lead_to("dist");
    assert_eq!(text(page().await.unwrap()).await, "<h1>page</h1>");
}

#[test]
fn a_folder_with_secrets_is_refused_with_its_line() {
    let folder = site();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("config/dist")).unwrap();
    fs::create_dir_all(at("keys/dist")).unwrap();
    symlink("keys", at("alias")).unwrap();
    let private = Private::new(
        vec![at("keys"), at("state/not/made/yet")],
        vec![at("config"), at("config/secret")],
    );
    let read = |files: &str| {
        let yaml = format!("services:\n  page:\n    files: {files}\n");
        read(&folder, &yaml, &private)
    };
    for files in ["./dist", "dist/", "config/dist", "dist/../dist"] {
        assert!(read(files).is_ok(), "{files}");
    }
    for (files, part) in [
        ("keys", "is in "),
        ("./keys/dist", "is in "),
        ("alias", "is in "),
        (".", "holds "),
        ("dist/..", "holds "),
        ("dist/up", "holds "),
        ("config", "holds "),
        ("/", "holds "),
        ("/proc/self", "is in /proc"),
        ("gone", "cannot be read: No such file"),
        ("secret.txt", "is no folder"),
    ] {
        let error = read(files).unwrap_err();
        assert!(error.starts_with("line 3, column 12: files `"), "{error}");
        assert!(error.contains(part), "{files}: {error}");
    }
}

#[test]
fn no_service_shows_a_file_that_another_one_names() {
    let folder = site();
    fs::write(folder.path().join("dist/ca.pem"), crate::tls::testing::CA).unwrap();
    let yaml = "services:\n  api: { base_url: 'https://a', ca_file: dist/ca.pem }\n  page: { files: dist }\n";
    let error = read(&folder, yaml, &Private::default()).unwrap_err();
    assert!(
        error.starts_with("line 3, column 3: this service would show "),
        "{error}"
    );
    let yaml = yaml.replace("files: dist", "files: dist/docs");
    assert!(read(&folder, &yaml, &Private::default()).is_ok());
}

/// The owner of this test may read everything if it is root.
#[test]
fn a_folder_without_rights_says_what_gives_them() {
    use std::os::unix::fs::PermissionsExt as _;

    if rustix::process::geteuid().is_root() {
        return;
    }
    let folder = site();
    let dist = folder.path().join("dist");
    fs::set_permissions(&dist, fs::Permissions::from_mode(0o600)).unwrap();
    let error = read(
        &folder,
        "services: { page: { files: dist } }",
        &Private::default(),
    )
    .unwrap_err();
    fs::set_permissions(&dist, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(error.contains("run `chmod u+x "), "{error}");
}

#[test]
fn each_mistake_with_files_is_named_with_its_fix() {
    let folder = site();
    let service = |keys: &str| format!("services:\n  page: {{ {keys} }}\n");
    for (yaml, expected) in [
        (
            service("files: dist, base_url: 'http://a'"),
            "service `page` has base_url, and files too; keep one",
        ),
        (
            service("files: dist, timeout: 3s"),
            "has timeout, which has no meaning for a folder; remove it",
        ),
        (service("files: dist, h2c: true"), "has h2c, which has no meaning"),
        (
            service("files: dist, headers: {}"),
            "has headers, which has no meaning",
        ),
        (
            service("files: ''"),
            "files `` of service `page` names no folder here",
        ),
        (service("files: [dist]"), "files of service `page` is a list"),
        (
            service("files: dist, fallback: gone.html"),
            "fallback of service `page`: `dist` has no such file",
        ),
        (
            service("files: dist, fallback: docs"),
            "fallback of service `page`: `dist` has no such file",
        ),
        (
            service("files: dist, fallback: ../secret.txt"),
            "fallback of service `page` is `../secret.txt`",
        ),
        (service("files: dist, fallback: out.txt"), "has no such file"),
        (
            service("files: dist, fallback: .env"),
            "fallback of service `page` is `.env`",
        ),
        (
            service("files: dist, fallback: [a]"),
            "fallback of service `page` is a list",
        ),
        (
            service("base_url: 'http://a', fallback: a"),
            "fallback of service `page` has no effect",
        ),
        (service("fallback: a"), "has no base_url; add the service's URL"),
    ] {
        let error = read(&folder, &yaml, &Private::default()).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
        assert!(error.starts_with("line "), "{error}");
    }
}

#[test]
fn each_mistake_with_routes_to_files_is_named_with_its_fix() {
    let folder = site();
    let route = |keys: &str| {
        format!(
            "services:\n  page: {{ files: dist }}\n  api: {{ base_url: 'http://a' }}\nroutes:\n  - {{ id: a, path: /a/*, target_service: {keys} }}\n"
        )
    };
    for (yaml, expected) in [
        (
            route("page, methods: [GET, POST]"),
            "route `a` has methods that change something",
        ),
        (
            route("page, methods: [OPTIONS]"),
            "route `a` has methods that change something",
        ),
        (
            route("page, streaming: true"),
            "streaming of route `a` has no meaning for files",
        ),
        (
            route("page, encoded_path: pass"),
            "encoded_path of route `a` has no meaning for files",
        ),
        (
            route("page, auth: none, csrf: false"),
            "csrf of route `a` has no meaning for files",
        ),
        (
            route("api, security_headers: true"),
            "security_headers of route `a` has no effect: its service is no folder",
        ),
        (
            route("page, security_headers: maybe"),
            "security_headers of route `a` is a single value",
        ),
        (
            route("page, security_headers: { csp: x }"),
            "has the unknown key `csp`",
        ),
        (
            route("page, security_headers: { referrer_policy: [a] }"),
            "referrer_policy in security_headers of route `a` is a list",
        ),
        (
            route("page, security_headers: { referrer_policy: \"a\\nb\" }"),
            "referrer_policy in security_headers of route `a` is `a",
        ),
        (
            route(
                "page, security_headers: { frame_ancestors: \"'self'\", content_security_policy: \"frame-ancestors 'none'\" }",
            ),
            "has frame_ancestors, and content_security_policy has them too",
        ),
    ] {
        let error = read(&folder, &yaml, &Private::default()).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
        assert!(error.starts_with("line "), "{error}");
    }
}

#[tokio::test]
async fn pages_are_protected_as_the_route_says() {
    let folder = site();
    let all = [
        "content-security-policy",
        "x-frame-options",
        "permissions-policy",
        "referrer-policy",
        "strict-transport-security",
    ];
    for (value, expected) in [
        ("false", [None; 5]),
        (
            "true",
            [
                Some(
                    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'self'; object-src 'none'; \
                     frame-ancestors 'none'",
                ),
                Some("DENY"),
                Some("camera=()"),
                Some("strict-origin-when-cross-origin"),
                Some("max-age=31536000"),
            ],
        ),
        (
            "{ content_security_policy: \"default-src 'none';\", frame_ancestors: \"'self'\", permissions_policy: false, referrer_policy: no-referrer, strict_transport_security: 'max-age=9' }",
            [
                Some("default-src 'none'; frame-ancestors 'self'"),
                Some("SAMEORIGIN"),
                None,
                Some("no-referrer"),
                Some("max-age=9"),
            ],
        ),
        (
            "{ content_security_policy: \"frame-ancestors https://portal.example\" }",
            [
                Some("frame-ancestors https://portal.example"),
                None,
                Some("camera=()"),
                Some("strict-origin-when-cross-origin"),
                Some("max-age=31536000"),
            ],
        ),
        (
            "{ content_security_policy: false, frame_ancestors: https://portal.example, permissions_policy: false, referrer_policy: false, strict_transport_security: false }",
            [
                Some("frame-ancestors https://portal.example"),
                None,
                None,
                None,
                None,
            ],
        ),
    ] {
        let routes = format!(
            "services:\n  page: {{ files: dist }}\nroutes:\n  - {{ id: p, path: /*, target_service: page, auth: none, security_headers: {value} }}\n"
        );
        let gateway = gateway(&folder, &routes);
        let answer = get(&gateway, "/index.html", &[]).await.unwrap();
        for (name, expected) in all.into_iter().zip(expected) {
            let found = answer.headers().get(name).map(|value| value.to_str().unwrap());
            match expected {
                Some("camera=()") => assert!(found.unwrap().contains("camera=()")),
                expected => assert_eq!(found, expected, "{value}: {name}"),
            }
        }
    }
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        Just("%2e%2e".to_owned()),
        Just("..%2f..".to_owned()),
        Just("..%5c".to_owned()),
        Just("%252e%252e".to_owned()),
        Just(".env".to_owned()),
        Just("up".to_owned()),
        Just("root".to_owned()),
        Just("self".to_owned()),
        Just("cwd".to_owned()),
        Just("keys".to_owned()),
        Just("key.pem".to_owned()),
        Just("assets".to_owned()),
        Just("app.js".to_owned()),
        Just("secret.txt".to_owned()),
        Just("out.txt".to_owned()),
        "[a-z./%\\x00]{0,6}",
    ]
}

proptest! {
    /// Whatever the path is, and whichever way the file is opened.
    #[test]
    fn attack_3_no_path_leaves_the_folder(segments in prop::collection::vec(segment(), 0..7)) {
        thread_local! {
            static SITE: TempDir = site();
        }
        let path = format!("/{}", segments.join("/"));
        SITE.with(|folder| {
            for text in contents(folder, &path) {
                let known = ["<h1>page</h1>", "<h1>docs</h1>", "plain", "brotli", "gzipped", "Contact: x", "name"];
                assert!(known.contains(&text.as_str()), "{path}: {text}");
            }
        });
    }
}

/// Somebody exchanges a folder for a link that leads out while files are opened.
#[test]
fn attack_50_a_folder_exchanged_for_a_link_opens_nothing() {
    let folder = site();
    let dist = folder.path().join("dist");
    fs::create_dir(dist.join("real")).unwrap();
    fs::write(dist.join("real/secret.txt"), "harmless").unwrap();
    symlink("..", dist.join("link")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (from, to) in [("real", "x"), ("x", "real"), ("link", "x"), ("x", "link")] {
                    fs::rename(dist.join(from), dist.join(to)).unwrap();
                }
            }
        });
        let root = Root::open(&dist).unwrap();
        let names = ["x".to_owned(), "secret.txt".to_owned()];
        for _ in 0..5000 {
            for file in [root.find(&names), root.step_by_step(&names)]
                .into_iter()
                .flatten()
            {
                assert_eq!(io::read_to_string(file).unwrap(), "harmless");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
