//! A session cookie with `SameSite=Strict`, and people who come from other sites.

use devstack_idp::Endpoint;
use http::StatusCode;

use crate::support::{Browser, Stack, times};

/// A link on a page of another site, followed to its end: through the page that goes to the login again, and no further
/// than to the IdP.
async fn follow(browser: &Browser, link: &str) -> String {
    let mut reply = browser.come_from_elsewhere(link).await;
    let mut from_elsewhere = true;
    for _ in 0..5 {
        let target = reply.leads_on();
        if !target.starts_with('/') && !target.starts_with(browser.origin()) {
            return target;
        }
        let path = target
            .strip_prefix(browser.origin())
            .unwrap_or(&target)
            .to_owned();
        if !path.starts_with("/auth/") {
            return path;
        }
        // A redirect keeps its origin; one of our pages is a page of this site.
        from_elsewhere &= reply.status == StatusCode::FOUND;
        reply = if from_elsewhere {
            browser.come_from_elsewhere(&path).await
        } else {
            browser.go_on_to(&path).await
        };
    }
    panic!("a loop at {link}");
}

/// Whether the session of this cookie is alive.
async fn lives(stack: &Stack, cookie: &str) -> bool {
    let browser = stack.browser();
    browser.set_cookie("__Host-Http-bff_session", cookie);
    browser.is_logged_in().await
}

#[tokio::test]
async fn ten_links_from_outside_need_one_session() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = ada.session_cookie();
    for link in 0..10 {
        let page = format!("/api/page-{link}?a=b&c=%2F");
        assert_eq!(follow(&ada, &page).await, page);
    }
    assert_eq!(
        follow(&ada, "/auth/login?return_to=%2Fdeep%3Fa%3Db%26c").await,
        "/deep?a=b&c"
    );
    assert_eq!(
        follow(&ada, "/auth/login?return_to=/pasted?a=b").await,
        "/pasted?a=b"
    );
    assert_eq!(stack.idp.count(Endpoint::Authorize), 1);
    assert_eq!(ada.session_cookie(), cookie);
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn a_step_up_visits_the_idp_and_replaces_the_session() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for wish in ["prompt=login", "max_age=60", "acr_values=silver"] {
        let old = ada.session_cookie().unwrap();
        stack.idp.on_next_id_token(|draft| {
            let acr = serde_json::json!("silver");
            drop(draft.claims.insert("acr".to_owned(), acr));
        });
        let idp = follow(&ada, &format!("/auth/login?{wish}")).await;
        assert!(idp.starts_with(&stack.issuer), "{idp}");
        let callback = ada.person().authorize(&idp).await.unwrap();
        // The browser does not send the session cookie with the callback, and yet the old session ends.
        ada.come_from_elsewhere(&callback).await.leads_on();
        assert!(ada.is_logged_in().await, "{wish}");
        assert!(!lives(&stack, &old).await, "{wish}");
    }
}

#[tokio::test]
async fn of_tabs_that_log_in_side_by_side_one_session_is_left() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let mut callbacks = Vec::new();
    for _ in 0..3 {
        let idp = follow(&ada, "/api/page").await;
        callbacks.push(ada.person().authorize(&idp).await.unwrap());
    }
    let mut cookies = Vec::new();
    for callback in &callbacks {
        ada.come_from_elsewhere(callback).await.leads_on();
        cookies.push(ada.session_cookie().unwrap());
    }
    assert!(ada.is_logged_in().await);
    for old in &cookies[..2] {
        assert!(!lives(&stack, old).await);
    }
    // A repeated callback leads home, because there is a session, although its cookie is not sent.
    stack.advance(times::OVER_A_MINUTE).await;
    let late = ada.come_from_elsewhere(&callbacks[0]).await;
    assert_eq!(late.leads_on(), format!("{}/", ada.origin()));
}

#[tokio::test]
async fn an_error_of_the_idp_is_no_news_to_somebody_who_is_logged_in() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    let callback = url::Url::parse(&callback).unwrap();
    let (_, state) = callback.query_pairs().find(|(name, _)| name == "state").unwrap();
    let iss = url::form_urlencoded::byte_serialize(stack.issuer.as_bytes()).collect::<String>();
    let refused = format!("/auth/callback?state={state}&iss={iss}&error=temporarily_unavailable");
    let reply = ada.come_from_elsewhere(&refused).await;
    assert_eq!(reply.leads_on(), format!("{}/deep", ada.origin()));
}

