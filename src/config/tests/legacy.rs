//! Configurations of the original system.

use super::{
    super::legacy::{KEYS, VARIABLES, Verdict},
    *,
};

/// The lines about `variable`.
fn told(variable: &str, value: &str) -> Vec<Warning> {
    match load(&[(variable, value)]) {
        Ok((_, warnings)) => warnings
            .into_iter()
            .filter(|warning| warning.variable == variable)
            .collect(),
        Err(error) => panic!("{variable}={value}: {error}"),
    }
}

fn example(name: &str) -> String {
    name.replace('*', "X")
}

#[test]
fn every_variable_of_the_original_system_has_its_verdict() {
    for legacy in VARIABLES {
        let name = example(legacy.name);
        let refused = |value: &str, message: &str| {
            let problem = problem(&[(&name, value)]);
            assert_eq!(problem.variable, name);
            assert_eq!(problem.value, None, "{problem}");
            assert!(
                problem.message.contains(message) && !problem.fix.is_empty(),
                "{problem}"
            );
        };
        let ignored = |value: &str, severity: Severity| {
            let told = told(&name, value);
            assert_eq!(told.len(), 1, "{name}={value}: {told:?}");
            assert_eq!(told[0].severity, severity);
        };
        match legacy.verdict {
            Verdict::Ignored(_) => ignored("planted", Severity::Info),
            Verdict::Missed { values, .. } => {
                ignored(values[0], Severity::Warning);
                ignored("planted", Severity::Info);
            }
            Verdict::Only { values, .. } => {
                for value in values {
                    ignored(value, Severity::Info);
                    ignored(&value.to_ascii_uppercase(), Severity::Info);
                }
                refused("planted", "does not do");
            }
            Verdict::Refused(_) => refused("planted", "no meaning"),
            Verdict::NotBuilt(_) => refused("planted", "is not built yet"),
            Verdict::NotBuiltBut { values, .. } => {
                ignored(values[0], Severity::Info);
                refused("true", "is not built yet");
            }
            Verdict::Means(_) => panic!("{name} belongs into the catalogue"),
            Verdict::Sets(..) => refused("planted", "neither true nor false"),
            Verdict::AddsTo(_) => {
                assert!(load(&[(&name, "https://other.example")]).is_ok());
                refused("https://other.example/x", "more than an origin");
            }
        }
    }
}

#[test]
fn names_that_mean_the_same_are_taken() {
    let more = [
        ("OIDC_ISSUER", ""),
        ("AUTH_ISSUER", "https://idp.example/realm"),
        ("AUTH_JWKS_URL", "https://idp.example/jwks"),
        ("KEYS_DIR", "/k"),
        ("LOG_JSON_FORMAT", "true"),
        ("OTEL_SDK_DISABLED", "true"),
        ("ALLOWED_REDIRECT_ORIGINS", "https://one.example"),
        ("ALLOWED_FRONTEND_ORIGINS", r#"["https://two.example"]"#),
        ("ALLOWED_STREAM_ORIGINS", "https://three.example"),
        ("CORS_ALLOW_ORIGINS", "https://four.example,https://two.example"),
        ("CORS__ALLOW_ORIGINS", r#"["https://five.example"]"#),
    ];
    let (config, warnings) = load(&more).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.provider.issuer, "https://idp.example/realm");
    assert_eq!(config.provider.endpoints.jwks.unwrap().path(), "/jwks");
    assert_eq!(config.keys.options.dir, Path::new("/k"));
    assert_eq!(config.telemetry.log_format, Format::Json);
    let shown = |origins: &[Origin]| {
        let mut shown: Vec<String> = origins.iter().map(ToString::to_string).collect();
        shown.sort();
        shown.join(" ")
    };
    assert_eq!(
        shown(&config.login.return_origins),
        "https://app.example https://one.example https://two.example"
    );
    assert_eq!(
        shown(&config.login.cors_origins),
        "https://five.example https://four.example https://three.example https://two.example"
    );
    for (one, other) in [
        (
            ("OIDC_ISSUER", "https://idp.example"),
            ("AUTH_ISSUER", "https://other.example"),
        ),
        (("LOG_FORMAT", "pretty"), ("LOG_JSON_FORMAT", "true")),
    ] {
        let problem = problem(&[one, other]);
        assert_eq!(problem.variable, other.0);
        assert!(problem.message.contains("another name of"), "{problem}");
    }
}

#[test]
fn a_secret_may_name_its_file_in_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("iat");
    private_file::replace(&path, b"token\n").unwrap();
    let value = format!("file:{}", path.display());
    let redirect = ("DCR_REDIRECT_URIS", "https://app.example/auth/callback");
    let token = |config: Config| config.registration.initial_access_token;
    assert_eq!(
        token(config(&[("DCR_IAT", &value), redirect])),
        Some(Secret::from("token"))
    );
    let text = format!("dcr_iat: {value}\n");
    let (config, _) = with_settings(&text, &[redirect]).unwrap();
    assert_eq!(token(config), Some(Secret::from("token")));
    let problem = problem(&[("DCR_IAT", "file:planted"), redirect]);
    assert_eq!((problem.variable.as_str(), problem.value), ("DCR_IAT", None));
}

