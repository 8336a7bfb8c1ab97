//! Secrets instead of a path, a name or another value.

use super::{super::catalogue::Kind, *};

const PEM: &str = include_str!("../../keys/fixtures/p256-pkcs8.pem");
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.planted.c2ln";

/// Text that people paste, and a part of it that must not be printed.
fn planted() -> Vec<(String, String)> {
    let body: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
    let part = body[..40].to_owned();
    let encoded = general_purpose::STANDARD.encode(PEM);
    let rsa = include_str!("../../keys/fixtures/rsa2048-pkcs8.pem");
    let rsa_line = rsa.lines().nth(3).unwrap().to_owned();
    vec![
        (PEM.to_owned(), part.clone()),
        (PEM.replace('\n', "\\n"), part.clone()),
        (PEM.replace('\n', " "), part.clone()),
        (body, part),
        (encoded.clone(), encoded[..40].to_owned()),
        (rsa.to_owned(), rsa_line.clone()),
        (rsa.replace('\n', ""), rsa_line),
        (TOKEN.to_owned(), "planted".to_owned()),
        ("planted-opaque-token".to_owned(), "planted".to_owned()),
        (
            r#"{"kty":"OKP","d":"planted/x"}"#.to_owned(),
            "planted".to_owned(),
        ),
    ]
}

/// The mistake that `variable`, which is `main` or another name of it, makes with this value is about a path, and does not
/// print the value.
fn is_withheld(main: &str, variable: &str, value: &str, part: &str) {
    let error = load(&[(main, ""), (variable, value), ("DCR_ENABLED", "false")]).expect_err(variable);
    let text = format!("{error} {error:?}");
    assert!(!text.contains(part), "{variable}: {text}");
    // Some variables are not built yet, and say so too.
    let problem = error.problems.iter().find(|problem| problem.variable == variable);
    let problem = problem.unwrap_or_else(|| panic!("{variable}: {error}"));
    assert_eq!(problem.value, None, "{error}");
    assert!(
        problem.message.starts_with("the value must be the path of a f"),
        "{error}"
    );
}

#[test]
fn attack_47_content_in_an_alias_of_a_path_is_not_quoted() {
    let paths = catalogue::VARIABLES.iter().filter(|variable| variable.is_path());
    let mut tried = 0;
    for (variable, alias) in
        paths.flat_map(|variable| variable.aliases.iter().map(move |alias| (variable, alias)))
    {
        let error = load(&[(variable.name, "./there"), (alias, "planted-opaque-token")]).expect_err(alias);
        let text = format!("{error} {error:?}");
        assert!(!text.contains("planted"), "{text}");
        assert!(
            text.contains(&format!("is another name of {}", variable.name)),
            "{text}"
        );
        tried += 1;
    }
    assert!(tried > 1, "{tried}");
}

#[test]
fn attack_47_no_path_variable_prints_pasted_content() {
    for (value, part) in planted() {
        for variable in catalogue::VARIABLES {
            match variable.kind {
                Kind::Path | Kind::Folder | Kind::Files => {
                    is_withheld(variable.name, variable.name, &value, &part);
                    for alias in variable.aliases {
                        is_withheld(variable.name, alias, &value, &part);
                    }
                }
                Kind::Secret => is_withheld(variable.name, &format!("{}_FILE", variable.name), &value, &part),
                _ => {}
            }
        }
    }
}

#[test]
fn attack_47_no_variable_quotes_a_likely_secret() {
    for (value, part) in planted() {
        // A word may be a chosen name.
        if value.starts_with("planted-opaque") {
            continue;
        }
        for variable in catalogue::VARIABLES {
            let more = [(variable.name, value.as_str()), ("DCR_ENABLED", "false")];
            let text = match load(&more) {
                Ok((_, warnings)) => format!("{warnings:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!text.contains(&part), "{}: {text}", variable.name);
        }
        let key = value.replace('\n', "");
        for text in [
            format!("{key}: x\n"),
            format!("port: '{key}'\n"),
            format!("bff_jwt_signing_key: '{key}'\n"),
            format!("dcr_iat_file: '{key}'\n"),
            format!("bff_jwks_extra_keys: ['{key}']\n"),
            format!("oidc_scopes: ['{key}']\n"),
            format!("'{key}': 1\n'{key}': 2\n"),
            key.clone(),
        ] {
            let error = with_settings(&text, &[]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(&part), "{text}: {error}");
        }
        let name = format!("BFF_{key}");
        if !name.contains('=') {
            assert!(!format!("{:?}", load(&[(&name, "x")])).contains(&part));
        }
    }
}

#[test]
fn only_public_variables_are_quoted() {
    let error = load(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://planted.example")]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    let url = "HTTPS://idp.example/token?planted";
    let error = load(&[("OIDC_TOKEN_URL", url)]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    assert!(
        problem(&[("OIDC_TOKEN_URL", url)])
            .value
            .unwrap()
            .contains("idp.example/token?…")
    );
}

#[test]
fn a_named_configuration_folder_must_be_there() {
    let problem = problem(&[("BFF_CONFIG_DIR", "/nonexistent/config")]);
    assert_eq!(problem.variable, "BFF_CONFIG_DIR");
    assert_eq!(problem.value.unwrap(), "\"/nonexistent/config\"");
    assert!(
        problem.message.starts_with("cannot be read"),
        "{}",
        problem.message
    );
    assert!(problem.fix.contains("routes.yaml"));
    let problem = super::problem(&[("BFF_CONFIG_DIR", "Cargo.toml")]);
    assert_eq!(problem.message, "is not a folder");
    // Without a name the folder may be missing.
    let folder = tempfile::tempdir().unwrap();
    assert!(!folder.path().join("config").exists());
    assert!(load(&[("BFF_CONFIG_DIR", "")]).is_ok());
}
