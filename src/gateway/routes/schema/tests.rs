use std::{fs, path::Path};

use super::*;
use crate::{
    gateway::Routes,
    generated::{Checker, assert_whole, pretty},
};

const SERVICES: &str = "services:\n  crud: { base_url: 'http://crud:8080' }\n";

#[test]
fn the_committed_schema_is_current() {
    assert_whole("config/routes.schema.json", &pretty(&schema()));
}

#[test]
fn every_key_of_the_reader_has_a_property_that_says_something() {
    for key in SERVICE_KEYS {
        assert_ne!(service_key(key), json!(true), "{key}");
    }
    for key in ROUTE_KEYS {
        assert_ne!(route_key(key), json!(true), "{key}");
    }
}

#[test]
fn the_samples_match_and_name_the_schema() {
    let checker = Checker::new(&schema());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (sample, from_there) in [
        ("config/routes.yaml", "routes.schema.json"),
        (
            "config/ServiceConfigs/BFF/config/routes.yaml",
            "../../../routes.schema.json",
        ),
    ] {
        let text = fs::read_to_string(root.join(sample)).unwrap();
        checker.accepts(&text).unwrap();
        let line = format!("# yaml-language-server: $schema={from_there}\n");
        assert!(text.starts_with(&line), "{sample}");
        assert!(root.join(sample).parent().unwrap().join(from_there).exists());
    }
}

/// The examples of a `routes.yaml` in `docs` and `README.md`.
#[test]
fn examples_in_documents_match() {
    let checker = Checker::new(&schema());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let text = ["gateway.md", "tokens-for-apis.md", "websockets.md"]
        .map(|name| fs::read_to_string(docs.join(name)).unwrap());
    let text = text.concat();
    // A block that a test runs, or one that people only read.
    let blocks = ["```yaml\n", "```text\n"]
        .into_iter()
        .flat_map(|begin| text.split(begin).skip(1));
    let mut seen = 0;
    for block in blocks.filter_map(|rest| rest.split("```").next()) {
        if block.starts_with("services:") || block.starts_with("routes:") {
            checker.accepts(block).unwrap();
            seen += 1;
        }
    }
    assert!(seen > 0);
}

/// The other blocks of docs/bearer.md are for `bearer::schema`.
#[test]
fn the_route_in_the_document_of_bearers_is_read() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bearer.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.starts_with("services:")).unwrap();
    Checker::new(&schema()).accepts(block).unwrap();
    assert!(Routes::parse(block).unwrap().has_bearers());
}

#[test]
fn schema_and_reader_accept_the_same_files() {
    let checker = Checker::new(&schema());
    for routes in [
        "",
        "{}\n",
        "services:\nroutes:\n",
        "services:\n  a: { base_url: 'https://a.example/x', timeout: 500ms, rewrite: false }\n",
        "services:\n  a: { base_url: 'http://a', timeout: 30, tls_verify: true }\n",
        "services:\n  a: { base_url: 'unix:/run/a.sock' }\n  b: { base_url: 'unix:///run/b.sock', h2c: true }\n",
        "services:\n  a: { base_url: 'http://a', max_body: 10MiB, breaker: { threshold: 5, reset: 60s, half_open: 1 }, concurrency: 100 }\n",
        "services:\n  a: { base_url: 'http://a', timeout: { connect: 1s, total: 30 }, h2c: true, headers: { set: { X-A: b } } }\n",
        "services:\n  a: { base_url: '${NO_SUCH:-http://a}', headers: { remove: [X-*], allow: [X-Accel-Buffering] } }\n",
    ] {
        Routes::parse(routes).unwrap();
        checker.accepts(routes).unwrap();
    }
    for route in [
        "{ id: a, path: /a/*, target_service: crud }",
        "{ id: a, path: /a, target_service: crud, methods: [GET], auth: none }",
        "{ id: a, path: /a, target_service: crud, auth: bearer, required_scopes: [a.read], require: [{ claim: azp, equals: b }] }",
        "{ id: a, path: /a, target_service: crud, auth: optional, streaming: true, cache_control: no-store }",
        "{ id: a, path: /a, target_service: crud, required_scopes: [a.read], require: [{ claim: a, any_of: [b, 1, true] }] }",
        "{ id: a, path: /a/*, target_service: crud, upstream_path: '/b/{path}', unauthenticated: 401 }",
        "{ id: a, path: /a/*, target_service: crud, preserve_path: true, encoded_path: pass }",
        "{ id: a, path: '/a/{b}/*', host: a.example, target_service: crud, upstream_path: '/x/{b}/{path}' }",
        "{ id: a, path: /a/*, target_service: crud, authz: none, streaming: false, csrf: true }",
        "{ id: a, path: /a/*, target_service: crud, max_body: unlimited }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { max_message: 64KiB, idle: 10m } }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { max_message: unlimited, idle: 90 } }",
        "{ id: a, path: /a/*, target_service: crud, rate_limit: { per_session: 20/s, per_address: { rate: 100/m, burst: 20 } } }",
    ] {
        let routes = format!("{SERVICES}routes:\n- {route}\n");
        Routes::parse(&routes).unwrap();
        checker.accepts(&routes).unwrap();
    }
}

