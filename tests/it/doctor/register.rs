//! `bff register`.

use devstack_idp::{Endpoint, Fault, MintIat};

use super::run;
use crate::support::{Ended, Stack};

async fn unregistered() -> Stack {
    Stack::builder().without_server().start_without_waiting().await
}

#[track_caller]
fn says(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.output);
    for part in parts {
        assert!(ended.output.contains(part), "no {part:?} in:\n{}", ended.output);
    }
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
    says(
        &ended,
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

    says(
        &run(&stack, &["register"], &[]).await,
        0,
        &["201 Created", "Client registered: bff-server"],
    );
    stack.idp.clear_requests();
    let before = std::fs::read(stack.credentials()).unwrap();
    let scopes = [("OIDC_SCOPES", "openid profile")];
    let ended = run(&stack, &["register", "--dry-run"], &scopes).await;
    says(
        &ended,
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
    says(
        &run(&stack, &["register", "--dry-run"], &[]).await,
        0,
        &["nothing would be done"],
    );
}

#[tokio::test]
async fn a_dry_run_of_a_replacement_shows_what_would_be_registered() {
    let stack = unregistered().await;
    says(&run(&stack, &["register"], &[]).await, 0, &[]);
    stack.idp.clear_requests();
    let fresh = stack.idp.mint_iat(MintIat::default());
    let forced = [("DCR_FORCE_REPLACE", "true"), ("DCR_IAT", fresh.as_str())];
    let table = [
        "in the place of bff-server",
        "+ private_key_jwt",
        "+ http://automate.localhost",
        "Nothing was written and nothing was spent.",
    ];
    says(&run(&stack, &["register", "--dry-run"], &forced).await, 0, &table);

    stack.idp.fail_always(
        Endpoint::RegistrationManagement,
        Fault::oauth_error(401, "invalid_token"),
    );
    let lost = [("DCR_IAT", fresh.as_str())];
    let ended = run(&stack, &["register", "--dry-run"], &lost).await;
    says(&ended, 0, &table);
    says(&ended, 0, &["is refused"]);
    assert!(writes(&stack).is_empty());
}

#[tokio::test]
async fn it_registers_updates_and_then_has_nothing_to_do() {
    let stack = unregistered().await;
    says(
        &run(&stack, &["register"], &[]).await,
        0,
        &[
            "201 Created",
            "Client registered: bff-server",
            "bff-server is registered.",
        ],
    );
    says(
        &run(&stack, &["register"], &[]).await,
        0,
        &["registration unchanged", "nothing had to be done"],
    );
    let scopes = [("OIDC_SCOPES", "openid profile")];
    says(
        &run(&stack, &["register"], &scopes).await,
        0,
        &["bff-server was updated", "- email"],
    );
    assert_eq!(
        stack.idp.registered_client("bff-server").unwrap()["scope"],
        "openid profile"
    );
    assert_eq!(writes(&stack), ["POST", "PUT"]);
}

#[tokio::test]
async fn its_exit_codes_tell_configuration_refusal_and_outage_apart() {
    let stack = unregistered().await;
    says(
        &run(&stack, &["register"], &[("PORT", "many")]).await,
        64,
        &["PORT"],
    );
    says(
        &run(
            &stack,
            &["register"],
            &[
                ("DCR_ENABLED", "false"),
                ("DCR_CLIENT_ID", ""),
                ("AUTH_CLIENT_ID", "x"),
            ],
        )
        .await,
        64,
        &["registration is off", "hint: "],
    );
    says(
        &run(&stack, &["register"], &[("DCR_IAT", "never-minted-by-anybody")]).await,
        77,
        &["mint a new one"],
    );
    let slash = format!("{}/", stack.issuer);
    says(
        &run(&stack, &["register"], &[("OIDC_ISSUER", &slash)]).await,
        64,
        &["OIDC_ISSUER"],
    );
    says(&run(&stack, &["register"], &[]).await, 0, &[]);
    // What is stored serves on, and yet it was not done.
    let refused = [("OIDC_SCOPES", "openid billing")];
    says(
        &run(&stack, &["register"], &refused).await,
        77,
        &["billing", "policy.allowed_scopes"],
    );
    std::fs::write(stack.credentials(), "{").unwrap();
    says(
        &run(&stack, &["register"], &[]).await,
        64,
        &["bff_client.json", "restore it"],
    );
}
