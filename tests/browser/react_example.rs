//! The example `examples/react-vite`, built by Vite and served by it behind the bff, as `devstack --page` does.

use devstack::{command::Page, stack::Overrides};

use super::{
    chromium::{Remains, check_page, with_browser_at},
    cookies,
    person::{allow, at_the_idp, click, fill, give_password, host, is_greeted, sees, text},
    preview::Preview,
    stack::Running,
    tokens::find,
    webdriver::Driver,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_react_example_follows_its_session() {
    let preview = Preview::start();
    let overrides = Overrides {
        page: Some(Page::Server(preview.origin.clone())),
        cors_origins: None,
    };
    let running = Running::start_with(overrides).await;
    let (running, remains) = with_browser_at(running, |running, driver| async move {
        one_session(&running, &driver).await;
        running
    })
    .await;
    one_stream(&remains);
    remains.check_profile(&running.tokens);
}

/// Logs in, calls the API, and logs out while a second tab is open.
async fn one_session(running: &Running, driver: &Driver) {
    let page = format!("{}/?open=1#list", running.origins[0]);
    driver.goto(&page).await;
    sees(driver, "#headline", "Nobody is logged in.").await;
    click(driver, "#login").await;
    at_the_idp(driver).await;
    give_password(driver, "ada").await;
    sees(driver, "h1", "Allow access?").await;
    allow(driver).await;
    assert_eq!(driver.url().await, page, "the login comes back to where it began");

    click(driver, "#hello").await;
    sees(driver, "#answer", "Hello, Ada Lovelace").await;
    fill(driver, "#note", "Weave algebraical patterns").await;
    click(driver, "#write").await;
    sees(driver, "#answer", "The API keeps 1 of your notes.").await;

    let first = driver.tab().await;
    let second = driver.new_tab().await;
    driver.switch_to(&second).await;
    driver.goto(&page).await;
    is_greeted(driver).await;
    driver.switch_to(&first).await;
    click(driver, "#logout").await;
    sees(driver, "h1", "You are logged out").await;
    assert!(cookies::of(driver, &host(&page)).await.is_empty());

    driver.switch_to(&second).await;
    sees(driver, "#notice", "Your session has ended (logout).").await;
    sees(driver, "#headline", "Nobody is logged in.").await;
    assert!(!text(driver, "body").await.contains("Ada"));
    check_page(driver, &running.tokens).await;
}

/// Both tabs were served by one stream of events.
fn one_stream(remains: &Remains) {
    let sockets = remains.log.sockets();
    let streams: usize = sockets
        .map(|socket| find(&socket.sent, "GET /auth/events HTTP/1.1").len())
        .sum();
    assert_eq!(streams, 1);
}
