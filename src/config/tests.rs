use std::{fs, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose};
use proptest::prelude::*;

mod binding;
mod damaged;
mod legacy;
mod mistakes;
mod network;
mod planted;

use self::mistakes::MISTAKES;
use super::*;
use crate::{
    jose::Algorithm,
    keys::KeyKind,
    oidc::{AssertionAudience, AssertionTyp, OptionalEndpoint, ParMode},
    private_file,
    registration::{AuthMethod, Description, RedirectUpdate, UpdateMethod},
    secret::Secret,
    session::SameSite,
    telemetry::Format,
    url_policy::HttpPolicy,
};

/// A folder without `settings.yaml`.
const NOWHERE: (&str, &str) = (
    "BFF_CONFIG_DIR",
    concat!(env!("CARGO_MANIFEST_DIR"), "/src/config"),
);

/// The least that loads: without registration.
const LEAST: [(&str, &str); 4] = [
    NOWHERE,
    ("OIDC_ISSUER", "https://idp.example/realm"),
    ("BFF_BASE_URL", "https://app.example"),
    ("AUTH_CLIENT_ID", "bff-server"),
];

/// The environment of `how-to-register-bff.txt`.
const SEED: [(&str, &str); 10] = [
    NOWHERE,
    ("AUTH_CLIENT_ID", "bff-server"),
    ("MS_BFF_TOKEN_AUTH_METHOD", "private_key_jwt"),
    ("BFF_JWT_SIGNING_KEY", "/app/keys/fapi-adv-key-1.pem"),
    ("DCR_IAT", "<paste iat>"),
    ("DCR_CLIENT_ID", "bff-server"),
    ("DCR_CLIENT_PROFILE", "code-flow-pkjwt"),
    ("DCR_SIGNING_KEY", "/app/keys/fapi-adv-key-1.pem"),
    ("DCR_FORCE_REPLACE", "true"),
    (
        "DCR_REDIRECT_URIS",
        "https://automate.ocg.labs.empowernow.ai/auth/callback,https://authn.ocg.labs.empowernow.ai/auth/callback,https://authz.ocg.labs.empowernow.ai/auth/callback",
    ),
];

/// `LEAST` with `more` over it; an empty value takes a variable away.
fn environment(more: &[(&str, &str)]) -> Environment {
    LEAST.iter().chain(more).copied().collect()
}

