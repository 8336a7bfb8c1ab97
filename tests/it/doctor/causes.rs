//! The true cause comes first, and no row claims a cause that is not there: answers at wrong addresses, pages of firewalls,
//! spellings of an issuer.

use devstack_idp::{Endpoint, Fault};
use serde_json::json;

use super::{Harness, check, run};
use crate::support::{Process, Redis, Stack};

async fn never_started() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

/// With a name for a host, which can have capital letters.
async fn by_name() -> Stack {
    let stack =
        Stack::builder().idp(|options| options.issuer = options.issuer.replace("127.0.0.1", "localhost"));
    stack.without_server().start_without_waiting().await
}

/// The variable and the value that the fix of `check` says to set.
fn advice(found: &super::Found, check: &str) -> (String, String) {
    let fix = found.row(check)["fix"].as_str().unwrap();
    let (_, setting) = fix.split_once("set ").unwrap();
    let (name, value) = setting.split_once('=').unwrap();
    let value = value.split_whitespace().next().unwrap();
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_page_at_the_token_endpoint() {
    let harness = Harness::start().await;
    for (fault, parts) in [
        (
            Fault::html(200),
            &["200 OK with an HTML page", "or set OIDC_TOKEN_URL"][..],
        ),
        (
            Fault::html(403),
            &[
                "403 Forbidden with an HTML page",
                "a firewall, a gateway",
                "OIDC_TOKEN_URL",
            ],
        ),
        (
            Fault::json(200, &json!({"status": "ok"})),
            &["200 OK with a JSON object", "OIDC_TOKEN_URL"],
        ),
    ] {
        harness.stack.idp.fail_always(Endpoint::Token, fault);
        let found = harness.check(&[]).await;
        found.blames(
            "discovery",
            &["token_endpoint gives no OAuth answer", "nobody could log in"],
        );
        found.blames("discovery", parts);
        harness.stack.idp.heal_all();
    }
    assert_eq!(harness.check(&[]).await.code, 0);
}

#[tokio::test]
async fn json_at_a_wrong_address() {
    let harness = Harness::start().await;
    for (endpoint, variable) in [
        (Endpoint::Token, "OIDC_TOKEN_URL"),
        (Endpoint::Par, "OIDC_PAR_URL"),
    ] {
        for (status, part) in [
            (404, "404 Not Found"),
            (405, "405 Method"),
            (415, "415 Unsupported"),
        ] {
            let fault = Fault::json(status, &json!({"message": "no"}));
            harness.stack.idp.fail_always(endpoint, fault);
            let found = harness.check(&[]).await;
            found.blames("discovery", &[part, variable]);
            let proof = found.row("authentication");
            if proof["status"] == "failed" {
                let text = proof["fix"].to_string();
                assert!(
                    text.contains("correct the address") && text.contains(variable),
                    "{text}"
                );
            }
            assert!(
                !found.report.to_string().contains("send the content type"),
                "{:#}",
                found.report
            );
            harness.stack.idp.heal_all();
        }
    }
}

#[tokio::test]
async fn json_at_a_wrong_registration_address() {
    let stack = never_started().await;
    for (status, part) in [
        (404, "404 Not Found"),
        (405, "405 Method"),
        (415, "415 Unsupported"),
    ] {
        let fault = Fault::json(status, &json!({"message": "no"}));
        stack.idp.fail_always(Endpoint::Register, fault);
        let fix = "correct DCR_REGISTRATION_URL if it is set";
        let found = check(&stack, &[]).await;
        found.blames("registration", &[part, fix]);
        run(&stack, &["register"], &[]).await.says(77, &[part, fix]);
    }
}

/// The doctor, the start and its log name the setting.
#[tokio::test]
async fn an_endpoint_with_the_address_of_another_one() {
    let harness = Harness::start().await;
    let issuer = &harness.stack.issuer;
    for (variable, path, member, other) in [
        (
            "OIDC_PAR_URL",
            "/token",
            "pushed_authorization_request_endpoint",
            "token_endpoint",
        ),
        (
            "OIDC_TOKEN_URL",
            "/par",
            "token_endpoint",
            "pushed_authorization_request_endpoint",
        ),
        (
            "OIDC_TOKEN_URL",
            "/authorize",
            "token_endpoint",
            "authorization_endpoint",
        ),
        ("OIDC_JWKS_URL", "/userinfo", "jwks_uri", "userinfo_endpoint"),
        (
            "DCR_REGISTRATION_URL",
            "/token",
            "registration_endpoint",
            "token_endpoint",
        ),
    ] {
        let url = format!("{issuer}{path}");
        let found = harness.check(&[(variable, &url)]).await;
        let what = format!("the {member} is set to another endpoint");
        let cause = format!("{url} is set as the `{member}`, and it is the `{other}`");
        found.blames("discovery", &[&what, &cause, &format!("correct {variable}")]);
        let rows = found.rows().iter().filter(|row| row["check"] == "discovery");
        assert!(
            rows.clone().all(|row| row["status"] == "failed"),
            "{:#}",
            found.report
        );
        assert!(
            !rows
                .skip(1)
                .any(|row| row["what"].to_string().contains(&format!("the {member} gives")))
        );
    }
    let port = crate::support::Port::reserve();
    let mut variables = harness.stack.variables.clone();
    variables.retain(|(name, _)| name != "PORT");
    variables.push(("PORT".to_owned(), port.address().port().to_string()));
    variables.push(("OIDC_PAR_URL".to_owned(), format!("{issuer}/token")));
    let mut started = Process::start(&harness.stack.folder(), &[], &variables);
    started.says("and it is the `token_endpoint`").await;
    started.says("correct OIDC_PAR_URL").await;
    started.terminate();
    started.ended().await;
    // The IdP's own address, written down.
    let same = [("OIDC_TOKEN_URL", format!("{issuer}/token"))];
    let same = same.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(harness.check(&same).await.code, 0);
}

/// Whatever the IdP calls itself, the advice leads there.
#[tokio::test]
async fn an_issuer_with_capital_letters() {
    let stack = by_name().await;
    let upper = stack.issuer.replace("localhost", "LOCALHOST");
    let mixed = stack.issuer.replace("localhost", "LocalHost");
    for theirs in [stack.issuer.clone(), mixed.clone()] {
        let named = theirs.clone();
        stack
            .idp
            .on_discovery(move |document| document["issuer"] = json!(named));
        for ours in [&stack.issuer, &upper, &mixed] {
            for base in [None, Some(&stack.issuer), Some(ours)] {
                let mut changes = vec![("OIDC_ISSUER", ours.as_str())];
                changes.extend(base.map(|base| ("IDP_BASE_URL", base.as_str())));
                let mut found = check(&stack, &changes).await;
                assert_eq!(
                    found.failed().contains(&"issuer"),
                    *ours != theirs,
                    "{changes:?} {:#}",
                    found.report
                );
                if *ours != theirs {
                    found.blames(
                        "issuer",
                        &["differ in capital letters", &format!("set OIDC_ISSUER={theirs}")],
                    );
                    let (name, value) = advice(&found, "issuer");
                    assert_eq!(name, "OIDC_ISSUER");
                    changes[0].1 = &value;
                    found = check(&stack, &changes).await;
                }
                found.says("issuer", "ok", &[&theirs]);
                found.says("registration", "skipped", &["the IdP takes DCR_IAT"]);
            }
        }
        // The address alone.
        let found = check(&stack, &[("OIDC_ISSUER", ""), ("IDP_BASE_URL", &upper)]).await;
        found.blames("issuer", &[&format!("set OIDC_ISSUER={theirs}")]);
        stack.idp.clear_hooks();
    }
}

/// A firewall's page says nothing of a token.
#[tokio::test]
async fn a_page_of_a_firewall_at_the_registration() {
    let stack = never_started().await;
    stack.idp.fail_always(Endpoint::Register, Fault::html(403));
    let parts = [
        "/register answered 403 Forbidden with an HTML page (content type text/html",
        "let what stands before the IdP (a firewall, a gateway) pass",
        "DCR_REGISTRATION_URL",
    ];
    check(&stack, &[]).await.blames("registration", &parts);
    run(&stack, &["register"], &[]).await.says(77, &parts);

    stack.idp.heal_all();
    let harness = Harness::start().await;
    harness
        .stack
        .idp
        .fail_always(Endpoint::RegistrationManagement, Fault::html(403));
    let parts = [
        "/register/bff-server answered 403 Forbidden with an HTML page",
        "let what stands before the IdP (a firewall, a gateway) pass",
        "IDP_BASE_URL",
    ];
    for admin in ["", "admin-token"] {
        let found = harness.check(&[("BOOTSTRAP_ADMIN_TOKEN", admin)]).await;
        found.blames("registration", &parts);
        assert!(
            !found.report.to_string().contains("no longer valid"),
            "{:#}",
            found.report
        );
        assert!(
            !found.report.to_string().contains("the next start would"),
            "{:#}",
            found.report
        );
        found.says("authentication", "ok", &[]);
    }
    let ended = run(&harness.stack, &["register"], &[]).await;
    ended.says(77, &parts);
}

#[tokio::test]
async fn registration_answers_that_are_not_json() {
    let harness = Harness::start().await;
    for (fault, part) in [
        (Fault::html(200), "an HTML page (content type text/html"),
        (
            Fault::text(200, "application/json", "[]"),
            "a JSON array (content type application/json)",
        ),
        (
            Fault::text(200, "text/plain", ""),
            "an empty body (content type text/plain)",
        ),
    ] {
        harness
            .stack
            .idp
            .fail_always(Endpoint::RegistrationManagement, fault);
        let found = harness.check(&[]).await;
        let parts = [
            "(200 OK)",
            "it is not a JSON object, but ",
            part,
            "registration_client_uri",
            "IDP_BASE_URL",
        ];
        found.blames("registration", &parts);
        run(&harness.stack, &["register"], &[]).await.says(69, &parts);
        harness.stack.idp.heal_all();
    }

    let stack = never_started().await;
    for (fault, code, part) in [
        (
            Fault::html(200),
            69,
            "(200 OK) is not a registration response: it is not a JSON object, but an HTML page",
        ),
        (
            Fault::redirect(302, "https://idp.example/login"),
            69,
            "a redirect (302 Found), which is not followed",
        ),
    ] {
        stack.idp.fail_always(Endpoint::Register, fault);
        let found = check(&stack, &[]).await;
        assert_eq!(found.code, code, "{:#}", found.report);
        found.blames("registration", &[part, "DCR_REGISTRATION_URL"]);
        run(&stack, &["register"], &[])
            .await
            .says(code, &[part, "DCR_REGISTRATION_URL"]);
    }
    stack
        .idp
        .fail_always(Endpoint::Register, Fault::text(201, "text/html", "<html>made"));
    check(&stack, &[])
        .await
        .blames("registration", &["(201 Created)", "but an HTML page"]);
    run(&stack, &["register"], &[]).await.says(
        69,
        &["the IdP answered 201, but it is not a JSON object, but an HTML page"],
    );
}

/// The metadata name no endpoint for registration: the IdP registers nobody.
#[tokio::test]
async fn an_idp_without_dynamic_registration() {
    let without = |document: &mut serde_json::Value| {
        document.as_object_mut().unwrap().remove("registration_endpoint");
    };
    let parts = [
        "names no registration_endpoint: it offers no dynamic registration",
        "set DCR_REGISTRATION_URL",
        "DCR_ENABLED=false with AUTH_CLIENT_ID",
    ];
    let stack = never_started().await;
    stack.idp.on_discovery(without);
    let found = check(&stack, &[]).await;
    assert_eq!(found.code, 64, "{:#}", found.report);
    found.blames("registration", &parts);
    run(&stack, &["register"], &[]).await.says(64, &parts);

    // A client that is registered already serves on.
    let harness = Harness::start().await;
    let issuer = harness.stack.issuer.clone();
    harness.stack.idp.on_discovery(without);
    let found = harness.check(&[]).await;
    assert_eq!(found.code, 1, "{:#}", found.report);
    found.blames("registration", &parts);
    found.blames("registration", &["set SKIP_DCR_BOOTSTRAP=true"]);
    assert_eq!(found.failed(), ["registration"]);
    assert!(
        !found.report.to_string().contains("another origin"),
        "{:#}",
        found.report
    );
    found.says("authentication", "ok", &[]);
    let ended = run(&harness.stack, &["register"], &[]).await;
    ended.says(0, &["bff-server cannot be managed: ", parts[0], parts[1]]);
    run(&harness.stack, &["register"], &[("OIDC_SCOPES", "openid")])
        .await
        .says(64, &parts);
    let url = format!("{issuer}/register");
    let told = [("DCR_REGISTRATION_URL", url.as_str())];
    assert_eq!(harness.check(&told).await.code, 0, "as it said");
    let skip = [("SKIP_DCR_BOOTSTRAP", "true")];
    assert_eq!(harness.check(&skip).await.code, 0, "as it said");
}

/// Nothing is written with `SKIP_DCR_BOOTSTRAP`.
#[tokio::test]
async fn changes_of_a_registration_that_is_not_written() {
    let harness = Harness::start().await;
    let callback = format!(
        "http://authn.localhost:{}/auth/callback",
        harness.stack.address.port()
    );
    for (variable, value, field) in [
        ("OIDC_SCOPES", "openid", "scope"),
        ("DCR_REDIRECT_URIS", callback.as_str(), "redirect_uris"),
    ] {
        let changes = [("SKIP_DCR_BOOTSTRAP", "true"), (variable, value)];
        let told = format!("{field}: (not returned) -> ");
        let parts = [
            "the registration of bff-server has to change",
            &told,
            "but no call is made, as configured",
            "start once without SKIP_DCR_BOOTSTRAP",
        ];
        let found = harness.check(&changes).await;
        found.blames("registration", &["the server does not write it"]);
        found.blames("registration", &parts);
        assert!(
            !found.report.to_string().contains("run `bff register`"),
            "{:#}",
            found.report
        );
        run(&harness.stack, &["register", "--dry-run"], &changes)
            .await
            .says(77, &parts);
        run(&harness.stack, &["register"], &changes).await.says(0, &parts);
    }
    let method = [
        ("SKIP_DCR_BOOTSTRAP", "true"),
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
    ];
    let found = harness.check(&method).await;
    found.blames("method", &["start once without SKIP_DCR_BOOTSTRAP"]);
    assert!(
        !found.report.to_string().contains("run `bff register`"),
        "{:#}",
        found.report
    );
}

#[tokio::test]
async fn a_dry_run_while_registration_is_off() {
    let stack = never_started().await;
    let changes = [
        ("DCR_ENABLED", "false"),
        ("DCR_CLIENT_ID", ""),
        ("AUTH_CLIENT_ID", "by-hand"),
    ];
    for arguments in [&["register", "--dry-run"][..], &["register"]] {
        let ended = run(&stack, arguments, &changes).await;
        ended.says(
            64,
            &[
                "registration is off: ",
                "uses the client that the configuration names, which was registered by hand",
                "set DCR_ENABLED=true with DCR_REDIRECT_URIS and DCR_IAT",
                "to test the configured client, run `bff check`",
            ],
        );
    }
}

/// The id is the first thing to look at.
#[tokio::test]
async fn a_client_id_that_the_idp_does_not_know() {
    let harness = Harness::start().await;
    let by_hand = [
        ("DCR_ENABLED", "false"),
        ("AUTH_CLIENT_ID", "somebody-else"),
        ("DCR_CLIENT_ID", ""),
    ];
    let secret = [
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
        ("AUTH_CLIENT_SECRET", "not-the-secret-of-anybody"),
    ];
    for changes in [by_hand.to_vec(), [&by_hand[..], &secret].concat()] {
        let found = harness.check(&changes).await;
        assert_eq!(found.failed(), ["authentication"]);
        let fix = found.row("authentication")["fix"].as_str().unwrap();
        assert!(
            fix.starts_with("correct AUTH_CLIENT_ID, if the IdP knows no client somebody-else; else "),
            "{fix}"
        );
        let settings = &found.row("authentication")["settings"];
        assert_eq!(settings[0]["name"], "AUTH_CLIENT_ID", "{settings:#}");
    }
}

/// `invalid_client` shows it while our keys are served, whatever the next start would do.
#[tokio::test]
async fn a_client_that_was_deleted() {
    let stack = never_started().await;
    let mut server = Process::start(&stack.folder(), &[], &stack.variables);
    server.says("Client registered: ").await;
    stack.idp.remove_client("bff-server").unwrap();
    let fresh = stack.idp.mint_iat(devstack_idp::MintIat::default());
    let deleted = "the client bff-server was deleted at the IdP";
    let anew = "run `bff register` (or restart the server), which registers a new client";
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "mint an initial access token"),
        (
            &[("BOOTSTRAP_ADMIN_TOKEN", "admin-token")],
            "with BOOTSTRAP_ADMIN_TOKEN; without success, mint",
        ),
        (&[("DCR_IAT", &fresh)], anew),
        (&[("DCR_IAT", &fresh), ("DCR_FORCE_REPLACE", "true")], anew),
    ];
    for (changes, fix) in cases {
        let found = check(&stack, changes).await;
        found.blames("registration", &[deleted, "invalid_client", fix]);
        found.says("authentication", "failed", &["fix registration first"]);
    }
    server.terminate();
    server.ended().await;
    // An IdP that cannot fetch our keys refuses every client.
    for (changes, fix) in cases {
        let found = check(&stack, changes).await;
        found.blames(
            "registration",
            &["it is no longer valid, or the client was deleted", fix],
        );
        assert_eq!(found.failed(), ["registration"]);
        found.says("authentication", "skipped", &["Start it, and check again"]);
        let notes = found.report["notes"].to_string();
        assert!(
            notes.contains("whether bff-server was deleted at the IdP can be told only while"),
            "{notes}"
        );
    }
    // As it said.
    let ended = run(&stack, &["register"], &[("BOOTSTRAP_ADMIN_TOKEN", "admin-token")]).await;
    ended.says(0, &["Client registered: "]);
}

