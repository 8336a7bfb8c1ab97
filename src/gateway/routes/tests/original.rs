//! The documented examples of the original system: every key that is built is read unchanged.

use super::*;

const EXAMPLE: &str = r#"
services:
  orders:
    base_url: https://orders.internal:8443/v2
    timeout: { connect: 2s, first_byte: 10s, idle: 60s, total: 30s }
    token_audience: https://orders.example
    scopes: [orders.read, orders.write]
    tls_verify: /app/config/ca/internal.pem
    client_cert_path: /run/secrets/bff-tls.crt
    client_key_path: /run/secrets/bff-tls.key
    breaker: { threshold: 5, reset: 60s }
    max_body: 10MiB
    identity_headers: true
  pdp: { base_url: "${PDP_BASE_URL:-http://pdp:8001}" }
routes:
  - { id: order-feed, path: /api/orders/feed, target_service: orders, methods: [GET], streaming: true, authz: pdp, authz_map: { GET: { resource: order_feed, action: read } } }
  - { id: order-machines, path: "/m2m/orders/*", target_service: orders, upstream_path: "/orders/{path}", methods: [GET, POST], auth: bearer }
  - { id: pdp-evaluation, path: /access/v1/evaluation, target_service: pdp, methods: [POST, OPTIONS], preserve_path: true }
  - id: order-one
    description: one order; the PDP sees its id
    path: /api/orders/{order_id}
    target_service: orders
    upstream_path: /orders/{order_id}
    methods: [GET, PATCH]
    auth: session
    required_scopes: [orders.read]
    rate_limit: { per_session: 20/s }
    authz: pdp
    authz_map:
      GET: { resource: order, action: read, id_from: "{order_id}" }
      PATCH: { resource: order, action: update, id_from: "{order_id}", props: { state: "$.state", channel: web } }
    token_policy: { mode: on_behalf_of, service: orders, audience: https://orders.example, scopes: [orders.write], cache_ttl: 300 }
"#;

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
