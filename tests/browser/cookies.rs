//! The cookies as the browser keeps them.

use bff::clock::{Clock as _, SystemClock};
use serde::Deserialize;
use serde_json::json;

use super::webdriver::Driver;

/// `Network.Cookie` of the `DevTools` protocol.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub name: String,
    pub value: String,
    domain: String,
    path: String,
    expires: f64,
    http_only: bool,
    secure: bool,
    same_site: Option<String>,
    session: bool,
}

/// The cookies that the browser keeps for a host. A domain that begins with a dot would be shared with other hosts.
pub async fn of(driver: &Driver, host: &str) -> Vec<Kept> {
    let answer = driver.devtools("Storage.getCookies", json!({})).await;
    let cookies: Vec<Kept> = serde_json::from_value(answer["cookies"].clone()).unwrap();
    assert!(
        cookies.iter().all(|cookie| !cookie.domain.starts_with('.')),
        "a cookie has a Domain: {:?}",
        cookies
            .iter()
            .map(|cookie| (&cookie.name, &cookie.domain))
            .collect::<Vec<_>>()
    );
    cookies
        .into_iter()
        .filter(|cookie| cookie.domain == host)
        .collect()
}

/// The session cookie of a host, checked. Returns its value.
pub async fn session(driver: &Driver, host: &str) -> String {
    let mut kept = of(driver, host).await;
    // A login that another tab has begun keeps its own.
    kept.retain(|cookie| !cookie.name.starts_with("__Host-Http-bff_login_"));
    kept.sort_by(|one, other| one.name.cmp(&other.name));
    let names: Vec<&str> = kept.iter().map(|cookie| cookie.name.as_str()).collect();
    assert_eq!(names, ["__Host-Http-bff_latest", "__Host-Http-bff_session"]);
    assert_eq!(kept[0].same_site.as_deref(), Some("Lax"));
    let cookie = &kept[1];
    assert_eq!(cookie.path, "/");
    assert!(cookie.secure && cookie.http_only);
    assert_eq!(cookie.same_site.as_deref(), Some("Strict"));
    // It goes with the idle time, an hour, and not with the window.
    assert!(!cookie.session);
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    let left = cookie.expires - SystemClock.now().unix_seconds() as f64;
    assert!((3_500.0..=3_602.0).contains(&left), "it is kept for {left} s");
    // 256 random bits.
    assert_eq!(cookie.value.len(), 43);
    cookie.value.clone()
}
