use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header::RETRY_AFTER;
use serde_json::json;

use super::*;
use crate::{
    clock::Clock as _,
    diagnostic::Explain as _,
    oidc::{
        ClientAuthentication, Options,
        testing::{Answer, CLIENT_ID, FakeIdp},
    },
    outbound::LaneLimits,
    random::{Random, SystemRandom},
};

async fn refresh_failure(provider: &FakeIdp, answer: Answer) -> CallError {
    provider.answers("/token", [answer]);
    let party = provider.party().await;
    party.refresh(&"rt".into()).await.unwrap_err()
}

fn oauth(status: StatusCode, error: &str) -> Answer {
    Answer::json(status, &json!({"error": error, "error_description": "because"}))
}

fn retry_after_of(seconds: &'static str) -> Answer {
    Answer::html(StatusCode::SERVICE_UNAVAILABLE).with(RETRY_AFTER, seconds)
}

/// The part of attacks 11 and 52 in this module: the meaning of an answer. 408, 425 and 429 are about the moment.
#[tokio::test]
async fn attack_11_and_52_the_error_decides_on_every_lasting_4xx() {
    let provider = FakeIdp::start().await;
    let meaning = |code| match code {
        "invalid_grant" => Meaning::GrantGone,
        "interaction_required" | "login_required" | "consent_required" | "account_selection_required" => {
            Meaning::PersonNeeded
        }
        "invalid_request"
        | "unauthorized_client"
        | "access_denied"
        | "invalid_scope"
        | "unsupported_grant_type"
        | "invalid_target" => Meaning::Refused,
        "invalid_client" => Meaning::UnknownClient,
        _ => Meaning::Outage,
    };
    let codes = [
        "invalid_grant",
        "interaction_required",
        "login_required",
        "consent_required",
        "account_selection_required",
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "invalid_scope",
        "unsupported_grant_type",
        "invalid_target",
        "invalid_client",
        "temporarily_unavailable",
        "server_error",
        "slow_down",
        "invalid_grant ",
        "INVALID_GRANT",
        "something_new",
        "",
    ];
    for code in codes {
        for status in [400, 401, 403, 404, 409, 422, 499] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = refresh_failure(&provider, oauth(status, code)).await;
            assert_eq!(error.meaning(), meaning(code), "{status} {code} {error:?}");
            assert!(!error.outcome_unknown(), "{status} {code}");
        }
    }
    for status in [200, 307, 408, 425, 429, 500, 501, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        // A long pause, so that nothing is repeated at once.
        let answer = oauth(status, "invalid_grant").with(RETRY_AFTER, "60");
        let error = refresh_failure(&provider, answer).await;
        assert_eq!(error.meaning(), Meaning::Outage, "{status} {error:?}");
    }
}

#[tokio::test]
async fn attack_11_what_is_no_error_of_oauth_is_an_outage() {
    let provider = FakeIdp::start().await;
    let body = |body: &str| Answer {
        body: body.to_owned(),
        ..Answer::json(StatusCode::BAD_REQUEST, &json!({}))
    };
    let outages = [
        Answer::html(StatusCode::BAD_REQUEST),
        Answer::html(StatusCode::OK),
        Answer::json(StatusCode::BAD_REQUEST, &json!(["invalid_grant"])),
        Answer::json(StatusCode::BAD_REQUEST, &json!({"error": ["invalid_grant"]})),
        Answer::json(StatusCode::BAD_REQUEST, &json!({"error": null})),
        body("{}"),
        body("{"),
        Answer {
            body: r#"{"error":"invalid_grant"}"#.to_owned(),
            ..Answer::html(StatusCode::BAD_REQUEST)
        },
        Answer {
            body: String::new(),
            ..Answer::html(StatusCode::UNAUTHORIZED)
        },
        Answer {
            body: String::new(),
            ..Answer::html(StatusCode::NOT_FOUND)
        },
        Answer::redirect("/elsewhere"),
    ];
    for answer in outages {
        let shown = format!("{answer:?}");
        let error = refresh_failure(&provider, answer).await;
        assert_eq!(error.meaning(), Meaning::Outage, "{shown} {error:?}");
    }
}

#[tokio::test]
async fn attack_52_a_bare_400_is_a_refusal_without_a_reason() {
    let provider = FakeIdp::start().await;
    for body in ["", " ", "\r\n"] {
        let answer = Answer {
            body: body.to_owned(),
            ..Answer::html(StatusCode::BAD_REQUEST)
        };
        let error = refresh_failure(&provider, answer).await;
        assert!(matches!(error, CallError::NoReason), "{error:?}");
        assert_eq!(error.meaning(), Meaning::Refused);
        assert!(!error.outcome_unknown());
    }
}

