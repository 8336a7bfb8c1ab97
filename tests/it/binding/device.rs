//! Sessions that are bound to a key of the device: over the wire, as Chromium speaks.

use devstack_idp::Endpoint;
use futures_util::future::join_all;
use http::{Method, StatusCode, header};
use serde_json::json;

use super::{
    fixture::{
        self, BOUND, Device, MINUTE, challenge, invitation, is_logged_in, log_in, register, session, start,
    },
    key::DeviceKey,
};
use crate::support::{Logs, Stack};

const DEVICE: (&str, &str) = ("SESSION_BINDING", "device");
const IF_POSSIBLE: (&str, &str) = ("SESSION_BINDING", "device-if-possible");

#[tokio::test]
async fn a_browser_is_told_what_to_do_and_gets_its_first_cookie() {
    let stack = start(&[DEVICE]).await;
    let browser = stack.browser();
    let invited = invitation(&log_in(&browser).await).unwrap();
    let reply = register(&browser, &DeviceKey::make(), &invited).await;
    let (_, id) = challenge(&reply);
    assert_eq!(
        reply.json(),
        json!({
            "session_identifier": id,
            "refresh_url": "/auth/dbsc/refresh",
            "scope": { "origin": fixture::origin(&browser), "include_site": false },
            "allowed_refresh_initiators": ["*"],
            "credentials": [{
                "type": "cookie",
                "name": "__Host-bff_bound",
                "attributes": "Path=/; Secure; HttpOnly; SameSite=Lax",
            }],
        })
    );
    let cookies = reply.set_cookies();
    assert_eq!(cookies.len(), 1);
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(cookies[0].contains(attribute), "{}", cookies[0]);
    }
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(
        reply
            .header("content-security-policy")
            .unwrap()
            .contains("frame-ancestors 'none'")
    );
}

#[tokio::test]
async fn a_bound_session_goes_on_with_proofs() {
    let stack = start(&[DEVICE]).await;
    let mut device = Device::logged_in(&stack).await;
    for _ in 0..5 {
        stack.clock.advance(MINUTE * 9);
        assert!(is_logged_in(&device.browser).await, "with the cookie");
        stack.clock.advance(MINUTE * 2);
        assert_eq!(session(&device.browser).await["reason"], "device_proof_required");
        // The challenge that it has is too old. It gets another one, and signs that.
        let reply = device.renew().await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        device.challenge = challenge(&reply).0;
        let reply = device.renew().await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, ""));
        assert!(is_logged_in(&device.browser).await);
        assert_eq!(device.browser.get("/api/x").await.status, StatusCode::OK);
    }
}

/// It needs the bound cookie.
#[tokio::test]
async fn attack_53_a_session_cookie_alone_is_worthless() {
    for binding in [DEVICE, IF_POSSIBLE] {
        let stack = start(&[binding]).await;
        let device = Device::logged_in(&stack).await;
        let thief = device.stolen();
        assert!(is_logged_in(&thief).await, "both cookies, while they are young");
        stack.clock.advance(BOUND);
        let seen = stack.api.calls().len();
        for skipped in [
            "",
            "unreachable",
            "server_error",
            "quota_exceeded",
            "unreachable;session_identifier=\"s\"",
        ] {
            for path in ["/api/x", "/auth/verify", "/auth/csrf", "/auth/session"] {
                let request = thief
                    .request(Method::GET, path)
                    .header("secure-session-skipped", skipped);
                let reply = thief.send(request).await;
                if path == "/auth/session" {
                    assert_eq!(reply.json()["reason"], "device_proof_required", "{skipped}");
                } else {
                    let refused = (401, "device_proof_required".to_owned());
                    assert_eq!(reply.refusal(), refused, "{path} {skipped}");
                }
            }
        }
        assert_eq!(stack.api.calls().len(), seen, "nothing is passed on");

        // Neither another login nor a logout by the thief costs the person the session.
        log_in(&device.stolen()).await;
        let reply = fixture::post(&device.stolen(), "/auth/logout", &[]).await;
        assert_eq!(reply.code(), "csrf_token");
        let mut device = device;
        let reply = device.renew().await;
        device.challenge = challenge(&reply).0;
        assert_eq!(device.renew().await.status, StatusCode::OK);
        assert!(is_logged_in(&device.browser).await, "the session stays");
    }
}