fn load(more: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigError> {
    Config::load(&environment(more))
}

fn config(more: &[(&str, &str)]) -> Config {
    match load(more) {
        Ok((config, _)) => config,
        Err(error) => panic!("{error}"),
    }
}

fn warnings(more: &[(&str, &str)]) -> Vec<String> {
    match load(more) {
        Ok((_, warnings)) => warnings.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

fn problems(more: &[(&str, &str)]) -> Vec<Problem> {
    load(more)
        .map(|_| ())
        .expect_err(&format!("{more:?} was accepted"))
        .problems
}

/// The one mistake.
fn problem(more: &[(&str, &str)]) -> Problem {
    let problems = problems(more);
    let [problem] = problems.as_slice() else {
        panic!(
            "{more:?}: {}",
            ConfigError {
                problems,
                warnings: Vec::new()
            }
        )
    };
    problem.clone()
}

fn with_settings(text: &str, more: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("settings.yaml"), text).unwrap();
    let mut all = more.to_vec();
    let path = folder.path().to_str().unwrap().to_owned();
    all.push(("BFF_CONFIG_DIR", &path));
    load(&all)
}

#[test]
fn the_least_configuration_has_the_defaults_of_the_contract() {
    let (config, warnings) = load(&[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.server.internal, None);
    assert_eq!(config.server.trusted_proxies, []);
    assert_eq!(config.provider.issuer, "https://idp.example/realm");
    assert_eq!(config.provider.base_url, None);
    assert_eq!(
        config.provider.scopes,
        ["openid", "profile", "email", "offline_access"]
    );
    assert_eq!(config.provider.prompt, PromptSetting::Auto);
    assert_eq!(config.client.authentication, AuthMethod::PrivateKeyJwt);
    assert_eq!(config.client.assertion_audience, AssertionAudience::Issuer);
    assert_eq!(config.client.par, ParMode::Auto);
    assert_eq!(config.keys.options.signing_key, Path::new("keys/bff-signing.pem"));
    assert_eq!(config.keys.options.generate, KeyKind::Rsa2048);
    assert_eq!(config.keys.credentials, Path::new("keys/bff_client.json"));
    assert!(!config.registration.enabled);
    assert_eq!(config.session.lifetime, Duration::from_hours(8));
    assert_eq!(config.session.idle_timeout, Duration::from_hours(1));
    assert_eq!(config.session.max, 1_000_000);
    assert_eq!(config.session.max_per_user, 50);
    assert_eq!(config.session.memory_limit, 1 << 30);
    assert_eq!(config.cookies.name, "__Host-Http-bff_session");
    assert_eq!(config.cookies.same_site, SameSite::Strict);
    assert!(config.cookies.secure);
    assert_eq!(config.tokens.refresh_threshold, Duration::from_mins(5));
    assert_eq!(config.tokens.refresh_concurrency, 32);
    assert!(config.login.dynamic_callback);
    assert_eq!(
        config.login.fallback_callback.unwrap().as_str(),
        "https://app.example/auth/callback"
    );
    assert_eq!(
        format!("{:?}", config.login.return_origins),
        r#"["https://app.example"]"#
    );
    assert_eq!(config.telemetry.log_filter, "info");
    assert_eq!(config.telemetry.log_format, Format::Pretty);
}

#[test]
fn the_seed_with_issuer_and_base_url_loads() {
    let mut all = SEED.to_vec();
    all.push(("OIDC_ISSUER", "https://idp.ocg.labs.empowernow.ai/api/oidc"));
    all.push(("BFF_BASE_URL", "https://bff.ocg.labs.empowernow.ai"));
    let (config, warnings) = Config::load(&all.into_iter().collect()).unwrap();
    assert_eq!(warnings, []);
    let registration = config.registration;
    assert!(registration.enabled && registration.force_replace);
    assert_eq!(registration.client_id.as_deref(), Some("bff-server"));
    assert_eq!(registration.client_profile.as_deref(), Some("code-flow-pkjwt"));
    assert_eq!(
        registration.initial_access_token,
        Some(Secret::from("<paste iat>"))
    );
    assert_eq!(registration.redirect_uris.len(), 3);
    assert_eq!(
        registration.jwks_uri.unwrap().as_str(),
        "https://bff.ocg.labs.empowernow.ai/.well-known/jwks.json"
    );
    assert_eq!(
        registration.backchannel_logout_uri.unwrap().as_str(),
        "https://bff.ocg.labs.empowernow.ai/auth/backchannel-logout"
    );
    assert_eq!(
        config.keys.options.signing_key,
        Path::new("/app/keys/fapi-adv-key-1.pem")
    );
    assert_eq!(config.keys.options.dir, Path::new("/app/keys"));
    assert_eq!(config.keys.credentials, Path::new("/app/keys/bff_client.json"));
    // BFF_BASE_URL is not a redirect URI: the fallback is one that the IdP knows.
    assert_eq!(
        config.login.fallback_origin.unwrap().to_string(),
        "https://automate.ocg.labs.empowernow.ai"
    );
    assert_eq!(config.login.own_origins.len(), 4);
}

#[test]
fn the_seed_alone_says_what_is_missing() {
    let error = Config::load(&SEED.into_iter().collect()).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    assert_eq!(error.problems[0].variable, "OIDC_ISSUER");
    // Without BFF_BASE_URL the keys are registered inline.
    let mut all = SEED.to_vec();
    all.push(("IDP_BASE_URL", "http://idp:8080"));
    let (config, warnings) = Config::load(&all.into_iter().collect()).unwrap();
    assert_eq!(config.registration.jwks_uri, None);
    let first = &config.registration.redirect_uris[0];
    assert_eq!(
        config.registration.backchannel_logout_uri,
        first.join("/auth/backchannel-logout").ok()
    );
    assert_eq!(config.provider.issuer, "http://idp:8080");
    assert!(!config.provider.issuer_is_explicit);
    assert!(
        warnings[0].to_string().starts_with("IDP_BASE_URL: plain http"),
        "{warnings:?}"
    );
}

#[test]
fn every_mistake_is_named_with_message_and_fix() {
    for (more, variable, message, fix) in MISTAKES {
        let problem = problem(more);
        assert_eq!(problem.variable, *variable, "{more:?}: {problem}");
        assert!(problem.message.contains(message), "{more:?}: {problem}");
        assert!(problem.fix.contains(fix), "{more:?}: {problem}");
    }
}

/// The output of a start for each mistake, with the names of the variables that are set.
#[test]
fn the_words_of_every_mistake_are_as_reviewed() {
    let mut all = String::new();
    for (more, ..) in MISTAKES {
        let names: Vec<&str> = more.iter().map(|(name, _)| *name).collect();
        all += &names.join(" ");
        for problem in problems(more) {
            all.push('\n');
            all += &problem.to_string().replace(env!("CARGO_MANIFEST_DIR"), "CLONE");
        }
        all += "\n\n";
    }
    insta::assert_snapshot!("mistakes", all);
}

#[test]
fn every_variable_has_a_mistake_or_takes_anything() {
    // A text that has no wrong form.
    let anything = ["BOOTSTRAP_ADMIN_TOKEN"];
    // Tested as a group: all URLs of endpoints, all plain switches, all paths.
    let alike = |variable: &catalogue::Variable| {
        use catalogue::Kind;
        matches!(
            variable.kind,
            Kind::Url | Kind::Switch | Kind::Path | Kind::Folder | Kind::Files
        )
    };
    for variable in catalogue::VARIABLES {
        let file = format!("{}_FILE", variable.name);
        let is_it = |name: &str| name == variable.name || name == file;
        let tested = MISTAKES
            .iter()
            .any(|(more, named, ..)| is_it(named) || more.iter().any(|(name, _)| is_it(name)));
        assert!(
            tested || alike(variable) || anything.contains(&variable.name),
            "{}",
            variable.name
        );
    }
}

#[test]
fn every_url_and_every_switch_is_checked() {
    for variable in catalogue::VARIABLES {
        let wrong = match variable.kind {
            catalogue::Kind::Url | catalogue::Kind::Origin => "not a url",
            catalogue::Kind::Switch => "True",
            _ => continue,
        };
        // Registration stays off, so that nothing else is missing.
        let mut more = vec![(variable.name, wrong)];
        if variable.name != "DCR_ENABLED" {
            more.push(("DCR_ENABLED", "false"));
        }
        let problem = problem(&more);
        assert_eq!(problem.variable, variable.name, "{problem}");
        // The part of a proxy after its credentials is quoted.
        let is_quoted = variable.public || variable.name.ends_with("_PROXY");
        let value = is_quoted.then(|| format!("{wrong:?}"));
        assert_eq!(problem.value, value, "{problem}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let wrong = [
        ("PORT", "http"),
        ("OIDC_ISSUER", "idp"),
        ("SESSION_LIFETIME", "long"),
        ("BFF_COOKIE_SAMESITE", "None"),
        ("DCR_REDIRECT_URIS", "https://a.example/x https://b.example/y"),
        ("MS_BFF_DPOP_ENABLED", "true"),
        ("SESSION_SECRET", "planted"),
    ];
    let problems = problems(&wrong);
    for (name, _) in wrong {
        assert!(problems.iter().any(|problem| problem.variable == name), "{name}");
    }
    assert_eq!(problems.len(), wrong.len() + 1, "each entry of a list counts");
    let text = ConfigError {
        problems,
        warnings: Vec::new(),
    }
    .to_string();
    assert!(
        text.starts_with("the configuration has 8 mistakes:\n\n  PORT = \"http\"\n    is not"),
        "{text}"
    );
    assert!(
        text.contains("\n    fix: write a number from 0 to 65535\n"),
        "{text}"
    );
}

#[test]
fn a_wrong_value_does_not_bring_more_mistakes_along() {
    assert_eq!(problem(&[("BFF_BASE_URL", "nonsense")]).variable, "BFF_BASE_URL");
    assert_eq!(problem(&[("OIDC_ISSUER", "nonsense")]).variable, "OIDC_ISSUER");
    let wrong = ("DCR_REDIRECT_URIS", "nonsense");
    assert_eq!(problem(&[wrong]).variable, "DCR_REDIRECT_URIS");
}

#[test]
fn an_error_display_is_pleasant() {
    let error = load(&[("PORT", "http")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration has a mistake:\n\n  PORT = \"http\"\n    is not a whole number from 0 to 65535\n    fix: write \
         a number from 0 to 65535"
    );
}

#[test]
fn values_are_shown_on_one_line_bounded_and_without_credentials() {
    let long = "x".repeat(5_000);
    assert!(problem(&[("PORT", &long)]).value.unwrap().len() < 300);
    assert_eq!(
        problem(&[("PORT", "1\n\u{1b}[31m")]).value.unwrap(),
        r#""1\n\u{1b}[31m""#
    );
    for url in [
        "https://user:planted@idp.example",
        "https://planted@idp.example",
        "https://user:pla/nted@idp.example",
        "https://user:planted#@idp.example",
    ] {
        let error = load(&[("OIDC_ISSUER", url), ("CORS__ALLOW_ORIGINS", url)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("nted"), "{error}");
    }
}

#[test]
fn secrets_never_appear_in_anything() {
    const PLANTED: &str = "planted-secret-value";
    let master = general_purpose::STANDARD.encode("planted-secret-value-of-32-bytes");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    private_file::replace(&file, PLANTED.as_bytes()).unwrap();
    let secrets: Vec<&catalogue::Variable> = catalogue::VARIABLES
        .iter()
        .filter(|variable| variable.is_secret())
        .collect();
    for secret in secrets {
        let value = if secret.name == "SESSION_SECRET" {
            master.as_str()
        } else {
            PLANTED
        };
        let by_file = format!("{}_FILE", secret.name);
        let redirect = ("DCR_REDIRECT_URIS", "https://app.example/auth/callback");
        for extra in [
            vec![(secret.name, value)],
            vec![(by_file.as_str(), file.to_str().unwrap())],
            vec![(secret.name, value), (by_file.as_str(), "/x")],
            vec![(secret.name, value), ("PORT", "x")],
            vec![
                (secret.name, value),
                ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_post"),
            ],
            vec![(secret.name, value), ("DCR_ENABLED", "false")],
        ] {
            let mut more = extra;
            more.push(redirect);
            let environment = environment(&more);
            let shown = match Config::load(&environment) {
                Ok((config, warnings)) => format!("{config:?} {warnings:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            for text in [shown, format!("{environment:?}")] {
                assert!(
                    !text.contains(PLANTED) && !text.contains(&master),
                    "{}: {text}",
                    secret.name
                );
            }
        }
        // At a wrong place.
        let key = secret.name.to_ascii_lowercase();
        let error = with_settings(&format!("{key}: {PLANTED}\n"), &[]).unwrap_err();
        assert!(
            error.to_string().contains("must not stand in settings.yaml"),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("`{key}_file`")), "{error}");
        assert!(!format!("{error} {error:?}").contains(PLANTED), "{error}");
    }
}

#[test]
fn secret_files_are_read_trimmed_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("iat");
    let name = path.to_str().unwrap();
    let more = [
        ("DCR_IAT_FILE", name),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
    ];
    for (content, expected) in [
        ("token", Some("token")),
        ("token\n", Some("token")),
        ("token\r\n", Some("token")),
        ("", None),
        ("\n", None),
    ] {
        private_file::replace(&path, content.as_bytes()).unwrap();
        let token = config(&more).registration.initial_access_token;
        assert_eq!(token, expected.map(Secret::from), "{content:?}");
    }
    for damaged in [
        " token \n",
        "\"token\"",
        "${TOKEN}",
        "Bearer token",
        "to\u{200b}ken",
    ] {
        fs::write(&path, damaged).unwrap();
        let problem = problem(&more);
        assert_eq!(problem.variable, "DCR_IAT_FILE", "{damaged:?}");
    }
    fs::write(&path, "x".repeat(64 * 1024 + 1)).unwrap();
    assert!(problem(&more).message.contains("larger than 64 KiB"));
    fs::write(&path, [0xff]).unwrap();
    assert!(problem(&more).message.contains("not UTF-8"));
}

#[test]
fn attack_50_a_secret_of_a_file_that_others_can_use_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = private_file::testing::on_disk();
    let path = folder.path().join("secret");
    let content = general_purpose::STANDARD.encode([7; 32]);
    fs::write(&path, &content).unwrap();
    let file = path.to_str().unwrap();
    let secrets = catalogue::VARIABLES
        .iter()
        .filter(|variable| variable.is_secret());
    for variable in secrets {
        let name = format!("{}_FILE", variable.name);
        let more = [
            (name.as_str(), file),
            ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
            ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_post"),
            // Without it no key is shown.
            if variable.name == "REDIS_CLIENT_KEY" {
                ("REDIS_URL", "rediss://redis")
            } else {
                ("PORT", "8000")
            },
        ];
        let danger = [&more[..], &[("BFF_DANGER_ALLOW_OPEN_FILES", "true")]].concat();
        for (mode, what) in [(0o644, "others can read it"), (0o620, "others can write it")] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load(&more).unwrap_err();
            let problem = error.problems.iter().find(|problem| problem.variable == name);
            let problem = problem.unwrap_or_else(|| panic!("{name} {mode:o}: {error}"));
            assert!(problem.message.contains(what), "{problem}");
            assert!(
                problem.fix.contains("BFF_DANGER_ALLOW_OPEN_FILES=true"),
                "{problem}"
            );
            assert!(!error.to_string().contains(&content));
            // Its content is enough for most of them.
            let warnings = match Config::load(&environment(&danger)) {
                Ok((_, warnings)) => warnings,
                Err(error) => error.warnings,
            };
            let warned = |warning: &&Warning| warning.variable == name && warning.message.contains(what);
            assert_eq!(warnings.iter().filter(warned).count(), 1, "{name} {warnings:?}");
            assert_eq!(
                path.metadata().unwrap().permissions().mode() & 0o777,
                mode,
                "looked at only"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let told = load(&more).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(!told.contains("others can"), "{told}");
    }
}

#[test]
fn a_secret_may_be_removed_once_credentials_exist() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("run/secrets/iat");
    let credentials = folder.path().join("bff_client.json");
    for name in ["DCR_IAT_FILE", "BOOTSTRAP_ADMIN_TOKEN_FILE"] {
        let _ = fs::remove_file(&credentials);
        let more = [
            (name, gone.to_str().unwrap()),
            ("BFF_CLIENT_CRED_PATH", credentials.to_str().unwrap()),
            ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
        ];
        assert!(problem(&more).message.contains("cannot be read"), "{name}");
        fs::write(&credentials, "{}").unwrap();
        let registration = config(&more).registration;
        assert_eq!(registration.initial_access_token, None);
        assert_eq!(registration.bootstrap_admin_token, None);
        // An existing but unusable file is a mistake all the same.
        let folder = [(name, "/"), more[1], more[2]];
        assert!(problem(&folder).message.contains("is not a file"), "{name}");
    }
    let other = [
        ("AUTH_CLIENT_SECRET_FILE", gone.to_str().unwrap()),
        ("BFF_CLIENT_CRED_PATH", credentials.to_str().unwrap()),
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
    ];
    assert!(problem(&other).message.contains("cannot be read"));
}

/// Emptying the file is a way to remove a secret that was needed once.
#[test]
fn an_empty_secret_file_is_told_while_the_secret_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, credentials) = (folder.path().join("iat"), folder.path().join("bff_client.json"));
    private_file::replace(&file, b"\n").unwrap();
    let more = [
        ("DCR_IAT_FILE", file.to_str().unwrap()),
        ("BFF_CLIENT_CRED_PATH", credentials.to_str().unwrap()),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
    ];
    let told = || warnings(&more).join("\n");
    let text = told();
    assert!(
        text.contains("DCR_IAT_FILE: the file ") && text.contains("is empty; the value counts as unset"),
        "{text}"
    );
    fs::write(&credentials, "{}").unwrap();
    assert!(!told().contains("is empty"));
}

#[test]
fn no_initial_access_token_may_be_needed() {
    let uris = ("DCR_REDIRECT_URIS", "https://app.example/auth/callback");
    let open = config(&[uris, ("DCR_IAT", "none")]).registration;
    assert!(open.open_registration && open.initial_access_token.is_none());
    let closed = config(&[uris, ("DCR_IAT", "None")]).registration;
    assert!(!closed.open_registration && closed.initial_access_token.is_some());
    assert!(!config(&[uris]).registration.open_registration);
}

#[test]
fn what_people_are_shown_of_the_client() {
    let uris = ("DCR_REDIRECT_URIS", "https://app.example/auth/callback");
    let plain = config(&[uris]).registration.description;
    assert_eq!(plain, Description::named("bff"));
    let described = config(&[
        uris,
        ("DCR_CLIENT_NAME", "Orders — Ämter"),
        ("DCR_CLIENT_URI", "https://app.example/"),
        ("DCR_LOGO_URI", "https://cdn.example/logo.svg?v=2"),
        ("DCR_POLICY_URI", "https://app.example/privacy"),
        ("DCR_TOS_URI", "https://app.example/terms"),
        ("DCR_CONTACTS", "ops@app.example, https://app.example/contact"),
    ])
    .registration
    .description;
    assert_eq!(described.name, "Orders — Ämter");
    assert_eq!(described.uri.unwrap().as_str(), "https://app.example/");
    assert_eq!(
        described.logo_uri.unwrap().as_str(),
        "https://cdn.example/logo.svg?v=2"
    );
    assert_eq!(
        described.policy_uri.unwrap().as_str(),
        "https://app.example/privacy"
    );
    assert_eq!(described.tos_uri.unwrap().as_str(), "https://app.example/terms");
    assert_eq!(
        described.contacts,
        ["ops@app.example", "https://app.example/contact"]
    );
}

#[test]
fn session_secrets_are_base64_or_hex() {
    let bytes: Vec<u8> = (200..240).collect();
    let hex: String = bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    for text in [
        general_purpose::STANDARD.encode(&bytes),
        general_purpose::STANDARD_NO_PAD.encode(&bytes),
        general_purpose::URL_SAFE.encode(&bytes),
        general_purpose::URL_SAFE_NO_PAD.encode(&bytes),
        hex.to_uppercase(),
        hex.clone(),
    ] {
        let secrets = config(&[("SESSION_SECRET", &text)]).session.secrets;
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].as_ref(), bytes, "{text}");
    }
    let two = format!("{hex}, {}", general_purpose::STANDARD.encode([7; 32]));
    let secrets = config(&[("SESSION_SECRET", &two)]).session.secrets;
    assert_eq!(secrets.len(), 2);
    assert_eq!(secrets[1].as_ref(), [7; 32]);
    let sealer = crate::seal::Sealer::new(&secrets, std::sync::Arc::new(crate::random::SystemRandom));
    assert!(sealer.is_ok());
    assert!(!problems(&[("SESSION_SECRET", &hex[..62])]).is_empty());
}

