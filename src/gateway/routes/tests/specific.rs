//! Which of several routes decides.

use super::*;

fn id(routes: &Routes, host: &str, method: &str, at: &str) -> String {
    match routes.find(host, &path(at), &method.parse().unwrap()) {
        Found::Match(found) => found.route.id().to_owned(),
        Found::NotFound => "404".to_owned(),
        Found::MethodNotAllowed { .. } => "405".to_owned(),
        Found::Refused(_) => "400".to_owned(),
    }
}

#[test]
fn a_literal_precedes_a_parameter_and_that_a_star() {
    let routes = parse(
        "
- { id: star, path: '/u/*', target_service: crud }
- { id: param, path: '/u/{id}', target_service: crud, preserve_path: true }
- { id: deep, path: '/u/{id}/x', target_service: crud, preserve_path: true }
- { id: below, path: '/u/{id}/*', target_service: crud, preserve_path: true }
- { id: me, path: /u/me, target_service: crud, methods: [GET] }
- { id: mine, path: '/u/me/*', target_service: crud, methods: [GET] }
- { id: y, path: '/u/me/y/z', target_service: crud }
- { id: any, path: '/{a}/{b}/{c}/{d}', target_service: crud, preserve_path: true }
",
    )
    .unwrap();
    for (method, at, expected) in [
        ("GET", "/u", "star"),
        ("GET", "/u/", "star"),
        ("GET", "/u/1", "param"),
        ("GET", "/u/1/", "below"),
        ("GET", "/u/1/x", "deep"),
        ("GET", "/u/1/x/", "below"),
        ("GET", "/u/1/z", "below"),
        ("GET", "/u/me", "me"),
        // Never falls through to a wider route.
        ("POST", "/u/me", "405"),
        ("GET", "/u/me/x", "mine"),
        ("GET", "/u/me/y", "mine"),
        ("GET", "/u/me/y/z", "y"),
        ("GET", "/u/me/y/q", "mine"),
        // The first segment decides before the length.
        ("GET", "/u/1/2/3", "below"),
        ("GET", "/v/1/2/3", "any"),
        ("GET", "/v/1/2", "404"),
    ] {
        assert_eq!(id(&routes, "", method, at), expected, "{method} {at}");
    }
    let order: Vec<&str> = routes.iter().map(Route::id).collect();
    assert_eq!(
        order,
        ["y", "me", "mine", "deep", "param", "below", "star", "any"]
    );
}

#[test]
fn a_branch_that_leads_nowhere_is_left_again() {
    let routes = parse(
        "
- { id: a, path: /a/b/c/d, target_service: crud }
- { id: b, path: '/a/{x}/c/e', target_service: crud, preserve_path: true }
- { id: c, path: '/{y}/b/c/f', target_service: crud, preserve_path: true }
",
    )
    .unwrap();
    for (at, expected) in [
        ("/a/b/c/d", "a"),
        ("/a/b/c/e", "b"),
        ("/a/b/c/f", "c"),
        ("/a/b/c/g", "404"),
    ] {
        assert_eq!(id(&routes, "", "GET", at), expected, "{at}");
    }
    let path = path("/a/b/c/f");
    let Found::Match(found) = routes.find("", &path, &Method::GET) else {
        panic!();
    };
    assert_eq!((found.param(0), found.param(1)), (Some("a"), None));
}

#[test]
fn routes_of_a_host_come_first_for_the_same_path() {
    let routes = parse(
        "
- { id: all, path: '/*', target_service: page }
- { id: admin, path: '/*', target_service: crud, host: admin.example, methods: [GET] }
- { id: api, path: '/api/*', target_service: crud }
- { id: only, path: '/only/*', target_service: crud, host: admin.example }
",
    )
    .unwrap();
    assert!(routes.has_hosts());
    for (host, at, expected) in [
        ("app.example", "/x", "all"),
        ("", "/x", "all"),
        ("admin.example", "/x", "admin"),
        ("Admin.Example:8443", "/x", "admin"),
        ("admin.example.evil.example", "/x", "all"),
        // The path counts before the host.
        ("admin.example", "/api/x", "api"),
        ("admin.example", "/only/x", "only"),
        ("app.example", "/only/x", "all"),
    ] {
        assert_eq!(id(&routes, host, "GET", at), expected, "{host} {at}");
    }
    assert_eq!(id(&routes, "admin.example", "POST", "/x"), "405");
    assert_eq!(id(&routes, "app.example", "POST", "/x"), "all");
}

/// Another spelling counts only where its route is reachable.
#[test]
fn attack_41_the_host_counts_for_other_spellings_too() {
    let routes = parse(
        "
- { id: open, path: '/*', target_service: page, auth: none }
- { id: closed, path: '/private/*', target_service: crud, host: a.example }
- { id: person, path: '/u/{id}', target_service: crud, preserve_path: true }
- { id: me, path: '/u/me', target_service: crud, auth: none }
",
    )
    .unwrap();
    for (host, at, expected) in [
        ("a.example", "/private/x", "closed"),
        ("a.example", "/Private/x", "400"),
        ("b.example", "/Private/x", "open"),
        ("b.example", "/u/7", "person"),
        ("b.example", "/u/Seven", "person"),
        ("b.example", "/u/me", "me"),
        ("b.example", "/u/ME", "400"),
        ("b.example", "/U/7", "400"),
    ] {
        assert_eq!(id(&routes, host, "GET", at), expected, "{host} {at}");
    }
}

