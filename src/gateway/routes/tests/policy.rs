//! The keys that say who may call a route.

use super::*;

fn read(entry: &str) -> Result<Routes, RoutesError> {
    parse(&format!(
        "- {{ id: a, path: /a/*, target_service: crud, {entry} }}"
    ))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_mistake_in_a_policy_is_named_with_its_fix() {
    for (entry, problem) in [
        (
            "auth: barer",
            "is `barer`; write session (the default), optional, bearer or none",
        ),
        (
            "auth: bearer, csrf: false",
            "csrf of route `a` has no effect with auth: bearer",
        ),
        (
            "auth: bearer, unauthenticated: login",
            "unauthenticated of route `a` has no effect with auth: bearer",
        ),
        (
            "auth: optional, unauthenticated: login",
            "has no effect with auth: optional",
        ),
        (
            "auth: none, required_scopes: [a]",
            "required_scopes of route `a` needs a session",
        ),
        (
            "auth: optional, required_scopes: [a]",
            "required_scopes of route `a` needs a session",
        ),
        (
            "auth: optional, require: [{ claim: a, equals: b }]",
            "require of route `a` needs a session",
        ),
        (
            "required_scopes: a",
            "required_scopes of route `a` is a single value",
        ),
        ("required_scopes: []", "has no entry"),
        ("required_scopes: ['a b']", "has `a b`, which is no scope"),
        ("required_scopes: ['']", "which is no scope"),
        ("require: roles", "require of route `a` is a single value"),
        ("require: []", "has no rule"),
        ("require: [roles]", "a rule of route `a` is a single value"),
        ("require: [{ equals: a }]", "a rule of route `a` has no claim"),
        (
            "require: [{ claim: roles }]",
            "not exactly one of equals, any_of and contains",
        ),
        (
            "require: [{ claim: roles, equals: a, contains: b }]",
            "not exactly one of equals, any_of and contains",
        ),
        (
            "require: [{ claim: roles, equals: a, equal: a }]",
            "unknown key `equal`",
        ),
        (
            "require: [{ claim: exp, equals: a }]",
            "the claim `exp`, which no session keeps",
        ),
        ("require: [{ claim: '', equals: a }]", "which no session keeps"),
        (
            "require: [{ claim: token., equals: a }]",
            "which no session keeps",
        ),
        (
            "require: [{ claim: roles, equals: [a] }]",
            "equals of a rule of route `a` is a list",
        ),
        ("require: [{ claim: roles, any_of: [] }]", "has no value"),
        ("require: [{ claim: roles, contains: [[a]] }]", "is a list"),
        (
            "csrf: false",
            "any page could act with a session; remove it, or write auth: none",
        ),
        ("auth: optional, csrf: false", "any page could act with a session"),
        ("auth: none, csrf: maybe", "csrf of route `a` is a single value"),
        ("cache_control: [x]", "cache_control of route `a` is a list"),
        ("cache_control: ''", "which is no list of directives"),
        (
            "cache_control: 'private, max age'",
            "which is no list of directives",
        ),
        (
            "cache_control: \"private\\r\\nx: y\"",
            "which is no list of directives",
        ),
        (
            "cache_control: 'max-age=60, Public'",
            "lets a shared cache keep answers for one person",
        ),
        (
            "auth: optional, cache_control: 's-maxage=60'",
            "lets a shared cache keep answers for one person",
        ),
        ("streaming: maybe", "streaming of route `a` is a single value"),
    ] {
        let error = read(entry).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{entry}: {error}");
        let text = error.to_string();
        assert!(
            text.starts_with("line 6, column ") && text.contains(problem),
            "{entry}: {error}"
        );
    }
}

#[test]
fn each_key_of_a_policy_is_read() {
    for entry in [
        "auth: optional",
        "auth: none, csrf: false",
        "csrf: true",
        "required_scopes: [orders.read, 'https://a.example/x']",
        "require: [{ claim: roles, contains: admin }, { claim: level, any_of: [1, 2] }, { claim: email_verified, equals: true }]",
        "require: [{ claim: token.amr, contains: otp }]",
        "cache_control: 'private, max-age=60'",
        "auth: none, cache_control: 'public, max-age=60, stale-while-revalidate=5'",
        "streaming: true",
    ] {
        read(entry).unwrap_or_else(|error| panic!("{entry}: {error}"));
    }
    let routes = read("streaming: true").unwrap();
    assert!(routes.iter().next().unwrap().streams());
}

/// Every demand is a part of it.
#[test]
fn attack_41_another_spelling_may_not_lose_a_demand() {
    for demand in [
        "required_scopes: [admin]",
        "require: [{ claim: roles, contains: admin }]",
        "auth: optional",
    ] {
        let routes = parse(&format!(
            "- {{ id: a, path: /a/*, target_service: crud }}\n- {{ id: b, path: /a/admin/*, target_service: crud, {demand} }}\n"
        ))
        .unwrap();
        assert_eq!(target(&routes, "GET", "/a/Admin/x"), "400", "{demand}");
        assert!(target(&routes, "GET", "/a/admin/x").starts_with("b "), "{demand}");
    }
}

#[test]
fn a_route_for_bearers_may_ask_for_every_claim() {
    let routes = read("auth: bearer, required_scopes: [a], require: [{ claim: azp, equals: b }]").unwrap();
    let policy = routes.iter().next().unwrap().policy();
    assert_eq!((policy.auth(), policy.auth().word()), (Auth::Bearer, "bearer"));
    assert!(routes.has_bearers());
    let claims = serde_json::json!({"azp": "b"});
    let facts = |scope| Facts {
        scope,
        issuer: "",
        acr: None,
        user: claims.as_object().unwrap(),
        token: None,
    };
    assert!(policy.check(&facts("a")).is_ok());
    assert!(policy.check(&facts("b")).is_err());
    assert!(!read("auth: none").unwrap().has_bearers());
}
