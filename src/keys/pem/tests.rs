use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{diagnostic::Explain as _, jose::KeyType};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/keys/fixtures")
        .join(name)
}

fn refusal(path: &Path) -> String {
    let message = read_key(path).unwrap_err().told();
    assert!(
        message.starts_with(&format!("{path:?}")),
        "the path is missing: {message}"
    );
    message
}

#[test]
fn every_supported_key_and_container_is_read() {
    for (name, key_type) in [
        ("rsa2048-pkcs8.pem", KeyType::Rsa),
        ("rsa2048-pkcs1.pem", KeyType::Rsa),
        ("p256-pkcs8.pem", KeyType::P256),
        ("p256-sec1.pem", KeyType::P256),
        ("p256-sec1-with-parameters.pem", KeyType::P256),
        ("p256-sec1-without-public.pem", KeyType::P256),
        // The named curve, spelled out: aws-lc recognises it.
        ("p256-explicit-parameters.pem", KeyType::P256),
        ("ed25519-pkcs8-v1.pem", KeyType::Ed25519),
        ("ed25519-pkcs8-v2.pem", KeyType::Ed25519),
        ("certificate-and-key.pem", KeyType::Rsa),
    ] {
        let pair = read_key(&fixture(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(pair.key_type(), key_type, "{name}");
    }
}

#[test]
fn the_container_does_not_change_the_key() {
    use crate::jose::SigningKey;
    let kid = |name| {
        SigningKey::new(read_key(&fixture(name)).unwrap(), None)
            .unwrap()
            .kid()
            .to_owned()
    };
    assert_eq!(kid("rsa2048-pkcs8.pem"), kid("rsa2048-pkcs1.pem"));
    assert_eq!(kid("p256-pkcs8.pem"), kid("p256-sec1.pem"));
    assert_eq!(kid("p256-pkcs8.pem"), kid("p256-sec1-without-public.pem"));
    assert_eq!(kid("ed25519-pkcs8-v1.pem"), kid("ed25519-pkcs8-v2.pem"));
    assert_ne!(kid("p256-pkcs8.pem"), kid("rsa2048-pkcs8.pem"));
}

#[test]
fn every_other_key_is_refused_with_what_it_is_and_a_remedy() {
    for (name, found, remedy) in [
        ("rsa1024-pkcs8.pem", "1024 bits", "openssl genpkey"),
        ("rsa1024-pkcs1.pem", "1024 bits", "openssl genpkey"),
        ("rsa2048-encrypted.pem", "encrypted", "openssl pkey"),
        ("rsa2048-legacy-encrypted.pem", "encrypted", "openssl pkey"),
        (
            "rsa2048-public.pem",
            "public key only",
            "private key that belongs",
        ),
        (
            "rsa2048-public-pkcs1.pem",
            "public key only",
            "private key that belongs",
        ),
        ("p256-public.pem", "public key only", "private key that belongs"),
        ("certificate.pem", "certificate", "private key that belongs"),
        ("secp384r1-pkcs8.pem", "P-384", "P-256"),
        ("secp384r1-sec1.pem", "P-384", "P-256"),
        ("secp256k1-pkcs8.pem", "secp256k1", "P-256"),
        ("secp256k1-sec1.pem", "secp256k1", "P-256"),
        ("ed448.pem", "Ed448", "Ed25519"),
        ("x25519.pem", "X25519", "Ed25519"),
        ("rsa-pss.pem", "RSA-PSS", "plain RSA"),
        ("dsa-pkcs8.pem", "DSA", "use RSA, P-256 or Ed25519"),
        ("dsa-traditional.pem", "DSA", "use RSA, P-256 or Ed25519"),
        ("two-private-keys.pem", "2 private keys", "leave one"),
        ("generate.sh", "PEM block is damaged", "openssl pkey"),
    ] {
        let message = refusal(&fixture(name));
        assert!(message.contains(found), "{name}: {message}");
        assert!(message.contains(remedy), "{name}: {message}");
    }
}

#[test]
fn files_that_are_no_keys_are_refused_with_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    assert!(refusal(&path).contains("no such file"));
    assert!(refusal(folder.path()).contains("a folder"));
    for (content, found) in [
        ("", "is empty"),
        (" \n\t\n", "is empty"),
        ("no key at all", "no PEM block"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQ", "damaged"),
        (
            "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
            "damaged",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "PKCS#8 structure is damaged",
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "SEC1 structure is damaged",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "RSA key is damaged",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "OpenSSH",
        ),
        (
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "certificate",
        ),
        (
            "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n",
            "no private key",
        ),
        (
            "-----BEGIN PGP PRIVATE KEY-----\nAAAA\n-----END PGP PRIVATE KEY-----\n",
            "no private key",
        ),
    ] {
        fs::write(&path, content).unwrap();
        let message = refusal(&path);
        assert!(message.contains(found), "{content:?}: {message}");
    }
    fs::write(&path, vec![b'\n'; 64 * 1024 + 1]).unwrap();
    assert!(refusal(&path).contains("larger than 64 KiB"));
}

#[test]
fn a_pipe_does_not_hang_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(refusal(&path).contains("pipe or socket"));
    assert!(refusal(Path::new("/dev/zero")).contains("a device"));
}

#[test]
fn an_unreadable_file_is_said() {
    let path = PathBuf::from("key.pem");
    let problem = KeyProblem::from_io(&path, &io::ErrorKind::TimedOut.into());
    let error = UnusableKey { path, problem };
    assert!(error.told().contains("read permission"), "{error}");
}

#[test]
fn an_rsa_key_whose_numbers_do_not_fit_is_refused() {
    let text = fs::read(fixture("rsa2048-pkcs1.pem")).unwrap();
    let mut der = pem::parse(text).unwrap().into_contents();
    // A byte within the modulus: the size stays, the primes no longer multiply to it.
    der[100] ^= 1;
    let damaged = pem::encode(&Pem::new("RSA PRIVATE KEY", der));
    let problem = parse(damaged.as_bytes()).unwrap_err();
    assert!(matches!(problem, KeyProblem::RsaInvalid), "{problem}");
}

#[test]
fn line_ends_and_surrounding_text_do_not_matter() {
    let text = fs::read_to_string(fixture("ed25519-pkcs8-v1.pem")).unwrap();
    for variant in [
        text.replace('\n', "\r\n"),
        format!("Bag Attributes\n  friendlyName: key\n{text}"),
        format!("\n\n{text}\n\n"),
    ] {
        assert!(parse(variant.as_bytes()).is_ok(), "{variant}");
    }
}

#[test]
fn messages_never_hold_the_key() {
    for entry in fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let Err(error) = read_key(&path) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        let shown = format!("{error} {error:?}");
        for line in text.lines().filter(|line| line.len() > 30 && !line.contains(' ')) {
            assert!(!shown.contains(line), "{path:?}");
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), tag in 0..4_usize) {
        let _ = parse(&bytes);
        let tag = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"][tag];
        let framed = pem::encode(&Pem::new(tag, bytes));
        prop_assert!(parse(framed.as_bytes()).is_err());
    }

    #[test]
    fn one_changed_byte_never_panics(index in 0..1_700_usize, value in any::<u8>(), name in 0..4_usize) {
        let name = ["rsa2048-pkcs8.pem", "p256-sec1.pem", "ed25519-pkcs8-v2.pem", "p256-pkcs8.pem"][name];
        let mut text = fs::read(fixture(name)).unwrap();
        let index = index % text.len();
        text[index] = value;
        let _ = parse(&text);
    }
}
