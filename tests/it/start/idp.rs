//! Finding the IdP.

use std::time::Duration;

use bff::health::Component;
use devstack_idp::{Endpoint, Fault};

use crate::support::{Logs, Stack};

/// The address at which the server reaches an IdP that the world knows as `idp.localhost`.
fn reached_inside(variables: &mut Vec<(String, String)>, issuer: &str) {
    let base = issuer.replace("idp.localhost", "127.0.0.1");
    variables.push(("IDP_BASE_URL".to_owned(), base));
}

/// It lives and serves its keys.
#[tokio::test]
async fn attack_24_the_server_starts_without_the_idp() {
    let logs = Logs::capture();
    let mut stack = Stack::builder().with_idp_down().start_without_waiting().await;
    stack
        .until("it is known", |stack| {
            stack.problem_with(Component::Discovery).is_some()
        })
        .await;
    let readiness = stack.is_live().await;
    assert_eq!(readiness.status, 503);
    assert_eq!(readiness.json()["components"]["discovery"]["status"], "pending");
    let warnings = logs.lines("WARN");
    let warning = warnings
        .iter()
        .find(|line| line.contains("cannot read the IdP's metadata"));
    let warning = warning.unwrap_or_else(|| panic!("{warnings:?}"));
    for part in [
        stack.issuer.as_str(),
        "refused",
        "correct OIDC_ISSUER, which points there",
    ] {
        assert!(warning.contains(part), "no {part} in {warning}");
    }
    let ada = stack.browser();
    assert_eq!(ada.get("/auth/login").await.status, 503);
    assert!(!ada.is_logged_in().await);

    // It stays so, and becomes ready by itself.
    stack.advance(Duration::from_mins(10)).await;
    assert_eq!(stack.is_live().await.status, 503);
    stack.idp_comes_up();
    stack
        .advance_until("it is ready", Duration::from_mins(2), Stack::is_ready)
        .await;
    logs.has_line("INFO", "Client registered: bff-server");
    ada.log_in().await;
}

#[tokio::test]
async fn an_idp_that_goes_away_later_leaves_the_server_ready() {
    let mut stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    stack
        .idp
        .fail_always(Endpoint::Discovery, Fault::CloseWithoutAnswer);
    stack.advance(Duration::from_mins(61)).await;
    stack
        .until("it is noticed", |stack| {
            stack.problem_with(Component::Discovery).is_some()
        })
        .await;
    let readiness = stack.is_live().await;
    assert_eq!(readiness.status, 200);
    assert_eq!(readiness.json()["status"], "degraded");
    stack.idp.heal_all();
    stack
        .advance_until("it is over", Duration::from_mins(2), |stack| {
            stack.problem_with(Component::Discovery).is_none()
        })
        .await;
    assert_eq!(stack.is_live().await.json()["status"], "ready");
}

/// A repeated one only now and then.
#[tokio::test]
async fn a_new_reason_is_logged_at_once() {
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .prepare(|idp| idp.fail_always(Endpoint::Discovery, Fault::status(503)))
        .start_without_waiting()
        .await;
    stack.until("it is told", |stack| stack.problem("503")).await;
    for asked in 2..7 {
        stack
            .advance_until("it asks again", Duration::from_mins(2), move |stack| {
                stack.idp.count(Endpoint::Discovery) == asked
            })
            .await;
    }
    let told = |logs: &Logs, part: &str| {
        logs.lines("WARN")
            .iter()
            .filter(|line| line.contains(part))
            .count()
    };
    assert_eq!(told(&logs, "503"), 1);

    // An operator corrects the address, wrongly: the log has to say so without delay.
    stack.idp.heal_all();
    stack
        .idp
        .on_discovery(|document| document["issuer"] = "https://other.example".into());
    stack
        .advance_until("it is told", Duration::from_mins(2), |stack| {
            stack.problem("https://other.example")
        })
        .await;
    assert_eq!(told(&logs, "https://other.example"), 1);
}

#[tokio::test]
async fn another_issuer_at_the_base_url_prints_the_line_to_add() {
    let logs = Logs::capture();
    let mut stack = Stack::builder()
        .idp(|options| options.issuer = options.issuer.replace("127.0.0.1", "idp.localhost"))
        .set("OIDC_ISSUER", "")
        .variables(reached_inside)
        .start_without_waiting()
        .await;
    stack
        .until("it is known", |stack| {
            stack.problem_with(Component::Discovery).is_some()
        })
        .await;
    let line = format!("set OIDC_ISSUER={}", stack.issuer);
    assert!(stack.problem("no issuer is configured"));
    assert!(logs.text().contains(&line));
    assert_eq!(stack.is_live().await.status, 503);

    // The line is added.
    let issuer = stack.issuer.clone();
    stack.restart_with(&[("OIDC_ISSUER", &issuer)]).await;
    stack.browser().log_in().await;
}

/// As in a container network.
#[tokio::test]
async fn the_back_channel_may_differ_from_the_public_address() {
    let mut stack = Stack::builder()
        .idp(|options| options.issuer = options.issuer.replace("127.0.0.1", "idp.localhost"))
        .variables(reached_inside)
        .start()
        .await;
    let ada = stack.browser();
    let started = ada.get("/auth/login").await;
    assert!(
        started
            .location()
            .starts_with(&format!("{}/authorize", stack.issuer))
    );
    ada.log_in().await;
    let logged_out = ada.post("/auth/logout").await;
    assert!(
        logged_out
            .location()
            .starts_with(&format!("{}/logout", stack.issuer))
    );
    stack
        .restart_with(&[("DCR_IAT", ""), ("OIDC_SCOPES", "openid")])
        .await;

    // All requests of the server itself go to the inner address, also for managing the registration.
    let inside = stack.issuer.replace("http://idp.localhost", "127.0.0.1");
    for endpoint in [
        Endpoint::Discovery,
        Endpoint::Register,
        Endpoint::RegistrationManagement,
        Endpoint::Par,
        Endpoint::Token,
        Endpoint::Jwks,
        Endpoint::Revoke,
    ] {
        let requests = stack.idp.requests(endpoint);
        assert!(!requests.is_empty(), "{endpoint:?}");
        for request in requests {
            assert_eq!(request.header("host"), Some(inside.as_str()), "{endpoint:?}");
        }
    }
    // Signed values name the public form.
    let (_, claims) = stack.idp.requests(Endpoint::Token)[0].assertion().unwrap();
    assert_eq!(claims["aud"], stack.issuer);
}

#[tokio::test]
async fn attack_36_a_redirect_of_discovery_is_told_and_not_followed() {
    let elsewhere = Stack::start().await;
    elsewhere.idp.clear_requests();
    let target = format!("{}/.well-known/openid-configuration", elsewhere.issuer);
    let mut stack = Stack::builder()
        .prepare(move |idp| idp.fail_always(Endpoint::Discovery, Fault::redirect(302, &target)))
        .start_without_waiting()
        .await;
    stack
        .until("it is told", |stack| stack.problem("redirects are not followed"))
        .await;
    assert_eq!(stack.is_live().await.status, 503);
    assert_eq!(elsewhere.idp.count(Endpoint::Discovery), 0);
}
