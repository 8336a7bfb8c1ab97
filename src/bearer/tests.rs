use serde_json::json;

use super::{idps::Around as Surroundings, *};
use crate::{
    clock::Timestamp,
    generated::{Checker, assert_whole, pretty},
};

#[test]
fn the_committed_schema_is_current() {
    assert_whole("config/idps.schema.json", &pretty(&schema()));
}

/// The examples of an `idps.yaml` in the documents match the schema, and the reader takes them.
#[test]
fn examples_in_documents_are_read() {
    let checker = Checker::new(&schema());
    let around = Surroundings {
        variables: &|_| Some("value-of-a-variable".to_owned()),
        folder: None,
        allow_http: HttpPolicy::LocalOnly,
        login_issuer: "https://idp.example",
    };
    let text = include_str!("../../docs/bearer.md");
    let blocks = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut seen = 0;
    for block in blocks.filter(|block| block.starts_with("idps:")) {
        checker.accepts(block).unwrap();
        Idps::parse(block, &around).unwrap_or_else(|error| panic!("{error}\n{block}"));
        seen += 1;
    }
    assert!(seen > 1, "{seen}");
    for wrong in [
        "idps: []",
        "idps: [{ name: a }]",
        "idps: [{ name: a, issuer: 'https://a', audience: x, opaque: true }]",
    ] {
        assert!(
            checker.accepts(wrong).is_err() && Idps::parse(wrong, &around).is_err(),
            "{wrong}"
        );
    }
}

fn bearer(expires_at: u64) -> Arc<Bearer> {
    let idps = Idps::of_logins("https://idp.example", Some("ours".to_owned()), "oidc");
    let claims = json!({"active": true, "aud": "ours", "sub": "a", "exp": expires_at});
    let claims = claims.as_object().unwrap().clone();
    let idp = idps.iter().next().unwrap();
    Arc::new(checks::of_answer(idp, claims, Timestamp::EPOCH).unwrap())
}

#[test]
fn what_is_known_of_a_token_ends_with_it() {
    let cache = Cache::default();
    let at = Timestamp::from_unix_seconds;
    let token = Secret::from("t");
    assert!(cache.get(&token, at(1)).is_none());
    let good = Good {
        bearer: bearer(10),
        exchanger: Exchanger::switched_off("a"),
    };
    cache.keep(&token, good, at(10));
    assert!(cache.get(&token, at(9)).is_some_and(|known| known.is_ok()));
    assert!(cache.get(&Secret::from("T"), at(9)).is_none());
    assert!(cache.get(&token, at(10)).is_none());
    assert!(cache.get(&token, at(9)).is_none(), "it is forgotten");

    cache.keep_bad(&token, BadToken::Inactive, at(20));
    assert_eq!(
        cache.get(&token, at(24)).unwrap().unwrap_err(),
        BadToken::Inactive
    );
    assert!(cache.get(&token, at(25)).is_none());
}

#[test]
fn an_answer_counts_for_a_minute_at_most() {
    let around = Surroundings {
        variables: &|_| None,
        folder: None,
        allow_http: HttpPolicy::LocalOnly,
        login_issuer: "https://idp.example",
    };
    let idp = |keys: &str| {
        let text = format!(
            "idps: [{{ name: a, issuer: 'https://idp.example', audience: ours, introspection_url: 'https://idp.example/i', {keys} }}]"
        );
        let idps = Idps::parse(&text, &around).unwrap();
        idps.iter().next().unwrap().clone()
    };
    let at = Timestamp::from_unix_seconds;
    let now = at(1_000);
    let opaque = idp("");
    assert_eq!(opaque.keep_until(&bearer(5_000), true, now), at(5_000));
    assert_eq!(opaque.keep_until(&bearer(5_000), false, now), at(1_060));
    assert_eq!(opaque.keep_until(&bearer(1_010), false, now), at(1_010));
    let always = idp("introspect: always");
    assert_eq!(always.keep_until(&bearer(5_000), true, now), at(1_060));
    let mut endless = Bearer::clone(&bearer(5_000));
    endless.expires_at = None;
    assert_eq!(always.keep_until(&endless, true, now), at(1_060));
}
