//! `{name}` segments: in the path, at the service, and back.

use super::*;

const ROUTES: &str = "
- { id: one, path: '/api/orders/{order_id}', target_service: crud, upstream_path: '/orders/{order_id}' }
- { id: item, path: '/api/orders/{order_id}/items/{item}', target_service: crud, upstream_path: '/items/{item}/of/{order_id}' }
- { id: files, path: '/api/{tenant}/files/*', target_service: crud, upstream_path: '/t/{tenant}/{path}/raw' }
- { id: kept, path: '/kept/{a}/*', target_service: page, preserve_path: true }
- { id: last, path: '/last/{a}/*', target_service: page, upstream_path: '/{path}/x/{a}' }
- { id: short, path: '/short/{a}/*', target_service: page, upstream_path: '/{path}' }
";

#[test]
fn a_parameter_goes_up_in_the_spelling_that_was_matched() {
    let routes = parse(ROUTES).unwrap();
    for (at, expected) in [
        ("/api/orders/7", "one http://crud:8080/orders/7"),
        ("/api/orders/7?a=b", "one http://crud:8080/orders/7?a=b"),
        (
            "/api/orders/caf%c3%a9%20%26",
            "one http://crud:8080/orders/caf%C3%A9%20%26",
        ),
        ("/api/orders/7/items/a:b", "item http://crud:8080/items/a:b/of/7"),
        ("/api/acme/files", "files http://crud:8080/t/acme/raw"),
        ("/api/acme/files/", "files http://crud:8080/t/acme/raw"),
        ("/api/acme/files/x/y/", "files http://crud:8080/t/acme/x/y/raw"),
        ("/kept/1/x", "kept https://pages.example/app/kept/1/x"),
        ("/last/1/x/y", "last https://pages.example/app/x/y/x/1"),
        ("/last/1", "last https://pages.example/app/x/1"),
        ("/short/1/x", "short https://pages.example/app/x"),
        // A parameter is one whole segment, which is not empty.
        ("/api/orders", "404"),
        ("/api/orders/", "404"),
        ("/api/orders/7/", "404"),
        ("/api/orders/7/items", "404"),
        ("/kept/", "404"),
    ] {
        assert_eq!(target(&routes, "GET", at), expected, "{at}");
    }
}

#[test]
fn a_forwarded_prefix_has_the_values_of_the_call() {
    let routes = parse(ROUTES).unwrap();
    for (at, expected) in [
        ("/api/acme/files/x", Some("/api/acme/files")),
        ("/api/caf%C3%A9/files", Some("/api/caf%C3%A9/files")),
        ("/short/1/x/y", Some("/short/1")),
        ("/kept/1/x", None),
        ("/api/orders/7", None),
    ] {
        let path = path(at);
        let Found::Match(found) = routes.find("", &path, &Method::GET) else {
            panic!("{at}");
        };
        let prefix = found.forwarded_prefix();
        assert_eq!(
            prefix.as_ref().map(|prefix| prefix.to_str().unwrap()),
            expected,
            "{at}"
        );
    }
}

#[test]
fn a_path_at_the_service_is_mapped_back_by_its_parameters() {
    let routes = parse(ROUTES).unwrap();
    for (at, there, public, scope) in [
        ("/api/orders/7", "/orders/8", Some("/api/orders/8"), None),
        (
            "/api/orders/7",
            "/orders/7",
            Some("/api/orders/7"),
            Some("/api/orders/7"),
        ),
        (
            "/api/orders/7",
            "/items/a/of/9",
            Some("/api/orders/9/items/a"),
            None,
        ),
        ("/api/orders/7/items/a", "/items//of/9", None, None),
        (
            "/api/acme/files/x",
            "/t/other/y/z/raw",
            Some("/api/other/files/y/z"),
            None,
        ),
        ("/api/acme/files/x", "/t/acme/y", None, Some("/api/acme/files/y")),
        ("/api/acme/files/x", "/t/acmes/y", None, None),
        ("/api/acme/files/x", "/nothing", None, None),
        ("/kept/1/x", "/app/kept/2/y", Some("/kept/2/y"), Some("/kept/2/y")),
        (
            "/last/1/x",
            "/app/a/b/x/5",
            Some("/last/5/a/b"),
            Some("/last/1/a/b/x/5"),
        ),
        // The service does not see the parameter: it is that of the call.
        ("/short/1/x", "/app/y", Some("/short/1/y"), Some("/short/1/y")),
    ] {
        let path = path(at);
        let Found::Match(found) = routes.find("", &path, &Method::GET) else {
            panic!("{at}");
        };
        assert_eq!(
            routes.public_path(&found, there).as_deref(),
            public,
            "{at} {there}"
        );
        assert_eq!(found.public_scope(there).as_deref(), scope, "{at} {there}");
    }
}

