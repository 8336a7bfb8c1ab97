use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{jose::Algorithm, registration::tests::options};

fn jwks() -> Value {
    json!({"keys": []})
}

fn wanted() -> WantedMetadata {
    WantedMetadata::new(&options(), Some(Algorithm::PS256), jwks)
}

/// The response of an IdP that accepted everything unchanged.
fn taken() -> Map<String, Value> {
    wanted().fields().clone()
}

fn memory() -> Remembered {
    Remembered::new(&wanted(), &taken())
}

fn names(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.field.as_str()).collect()
}

#[test]
fn order_defaults_and_unknown_fields_are_no_difference() {
    let mut current = taken();
    current.insert("scope".into(), json!("offline_access openid  profile"));
    current.insert(
        "grant_types".into(),
        json!(["refresh_token", "authorization_code"]),
    );
    current.insert("id_token_signed_response_alg".into(), json!("RS256"));
    current.insert("require_auth_time".into(), json!(false));
    assert_eq!(compare(&wanted(), &current, &memory()), []);
}

#[test]
fn every_field_that_differs_is_named_with_both_values() {
    let mut current = taken();
    current.insert("scope".into(), json!("openid"));
    current.insert("redirect_uris".into(), json!(["https://a.example/auth/callback"]));
    current.insert("token_endpoint_auth_method".into(), json!("client_secret_basic"));
    let changes = compare(&wanted(), &current, &memory());
    assert_eq!(
        names(&changes),
        ["redirect_uris", "scope", "token_endpoint_auth_method"]
    );
    assert_eq!(
        changes[1].to_string(),
        r#"scope: "openid" -> "openid profile offline_access""#
    );
}

#[test]
fn a_field_that_is_not_returned_counts_as_what_was_sent() {
    let mut current = taken();
    current.remove("client_profile");
    current.insert("post_logout_redirect_uris".into(), Value::Null);
    assert_eq!(compare(&wanted(), &current, &memory()), []);

    let mut options = options();
    options.client_profile = Some("other".to_owned());
    let wanted = WantedMetadata::new(&options, Some(Algorithm::PS256), jwks);
    let changes = compare(&wanted, &current, &memory());
    assert_eq!(names(&changes), ["client_profile"]);
    assert_eq!(
        changes[0].to_string(),
        r#"client_profile: (not returned) -> "other""#
    );
    // Without a record of the last request, silence proves nothing.
    assert_eq!(
        names(&compare(&wanted, &current, &Remembered::default())),
        ["client_profile", "post_logout_redirect_uris"]
    );
}

/// Either side may change it.
#[test]
fn a_replaced_value_is_settled_until_it_changes() {
    let mut current = taken();
    current.insert("scope".into(), json!("openid profile"));
    let memory = Remembered::new(&wanted(), &current);
    assert_eq!(memory.replaced_fields().collect::<Vec<_>>(), ["scope"]);
    assert_eq!(compare(&wanted(), &current, &memory), []);

    // Changed at the IdP by hand.
    current.insert("scope".into(), json!("openid"));
    assert_eq!(names(&compare(&wanted(), &current, &memory)), ["scope"]);

    // Changed here.
    current.insert("scope".into(), json!("openid profile"));
    let mut options = options();
    options.scopes.push("mail".to_owned());
    let wanted = WantedMetadata::new(&options, Some(Algorithm::PS256), jwks);
    assert_eq!(names(&compare(&wanted, &current, &memory)), ["scope"]);
}

#[test]
fn another_authentication_method_is_never_settled() {
    let mut current = taken();
    current.insert(AUTH_METHOD.into(), json!("client_secret_basic"));
    let memory = Remembered::new(&wanted(), &current);
    assert_eq!(names(&compare(&wanted(), &current, &memory)), [AUTH_METHOD]);
}

#[test]
fn the_other_way_to_publish_keys_has_to_go() {
    let mut current = taken();
    current.insert("jwks".into(), json!({"keys": []}));
    let changes = compare(&wanted(), &current, &memory());
    assert_eq!(changes[0].to_string(), "jwks: no keys -> (removed)");
}

#[test]
fn without_a_reading_what_was_sent_is_compared() {
    assert_eq!(compare_with_sent(&wanted(), &memory()), []);
    let mut options = options();
    options.scopes.pop();
    options.jwks = crate::registration::options::Jwks::Inline;
    let wanted = WantedMetadata::new(&options, Some(Algorithm::PS256), jwks);
    assert_eq!(
        names(&compare_with_sent(&wanted, &memory())),
        ["jwks", "scope", "jwks_uri"]
    );
}

#[test]
fn a_hostile_value_cannot_forge_a_log_line_or_flood_it() {
    let mut current = taken();
    let hostile = format!("a\nINFO registration updated \u{9b}31m{}", "x".repeat(100_000));
    current.insert("client_name".into(), json!(hostile));
    let line = listed(&compare(&wanted(), &current, &memory()));
    assert!(!line.chars().any(char::is_control), "{line}");
    assert!(line.len() < 1_000);
}

#[test]
fn keys_are_told_by_their_names() {
    let change = |from: Value, to: Value| {
        let change = Change {
            field: "jwks".to_owned(),
            from: Some(from),
            to: Some(to),
        };
        change.to_string()
    };
    let keys = |names: &[&str]| {
        let keys: Vec<Value> = names
            .iter()
            .map(|name| json!({"kid": name, "kty": "EC", "x": "material"}))
            .collect();
        json!({ "keys": keys })
    };
    assert_eq!(
        change(keys(&["a", "b"]), keys(&["b", "c"])),
        "jwks: keys a, b -> keys b, c"
    );
    assert_eq!(
        change(json!({"keys": [{"x": "material"}]}), keys(&["b"])),
        "jwks: keys (without a kid) -> keys b"
    );
    // The difference is in the keys themselves.
    assert_eq!(
        change(json!({"keys": [{"kid": "a"}]}), keys(&["a"])),
        "jwks: keys a -> keys a (other keys of the same names)"
    );
    let many: Vec<String> = (0..1_000).map(|number| format!("k\n{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let text = change(keys(&many), keys(&["a"]));
    assert!(text.chars().count() < 4_000 && !text.contains('\n'), "{text}");
    assert_eq!(change(json!("odd"), keys(&["a"])), "jwks: \"odd\" -> keys a");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    /// The difference is logged first.
    #[test]
    fn any_returned_value_settles(
        values in prop::collection::vec(any_json(), 12)
    ) {
        let wanted = wanted();
        let current: Map<String, Value> =
            wanted.fields().keys().cloned().zip(values).collect();
        let changes = compare(&wanted, &current, &Remembered::default());
        for change in &changes {
            prop_assert!(!change.to_string().chars().any(char::is_control));
        }
        let settled = compare(&wanted, &current, &Remembered::new(&wanted, &current));
        for change in settled {
            prop_assert_eq!(change.field.as_str(), AUTH_METHOD);
        }
    }
}