#[test]
fn settings_yaml_is_read_and_the_environment_wins() {
    let text = "
# settings
port: 9000
host: 0.0.0.0
oidc_scopes:
  - openid
  - email
session_lifetime: 2h
bff_danger_allow_http: true
dcr_redirect_uris: [https://a.example/auth/callback, https://b.example/auth/callback]
cors__allow_origins: [https://c.example]
oidc_prompt: ''
dcr_client_id:
";
    let (config, _) = with_settings(text, &[("PORT", "9001")]).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9001");
    assert_eq!(config.provider.scopes, ["openid", "email"]);
    assert_eq!(config.provider.prompt, PromptSetting::Never);
    assert_eq!(config.session.lifetime, Duration::from_hours(2));
    assert!(config.server.allow_http == HttpPolicy::Anywhere && config.registration.enabled);
    assert_eq!(config.registration.redirect_uris.len(), 2);
    assert_eq!(config.login.cors_origins.len(), 1);
    // An empty variable counts as unset.
    let (config, _) = with_settings(text, &[("PORT", "")]).unwrap();
    assert_eq!(config.server.listen.port(), 9_000);
    // Entries of a YAML list are not split again.
    let error = with_settings("bff_allowed_redirect_hosts: ['a.example b.example']", &[]).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
}

#[test]
fn mistakes_in_settings_yaml_name_the_line() {
    for (text, variable, message) in [
        (
            "bff_internal_addr: 127.0.0.1:1\nbff_metrics_addr: 127.0.0.1:2\n",
            "bff_metrics_addr (settings.yaml, line 2)",
            "another name of bff_internal_addr",
        ),
        (
            "\nprot: 1\n",
            "prot (settings.yaml, line 2)",
            "not a known setting",
        ),
        ("PORT: 1\n", "PORT (settings.yaml, line 1)", "not a known setting"),
        ("\n\nport: x\n", "port (settings.yaml, line 3)", "whole number"),
        ("port: [1]\n", "port (settings.yaml, line 1)", "takes one value"),
        ("port: 1.5\n", "port (settings.yaml, line 1)", "in quotes"),
        (
            "port: {a: 1}\n",
            "port (settings.yaml, line 1)",
            "neither a value nor a list",
        ),
        (
            "oidc_scopes: [[a]]\n",
            "oidc_scopes (settings.yaml, line 1)",
            "neither a value nor a list",
        ),
        (
            "bff_config_dir: /x\n",
            "bff_config_dir (settings.yaml, line 1)",
            "found through it",
        ),
        (
            "dcr_enabled: yes\n",
            "dcr_enabled (settings.yaml, line 1)",
            "is not one of `true`, `false`",
        ),
    ] {
        let error = with_settings(text, &[]).unwrap_err();
        let [problem] = error.problems.as_slice() else {
            panic!("{error}")
        };
        assert_eq!(problem.variable, variable);
        assert!(
            format!("{} {}", problem.message, problem.fix).contains(message),
            "{problem}"
        );
    }
    let error = with_settings("a: [\n", &[("PORT", "x")]).unwrap_err();
    assert_eq!(error.problems.len(), 2, "{error}");
    assert!(error.problems[0].variable.ends_with("settings.yaml"));
}

#[test]
fn secrets_in_settings_yaml_stand_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("iat");
    private_file::replace(&path, b"token\n").unwrap();
    let text = format!(
        "dcr_iat_file: {}\ndcr_redirect_uris: https://app.example/auth/callback\n",
        path.display()
    );
    let (config, _) = with_settings(&text, &[]).unwrap();
    assert_eq!(
        config.registration.initial_access_token,
        Some(Secret::from("token"))
    );
    let (config, _) = with_settings(&text, &[("DCR_IAT", "other")]).unwrap();
    assert_eq!(
        config.registration.initial_access_token,
        Some(Secret::from("other"))
    );
}

#[test]
fn empty_variables_count_as_unset_but_for_the_prompt() {
    let empty: Vec<(&str, &str)> = catalogue::VARIABLES
        .iter()
        .filter(|variable| !LEAST.iter().any(|(name, _)| *name == variable.name))
        .filter(|variable| variable.name != "OIDC_PROMPT")
        .map(|variable| (variable.name, ""))
        .collect();
    let environment = environment(&empty);
    assert_eq!(
        config(&empty),
        Config {
            environment,
            ..config(&[])
        }
    );
    let prompt = |value| config(&[("OIDC_PROMPT", value)]).provider.prompt;
    assert_eq!(prompt(""), PromptSetting::Never);
    assert_eq!(prompt("auto"), PromptSetting::Auto);
    let login = PromptSetting::Always("login consent".to_owned());
    assert_eq!(prompt("login  consent"), login);
}

#[test]
fn registration_is_on_where_any_other_dcr_variable_is_set() {
    let uris = ("DCR_REDIRECT_URIS", "https://app.example/auth/callback");
    assert!(config(&[uris]).registration.enabled);
    assert!(!config(&[uris, ("DCR_ENABLED", "false")]).registration.enabled);
    assert_eq!(
        config(&[uris, ("DCR_ENABLED", "false")])
            .registration
            .redirect_uris
            .len(),
        1
    );
    // The client id and the secret come from the registration then.
    let registered = config(&[
        uris,
        ("AUTH_CLIENT_ID", ""),
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
    ]);
    assert_eq!(registered.client.id, None);
    assert_eq!(registered.registration.client_id, None);
}

/// Loopback and names without a dot.
#[test]
fn http_is_accepted_for_local_names_with_one_warning() {
    let more = [
        ("BFF_BASE_URL", "http://localhost:8000"),
        ("IDP_BASE_URL", "http://idp:8080"),
        ("OIDC_TOKEN_URL", "http://[::1]:8080/token"),
        (
            "DCR_REDIRECT_URIS",
            "http://localhost:8000/auth/callback http://app.localhost:8000/auth/callback",
        ),
        ("BFF_COOKIE_SECURE", "false"),
    ];
    let warned = warnings(&more);
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].starts_with("BFF_BASE_URL, IDP_BASE_URL, OIDC_TOKEN_URL, DCR_REDIRECT_URIS: plain http"),
        "{warned:?}"
    );
    assert_eq!(config(&more).cookies.name, "bff_session");
    let danger = ("BFF_DANGER_ALLOW_HTTP", "true");
    assert_eq!(
        warnings(&[("OIDC_ISSUER", "http://idp.example"), danger]).len(),
        1
    );
    assert!(
        config(&[("BFF_COOKIE_SECURE", "false"), danger])
            .server
            .allow_http
            == HttpPolicy::Anywhere
    );
    let (_, warned) = load(&[("BFF_BASE_URL", "http://bff")]).unwrap();
    assert!(warned[0].message.contains("Secure cookie"), "{warned:?}");
    assert_eq!(warned[0].severity, Severity::PreventsLogin);
}