#[tokio::test]
async fn attack_39_a_quoted_short_token_is_not_shown() {
    let provider = FakeIdp::start().await;
    for (error, description) in [
        ("invalid_grant", "refresh token rt-7x is used up"),
        ("invalid_client", "bad token: RT-7X"),
        ("rt-7x", "%72t-7x, rt\\u002d7x"),
    ] {
        let body = json!({"error": error, "error_description": description});
        provider.answer("/token", StatusCode::BAD_REQUEST, &body);
        let party = provider.party().await;
        let error = party.refresh(&"rt-7x".into()).await.unwrap_err();
        let shown = format!("{error} {error:?}").to_lowercase();
        assert!(shown.contains("[…]") && !shown.contains("7x"), "{shown}");
    }
}

#[tokio::test]
async fn it_is_told_whether_the_provider_may_have_acted() {
    let provider = FakeIdp::start().await;
    for (answer, unknown) in [
        (Answer::html(StatusCode::BAD_GATEWAY), true),
        (Answer::html(StatusCode::GATEWAY_TIMEOUT), true),
        (Answer::html(StatusCode::INTERNAL_SERVER_ERROR), true),
        (Answer::html(StatusCode::OK), true),
        (Answer::html(StatusCode::REQUEST_TIMEOUT), true),
        (Answer::html(StatusCode::TOO_EARLY), false),
        (Answer::html(StatusCode::SERVICE_UNAVAILABLE), false),
        (Answer::html(StatusCode::TOO_MANY_REQUESTS), false),
        (Answer::html(StatusCode::NOT_FOUND), false),
        (Answer::redirect("/x"), false),
        (oauth(StatusCode::BAD_REQUEST, "invalid_grant"), false),
    ] {
        let shown = format!("{answer:?}");
        let error = refresh_failure(&provider, answer).await;
        assert_eq!(error.outcome_unknown(), unknown, "{shown} {error:?}");
    }
}

