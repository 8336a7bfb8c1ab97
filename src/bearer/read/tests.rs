use std::{fs, path::Path};

use super::*;

const DOCUMENTED: &str = include_str!("../../../tests/it/start/documented/idps.yaml");

fn parse_in(folder: Option<&Path>, text: &str) -> Result<Idps, Mistakes> {
    let around = Around {
        variables: &|name| (name == "IDP_CLIENT_SECRET").then(|| "hunter2-hunter2".to_owned()),
        folder,
        allow_http: HttpPolicy::LocalOnly,
        login_issuer: "https://login.example",
    };
    Idps::parse(text, &around)
}

fn parse(text: &str) -> Result<Idps, Mistakes> {
    parse_in(None, text)
}

/// The mistakes of one entry with these further keys.
fn mistakes(keys: &str) -> String {
    let text = format!("idps:\n- {{ name: a, issuer: 'https://a.example', audience: x, {keys} }}\n");
    parse(&text).map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn the_documented_file_is_read() {
    let idps = parse(DOCUMENTED).unwrap();
    let [idp] = idps.iter().collect::<Vec<_>>()[..] else {
        panic!();
    };
    assert_eq!(
        (idp.name.as_str(), idp.provider.as_str()),
        ("corp-orders", "corp")
    );
    assert_eq!(idp.issuer, "https://idp.example/api/oidc");
    assert_eq!(idp.audiences, ["https://orders.example"]);
    assert_eq!(idp.jwks_url.as_ref().unwrap().path(), "/api/oidc/jwks");
    assert!(idp.takes_opaque && !idp.introspects_all && !idp.accepts_untyped);
    let client = idp.client.as_ref().unwrap();
    assert_eq!(client.id, "bff-server");
    assert_eq!(client.secret, Some("hunter2-hunter2".into()));
    assert!(!format!("{idps:?}").contains("hunter2"));
    let claims: Vec<&str> = idp.roles.iter().map(|source| source.claim.as_str()).collect();
    assert_eq!(claims, ["roles", "realm_access.roles"]);
    assert_eq!(idp.permissions, Source::of_permissions()[..1]);
    assert!(idps.exchange() && !idps.exchange_as_login_client());
    assert_eq!(idp.token_url().unwrap().path(), "/api/oidc/token");
    assert!(idps.notes().is_empty());
}

#[test]
fn defaults_are_the_careful_ones() {
    let idps = parse("idps: [{ name: a, issuer: 'https://a.example/', audience: [x, 7] }]").unwrap();
    let idp = idps.iter().next().unwrap();
    assert_eq!(
        (idp.provider.as_str(), idp.issuer.as_str()),
        ("a", "https://a.example/")
    );
    assert_eq!(idp.audiences, ["x", "7"]);
    assert!(!idp.takes_opaque && !idp.introspects_all && !idp.accepts_untyped);
    assert_eq!(idp.answers, Answers::Json);
    assert!(idp.client.is_none() && idp.introspection_url.is_none() && idp.jwks_url.is_none());
    assert_eq!(idp.exchange, None);
    assert_eq!(
        (&idp.roles, &idp.permissions),
        (&Source::of_roles(), &Source::of_permissions())
    );
    assert!(idps.notes().is_empty());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    for (text, expected) in [
        ("", "line 1, column 1: the file has no entry"),
        ("x: 1", "the file has the unknown key `x`"),
        ("idps: {}", "`idps` is a map"),
        ("idps: []", "`idps` has no entry"),
        ("idps:\n- {}", "line 2, column 3: an entry of idps has no name"),
        ("idps: [{ name: a }]", "idp `a` has no issuer"),
        (
            "idps: [{ name: 'a b', issuer: 'https://a.example', audience: x }]",
            "`a b` is no id for an idp",
        ),
        ("idps: [{ name: a, name: b }]", "stands there twice"),
        (
            "idps:\n- { name: a, issuer: 'https://a.example', audience: x }\n- { name: a, issuer: 'https://b.example', audience: x }",
            "line 3, column 11: idp `a` stands here twice",
        ),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let long = format!("# {}", "x".repeat(MAX_FILE_SIZE));
    assert!(
        parse(&long)
            .unwrap_err()
            .to_string()
            .contains("larger than 256 KiB")
    );
}

#[test]
fn every_mistake_of_an_entry_is_told_with_its_place() {
    for (keys, expected) in [
        ("isuer: x", "unknown key `isuer`; did you mean issuer?"),
        ("api_key: x", "`api_key`, which is not used here; remove it"),
        ("jwks_url: 'ftp://a.example'", "jwks_url of idp `a` is no URL"),
        (
            "jwks_url: 'https://u:hunter2@a.example'",
            "jwks_url of idp `a` is no URL",
        ),
        ("jwks_url: 'http://a.example/k'", "plain http to another machine"),
        (
            "introspect: always",
            "introspect of idp `a` has no effect without introspection_url",
        ),
        (
            "signed_introspection: true",
            "signed_introspection of idp `a` has no effect without introspection_url",
        ),
        (
            "introspection_url: 'https://a.example/i', client_id: x, signed_introspection: maybe",
            "signed_introspection of idp `a` is a single value",
        ),
        (
            "opaque: true",
            "opaque of idp `a` has no effect without introspection_url",
        ),
        ("opaque: maybe", "opaque of idp `a` is a single value"),
        ("client_secret: x", "idp `a` has client_secret but no client_id"),
        ("client_id: ''", "client_id of idp `a` is"),
        (
            "client_id: x, client_secret: ''",
            "client_secret of idp `a` is empty",
        ),
        (
            "client_id: x, client_secret: y, client_secret_file: z",
            "has both client_secret and client_secret_file",
        ),
        (
            "client_id: x, client_secret_file: z",
            "cannot be read, or is empty",
        ),
        (
            "introspection_url: 'https://a.example/i'",
            "has introspection_url but no client_id",
        ),
        (
            "enable_token_exchange: true",
            "has enable_token_exchange but no client_id, and this server is a client of `https://login.example` only",
        ),
        (
            "client_id: x, enable_token_exchange: perhaps",
            "enable_token_exchange of idp `a` is a single value",
        ),
        (
            "token_url: 'http://a.example/t', client_id: x",
            "token_url of idp `a` is plain http to another machine",
        ),
        (
            "token_url: 'https://a.example/#x'",
            "token_url of idp `a` is no URL",
        ),
        (
            "introspection_url: 'https://a.example/i', client_id: x, introspect: never",
            "introspect of idp `a` is `never`",
        ),
        ("provider: ''", "provider of idp `a` is"),
        (
            "claims_mapping: { role: [] }",
            "unknown key `role`; did you mean roles?",
        ),
        (
            "claims_mapping: { roles: x }",
            "roles in claims_mapping of idp `a` is a single value",
        ),
        ("claims_mapping: { roles: [{ format: list }] }", "has no source"),
        (
            "claims_mapping: { roles: [{ source: x, format: csv }] }",
            "is `csv`",
        ),
        ("claims_mapping: { roles: [{ source: '' }] }", "is empty"),
        (
            "client_id: '${NOTHING}'",
            "names the variable NOTHING, which is not set",
        ),
    ] {
        let error = mistakes(keys);
        assert!(error.contains(expected), "{keys}: {error}");
        assert!(error.starts_with("line 2, column "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for wrong in [
        "issuer: x, audience: x",
        "issuer: 'https://a.example?x', audience: x",
        "issuer: 'https://a.example', audience: []",
    ] {
        let text = format!("idps: [{{ name: a, {wrong} }}]");
        assert!(parse(&text).is_err(), "{wrong}");
    }
}

#[test]
fn one_entry_at_most_takes_opaque_tokens() {
    let entry = |name: &str, keys: &str| {
        format!(
            "- {{ name: {name}, issuer: 'https://{name}.example', audience: x, client_id: y, introspection_url: 'https://{name}.example/i', {keys} }}\n"
        )
    };
    let opaque = |one: &str, other: &str| {
        parse(&format!("idps:\n{}{}", entry("a", one), entry("b", other)))
            .map(|idps| idps.iter().map(|idp| idp.takes_opaque).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    // Nobody is chosen by the order of the file.
    assert_eq!(opaque("", "").unwrap(), [false, false]);
    assert_eq!(opaque("", "opaque: true").unwrap(), [false, true]);
    let error = opaque("opaque: true", "opaque: true").unwrap_err();
    assert!(
        error.starts_with("line 3, column 3: a second entry has opaque: true"),
        "{error}"
    );
    let alone = parse(&format!("idps:\n{}", entry("a", "opaque: false"))).unwrap();
    assert!(!alone.iter().next().unwrap().takes_opaque);
}

#[test]
fn a_secret_comes_from_a_file_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s"), "hunter2\n").unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(folder.path().join("long"), "x".repeat(5000)).unwrap();
    let read = |key: &str| {
        let text =
            format!("idps: [{{ name: a, issuer: 'https://a.example', audience: x, client_id: y, {key} }}]");
        parse_in(Some(folder.path()), &text)
    };
    for key in ["client_secret_file: s", "client_secret: 'file:s'"] {
        let idps = read(key).unwrap();
        let client = idps.iter().next().unwrap().client.clone().unwrap();
        assert_eq!(client.secret, Some("hunter2".into()), "{key}");
    }
    for file in ["empty", "long", "none"] {
        let error = read(&format!("client_secret_file: {file}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot be read, or is empty"), "{error}");
    }
}

/// This server has no client elsewhere.
#[test]
fn the_login_issuer_needs_no_client_of_its_own() {
    let idps = parse(
        "idps: [{ name: a, issuer: 'https://login.example', audience: x, introspection_url: 'https://login.example/i' }]",
    );
    assert!(idps.unwrap().iter().next().unwrap().client.is_none());
}

#[test]
fn the_login_issuer_exchanges_with_the_client_of_the_logins() {
    let entry = |keys: &str| {
        let text = format!("idps: [{{ name: a, issuer: 'https://login.example', audience: x{keys} }}]");
        parse(&text).unwrap()
    };
    let idps = entry(", enable_token_exchange: true");
    assert!(idps.exchange() && idps.exchange_as_login_client());
    let idps = entry(", enable_token_exchange: true, client_id: other");
    assert!(idps.exchange() && !idps.exchange_as_login_client());
    let idps = entry(", token_url: 'https://login.example/t'");
    assert!(!idps.exchange() && !idps.exchange_as_login_client());
    let note = idps.notes()[0].to_string();
    assert!(
        note.contains("token_url of idp `a` has no effect without enable_token_exchange: true"),
        "{note}"
    );
}
