//! The issuers of tokens that callers bring.

use std::fs;

use super::{agree, check};
use crate::support::Stack;

const ROUTES: &str = r#"
services:
  api: { base_url: "{api}" }
routes:
  - { id: machines, path: "/m2m/*", target_service: api, preserve_path: true, auth: bearer }
"#;

async fn stack(idps: &str) -> Stack {
    let builder = Stack::builder().routes(ROUTES).idps(idps).without_server();
    builder.start_without_waiting().await
}

#[tokio::test]
async fn each_issuer_has_a_row() {
    let stack = stack(
        r#"
idps:
  - { name: login, issuer: "{issuer}", audience: orders }
  - { name: away, issuer: "http://127.0.0.1:1", audience: orders }
"#,
    )
    .await;
    let found = check(&stack, &[]).await;
    let rows: Vec<_> = found.rows().iter().filter(|row| row["check"] == "idps").collect();
    assert_eq!(rows.len(), 2, "{:#}", found.report);
    assert_eq!(rows[0]["status"], "failed", "{:#}", found.report);
    assert!(rows[0]["what"].as_str().unwrap().starts_with("away: "));
    assert!(
        rows[0]["cause"]
            .as_str()
            .unwrap()
            .contains("nothing listens there")
    );
    assert!(rows[0]["fix"].as_str().unwrap().contains("idps.yaml"));
    assert_eq!(rows[1]["status"], "ok");
    assert!(rows[1]["what"].as_str().unwrap().starts_with("login: "));
}

#[tokio::test]
async fn without_routes_for_bearers_there_is_no_row() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let found = check(&stack, &[]).await;
    assert!(found.rows().iter().all(|row| row["check"] != "idps"));
}

#[tokio::test]
async fn a_mistake_of_the_file_stops_the_start() {
    let stack = stack("idps:\n- { name: a, isuer: x }\n").await;
    let parts = [
        "idps.yaml",
        "line 2",
        "unknown key `isuer`",
        "did you mean issuer?",
    ];
    agree(&stack, &[], "configuration", &parts).await;
    // Nothing says whose tokens are good.
    fs::remove_file(stack.folder().join("config/idps.yaml")).unwrap();
    let changes = [("BFF_BASE_URL", ""), ("DCR_JWKS_URI", "http://127.0.0.1:1/keys")];
    let parts = ["a route has auth: bearer", "does not exist", "BFF_BASE_URL"];
    agree(&stack, &changes, "configuration", &parts).await;
}
