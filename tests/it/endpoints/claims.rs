//! Claims can be anything; they come through a real login and do no harm.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Logs, Reply, Stack, raw};

/// Logs in with these claims in UserInfo and ID token; the answer of the callback, and the browser.
async fn log_in_with(stack: &Stack, claims: &Value) -> (Reply, crate::support::Browser) {
    let claims = claims.as_object().unwrap().clone();
    let of_token = claims.clone();
    stack.idp.on_userinfo(move |answer| {
        let answer = answer.as_object_mut().unwrap();
        answer.extend(claims.clone());
    });
    stack
        .idp
        .on_id_token(move |draft| draft.claims.extend(of_token.clone()));
    let ada = stack.browser();
    let reply = ada.log_in_by("/auth/login").await;
    (reply, ada)
}

#[tokio::test]
async fn attack_30_no_claim_makes_a_second_header_or_a_500() {
    let stack = Stack::start().await;
    for (claim, header) in [
        ("Ada\r\nX-User-ID: root", Some("Ada%0D%0AX-User-ID: root")),
        ("Ada\nX-User-ID: root", Some("Ada%0AX-User-ID: root")),
        ("Ada\0", Some("Ada%00")),
        ("Zo\u{eb} \u{1f980}", Some("Zo%C3%AB %F0%9F%A6%80")),
        ("100% <script>", Some("100%25 <script>")),
        ("\u{202e}\u{7f}", Some("%E2%80%AE%7F")),
        ("", Some("")),
    ] {
        let (reply, ada) = log_in_with(&stack, &json!({ "name": claim, "email": claim })).await;
        reply.leads_on();
        let session = ada.session().await;
        assert_eq!(session["user"]["name"], claim);
        let verified = ada.get("/auth/verify").await;
        assert_eq!(verified.status, StatusCode::OK);
        assert_eq!(verified.header("x-user-name"), header, "{claim:?}");
        assert_eq!(verified.header("x-user-email"), header, "{claim:?}");
        // In its form on the wire: one line, and it is Ada's.
        let request = format!(
            "GET /auth/verify HTTP/1.1\r\nHost: a\r\nCookie: __Host-Http-bff_session={}\r\nConnection: close\r\n\r\n",
            ada.session_cookie().unwrap()
        );
        let answer = raw(stack.address, &request).await.to_ascii_lowercase();
        let lines: Vec<&str> = answer
            .lines()
            .filter(|line| line.starts_with("x-user-id"))
            .collect();
        assert_eq!(lines, ["x-user-id: u-ada"], "{claim:?}");
    }
}

/// Never a 500.
#[tokio::test]
async fn attack_30_claims_of_any_type_and_size_are_bounded() {
    let stack = Stack::start().await;
    let large = "x".repeat(64 * 1024);
    for claims in [
        json!({ "name": 7, "email": null }),
        json!({ "name": ["Ada"], "email": { "a": "b" } }),
        json!({ "name": "x".repeat(2_000), "email": "y".repeat(5_000) }),
        json!({ "name": "\u{20ac}".repeat(1_000) }),
        json!({ "name": large }),
        json!({ "x".repeat(64 * 1024): "name" }),
        json!({ "authenticated": false, "csrf_token": "mine", "user": "root" }),
    ] {
        let (reply, ada) = log_in_with(&stack, &claims).await;
        // A gigantic ID token may be refused; that is the IdP's fault, and the log says so.
        assert!(
            reply.target().is_some() || reply.status == StatusCode::BAD_GATEWAY,
            "{}: {}",
            reply.status,
            reply.body
        );
        let session = ada.get("/auth/session").await;
        assert_eq!(session.status, StatusCode::OK);
        assert!(session.body.len() < 64 * 1024);
        if reply.target().is_some() {
            assert_eq!(session.json()["authenticated"], true);
            assert_eq!(session.json()["user"]["sub"], "u-ada");
            assert_ne!(session.json()["csrf_token"], "mine");
            let verified = ada.get("/auth/verify").await;
            assert_eq!(verified.status, StatusCode::OK);
            assert_eq!(verified.header("x-user-id"), Some("u-ada"));
            let length = |name: &str| verified.header(name).map_or(0, str::len);
            assert!(length("x-user-name") <= 1024 && length("x-user-email") <= 1024);
        }
    }
}

/// The address for the session and the proxy, with these claims in the ID token and in UserInfo.
async fn told(stack: &Stack, id_token: Value, user_info: Value) -> [Option<String>; 2] {
    let without = |claims: &mut Value| {
        let claims = claims.as_object_mut().unwrap();
        claims.retain(|name, _| !name.starts_with("email"));
    };
    stack.idp.on_userinfo(move |answer| {
        without(answer);
        let claims = user_info.as_object().unwrap().clone();
        answer.as_object_mut().unwrap().extend(claims);
    });
    stack.idp.on_id_token(move |draft| {
        draft.claims.retain(|name, _| !name.starts_with("email"));
        draft.claims.extend(id_token.as_object().unwrap().clone());
    });
    let ada = stack.browser();
    ada.log_in().await;
    let user = ada.session().await["user"]["email"]
        .as_str()
        .map(ToOwned::to_owned);
    let verified = ada.get("/auth/verify").await;
    [user, verified.header("x-user-email").map(ToOwned::to_owned)]
}

#[tokio::test]
async fn attack_43_what_the_idp_does_not_vouch_for_is_told_to_nobody() {
    const ADA: &str = "ada@example.org";
    let logs = Logs::capture();
    let mut stack = Stack::start().await;
    let verified = json!({ "email": ADA, "email_verified": true });
    let nobody = [None, None];
    let both = [Some(ADA.to_owned()), Some(ADA.to_owned())];
    let none = || json!({});
    assert_eq!(told(&stack, none(), verified.clone()).await, both);
    assert_eq!(told(&stack, verified.clone(), none()).await, both);
    for doubtful in [
        json!({ "email": ADA }),
        json!({ "email": ADA, "email_verified": false }),
        json!({ "email": ADA, "email_verified": "true" }),
        json!({ "email": ADA, "email_verified": 1 }),
    ] {
        assert_eq!(told(&stack, none(), doubtful.clone()).await, nobody, "{doubtful}");
        assert_eq!(told(&stack, doubtful.clone(), none()).await, nobody, "{doubtful}");
    }
    let other = json!({ "email": "grace@example.org" });
    assert_eq!(told(&stack, verified, other).await, nobody);
    assert_eq!(logs.lines_with("OIDC_EMAIL_TRUSTED").len(), 1);
    assert_eq!(logs.lines_with("without a true email_verified").len(), 1);

    stack.restart_with(&[("OIDC_EMAIL_TRUSTED", "true")]).await;
    assert_eq!(told(&stack, none(), json!({ "email": ADA })).await, both);
    let denied = json!({ "email": ADA, "email_verified": false });
    assert_eq!(told(&stack, none(), denied).await, nobody);
    assert_eq!(logs.lines_with("OIDC_EMAIL_TRUSTED").len(), 1);
}

#[tokio::test]
async fn attack_43_an_unstated_login_time_is_never_reported() {
    let stack = Stack::start().await;
    stack.idp.on_id_token(|draft| {
        draft.claims.remove("auth_time");
    });
    let ada = stack.browser();
    ada.log_in().await;
    let verified = ada.get("/auth/verify").await;
    assert_eq!(
        (verified.status, verified.header("x-auth-time")),
        (StatusCode::OK, None)
    );
}
