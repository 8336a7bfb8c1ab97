//! The view and the actions of a person.

use url::Url;

use super::{chromium::until, webdriver::Driver};

/// The text of the first element that matches `css`; empty if there is none.
pub async fn text(driver: &Driver, css: &str) -> String {
    driver.text(css).await.unwrap_or_default()
}

/// Waits until the text of an element contains `wanted`.
pub async fn sees(driver: &Driver, css: &str, wanted: &str) {
    let what = format!("{css} says {wanted:?}");
    until(&what, || async { text(driver, css).await.contains(wanted) }).await;
}

/// Clicks the element that matches `css`, as soon as it exists.
pub async fn click(driver: &Driver, css: &str) {
    let what = format!("{css} can be clicked");
    until(&what, || async { driver.click(css).await.is_ok() }).await;
}

/// Fills in a field.
pub async fn fill(driver: &Driver, css: &str, value: &str) {
    driver.fill(css, value).await.unwrap();
}

/// Clicks "Log in" and waits for the IdP's page.
pub async fn go_to_the_idp(driver: &Driver) {
    sees(driver, "#headline", "Nobody is logged in").await;
    click(driver, "#login").await;
    at_the_idp(driver).await;
}

/// Waits for a page of the IdP.
pub async fn at_the_idp(driver: &Driver) {
    until("the IdP shows a page", || async {
        text(driver, "main .brand")
            .await
            .eq_ignore_ascii_case("Development IdP")
    })
    .await;
}

/// Gives user name and password at the IdP.
pub async fn give_password(driver: &Driver, name: &str) {
    fill(driver, "#username", name).await;
    fill(driver, "#password", name).await;
    click(driver, "button[type=submit]").await;
}

/// Gives the requested consent and waits for the application.
pub async fn allow(driver: &Driver) {
    click(driver, "button[value=allow]").await;
    is_greeted(driver).await;
}

/// Waits for the application, which knows Ada.
pub async fn is_greeted(driver: &Driver) {
    sees(driver, "#headline", "Hello, Ada Lovelace.").await;
}

/// From the anonymous page to Ada's. The IdP asks for consent only once.
pub async fn log_in(driver: &Driver) {
    go_to_the_idp(driver).await;
    give_password(driver, "ada").await;
    until("the application knows Ada", || async {
        let is_there = text(driver, "#headline").await.contains("Hello, Ada Lovelace.");
        if !is_there {
            // Absent if no consent is requested.
            let _ = driver.click("button[value=allow]").await;
        }
        is_there
    })
    .await;
}

/// The status of a GET that the page's script makes, and the code of its problem document.
pub async fn call(driver: &Driver, path: &str) -> (u64, String) {
    const CALL: &str = r"
        const [path, done] = arguments;
        fetch(path, { headers: { Accept: 'application/json' } })
          .then(async (response) => done([response.status, (await response.json()).code ?? '']))
          .catch((error) => done([0, String(error)]));
    ";
    serde_json::from_value(driver.execute(CALL, &[path]).await).unwrap()
}

/// The host of an origin, as cookies know it.
pub fn host(origin: &str) -> String {
    Url::parse(origin).unwrap().host_str().unwrap().to_owned()
}
