//! `bff_client.json`: its content, its permissions, and when it is refused.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use bff::app::RunError;
use serde_json::{Value, json};

use super::{calls, file, fresh_iat};
use crate::support::{Stack, told};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Other users cannot read it.
#[tokio::test]
async fn the_file_holds_the_registration_for_its_owner() {
    let stack = Stack::start().await;
    let file = file(&stack);
    for (name, value) in [
        ("state", "registered"),
        ("issuer", stack.issuer.as_str()),
        ("requested_client_id", "bff-server"),
        ("client_id", "bff-server"),
        ("token_endpoint_auth_signing_alg", "ES256"),
    ] {
        assert_eq!(file[name], value, "{name}");
    }
    assert_eq!(
        file["registration_client_uri"],
        format!("{}/register/bff-server", stack.issuer)
    );
    assert!(
        file["registration_access_token"]
            .as_str()
            .is_some_and(|token| token.len() > 20)
    );
    assert_eq!(file["spent_initial_access_tokens"].as_array().unwrap().len(), 1);
    assert!(
        file["metadata_sent"]["redirect_uris"].is_string(),
        "a digest of each field"
    );
    assert!(file.get("pending").is_none());
    let text = fs::read_to_string(stack.credentials()).unwrap();
    assert!(
        !text.contains(&stack.variable("DCR_IAT")),
        "the initial access token in the clear"
    );

    // All complete files of the server, and no unfinished one beside them.
    let mut names = Vec::new();
    for entry in fs::read_dir(stack.folder().join("keys")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "bff-signing.pem",
            "bff_client.json",
            "bff_client.json.lock",
            "keyring.json",
            "keyring.json.lock",
            "session_secret"
        ]
    );
    assert_eq!(mode(&stack.folder().join("keys")), 0o700);
}

#[tokio::test]
async fn a_file_that_others_could_read_is_narrowed() {
    let mut stack = Stack::start().await;
    fs::set_permissions(stack.credentials(), fs::Permissions::from_mode(0o644)).unwrap();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(mode(&stack.credentials()), 0o600);
}

#[tokio::test]
async fn it_lies_where_the_configuration_says() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("client.json");
    let mut stack = Stack::builder()
        .set("BFF_CLIENT_CRED_PATH", path.to_str().unwrap())
        .start()
        .await;
    assert_eq!(mode(&path), 0o600);
    assert!(!stack.credentials().exists());
    stack.idp.clear_requests();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
}

/// Restarts with `content` in the credentials file; returns the end of the server. A fresh token is set, and even
/// `ALLOW_BOOTSTRAP_FAILURE`: neither helps against a foreign file.
async fn refused(stack: &mut Stack, content: &[u8], changes: &[(&str, &str)]) -> String {
    fs::write(stack.credentials(), content).unwrap();
    let iat = fresh_iat(stack);
    stack.idp.clear_requests();
    let mut all = vec![("DCR_IAT", iat.as_str()), ("ALLOW_BOOTSTRAP_FAILURE", "true")];
    all.extend(changes);
    stack.restart_without_waiting(&all).await;
    let error: RunError = stack.ended().await;
    assert!(error.is_configuration(), "{error}");
    assert!(calls(stack).is_empty(), "something was sent");
    assert!(
        fs::read(stack.credentials()).unwrap() == content,
        "the file was changed"
    );
    let text = told(&error);
    assert!(
        text.contains("bff_client.json") && text.contains("fix: "),
        "{text}"
    );
    assert!(!text.contains("planted-secret"), "the message quotes a secret");
    text
}

