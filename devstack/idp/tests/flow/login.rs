//! Authorization requests, pushed or not, login, consent, single sign-on and logout.

use devstack_idp::{Person, PersonError};
use serde_json::json;
use url::Url;

use crate::support::{Harness, LOGGED_OUT_URI, REDIRECT_URI, TestClient, encode, param, text};

fn ada() -> Person {
    Person::new("ada", "ada").unwrap()
}

/// The parameters of an authorization request, for PAR.
fn pairs(url: &str) -> Vec<(String, String)> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

async fn push(harness: &Harness, client: &TestClient, change: &[(&str, &str)]) -> crate::support::Answer {
    let pairs = pairs(&harness.authorize_url(client, change));
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    harness.post_as(client, "/par", &pairs).await
}

fn pushed_url(harness: &Harness, client: &TestClient, request_uri: &str) -> String {
    let query = encode(&[("client_id", &client.id), ("request_uri", request_uri)]);
    format!("{}/authorize?{query}", harness.issuer)
}

#[tokio::test]
async fn a_login_brings_code_state_and_issuer() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let back = ada()
        .authorize(&harness.authorize_url(&client, &[]))
        .await
        .unwrap();
    assert!(back.starts_with(&format!("{REDIRECT_URI}?code=")), "{back}");
    assert_eq!(param(&back, "state").as_deref(), Some("the-state"));
    assert_eq!(param(&back, "iss"), Some(harness.issuer.clone()));
}