#[test]
fn each_mistake_with_a_parameter_is_named() {
    for (route, problem) in [
        (
            "path: '/a/{id}'",
            "does not say where {id} goes at the service; write preserve_path: true",
        ),
        (
            "path: '/a/x{id}', preserve_path: true",
            "a parameter that is not a whole segment",
        ),
        (
            "path: '/a/{id}x', preserve_path: true",
            "a parameter that is not a whole segment",
        ),
        (
            "path: '/a/{id', preserve_path: true",
            "a parameter that is not a whole segment",
        ),
        (
            "path: '/a/{}', preserve_path: true",
            "the parameter ``, which is no name",
        ),
        (
            "path: '/a/{1}', preserve_path: true",
            "the parameter `1`, which is no name",
        ),
        (
            "path: '/a/{a-b}', preserve_path: true",
            "the parameter `a-b`, which is no name",
        ),
        (
            "path: '/a/{a}{b}', preserve_path: true",
            "the parameter `a}{b`, which is no name",
        ),
        (
            "path: '/a/{path}', preserve_path: true",
            "a parameter {path}, which stands for the `*`",
        ),
        ("path: '/{a}/{a}', preserve_path: true", "the parameter `a` twice"),
        (
            "path: '/{a}*/b', preserve_path: true",
            "not its whole last segment",
        ),
        (
            "path: '/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}', preserve_path: true",
            "has more than 8 parameters",
        ),
        (
            "path: '/a/{id}', upstream_path: '/{di}'",
            "the parameter `di`, which is not in the path",
        ),
        (
            "path: '/a/{id}', upstream_path: '/x{id}'",
            "is not in normal form",
        ),
        (
            "path: '/a/{id}', upstream_path: '/{id}/{path}'",
            "the path of the route has no `*`",
        ),
        (
            "path: '/a/{id}/*', upstream_path: '/{id}'",
            "drops what the `*` stands for",
        ),
        (
            "path: '/auth/{id}', preserve_path: true",
            "belongs to the server itself",
        ),
        (
            "path: '/a/{id}', preserve_path: true, encoded_path: pass",
            "encoded_path of route `a` has no effect",
        ),
        (
            "path: '/a', host: 'https://app.example'",
            "is `https://app.example`, which is no name of a host",
        ),
        ("path: '/a', host: 'app.example:8443'", "no name of a host"),
        ("path: '/a', host: '*.example'", "no name of a host"),
        ("path: '/a', host: 'app.example.'", "no name of a host"),
        ("path: '/a', host: ''", "no name of a host"),
        ("path: '/a', host: [x]", "host of route `a` is a list"),
    ] {
        let error = parse(&format!("- {{ id: a, target_service: crud, {route} }}")).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{route}: {error}");
        assert!(error.to_string().contains(problem), "{route}: {error}");
    }
    let deep = "/a".repeat(65);
    let error = parse(&format!("- {{ id: a, target_service: crud, path: {deep} }}")).unwrap_err();
    assert!(error.to_string().contains("more than 64 segments"), "{error}");
}

proptest! {
    /// The service receives the segments of the call that was authorised and no other ones.
    #[test]
    fn attack_3_the_service_gets_the_segments_that_were_matched(
        id in "[a-z0-9._~%/A-F:@;-]{1,12}",
        rest in "(/[a-z0-9.%A-F;:-]{0,6}){0,3}",
    ) {
        let routes = parse("
- { id: r, path: '/api/{id}/x/*', target_service: crud, upstream_path: '/v1/{id}/{path}' }
- { id: open, path: '/api/*', target_service: crud, auth: none }
").unwrap();
        let Ok(normal) = NormalPath::parse(&format!("/api/{id}/x{rest}")) else {
            return Ok(());
        };
        let Found::Match(found) = routes.find("", &normal, &Method::GET) else {
            return Ok(());
        };
        let sent = found.uri(None).unwrap();
        let sent = sent.path();
        let public = if found.route.id() == "r" {
            let segments: Vec<&str> = normal.as_str().splitn(5, '/').collect();
            let rest = segments.get(4).map(|rest| format!("/{rest}")).unwrap_or_default();
            format!("/v1/{}{rest}", segments[2])
        } else {
            normal.as_str()["/api".len()..].to_owned()
        };
        prop_assert_eq!(sent, if public.is_empty() { "/" } else { &public });
        // The service, too, sees a normal path.
        let again = NormalPath::parse(sent).unwrap();
        prop_assert_eq!(again.as_str(), sent);
    }
}
