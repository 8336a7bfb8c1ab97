//! Which token goes along.

use super::*;
use crate::credential::{Mode, Target};

const SERVICES: &str = "
services:
  orders: { base_url: 'http://orders', token_audience: 'https://orders.example', scopes: [orders.write, orders.read] }
  bills: { base_url: 'http://bills', audience: urn:bills, scopes: bills.read bills.write }
  plain: { base_url: 'http://plain' }
routes:
";

/// The token of the only route, whose further keys are `keys`.
fn tokens(keys: &str) -> Result<TokenPolicy, RoutesError> {
    let routes = Routes::parse(&format!("{SERVICES}- {{ id: a, path: /a, {keys} }}\n"))?;
    let route = routes.iter().next().unwrap();
    Ok(route.tokens().clone())
}

fn target(audience: &str, scopes: &[&str]) -> Target {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Target::new(Some(audience.to_owned()), scopes)
}

#[test]
fn a_route_has_the_target_of_its_service() {
    let policy = tokens("target_service: plain").unwrap();
    assert!(policy.is_own_token());
    let policy = tokens("target_service: orders").unwrap();
    assert_eq!(policy.mode, Mode::SessionPassthrough);
    let orders = ["orders.read", "orders.write"];
    assert_eq!(policy.target, target("https://orders.example", &orders));
    assert!(!policy.is_own_token());
    let policy = tokens("target_service: bills").unwrap();
    assert_eq!(policy.target, target("urn:bills", &["bills.read", "bills.write"]));
}

#[test]
fn a_policy_changes_single_parts_of_the_target() {
    let policy = tokens(
        "target_service: orders, token_policy: { mode: on_behalf_of, scopes: [orders.read], cache_ttl: 300 }",
    )
    .unwrap();
    assert_eq!(policy.mode, Mode::OnBehalfOf);
    assert_eq!(policy.target, target("https://orders.example", &["orders.read"]));
    assert_eq!(policy.cache_ttl, Some(Duration::from_mins(5)));
    assert_eq!(policy.service, "orders");
    // Another service names audience and scopes.
    let policy =
        tokens("target_service: plain, token_policy: { mode: service_token, service: bills }").unwrap();
    assert_eq!(policy.target, target("urn:bills", &["bills.read", "bills.write"]));
    assert_eq!(policy.service, "bills");
    let policy = tokens("target_service: plain, token_policy: { audience: urn:bills }").unwrap();
    assert_eq!(policy.target, target("urn:bills", &[]));
    let policy = tokens("target_service: plain, token_policy: {}").unwrap();
    assert!(policy.is_own_token());
}

#[test]
fn mistakes_have_a_place_and_a_fix() {
    for (keys, message) in [
        (
            "target_service: orders, token_policy: { mode: on_behalf_off }",
            "mode of token_policy of route `a` is `on_behalf_off`; did you mean on_behalf_of?",
        ),
        (
            "target_service: orders, token_policy: { mod: x }",
            "token_policy of route `a` has the unknown key `mod`; did you mean mode?",
        ),
        (
            "target_service: orders, token_policy: on_behalf_of",
            "token_policy of route `a` is",
        ),
        (
            "target_service: orders, token_policy: { audience: 'https://order.example' }",
            "is `https://order.example`, which no service has; did you mean `https://orders.example`?",
        ),
        (
            "target_service: plain, token_policy: { mode: on_behalf_of, audience: 'https://order.example' }",
            "is `https://order.example`, which no service has",
        ),
        (
            "target_service: orders, token_policy: { audience: 'two words' }",
            "which is no audience",
        ),
        (
            "target_service: orders, token_policy: { service: order }",
            "names the unknown service `order`; did you mean `orders`?",
        ),
        (
            "target_service: orders, token_policy: { scopes: ['a\"b'] }",
            "which is no scope",
        ),
        (
            "target_service: orders, token_policy: { cache_ttl: soon }",
            "cache_ttl of token_policy of route `a` is `soon`",
        ),
        (
            "target_service: orders, token_policy: { cache_ttl: 0 }",
            "cache_ttl of token_policy of route `a` is `0`",
        ),
        (
            "target_service: plain, token_policy: { mode: on_behalf_of }",
            "says on_behalf_of, and for no API",
        ),
        (
            "target_service: plain, token_policy: { mode: service_token }",
            "says service_token, and for no API",
        ),
        (
            "target_service: plain, token_policy: { scopes: [x] }",
            "scopes of token_policy of route `a` has no effect",
        ),
        (
            "target_service: plain, token_policy: { cache_ttl: 5 }",
            "cache_ttl of token_policy of route `a` has no effect",
        ),
        (
            "target_service: orders, auth: none, token_policy: { mode: service_token }",
            "has no effect with auth: none",
        ),
        (
            "target_service: plain, auth: bearer, token_policy: { mode: on_behalf_of }",
            "says on_behalf_of, and for no API",
        ),
        (
            "target_service: orders, auth: bearer, token_policy: { scopes: [x] }",
            "says scopes, and with auth: bearer and without another mode the token of the caller goes on as it is",
        ),
        (
            "target_service: orders, auth: bearer, token_policy: { mode: session_passthrough, audience: urn:bills }",
            "says audience, and with auth: bearer",
        ),
        (
            "target_service: orders, auth: bearer, token_policy: { cache_ttl: 60 }",
            "says cache_ttl, and with auth: bearer",
        ),
    ] {
        let error = tokens(keys).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{keys}: {error}");
        let mistake = &error.mistakes()[0];
        assert!(mistake.at.line == 7 && mistake.at.column > 20, "{error}");
        assert!(error.to_string().contains(message), "{keys}: {error}");
    }
    for (service, message) in [
        (
            "token_audience: a, audience: b",
            "has both token_audience and audience",
        ),
        ("token_audience: ''", "which is no audience"),
        ("scopes: { a: b }", "scopes of service `x` is"),
        ("scopes: [1.5]", "a number with a fraction"),
    ] {
        let yaml = format!("services:\n  x: {{ base_url: 'http://x', {service} }}\n");
        let error = Routes::parse(&yaml).unwrap_err().to_string();
        assert!(
            error.starts_with("line 2, column ") && error.contains(message),
            "{error}"
        );
    }
}

