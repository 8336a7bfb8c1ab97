//! Sessions that are bound to the browser and its network.

use http::{Method, StatusCode, header};
use serde_json::json;

use crate::support::{Browser, Reply, Stack};

const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/146.0.0.0 Safari/537.36";
const NEWER_CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/151.0.10.2 Safari/540.1";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const HOME: &str = "192.0.2.17";
const SAME_NETWORK: &str = "::ffff:192.0.2.200";
const ELSEWHERE: &str = "198.51.100.1";

/// The origin of a request: browser and address.
type From<'a> = (&'a str, &'a str);

async fn stack(binding: &str) -> Stack {
    Stack::builder()
        .set("SESSION_BINDING", binding)
        .set("BFF_TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await
}

async fn ask(browser: &Browser, method: Method, path: &str, from: From<'_>, more: &[(&str, &str)]) -> Reply {
    let mut request = browser
        .request(method, path)
        .header(header::USER_AGENT, from.0)
        .header("x-forwarded-for", from.1);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    browser.send(request).await
}

async fn get(browser: &Browser, path: &str, from: From<'_>) -> Reply {
    ask(browser, Method::GET, path, from, &[]).await
}

async fn log_in(browser: &Browser, from: From<'_>) {
    let callback = browser.authorize("/auth/login").await;
    let reply = get(browser, &callback, from).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

async fn is_logged_in(browser: &Browser, from: From<'_>) -> bool {
    get(browser, "/auth/session?touch=false", from).await.json()["authenticated"] == true
}

#[tokio::test]
async fn a_session_goes_on_from_its_own_browser_and_network() {
    let stack = stack("ua+ip").await;
    let browser = stack.browser();
    log_in(&browser, (CHROME, HOME)).await;
    for from in [(CHROME, HOME), (NEWER_CHROME, HOME), (CHROME, SAME_NETWORK)] {
        assert!(is_logged_in(&browser, from).await, "{from:?}");
        assert_eq!(
            get(&browser, "/api/x", from).await.status,
            StatusCode::OK,
            "{from:?}"
        );
        assert_eq!(
            get(&browser, "/auth/verify", from).await.status,
            StatusCode::OK,
            "{from:?}"
        );
    }
}

/// The session stays.
#[tokio::test]
async fn attack_53_a_request_from_elsewhere_is_anonymous() {
    for (binding, refused, taken) in [
        ("ua", (FIREFOX, HOME), (CHROME, ELSEWHERE)),
        ("ip", (CHROME, ELSEWHERE), (FIREFOX, HOME)),
    ] {
        let stack = stack(binding).await;
        let browser = stack.browser();
        log_in(&browser, (CHROME, HOME)).await;
        let answer = get(&browser, "/auth/session", refused).await.json();
        assert_eq!(
            answer,
            json!({ "authenticated": false, "reason": "session_binding" })
        );
        let seen = stack.api.calls().len();
        for path in ["/api/x", "/auth/verify", "/auth/csrf"] {
            let reply = get(&browser, path, refused).await;
            assert_eq!(
                reply.refusal(),
                (401, "session_binding".to_owned()),
                "{binding} {path}"
            );
        }
        assert_eq!(stack.api.calls().len(), seen, "nothing is passed on");
        // A person goes to the login, and comes back.
        let page = ask(
            &browser,
            Method::GET,
            "/api/x",
            refused,
            &[("accept", "text/html")],
        )
        .await;
        assert_eq!(page.status, StatusCode::FOUND);
        assert!(page.location().starts_with("/auth/login"), "{}", page.location());

        assert!(is_logged_in(&browser, (CHROME, HOME)).await);
        assert!(is_logged_in(&browser, taken).await, "{binding}");
    }
}

#[tokio::test]
async fn attack_53_a_stolen_cookie_logs_nobody_out() {
    let stack = stack("ip").await;
    let person = stack.browser();
    log_in(&person, (CHROME, HOME)).await;
    let thief = Browser::new("grace", &stack.origin(0));
    let steal = || {
        for (name, value) in person.cookies(person.origin()) {
            thief.set_cookie(&name, &value);
        }
    };
    let there = (CHROME, ELSEWHERE);

    steal();
    let reply = ask(&thief, Method::POST, "/auth/logout", there, &[]).await;
    assert_eq!(reply.refusal(), (403, "csrf_token".to_owned()));
    let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")];
    let reply = ask(&thief, Method::GET, "/auth/logout", there, &own).await;
    assert_eq!(
        reply.status,
        StatusCode::UNAUTHORIZED,
        "it does not say that anything has ended"
    );
    assert!(reply.set_cookies().is_empty());
    let reply = ask(&thief, Method::GET, "/auth/logout?csrf=wrong", there, &own).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(is_logged_in(&person, (CHROME, HOME)).await);

    // Neither a login that would take the place of the session.
    steal();
    log_in(&thief, there).await;
    assert!(is_logged_in(&thief, there).await);
    assert!(is_logged_in(&person, (CHROME, HOME)).await);
}

#[tokio::test]
async fn a_person_who_has_changed_networks_can_still_log_out() {
    let stack = stack("ip").await;
    let browser = stack.browser();
    log_in(&browser, (CHROME, HOME)).await;
    let token = get(&browser, "/auth/csrf", (CHROME, HOME)).await.json()["csrf_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let session = browser.session_cookie().unwrap();
    let more = [("x-csrf-token", &*token), ("accept", "application/json")];
    let reply = ask(&browser, Method::POST, "/auth/logout", (CHROME, ELSEWHERE), &more).await;
    assert_eq!(reply.status, StatusCode::OK);
    browser.set_cookie("__Host-Http-bff_session", &session);
    assert!(!is_logged_in(&browser, (CHROME, HOME)).await, "it has ended");

    // The same by a link with the token.
    let browser = stack.browser();
    log_in(&browser, (CHROME, HOME)).await;
    let token = get(&browser, "/auth/csrf", (CHROME, HOME)).await.json()["csrf_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let session = browser.session_cookie().unwrap();
    let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")];
    let link = format!("/auth/logout?csrf={token}");
    let reply = ask(&browser, Method::GET, &link, (CHROME, ELSEWHERE), &own).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    browser.set_cookie("__Host-Http-bff_session", &session);
    assert!(!is_logged_in(&browser, (CHROME, HOME)).await, "it has ended");
}

#[tokio::test]
async fn what_a_stranger_says_of_an_address_counts_for_nothing() {
    let stack = Stack::builder().set("SESSION_BINDING", "ip").start().await;
    let browser = stack.browser();
    log_in(&browser, (CHROME, HOME)).await;
    // All of them come from this machine.
    assert!(is_logged_in(&browser, (CHROME, ELSEWHERE)).await);
}

#[tokio::test]
async fn sessions_from_before_the_setting_go_on() {
    let mut stack = Stack::builder()
        .set("SESSION_STORE", "disk")
        .set("BFF_TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    let browser = stack.browser();
    log_in(&browser, (CHROME, HOME)).await;
    stack.restart_with(&[("SESSION_BINDING", "ua+ip")]).await;
    assert!(is_logged_in(&browser, (FIREFOX, ELSEWHERE)).await);
    log_in(&browser, (CHROME, HOME)).await;
    assert!(!is_logged_in(&browser, (CHROME, ELSEWHERE)).await);
    // The binding survives a restart.
    stack.restart_with(&[]).await;
    assert!(!is_logged_in(&browser, (CHROME, ELSEWHERE)).await);
    assert!(is_logged_in(&browser, (NEWER_CHROME, SAME_NETWORK)).await);
}
