use proptest::prelude::*;

use super::*;
use crate::config::catalogue;

fn said(name: &str, text: &str) -> Option<String> {
    let variable = catalogue::find(name).unwrap();
    complaint(variable, text, false).map(|complaint| complaint.message)
}

/// Variable, value, and the reported damage.
const DAMAGED: &[(&str, &str, &str)] = &[
    (
        "OIDC_ISSUER",
        "\"https://idp.example\"",
        "is wrapped in quotation marks",
    ),
    ("PORT", "'8000'", "is wrapped in quotation marks"),
    (
        "AUTH_CLIENT_SECRET",
        "\"secret\"",
        "is wrapped in quotation marks",
    ),
    (
        "AUTH_CLIENT_ID",
        "\u{201c}bff\u{201d}",
        "is wrapped in quotation marks",
    ),
    (
        "OIDC_SCOPES",
        "\"openid profile\"",
        "is wrapped in quotation marks",
    ),
    ("OIDC_SCOPES", "\"openid", "begins with a quotation mark"),
    ("LOG_LEVEL", "info\"", "ends with a quotation mark"),
    (
        "OIDC_ISSUER",
        "\u{feff}https://idp.example",
        "begins with a byte order mark",
    ),
    ("DCR_IAT", "\u{feff}token", "begins with a byte order mark"),
    ("BRAND_NAME", "\u{feff}Name", "begins with a byte order mark"),
    (
        "OIDC_ISSUER",
        "https://idp.example\u{200b}",
        "contains the invisible character U+200B",
    ),
    (
        "DCR_IAT",
        "to\u{200d}ken",
        "contains the invisible character U+200D",
    ),
    (
        "AUTH_CLIENT_ID",
        "bff\u{a0}server",
        "contains the invisible character U+00A0",
    ),
    ("AUTH_CLIENT_ID", "bff\r\nserver", "contains a carriage return"),
    ("DCR_IAT", "token\nnext", "contains a line break"),
    (
        "AUTH_CLIENT_SECRET",
        "a\u{7}b",
        "contains the control character U+0007",
    ),
    ("OIDC_ISSUER", "https://idp. example", "contains a blank"),
    ("BFF_BASE_URL", "https:// bff.example", "contains a blank"),
    ("DCR_IAT", "token next", "contains a blank"),
    ("DCR_IAT", " token", "contains a blank"),
    ("DCR_IAT", "Bearer token", "begins with `Bearer`"),
    ("BOOTSTRAP_ADMIN_TOKEN", "bearer token", "begins with `Bearer`"),
    ("DCR_IAT", "{\"token\": \"abc\"}", "is a JSON object"),
    ("DCR_IAT", "{\"token\":\"abc\"}", "is a JSON object"),
    ("DCR_IAT", "/run/secrets/dcr_iat", "is the path of a file"),
    (
        "AUTH_CLIENT_SECRET",
        "/run/secrets/client_secret",
        "is the path of a file",
    ),
    (
        "DCR_REDIRECT_URIS",
        "https://a.example/x;https://b.example/x",
        "separates entries with `;`",
    ),
    ("OIDC_SCOPES", "openid;profile", "separates entries with `;`"),
    ("BFF_JWKS_EXTRA_KEYS", "a.pem;b.pem", "separates entries with `;`"),
    (
        "OIDC_ISSUER",
        "${OIDC_ISSUER}",
        "still contains the reference to OIDC_ISSUER",
    ),
    (
        "OIDC_ISSUER",
        "https://${HOST:-idp}/x",
        "still contains the reference to HOST",
    ),
    (
        "AUTH_CLIENT_ID",
        "$CLIENT",
        "still contains the reference to CLIENT",
    ),
    ("DCR_IAT", "${IAT}", "is the name of another variable"),
    (
        "AUTH_CLIENT_SECRET",
        "$CLIENT_SECRET",
        "is the name of another variable",
    ),
    (
        "OIDC_ISSUER",
        "https://idp.example/.well-known/openid-configuration",
        "is the address of the metadata",
    ),
    (
        "OIDC_ISSUER",
        "https://idp.example/.well-known/oauth-authorization-server/x",
        "is the address of the metadata",
    ),
];

#[test]
fn damage_is_told_for_what_it_is() {
    for (name, text, message) in DAMAGED {
        let said = said(name, text);
        assert!(
            said.as_ref().is_some_and(|said| said.contains(message)),
            "{name}={text:?}: {said:?}"
        );
    }
}

#[test]
fn what_is_meant_is_left_alone() {
    for (name, text) in [
        ("OIDC_ISSUER", "https://idp.example/realms/one"),
        ("OIDC_SCOPES", "openid profile weird;scope"),
        ("OIDC_SCOPES", "openid\n\tprofile"),
        ("OIDC_PROMPT", ""),
        ("DCR_IAT", "<paste iat>"),
        ("AUTH_CLIENT_SECRET", "p\"a'ss ${word} $5;"),
        ("AUTH_CLIENT_SECRET", "$ecret"),
        ("HTTPS_PROXY", "http://user:p${word}@proxy:3128"),
        (
            "REDIS_CLIENT_KEY",
            "-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n",
        ),
        ("BRAND_NAME", "Ada's shop"),
        ("BRAND_NAME", "\u{1f469}\u{200d}\u{1f4bb}"),
        ("RUST_LOG", "info,bff[{name=\"x\"}]=debug"),
        ("CORS__ALLOW_ORIGINS", "[\"https://a.example\"]"),
        ("BFF_KEYS_DIR", "/my keys"),
    ] {
        assert_eq!(said(name, text), None, "{name}={text:?}");
    }
}

/// The URL of a proxy may hold a password, although it is no secret of its kind.
#[test]
fn nothing_of_a_value_that_is_not_public_is_quoted() {
    for variable in catalogue::VARIABLES.iter().filter(|variable| !variable.public) {
        for text in ["${HUNTER2}", "$HUNTER2", "http://user:${HUNTER2}@proxy:3128"] {
            if let Some(complaint) = complaint(variable, text, false) {
                let told = format!("{} {}", complaint.message, complaint.fix);
                assert!(!told.contains("HUNTER2"), "{}: {told}", variable.name);
            }
        }
    }
}

#[test]
fn settings_expand_references_themselves() {
    let variable = catalogue::find("AUTH_CLIENT_ID").unwrap();
    assert!(complaint(variable, "${NAME}", true).is_none());
}

proptest! {
    #[test]
    fn a_secret_is_never_quoted(text in "\\PC{0,40}") {
        let variable = catalogue::find("AUTH_CLIENT_SECRET").unwrap();
        let secret = format!("s3cr3t{text}");
        for text in [format!("\"{secret}\""), format!("{secret}\r"), format!("{secret}\u{200b}"), format!("${{{secret}}}")] {
            if let Some(complaint) = complaint(variable, &text, false) {
                prop_assert!(!complaint.message.contains("s3cr3t") && !complaint.fix.contains("s3cr3t"));
            }
        }
    }
}