fn with(defaults: &TokenDefaults, yaml: &str) -> Result<Routes, RoutesError> {
    Routes::parse_with(
        yaml,
        &Around {
            variables: &|_| None,
            folder: None,
            tokens: defaults,
            private: &Private::default(),
            unchecked: false,
        },
    )
}

#[test]
fn settings_give_a_service_its_target() {
    let mut defaults = TokenDefaults::NONE;
    for id in ["plain", "orders"] {
        defaults.audiences.insert(id.to_owned(), "urn:set".to_owned());
    }
    defaults.scopes.insert("plain".to_owned(), vec!["set".to_owned()]);
    let yaml = format!(
        "{SERVICES}- {{ id: a, path: /a, target_service: plain }}\n- {{ id: b, path: /b, target_service: orders }}"
    );
    let routes = with(&defaults, &yaml).unwrap();
    let policies: Vec<&TokenPolicy> = routes.iter().map(Route::tokens).collect();
    assert_eq!(policies[0].target, target("urn:set", &["set"]));
    // The file wins.
    assert_eq!(
        policies[1].target.audience.as_deref(),
        Some("https://orders.example")
    );

    defaults.audiences.insert("order".to_owned(), "urn:x".to_owned());
    let error = with(&defaults, &yaml).unwrap_err().to_string();
    assert!(
        error.contains(
            "the settings give an audience to the service `order`, which is not in this file; did you mean `orders`?"
        ),
        "{error}"
    );
}

#[test]
fn the_flags_of_the_original_system_refuse_policies() {
    let yaml = format!(
        "{SERVICES}- {{ id: a, path: /a, target_service: orders, token_policy: {{ mode: on_behalf_of }} }}\n"
    );
    for (defaults, message) in [
        (
            TokenDefaults {
                refuses_policies: true,
                ..TokenDefaults::NONE
            },
            "the settings switch token policies off",
        ),
        (
            TokenDefaults {
                refuses_on_behalf_of: true,
                ..TokenDefaults::NONE
            },
            "which the settings switch off",
        ),
    ] {
        let error = with(&defaults, &yaml).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn schema_and_reader_agree_on_policies() {
    let checker = crate::generated::Checker::new(&schema());
    for (policy, accepted) in [
        (
            "{ mode: service_token, service: orders, audience: urn:bills, scopes: [a, b], cache_ttl: 300 }",
            true,
        ),
        ("{ mode: on_behalf_of, scopes: a b, cache_ttl: 5m }", true),
        ("{ mode: on_behalf }", false),
        ("{ mod: service_token }", false),
        ("service_token", false),
        ("{ cache_ttl: 0 }", false),
    ] {
        let yaml =
            format!("{SERVICES}- {{ id: a, path: /a, target_service: orders, token_policy: {policy} }}\n");
        assert_eq!(Routes::parse(&yaml).is_ok(), accepted, "{policy}");
        assert_eq!(checker.accepts(&yaml).is_ok(), accepted, "{policy}");
    }
}

/// The token of a caller is no token of the login's grant, whatever audience the service has.
#[test]
fn a_route_for_callers_passes_their_token_or_obtains_one() {
    for keys in [
        "target_service: orders, auth: bearer",
        "target_service: orders, auth: bearer, token_policy: {}",
        "target_service: orders, auth: bearer, token_policy: { mode: session_passthrough }",
    ] {
        assert!(tokens(keys).unwrap().is_own_token(), "{keys}");
    }
    for (mode, word) in [
        (Mode::OnBehalfOf, "on_behalf_of"),
        (Mode::ServiceToken, "service_token"),
    ] {
        let keys = format!(
            "target_service: orders, auth: bearer, token_policy: {{ mode: {word}, scopes: [orders.read], cache_ttl: 60 }}"
        );
        let policy = tokens(&keys).unwrap();
        assert_eq!(policy.mode, mode);
        assert_eq!(policy.target, target("https://orders.example", &["orders.read"]));
        assert_eq!(policy.cache_ttl, Some(Duration::from_mins(1)));
    }
}

#[test]
fn the_idp_of_the_logins_issues_what_its_client_asks_for() {
    let yaml = format!(
        "{SERVICES}- {{ id: a, path: /a, target_service: orders, auth: bearer, token_policy: {{ mode: on_behalf_of }} }}
- {{ id: b, path: /b, target_service: bills, auth: bearer, token_policy: {{ mode: service_token }} }}
- {{ id: c, path: /c, target_service: bills, auth: bearer }}
- {{ id: d, path: /d, target_service: plain }}
"
    );
    let routes = Routes::parse(&yaml).unwrap();
    let modes = |of_callers| -> Vec<Mode> {
        let policies = routes.tokens_for_apis(of_callers);
        policies.map(|policy| policy.mode).collect()
    };
    assert_eq!(modes(false), [Mode::ServiceToken]);
    assert_eq!(modes(true), [Mode::OnBehalfOf, Mode::ServiceToken]);
    let error = routes.without_exchange().unwrap().to_string();
    assert!(error.starts_with("line 7, column "), "{error}");
    assert!(error.contains("token_policy of route `a`"), "{error}");
    let yaml = yaml.replace("mode: on_behalf_of", "mode: service_token");
    assert!(Routes::parse(&yaml).unwrap().without_exchange().is_none());
}
