//! The cookies of a login, attribute by attribute.

use std::collections::BTreeSet;

use crate::support::{Browser, Reply, Stack};

/// Name, value and attributes of the one cookie whose name begins like this.
#[track_caller]
fn set(reply: &Reply, start: &str) -> (String, String, BTreeSet<String>) {
    let sets: Vec<&str> = reply
        .set_cookies()
        .into_iter()
        .filter(|set| set.starts_with(start))
        .collect();
    assert_eq!(sets.len(), 1, "{start}");
    let mut parts = sets[0].split("; ");
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    (
        name.to_owned(),
        value.to_owned(),
        parts.map(str::to_owned).collect(),
    )
}

fn attributes(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|attribute| (*attribute).to_owned()).collect()
}

#[tokio::test]
async fn names_and_attributes_are_exactly_these() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let started = ada.get("/auth/login").await;
    let (login, value, found) = set(&started, "");
    // The name is a hash of `state`, 128 bits of it.
    assert_eq!(login.strip_prefix("__Host-Http-bff_login_").unwrap().len(), 22);
    assert!(
        value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=600"])
    );

    let callback = ada.person().authorize(started.location()).await.unwrap();
    let done = ada.get(&callback).await;
    assert_eq!(done.set_cookies().len(), 3);
    let (name, value, found) = set(&done, "__Host-Http-bff_session=");
    assert_eq!(name, "__Host-Http-bff_session");
    // 256 bits in base64url.
    assert_eq!(value.len(), 43);
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=3600"])
    );
    let (_, value, found) = set(&done, &login);
    assert_eq!(value, "");
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=0"])
    );

    let out = ada.post("/auth/logout").await;
    let (_, value, found) = set(&out, "__Host-Http-bff_session=");
    assert_eq!(value, "");
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=0"])
    );
}

/// The login cookie is always `SameSite=Lax`.
#[tokio::test]
async fn the_session_cookie_follows_the_settings() {
    let stack = Stack::builder()
        .set("BFF_COOKIE_SAMESITE", "Strict")
        .set("SESSION_COOKIE_NAME", "__Host-mine")
        .set("SESSION_IDLE_TIMEOUT", "20m")
        .start()
        .await;
    let ada = stack.browser();
    let started = ada.get("/auth/login").await;
    let (_, _, found) = set(&started, "__Host-Http-bff_login_");
    assert!(found.contains("SameSite=Lax"));
    let callback = ada.person().authorize(started.location()).await.unwrap();
    let (_, _, found) = set(&ada.get(&callback).await, "__Host-mine=");
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=1200"])
    );
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn without_secure_there_is_no_prefix() {
    let port_of = |stack: &Stack| stack.address.port();
    let stack = Stack::builder()
        .set("BFF_COOKIE_SECURE", "false")
        .set("BFF_DANGER_ALLOW_HTTP", "true")
        .start()
        .await;
    let ada = Browser::new("ada", &format!("http://127.0.0.1:{}", port_of(&stack)));
    let started = ada.get("/auth/login").await;
    let (_, _, found) = set(&started, "bff_login_");
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"])
    );
    let callback = ada.person().authorize(started.location()).await.unwrap();
    let done = ada.get(&callback).await;
    done.leads_on();
    let (_, _, found) = set(&done, "bff_session=");
    assert_eq!(
        found,
        attributes(&["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=3600"])
    );
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn neither_cookie_nor_page_holds_what_it_protects() {
    let stack = Stack::builder().set("MS_BFF_PAR_ENABLED", "false").start().await;
    let ada = stack.browser();
    let started = ada.get("/auth/login?return_to=/secret-place").await;
    let sent = super::query(started.location());
    let kept = started.set_cookies()[0].to_owned();
    for secret in [&sent["state"], &sent["nonce"], "secret-place"] {
        assert!(!kept.contains(secret));
    }
    let callback = ada.person().authorize(started.location()).await.unwrap();
    let done = ada.get(&callback).await;
    let code = &super::query(&callback)["code"];
    for header in done.headers.values() {
        let header = header.to_str().unwrap();
        assert!(!header.contains(code.as_str()) && !header.contains("eyJ"));
    }
    assert!(!done.body.contains("eyJ"));
}
