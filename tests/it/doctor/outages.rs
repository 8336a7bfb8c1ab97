//! Servers that cannot be asked: table, JSON, exit message and log say why in our words, never in those of a library.

use std::fs;

use super::{Harness, check, run};
use crate::support::{
    Process, Stack,
    outage::{Does, in_our_words, server},
};

/// The settings of the stack with `changes`.
fn variables(stack: &Stack, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut variables = stack.variables.clone();
    variables.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    variables.extend(
        changes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    variables
}

/// Table, JSON and the log of a start say `part` in our words.
async fn told(stack: &Stack, changes: &[(&str, &str)], row: &str, part: &str) {
    let found = check(stack, changes).await;
    found.blames(row, &[part]);
    assert_eq!(found.code, 69, "{:#}", found.report);
    in_our_words(&found.report.to_string());
    let table = run(stack, &["check"], changes).await;
    in_our_words(&table.output);
    let words = table.output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(part), "{words}");
    let mut started = Process::start(&stack.folder(), &[], &variables(stack, changes));
    started.says(part).await;
    in_our_words(&started.output());
}

#[tokio::test]
async fn an_idp_that_gives_no_answer() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let plain = |does| format!("http://{}", server(does));
    let tls = format!("https://localhost:{}", server(Does::Close).port());
    let no_tls = stack.issuer.replace("http:", "https:");
    for (issuer, part) in [
        (plain(Does::Refuse), "connection refused, nothing listens there"),
        (plain(Does::Reset), "the other side has ended the connection"),
        (
            plain(Does::Close),
            "has closed the connection before the end of its answer",
        ),
        (plain(Does::Alert), "the answer is not HTTP"),
        (
            "https://no-such-host.invalid".to_owned(),
            "its name has no address",
        ),
        (tls, "the other side has"),
        (no_tls, "does not speak TLS"),
    ] {
        told(&stack, &[("OIDC_ISSUER", &issuer)], "discovery", part).await;
    }
}

#[tokio::test]
async fn a_redis_that_gives_no_answer() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let secret = "7a".repeat(32);
    let at = |does| server(does).to_string();
    for (url, part) in [
        (format!("redis://{}", at(Does::Refuse)), "connection refused"),
        (format!("redis://{}", at(Does::Reset)), "the other side has"),
        (format!("redis://{}", at(Does::Close)), "the other side has"),
        (
            "redis://no-such-host.invalid".to_owned(),
            "its name has no address",
        ),
        (
            format!("rediss://localhost:{}", server(Does::Close).port()),
            "the other side has",
        ),
    ] {
        let changes = [
            ("REDIS_URL", url.as_str()),
            ("SESSION_SECRET", &secret),
            ("SESSION_STORE", "redis"),
        ];
        told(&stack, &changes, "configuration", part).await;
    }
}

#[tokio::test]
async fn a_service_that_gives_no_answer() {
    let at = |does| format!("http://{}", server(does));
    let services = [
        (
            "refuses",
            at(Does::Refuse),
            "connection refused, nothing listens there",
        ),
        (
            "resets",
            at(Does::Reset),
            "the other side has ended the connection",
        ),
        (
            "closes",
            at(Does::Close),
            "has closed the connection before the end of its answer",
        ),
        ("alerts", at(Does::Alert), "the answer is not HTTP"),
        (
            "unknown",
            "http://no-such-host.invalid".to_owned(),
            "its name has no address",
        ),
        (
            "secure",
            format!("https://localhost:{}", server(Does::Close).port()),
            "the other side has",
        ),
    ];
    let table = services
        .iter()
        .fold("services:\n".to_owned(), |table, (id, url, _)| {
            table + "  " + id + ": { base_url: '" + url + "' }\n"
        });
    let routes = services.iter().fold("routes:\n".to_owned(), |routes, (id, ..)| {
        routes + "  - { id: " + id + ", path: /api/" + id + ", target_service: " + id + ", auth: none }\n"
    });
    let mut harness = Harness::of(Stack::builder().routes(&(table + &routes))).await;
    let browser = harness.stack.browser();
    for (id, _, part) in services {
        assert_eq!(browser.get(&format!("/api/{id}")).await.status, 502, "{id}");
        harness.server.says(part).await;
    }
    in_our_words(&harness.server.output());
}

/// The file and the settings do not fit together.
#[tokio::test]
async fn routes_that_cannot_work_are_noted_everywhere() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let file = stack.folder().join("config/routes.yaml");
    let service = "services:\n  crud: { base_url: 'http://crud', timeout: { first_byte: 60s, total: 5s } }\n";
    let route = |keys: &str| {
        format!("{service}routes:\n  - {{ id: one, path: '/api/*', target_service: crud, {keys} }}\n")
    };
    for (text, parts) in [
        (
            route("required_scopes: [orders.write]"),
            &["requires the scope orders.write", "add the scope to OIDC_SCOPES"][..],
        ),
        (
            route("host: elsewhere.example"),
            &[
                "the host elsewhere.example only, where nobody can log in",
                "DCR_REDIRECT_URIS",
            ],
        ),
        (
            route("auth: none"),
            &[
                "has 60s to begin its answer, but each call ends after 5s",
                "raise total",
            ],
        ),
        ("routes: []\n".to_owned(), &["routes.yaml has no routes"]),
    ] {
        fs::write(&file, text).unwrap();
        let found = check(&stack, &[]).await;
        found.says("configuration", "ok", &[]);
        let notes = found.report["notes"].to_string();
        let table = run(&stack, &["check", "--config-only"], &[]).await;
        let listed = run(&stack, &["routes", "list"], &[]).await;
        let mut started = Process::start(&stack.folder(), &[], &stack.variables);
        assert_eq!((table.code, listed.code), (0, 0), "{}", table.output);
        for part in parts {
            assert!(notes.contains(part), "no {part:?} in {notes}");
            assert!(table.output.contains(part), "no {part:?} in {}", table.output);
            assert!(listed.output.contains(part), "no {part:?} in {}", listed.output);
            started.says(part).await;
        }
        started.terminate();
        started.ended().await;
    }
}

/// The commands that ask the running server.
#[tokio::test]
async fn a_server_that_does_not_run() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let socket = stack.folder().join("admin.sock").display().to_string();
    let port = server(Does::Refuse).port().to_string();
    let changes = [("PORT", port.as_str()), ("BFF_ADMIN_SOCKET", &socket)];
    for (arguments, code, part) in [
        (
            &["health"][..],
            1,
            "connection refused, nothing listens there; start the server",
        ),
        (
            &["sessions", "list"],
            69,
            "no server listens there - fix: start it",
        ),
        (&["check"], 0, "not running at "),
    ] {
        let ended = run(&stack, arguments, &changes).await;
        ended.says(code, &[part]);
        in_our_words(&ended.output);
    }
}