/// For a minute.
#[tokio::test]
async fn requests_under_way_at_the_registration_pass() {
    let stack = start(&[DEVICE]).await;
    let device = Device::logged_in(&stack).await;
    let bare = device.stolen();
    bare.set_cookie("__Host-bff_bound", "");
    assert!(is_logged_in(&bare).await);
    stack.clock.advance(MINUTE);
    assert!(!is_logged_in(&bare).await);
    assert!(is_logged_in(&device.browser).await);
}

#[tokio::test]
async fn attack_53_only_the_own_cookie_of_a_session_counts() {
    let stack = start(&[DEVICE]).await;
    let [one, two] = [Device::logged_in(&stack).await, Device::logged_in(&stack).await];
    stack.clock.advance(MINUTE);
    let both = one.stolen();
    for value in [
        two.cookie().unwrap(),
        one.challenge.clone(),
        "A".repeat(54),
        "x".to_owned(),
    ] {
        both.set_cookie("__Host-bff_bound", &value);
        // An invalid cookie is removed, so that the browser proves its key.
        let reply = both.get("/auth/session").await;
        assert_eq!(reply.json()["reason"], "device_proof_required");
        assert!(reply.set_cookies()[0].starts_with("__Host-bff_bound=;"));
        both.set_cookie("__Host-bff_bound", &value);
        let reply = both.get("/api/x").await;
        assert_eq!(reply.code(), "device_proof_required");
        assert!(reply.set_cookies()[0].starts_with("__Host-bff_bound=;"));
    }
    both.set_cookie("__Host-bff_bound", &one.cookie().unwrap());
    assert!(is_logged_in(&both).await);
}

#[tokio::test]
async fn renewals_at_the_same_moment_all_succeed_and_ask_nobody_else() {
    let stack = start(&[DEVICE]).await;
    let mut device = Device::logged_in(&stack).await;
    let proof = device.key.proof(&device.challenge);
    device.renew().await;
    let asked = stack.idp.count(Endpoint::Token);
    let replies = join_all((0..8).map(|_| device.try_to_renew(&proof))).await;
    for reply in replies {
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(stack.idp.count(Endpoint::Token), asked);
}

#[tokio::test]
async fn attack_53_without_the_key_there_is_no_cookie() {
    let stack = start(&[DEVICE]).await;
    let device = Device::logged_in(&stack).await;
    let other = DeviceKey::make();
    let with_key = other.first_proof(&device.challenge, "x");
    let logs = Logs::capture();
    for proof in [other.proof(&device.challenge), with_key, "a.b.c".to_owned()] {
        let reply = device.try_to_renew(&proof).await;
        assert_eq!(reply.refusal(), (400, "device_proof_refused".to_owned()));
        assert!(reply.set_cookies().is_empty());
    }
    // A client that sends them does not fill the log.
    let text = logs.text();
    let mut told = text
        .lines()
        .filter(|line| line.contains("the proof of a device was refused"));
    assert!(told.next().is_some_and(|line| line.contains("WARN")), "{text}");
    assert!(told.all(|line| line.contains("DEBUG")), "{text}");
    for jti in ["", "x", &device.id] {
        let reply = device.try_to_renew(&device.key.proof(jti)).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(reply.set_cookies().is_empty());
        assert_eq!(challenge(&reply).1, device.id);
    }
    // Without a proof: the challenge.
    let reply = fixture::post(
        &device.browser,
        "/auth/dbsc/refresh",
        &[("sec-secure-session-id", &*device.id)],
    )
    .await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::FORBIDDEN, ""));
    let proof = device.key.proof(&challenge(&reply).0);
    assert_eq!(device.try_to_renew(&proof).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_without_cookies_finds_its_session_by_name() {
    // As after a login at the IdP, or a link of another site: `SameSite` cookies are missing.
    let stack = start(&[DEVICE]).await;
    let browser = stack.browser();
    let invited = invitation(&log_in(&browser).await).unwrap();
    let bare = stack.browser();
    let key = DeviceKey::make();
    let reply = register(&bare, &key, &invited).await;
    assert_eq!(reply.status, StatusCode::OK);
    let (challenge, id) = challenge(&reply);
    let bare = Device {
        browser: stack.browser(),
        key,
        id,
        challenge,
    };
    let reply = bare.try_to_renew(&bare.key.proof(&bare.challenge)).await;
    assert_eq!(reply.status, StatusCode::OK);
    browser.set_cookie("__Host-bff_bound", &bare.cookie().unwrap());
    stack.clock.advance(MINUTE);
    assert!(is_logged_in(&browser).await);
    // The name alone does not identify a session.
    assert!(!is_logged_in(&bare.browser).await);
}

#[tokio::test]
async fn attack_53_a_key_is_registered_by_the_login_alone_and_once() {
    let stack = start(&[DEVICE]).await;
    let browser = stack.browser();
    let invited = invitation(&log_in(&browser).await).unwrap();
    let key = DeviceKey::make();
    for (challenge, authorization) in [
        (&*invited.challenge, "x"),
        ("x", &*invited.authorization),
        (&*invited.authorization, &*invited.challenge),
    ] {
        let proof = key.first_proof(challenge, authorization);
        let reply = fixture::post(
            &browser,
            "/auth/dbsc/register",
            &[("secure-session-response", &proof)],
        )
        .await;
        assert_eq!(reply.refusal(), (403, "device_registration_refused".to_owned()));
    }
    let unsigned = fixture::post(&browser, "/auth/dbsc/register", &[]).await;
    assert_eq!(
        unsigned.refusal(),
        (403, "device_registration_refused".to_owned())
    );
    // Another session's cookie came along.
    let other = stack.browser();
    log_in(&other).await;
    let reply = register(&other, &key, &invited).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);

    assert_eq!(register(&browser, &key, &invited).await.status, StatusCode::OK);
    assert_eq!(
        register(&browser, &key, &invited).await.status,
        StatusCode::OK,
        "the answer may have got lost"
    );
    let thief = register(&browser, &DeviceKey::make(), &invited).await;
    assert_eq!(thief.refusal(), (403, "device_registration_refused".to_owned()));
}

