//! Login CSRF and planted cookies.

use devstack_idp::Endpoint;
use http::{Method, StatusCode, header::COOKIE};

use super::{is_problem, nothing_exchanged};
use crate::support::{Browser, Reply, Stack};

const SESSION: &str = "__Host-Http-bff_session";

/// Opens a page with exactly these `Cookie` lines.
async fn with_cookies(stack: &Stack, target: &str, lines: &[String]) -> Reply {
    let bare = stack.browser();
    let mut request = bare
        .request(Method::GET, target)
        .header("accept", "application/json");
    for line in lines {
        request = request.header(COOKIE, line);
    }
    bare.send(request).await
}

fn only(browser: &Browser) -> (String, String) {
    browser.cookies(browser.origin()).pop_first().unwrap()
}

#[tokio::test]
async fn attack_27_the_callback_of_an_attacker_logs_nobody_in() {
    let stack = Stack::start().await;
    let attacker = Browser::new("grace", &stack.origin(0));
    let callback = attacker.authorize("/auth/login").await;

    let victim = stack.browser();
    let reply = victim.get_json(&callback).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    super::nobody(&victim, &reply).await;
    nothing_exchanged(&stack);

    // A victim with an attempt of their own under way, and one who is logged in.
    let own = victim.authorize("/auth/login").await;
    is_problem(
        &victim.get_json(&callback).await,
        StatusCode::BAD_REQUEST,
        "login_unknown",
    );
    victim.get(&own).await;
    let session = victim.session_cookie();
    let reply = victim.get(&callback).await;
    assert!(reply.set_cookies().is_empty());
    assert_eq!(reply.location(), format!("{}/", stack.origin(0)));
    assert_eq!(victim.session_cookie(), session);
    assert_eq!(victim.session().await["user"]["sub"], "u-ada");
}

#[tokio::test]
async fn attack_27_a_code_is_bound_to_its_own_state() {
    let stack = Stack::start().await;
    let attacker = Browser::new("grace", &stack.origin(0));
    let stolen = super::query(&attacker.authorize("/auth/login").await)["code"].clone();
    let victim = stack.browser();
    let own = victim.authorize("/auth/login").await;
    let reply = victim
        .get_json(&super::with_parameter(&own, "code", Some(&stolen)))
        .await;
    // PKCE binds the code to the attempt; the IdP says so.
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_code_refused");
    super::nobody(&victim, &reply).await;
}

#[tokio::test]
async fn attack_27_a_login_cookie_is_good_for_its_own_state_only() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let first = ada.authorize("/auth/login").await;
    let (first_name, first_value) = only(&ada);
    let other = Browser::new("grace", &stack.origin(0));
    other.get("/auth/login").await;
    let (_, other_value) = only(&other);

    for value in [
        other_value,
        format!("{}A", &first_value[..first_value.len() - 1]),
        first_value[..first_value.len() / 2].to_owned(),
        String::new(),
        "x".repeat(600),
        "%00".to_owned(),
    ] {
        if value == first_value {
            continue;
        }
        let line = format!("{first_name}={value}");
        let reply = with_cookies(&stack, &first, &[line]).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    }
    nothing_exchanged(&stack);
    ada.get(&first).await.leads_on();
}

#[tokio::test]
async fn attack_27_a_login_cookie_that_is_there_twice_is_nobodys() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    let (name, value) = only(&ada);
    let pair = format!("{name}={value}");
    for lines in [
        vec![format!("{pair}; {pair}")],
        vec![pair.clone(), pair.clone()],
        vec![format!("{name}=planted; {pair}")],
        vec![format!("{pair}; {name}=planted")],
        vec![format!("{pair}; {name}")],
    ] {
        let reply = with_cookies(&stack, &callback, &lines).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    }
    // Without the prefix, which a sibling subdomain or plain http could set, it is not read at all.
    let bare = pair.strip_prefix("__Host-Http-").unwrap().to_owned();
    let reply = with_cookies(&stack, &callback, &[bare]).await;
    is_problem(&reply, StatusCode::BAD_REQUEST, "login_unknown");
    nothing_exchanged(&stack);
}

#[tokio::test]
async fn attack_27_a_session_cookie_that_is_there_twice_is_anonymous() {
    let stack = Stack::start().await;
    let (ada, grace) = (stack.browser(), Browser::new("grace", &stack.origin(0)));
    ada.log_in().await;
    grace.log_in().await;
    let pair = |browser: &Browser| format!("{SESSION}={}", browser.session_cookie().unwrap());
    assert_eq!(
        with_cookies(&stack, "/auth/session", &[pair(&ada)]).await.json()["authenticated"],
        true
    );
    for lines in [
        vec![format!("{}; {}", pair(&grace), pair(&ada))],
        vec![pair(&grace), pair(&ada)],
        vec![format!("{}; {}", pair(&ada), pair(&ada))],
        vec![format!("{SESSION}=; {}", pair(&ada))],
    ] {
        let reply = with_cookies(&stack, "/auth/session", &lines).await;
        assert_eq!(reply.json()["authenticated"], false);
        let reply = with_cookies(&stack, "/api/x", &lines).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn attack_7_a_planted_session_id_is_worthless() {
    let stack = Stack::start().await;
    let attacker = Browser::new("grace", &stack.origin(0));
    attacker.log_in().await;
    let planted = attacker.session_cookie().unwrap();
    let made_up = "A".repeat(planted.len());
    for value in [planted, made_up] {
        let victim = stack.browser();
        victim.set_cookie(SESSION, &value);
        victim.log_in().await;
        assert_ne!(victim.session_cookie().unwrap(), value);
        assert_eq!(victim.session().await["user"]["sub"], "u-ada");
        let replay = stack.browser();
        replay.set_cookie(SESSION, &value);
        assert!(!replay.is_logged_in().await, "the planted id leads somewhere");
    }
}

#[tokio::test]
async fn a_callback_without_a_login_cookie_asks_the_idp_nothing() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    let callback = ada.authorize("/auth/login").await;
    ada.forget_cookies();
    is_problem(
        &ada.get_json(&callback).await,
        StatusCode::BAD_REQUEST,
        "login_unknown",
    );
    nothing_exchanged(&stack);
    assert_eq!(stack.idp.count(Endpoint::UserInfo), 0);
}
