//! The true cause comes first, and no row claims a cause that is not there: answers at wrong addresses, pages of firewalls,
//! spellings of an issuer.

use devstack_idp::{Endpoint, Fault};
use serde_json::json;

use super::{Harness, check, run};
use crate::support::{Process, Stack};

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