#[tokio::test]
async fn attack_27_what_says_which_session_was_the_last_opens_none() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let latest = ada.cookies(ada.origin())["__Host-Http-bff_latest"].clone();
    let thief = stack.browser();
    thief.set_cookie("__Host-Http-bff_latest", &latest);
    assert!(!thief.is_logged_in().await);
    assert_eq!(thief.get("/api/x").await.status, StatusCode::UNAUTHORIZED);
    // It is short, sealed, and no API sees it.
    assert!(!latest.contains(&ada.session_cookie().unwrap()));
    assert_eq!(ada.get("/api/x").await.status, StatusCode::OK);
    assert_eq!(stack.api.last().header("cookie"), None);
    // Garbage is ignored.
    thief.set_cookie("__Host-Http-bff_latest", "garbage");
    let idp = follow(&thief, "/api/page").await;
    let callback = thief.person().authorize(&idp).await.unwrap();
    thief.come_from_elsewhere(&callback).await.leads_on();
    assert!(thief.is_logged_in().await && ada.is_logged_in().await);
}

/// A link to the logout still logs nobody out.
#[tokio::test]
async fn attack_35_session_pages_ask_again() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    for (page, says) in [
        ("/auth/logged-out", "You are still logged in"),
        ("/", "You are logged in"),
        ("/auth/logout?return_to=%2Fa", "Do you want to log out?"),
    ] {
        let reply = ada.come_from_elsewhere(page).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{page}");
        let again = reply.leads_on();
        let reply = ada.come_from_elsewhere(&again).await;
        assert!(reply.target().is_none(), "{page}: a loop");
        let reply = ada.go_on_to(&again).await;
        assert!(reply.body.contains(says), "{page}: {}", reply.body);
    }
}

#[tokio::test]
async fn only_a_cross_site_page_without_a_cookie_asks_again() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    // The browser is not logged in: one page, and then the IdP.
    assert!(follow(&ada, "/api/page").await.starts_with(&stack.issuer));
    // By a bookmark, and from one of our pages.
    assert!(
        ada.go_on_to("/auth/login")
            .await
            .location()
            .starts_with(&stack.issuer)
    );
    // Scripts and frames get the answer that they got before.
    for (mode, dest) in [("cors", "empty"), ("navigate", "iframe")] {
        let request = ada
            .request(http::Method::GET, "/auth/login")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest);
        assert!(ada.send(request).await.location().starts_with(&stack.issuer));
    }
    // With Lax the browser sends the cookie.
    let stack = Stack::builder().set("BFF_COOKIE_SAMESITE", "Lax").start().await;
    let ada = stack.browser();
    let started = ada.come_from_elsewhere("/auth/login").await;
    let callback = ada.person().authorize(started.location()).await.unwrap();
    let done = ada.get(&callback).await;
    assert_eq!(done.status, StatusCode::FOUND);
    assert!(!ada.cookies(ada.origin()).contains_key("__Host-Http-bff_latest"));
}

#[tokio::test]
async fn an_upgrade_logs_nobody_out_and_gives_the_cookie_its_new_name() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let id = ada.session_cookie().unwrap();
    let before = stack.browser();
    before.set_cookie("__Host-bff_session", &id);
    let reply = before.get("/auth/session").await;
    assert_eq!(reply.json()["authenticated"], true);
    let sets = reply.set_cookies();
    assert!(sets[0].starts_with(&format!("__Host-Http-bff_session={id};")));
    assert!(sets[1].starts_with("__Host-bff_session=;"), "{}", sets[1].len());
    let names: Vec<_> = before.cookies(before.origin()).into_keys().collect();
    assert_eq!(names, ["__Host-Http-bff_session"]);
    assert!(before.get("/auth/session").await.set_cookies().is_empty());
    // A logout takes both away.
    before.set_cookie("__Host-bff_session", &id);
    before.post("/auth/logout").await;
    let names: Vec<_> = before.cookies(before.origin()).into_keys().collect();
    assert_eq!(names, ["__Host-Http-bff_logout"]);
}