#[tokio::test]
async fn a_pushed_request_is_good_once_and_for_a_minute() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let other = harness.client_called("other").await;
    let pushed = push(&harness, &client, &[]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text);
    assert_eq!(pushed.json()["expires_in"], 60);
    let request_uri = text(&pushed.json(), "request_uri").to_owned();
    let back = ada()
        .authorize(&pushed_url(&harness, &client, &request_uri))
        .await
        .unwrap();
    assert!(param(&back, "code").is_some(), "{back}");
    let again = harness
        .http
        .get(pushed_url(&harness, &client, &request_uri))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 400);

    let late = text(&push(&harness, &client, &[]).await.json(), "request_uri").to_owned();
    harness.advance(60);
    let answer = harness
        .http
        .get(pushed_url(&harness, &client, &late))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let foreign = text(&push(&harness, &client, &[]).await.json(), "request_uri").to_owned();
    let answer = harness
        .http
        .get(pushed_url(&harness, &other, &foreign))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_pushed_request_is_checked_when_it_is_pushed() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    for (change, code) in [
        (("redirect_uri", "https://evil.example/"), "invalid_request"),
        (("scope", "openid admin"), "invalid_scope"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("request_uri", "urn:x"), "invalid_request"),
        (("request", "a.b.c"), "request_not_supported"),
        (("client_id", "somebody"), "invalid_request"),
    ] {
        push(&harness, &client, &[change]).await.assert_error(400, code);
    }
    let pairs = pairs(&harness.authorize_url(&client, &[]));
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    harness
        .post_form("/par", &pairs)
        .await
        .assert_error(401, "invalid_client");
    let mut twice = pairs.clone();
    twice.push(("state", "another"));
    harness
        .post_as(&client, "/par", &twice)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    for change in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", "http://bff.localhost:8000/auth/callback/"),
        ("redirect_uri", ""),
        ("request_uri", "urn:ietf:params:oauth:request_uri:x"),
    ] {
        let answer = harness
            .http
            .get(harness.authorize_url(&client, &[change]))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{change:?}");
        assert!(answer.headers().get("location").is_none());
    }
    let twice = format!(
        "{}&redirect_uri=https%3A%2F%2Fevil.example%2F",
        harness.authorize_url(&client, &[])
    );
    assert_eq!(harness.http.get(twice).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_bad_request_goes_back_with_error_state_and_issuer() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    for (change, code) in [
        (("scope", "openid admin"), "invalid_scope"),
        (("response_type", "id_token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("prompt", "none consent"), "invalid_request"),
        (("prompt", "none"), "login_required"),
        (("max_age", "soon"), "invalid_request"),
    ] {
        let back = ada()
            .authorize(&harness.authorize_url(&client, &[change]))
            .await
            .unwrap();
        assert_eq!(param(&back, "error").as_deref(), Some(code), "{back}");
        assert_eq!(param(&back, "state").as_deref(), Some("the-state"));
        assert_eq!(param(&back, "iss"), Some(harness.issuer.clone()));
    }
}

#[tokio::test]
async fn a_wrong_password_shows_the_escaped_form_again() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let name = "<script>alert(1)</script>\"";
    harness
        .control
        .mutate_client(&client.id, |client| client["client_name"] = json!(name))
        .unwrap();
    for person in [
        Person::new("ada", "wrong").unwrap(),
        Person::new(name, "ada").unwrap(),
    ] {
        let Err(PersonError::Page { status, text }) = person
            .authorize(&harness.authorize_url(&client, &[("login_hint", name)]))
            .await
        else {
            panic!("nobody may log in");
        };
        assert_eq!(status, 401);
        assert!(
            !text.contains("<script>") && text.contains("&lt;script&gt;"),
            "{text}"
        );
    }
    let page = harness
        .http
        .get(harness.authorize_url(&client, &[]))
        .send()
        .await
        .unwrap();
    let policy = page
        .headers()
        .get("content-security-policy")
        .unwrap()
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}

/// This prevents login CSRF.
#[tokio::test]
async fn a_form_counts_only_from_the_browser_that_opened_it() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let page = harness
        .http
        .get(harness.authorize_url(&client, &[]))
        .send()
        .await
        .unwrap();
    let cookie = page
        .headers()
        .get("set-cookie")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let html = page.text().await.unwrap();
    let id = html
        .split_once("name=\"interaction\" value=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let form = [("interaction", id), ("username", "ada"), ("password", "ada")];
    assert_eq!(harness.post_form("/login", &form).await.status, 400);
    let send = |cookie: String, form: String| {
        harness
            .http
            .post(format!("{}/login", harness.issuer))
            .header("cookie", cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    };
    let foreign = format!("idp_browser={}", "A".repeat(43));
    assert_eq!(send(foreign, encode(&form)).await.unwrap().status(), 400);
    let own = cookie.split(';').next().unwrap().to_owned();
    // Answered with a redirect, so that the back button of a browser sends no form again.
    let answered = send(own.clone(), encode(&form)).await.unwrap();
    assert_eq!(answered.status(), 303);
    let consent = answered.headers()["location"].to_str().unwrap().to_owned();
    assert!(consent.starts_with("/consent?interaction="), "{consent}");
    let show = |cookie: Option<String>| {
        let mut request = harness.http.get(format!("{}{consent}", harness.issuer));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        request.send()
    };
    assert_eq!(show(Some(own.clone())).await.unwrap().status(), 200);
    assert_eq!(show(None).await.unwrap().status(), 400, "another browser");
    assert_eq!(
        send(own, encode(&form)).await.unwrap().status(),
        400,
        "a form counts once"
    );
}

#[tokio::test]
async fn ten_wrong_passwords_end_the_page() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let page = harness
        .http
        .get(harness.authorize_url(&client, &[]))
        .send()
        .await
        .unwrap();
    let cookie = page.headers().get("set-cookie").unwrap().to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let html = page.text().await.unwrap();
    let id = html
        .split_once("name=\"interaction\" value=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let mut statuses = Vec::new();
    // Before the first wrong password the name has the focus, after it the password.
    assert!(html.contains("required autofocus>") && html.find("autofocus") < html.find("current-password"));
    for round in 0..11 {
        if round == 1 {
            let form = harness
                .http
                .get(format!("{}/login?interaction={id}", harness.issuer))
                .header("cookie", &cookie)
                .send()
                .await
                .unwrap();
            assert_eq!(form.status(), 401);
            let form = form.text().await.unwrap();
            assert!(form.contains("name=\"username\" value=\"ada\""), "{form}");
            assert!(form.find("autofocus") > form.find("current-password"), "{form}");
        }
        let request = harness
            .http
            .post(format!("{}/login", harness.issuer))
            .header("cookie", &cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encode(&[
                ("interaction", id),
                ("username", "ada"),
                ("password", "x"),
            ]));
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [vec![303; 9], vec![400; 2]].concat());
}

#[tokio::test]
async fn consent_can_be_denied_and_is_asked_once() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let plain = harness.authorize_url(&client, &[("prompt", ""), ("scope", "openid profile")]);
    let back = ada().denying().authorize(&plain).await.unwrap();
    assert_eq!(param(&back, "error").as_deref(), Some("access_denied"));
    let ada = ada();
    assert!(param(&ada.authorize(&plain).await.unwrap(), "code").is_some());
    let ada = ada.denying();
    assert!(
        param(&ada.authorize(&plain).await.unwrap(), "code").is_some(),
        "nobody asked again"
    );
    let more = harness.authorize_url(&client, &[("prompt", ""), ("scope", "openid profile email")]);
    assert!(
        param(&ada.authorize(&more).await.unwrap(), "error").is_some(),
        "more scopes ask again"
    );
    harness.control.forget_consents();
    assert!(param(&ada.authorize(&plain).await.unwrap(), "error").is_some());
}

#[tokio::test]
async fn prompt_none_needs_a_session_that_suits() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let ada = ada();
    let silent = |change: &[(&str, &str)]| {
        let mut all = vec![("prompt", "none"), ("scope", "openid")];
        all.extend_from_slice(change);
        harness.authorize_url(&client, &all)
    };
    let error = |back: &str| param(back, "error").unwrap_or_default();
    assert_eq!(
        error(&ada.authorize(&silent(&[])).await.unwrap()),
        "login_required"
    );
    ada.authorize(&harness.authorize_url(&client, &[("scope", "openid")]))
        .await
        .unwrap();
    assert!(param(&ada.authorize(&silent(&[])).await.unwrap(), "code").is_some());
    let wider = silent(&[("scope", "openid email")]);
    assert_eq!(error(&ada.authorize(&wider).await.unwrap()), "consent_required");
    harness.advance(100);
    assert_eq!(
        error(&ada.authorize(&silent(&[("max_age", "99")])).await.unwrap()),
        "login_required"
    );
    assert!(
        param(
            &ada.authorize(&silent(&[("max_age", "100")])).await.unwrap(),
            "code"
        )
        .is_some()
    );
    let grace = silent(&[("login_hint", "grace")]);
    assert_eq!(error(&ada.authorize(&grace).await.unwrap()), "login_required");
    harness.control.revoke_session("u-ada");
    assert_eq!(
        error(&ada.authorize(&silent(&[])).await.unwrap()),
        "login_required"
    );
}