/// It is broken, or of another issuer or requested id.
#[tokio::test]
async fn an_unfitting_credentials_file_stops_the_start() {
    let mut stack = Stack::start().await;
    let good = file(&stack);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut file = good.clone();
        file["registration_access_token"] = json!("planted-secret");
        change(&mut file);
        file.to_string().into_bytes()
    };

    let foreign = changed(&|file| file["issuer"] = json!("https://other.example"));
    let text = refused(&mut stack, &foreign, &[]).await;
    for part in [
        "https://other.example",
        &stack.issuer.clone(),
        "OIDC_ISSUER",
        "BFF_CLIENT_CRED_PATH",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let ours = changed(&|_| {});
    let text = refused(&mut stack, &ours, &[("DCR_CLIENT_ID", "bff-other")]).await;
    for part in [
        "belongs to the client bff-server, and",
        "configured for bff-other",
        "DCR_CLIENT_ID",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let text = refused(&mut stack, &changed(&|file| file["version"] = json!(99)), &[]).await;
    assert!(text.contains("newer version"), "{text}");

    let huge = vec![b' '; 2 * 1024 * 1024];
    for (content, reason) in [
        (&b""[..], "no JSON"),
        (b"{\"client_secret\": \"planted-secret", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "no JSON object"),
        (
            br#"{"web":{"client_id":"x","client_secret":"planted-secret"}}"#,
            "version",
        ),
        (br#"{"version":1,"client_id":"x"}"#, "missing"),
        (&huge, "too large"),
        (&changed(&|file| file["client_id"] = json!(7)), "another type"),
        (&changed(&|file| file["client_id"] = json!("")), "client_id"),
        (
            &changed(&|file| file["registration_access_token"] = json!("a\nb")),
            "registration_access_token",
        ),
        (
            &changed(&|file| file["registration_client_uri"] = json!("javascript:x")),
            "registration_client_uri",
        ),
        (
            &changed(&|file| drop(file.as_object_mut().unwrap().remove("client_id"))),
            "no `client_id`",
        ),
    ] {
        let text = refused(&mut stack, content, &[("DCR_CLIENT_ID", "bff-server")]).await;
        assert!(text.contains(reason), "no {reason} in {text}");
    }

    // Restored, all is as it was.
    fs::write(stack.credentials(), good.to_string()).unwrap();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    stack.browser().log_in().await;
}

#[tokio::test]
async fn no_token_is_spent_where_its_answer_could_not_be_kept() {
    let mut stack = Stack::builder()
        .set("BFF_CLIENT_CRED_PATH", "/proc/bff_client.json")
        .start_without_waiting()
        .await;
    let error = stack.ended().await;
    assert!(error.is_configuration());
    let text = told(&error);
    for part in [
        "/proc is no place for files",
        "BFF_CLIENT_CRED_PATH",
        "credentials",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // The lock can be taken, but nothing of the size of a record be written.
    let in_the_way = stack.folder().join("keys/bff_client.json.probe");
    fs::create_dir(&in_the_way).unwrap();
    stack
        .restart_without_waiting(&[("BFF_CLIENT_CRED_PATH", "")])
        .await;
    let error = stack.ended().await;
    assert!(error.is_configuration(), "{error}");
    assert!(calls(&stack).is_empty());

    // Mended, the very token registers.
    fs::remove_dir(&in_the_way).unwrap();
    stack.restart_with(&[]).await;
    assert_eq!(calls(&stack), ["POST /register"]);
}

/// A foreign PEM is not published; a missing key replaces no registration.
#[tokio::test]
async fn attack_33_foreign_and_missing_keys_change_nothing() {
    let mut stack = Stack::start().await;
    let keys = stack.folder().join("keys");
    let signing = keys.join("bff-signing.pem");
    let published = stack.browser().get("/.well-known/jwks.json").await.body;
    // Another key, valid in every respect, that happens to lie there.
    fs::rename(&signing, keys.join("other.pem")).unwrap();
    let error = told(&stack.app().await.unwrap_err());
    for part in ["bff-signing.pem", "bff_client.json", "restore"] {
        assert!(error.contains(part), "no {part} in {error}");
    }
    assert!(!signing.exists(), "a new identity was made");

    fs::copy(keys.join("other.pem"), &signing).unwrap();
    let made = tempfile::tempdir().unwrap();
    let foreign = made.path().join("foreign.pem");
    crate::start::make_key(&foreign, bff::keys::KeyKind::P256);
    fs::copy(&foreign, keys.join("foreign.pem")).unwrap();
    stack.idp.clear_requests();
    stack.restart_with(&[("DCR_IAT", "")]).await;
    assert_eq!(
        stack.browser().get("/.well-known/jwks.json").await.body,
        published
    );
    assert_eq!(calls(&stack), ["GET /register/bff-server"]);
    stack.browser().log_in().await;
}
