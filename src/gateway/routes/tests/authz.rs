//! `authz` and `authz_map`.

use super::*;

const NOT_BUILT: &str =
    "authz of route `r` asks for authorization decisions, which are not built yet; write authz: none";

fn read(more: &str) -> Result<Routes, RoutesError> {
    Routes::parse(&format!(
        "services: {{ a: {{ base_url: 'http://a' }} }}\nroutes:\n\
         - {{ id: r, path: '/r/{{order}}/x/{{item}}', preserve_path: true, target_service: a, methods: [GET, POST, PATCH], {more} }}\n"
    ))
}

/// The mistakes beside that of decisions which are not built.
fn others(map: &str) -> Vec<String> {
    let error = read(&format!("authz: pdp, authz_map: {map}")).unwrap_err();
    let texts: Vec<String> = error.mistakes().iter().map(ToString::to_string).collect();
    assert!(texts.iter().any(|text| text.contains(NOT_BUILT)), "{texts:?}");
    texts
        .into_iter()
        .filter(|text| !text.contains(NOT_BUILT))
        .collect()
}

#[test]
fn a_route_that_asks_for_decisions_does_not_start() {
    for more in [
        "authz: pdp",
        "authz: pdp, authz_map: { GET: { resource: order, action: read } }",
    ] {
        let error = read(more).unwrap_err();
        let [mistake] = error.mistakes() else {
            panic!("{error}");
        };
        assert!(error.to_string().contains(NOT_BUILT), "{error}");
        assert_eq!(mistake.at.line, 3);
    }
    assert!(read("authz: none").is_ok());
}

#[test]
fn a_complete_mapping_has_no_other_mistake() {
    for map in [
        "{ GET: { resource: order, action: read } }",
        "{ GET: { resource: order, action: read, id_from: '{order}' } }",
        "{ HEAD: { resource: order, action: read, id_from: '{item}', props: { of: '{order}' } } }",
        "{ POST: { resource: order, action: create, id_from: $.id, props: { state: $.a.b_c-d, channel: web, express: true, most: 5 } } }",
        "{ PATCH: { resource: order, action: update, props: {} }, POST: { resource: 'urn:x:order', action: can_read } }",
        // A member called body.
        "{ POST: { resource: order, action: create, id_from: $.body.id } }",
    ] {
        assert!(others(map).is_empty(), "{map}: {:?}", others(map));
    }
}

#[test]
fn every_wrong_mapping_is_a_mistake() {
    let entry = |more: &str| format!("{{ POST: {{ resource: order, action: create, {more} }} }}");
    for (map, message) in [
        (
            "[GET]".to_owned(),
            "authz_map of route `r` is a list; write a map by method",
        ),
        ("{}".to_owned(), "authz_map of route `r` names no method"),
        (
            "{ get: { resource: order, action: read } }".to_owned(),
            "names the method `get`; did you mean GET?",
        ),
        (
            "{ DELETE: { resource: order, action: read } }".to_owned(),
            "names DELETE, which the route does not take; add it to methods",
        ),
        (
            "{ '*': { resource: order, action: read } }".to_owned(),
            "names the method `*`",
        ),
        ("{ GET: read }".to_owned(), "`GET` in authz_map of route `r` is"),
        (
            "{ GET: { action: read } }".to_owned(),
            "has no resource; add its resource",
        ),
        (
            "{ GET: { resource: order } }".to_owned(),
            "has no action; add its action",
        ),
        (
            "{ GET: { resource: order, action: '*' } }".to_owned(),
            "action of `GET` in authz_map of route `r` is `*`",
        ),
        (
            "{ GET: { resource: 'order*', action: read } }".to_owned(),
            "is `order*`; write one name without blanks",
        ),
        (
            "{ GET: { resource: '', action: read } }".to_owned(),
            "resource of `GET`",
        ),
        (
            "{ GET: { resource: 'an order', action: read } }".to_owned(),
            "is `an order`",
        ),
        (
            "{ GET: { resource: order, action: read, id: x } }".to_owned(),
            "has the unknown key `id`",
        ),
        (
            entry("id_from: '{orders}'"),
            "is `{orders}`, which is no parameter of path; name one of {order}, {item}",
        ),
        (
            entry("id_from: '{path}'"),
            "is `{path}`, which is no parameter of path",
        ),
        (
            entry("id_from: '{order}-{item}'"),
            "which is more than one parameter",
        ),
        (entry("id_from: 'x{order}'"), "which is more than one parameter"),
        (
            entry("id_from: order"),
            "is the constant `order`; write a parameter of the path",
        ),
        (entry("id_from: [a]"), "is a list"),
        (
            entry("id_from: $"),
            "is `$`, which is no path of members; write the names",
        ),
        (entry("id_from: $x"), "which is no path of members"),
        (entry("id_from: '$.'"), "which is no path of members"),
        (entry("id_from: $.a..b"), "which is no path of members"),
        (entry("id_from: $.items.*"), "which is no path of members"),
        (entry("id_from: '$.items[0]'"), "which is no path of members"),
        (entry("id_from: '$.items[?(@.a)]'"), "which is no path of members"),
        (
            entry("props: [state]"),
            "props of `POST` in authz_map of route `r` is a list",
        ),
        (
            entry("props: { state: '$.a[*]' }"),
            "`state` in props of `POST` in authz_map of route `r` is `$.a[*]`",
        ),
        (
            entry("props: { state: '{state}' }"),
            "which is no parameter of path",
        ),
        (entry("props: { state: [a] }"), "is a list"),
        (
            "{ GET: { resource: order, action: read, id_from: $.id } }".to_owned(),
            "is `$.id`, and the body of GET is not read; write a parameter",
        ),
    ] {
        let others = others(&map);
        assert_eq!(others.len(), 1, "{map}: {others:?}");
        assert!(others[0].contains(message), "{map}: {others:?}");
    }
}

#[test]
fn a_mapping_without_decisions_has_no_effect() {
    const MAP: &str = "authz_map: { GET: { resource: order, action: read } }";
    for authz in ["", "authz: none, "] {
        let error = read(&format!("{authz}{MAP}")).unwrap_err().to_string();
        assert!(
            error.contains("authz_map of route `r` has no effect without authz: pdp"),
            "{error}"
        );
    }
    for (more, message) in [
        ("authz: PDP", "authz of route `r` is `PDP`; write none or pdp"),
        ("authz: [pdp]", "authz of route `r` is a list"),
        (
            "authz: pdp, auth: none",
            "authz of route `r` needs a session, which auth does not demand",
        ),
        ("authz: pdp, auth: optional", "authz of route `r` needs a session"),
    ] {
        let error = read(more).unwrap_err().to_string();
        assert!(error.contains(message), "{more}: {error}");
    }
}
