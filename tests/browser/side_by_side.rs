//! The client in a page that is on another origin than the bff (`docs/dev-server.md`, side by side).

use devstack::{command::Page, stack::Overrides};
use serde_json::{Value, json};

use super::{
    chromium::{until, with_browser_at},
    person::{at_the_idp, click, give_password, sees},
    preview::Preview,
    stack::Running,
    webdriver::Driver,
};

/// As the sample page loads it.
const CLIENT: &str = include_str!("../../devstack/src/page/bff-client.js");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_works_from_another_origin() {
    let preview = Preview::start();
    let page = preview.origin.clone();
    let overrides = Overrides {
        page: Some(Page::Server(page.clone())),
        cors_origins: None,
    };
    let running = Running::start_with(overrides).await;
    with_browser_at(running, |running, driver| async move {
        let page = page.join("/?open=1#list").unwrap();
        let (_, port) = running.origins[0].rsplit_once(':').unwrap();
        let bff = format!("http://localhost:{port}/api");
        driver.goto(&page).await;
        run(&driver, &bff, "bff.login();").await;
        at_the_idp(&driver).await;
        give_password(&driver, "ada").await;
        sees(&driver, "h1", "Allow access?").await;
        click(&driver, "button[value=allow]").await;
        let there = page.to_string();
        until("the login comes back to the page", || async {
            driver.url().await == there
        })
        .await;

        let work = "const ended = new Promise((told) => bff.on('session-ended', told));
            bff.start();
            const session = await bff.session();
            const note = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{\"text\":\"x\"}' };
            const { status } = await bff.fetch('/api/notes', note);
            await bff.logout();
            return [session.user.name, status, (await ended).reason, bff.state.status];";
        let seen = run(&driver, &bff, work).await;
        assert_eq!(seen, json!(["Ada Lovelace", 201, "logout", "anonymous"]));
        running
    })
    .await;
}

/// Runs `work` in the page with a client for the bff at `base`. A logout does not leave the page.
async fn run(driver: &Driver, base: &str, work: &str) -> Value {
    let script = format!(
        "const [client, baseUrl, done] = arguments;
        const module = URL.createObjectURL(new Blob([client], {{ type: 'text/javascript' }}));
        import(module).then(async ({{ createBffClient }}) => {{
          const navigate = (url) => url.startsWith(baseUrl.slice(0, -3)) && location.assign(url);
          const bff = createBffClient({{ baseUrl, navigate }});
          {work}
        }}).then((value) => done(value ?? null), (error) => done(String(error)));"
    );
    driver.execute(&script, &[CLIENT, base]).await
}
