//! Static files through the server: who gets them, in which form, and which never.

use std::{fs, os::unix::fs::symlink};

use http::StatusCode;
use tempfile::TempDir;

use crate::support::{HOSTS, Stack, raw};

const SECRET: &str = "planted-s3cret";

const ROUTES: &str = r#"
services:
  page: { files: "{dist}" }
  api: { base_url: "{api}" }
routes:
  - { id: page, path: /*, target_service: page, auth: none, security_headers: true }
  - { id: assets, path: /assets/*, target_service: page, auth: none, preserve_path: true, cache_control: "public, max-age=31536000, immutable" }
  - { id: members, path: /members/*, target_service: page, preserve_path: true }
  - { id: api, path: /api/*, target_service: api }
  - { id: hook, path: /hook, target_service: api, methods: [POST], auth: none, csrf: false }
"#;

/// A folder of files, and a server that serves them beside an API.
async fn stack() -> (TempDir, Stack) {
    let site = tempfile::tempdir().unwrap();
    let at = |name: &str| site.path().join(name);
    for folder in ["dist/assets", "dist/members"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (name, text) in [
        ("dist/index.html", "<h1>the page</h1>"),
        ("dist/members/index.html", "<h1>members</h1>"),
        ("dist/assets/app.js", "plain"),
        ("dist/assets/app.js.br", "brotli"),
        ("dist/.env", SECRET),
        ("secret", SECRET),
    ] {
        fs::write(at(name), text).unwrap();
    }
    symlink("../secret", at("dist/link")).unwrap();
    symlink("..", at("dist/up")).unwrap();
    let dist = at("dist").display().to_string();
    let stack = Stack::builder()
        .routes(&ROUTES.replace("{dist}", &dist))
        .start()
        .await;
    (site, stack)
}

/// The head and the body of the answer to a request of these lines.
async fn ask(stack: &Stack, lines: &str) -> (String, String) {
    let (first, others) = lines.split_once('\n').unwrap_or((lines, ""));
    let others = others.replace('\n', "\r\n");
    let end = if others.is_empty() { "" } else { "\r\n" };
    let port = stack.address.port();
    let request = format!(
        "{first} HTTP/1.1\r\nHost: {}:{port}\r\nConnection: close\r\n{others}{end}\r\n",
        HOSTS[0]
    );
    let answer = raw(stack.address, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn one_server_has_a_page_its_api_and_its_login() {
    let (_site, stack) = stack().await;
    let (head, body) = ask(&stack, "GET /").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, "<h1>the page</h1>");
    for field in [
        "content-type: text/html; charset=utf-8",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'self'",
        "x-frame-options: deny",
        "cache-control: no-cache",
        "etag: \"",
        "last-modified: ",
        "x-correlation-id: ",
    ] {
        assert!(head.contains(&format!("\r\n{field}")), "{field}: {head}");
    }
    // The server of the tests speaks plain HTTP.
    assert!(!head.contains("strict-transport-security"), "{head}");
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
    assert_eq!(ada.get("/auth/session").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_of_the_application_has_one_document() {
    let (_site, stack) = stack().await;
    let page = "\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document";
    let (head, body) = ask(&stack, &format!("GET /orders/7{page}")).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, "<h1>the page</h1>");
    let (_, body) = ask(&stack, "GET /orders/7\nAccept: text/html").await;
    assert_eq!(body, "<h1>the page</h1>");
    for lines in [
        "GET /orders/7",
        "GET /orders/7\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty",
        "GET /assets/gone.js\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: script",
        &format!("GET /assets/gone.js{page}"),
        &format!("GET /favicon.ico{page}"),
    ] {
        let (head, body) = ask(&stack, lines).await;
        assert!(head.starts_with("http/1.1 404 "), "{lines}: {head}");
        assert!(!body.contains("the page"), "{lines}");
    }
}

#[tokio::test]
async fn attack_3_no_request_reads_a_file_outside_the_folder() {
    let (_site, stack) = stack().await;
    for path in [
        "/../secret",
        "/assets/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/..%5csecret",
        "/..\\secret",
        "/%252e%252e/secret",
        "/%c0%ae%c0%ae/secret",
        "/.%00/secret",
        "/secret%00.js",
        "//secret",
        "/link",
        "/up/secret",
        "/.env",
        "/%2eenv",
        "/.env/",
        "/assets/..;/.env",
        "/.ENV",
        "/assets%2f..%2f.env",
        "/dist/../.env",
    ] {
        for others in ["", "\nAccept: text/html", "\nRange: bytes=0-100"] {
            let (head, body) = ask(&stack, &format!("GET {path}{others}")).await;
            let is_refused = head.starts_with("http/1.1 400 ") || head.starts_with("http/1.1 404 ");
            let is_page = body == "<h1>the page</h1>" && others.contains("html");
            assert!(is_refused || is_page, "{path}{others}: {head}");
            assert!(!body.contains(SECRET), "{path}");
        }
    }
}

#[tokio::test]
async fn a_file_is_asked_for_again_and_in_parts() {
    let (_site, stack) = stack().await;
    let (head, _) = ask(&stack, "GET /assets/app.js").await;
    let tag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    assert!(
        head.contains("cache-control: public, max-age=31536000, immutable"),
        "{head}"
    );
    assert!(head.contains("vary: accept-encoding"), "{head}");
    let (head, body) = ask(&stack, &format!("GET /assets/app.js\nIf-None-Match: {tag}")).await;
    assert!(head.starts_with("http/1.1 304 "), "{head}");
    assert_eq!(body, "");
    let (head, body) = ask(&stack, "GET /assets/app.js\nRange: bytes=1-2").await;
    assert!(
        head.starts_with("http/1.1 206 ") && head.contains("content-range: bytes 1-2/5"),
        "{head}"
    );
    assert_eq!(body, "la");
    let (head, body) = ask(
        &stack,
        &format!("GET /assets/app.js\nRange: bytes=1-2\nIf-Range: {tag}"),
    )
    .await;
    assert!(head.starts_with("http/1.1 206 ") && body == "la", "{head}");
    let (head, body) = ask(
        &stack,
        "GET /assets/app.js\nRange: bytes=1-2\nIf-Range: \"other\"",
    )
    .await;
    assert!(head.starts_with("http/1.1 200 ") && body == "plain", "{head}");
    let (head, body) = ask(&stack, "GET /assets/app.js\nRange: bytes=5-").await;
    assert!(
        head.starts_with("http/1.1 416 ") && head.contains("content-range: bytes */5"),
        "{head}"
    );
    assert!(body.contains("range_not_satisfiable"), "{body}");
    let (head, body) = ask(&stack, "GET /assets/app.js\nIf-Match: \"other\"").await;
    assert!(
        head.starts_with("http/1.1 412 ") && body.contains("precondition_failed"),
        "{head}"
    );
    let (head, body) = ask(&stack, "GET /assets/app.js\nAccept-Encoding: gzip, br").await;
    assert!(
        head.contains("content-encoding: br") && body == "brotli",
        "{head}"
    );
    let (head, body) = ask(&stack, "HEAD /assets/app.js").await;
    assert!(
        head.starts_with("http/1.1 200 ") && head.contains("content-length: 5"),
        "{head}"
    );
    assert_eq!(body, "");
}

