//! Runs the code of docs/spa.md unchanged in the page of an application.

use serde_json::{Value, json};

use super::{
    chromium::{until, with_browser},
    person::{allow, at_the_idp, click, give_password, is_greeted, log_in, sees},
    webdriver::Driver,
};

const DOCUMENT: &str = include_str!("../../docs/spa.md");

/// The block of the document that begins so.
fn block(start: &str) -> &'static str {
    let blocks = DOCUMENT.split("```").skip(1).step_by(2);
    let mut blocks = blocks.map(|block| block.split_once('\n').unwrap().1);
    blocks.find(|block| block.starts_with(start)).unwrap()
}

/// Runs a block in the page, then `more`, whose value is handed back.
async fn run(driver: &Driver, block: &str, more: &str) -> Value {
    let script = format!(
        "const done = arguments[arguments.length - 1];\n\
         (async () => {{ {block}\n{more} }})().then((value) => done(value ?? null), (error) => done(String(error)));"
    );
    driver.execute(&script, &[]).await
}

/// Puts a piece of HTML into the page.
async fn put(driver: &Driver, html: &str) {
    let script = "const [html, done] = arguments;
        document.body.insertAdjacentHTML('beforeend', `<div id=\"put\">${html}</div>`); done(null);";
    driver.execute(script, &[html]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snippets_for_pages_work() {
    with_browser(|running, driver| async move {
        let origin = running.origins[0].clone();
        driver.goto(format!("{origin}/")).await;
        sees(&driver, "#headline", "Nobody is logged in").await;

        // A link, and a script that returns to its page.
        put(&driver, block(r#"<a href="/auth/login?return_to=/orders">Log in</a>"#)).await;
        click(&driver, "#put a").await;
        at_the_idp(&driver).await;
        driver.goto(format!("{origin}/?a=1&b=%20")).await;
        sees(&driver, "#headline", "Nobody is logged in").await;
        run(
            &driver,
            block(r#"location.assign("/auth/login?return_to=" + encodeURIComponent(location.pathname + location.search));"#),
            "",
        )
        .await;
        at_the_idp(&driver).await;
        give_password(&driver, "ada").await;
        allow(&driver).await;
        assert_eq!(driver.url().await, format!("{origin}/?a=1&b=%20"));

        // Calls, also those that change something.
        let example = block("let session = { authenticated: false };");
        let read = "await loadSession(); const answer = await call('/api/hello'); return [answer.status, session.user.name];";
        assert_eq!(run(&driver, example, read).await, json!([200, "Ada Lovelace"]));
        let write = "const answer = await call('/api/notes', { method: 'POST', body: { text: 'x' } }); return answer.ok;";
        // Without a session read before: it is read after the refusal.
        assert_eq!(run(&driver, example, write).await, json!(true));

        // The events of the session.
        let listen = block("function listen({ ended, changed, renewed, expiring }) {");
        let told = "return new Promise((told) => {
            listen({ ended: told, changed: () => {}, renewed: () => {}, expiring: () => {} }).addEventListener('open', async () => {
                const { csrf_token } = await (await fetch('/auth/session')).json();
                await fetch('/auth/logout', {
                    method: 'POST',
                    headers: { Accept: 'application/json', 'X-CSRF-Token': csrf_token },
                });
            });
        });";
        assert_eq!(run(&driver, listen, told).await, json!("logout"));
        driver.goto(format!("{origin}/")).await;
        sees(&driver, "#headline", "Nobody is logged in").await;
        click(&driver, "#login").await;
        is_greeted(&driver).await;

        // Both ways out.
        let logout = block(r#"const response = await fetch("/auth/logout", {"#);
        let session = "const session = await (await fetch('/auth/session')).json();\n";
        run(&driver, &format!("{session}{logout}"), "").await;
        sees(&driver, "h1", "You are logged out").await;

        driver.goto(format!("{origin}/")).await;
        log_in(&driver).await;
        let token = run(&driver, session, "return session.csrf_token;").await;
        let form = block(r#"<form method="post" action="/auth/logout">"#);
        put(&driver, &form.replace("…from /auth/session…", token.as_str().unwrap())).await;
        click(&driver, "#put button").await;
        // The sample page's policy allows no form to another origin, so the browser stays.
        let ask = "return (await (await fetch('/auth/session')).json()).authenticated;";
        until("the session has ended", || async { run(&driver, ask, "").await == json!(false) }).await;
        driver.goto(format!("{origin}/")).await;
        sees(&driver, "#headline", "Nobody is logged in").await;
        running
    })
    .await;
}