#[tokio::test]
async fn attack_36_a_redirect_with_our_credentials_is_not_followed() {
    let provider = FakeIdp::start().await;
    provider.answer("/elsewhere", StatusCode::OK, &json!({}));
    let error = refresh_failure(&provider, Answer::redirect("/elsewhere")).await;
    assert!(
        matches!(
            error,
            CallError::Unexpected {
                status: StatusCode::TEMPORARY_REDIRECT,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(provider.requests_to("/elsewhere").is_empty());
    assert_eq!(provider.requests_to("/token").len(), 1);
}

#[tokio::test]
async fn invalid_client_tells_the_operator_what_was_sent() {
    let provider = FakeIdp::start().await;
    let error = refresh_failure(&provider, oauth(StatusCode::UNAUTHORIZED, "invalid_client")).await;
    let text = error.told();
    for part in [
        "invalid_client (because)",
        "private_key_jwt",
        "bff-key-1",
        "in our JWKS",
        "ES256",
        provider.issuer(),
        CLIENT_ID,
        "[AuthMethod]",
        "[SigningKey]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let CallError::InvalidClient(mut hint) = error else {
        panic!("{text}");
    };
    assert!(hint.proof.assertion.as_ref().unwrap().published);
    hint.key = KeyThere::Missing;
    assert!(hint.told().contains("NOT have that kid"));
    hint.proof.assertion = None;
    assert!(hint.told().contains("[ClientSecret]"));
}

/// The dates of the assertions that were sent, in seconds beside our clock.
fn dates(provider: &FakeIdp) -> Vec<i64> {
    let now = provider.clock.wall().unix_seconds().cast_signed();
    let sent = provider.requests_to("/token");
    let dates = sent.iter().map(|request| {
        let claims = request
            .field("client_assertion")
            .unwrap()
            .split('.')
            .nth(1)
            .unwrap();
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            60
        );
        claims["iat"].as_i64().unwrap() - now
    });
    dates.collect()
}

#[tokio::test]
async fn refused_assertions_get_the_date_of_the_provider() {
    let refused = |date| oauth(StatusCode::UNAUTHORIZED, "invalid_client").with(http::header::DATE, date);
    let tried = |answers: Vec<Answer>| async move {
        let provider = FakeIdp::start().await;
        provider.answers("/token", answers);
        let party = provider.party().await;
        let mut meanings = Vec::new();
        for _ in 0..2 {
            meanings.push(party.refresh(&"rt".into()).await.unwrap_err().meaning());
        }
        (meanings, dates(&provider))
    };
    let (let_in, not) = (Meaning::GrantGone, Meaning::UnknownClient);
    // The clock of the tests shows 2027-01-15 08:00:00.
    for (date, ahead) in [
        ("Fri, 15 Jan 2027 07:59:45 GMT", 15),
        ("Fri, 15 Jan 2027 08:00:30 GMT", -30),
    ] {
        let grant = oauth(StatusCode::BAD_REQUEST, "invalid_grant");
        let found = tried(vec![refused(date), grant]).await;
        assert_eq!(found, (vec![let_in, let_in], vec![0, -ahead, -ahead]));
        // Refused all the same: it was not the clock.
        let found = tried(vec![refused(date)]).await;
        assert_eq!(found, (vec![not, not], vec![0, -ahead, 0, -ahead]));
    }
    // The same time, or one that an operator has to mend.
    for date in [
        "Fri, 15 Jan 2027 08:00:02 GMT",
        "Fri, 15 Jan 2027 07:00:00 GMT",
        "",
    ] {
        let found = tried(vec![refused(date)]).await;
        assert_eq!(found, (vec![not, not], vec![0, 0]), "{date}");
    }
}

#[tokio::test]
async fn clocks_that_are_apart_are_told_where_the_client_is_refused() {
    let provider = FakeIdp::start().await;
    // The clock of the tests shows 2027-01-15 08:00:00.
    for (date, said) in [
        (
            "Fri, 15 Jan 2027 07:58:00 GMT",
            Some("clock is 120 s ahead of the IdP's"),
        ),
        (
            "Fri, 15 Jan 2027 09:00:00 GMT",
            Some("clock is 3600 s behind the IdP's"),
        ),
        ("Fri, 15 Jan 2027 08:00:30 GMT", None),
        ("yesterday", None),
    ] {
        let answer = oauth(StatusCode::UNAUTHORIZED, "invalid_client").with(http::header::DATE, date);
        let text = refresh_failure(&provider, answer).await.told();
        match said {
            Some(said) => assert!(text.contains(said) && text.contains("NTP"), "{date} {text}"),
            None => assert!(!text.contains("clock"), "{date} {text}"),
        }
    }
    for description in ["JWT has expired", "assertion is not yet valid", "iat is too old"] {
        let body = json!({"error": "invalid_client", "error_description": description});
        let answer = Answer::json(StatusCode::UNAUTHORIZED, &body)
            .with(http::header::DATE, "Fri, 15 Jan 2027 08:00:00 GMT");
        let text = refresh_failure(&provider, answer).await.told();
        assert!(text.contains("compare the clock"), "{description} {text}");
    }
}

#[tokio::test]
async fn a_secret_that_form_encoding_changes_names_the_other_method() {
    let provider = FakeIdp::start().await;
    provider.answers("/token", [oauth(StatusCode::UNAUTHORIZED, "invalid_client")]);
    let party = provider.party().await;
    for (id, secret, method, hint) in [
        ("bff", "a+b/c=", "basic", true),
        ("my app", "abc", "basic", true),
        ("bff", "gr\u{fc}n", "basic", true),
        ("urn:bff", "abc", "basic", true),
        ("bff-1_2.3*", "abc-DEF_0.9*", "basic", false),
        ("bff", "a+b/c=", "post", false),
    ] {
        let secret = secret.into();
        party.client().set(Client {
            id: id.to_owned(),
            auth: match method {
                "basic" => ClientAuthentication::ClientSecretBasic(secret),
                _ => ClientAuthentication::ClientSecretPost(secret),
            },
        });
        let text = party.refresh(&"rt".into()).await.unwrap_err().told();
        assert_eq!(
            text.contains("[AuthMethod]=client_secret_post"),
            hint,
            "{id} {text}"
        );
        assert!(!text.contains("a+b/c=") && !text.contains("gr\u{fc}n"), "{text}");
    }
}

#[tokio::test]
async fn only_429_and_503_are_repeated_and_only_so_often() {
    let provider = FakeIdp::start().await;
    for (status, tries) in [
        (StatusCode::SERVICE_UNAVAILABLE, 3),
        (StatusCode::TOO_MANY_REQUESTS, 3),
        (StatusCode::INTERNAL_SERVER_ERROR, 1),
        (StatusCode::BAD_GATEWAY, 1),
        (StatusCode::GATEWAY_TIMEOUT, 1),
        (StatusCode::BAD_REQUEST, 1),
    ] {
        let before = provider.requests_to("/token").len();
        refresh_failure(&provider, Answer::html(status)).await;
        assert_eq!(provider.requests_to("/token").len() - before, tries, "{status}");
    }
}

#[tokio::test]
async fn a_long_retry_after_is_left_to_the_caller() {
    let provider = FakeIdp::start().await;
    let error = refresh_failure(&provider, retry_after_of("60")).await;
    assert!(
        matches!(
            error,
            CallError::Unavailable { retry_after: Some(wait), .. } if wait == Duration::from_mins(1)
        ),
        "{error:?}"
    );
    assert_eq!(provider.requests_to("/token").len(), 1);
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_by_our_clock() {
    let provider = FakeIdp::start().await;
    let done = Answer::json(
        StatusCode::OK,
        &json!({"access_token": "at", "token_type": "bearer"}),
    );
    provider.answers("/token", [retry_after_of("2"), done]);
    let party = provider.party().await;
    let token = "rt".into();
    let refresh = party.refresh(&token);
    tokio::pin!(refresh);
    // The first answer has arrived when the call waits only for the clock.
    while provider.requests_to("/token").is_empty() {
        assert!(futures_util::poll!(&mut refresh).is_pending());
        tokio::task::yield_now().await;
    }
    provider.clock.advance(Duration::from_secs(1));
    for _ in 0..1_000 {
        assert!(futures_util::poll!(&mut refresh).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(provider.requests_to("/token").len(), 1);
    // Repeated until it is done: nothing shows when the call has read the clock.
    while futures_util::poll!(&mut refresh).is_pending() {
        provider.clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    assert_eq!(provider.requests_to("/token").len(), 2);
}

/// A server that takes connections, reads once and hangs up; counts them.
fn hangs_up() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    (address, connections)
}

/// A refresh at a token endpoint of that address.
async fn refresh_at(url: String) -> CallError {
    let provider = FakeIdp::start().await;
    let mut options: Options = provider.options();
    options.provider.overrides.token = Some(Url::parse(&url).unwrap());
    let party = provider.party_with(options).await;
    party.refresh(&"rt".into()).await.unwrap_err()
}

#[tokio::test]
async fn what_was_certainly_not_sent_is_repeated_and_then_told() {
    // The handshake fails before a byte of the request is sent.
    let (address, connections) = hangs_up();
    let error = refresh_at(format!("https://{address}/token")).await;
    assert!(
        matches!(
            &error,
            CallError::Transport {
                outcome_unknown: false,
                source: TransportError::NotSent { .. }
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.meaning(), Meaning::Outage);
    assert!(!error.outcome_unknown());
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_may_have_been_seen_is_never_repeated() {
    let (address, connections) = hangs_up();
    let error = refresh_at(format!("http://{address}/token")).await;
    assert!(
        matches!(
            &error,
            CallError::Transport {
                outcome_unknown: true,
                source: TransportError::Interrupted { .. }
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.meaning(), Meaning::Outage);
    assert!(error.outcome_unknown());
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Counts the draws: each assertion has its own id.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fetch_add(1, Ordering::SeqCst);
        SystemRandom.fill(bytes);
    }
}

#[tokio::test]
async fn attack_31_a_call_that_finds_no_place_signs_nothing() {
    let provider = FakeIdp::start().await;
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let token = format!("http://{}/token", silent.local_addr().unwrap());
    let mut options = provider.options();
    options.provider.overrides.token = Some(Url::parse(&token).unwrap());
    let lanes = LaneLimits {
        refresh: 1,
        ..LaneLimits::default()
    };
    let drawn = Arc::new(Counting::default());
    let party = provider.party_of(options, lanes, drawn.clone()).await;
    let token = "rt".into();
    let mut calls: Vec<_> = (0..5).map(|_| Box::pin(party.refresh(&token))).collect();
    for call in &mut calls {
        assert!(futures_util::poll!(call).is_pending());
    }
    let error = party.refresh(&token).await.unwrap_err();
    assert!(error.is_saturation() && !error.outcome_unknown(), "{error:?}");
    assert_eq!(
        drawn.0.load(Ordering::SeqCst),
        1,
        "only the one that has its turn"
    );
}

#[tokio::test]
async fn nothing_is_sent_before_provider_and_client_are_known() {
    let provider = FakeIdp::start().await;
    let party = provider.undiscovered(provider.options());
    let error = party.refresh(&"rt".into()).await.unwrap_err();
    assert!(
        matches!(error, CallError::NotReady(NotReady::Metadata)),
        "{error:?}"
    );
    assert_eq!(error.meaning(), Meaning::NotSent);
    assert!(!error.outcome_unknown());
}

/// Draws the least, so that a pause is half of what it can be at most.
#[derive(Debug)]
struct Least;

impl Random for Least {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[test]
fn pauses_double_are_bounded_and_end() {
    let options = RetryOptions {
        repeats: 3,
        pause: Duration::from_secs(1),
        longest: Duration::from_secs(3),
    };
    let pause = |failed, asked| options.pause_after(failed, asked, &Least);
    assert_eq!(pause(1, None), Some(Duration::from_millis(500)));
    assert_eq!(pause(2, None), Some(Duration::from_secs(1)));
    assert_eq!(pause(3, None), Some(Duration::from_millis(1_500)));
    assert_eq!(pause(4, None), None);
    let asked = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(pause(1, asked(3)), Some(Duration::from_millis(3_500)));
    assert_eq!(pause(1, asked(4)), None);
}
