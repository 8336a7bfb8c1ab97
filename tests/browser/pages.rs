//! The pages of the server and of the sample application, as people see them.

use serde_json::json;

use super::{
    chromium::{picture, with_browser},
    cookies,
    person::{at_the_idp, click, give_password, go_to_the_idp, host, is_greeted, log_in, sees, text},
    webdriver::Driver,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_say_what_to_do() {
    with_browser(|running, driver| async move {
        let origin = &running.origins[0];
        // A login that was not started here.
        driver
            .goto(format!("{origin}/auth/callback?code=c&state=s"))
            .await;
        sees(&driver, "h1", "You are not logged in yet").await;
        assert!(text(&driver, "main").await.contains("login_unknown"));
        picture(&driver, "error-page").await;
        dark(&driver, true).await;
        picture(&driver, "error-page-dark").await;
        dark(&driver, false).await;
        // It leads on: the button starts a login that works.
        click(&driver, "a.action").await;
        at_the_idp(&driver).await;
        picture(&driver, "idp-login").await;

        driver.goto(format!("{origin}/")).await;
        sees(&driver, "#headline", "Nobody is logged in").await;
        picture(&driver, "page-logged-out").await;
        // A person who does not allow it comes back to a page that says so.
        go_to_the_idp(&driver).await;
        give_password(&driver, "ada").await;
        sees(&driver, "h1", "Allow access?").await;
        picture(&driver, "idp-consent").await;
        click(&driver, "button[value=deny]").await;
        sees(&driver, "h1", "You are not logged in yet").await;
        assert!(text(&driver, "main").await.contains("access_denied"));
        picture(&driver, "login-denied").await;
        running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_the_logout_asks_first() {
    with_browser(|running, driver| async move {
        let origin = &running.origins[0];
        driver.goto(format!("{origin}/")).await;
        log_in(&driver).await;
        click(&driver, "#hello").await;
        sees(&driver, "#answer-title", "Hello, Ada Lovelace").await;
        picture(&driver, "page-logged-in").await;
        dark(&driver, true).await;
        picture(&driver, "page-logged-in-dark").await;
        dark(&driver, false).await;

        driver.goto(format!("{origin}/auth/logout?return_to=/")).await;
        sees(&driver, "h1", "Do you want to log out?").await;
        picture(&driver, "logout-page").await;
        // Nothing has happened yet.
        cookies::session(&driver, &host(origin)).await;
        driver.goto(format!("{origin}/api/hello")).await;
        sees(&driver, "body", "Hello, Ada Lovelace").await;
        driver.back().await;
        // The button works: browsers must allow the form, and the way to the IdP and back.
        click(&driver, "button.action").await;
        sees(&driver, "#headline", "Nobody is logged in").await;
        assert_eq!(driver.url().await, format!("{origin}/"));
        assert!(cookies::of(&driver, &host(origin)).await.is_empty());

        driver.goto(format!("{origin}/auth/logged-out")).await;
        sees(&driver, "h1", "You are logged out").await;
        picture(&driver, "logged-out").await;
        running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_on_another_site_needs_no_second_login() {
    with_browser(|running, driver| async move {
        let origin = &running.origins[0];
        driver.goto(format!("{origin}/")).await;
        log_in(&driver).await;
        let session = cookies::session(&driver, &host(origin)).await;
        for _ in 0..3 {
            // The identity provider is another site, to which the browser sends none of our strict cookies.
            driver.goto(&running.issuer).await;
            follow(&driver, &format!("{origin}/auth/login?return_to=%2F%3Fa%3Db")).await;
            is_greeted(&driver).await;
            assert_eq!(driver.url().await, format!("{origin}/?a=b"));
            assert_eq!(cookies::session(&driver, &host(origin)).await, session);
        }
        // Nor does such a link log anybody out.
        driver.goto(&running.issuer).await;
        follow(&driver, &format!("{origin}/auth/logout")).await;
        sees(&driver, "h1", "Do you want to log out?").await;
        cookies::session(&driver, &host(origin)).await;
        running
    })
    .await;
}

/// Follows a link on the page that is open.
async fn follow(driver: &Driver, link: &str) {
    driver
        .execute("arguments[1](null); location.href = arguments[0]", &[link])
        .await;
}

async fn dark(driver: &Driver, on: bool) {
    let scheme = if on { "dark" } else { "light" };
    let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    driver.devtools("Emulation.setEmulatedMedia", features).await;
}
