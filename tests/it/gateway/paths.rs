//! The path that is authorised is the path that the API receives.

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::support::{Stack, raw};

/// A request line with this target, from a browser that is logged in as `cookie` says.
async fn get(stack: &Stack, target: &str, cookie: &str) -> String {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: automate.localhost:{}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n",
        stack.address.port()
    );
    raw(stack.address, &request).await
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

#[tokio::test]
async fn attack_3_what_an_api_could_read_as_another_path_is_refused() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for target in [
        "/public/../api/hello",
        "/public/%2e%2e/api/hello",
        "/public/%2e./api/hello",
        "/public/..%2fapi/hello",
        "/public%2f..%2fapi/hello",
        "/public/..;/api/hello",
        "/public;/api/hello",
        "/public%3b/api/hello",
        "/public//api/hello",
        "//public/hello",
        "/public%23/../api/hello",
        "/api%23/public/hello",
        "/api/hello%3fx=/public/",
        "/public\\..\\api\\hello",
        "/public%5c..%5capi",
        "/public/%252e%252e/api/hello",
        "/public/%c0%ae%c0%ae/api",
        "/public/a%00",
        "/public/a%0d%0aX-User-ID:%20root",
        "/public/%",
        "/auth//login",
        "//auth/login",
        "/auth/./login",
        "/auth/%2e/login",
        "/api/../auth/login",
        "/api/%2e%2e/auth/session",
        "/api/..%2fauth/session",
        "/auth;x/login",
        "/health%2flive",
    ] {
        for cookie in ["", &cookie] {
            let answer = get(&stack, target, cookie).await;
            assert_eq!(status(&answer), 400, "{target}: {answer}");
            assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{target}");
        }
        if !target.contains('\\') {
            let answer = get(&stack, target, "").await;
            assert!(
                answer.contains("\"code\":\"ambiguous_path\""),
                "{target}: {answer}"
            );
        }
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_3_another_spelling_of_an_own_path_reaches_no_api() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for target in [
        "/%61uth/login",
        "/auth/%6cogin",
        "/auth/logi%6E",
        "/%68ealth",
        "/%2Ewell-known/jwks.json",
        "/.well-known/jwks%2ejson",
        "/api/%61uth/session",
        "/api/auth/s%65ssion",
        "/api/auth/logou%74",
    ] {
        let answer = get(&stack, target, &cookie).await;
        assert_eq!(status(&answer), 404, "{target}: {answer}");
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_3_a_query_or_a_fragment_is_no_path() {
    let stack = Stack::start().await;
    for (target, expected) in [
        ("/api/hello?x=/public/", None),
        ("/api/hello?/../../public/x", None),
        ("/api/hello#/public/x", None),
        ("/public/x?y=/../../api", Some("/public/x?y=/../../api")),
        // A fragment is not part of a request target: it is cut off before anything is decided.
        ("/public/x#/../../api", Some("/public/x")),
        ("/publi%63/x", Some("/public/x")),
    ] {
        let before = stack.api.calls().len();
        let answer = get(&stack, target, "").await;
        match expected {
            None => {
                assert_eq!(status(&answer), 401, "{target}: {answer}");
                assert_eq!(stack.api.calls().len(), before, "{target}");
            }
            Some(expected) => {
                assert_eq!(status(&answer), 200, "{target}: {answer}");
                assert_eq!(stack.api.last().target, expected);
            }
        }
    }
}

#[tokio::test]
async fn attack_41_no_spelling_of_a_closed_path_finds_an_open_route() {
    let stack = Stack::builder()
        .routes(
            "services:
  api:
    base_url: \"{api}\"
routes:
  - { id: public, path: /public/*, target_service: api, preserve_path: true, auth: none }
  - { id: private, path: /public/private/*, target_service: api, preserve_path: true }
",
        )
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for target in [
        "/public/Private/x",
        "/public/PRIVATE",
        "/public/%50rivate/x",
        "/public/private./x",
        "/public/private%20/x",
        "/public/private%2e%20/x",
        "/public/%EF%BD%90rivate/x",
        "/public/pr%C4%B1vate/x",
        "/public/open/%EF%BC%8E%EF%BC%8E/private/x",
    ] {
        for cookie in ["", &cookie] {
            let answer = get(&stack, target, cookie).await;
            assert_eq!(status(&answer), 400, "{target}: {answer}");
            assert!(
                answer.contains("\"code\":\"ambiguous_path\""),
                "{target}: {answer}"
            );
        }
    }
    assert!(stack.api.calls().is_empty());
    assert_eq!(status(&get(&stack, "/public/private/X", "").await), 401);
    assert_eq!(status(&get(&stack, "/public/private/X", &cookie).await), 200);
    assert_eq!(status(&get(&stack, "/public/Others", "").await), 200);
    assert_eq!(stack.api.last().target, "/public/Others");
}

#[tokio::test]
async fn targets_that_are_no_paths_are_refused() {
    let stack = Stack::start().await;
    for line in ["OPTIONS *", "CONNECT 127.0.0.1:80", "GET *", "GET api/hello"] {
        let request = format!("{line} HTTP/1.1\r\nHost: automate.localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(stack.address, &request).await;
        assert!((400..500).contains(&status(&answer)), "{line}: {answer}");
    }
    let long = format!("/public/{}", "a".repeat(9_000));
    assert_eq!(status(&get(&stack, &long, "").await), 400);
    assert!(stack.api.calls().is_empty());
}

/// For any path: a public route never yields anything but its own folder at the API, and without a session
/// nothing else is called at all.
#[tokio::test]
async fn attack_3_the_authorised_path_is_the_forwarded_path() {
    let stack = Stack::start().await;
    let pattern =
        "/(public|api|%70ublic|auth)(/|%2[eEfF]|%5[cC]|%25|%[0-9a-f]{2}|\\.|\\.\\.|[a-z~;?#]){0,12}";
    let paths = proptest::string::string_regex(pattern).unwrap();
    let mut runner = TestRunner::deterministic();
    for _ in 0..300 {
        let target = paths.new_tree(&mut runner).unwrap().current();
        let before = stack.api.calls().len();
        let answer = get(&stack, &target, "").await;
        let status = status(&answer);
        let calls = &stack.api.calls()[before..];
        match calls {
            [] => assert_ne!(status, 200, "{target}"),
            [call] => {
                let path = call.target.split('?').next().unwrap();
                assert!(
                    path == "/public" || path.starts_with("/public/"),
                    "{target}: {path}"
                );
                let url = url::Url::parse(&format!("http://api{path}")).unwrap();
                assert_eq!(url.path(), path, "{target}");
            }
            _ => panic!("{target}: called more than once"),
        }
        assert!((200..500).contains(&status), "{target}: {answer}");
    }
}
