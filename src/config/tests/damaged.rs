//! Values that were damaged on their way: one complaint, of the right variable, and no other that follows from it.

use super::{super::catalogue::VARIABLES, *};

/// `name` with `value`, and what registration needs where it is one of its variables.
fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![(name, value)];
    if name.starts_with("DCR_") && name != "DCR_REDIRECT_URIS" {
        all.push(("DCR_REDIRECT_URIS", "https://app.example/auth/callback"));
    }
    all
}

/// A test for every variable that is built: a missing value is requested by others.
#[test]
fn a_quoted_value_is_the_only_complaint() {
    for variable in VARIABLES.iter().filter(|variable| variable.not_built.is_none()) {
        let problem = problem(&with(variable.name, "\"value\""));
        assert_eq!(problem.variable, variable.name);
        assert!(problem.message.contains("quotation marks"), "{problem:?}");
    }
}

#[test]
fn a_reference_is_the_only_complaint() {
    for variable in VARIABLES.iter().filter(|variable| variable.not_built.is_none()) {
        let problem = problem(&with(variable.name, "${NOWHERE}"));
        assert_eq!(problem.variable, variable.name);
        let is_told = ["NOWHERE", "another variable"]
            .iter()
            .any(|part| problem.message.contains(part));
        assert!(is_told, "{problem:?}");
    }
}

/// By the name under which it stands.
#[test]
fn an_alias_and_a_line_of_settings_are_named() {
    let problem = problem(&[("OIDC_ISSUER", ""), ("AUTH_ISSUER", "'https://idp.example'")]);
    assert_eq!(problem.variable, "AUTH_ISSUER");
    let error = with_settings("log_level: \"'info'\"\n", &[]).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    assert_eq!(error.problems[0].variable, "log_level (settings.yaml, line 1)");
}

#[test]
fn an_issuer_is_told_without_the_path_of_its_metadata() {
    let problem = problem(&[(
        "OIDC_ISSUER",
        "https://idp.example/x/.well-known/openid-configuration",
    )]);
    assert!(problem.fix.contains("`https://idp.example/x`"), "{problem:?}");
}

/// A token that was needed once must not keep a server from starting that has its credentials.
#[test]
fn a_damaged_token_is_a_warning_once_there_are_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("bff_client.json");
    let more = [
        ("DCR_IAT", "\"token\""),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
        ("BFF_CLIENT_CRED_PATH", credentials.to_str().unwrap()),
    ];
    assert_eq!(problem(&more).variable, "DCR_IAT");
    fs::write(&credentials, "{}").unwrap();
    let (config, warnings) = load(&more).unwrap();
    assert_eq!(config.registration.initial_access_token, None);
    let told = warnings
        .iter()
        .find(|warning| warning.variable == "DCR_IAT")
        .unwrap();
    assert!(told.message.contains("counts as unset"), "{told}");
}
