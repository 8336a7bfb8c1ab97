use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::json;

use super::{testing::load, *};
use crate::{
    clock::Timestamp,
    jose::{self, Audience, KeySet, Policy, Typ},
    private_file::testing::on_disk,
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn on_disk() -> Self {
        Self(on_disk())
    }

    /// Copies a fixture into the folder, mode 0600.
    fn add(&self, fixture: &str, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/keys/fixtures")
            .join(fixture);
        let path = self.0.path().join(name);
        fs::copy(from, &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn options(&self, signing: &str) -> Options {
        Options {
            signing_key: self.0.path().join(signing),
            kid: None,
            generate: KeyKind::P256,
            extra: Vec::new(),
            dir: self.0.path().to_owned(),
            identity_markers: vec![self.0.path().join("bff_client.json")],
            guard: Guard::Strict,
        }
    }
}

fn kids(keys: &Keys) -> Vec<String> {
    keys.public_jwks()["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn only_public_members_are_published() {
    let folder = Folder::new();
    folder.add("rsa2048-pkcs8.pem", "a.pem");
    let mut options = folder.options("a.pem");
    options.extra = vec![
        folder.add("p256-sec1.pem", "b.pem"),
        folder.add("ed25519-pkcs8-v2.pem", "c.pem"),
    ];
    let (keys, warnings) = load(&options).unwrap();
    assert_eq!(warnings, []);

    let set = keys.public_jwks();
    assert_eq!(set.as_object().unwrap().len(), 1);
    let published = set["keys"].as_array().unwrap();
    assert_eq!(published.len(), 3);
    for jwk in published {
        let members: BTreeSet<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match jwk["kty"].as_str().unwrap() {
            "RSA" => &["kty", "use", "kid", "n", "e"],
            "EC" => &["kty", "use", "kid", "alg", "crv", "x", "y"],
            "OKP" => &["kty", "use", "kid", "alg", "crv", "x"],
            other => panic!("{other}"),
        };
        assert_eq!(members, expected.iter().copied().collect());
        assert_eq!(jwk["use"], "sig");
        assert!(keys.is_published(jwk["kid"].as_str().unwrap()));
    }
    assert!(!keys.is_published("other"));
    assert_eq!(
        serde_json::from_slice::<Value>(&keys.document().body).unwrap(),
        set
    );
    assert_eq!(KeySet::parse(&keys.document().body).unwrap().len(), 3);
}

/// Its `ETag` follows the content.
#[test]
fn the_document_is_deterministic() {
    let folder = Folder::new();
    folder.add("rsa2048-pkcs8.pem", "a.pem");
    let (b, c) = (
        folder.add("p256-sec1.pem", "b.pem"),
        folder.add("ed25519-pkcs8-v1.pem", "c.pem"),
    );
    let load_with = |extra: &[&PathBuf]| {
        let mut options = folder.options("a.pem");
        options.extra = extra.iter().map(|path| (*path).clone()).collect();
        load(&options).unwrap().0
    };
    let one = load_with(&[&b, &c]).document();
    assert_eq!(one, load_with(&[&c, &b]).document());
    assert!(one.etag.starts_with('"') && one.etag.ends_with('"') && one.etag.len() == 45);
    assert_ne!(one.etag, load_with(&[&b]).document().etag);

    let keys = load_with(&[&b, &c]);
    assert_eq!(kids(&keys)[0], keys.signing().kid());
    // The container format does not belong to the key.
    folder.add("rsa2048-pkcs1.pem", "a.pem");
    assert_eq!(one, load_with(&[&b, &c]).document());
}

#[test]
fn attack_33_a_foreign_pem_is_never_published() {
    let folder = Folder::new();
    folder.add("p256-pkcs8.pem", "bff-signing.pem");
    folder.add("rsa2048-pkcs8.pem", "theirs.pem");
    folder.add("ed25519-pkcs8-v1.pem", "other.KEY");
    fs::write(folder.0.path().join("bff_client.json"), "{}").unwrap();
    let options = folder.options("bff-signing.pem");
    let (keys, warnings) = load(&options).unwrap();
    assert_eq!(kids(&keys), [keys.signing().kid()]);
    // The second one is about the keyring.
    let [warning, _] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    let text = warning.told();
    assert!(text.contains(r#""other.KEY", "theirs.pem""#), "{text}");
    assert!(text.contains("[ExtraKeys]"), "{text}");
    assert!(
        !text.contains("bff_client.json") && !text.contains("bff-signing.pem"),
        "{text}"
    );
}

#[test]
fn a_key_that_is_named_through_a_link_is_not_foreign() {
    let folder = Folder::new();
    folder.add("p256-pkcs8.pem", "real.pem");
    std::os::unix::fs::symlink("real.pem", folder.0.path().join("link.pem")).unwrap();
    let (_, warnings) = load(&folder.options("link.pem")).unwrap();
    assert_eq!(warnings, []);
}

#[test]
fn many_foreign_files_make_one_short_warning() {
    let folder = Folder::new();
    folder.add("p256-pkcs8.pem", "a.pem");
    for index in 0..40 {
        fs::write(folder.0.path().join(format!("x{index:02}.pem")), "").unwrap();
    }
    let (_, warnings) = load(&folder.options("a.pem")).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].told().contains(r#""x09.pem" and 30 more"#));
}

#[test]
fn attack_50_a_readable_key_is_refused_with_the_command() {
    let folder = Folder::on_disk();
    let path = folder.add("p256-pkcs8.pem", "a.pem");
    for (mode, command) in [
        (0o640, "chmod 600"),
        (0o604, "chmod 600"),
        (0o644, "chmod 600"),
        (0o620, "chmod go-w"),
        (0o666, "chmod go-w"),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let mut options = folder.options("a.pem");
        let error = load(&options).unwrap_err();
        assert!(matches!(error, KeysError::SigningKey(_)), "{error}");
        let text = error.told();
        assert!(
            text.contains(&format!("mode {mode:04o}")) && text.contains(command),
            "{text}"
        );
        assert!(text.contains("[AllowOpenFiles]"), "{text}");
        // As an extra key it is not published.
        options.signing_key = folder.add("ed25519-pkcs8-v1.pem", "b.pem");
        options.extra = vec![path.clone()];
        let (keys, warnings) = load(&options).unwrap();
        assert_eq!(kids(&keys).len(), 1);
        assert!(warnings[0].told().contains(command), "{warnings:?}");
        // With the switch it is one warning.
        let mut options = folder.options("a.pem");
        options.guard = Guard::Off;
        let (_, warnings) = load(&options).unwrap();
        let exposed = |warning: &&Warning| matches!(warning, Warning::Exposed { .. });
        assert_eq!(warnings.iter().filter(exposed).count(), 1, "{warnings:?}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn attack_50_a_keys_folder_that_others_can_write_is_refused() {
    let folder = Folder::on_disk();
    folder.add("p256-pkcs8.pem", "a.pem");
    for mode in [0o770, 0o707, 0o1777] {
        fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(mode)).unwrap();
        let mut options = folder.options("a.pem");
        let error = load(&options).unwrap_err();
        assert!(matches!(error, KeysError::Exposed { .. }), "{error}");
        assert!(error.told().contains("chmod go-w"), "{error}");
        // Nothing is made there either.
        options.signing_key = folder.0.path().join("new.pem");
        assert!(load(&options).is_err());
        assert!(!options.signing_key.exists());
        options.guard = Guard::Off;
        assert!(load(&options).is_ok());
        fs::remove_file(options.signing_key).unwrap();
    }
}

/// An unusable signing key is an error.
#[test]
fn an_unusable_extra_key_is_a_warning() {
    let folder = Folder::new();
    folder.add("p256-pkcs8.pem", "a.pem");
    let mut options = folder.options("a.pem");
    options.extra = vec![folder.add("rsa1024-pkcs8.pem", "small.pem")];
    let (keys, warnings) = load(&options).unwrap();
    assert_eq!(kids(&keys).len(), 1);
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    let text = warning.told();
    assert!(text.contains("1024 bits"), "{text}");

    let error = load(&folder.options("small.pem")).unwrap_err();
    assert!(matches!(error, KeysError::SigningKey(_)), "{error}");
}

#[test]
fn two_keys_with_one_kid_are_refused() {
    let folder = Folder::new();
    folder.add("p256-pkcs8.pem", "a.pem");
    let extra = folder.add("ed25519-pkcs8-v1.pem", "b.pem");
    let kid_of_extra = load(&folder.options("b.pem"))
        .unwrap()
        .0
        .signing()
        .kid()
        .to_owned();
    let mut options = folder.options("a.pem");
    options.extra = vec![extra];
    options.kid = Some(kid_of_extra.clone());
    let error = load(&options).unwrap_err();
    assert!(
        matches!(&error, KeysError::DuplicateKid(kid) if *kid == kid_of_extra),
        "{error}"
    );
}

#[test]
fn one_key_named_twice_is_published_once() {
    let folder = Folder::new();
    let signing = folder.add("p256-pkcs8.pem", "a.pem");
    let mut options = folder.options("a.pem");
    options.extra = vec![signing.clone(), signing];
    let (keys, _) = load(&options).unwrap();
    assert_eq!(kids(&keys).len(), 1);
    // Under its own kid it has two names: this is how a kid is changed.
    options.kid = Some("named".to_owned());
    let (keys, _) = load(&options).unwrap();
    assert_eq!(kids(&keys).len(), 2);
    assert_eq!(keys.signing().kid(), "named");
}

#[test]
fn the_signing_key_is_made_once() {
    let folder = Folder::new();
    let options = folder.options("keys/bff-signing.pem");
    let (made, warnings) = load(&options).unwrap();
    assert_eq!(warnings, []);
    fs::write(folder.0.path().join("bff_client.json"), "{}").unwrap();
    let (read, _) = load(&options).unwrap();
    assert_eq!(made.document(), read.document());

    fs::remove_file(&options.signing_key).unwrap();
    let error = load(&options).unwrap_err();
    assert!(matches!(error, KeysError::Generate(_)), "{error}");
    assert!(!options.signing_key.exists());
}

#[test]
fn a_configured_algorithm_is_published_and_must_fit() {
    let folder = Folder::new();
    folder.add("rsa2048-pkcs8.pem", "a.pem");
    let open = |algorithm| {
        let rotation = Rotation {
            state_dir: folder.0.path().to_owned(),
            policy: super::Policy::default(),
            algorithm,
        };
        Keeper::open(
            folder.options("a.pem"),
            rotation,
            Timestamp::from_unix_seconds(1_000),
        )
    };
    let (_, keys, _) = open(None).unwrap();
    assert_eq!(keys.public_jwks()["keys"][0].get("alg"), None);
    let (_, declared, _) = open(Some(Algorithm::PS256)).unwrap();
    assert_eq!(declared.public_jwks()["keys"][0]["alg"], "PS256");
    assert_ne!(declared.document().etag, keys.document().etag);
    let error = open(Some(Algorithm::ES256)).unwrap_err();
    assert!(error.told().contains("[SigningAlgorithm]"), "{error}");
}

#[tokio::test]
async fn what_is_signed_verifies_against_what_is_published() {
    jose::install_crypto();
    let folder = Folder::new();
    let now = Timestamp::from_unix_seconds(1_000);
    for fixture in [
        "rsa2048-pkcs8.pem",
        "rsa2048-pkcs1.pem",
        "p256-pkcs8.pem",
        "p256-sec1.pem",
        "p256-sec1-without-public.pem",
        "ed25519-pkcs8-v1.pem",
        "ed25519-pkcs8-v2.pem",
    ] {
        folder.add(fixture, "a.pem");
        let (keys, _) = load(&folder.options("a.pem")).unwrap();
        let set = KeySet::parse(&keys.document().body).unwrap();
        for &algorithm in keys.signing().algorithms() {
            let claims = json!({"iss": "us", "aud": "them", "iat": 1_000, "exp": 1_060});
            let token = keys.sign(algorithm, "JWT", claims).await.unwrap();
            let policy = Policy {
                algorithms: &[algorithm],
                typ: Typ::IdToken,
                issuer: "us",
                audience: Audience::Client {
                    id: "them",
                    trusted: &[],
                },
            };
            let verified = jose::verify(token.expose(), &set, &policy, now);
            assert!(verified.is_ok(), "{fixture} {algorithm}: {verified:?}");
        }
        let error = keys.sign(Algorithm::RS512, "JWT", json!({})).await.unwrap_err();
        assert!(matches!(error, SignError::Algorithm(Algorithm::RS512)), "{error}");
    }
}

#[test]
fn debug_shows_kids_only() {
    let folder = Folder::new();
    folder.add("p256-pkcs8.pem", "a.pem");
    let (keys, _) = load(&folder.options("a.pem")).unwrap();
    let kid = keys.signing().kid().to_owned();
    assert_eq!(
        format!("{keys:?}"),
        format!("Keys {{ signing: SigningKey {{ kid: {kid:?}, type: P256, .. }}, published: [{kid:?}] }}")
    );
}

#[test]
fn replicas_that_start_at_once_on_one_folder_agree_on_one_key() {
    let folder = Folder::new();
    let options = folder.options("keys/bff-signing.pem");
    let loaded: Vec<String> = std::thread::scope(|scope| {
        let replicas: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| load(&options).unwrap().0.signing().kid().to_owned()))
            .collect();
        replicas
            .into_iter()
            .map(|replica| replica.join().unwrap())
            .collect()
    });
    assert!(loaded.iter().all(|kid| *kid == loaded[0]), "{loaded:?}");
    assert_eq!(fs::read_dir(folder.0.path().join("keys")).unwrap().count(), 1);
}
