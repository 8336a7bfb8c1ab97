use super::*;
use crate::{config::Environment, gateway::TokenDefaults, telemetry::testing::Logs};

const SERVICE: &str = "services:\n  crud: { base_url: 'http://crud' }\nroutes:\n";

/// The warnings about this text, with further settings.
fn told(text: &str, more: &[(&str, &str)]) -> Vec<String> {
    let base = [
        ("OIDC_ISSUER", "https://idp.example"),
        ("AUTH_CLIENT_ID", "bff"),
        ("BFF_BASE_URL", "https://bff.example"),
        ("DCR_REDIRECT_URIS", "https://app.example/auth/callback"),
        ("DCR_ENABLED", "false"),
    ];
    let variables = base.iter().chain(more);
    let environment: Environment = variables.copied().collect();
    let (config, _) = Config::load(&environment).unwrap();
    let (routes, warnings) = parsed(&config, Some(text), SystemClock.wall()).unwrap();
    let logs = Logs::capture();
    tell(&config, &routes, &warnings);
    let lines: Vec<String> = warnings.iter().map(Explain::told).collect();
    for line in &lines {
        logs.has_part("WARN", line);
    }
    lines
}

fn route(keys: &str) -> String {
    format!("{SERVICE}  - {{ id: one, path: '/api/*', target_service: crud, {keys} }}\n")
}

#[test]
fn a_file_without_routes_is_told() {
    for text in [
        "",
        "routes: []\n",
        "services:\n  crud: { base_url: 'http://crud' }\n",
    ] {
        let told = told(text, &[]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("routes.yaml has no routes"), "{told:?}");
    }
    assert_eq!(told(&route("auth: none"), &[]), [] as [&str; 0]);
}

#[test]
fn scopes_that_logins_do_not_request_are_told() {
    for (scopes, missing) in [
        ("[orders.write]", "orders.write"),
        ("[openid, orders.read]", "orders.read"),
        ("[a, b]", "a b"),
    ] {
        let told = told(&route(&format!("required_scopes: {scopes}")), &[]);
        assert_eq!(told.len(), 1, "{told:?}");
        let part = format!("the route `one` requires the scope {missing}, which logins do not request");
        assert!(
            told[0].contains(&part) && told[0].contains("[Scopes]"),
            "{told:?}"
        );
    }
    let requested = [("OIDC_SCOPES", "openid orders.write")];
    assert_eq!(
        told(&route("required_scopes: [orders.write]"), &requested),
        [] as [&str; 0]
    );
}

#[test]
fn a_host_without_logins_is_told() {
    for host in ["api.example", "app.example.org", "other.app.example"] {
        let told = told(&route(&format!("host: {host}")), &[]);
        assert_eq!(told.len(), 1, "{told:?}");
        let part = format!("applies to the host {host} only, where nobody can log in");
        assert!(
            told[0].contains(&part) && told[0].contains("[RedirectUris]"),
            "{told:?}"
        );
    }
    for (keys, more) in [
        ("host: app.example", &[][..]),
        ("host: bff.example", &[]),
        ("host: hooks.example, auth: none", &[]),
        (
            "host: api.site.example",
            &[
                ("BFF_COOKIE_DOMAIN", "site.example"),
                ("BFF_BASE_URL", "https://bff.site.example"),
                ("DCR_REDIRECT_URIS", "https://app.site.example/auth/callback"),
            ],
        ),
    ] {
        assert_eq!(told(&route(keys), more), [] as [&str; 0], "{keys}");
    }
}

#[test]
fn a_call_that_ends_before_its_answer_begins_is_told() {
    let service = |timeout: &str| {
        format!(
            "services:\n  crud: {{ base_url: 'http://crud', timeout: {timeout} }}\nroutes:\n  - {{ id: one, path: '/api/*', \
             target_service: crud }}\n"
        )
    };
    for (timeout, part) in [
        (
            "{ first_byte: 60s, total: 10s }",
            "has 60s to begin its answer, but each call ends after 10s",
        ),
        ("{ first_byte: 30s, total: 29s }", "has 30s"),
        ("{ connect: 1s, first_byte: 2, total: 500ms }", "after 500ms"),
    ] {
        let told = told(&service(timeout), &[]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(part), "{told:?}");
    }
    for timeout in ["{ first_byte: 10s, total: 10s }", "{ total: 5s }", "5s"] {
        assert_eq!(told(&service(timeout), &[]), [] as [&str; 0], "{timeout}");
    }
}

#[test]
fn a_client_certificate_is_told_14_days_before_its_end() {
    crate::jose::install_crypto();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tls/testing");
    let text = "services:\n  crud: { base_url: 'https://crud', client_cert_path: client.pem, client_key_path: client.key }\n";
    let around = Around {
        variables: &|_| None,
        folder: Some(&folder),
        tokens: &TokenDefaults::NONE,
        private: &Private::default(),
        unchecked: false,
    };
    let routes = Routes::parse_with(text, &around).unwrap();
    let end = routes.services()[0].identity().unwrap().end().unwrap();
    let end = Timestamp::from_unix_millis(u64::try_from(end.as_millis()).unwrap());
    let days = |days: u64| Duration::from_hours(24 * days);
    assert_eq!(expiring(&routes, end.saturating_sub(days(15))), []);
    for (now, expected) in [
        (end.saturating_sub(days(14)), "ends at"),
        (end.saturating_add(days(1)), "has ended at"),
    ] {
        let warnings = expiring(&routes, now);
        let told = warnings[0].told();
        assert!(
            told.starts_with(&format!(
                "the client certificate for the service `crud` {expected} "
            )),
            "{told}"
        );
        assert!(told.contains("client_cert_path"), "{told}");
    }
}