#[tokio::test]
async fn a_folder_takes_no_other_method() {
    let (_site, stack) = stack().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let (head, body) = ask(&stack, &format!("{method} /assets/app.js\nContent-Length: 0")).await;
        assert!(
            head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"),
            "{head}"
        );
        assert!(body.contains("method_not_allowed"), "{body}");
    }
}

#[tokio::test]
async fn attack_18_files_of_a_session_need_the_session() {
    let (_site, stack) = stack().await;
    let (head, body) = ask(&stack, "GET /members/").await;
    assert!(head.starts_with("http/1.1 401 "), "{head}");
    assert!(!body.contains("members"), "{body}");
    let (head, _) = ask(
        &stack,
        "GET /members/\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document",
    )
    .await;
    assert!(
        head.starts_with("http/1.1 303 ") || head.starts_with("http/1.1 302 "),
        "{head}"
    );
    assert!(
        head.contains("location: /auth/login?return_to=%2fmembers%2f"),
        "{head}"
    );
    let ada = stack.browser();
    ada.log_in().await;
    let answer = ada.get("/members/").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "<h1>members</h1>")
    );
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
}

/// Sent from the disk in pieces.
#[tokio::test]
async fn a_large_file_arrives_whole() {
    const LENGTH: usize = 40 * 1024 * 1024 + 1;

    let (site, stack) = stack().await;
    let bytes: Vec<u8> = (0..LENGTH).map(|at| u8::try_from(at % 251).unwrap()).collect();
    fs::write(site.path().join("dist/large.bin"), &bytes).unwrap();
    let client = crate::support::http_client();
    let url = format!("http://{}:{}/large.bin", HOSTS[0], stack.address.port());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(LENGTH as u64));
    assert!(answer.bytes().await.unwrap() == bytes);
}