#[test]
fn a_domain_may_begin_with_a_dot() {
    let (config, warnings) = load(&[("BFF_COOKIE_DOMAIN", ".app.example")]).unwrap();
    assert_eq!(config.cookies.domain.as_deref(), Some("app.example"));
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].message.contains("every host below app.example"),
        "{warnings:?}"
    );
    assert_eq!(
        problem(&[("BFF_COOKIE_DOMAIN", "..app.example")]).message,
        "is not a domain name"
    );
}

#[test]
fn same_site_none_is_refused_with_the_reason() {
    let problem = problem(&[("BFF_COOKIE_SAMESITE", "None")]);
    assert!(problem.message.contains("any page"), "{problem}");
    assert!(
        problem.fix.contains("`Lax`") && problem.fix.contains("`Strict`"),
        "{problem}"
    );
}

#[test]
fn settings_may_be_nested() {
    let text = "
auth:
  issuer: https://idp.example/nested
  client_id: nested
  oauth_scopes: [openid, email]
  client_secret: ${NESTED_SECRET}
cors:
  allow_origins: [https://one.example]
  dev_origins: [http://localhost:5173]
  allow_credentials: true
  allow_methods: [GET, POST]
log: { level: debug, format: json, enable_tracing: true }
cache: { type: memory, ttl: { users: 5 } }
kafka: { enabled: false }
token_refresh_threshold: 60
debug: false
app_name: bff
";
    let more = [
        ("OIDC_ISSUER", ""),
        ("AUTH_CLIENT_ID", ""),
        ("NESTED_SECRET", "planted"),
        ("MS_BFF_TOKEN_AUTH_METHOD", "client_secret_basic"),
    ];
    let (config, warnings) = with_settings(text, &more).unwrap();
    assert_eq!(config.provider.issuer, "https://idp.example/nested");
    assert_eq!(config.provider.scopes, ["openid", "email"]);
    assert_eq!(config.client.id.as_deref(), Some("nested"));
    assert_eq!(config.client.secret, Some(Secret::from("planted")));
    assert_eq!(config.login.cors_origins.len(), 2);
    assert_eq!(config.telemetry.log_filter, "debug");
    assert_eq!(config.telemetry.log_format, Format::Json);
    assert_eq!(config.tokens.refresh_threshold, Duration::from_mins(1));
    let info = warnings
        .iter()
        .filter(|warning| warning.severity == Severity::Info);
    assert_eq!(info.count(), 8, "{warnings:?}");
    for (text, variable, message) in [
        (
            "auth: {issuer: https://a.example}\noidc_issuer: https://b.example\n",
            "oidc_issuer (settings.yaml, line 2)",
            "another name of auth.issuer",
        ),
        (
            "auth: {isuer: x}\n",
            "auth.isuer (settings.yaml, line 1)",
            "not a known setting",
        ),
        (
            "authx: {issuer: x}\n",
            "authx (settings.yaml, line 1)",
            "not a known setting",
        ),
        (
            "auth: {client_secret: planted}\n",
            "auth.client_secret (settings.yaml, line 1)",
            "must not stand in settings.yaml",
        ),
        (
            "pdp: {base_url: planted}\n",
            "pdp.base_url (settings.yaml, line 1)",
            "is not built yet",
        ),
        (
            "services: {crud: {client_id: planted}}\n",
            "services.crud.client_id (settings.yaml, line 1)",
            "no meaning",
        ),
    ] {
        let error = with_settings(text, &[("OIDC_ISSUER", "")]).unwrap_err();
        let found = error.problems.iter().find(|problem| problem.variable == variable);
        let problem = found.unwrap_or_else(|| panic!("{text}: {error}"));
        assert!(problem.message.contains(message), "{problem}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[test]
fn every_nested_key_of_the_original_system_has_its_verdict() {
    for legacy in KEYS {
        let name = example(legacy.name);
        let text = match name.split_once('.') {
            Some((section, key)) => format!("{section}: {{ {key}: '${{PLANTED}}' }}\n"),
            None => format!("{name}: '${{PLANTED}}'\n"),
        };
        let loaded = with_settings(&text, &[("PLANTED", "planted-value")]);
        let said = match &loaded {
            Ok((_, warnings)) => warnings
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(!said.contains("planted-value"), "{name}: {said}");
        match legacy.verdict {
            Verdict::Ignored(_) => {
                assert!(loaded.is_ok() && said.contains("has no effect"), "{name}: {said}");
            }
            Verdict::NotBuilt(_) => assert!(said.contains("is not built yet"), "{name}: {said}"),
            Verdict::Refused(_) => assert!(said.contains("has no meaning here"), "{name}: {said}"),
            _ => {}
        }
    }
}

#[test]
fn variables_stand_in_settings() {
    let text =
        "port: ${MY_PORT:-9001}\nhost: '${MY_HOST}'\nbff_allowed_redirect_hosts: ['${ONE}', two.example]\n";
    let more = [("MY_HOST", "0.0.0.0"), ("ONE", "one.example")];
    let (config, _) = with_settings(text, &more).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9001");
    assert_eq!(config.login.return_origins.len(), 2);
    let error = with_settings(text, &[("ONE", "x")]).unwrap_err();
    assert_eq!(error.problems[0].variable, "host (settings.yaml, line 2)");
    assert!(
        error.problems[0].message.contains("MY_HOST, which is not set"),
        "{error}"
    );
    // An inserted value is not quoted, and is not YAML.
    let error = with_settings("port: ${X}\n", &[("X", "planted: 1")]).unwrap_err();
    assert!(error.to_string().contains("whole number") && !error.to_string().contains("planted"));
}

#[test]
fn the_file_of_settings_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    fs::write(&path, "port: 9009\n").unwrap();
    let config = config(&[("SETTINGS_FILE", path.to_str().unwrap())]);
    assert_eq!(config.server.listen.port(), 9_009);
    let problem = problem(&[("SETTINGS_FILE", "/nonexistent/settings.yaml")]);
    assert_eq!(
        (problem.variable.as_str(), problem.message.as_str()),
        ("SETTINGS_FILE", "names no file")
    );
}

/// Flat keys with maps, and the same in the environment.
#[test]
fn services_get_their_targets_from_settings() {
    let text = "
service_audiences: { crud: '${CRUD_AUDIENCE}', orders: https://orders.example }
service_scopes: { crud: [a, b], orders: c d }
";
    let (config, _) = with_settings(text, &[("CRUD_AUDIENCE", "urn:crud")]).unwrap();
    let in_file = config.tokens;
    assert_eq!(in_file.service_audiences["crud"], "urn:crud");
    assert_eq!(in_file.service_audiences["orders"], "https://orders.example");
    assert_eq!(in_file.service_scopes["crud"], ["a", "b"]);
    assert_eq!(in_file.service_scopes["orders"], ["c", "d"]);
    let environment = [
        ("SERVICE_AUDIENCES", "crud=urn:crud,orders=https://orders.example"),
        ("SERVICE_SCOPES", "crud=a crud=b orders=c,orders=d"),
    ];
    let (config, _) = with_settings("", &environment).unwrap();
    assert_eq!(config.tokens, in_file);
    let error = with_settings("service_audiences: { crud: { a: b } }\n", &[]).unwrap_err();
    assert!(
        error.to_string().contains("neither a value nor a list"),
        "{error}"
    );
}