/// RFC 7591 section 2 allows one of them.
#[tokio::test]
async fn an_empty_set_of_keys_beside_their_address() {
    let harness = Harness::start().await;
    for set in [json!({"keys": []}), json!({})] {
        harness
            .stack
            .idp
            .on_registration_response(move |answer| answer.body["jwks"] = set.clone());
        let found = harness.check(&[]).await;
        assert_eq!(found.failed(), [] as [&str; 0], "{:#}", found.report);
        found.says("kid", "ok", &["the IdP finds "]);
        found.says("registration", "ok", &["can be managed from here"]);
        let notes = found.report["notes"].to_string();
        assert!(
            notes.contains("shows an empty jwks beside the jwks_uri of bff-server"),
            "{notes}"
        );
        harness.stack.idp.clear_hooks();
    }
}

/// The client in a file, and a Redis in which nothing is stored yet.
#[tokio::test]
#[ignore = "needs redis-server: scripts/test stores"]
async fn a_client_that_the_next_start_imports_into_redis() {
    let redis = Redis::start().await;
    let harness = Harness::start().await;
    let (url, secret) = (redis.url(), "7a".repeat(32));
    let changes = [
        ("REDIS_URL", url.as_str()),
        ("SESSION_SECRET", &secret),
        ("SESSION_STORE", "redis"),
        ("BFF_STATE_STORE", "redis"),
    ];
    let file = harness.stack.credentials().display().to_string();
    let would = format!(
        "import {file} into the client record in Redis; then read bff-server at the IdP and compare it"
    );
    let found = harness.check(&changes).await;
    assert_eq!(found.failed(), [] as [&str; 0], "{:#}", found.report);
    let row = format!("bff-server, as {file} has it: the next start imports it into Redis");
    found.says("registration", "skipped", &[&row]);
    found.says("authentication", "ok", &["bff-server"]);
    let notes = found.report["notes"].to_string();
    assert!(
        notes.contains(&format!("the next start would {would}")),
        "{notes}"
    );
    run(&harness.stack, &["register", "--dry-run"], &changes)
        .await
        .says(0, &[&format!("Would {would}."), "Nothing was written."]);
    assert_eq!(redis.command(&["exists", "bff:{client}"]), "0");
    let ended = run(&harness.stack, &["register"], &changes).await;
    ended.says(0, &["was imported into Redis", "registration unchanged"]);
    harness
        .check(&changes)
        .await
        .says("registration", "ok", &["can be managed from here"]);
}
