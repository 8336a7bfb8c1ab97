//! `bff register`.

use devstack_idp::{Endpoint, Fault, MintIat};

use super::run;
use crate::support::Stack;

async fn unregistered() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

fn writes(stack: &Stack) -> Vec<String> {
    let of = |endpoint| stack.idp.requests(endpoint).into_iter();
    of(Endpoint::Register)
        .chain(of(Endpoint::RegistrationManagement))
        .map(|call| call.method.to_string())
        .filter(|method| method != "GET")
        .collect()
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_spends_nothing() {
    let stack = unregistered().await;
    let ended = run(&stack, &["register", "--dry-run"], &[]).await;
    ended.says(
        0,
        &[
            "Would register a new client",
            "with DCR_IAT",
            "+ private_key_jwt",
            "+ http://automate.localhost",
            "Nothing was written and nothing was spent.",
        ],
    );
    assert!(!stack.folder().join("keys").exists(), "something was written");
    assert!(writes(&stack).is_empty());

    run(&stack, &["register"], &[])
        .await
        .says(0, &["201 Created", "Client registered: bff-server"]);
    stack.idp.clear_requests();
    let before = std::fs::read(stack.credentials()).unwrap();
    let scopes = [("OIDC_SCOPES", "openid profile")];
    let ended = run(&stack, &["register", "--dry-run"], &scopes).await;
    ended.says(
        0,
        &[
            "Would update bff-server",
            "scope",
            "- email",
            "- offline_access",
            "Nothing was changed",
        ],
    );
    assert!(
        !ended.output.contains("profile\n"),
        "only the difference:\n{}",
        ended.output
    );
    assert!(writes(&stack).is_empty());
    assert_eq!(std::fs::read(stack.credentials()).unwrap(), before);
    run(&stack, &["register", "--dry-run"], &[])
        .await
        .says(0, &["Nothing would be done at the IdP."]);
}

#[tokio::test]
async fn a_dry_run_of_a_replacement_shows_what_would_be_registered() {
    let stack = unregistered().await;
    run(&stack, &["register"], &[]).await.says(0, &[]);
    stack.idp.clear_requests();
    let fresh = stack.idp.mint_iat(MintIat::default());
    let forced = [("DCR_FORCE_REPLACE", "true"), ("DCR_IAT", fresh.as_str())];
    let table = [
        "in the place of bff-server",
        "+ private_key_jwt",
        "+ http://automate.localhost",
        "Nothing was written and nothing was spent.",
    ];
    run(&stack, &["register", "--dry-run"], &forced)
        .await
        .says(0, &table);

    stack.idp.fail_always(
        Endpoint::RegistrationManagement,
        Fault::oauth_error(401, "invalid_token"),
    );
    let lost = [("DCR_IAT", fresh.as_str())];
    let ended = run(&stack, &["register", "--dry-run"], &lost).await;
    ended.says(0, &table);
    ended.says(0, &["is refused"]);
    assert!(writes(&stack).is_empty());
}

#[tokio::test]
async fn it_registers_updates_and_then_has_nothing_to_do() {
    let stack = unregistered().await;
    run(&stack, &["register"], &[]).await.says(
        0,
        &[
            "201 Created",
            "Client registered: bff-server",
            "bff-server is registered.",
        ],
    );
    run(&stack, &["register"], &[])
        .await
        .says(0, &["registration unchanged", "nothing had to be done"]);
    let scopes = [("OIDC_SCOPES", "openid profile")];
    run(&stack, &["register"], &scopes)
        .await
        .says(0, &["bff-server was updated", "- email"]);
    assert_eq!(
        stack.idp.registered_client("bff-server").unwrap()["scope"],
        "openid profile"
    );
    assert_eq!(writes(&stack), ["POST", "PUT"]);
}

#[tokio::test]
async fn its_exit_codes_tell_configuration_refusal_and_outage_apart() {
    let stack = unregistered().await;
    run(&stack, &["register"], &[("PORT", "many")])
        .await
        .says(64, &["PORT"]);
    run(
        &stack,
        &["register"],
        &[
            ("DCR_ENABLED", "false"),
            ("DCR_CLIENT_ID", ""),
            ("AUTH_CLIENT_ID", "x"),
        ],
    )
    .await
    .says(64, &["registration is off", "fix: "]);
    run(&stack, &["register"], &[("DCR_IAT", "never-minted-by-anybody")])
        .await
        .says(77, &["mint a new one"]);
    let slash = format!("{}/", stack.issuer);
    run(&stack, &["register"], &[("OIDC_ISSUER", &slash)])
        .await
        .says(64, &["OIDC_ISSUER"]);
    run(&stack, &["register"], &[]).await.says(0, &[]);
    // The stored client stays in use, although the change failed.
    let refused = [("OIDC_SCOPES", "openid billing")];
    run(&stack, &["register"], &refused)
        .await
        .says(77, &["billing", "policy.allowed_scopes"]);
    std::fs::write(stack.credentials(), "{").unwrap();
    run(&stack, &["register"], &[])
        .await
        .says(64, &["bff_client.json", "restore it"]);
}
