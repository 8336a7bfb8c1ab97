use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use serde_json::Map;
use tempfile::TempDir;

use super::*;
use crate::{
    authorization_request::AuthorizationRequest,
    jws::Unverified,
    options::Options,
    provider::{Provider, StartError},
    state::grants::{Code, Grant, GrantError},
};

/// A folder with a state file, on which IdPs start one after the other.
struct Disk {
    folder: TempDir,
}

// === impl Disk ===

impl Disk {
    fn new() -> Self {
        crate::install_crypto();
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("state.json")
    }

    /// The state after a start. The IdP learns nothing before, as if it was killed.
    fn start(&self) -> Provider {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> Result<Provider, StartError> {
        let mut options = Options::sample("http://127.0.0.1:4444", "admin").unwrap();
        options.clock = Arc::new(|| 1_000);
        options.state_file = Some(self.file());
        Provider::new(options)
    }
}

/// A login at the client `bff` until second 5,000, and its refresh token.
fn log_in(idp: &Provider) -> (Grant, String) {
    let request = AuthorizationRequest {
        client_id: "bff".to_owned(),
        ..AuthorizationRequest::default()
    };
    let code = Code::new(request, "u-ada".to_owned(), "s".to_owned(), 1_000, Vec::new());
    let mut state = idp.state();
    let code = state.kept.grants.issue_code(code, 1_000);
    let (_, grant) = state.kept.grants.redeem(&code, "bff", 5_000, 1_000).unwrap();
    let refresh = state.kept.grants.issue_refresh(&grant, 1_000);
    (grant, refresh)
}

fn check(idp: &Provider, token: &str) -> Result<(), GrantError> {
    let checked = idp.state().kept.grants.check_refresh(token, "bff", 1_001);
    checked.map(|_| ())
}

fn sign(idp: &Provider, alg: &str) -> String {
    let key = idp.keys(|keys| keys.for_algorithm(Some(alg)));
    key.sign(&key.header("JWT"), &Map::new()).unwrap()
}

fn verifies(idp: &Provider, token: &str) -> bool {
    idp.keys(|keys| keys.verify(&Unverified::parse(token).unwrap()))
}

/// A used one still counts as reuse.
#[test]
fn refresh_tokens_survive_a_restart() {
    let disk = Disk::new();
    let idp = disk.start();
    let (grant, first) = log_in(&idp);
    let second = idp.state().kept.grants.rotate(&first, &grant, 1_001);
    drop(idp);
    assert_eq!(check(&disk.start(), &second), Ok(()));
    assert_eq!(check(&disk.start(), &first), Err(GrantError::Reused));
    assert_eq!(check(&disk.start(), &second), Err(GrantError::Revoked));
}

#[test]
fn a_login_is_known_after_a_restart_and_an_ended_one_is_not() {
    let disk = Disk::new();
    let cookie = Digest::of("cookie");
    let session = Session {
        sub: "u-ada".to_owned(),
        sid: "s".to_owned(),
        auth_time: 1_000,
    };
    let idp = disk.start();
    idp.state()
        .kept
        .sessions
        .insert(cookie.clone(), session, 5_000, 1_000);
    let idp = disk.start();
    assert_eq!(idp.state().kept.sessions.get(&cookie, 1_001).unwrap().sid, "s");
    assert!(idp.state().kept.sessions.get(&cookie, 5_000).is_none());
    idp.state().kept.sessions.remove(&cookie, 1_001);
    assert!(disk.start().state().kept.sessions.get(&cookie, 1_001).is_none());
}

#[test]
fn tokens_that_were_signed_before_a_restart_verify_after_it() {
    let disk = Disk::new();
    let idp = disk.start();
    let tokens = ["RS256", "ES256"].map(|alg| sign(&idp, alg));
    let again = disk.start();
    assert_eq!(again.keys(KeyRing::jwks), idp.keys(KeyRing::jwks));
    assert!(tokens.iter().all(|token| verifies(&again, token)));
    again.state().kept.keys.rotate(KeyRing::generate().unwrap());
    let rotated = disk.start();
    assert!(tokens.iter().all(|token| verifies(&rotated, token)));
    assert_eq!(rotated.keys(KeyRing::jwks), again.keys(KeyRing::jwks));
    assert_ne!(rotated.keys(KeyRing::jwks), idp.keys(KeyRing::jwks));
}

#[test]
fn consents_and_initial_access_tokens_outlive_a_restart() {
    let disk = Disk::new();
    let scopes = ["openid".to_owned()];
    {
        let idp = disk.start();
        let mut state = idp.state();
        state.give_consent("u-ada", "bff", &scopes);
        assert!(state.kept.iats.add("t", "ci".to_owned(), 2_000, 1, 1_000));
    }
    let idp = disk.start();
    assert!(idp.state().has_consent("u-ada", "bff", &scopes));
    assert_eq!(idp.state().kept.iats.check("t", 1_001), Ok(()));
    idp.state().kept.iats.spend("t");
    idp.state().forget_client("bff");
    let idp = disk.start();
    assert!(idp.state().kept.iats.check("t", 1_001).is_err());
    assert!(!idp.state().has_consent("u-ada", "bff", &scopes));
}

#[test]
fn a_damaged_file_is_moved_aside_and_the_idp_starts_empty() {
    let disk = Disk::new();
    let aside = disk.folder.path().join("state.json.damaged");
    let idp = disk.start();
    let (_, refresh) = log_in(&idp);
    let whole = fs::read_to_string(disk.file()).unwrap();
    let other_format = whole.replace("state 1", "state 2");
    let other_key = whole.replace("RS256", "ES256");
    for damaged in [
        &whole[..whole.len() / 2],
        "",
        "\0",
        "[]",
        &other_format,
        &other_key,
    ] {
        fs::write(disk.file(), damaged).unwrap();
        assert_eq!(check(&disk.start(), &refresh), Err(GrantError::Unknown));
        assert_eq!(fs::read_to_string(&aside).unwrap(), damaged);
        let fresh = disk.start();
        assert_eq!(
            fs::read_to_string(&aside).unwrap(),
            damaged,
            "it is not moved again"
        );
        let (_, next) = log_in(&fresh);
        assert_eq!(check(&disk.start(), &next), Ok(()));
    }
}

#[test]
fn a_file_that_cannot_be_read_stops_the_start_and_stays() {
    let disk = Disk::new();
    fs::create_dir(disk.file()).unwrap();
    let error = disk.try_start().err().unwrap().to_string();
    assert!(error.contains("state.json"), "{error}");
    assert!(disk.file().is_dir());
}

#[test]
fn the_file_is_for_its_owner_alone_and_has_no_token() {
    let disk = Disk::new();
    let idp = disk.start();
    let (_, refresh) = log_in(&idp);
    let mode = fs::metadata(disk.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(disk.file()).unwrap();
    assert!(text.contains("u-ada") && !text.contains(&refresh));
    let names = fs::read_dir(disk.folder.path()).unwrap();
    assert_eq!(names.count(), 1, "no temporary file stays");
}

#[test]
fn looking_writes_nothing() {
    let disk = Disk::new();
    let idp = disk.start();
    let (_, refresh) = log_in(&idp);
    fs::remove_file(disk.file()).unwrap();
    assert!(idp.state().kept.grants.is_refresh_live(&refresh, 1_001));
    assert!(!disk.file().exists());
    idp.state().kept.grants.revoke_where(|_| true);
    assert!(disk.file().exists());
}