#[tokio::test]
async fn a_logout_ends_the_binding_in_the_browser() {
    let stack = start(&[DEVICE]).await;
    let device = Device::logged_in(&stack).await;
    let token = session(&device.browser).await["csrf_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = fixture::post(&device.browser, "/auth/logout", &[("x-csrf-token", &token)]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(device.cookie(), None);
    // Nothing of other applications on this host is touched.
    assert_eq!(reply.header("clear-site-data"), None);
    let reply = device.try_to_renew(&device.key.proof(&device.challenge)).await;
    assert_eq!(
        (reply.status, reply.json()),
        (StatusCode::OK, json!({ "continue": false }))
    );
}

#[tokio::test]
async fn another_login_in_the_browser_takes_the_place_of_the_binding() {
    let stack = start(&[DEVICE]).await;
    let before = Device::logged_in(&stack).await;
    let invited = invitation(&log_in(&before.browser).await).unwrap();
    let key = DeviceKey::make();
    let reply = register(&before.browser, &key, &invited).await;
    assert_eq!(reply.status, StatusCode::OK);
    // The browser renews both, and learns that one has ended.
    let old = before.try_to_renew(&before.key.proof(&before.challenge)).await;
    assert_eq!(old.json(), json!({ "continue": false }));
    stack.clock.advance(MINUTE);
    assert!(is_logged_in(&before.browser).await);
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_told_that_it_may_call_these() {
    let stack = start(&[DEVICE, ("CORS__ALLOW_ORIGINS", "https://app.example")]).await;
    for path in ["/auth/dbsc/register", "/auth/dbsc/refresh"] {
        let preflight = stack
            .browser()
            .request(Method::OPTIONS, path)
            .header("access-control-request-method", "POST");
        let mut preflight = preflight.build().unwrap();
        let foreign = header::HeaderValue::from_static("https://app.example");
        preflight.headers_mut().insert(header::ORIGIN, foreign.clone());
        let reply = stack.browser().execute(preflight).await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
        let mut post = stack.browser().request(Method::POST, path).build().unwrap();
        post.headers_mut().insert(header::ORIGIN, foreign);
        let reply = stack.browser().execute(post).await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn a_binding_outlives_a_restart() {
    let mut stack: Stack = start(&[DEVICE, ("SESSION_STORE", "disk")]).await;
    let mut device = Device::logged_in(&stack).await;
    stack.clock.advance(MINUTE);
    stack.restart_with(&[]).await;
    assert!(is_logged_in(&device.browser).await);
    let bare = device.stolen();
    bare.set_cookie("__Host-bff_bound", "");
    assert!(!is_logged_in(&bare).await);
    assert_eq!(device.renew().await.status, StatusCode::OK);
}