#[test]
fn signing_keys_may_be_one_key_in_two_places() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keys/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.pem"), folder.path().join("other.pem"));
    fs::copy(fixtures.join("p256-pkcs8.pem"), &one).unwrap();
    let more = |one: &Path, other: &Path| {
        let (one, other) = (
            one.to_str().unwrap().to_owned(),
            other.to_str().unwrap().to_owned(),
        );
        load(&[
            ("BFF_JWT_SIGNING_KEY", &one),
            ("DCR_SIGNING_KEY", &other),
            ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
        ])
    };
    std::os::unix::fs::symlink(&one, &other).unwrap();
    assert!(more(&one, &other).is_ok());
    assert!(
        more(
            &one,
            &folder.path().join("../").join(folder.path()).join("one.pem")
        )
        .is_ok()
    );
    fs::remove_file(&other).unwrap();
    fs::copy(fixtures.join("p256-sec1.pem"), &other).unwrap();
    assert!(more(&one, &other).is_ok(), "another container of the same key");
    fs::copy(fixtures.join("ed25519-pkcs8-v1.pem"), &other).unwrap();
    assert!(more(&one, &other).is_err());
}

#[test]
fn folders_follow_each_other() {
    let keys = config(&[("BFF_JWT_SIGNING_KEY", "/a/k.pem")]).keys;
    assert_eq!(keys.options.dir, Path::new("/a"));
    assert_eq!(keys.state_dir, Path::new("/a"));
    let keys = config(&[("BFF_JWT_SIGNING_KEY", "k.pem")]).keys;
    assert_eq!(keys.options.dir, Path::new("."));
    let keys = config(&[("BFF_KEYS_DIR", "/b"), ("BFF_STATE_DIR", "/s")]).keys;
    assert_eq!(keys.options.signing_key, Path::new("/b/bff-signing.pem"));
    assert_eq!(keys.credentials, Path::new("/s/bff_client.json"));
    for marker in [
        "/s/bff_client.json",
        "/s/keyring.json",
        "/b/keyring.json",
        "/b/bff_client.json",
    ] {
        assert!(
            keys.options
                .identity_markers
                .iter()
                .any(|known| known == Path::new(marker)),
            "{marker}"
        );
    }
    let keys = config(&[
        ("BFF_CLIENT_CRED_PATH", "/c/x.json"),
        ("BFF_JWKS_EXTRA_KEYS", "/e/1.pem, /e/2.pem"),
        ("BFF_KID", "k1"),
        ("BFF_KEY_TYPE", "p-256"),
    ])
    .keys;
    assert_eq!(keys.options.identity_markers[0], Path::new("/c/x.json"));
    assert_eq!(keys.options.extra.len(), 2);
    assert_eq!(keys.options.kid.as_deref(), Some("k1"));
    assert_eq!(keys.options.generate, KeyKind::P256);
}

