//! The documented examples of the original system: every key that is built is read unchanged.

use super::*;

const EXAMPLE: &str = include_str!("../../../../tests/it/start/documented/routes.yaml");

/// Each with the beginning of its message; this list shrinks as keys are built.
const NOT_BUILT: &[&str] = &[
    "authz of route `order-feed` asks for authorization decisions, which are",
    "authz of route `order-one` asks for authorization decisions, which are",
];

#[test]
fn only_keys_that_are_not_built_stop_the_documented_example() {
    let error = Routes::parse(EXAMPLE).unwrap_err();
    let (mut not_built, mut others) = (Vec::new(), Vec::new());
    for mistake in error.mistakes() {
        let problem = mistake.problem.as_str();
        let part = problem
            .strip_suffix(" is not built yet")
            .or_else(|| problem.strip_suffix(" not built yet"));
        match part {
            Some(key) => not_built.push(key),
            None => others.push(problem),
        }
    }
    // No file of this machine is read here.
    assert_eq!(others.len(), 2, "{others:?}");
    assert!(others[0].starts_with("tls_verify `/app/config/ca/internal.pem` of service `orders`"));
    assert!(others[1].starts_with("client_cert_path `/run/secrets/bff-tls.crt` and client_key_path"));
    assert_eq!(not_built, NOT_BUILT);
}

/// `tls_verify: false` needs the switch for plain http, and a service that is as near.
#[test]
fn an_unchecked_certificate_is_for_developers() {
    let read = |base_url: &str, more: &str, unchecked: bool| {
        let yaml = format!("services:\n  a: {{ base_url: '{base_url}', tls_verify: false{more} }}\n");
        let around = Around {
            variables: &|_| None,
            folder: None,
            private: &Private::default(),
            unchecked,
            tokens: &TokenDefaults::NONE,
        };
        Routes::parse_with(&yaml, &around)
    };
    for near in [
        "https://orders",
        "https://orders:8443/v1",
        "https://localhost",
        "https://api.localhost",
        "https://127.0.0.1:9",
        "https://[::1]",
    ] {
        let routes = read(near, "", true).unwrap();
        assert!(routes.services()[0].own_authorities().is_some(), "{near}");
        let note = routes.notes()[0].to_string();
        assert!(note.contains("anybody on the way could answer"), "{note}");
        assert!(note.contains("ca_file"), "{note}");
        let error = read(near, "", false).unwrap_err().to_string();
        assert!(error.contains("; name a file with the authority"), "{error}");
    }
    for (far, more) in [
        ("https://orders.internal", ""),
        ("https://10.0.0.1", ""),
        ("https://192.168.1.1", ""),
        ("https://orders", ", ca_file: ca.pem"),
    ] {
        let error = read(far, more, true).unwrap_err().to_string();
        assert!(error.contains("tls_verify of service `a` is false"), "{error}");
    }
}

#[test]
fn keys_for_another_client_say_what_to_write() {
    for (key, value) in [
        ("token_url", "https://idp.example/token"),
        ("client_id", "bff"),
        ("client_secret", "hunter2"),
        ("cache_enabled", "true"),
        ("cache_ttl", "60"),
    ] {
        let yaml = format!("services:\n  a: {{ base_url: 'http://a', {key}: {value} }}\n");
        let error = Routes::parse(&yaml).unwrap_err().to_string();
        let expected =
            format!("{key} of service `a` has no meaning here; remove it: the server's own client asks");
        assert!(error.contains(&expected), "{error}");
        assert!(error.contains("set token_audience"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn handlers_of_the_original_server_are_not_here() {
    let read = |service: &str, more: &str| {
        let yaml = format!(
            "services:\n  a: {{ base_url: 'http://a' }}\nroutes:\n  - {{ id: x, path: /x, target_service: {service}{more} }}\n"
        );
        Routes::parse(&yaml).map_err(|error| error.to_string())
    };
    assert!(read("a", ", internal: false").is_ok());
    for (service, more) in [
        ("a", ", internal: true"),
        ("internal", ""),
        ("internal", ", internal: true"),
    ] {
        let error = read(service, more).unwrap_err();
        let fix = "remove the route: ";
        assert!(
            error.contains(fix) && error.contains("`/api/metrics` and `/auth/*` need none"),
            "{error}"
        );
    }
}

#[test]
fn the_documented_example_is_read_without_those_keys() {
    let keys = [
        "tls_verify",
        "client_cert_path",
        "client_key_path",
        "authz",
        "authz_map",
        "GET",
        "PATCH",
    ];
    let is_kept = |line: &&str| {
        let key = line.trim_start().split(':').next().unwrap_or_default();
        !keys.contains(&key)
    };
    let text: Vec<&str> = EXAMPLE.lines().filter(is_kept).collect();
    let text = text.join("\n").replace(
        ", authz: pdp, authz_map: { GET: { resource: order_feed, action: read } }",
        "",
    );
    let routes = Routes::parse(&text).unwrap();
    for (method, at, expected) in [
        (
            "GET",
            "/api/orders/feed",
            "order-feed https://orders.internal:8443/v2",
        ),
        (
            "PATCH",
            "/api/orders/7",
            "order-one https://orders.internal:8443/v2/orders/7",
        ),
        (
            "POST",
            "/m2m/orders/7/x",
            "order-machines https://orders.internal:8443/v2/orders/7/x",
        ),
        (
            "POST",
            "/access/v1/evaluation",
            "pdp-evaluation http://pdp:8001/access/v1/evaluation",
        ),
    ] {
        assert_eq!(target(&routes, method, at), expected);
    }
}
