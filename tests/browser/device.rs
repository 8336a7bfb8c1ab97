//! Device Bound Session Credentials in a real browser, over https on loopback: the browser makes a key (in software,
//! because there is no security chip here), registers it after the login, and proves it whenever the bound cookie has
//! expired.

use std::{future::Future, time::Duration};

use bff::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{
    chromium::{Chromium, until},
    person::{at_the_idp, click, give_password, host, sees},
    secure::Secure,
    webdriver::Driver,
};

const SESSION: &str = "__Host-Http-bff_session";
const BOUND: &str = "__Host-bff_bound";

/// As long as the browser keeps a bound cookie.
const RENEWAL: Duration = Duration::from_secs(4);

/// Requests need no proof for so long after the registration.
const GRACE: Duration = Duration::from_mins(1);

/// The options that make Chromium bind sessions on a machine without a security chip, and accept our certificate, by
/// the hash of its key. With `--ignore-certificate-errors` it binds nothing.
const ARGUMENTS: [&str; 2] = [
    "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
    "--ignore-certificate-errors-spki-list=k9GTRfnRICCTTn6qKEHn4dEyss5txlo4AJCTFGspDYw=",
];

/// The session of the browser goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_53_stolen_cookies_are_worthless_in_minutes() {
    with_bound_browser("Strict", one_theft).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_on_another_site_leads_into_a_bound_session() {
    with_bound_browser("Lax", one_link).await;
}

/// Runs `work` in a browser that binds sessions, against a server that wants that.
async fn with_bound_browser<W, F>(same_site: &str, work: W)
where
    W: FnOnce(Secure, Driver) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let secure = Secure::start(&[
        ("SESSION_BINDING", "device"),
        ("SESSION_BINDING_RENEWAL", &format!("{}s", RENEWAL.as_secs())),
        ("BFF_COOKIE_SAMESITE", same_site),
    ])
    .await;
    let chromium = Chromium::start_with(&ARGUMENTS).await;
    // Its own task, so that the browser is closed even after a panic.
    let outcome = tokio::spawn(work(secure, chromium.driver.clone())).await;
    chromium.quit().await;
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn one_theft(secure: Secure, driver: Driver) {
    let (secure, driver) = (&secure, &driver);
    log_in(secure, driver).await;
    assert!(is_logged_in(secure, driver).await);

    let stolen = cookies(driver, secure).await;
    assert!(
        stolen.contains(SESSION) && stolen.contains(BOUND),
        "both are stolen"
    );
    assert_eq!(
        secure.as_thief(&stolen, &[]).await["authenticated"],
        true,
        "at first"
    );
    secure.clock.advance(GRACE);
    SystemClock.sleep(RENEWAL).await;

    // A navigation waits until the browser has proven its key and has the next cookie.
    let earlier = cookie(driver, secure, BOUND).await;
    assert_eq!(earlier, None, "it has run out");
    assert!(is_logged_in(secure, driver).await, "the browser goes on");
    let renewed = cookie(driver, secure, BOUND).await.unwrap();
    assert!(!stolen.contains(&renewed));

    for skipped in ["unreachable", "server_error", "quota_exceeded"] {
        let answer = secure
            .as_thief(&stolen, &[("secure-session-skipped", skipped)])
            .await;
        assert_eq!(answer["authenticated"], false);
        assert_eq!(answer["reason"], "device_proof_required");
    }
    assert!(
        is_logged_in(secure, driver).await,
        "the theft has cost the person nothing"
    );

    // Once more, because each challenge is valid for one proof.
    secure.clock.advance(GRACE);
    SystemClock.sleep(RENEWAL).await;
    assert!(is_logged_in(secure, driver).await);
    assert_ne!(cookie(driver, secure, BOUND).await.unwrap(), renewed);

    driver.goto(format!("{}/auth/logout", secure.origin)).await;
    click(driver, "button.action").await;
    sees(driver, "h1", "You are logged out").await;
    assert_eq!(cookies(driver, secure).await, "");
    // Another login binds another session, to another key.
    log_in(secure, driver).await;
    secure.clock.advance(GRACE);
    SystemClock.sleep(RENEWAL).await;
    assert!(is_logged_in(secure, driver).await);
}

/// The bound cookie has expired. A navigation from another site sends the session cookie, and waits for the renewal,
/// which sends no cookie at all.
async fn one_link(secure: Secure, driver: Driver) {
    let (secure, driver) = (&secure, &driver);
    log_in(secure, driver).await;
    secure.clock.advance(GRACE);
    SystemClock.sleep(RENEWAL).await;
    driver
        .goto(format!("{}/.well-known/openid-configuration", secure.issuer))
        .await;
    let target = format!("{}/auth/session", secure.origin);
    driver
        .execute("arguments[1](null); location.href = arguments[0]", &[&target])
        .await;
    until("the link is followed", || async { driver.url().await == target }).await;
    let shown = driver.text("body").await.unwrap();
    assert!(shown.contains("\"authenticated\":true"), "{shown}");
}

/// Logs in, and waits until the browser has registered a key.
async fn log_in(secure: &Secure, driver: &Driver) {
    driver.goto(format!("{}/auth/login", secure.origin)).await;
    at_the_idp(driver).await;
    give_password(driver, "ada").await;
    until("the person is logged in", || async {
        let is_there = driver.url().await == format!("{}/", secure.origin);
        if !is_there {
            // Absent if no consent is requested.
            let _ = driver.click("button[value=allow]").await;
        }
        is_there
    })
    .await;
    until("the browser has registered a key", || async {
        cookie(driver, secure, BOUND).await.is_some()
    })
    .await;
}

/// Whether the browser is logged in, by a navigation.
async fn is_logged_in(secure: &Secure, driver: &Driver) -> bool {
    driver.goto(format!("{}/auth/session", secure.origin)).await;
    let shown = driver.text("body").await.unwrap();
    let answer: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    answer["authenticated"] == true
}

/// The cookies that the browser would send to the server, as a `Cookie` field.
async fn cookies(driver: &Driver, secure: &Secure) -> String {
    let host = host(&secure.origin);
    let answer = driver.devtools("Storage.getCookies", json!({})).await;
    let all = answer["cookies"].as_array().unwrap().iter();
    let own = all.filter(|cookie| cookie["domain"] == host.as_str());
    let pairs = own.map(|cookie| {
        let text = |member: &str| cookie[member].as_str().unwrap();
        format!("{}={}", text("name"), text("value"))
    });
    pairs.collect::<Vec<_>>().join("; ")
}

async fn cookie(driver: &Driver, secure: &Secure, name: &str) -> Option<String> {
    let cookies = cookies(driver, secure).await;
    let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}
