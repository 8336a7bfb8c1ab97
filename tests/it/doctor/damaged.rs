//! Values that were damaged on the way, and key files in other forms: `bff check`, its JSON and the start name the same
//! cause and the same change, for at least three instances of each kind.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{StreamExt as _, stream};

use super::{Found, check, run};
use crate::support::Stack;

/// As many processes run at once.
const AT_ONCE: usize = 4;

/// A mistake, and the words about it.
struct Mistake {
    changes: Vec<(&'static str, String)>,
    row: &'static str,
    says: String,
    fix: &'static str,
}

/// The words of a text, with one blank between them: a table breaks lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first ✗ of the doctor names the cause and the change, and the start ends with the same.
async fn agree(stack: &Stack, mistake: &Mistake) {
    let changes: Vec<(&str, &str)> = mistake
        .changes
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let shown = format!("{changes:?}");
    let found: Found = check(stack, &changes).await;
    assert_eq!(found.code, 64, "{shown}: {:#}", found.report);
    assert_eq!(
        found.failed().first(),
        Some(&mistake.row),
        "{shown}: {:#}",
        found.report
    );
    let row = found.row(mistake.row);
    let member = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let (what, cause, fix) = (member("what"), member("cause"), member("fix"));
    assert!(
        cause.contains(&mistake.says),
        "{shown}: no {:?} in {row:#}",
        mistake.says
    );
    assert!(
        fix.contains(mistake.fix),
        "{shown}: no {:?} in {row:#}",
        mistake.fix
    );

    let table = run(stack, &["check"], &changes).await;
    let text = words(&table.output);
    let first = text.split_once('✗').unwrap().1;
    assert_eq!(table.code, 64, "{shown}: {text}");
    assert!(
        first.contains(&words(&cause)) && first.contains(&words(&fix)),
        "{shown}: {text}"
    );

    let started = run(stack, &[], &changes).await;
    let text = words(&started.output);
    assert_eq!(started.code, 64, "{shown}: {text}");
    // A log line may quote what it contains.
    let plain = |text: &str| words(text).replace(['\\', '"'], "");
    let knob = what.split(' ').next().unwrap_or_default();
    for part in [knob, &cause, &fix] {
        assert!(
            plain(&text).contains(&plain(part)),
            "{shown}: no {part:?} in {text}"
        );
    }
}

async fn all_agree(mistakes: Vec<Mistake>) {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let stack = &stack;
    let runs = mistakes.iter().map(|mistake| agree(stack, mistake));
    stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

fn value(name: &'static str, value: &str, says: &str, fix: &'static str) -> Mistake {
    Mistake {
        changes: vec![(name, value.to_owned())],
        row: "configuration",
        says: says.to_owned(),
        fix,
    }
}

#[tokio::test]
async fn values_with_quotation_marks_and_invisible_characters() {
    let quoted = "is wrapped in quotation marks";
    let (begins, ends) = ("begins with a quotation mark", "ends with a quotation mark");
    let mark = "begins with a byte order mark (U+FEFF)";
    let saved = "without a byte order mark";
    all_agree(vec![
        value("BFF_BASE_URL", "\"https://bff.example\"", quoted, "remove them"),
        value("SESSION_IDLE_TIMEOUT", "'30m'", quoted, "remove them"),
        value("DCR_CLIENT_PROFILE", "`web`", quoted, "remove them"),
        value("OIDC_SCOPES", "'openid", begins, "remove it"),
        value(
            "DCR_REDIRECT_URIS",
            "\"https://a.example/auth/callback",
            begins,
            "cut off",
        ),
        value("AUTH_CLIENT_ID", "bff\"", ends, "remove it"),
        value("DCR_IAT", "\u{feff}token-of-the-day", mark, saved),
        value("HOST", "\u{feff}127.0.0.1", mark, saved),
        value("BFF_KEY_TYPE", "\u{feff}p-256", mark, saved),
        value(
            "OIDC_ISSUER",
            "https://idp\u{200b}.example",
            "invisible character U+200B",
            "by hand",
        ),
        value(
            "BOOTSTRAP_ADMIN_TOKEN",
            "to\u{ad}ken",
            "invisible character U+00AD",
            "by hand",
        ),
        value(
            "IDP_BASE_URL",
            "http://idp\u{a0}.example",
            "invisible character U+00A0",
            "by hand",
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_with_line_ends_and_blanks() {
    let returned = "contains a carriage return";
    all_agree(vec![
        value("AUTH_CLIENT_SECRET", "first\r\nsecond", returned, "dos2unix"),
        value("DCR_IAT", "token\rtoken", returned, "dos2unix"),
        value("OIDC_ISSUER", "https://idp.example\r/x", returned, "dos2unix"),
        value(
            "DCR_IAT",
            "first-line\nsecond-line",
            "contains a line break",
            "on one line",
        ),
        value(
            "OIDC_ISSUER",
            "https://idp\n.example",
            "contains a line break",
            "on one line",
        ),
        value(
            "AUTH_CLIENT_ID",
            "bff\nserver",
            "contains a line break",
            "on one line",
        ),
        value("DCR_IAT", "token of-the-day", "contains a blank", "remove it"),
        value(
            "BFF_BASE_URL",
            "https://bff .example",
            "contains a blank",
            "remove it",
        ),
        value(
            "OIDC_TOKEN_URL",
            "https://idp.example/ token",
            "contains a blank",
            "remove it",
        ),
        value(
            "DCR_IAT",
            "bearer token-of-the-day",
            "begins with `Bearer`",
            "leave the token alone",
        ),
        value(
            "BOOTSTRAP_ADMIN_TOKEN",
            "Bearer token",
            "begins with `Bearer`",
            "leave the token alone",
        ),
        value(
            "DCR_IAT",
            "BEARER token",
            "begins with `Bearer`",
            "leave the token alone",
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_of_another_place_or_another_list() {
    let (semicolons, commas) = ("separates entries with `;`", "with commas");
    let metadata = "is the address of the metadata, and not the issuer";
    let expanded = "write the value itself";
    all_agree(vec![
        value("BFF_TRUSTED_PROXIES", "10.0.0.1;10.0.0.2", semicolons, commas),
        value("OIDC_SCOPES", "openid;email", semicolons, commas),
        value("BFF_JWKS_EXTRA_KEYS", "one.pem;two.pem", semicolons, commas),
        value(
            "BFF_BASE_URL",
            "https://${PUBLIC_HOST}",
            "the reference to PUBLIC_HOST",
            expanded,
        ),
        value(
            "AUTH_CLIENT_ID",
            "$CLIENT_ID",
            "the reference to CLIENT_ID",
            expanded,
        ),
        value(
            "OIDC_ISSUER",
            "${ISSUER:-https://idp.example}",
            "the reference to ISSUER",
            expanded,
        ),
        value(
            "DCR_IAT",
            "${INITIAL_ACCESS_TOKEN}",
            "is the name of another variable",
            expanded,
        ),
        value(
            "AUTH_CLIENT_SECRET",
            "$SECRET",
            "is the name of another variable",
            expanded,
        ),
        value(
            "BOOTSTRAP_ADMIN_TOKEN",
            "${ADMIN}",
            "is the name of another variable",
            expanded,
        ),
        value(
            "OIDC_ISSUER",
            "https://idp.example/.well-known/openid-configuration",
            metadata,
            "https://idp.example`",
        ),
        value(
            "OIDC_ISSUER",
            "https://idp.example/realms/a/.well-known/openid-configuration",
            metadata,
            "/realms/a`",
        ),
        value(
            "OIDC_ISSUER",
            "https://idp.example/.well-known/oauth-authorization-server",
            metadata,
            "the member `issuer`",
        ),
        value(
            "BFF_BASE_URL",
            "https://bff.example/app",
            "is more than an origin",
            "without path",
        ),
        value(
            "BFF_BASE_URL",
            "https://bff.example/auth/callback",
            "is more than an origin",
            "without path",
        ),
        value(
            "BFF_BASE_URL",
            "https://bff.example/?next=/",
            "is more than an origin",
            "without path",
        ),
    ])
    .await;
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keys/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn der(name: &str) -> Vec<u8> {
    let text = String::from_utf8(fixture(name)).unwrap();
    let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(lines).unwrap()
}

fn utf16(name: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = String::from_utf8(fixture(name)).unwrap();
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(order).collect()
}

/// A PKCS#12 file of the key with a certificate, made by the program that people use.
fn pkcs12(folder: &Path, key: &str) -> Vec<u8> {
    let (pem, certificate, file) = (
        folder.join("k.pem"),
        folder.join("c.pem"),
        folder.join("made.p12"),
    );
    fs::write(&pem, fixture(key)).unwrap();
    let openssl = |arguments: &[&str], files: &[(&str, &Path)]| {
        let mut command = Command::new("openssl");
        command.args(arguments);
        for (option, path) in files {
            command.arg(option).arg(path);
        }
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    openssl(
        &["req", "-x509", "-new", "-subj", "/CN=bff"],
        &[("-key", &pem), ("-out", &certificate)],
    );
    openssl(
        &["pkcs12", "-export", "-passout", "pass:"],
        &[("-inkey", &pem), ("-in", &certificate), ("-out", &file)],
    );
    fs::read(file).unwrap()
}

/// A folder of keys whose signing key is made by `put`.
fn key(root: &Path, name: &str, says: &str, fix: &'static str, put: impl FnOnce(&Path)) -> Mistake {
    let folder: PathBuf = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("bff-signing.pem");
    put(&path);
    Mistake {
        changes: vec![
            ("BFF_KEYS_DIR", folder.display().to_string()),
            ("BFF_JWT_SIGNING_KEY", path.display().to_string()),
        ],
        row: "keys",
        says: format!("\"{}\" cannot be used as a key: {says}", path.display()),
        fix,
    }
}

/// The same for a file of these bytes.
fn file(root: &Path, name: &str, says: &str, fix: &'static str, bytes: &[u8]) -> Mistake {
    key(root, name, says, fix, |path| fs::write(path, bytes).unwrap())
}

#[tokio::test]
async fn key_files_in_other_forms() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut mistakes = Vec::new();
    let mut add = |kind: &str, index: usize, says: &str, fix: &'static str, bytes: &[u8]| {
        mistakes.push(file(root, &format!("{kind}-{index}"), says, fix, bytes));
    };
    let keys = ["rsa2048-pkcs8.pem", "p256-sec1.pem", "ed25519-pkcs8-v1.pem"];
    for (index, name) in keys.into_iter().enumerate() {
        let text = fixture(name);
        let escaped = String::from_utf8(text.clone()).unwrap().replace('\n', "\\n");
        add(
            "escaped",
            index,
            r"it holds `\n` in place of line ends",
            "printf '%b'",
            escaped.as_bytes(),
        );
        add(
            "base64",
            index,
            "it is PEM in base64",
            "base64 -d FILE > key.pem",
            STANDARD.encode(&text).as_bytes(),
        );
        let inner = STANDARD.encode(der(name));
        add(
            "unframed",
            index,
            "it is a private key in base64 without the lines",
            "openssl pkey -inform DER",
            inner.as_bytes(),
        );
        let order = if index == 1 {
            u16::to_be_bytes
        } else {
            u16::to_le_bytes
        };
        add(
            "utf16",
            index,
            "it is UTF-16 text",
            "iconv -f UTF-16",
            &utf16(name, order),
        );
        add(
            "der",
            index,
            "it is a private key in DER form",
            "openssl pkey -inform DER -in FILE",
            &der(name),
        );
        add(
            "p12",
            index,
            "it is a PKCS#12 file",
            "openssl pkcs12 -in FILE -nocerts",
            &pkcs12(root, name),
        );
    }
    all_agree(mistakes).await;
}

#[tokio::test]
async fn key_files_without_a_private_key() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut mistakes = Vec::new();
    let mut add = |kind: &str, index: usize, says: &str, fix: &'static str, bytes: &[u8]| {
        mistakes.push(file(root, &format!("{kind}-{index}"), says, fix, bytes));
    };
    let private = "the private key that belongs to it";
    let certificate = fixture("certificate.pem");
    let held = "it holds a certificate (or a request for one) but no private key";
    add("certificate", 0, held, private, &certificate);
    let windows = String::from_utf8(certificate.clone())
        .unwrap()
        .replace('\n', "\r\n");
    add("certificate", 1, held, private, windows.as_bytes());
    add(
        "certificate",
        2,
        "it is a certificate in DER form, without a private key",
        private,
        &der("certificate.pem"),
    );
    for (index, name) in [
        "p256-public.pem",
        "rsa2048-public.pem",
        "rsa2048-public-pkcs1.pem",
    ]
    .into_iter()
    .enumerate()
    {
        add(
            "public",
            index,
            "it holds a public key only",
            private,
            &fixture(name),
        );
    }
    add(
        "public",
        3,
        "it is a public key in DER form",
        private,
        &der("p256-public.pem"),
    );
    for (index, kind) in ["EC", "RSA", "OKP"].into_iter().enumerate() {
        let jwk = format!("{{\"kty\":\"{kind}\",\"kid\":\"a\"}}");
        add(
            "jwk",
            index,
            "it is a JSON Web Key",
            "export the private key as PEM",
            jwk.as_bytes(),
        );
    }
    let (folder, mount) = ("it is a folder", "remove it there, put the PEM file in its place");
    mistakes.push(key(root, "folder-0", folder, mount, |path| {
        fs::create_dir(path).unwrap();
    }));
    mistakes.push(key(root, "folder-1", folder, mount, |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("tls.key"), fixture("p256-pkcs8.pem")).unwrap();
    }));
    mistakes.push(key(root, "folder-2", folder, mount, |path| {
        symlink(root, path).unwrap();
    }));
    all_agree(mistakes).await;
}

/// The line ends of Windows do a key no harm.
#[tokio::test]
async fn keys_with_windows_line_ends_are_read() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    for name in ["rsa2048-pkcs8.pem", "p256-sec1.pem", "ed25519-pkcs8-v2.pem"] {
        let folder = stack.folder().join(name);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("bff-signing.pem");
        let text = String::from_utf8(fixture(name)).unwrap().replace('\n', "\r\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let folder = folder.to_str().unwrap();
        let changes = [
            ("BFF_KEYS_DIR", folder),
            ("BFF_JWT_SIGNING_KEY", path.to_str().unwrap()),
        ];
        check(&stack, &changes)
            .await
            .says("keys", "ok", &["bff-signing.pem"]);
    }
}