#[test]
fn return_targets_are_origins() {
    let origins = |entries: &str, more: &[(&str, &str)]| {
        let mut all = vec![("BFF_ALLOWED_REDIRECT_HOSTS", entries)];
        all.extend_from_slice(more);
        config(&all)
            .login
            .return_origins
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let registered = [(
        "DCR_REDIRECT_URIS",
        "http://localhost:8000/auth/callback https://app.example/auth/callback https://b.example:8443/auth/callback",
    )];
    assert_eq!(
        origins("c.example app.example", &registered),
        ["https://c.example", "https://app.example"]
    );
    assert_eq!(
        origins("localhost,b.example", &registered),
        ["http://localhost:8000", "https://b.example:8443"]
    );
    assert_eq!(origins("https://c.example:444", &[]), ["https://c.example:444"]);
    let default = config(&registered).login.return_origins;
    assert_eq!(default.len(), 3);
    let several = [
        (
            "DCR_REDIRECT_URIS",
            "https://b.example:1/auth/callback https://b.example:2/auth/callback",
        ),
        ("BFF_ALLOWED_REDIRECT_HOSTS", "b.example"),
    ];
    assert!(problem(&several).message.contains("several schemes or ports"));
}

#[test]
fn cors_origins_are_a_list_or_json() {
    for text in [
        "https://a.example,http://localhost:5173",
        "https://a.example http://localhost:5173",
        r#"["https://a.example", "http://localhost:5173", "https://a.example"]"#,
    ] {
        let origins = config(&[("CORS__ALLOW_ORIGINS", text)]).login.cors_origins;
        assert_eq!(
            format!("{origins:?}"),
            r#"["https://a.example", "http://localhost:5173"]"#
        );
    }
}

#[test]
fn the_fallback_callback() {
    let fallback = |more: &[(&str, &str)]| config(more).login.fallback_callback.unwrap().to_string();
    let uris = (
        "DCR_REDIRECT_URIS",
        "https://a.example/auth/callback https://b.example/auth/callback",
    );
    assert_eq!(fallback(&[uris]), "https://a.example/auth/callback");
    assert_eq!(
        fallback(&[uris, ("BFF_BASE_URL", "https://b.example")]),
        "https://b.example/auth/callback"
    );
    assert_eq!(
        fallback(&[uris, ("BFF_DEFAULT_HOST", "b.example")]),
        "https://b.example/auth/callback"
    );
    let explicit = ("BFF_CALLBACK_URL", "https://b.example/auth/callback");
    assert_eq!(fallback(&[uris, explicit]), "https://b.example/auth/callback");
    assert_eq!(
        fallback(&[("BFF_BASE_URL", ""), explicit]),
        "https://b.example/auth/callback"
    );
    assert_eq!(
        fallback(&[
            ("BFF_DEFAULT_HOST", "localhost:1"),
            ("BFF_DEFAULT_SCHEME", "http")
        ]),
        "http://localhost:1/auth/callback"
    );
}

#[test]
fn own_origins_are_those_of_base_url_and_redirect_uris() {
    let own = |more: &[(&str, &str)]| format!("{:?}", config(more).login.own_origins);
    assert_eq!(own(&[]), r#"["https://app.example"]"#);
    let uris = (
        "DCR_REDIRECT_URIS",
        "https://a.example/auth/callback https://app.example/auth/callback",
    );
    assert_eq!(own(&[uris]), r#"["https://app.example", "https://a.example"]"#);
    let callback = ("BFF_CALLBACK_URL", "https://b.example/auth/callback");
    assert_eq!(own(&[("BFF_BASE_URL", ""), callback]), r#"["https://b.example"]"#);
}

#[test]
fn listeners_on_two_addresses_may_share_a_port() {
    let other = ("BFF_INTERNAL_ADDR", "127.0.0.2:8000");
    assert!(config(&[other]).server.internal.is_some());
    assert_eq!(
        problem(&[other, ("HOST", "0.0.0.0")]).variable,
        "BFF_INTERNAL_ADDR"
    );
}

#[test]
fn choices_and_switches_reach_their_settings() {
    let config = config(&[
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_post"),
        ("AUTH_CLIENT_SECRET", "s"),
        ("BFF_JWT_SIGNING_ALG", "ES256"),
        ("BFF_ASSERTION_AUDIENCE", "token_endpoint"),
        ("BFF_ASSERTION_TYP", "none"),
        ("OIDC_TRUSTED_AUDIENCES", "urn:api, other"),
        ("OIDC_USERINFO_URL", "None"),
        ("OIDC_PAR_URL", "https://idp.example/par"),
        ("MS_BFF_PAR_ENABLED", "false"),
        ("BFF_COOKIE_SAMESITE", "Strict"),
        ("BFF_COOKIE_DOMAIN", "app.example"),
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL", "info,bff::oidc=debug"),
        ("BFF_METRICS_ADDR", "127.0.0.1:9090"),
        ("BFF_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7 fd00::/8"),
        ("SESSION_MEMORY_LIMIT", "512MiB"),
        ("SESSION_LIFETIME", "30m"),
        ("BFF_DYNAMIC_CALLBACK", "false"),
        ("HOST", "::"),
        ("BFF_JWK_ROTATE_AFTER_DAYS", "90"),
        ("BFF_STATE_STORE", "files"),
        ("BFF_JWK_RETIRE_AFTER_DAYS", "30"),
        ("BFF_JWK_MAX_KEYS", "4"),
        ("BFF_JWK_PUBLISH_AHEAD", "2d"),
        // Their defaults in other words.
        ("MS_BFF_DPOP_ENABLED", "false"),
        ("SESSION_BINDING", "off"),
        ("SESSION_STORE", "memory"),
        ("REDIS_URL", "redis://redis"),
    ]);
    assert_eq!(config.client.authentication, AuthMethod::ClientSecretPost);
    assert_eq!(config.client.authentication.name(), "client_secret_post");
    assert_eq!(config.client.signing_algorithm, Some(Algorithm::ES256));
    assert_eq!(config.client.assertion_audience, AssertionAudience::TokenEndpoint);
    assert_eq!(config.client.assertion_typ, AssertionTyp::None);
    assert_eq!(config.provider.trusted_audiences, ["urn:api", "other"]);
    let endpoints = &config.provider.endpoints;
    assert_eq!(endpoints.userinfo, Some(OptionalEndpoint::Off));
    assert!(matches!(&endpoints.par, Some(OptionalEndpoint::At(url)) if url.path() == "/par"));
    assert_eq!(config.client.par, ParMode::Never);
    assert_eq!(config.cookies.same_site, SameSite::Strict);
    assert_eq!(config.cookies.name, "__Http-bff_session");
    assert_eq!(config.telemetry.log_format, Format::Json);
    assert_eq!(config.telemetry.log_filter, "info,bff::oidc=debug");
    assert_eq!(config.server.internal.unwrap().port(), 9_090);
    assert_eq!(config.server.trusted_proxies.len(), 3);
    assert_eq!(config.server.listen.to_string(), "[::]:8000");
    assert_eq!(config.session.memory_limit, 512 << 20);
    assert_eq!(
        config.session.idle_timeout,
        Duration::from_mins(30),
        "the default gives way"
    );
    assert!(!config.login.dynamic_callback);
    let day = Duration::from_hours(24);
    let policy = config.rotation().policy;
    assert_eq!(policy.rotate_after, Some(90 * day));
    assert_eq!((policy.retire_after, policy.max_keys), (30 * day, 4));
    assert_eq!(policy.publish_ahead, 2 * day);
}

/// Unless the configuration says otherwise.
#[test]
fn replicas_share_state_where_they_share_sessions() {
    let redis = ("REDIS_URL", "redis://redis");
    assert_eq!(config(&[]).keys.state_store, StateStore::Files);
    assert_eq!(config(&[redis]).keys.state_store, StateStore::Redis);
    let files = ("BFF_STATE_STORE", "files");
    assert_eq!(config(&[redis, files]).keys.state_store, StateStore::Files);
    let memory = ("SESSION_STORE", "memory");
    assert_eq!(config(&[redis, memory]).keys.state_store, StateStore::Files);
}

#[test]
fn keys_do_not_rotate_by_age_unless_that_is_asked_for() {
    let rotation = config(&[]).rotation();
    assert_eq!(rotation.policy, crate::keys::Policy::default());
    assert_eq!(rotation.policy.rotate_after, None);
}

#[test]
fn rust_log_wins_and_may_name_modules() {
    let telemetry = config(&[("RUST_LOG", "bff"), ("LOG_LEVEL", "warn")]).telemetry;
    assert_eq!(telemetry.log_filter, "bff");
}

#[test]
fn a_ca_bundle_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/keys/fixtures/certificate.pem");
    let bundle = config(&[("IDP_CA_FILE", path)]).provider.ca_bundle.unwrap();
    assert_eq!(bundle, fs::read(path).unwrap());
}

#[test]
fn what_is_odd_but_works_is_a_warning() {
    let uris = ("DCR_REDIRECT_URIS", "https://app.example/auth/callback");
    for (more, start) in [
        (
            vec![("AUTH_CLIENT_SECRET", "s")],
            "AUTH_CLIENT_SECRET: has no effect",
        ),
        (
            vec![("DCR_IAT", "i"), ("DCR_ENABLED", "false")],
            "DCR_IAT: has no effect",
        ),
        (
            vec![uris, ("BOOTSTRAP_ADMIN_TOKEN", "t")],
            "BOOTSTRAP_ADMIN_TOKEN: an admin's token",
        ),
        (
            vec![
                uris,
                ("DCR_ROTATION_SAFE", "true"),
                ("DCR_REDIRECT_UPDATE_MODE", "none"),
            ],
            "DCR_REDIRECT_UPDATE_MODE: has no effect while DCR_ROTATION_SAFE is true",
        ),
        (
            vec![("REDIS_URL", "redis://redis"), ("SESSION_STORE", "memory")],
            "REDIS_URL: has no effect with SESSION_STORE=memory",
        ),
        (
            vec![("REDIS_URL", "redis://redis")],
            "SESSION_SECRET: is not set: the replicas understand each other only",
        ),
        (
            vec![("REDIS_URL", "redis://redis"), ("SESSION_STORE", "disk")],
            "REDIS_URL: has no effect with SESSION_STORE=disk",
        ),
        (
            vec![("BFF_BASE_URI", "x")],
            "BFF_BASE_URI: is not known and has no effect; did you mean BFF_BASE_URL?",
        ),
    ] {
        let warned = warnings(&more);
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].starts_with(start), "{warned:?}");
    }
}

#[test]
fn how_a_registration_is_updated_is_read() {
    let with = |more: &[(&'static str, &'static str)]| {
        let mut all = vec![("DCR_REDIRECT_URIS", "https://app.example/auth/callback")];
        all.extend(more);
        config(&all).registration
    };
    for (mode, safe, becomes) in [
        ("", "", RedirectUpdate::Replace),
        ("auto", "false", RedirectUpdate::Replace),
        ("replace", "", RedirectUpdate::Replace),
        ("merge", "", RedirectUpdate::Merge),
        ("none", "", RedirectUpdate::Keep),
        ("", "true", RedirectUpdate::Merge),
        ("auto", "true", RedirectUpdate::Merge),
        ("none", "true", RedirectUpdate::Merge),
    ] {
        let read = with(&[("DCR_REDIRECT_UPDATE_MODE", mode), ("DCR_ROTATION_SAFE", safe)]);
        assert_eq!(read.redirect_update, becomes, "{mode} {safe}");
    }
    for (method, becomes) in [
        ("", UpdateMethod::Auto),
        ("auto", UpdateMethod::Auto),
        ("put", UpdateMethod::Put),
        ("patch", UpdateMethod::Patch),
    ] {
        assert_eq!(with(&[("DCR_UPDATE_METHOD", method)]).update_method, becomes);
    }
    for (interval, seconds) in [("", None), ("0", None), ("1m", Some(60)), ("1h", Some(3600))] {
        let read = with(&[("DCR_CHECK_INTERVAL", interval)]).check_interval;
        assert_eq!(read, seconds.map(Duration::from_secs), "{interval}");
    }
}

#[test]
fn a_value_that_is_not_utf_8_is_a_mistake() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};
    let mut all: Vec<(String, OsString)> = LEAST
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect();
    all.push(("PORT".to_owned(), OsString::from_vec(vec![0xff])));
    all.push(("UNRELATED".to_owned(), OsString::from_vec(vec![0xff])));
    let error = Config::load(&all.into_iter().collect()).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    assert_eq!(error.problems[0].message, "is not UTF-8");
}

#[test]
fn the_environment_of_the_process_is_read() {
    assert!(Environment::of_process().names().count() > 0);
}

proptest! {
    #[test]
    fn no_value_of_any_variable_panics(index in 0..catalogue::VARIABLES.len(), value in "[ -~é\\t\\n]{0,60}") {
        let name = catalogue::VARIABLES[index].name;
        if let Err(error) = load(&[(name, &value)]) {
            prop_assert!(!error.problems.is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_url_like_value_panics(index in 0..catalogue::VARIABLES.len(), value in "(https?://)?[a-z.*:@/\\[\\],# 0-9-]{0,40}") {
        let name = catalogue::VARIABLES[index].name;
        let _ = load(&[(name, &value)]);
    }

    #[test]
    fn no_settings_file_panics(text in r#"((port|dcr_iat|oidc_scopes|host|x): ?|- |[\[\]{},&*!|>'"%@#?~:\n ]|[a-z0-9.]{1,4}){0,30}"#) {
        let _ = with_settings(&text, &[]);
    }
}