#[test]
fn routes_that_cannot_be_told_apart_are_refused() {
    for (one, other) in [
        ("path: '/u/{a}'", "path: '/u/{b}'"),
        ("path: '/u/{a}/*'", "path: '/u/{b}/*'"),
        ("path: '/u/*'", "path: '/u*'"),
        (
            "path: '/{a}/x', host: a.example",
            "path: '/{b}/x', host: A.Example",
        ),
        ("path: /x, methods: [GET]", "path: /x, methods: [HEAD, POST]"),
    ] {
        let text = format!(
            "- {{ id: a, target_service: crud, preserve_path: true, {one} }}\n- {{ id: b, target_service: crud, preserve_path: \
             true, {other} }}\n"
        );
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.starts_with("line 7, column 3: route `b` has the paths and ")
                && error.contains("of route `a` in line 6"),
            "{one} {other}: {error}"
        );
    }
    for (one, other) in [
        ("path: '/u/{a}', methods: [GET]", "path: '/u/{b}', methods: [PUT]"),
        ("path: '/u/{a}'", "path: '/u/{b}', host: a.example"),
        ("path: '/u/{a}'", "path: '/u/{b}/*'"),
    ] {
        let text = format!(
            "- {{ id: a, target_service: crud, preserve_path: true, {one} }}\n- {{ id: b, target_service: crud, preserve_path: \
             true, {other} }}\n"
        );
        assert!(parse(&text).is_ok(), "{one} {other}");
    }
}

fn pattern() -> impl Strategy<Value = (String, u8, bool)> {
    ("(/([ab]|\\{p\\}|\\{q\\}|A)){0,3}(/\\*|/)?", 0..4u8, any::<bool>())
}

/// Without routes that no file may have together.
fn entries(patterns: Vec<(String, u8, bool)>) -> Vec<String> {
    let entry = |(at, (path, kind, host)): (usize, (String, u8, bool))| {
        let methods = ["GET", "POST", "PUT", "DELETE"][usize::from(kind)];
        let host = if host { ", host: a.example" } else { "" };
        let auth = if kind == 1 { ", auth: none" } else { "" };
        format!(
            "- {{ id: r{at}, path: '{path}', target_service: crud, preserve_path: true, methods: [{methods}]{auth}{host} }}"
        )
    };
    let mut kept: Vec<String> = Vec::new();
    for entry in patterns.into_iter().enumerate().map(entry) {
        kept.push(entry);
        if parse(&kept.join("\n")).is_err() {
            kept.pop();
        }
    }
    kept
}

proptest! {
    #[test]
    fn the_order_of_the_file_changes_nothing(
        patterns in prop::collection::vec(pattern(), 1..10),
        keys in prop::collection::vec(any::<u32>(), 10),
        paths in prop::collection::vec("(/[abcA]){0,4}/?", 1..8),
    ) {
        let entries = entries(patterns);
        let mut shuffled: Vec<_> = entries.iter().zip(keys).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let shuffled: Vec<&str> = shuffled.iter().map(|(entry, _)| entry.as_str()).collect();
        let (one, other) = (parse(&entries.join("\n")).unwrap(), parse(&shuffled.join("\n")).unwrap());
        for at in &paths {
            let at = if at.is_empty() { "/" } else { at };
            for host in ["a.example", "b.example"] {
                for method in ["GET", "POST", "PATCH"] {
                    prop_assert_eq!(id(&one, host, method, at), id(&other, host, method, at));
                }
            }
        }
        let order = |routes: &Routes| routes.iter().map(|route| route.id().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(order(&one), order(&other));
    }

    /// The tree finds what a search through all patterns finds.
    #[test]
    fn the_most_specific_of_all_that_match_is_found(
        patterns in prop::collection::vec(pattern(), 1..10),
        at in "(/[ab]){0,4}/?",
    ) {
        let routes = parse(&entries(patterns).join("\n")).unwrap();
        let at = path(if at.is_empty() { "/" } else { &at });
        let first = routes
            .groups
            .iter()
            .filter(|group| group.host.is_none())
            .find(|group| group.routes[0].pattern.matches(at.as_str()));
        let found = routes.find("b.example", &at, &Method::GET);
        match (first, found) {
            (None, Found::NotFound) | (Some(_), Found::Refused(_)) => {}
            (Some(group), Found::Match(found)) => prop_assert!(group.routes.iter().any(|route| route.id() == found.route.id())),
            (Some(group), Found::MethodNotAllowed { allow }) => prop_assert_eq!(&group.allow, allow),
            (first, found) => prop_assert!(false, "{:?} {:?}", first, found),
        }
    }
}

#[test]
fn attack_41_a_path_without_a_route_may_be_read_as_one() {
    let routes = parse(
        "
- { id: exact, path: /admin/Users, target_service: crud }
- { id: slash, path: /list/, target_service: crud }
- { id: below, path: '/orders/*', target_service: crud }
- { id: param, path: '/u/{id}/x', target_service: crud, preserve_path: true }
- { id: there, path: /there, host: a.example, target_service: crud }
",
    )
    .unwrap();
    let is_read = |host: &str, at: &str| {
        assert_eq!(id(&routes, host, "GET", at), "404", "{at}");
        routes.is_read_as_a_route(host, &path(at))
    };
    for at in [
        "/admin/users",
        "/admin/Users/",
        "/ADMIN/Users",
        "/admin/Users.",
        "/list",
        "/Orders/7",
        "/orders%20/7",
        "/u/1/X",
        "/u/1/x/",
    ] {
        assert!(is_read("", at), "{at}");
    }
    for at in [
        "/",
        "/admin",
        "/ordersx",
        "/Other",
        "/u/1/y",
        "/auth/verify",
        "/there",
    ] {
        assert!(!is_read("", at), "{at}");
    }
    assert!(is_read("A.example:80", "/There"));
    assert!(!is_read("b.example", "/There"));
}
