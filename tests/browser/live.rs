//! Connections that a page keeps open: a WebSocket and server-sent events of an API, and their end with the session.

use serde_json::Value;

use super::{
    chromium::{until, with_browser},
    person::log_in,
    webdriver::Driver,
};

/// Opens both, and notes what comes.
const OPEN: &str = r#"
window.seen = { echo: [], ticks: 0, code: 0, broken: false, opened: false };
const socket = new WebSocket("/api/echo");
socket.onopen = () => { window.seen.opened = true; socket.send("hello"); socket.send("x".repeat(5000)); };
socket.onmessage = ({ data }) => window.seen.echo.push(data.length);
socket.onclose = ({ code, reason }) => { window.seen.code = code; window.seen.reason = reason; };
const ticks = new EventSource("/api/ticks");
ticks.onmessage = () => window.seen.ticks++;
ticks.onerror = () => { window.seen.broken = true; ticks.close(); };
arguments[arguments.length - 1](true);
"#;

/// Ends the session as a script of the page can, which follows no redirect.
const LOG_OUT: &str = r#"
window.session = fetch("/auth/session").then((answer) => answer.json()).then(({ csrf_token }) =>
    fetch("/auth/logout", { method: "POST", redirect: "manual", headers: { "X-CSRF-Token": csrf_token } }));
arguments[arguments.length - 1](true);
"#;

async fn seen(driver: &Driver) -> Value {
    driver.execute("arguments[0](window.seen)", &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_48_a_logout_closes_what_a_page_has_open() {
    with_browser(|running, driver| async move {
        driver.goto(format!("{}/", running.origins[0])).await;
        log_in(&driver).await;
        driver.execute(OPEN, &[]).await;
        until("both are open", || async {
            let seen = seen(&driver).await;
            seen["echo"] == serde_json::json!([5, 5000]) && seen["ticks"].as_u64() > Some(1)
        })
        .await;
        driver.execute(LOG_OUT, &[]).await;
        until("both have ended", || async {
            let seen = seen(&driver).await;
            seen["code"] == 4401 && seen["broken"] == true
        })
        .await;
        assert_eq!(seen(&driver).await["reason"], "session ended");
        // Nobody opens one afterwards.
        driver.execute(OPEN, &[]).await;
        until("a new one is refused", || async {
            seen(&driver).await["code"] == 1006
        })
        .await;
        assert_eq!(seen(&driver).await["opened"], false);
        running
    })
    .await;
}
