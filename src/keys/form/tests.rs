use std::{fs, path::Path, process::Command};

use proptest::prelude::*;

use super::*;
use crate::{
    diagnostic::Explain as _,
    keys::pem::{KeyProblem, read_key},
};

fn fixture(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/keys/fixtures")
            .join(name),
    )
    .unwrap()
}

fn der(name: &str) -> Vec<u8> {
    ::pem::parse(fixture(name)).unwrap().into_contents()
}

fn utf16(text: &[u8], order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(order)
        .collect()
}

fn escaped(text: &[u8]) -> Vec<u8> {
    String::from_utf8(text.to_vec())
        .unwrap()
        .replace('\n', "\\n")
        .into_bytes()
}

fn unframed(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('-')).collect();
    lines.join("\n").into_bytes()
}

/// A PKCS#12 file of a key, made by the program that people use.
fn pkcs12(folder: &Path) -> Vec<u8> {
    let (key, certificate, file) = (
        folder.join("both.pem"),
        folder.join("both.pem"),
        folder.join("made.p12"),
    );
    fs::write(&key, fixture("certificate-and-key.pem")).unwrap();
    let made = Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:", "-inkey"])
        .arg(&key)
        .arg("-in")
        .arg(&certificate)
        .arg("-out")
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::read(file).unwrap()
}

#[test]
fn forms_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "rsa2048-pkcs8.pem",
        "rsa2048-pkcs1.pem",
        "p256-pkcs8.pem",
        "p256-sec1.pem",
        "ed25519-pkcs8-v1.pem",
    ] {
        let (text, der) = (fixture(name), der(name));
        for (form, bytes) in [
            (Form::EscapedLineEnds, escaped(&text)),
            (Form::Base64OfPem, STANDARD.encode(&text).into_bytes()),
            (Form::Unframed, unframed(&text)),
            (Form::Utf16, utf16(&text, u16::to_le_bytes)),
            (Form::Utf16, utf16(&text, u16::to_be_bytes)),
            (Form::Utf16, utf16(&text, u16::to_le_bytes).split_off(2)),
            (Form::Der, der),
        ] {
            assert_eq!(Form::of(&bytes), Some(form), "{name}");
        }
        assert_eq!(Form::of(&text), None, "{name}");
    }
    for (form, bytes) in [
        (Form::Pkcs12, pkcs12(folder.path())),
        (Form::DerCertificate, der("certificate.pem")),
        (Form::DerPublicKey, der("rsa2048-public.pem")),
        (Form::DerPublicKey, der("p256-public.pem")),
        (Form::Jwk, br#" {"kty":"EC","crv":"P-256"}"#.to_vec()),
    ] {
        assert_eq!(Form::of(&bytes), Some(form));
    }
    for bytes in [&b"hello"[..], b"", b"{}", b"0", &[0x30, 0x80], b"aGVsbG8="] {
        assert_eq!(Form::of(bytes), None);
    }
}

/// The command stands between backticks, with `FILE` for the file.
#[test]
fn the_command_makes_pem_that_is_read() {
    for name in ["rsa2048-pkcs8.pem", "p256-sec1.pem", "ed25519-pkcs8-v1.pem"] {
        let folder = tempfile::tempdir().unwrap();
        let text = fixture(name);
        for bytes in [
            escaped(&text),
            STANDARD.encode(&text).into_bytes(),
            unframed(&text),
            utf16(&text, u16::to_le_bytes),
            der(name),
            pkcs12(folder.path()),
        ] {
            let is_pkcs12 = Form::of(&bytes) == Some(Form::Pkcs12);
            fs::write(folder.path().join("FILE"), bytes).unwrap();
            let error = read_key(&folder.path().join("FILE")).unwrap_err();
            assert!(matches!(error.problem, KeyProblem::OtherForm(_)), "{error}");
            let message = error.told();
            let mut command = message.rsplit('`').nth(1).unwrap().to_owned();
            if is_pkcs12 {
                // A person is asked for it.
                command.push_str(" -passin pass:");
            }
            let done = Command::new("sh")
                .args(["-c", &command])
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(
                done.status.success(),
                "{command}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            let key = read_key(&folder.path().join("key.pem"));
            assert!(key.is_ok(), "{command}: {key:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_have_a_form_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Form::of(&bytes);
    }

    #[test]
    fn der_that_is_cut_off_is_no_key(length in 0_usize..600) {
        let der = der("rsa2048-pkcs1.pem");
        prop_assert_eq!(Form::of(&der[..length]), None);
    }
}