#[tokio::test]
async fn prompt_login_asks_for_the_password_again() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let ada = ada();
    ada.authorize(&harness.authorize_url(&client, &[])).await.unwrap();
    for change in [
        ("prompt", "login"),
        ("prompt", "select_account"),
        ("max_age", "0"),
    ] {
        let page = ada
            .visit(&harness.authorize_url(&client, &[change]))
            .await
            .unwrap();
        assert!(
            page.text().await.unwrap().contains("name=\"password\""),
            "{change:?}"
        );
    }
}

/// It ends the session.
#[tokio::test]
async fn logout_leads_back_only_to_a_registered_address() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let other = harness.client_called("other").await;
    let ada = ada();
    let back = ada.authorize(&harness.authorize_url(&client, &[])).await.unwrap();
    let tokens = harness
        .redeem(&client, &param(&back, "code").unwrap())
        .await
        .json();
    let hint = text(&tokens, "id_token");
    let url = |pairs: &[(&str, &str)]| format!("{}/logout?{}", harness.issuer, encode(pairs));
    for bad in [
        vec![("post_logout_redirect_uri", LOGGED_OUT_URI)],
        vec![
            ("id_token_hint", hint),
            ("post_logout_redirect_uri", "https://evil.example/"),
        ],
        vec![("id_token_hint", hint), ("client_id", other.id.as_str())],
        vec![("id_token_hint", text(&tokens, "access_token"))],
        vec![("id_token_hint", "a.b.c")],
        vec![
            ("client_id", "nobody"),
            ("post_logout_redirect_uri", LOGGED_OUT_URI),
        ],
    ] {
        let answer = ada.visit(&url(&bad)).await.unwrap();
        assert_eq!(answer.status(), 400, "{bad:?}");
    }
    let silent = harness.authorize_url(&client, &[("prompt", "none")]);
    assert!(
        param(&ada.authorize(&silent).await.unwrap(), "code").is_some(),
        "still logged in"
    );

    // Long expired, and signed by a key that is not published any more: still a good hint.
    harness.advance(3600);
    harness.control.rotate_keys().unwrap();
    harness.control.drop_previous_keys();
    let good = url(&[
        ("id_token_hint", hint),
        ("client_id", &client.id),
        ("post_logout_redirect_uri", LOGGED_OUT_URI),
        ("state", "bye"),
    ]);
    let answer = ada.visit(&good).await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(
        answer.headers()["location"],
        format!("{LOGGED_OUT_URI}?state=bye")
    );
    let back = ada.authorize(&silent).await.unwrap();
    assert_eq!(param(&back, "error").as_deref(), Some("login_required"));
    let page = harness.post_form("/logout", &[]).await;
    assert!(page.text.contains("Logged out"), "{}", page.text);
}

#[tokio::test]
async fn a_profile_can_leave_pkce_out() {
    let harness = Harness::start().await;
    harness.control.change_dcr(|dcr| {
        dcr.client_profiles
            .get_mut("code-flow-pkjwt")
            .unwrap()
            .require_pkce = false;
    });
    let client = harness.client().await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = harness.code(&client, &without).await;
    harness
        .redeem(&client, &code)
        .await
        .assert_error(400, "invalid_grant");
    let code = harness.code(&client, &without).await;
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT_URI),
    ];
    assert_eq!(harness.post_as(&client, "/token", &grant).await.status, 200);
}