#[test]
fn schema_and_reader_refuse_the_same_files() {
    let checker = Checker::new(&schema());
    let refused = |routes: &str| {
        assert!(Routes::parse(routes).is_err(), "the reader takes {routes}");
        assert!(checker.accepts(routes).is_err(), "the schema takes {routes}");
    };
    for routes in [
        "- a\n",
        "servcies: {}\n",
        "services: [a]\n",
        "services:\n  a: {}\n",
        "services:\n  a: { base_url: 'ftp://a' }\n",
        "services:\n  a: { base_url: 'http://u:p@a' }\n",
        "services:\n  a: { base_url: 'http://a?x' }\n",
        "services:\n  a: { base_url: 'http://a', timeout: soon }\n",
        "services:\n  a: { base_url: 'http://a', timeout: 0 }\n",
        "services:\n  a: { base_url: 'http://a', rewrite: maybe }\n",
        "services:\n  a: { base_url: 'http://a', headers: { drop: [X] } }\n",
        "services:\n  a: { base_url: 'http://a', headers: { set: { X_A: b } } }\n",
        "services:\n  a: { base_url: 'http://a', timeout: { soon: 1s } }\n",
        "services:\n  a: { base_url: 'http://a', tls_verify: false }\n",
        "services:\n  a: { base_url: 'http://a', scopes: { x: y } }\n",
        "services:\n  a: { base_url: 'http://a', max_body: 10MB }\n",
        "services:\n  a: { base_url: 'http://a', breaker: 5 }\n",
        "services:\n  a: { base_url: 'http://a', concurrency: 0 }\n",
        "services:\n  'a b': { base_url: 'http://a' }\n",
    ] {
        refused(routes);
    }
    for route in [
        "{ path: /a, target_service: crud }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { max_message: 1MB } }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { idle: soon } }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { idle: 86401 } }",
        "{ id: a, target_service: crud }",
        "{ id: a, path: /a }",
        "{ id: a, path: a, target_service: crud }",
        "{ id: a, path: '/a/x{b}', target_service: crud, preserve_path: true }",
        "{ id: a, path: /a, host: 'https://a.example', target_service: crud }",
        "{ id: a, path: /a, target_service: crud, metods: [GET] }",
        "{ id: a, path: /a, target_service: crud, methods: [] }",
        "{ id: a, path: /a, target_service: crud, methods: GET }",
        "{ id: a, path: /a, target_service: crud, methods: [get] }",
        "{ id: a, path: /a, target_service: crud, auth: bearer, csrf: true }",
        "{ id: a, path: /a, target_service: crud, auth: bearer, unauthenticated: 401 }",
        "{ id: a, path: /a, target_service: crud, auth: none, required_scopes: [a] }",
        "{ id: a, path: /a, target_service: crud, require: [{ claim: a }] }",
        "{ id: a, path: /a, target_service: crud, require: [{ claim: a, equals: [b] }] }",
        "{ id: a, path: /a, target_service: crud, required_scopes: ['a b'] }",
        "{ id: a, path: /a, target_service: crud, auth: none, unauthenticated: login }",
        "{ id: a, path: /a/*, target_service: crud, preserve_path: true, upstream_path: '/b/{path}' }",
        "{ id: a, path: /a/*, target_service: crud, encoded_path: maybe }",
        "{ id: a, path: /a/*, target_service: crud, authz: pdp }",
        "{ id: a, path: /a/*, target_service: crud, websocket: maybe }",
        "{ id: a, path: /a/*, target_service: crud, websocket: [] }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { token_subprotocol: 'a b' } }",
        "{ id: a, path: /a/*, target_service: crud, websocket: { subprotocol: a } }",
    ] {
        refused(&format!("{SERVICES}routes:\n- {route}\n"));
    }
}
