mod authz;
mod documented;
mod documents;
mod limits;
mod original;
mod params;
mod policy;
mod specific;
mod tokens;

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SERVICES: &str = "
services:
  crud: { base_url: 'http://crud:8080', timeout: 5s }
  page: { base_url: 'https://pages.example/app/' }
";

fn parse(routes: &str) -> Result<Routes, RoutesError> {
    Routes::parse(&format!("{SERVICES}routes:\n{routes}"))
}

fn path(path: &str) -> NormalPath {
    NormalPath::parse(path).unwrap()
}

/// The id of the route and the URI at the service, or the status.
fn target(routes: &Routes, method: &str, target: &str) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let path = self::path(path);
    match routes.find("", &path, &method.parse().unwrap()) {
        Found::Match(found) => format!("{} {}", found.route.id(), found.uri(query).unwrap()),
        Found::NotFound => "404".to_owned(),
        Found::MethodNotAllowed { allow } => format!("405 {}", allow.to_str().unwrap()),
        Found::Refused(_) => "400".to_owned(),
    }
}

#[test]
fn no_document_has_no_routes() {
    for yaml in [
        "",
        "# nothing yet\n",
        "services:\nroutes:\n",
        "routes: []\n",
        "{}",
    ] {
        assert!(Routes::parse(yaml).unwrap().is_empty(), "{yaml:?}");
    }
}

#[test]
fn defaults_are_the_careful_ones() {
    let routes = parse("- { id: a, path: /api/*, target_service: page }").unwrap();
    let route = routes.iter().next().unwrap();
    assert_eq!((route.id(), route.auth()), ("a", Auth::Session));
    assert_eq!(route.service().timeout(), Duration::from_secs(30));
    assert!(route.service().is_https());
    assert_eq!(route.service().authority(), "pages.example");
    assert_eq!(routes.services().len(), 2);
    assert_eq!(
        target(&routes, "OPTIONS", "/api/x"),
        "405 GET, HEAD, POST, PUT, PATCH, DELETE"
    );
    assert_eq!(
        target(&routes, "TRACE", "/api/x"),
        "405 GET, HEAD, POST, PUT, PATCH, DELETE"
    );
    assert_eq!(
        target(&routes, "PROPFIND", "/api/x"),
        "405 GET, HEAD, POST, PUT, PATCH, DELETE"
    );
}

#[test]
fn the_most_specific_path_decides() {
    let routes = parse(
        "
- { id: all, path: '/*', target_service: page, auth: none, methods: [GET] }
- { id: api, path: /api/*, target_service: crud }
- { id: crud, path: /api/crud/*, target_service: crud, methods: [GET, POST] }
- { id: ping, path: /api/crud/ping, target_service: crud, methods: [GET] }
- { id: write, path: /api/crud/*, target_service: crud, methods: [PUT] }
- { id: root, path: /, target_service: page, methods: [GET] }
",
    )
    .unwrap();
    for (method, at, expected) in [
        ("GET", "/", "root https://pages.example/app"),
        ("GET", "/index.html", "all https://pages.example/app/index.html"),
        ("GET", "/apis", "all https://pages.example/app/apis"),
        ("POST", "/index.html", "405 GET, HEAD"),
        ("GET", "/api", "api http://crud:8080/"),
        ("GET", "/api/", "api http://crud:8080/"),
        ("GET", "/api/crudx", "api http://crud:8080/crudx"),
        ("GET", "/api/crud", "crud http://crud:8080/"),
        ("GET", "/api/crud/x/y?a=b", "crud http://crud:8080/x/y?a=b"),
        ("HEAD", "/api/crud/x", "crud http://crud:8080/x"),
        ("PUT", "/api/crud/x", "write http://crud:8080/x"),
        // Never falls through to the wider route.
        ("DELETE", "/api/crud/x", "405 GET, HEAD, POST, PUT"),
        ("GET", "/api/crud/ping", "ping http://crud:8080/"),
        ("POST", "/api/crud/ping", "405 GET, HEAD"),
        ("GET", "/api/crud/ping/", "crud http://crud:8080/ping/"),
        // Paths are case-sensitive. If another case would change who may call, it is refused.
        ("GET", "/api/CRUD/x", "api http://crud:8080/CRUD/x"),
        ("DELETE", "/api/CRUD/x", "400"),
        ("GET", "/API/crud", "400"),
    ] {
        assert_eq!(target(&routes, method, at), expected, "{method} {at}");
    }
}

#[test]
fn attack_3_own_paths_never_reach_a_service() {
    let routes = parse("- { id: all, path: '/*', target_service: page, auth: none }").unwrap();
    for reserved in [
        "/auth",
        "/auth/",
        "/auth/login",
        "/auth/nothing/here",
        "/%61uth/login",
        "/health",
        "/health/ready",
        "/metrics",
        "/.well-known/jwks.json",
        "/.well-known/jwks.json/x",
    ] {
        assert_eq!(target(&routes, "GET", reserved), "404", "{reserved}");
    }
    for other in ["/authors", "/healthy", "/.well-known/security.txt"] {
        assert_eq!(
            target(&routes, "GET", other),
            format!("all https://pages.example/app{other}")
        );
    }
}

/// If its policy differs.
#[test]
fn attack_41_another_spelling_of_a_narrower_route_is_refused() {
    let routes = parse(
        "
- { id: public, path: /public/*, target_service: page, auth: none }
- { id: private, path: /public/private/*, target_service: page }
- { id: report, path: /public/report, target_service: page }
- { id: read, path: /public/Read/*, target_service: page, auth: none, methods: [GET] }
- { id: same, path: /public/same/*, target_service: page, auth: none }
- { id: app, path: /app, target_service: page, auth: none }
- { id: below, path: /app/*, target_service: page }
- { id: upper, path: /public/OPEN/*, target_service: page, auth: none }
- { id: lower, path: /public/open/*, target_service: page }
",
    )
    .unwrap();
    for spelling in [
        "/public/Private/x",
        "/public/PRIVATE",
        "/PUBLIC/private/x",
        "/public/%50rivate/x",
        "/public/private./x",
        "/public/private%20/x",
        "/public/private%20.%20/x",
        "/public/private%C2%A0/x",
        "/public/%EF%BD%90rivate/x",
        "/public/%EF%BC%B0RIVATE/x",
        "/public/private%EF%BC%8E/x",
        "/public/open-to-all/%EF%BC%8E%EF%BC%8E/private/x",
        "/public/pr%C4%B1vate/x",
        "/public/REPORT",
        "/public/report.",
        "/public/report/",
        "/APP/x",
        // Outside every route, and to the server's own paths.
        "/public/%EF%BC%8E%EF%BC%8E/elsewhere",
        "/public/%EF%BC%8E%EF%BC%8E/auth/login",
        // A reader that stops at the question mark is at the closed route.
        "/public/private%EF%BC%9F/%E2%80%A5/x",
    ] {
        let expected = match spelling {
            // No route matches it in the first place.
            "/PUBLIC/private/x" | "/APP/x" => "404",
            _ => "400",
        };
        assert_eq!(target(&routes, "GET", spelling), expected, "{spelling}");
    }
    // A method that the narrower route does not list is another policy too.
    assert_eq!(target(&routes, "POST", "/public/read/x"), "400");
    for (path, expected) in [
        ("/public/x", "public"),
        ("/public/X", "public"),
        ("/public/privatE-not/x", "public"),
        ("/public/private.json", "public"),
        ("/public/private/x", "private"),
        // The written route counts, and so do the paths below it.
        ("/public/private/X", "private"),
        ("/public/read/x", "public"),
        ("/public/Read/x", "read"),
        ("/public/SAME/x", "public"),
        ("/public/OPEN/x", "upper"),
        ("/public/open/x", "lower"),
        ("/app", "app"),
        // Closed, while the shorter spelling is open: a genuine difference.
        ("/app/", "below"),
    ] {
        let found = target(&routes, "GET", path);
        assert!(found.starts_with(&format!("{expected} ")), "{path}: {found}");
    }
    assert_eq!(target(&routes, "GET", "/public/OpeN/x"), "400");
}

#[test]
fn attack_41_another_spelling_of_an_own_path_is_refused() {
    let routes = parse("- { id: all, path: '/*', target_service: page, auth: none }").unwrap();
    for spelling in [
        "/AUTH/login",
        "/Auth",
        "/auth%20/login",
        "/Health",
        "/METRICS/",
        "/.Well-Known/JWKS.json",
        "/API/auth/session",
        "/%EF%BD%81uth/login",
        "/x/%EF%BC%8E%EF%BC%8E/auth/login",
    ] {
        assert_eq!(target(&routes, "GET", spelling), "400", "{spelling}");
    }
    for other in ["/AUTHORS", "/api/auth/session/", "/Api/auth/sessions"] {
        assert!(target(&routes, "GET", other).starts_with("all "), "{other}");
    }
}

#[test]
fn an_encoded_separator_passes_where_a_route_says_so() {
    let routes = parse(
        "
- { id: files, path: /files/*, target_service: crud, encoded_path: pass }
- { id: post, path: /files/*, target_service: crud, methods: [OPTIONS] }
- { id: strict, path: /strict/*, target_service: crud }
- { id: said, path: /said/*, target_service: crud, encoded_path: refuse }
- { id: open, path: /files/open/*, target_service: crud, encoded_path: pass, auth: none }
",
    )
    .unwrap();
    let target = |method: &str, path: &str| {
        let path = NormalPath::parse_encoded(path).unwrap();
        match routes.find("", &path, &method.parse().unwrap()) {
            Found::Match(found) => format!("{} {}", found.route.id(), found.uri(None).unwrap()),
            Found::Refused(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for (path, expected) in [
        ("/files/a%2fb", "files http://crud:8080/a%2Fb"),
        ("/files/a%23b", "files http://crud:8080/a%23b"),
        ("/files/open/a%2Fb", "open http://crud:8080/a%2Fb"),
    ] {
        assert_eq!(target("GET", path), expected);
    }
    for path in ["/strict/a%2Fb", "/said/a%23b", "/nowhere/a%2Fb", "/files%2Fx"] {
        assert_eq!(target("GET", path), PathError::Ambiguous.to_string(), "{path}");
    }
    // Each route speaks for itself.
    assert_eq!(
        target("OPTIONS", "/files/a%2Fb"),
        PathError::Ambiguous.to_string()
    );
    // Paths that would match another route with another policy, if the service took the separator for one.
    for path in ["/files/open%2Fx", "/files/Open%2Fx"] {
        assert_eq!(
            target("GET", path),
            PathError::OtherSpelling.to_string(),
            "{path}"
        );
    }
    let all = parse("- { id: all, path: '/*', target_service: crud, encoded_path: pass }").unwrap();
    let own = NormalPath::parse_encoded("/auth%2Flogin").unwrap();
    assert!(matches!(all.find("", &own, &Method::GET), Found::Refused(_)));
}

#[test]
fn paths_are_mapped_as_the_file_says() {
    let routes = parse(
        "
- { id: a, path: /a/*, target_service: crud, upstream_path: '/v1/{path}' }
- { id: b, path: /b/*, target_service: page, upstream_path: '/v1/{path}/details' }
- { id: c, path: /c/*, target_service: page, preserve_path: true }
- { id: d, path: /d/*, target_service: page, preserve_path: false }
- { id: e, path: /e, target_service: crud, upstream_path: /v2/ping }
- { id: f, path: /f/*, target_service: crud, upstream_path: '/{path}' }
",
    )
    .unwrap();
    for (at, expected) in [
        ("/a", "a http://crud:8080/v1"),
        ("/a/", "a http://crud:8080/v1/"),
        ("/a/x/y/", "a http://crud:8080/v1/x/y/"),
        ("/a/x?", "a http://crud:8080/v1/x?"),
        ("/a/x?y=/%2e%2e/&&z=?", "a http://crud:8080/v1/x?y=/%2e%2e/&&z=?"),
        ("/a/x%20y%c3%a9", "a http://crud:8080/v1/x%20y%C3%A9"),
        ("/b", "b https://pages.example/app/v1/details"),
        ("/b/", "b https://pages.example/app/v1/details"),
        ("/b/x/", "b https://pages.example/app/v1/x/details"),
        ("/b/x/y", "b https://pages.example/app/v1/x/y/details"),
        ("/c/x", "c https://pages.example/app/c/x"),
        ("/d/x", "d https://pages.example/app/x"),
        ("/d", "d https://pages.example/app"),
        ("/e?q", "e http://crud:8080/v2/ping?q"),
        ("/f", "f http://crud:8080/"),
        ("/f/x", "f http://crud:8080/x"),
    ] {
        assert_eq!(target(&routes, "GET", at), expected, "{at}");
    }
}

/// One mistake per row: the text of the route, and a part of the message.
#[test]
fn each_mistake_in_a_route_is_named_with_its_fix() {
    const LONG_FIX: &str = "list some of GET";
    const LONG: &str = "[GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS]";
    for (route, problem, fix) in [
        (
            "path: /a/*, target_service: crud",
            "a route has no id",
            "add a name for logs",
        ),
        (
            "id: a, target_service: crud",
            "route `a` has no path",
            "path: /api/crud/*",
        ),
        (
            "id: a, path: /a/*",
            "route `a` has no target_service",
            "target_service: crud",
        ),
        (
            "id: 'a b', path: /a/*, target_service: crud",
            "`a b` is no id",
            "1 to 64 letters",
        ),
        (
            "id: [a], path: /a/*, target_service: crud",
            "id of a route is a list",
            "single value",
        ),
        (
            "id: a, path: a/*, target_service: crud",
            "does not begin with a slash",
            "/api/crud/*",
        ),
        (
            "id: a, path: '*', target_service: crud",
            "does not begin with a slash",
            "/api/crud/*",
        ),
        (
            "id: a, path: '/a*b', target_service: crud",
            "not its whole last segment",
            "/* to take all below",
        ),
        (
            "id: a, path: '/*/x*', target_service: crud",
            "not its whole last segment",
            "/* to take all below",
        ),
        (
            "id: a, path: '/*/x', target_service: crud",
            "not its whole last segment",
            "/* to take all below",
        ),
        (
            "id: a, path: '/a/**', target_service: crud",
            "not its whole last segment",
            "/* to take all below",
        ),
        (
            "id: a, path: '/a//*', target_service: crud",
            "empty segment",
            "/api/crud/*",
        ),
        (
            "id: a, path: '/a//b', target_service: crud",
            "empty segment",
            "/api/crud/*",
        ),
        (
            "id: a, path: '/a/../b', target_service: crud",
            "dot segment",
            "/api/crud/*",
        ),
        (
            "id: a, path: '/a%2e', target_service: crud",
            "other characters",
            "wider path",
        ),
        (
            "id: a, path: '/a?b', target_service: crud",
            "other characters",
            "wider path",
        ),
        (
            "id: a, path: '/a:b', target_service: crud",
            "other characters",
            "wider path",
        ),
        (
            "id: a, path: /auth/*, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /auth, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /auth/x/*, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /AUTH/*, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /Health./, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: '/metrics*', target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /API/auth/session, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /.well-known/jwks.json, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /health, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /metrics/*, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /api/auth/session, target_service: crud",
            "belongs to the server",
            "another path",
        ),
        (
            "id: a, path: /a/*, target_service: crut",
            "unknown service `crut`",
            "did you mean `crud`? describe it under `services`, or name one of `crud`, `page`",
        ),
        (
            "id: a, path: /a/*, target_service: sso",
            "unknown service `sso`",
            "one of `crud`, `page`",
        ),
        (
            "id: a, path: /a/*, target_service: crud, methods: GET",
            "is a single value",
            LONG_FIX,
        ),
        (
            "id: a, path: /a/*, target_service: crud, methods: []",
            "is empty",
            LONG_FIX,
        ),
        (
            "id: a, path: /a/*, target_service: crud, methods: [get]",
            "the method `get`",
            "did you mean GET? list some of GET",
        ),
        (
            "id: a, path: /a/*, target_service: crud, methods: [PSOT]",
            "the method `PSOT`",
            "did you mean POST? list some of GET",
        ),
        (
            "id: a, path: /a/*, target_service: crud, methods: [TRACE]",
            "the method `TRACE`",
            LONG_FIX,
        ),
        (
            "id: a, path: /a/*, target_service: crud, auth: public",
            "auth of route `a` is `public`",
            "session (the default), optional, bearer or none",
        ),
        (
            "id: a, path: /a/*, target_service: crud, unauthenticated: page",
            "unauthenticated of route `a` is `page`",
            "write login or 401",
        ),
        (
            "id: a, path: /a/*, target_service: crud, unauthenticated: [login]",
            "unauthenticated of route `a` is a list",
            "write login or 401",
        ),
        (
            "id: a, path: /a/*, target_service: crud, auth: none, unauthenticated: login",
            "has no effect with auth: none",
            "remove it",
        ),
        (
            "id: a, path: /a/*, target_service: crud, auth: false",
            "is true or false",
            "session (the default), optional, bearer or none",
        ),
        (
            "id: a, path: /a/*, target_service: crud, auth: ",
            "is nothing",
            "session (the default), optional, bearer or none",
        ),
        (
            "id: a, path: /a/*, target_service: crud, preserve_path: 'yes'",
            "is a single value",
            "true or false",
        ),
        (
            "id: a, path: /a/*, target_service: crud, encoded_path: yes",
            "encoded_path of route `a` is",
            "",
        ),
        (
            "id: a, path: /a, target_service: crud, encoded_path: pass",
            "encoded_path of route `a` has no effect",
            "end the path with /*",
        ),
        (
            "id: a, path: /a/*, target_service: crud, encoded_path: allow",
            "encoded_path of route `a` is `allow`",
            "refuse (the default) or pass",
        ),
        (
            "id: a, path: /a/*, target_service: crud, preserve_path: true, upstream_path: '/{path}'",
            "both",
            "keep one",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: /v1",
            "drops what the `*` stands for",
            "add {path}",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: '/v1/{path}/{path}'",
            "twice",
            "/v1/{path}",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: '/v1{path}'",
            "not a whole segment",
            "/v1/{path}",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: '/v1/{path}x'",
            "not a whole segment",
            "/v1/{path}",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: 'v1/{path}'",
            "begin with a slash",
            "/v1/{path}",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: '/v1//{path}'",
            "empty segment",
            "/v1/{path}",
        ),
        (
            "id: a, path: /a/*, target_service: crud, upstream_path: '/{id}/{path}'",
            "has the parameter `id`, which is not in the path of the route",
            "name a parameter of the path",
        ),
        (
            "id: a, path: /a, target_service: crud, upstream_path: '/v1/{path}'",
            "has no `*`",
            "end the path",
        ),
        (
            "id: a, path: /a/*, target_service: crud, method: [GET]",
            "unknown key `method`",
            "preserve_path",
        ),
    ] {
        let error = parse(&format!("- {{ {route} }}")).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.mistakes().len(), 1, "{route}: {text}");
        assert!(
            text.starts_with("line 6, column ") && text.contains(problem) && text.contains(fix),
            "{route}: {text}"
        );
    }
    assert!(
        parse(&format!(
            "- {{ id: a, path: /a/*, target_service: crud, methods: {LONG} }}"
        ))
        .is_ok()
    );
}

#[test]
fn a_star_at_the_end_of_a_segment_is_that_path_and_all_below() {
    let routes = parse(
        "
- { id: evaluation, path: '/access/v1/evaluation*', target_service: crud, preserve_path: true }
- { id: forms, path: '/x/forms*', target_service: crud, upstream_path: '/f/{path}' }
",
    )
    .unwrap();
    for (path, expected) in [
        (
            "/access/v1/evaluation",
            "evaluation http://crud:8080/access/v1/evaluation",
        ),
        (
            "/access/v1/evaluation/x",
            "evaluation http://crud:8080/access/v1/evaluation/x",
        ),
        // Never a beginning of a name.
        ("/access/v1/evaluations", "404"),
        ("/x/forms/1", "forms http://crud:8080/f/1"),
        ("/x/forms-admin", "404"),
    ] {
        assert_eq!(target(&routes, "GET", path), expected);
    }
    let notes: Vec<String> = routes.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "line 7, column 27: path `/access/v1/evaluation*` of route `evaluation` means /access/v1/evaluation and all below \
             /access/v1/evaluation/; write /access/v1/evaluation/*",
            "line 8, column 22: path `/x/forms*` of route `forms` means /x/forms and all below /x/forms/; write /x/forms/*",
        ]
    );
    assert!(
        parse("- { id: a, path: /a/*, target_service: crud }")
            .unwrap()
            .notes()
            .is_empty()
    );
}

#[test]
fn switches_may_be_in_quotes_or_digits() {
    for (text, expected) in [
        ("true", true),
        ("'true'", true),
        ("1", true),
        ("'0'", false),
        ("'false'", false),
    ] {
        let routes = parse(&format!(
            "- {{ id: a, path: /a/*, target_service: crud, preserve_path: {text} }}"
        ))
        .unwrap();
        let expected = if expected {
            "a http://crud:8080/a/x"
        } else {
            "a http://crud:8080/x"
        };
        assert_eq!(target(&routes, "GET", "/a/x"), expected, "{text}");
    }
}

#[test]
fn each_mistake_in_a_service_is_named_with_its_fix() {
    for (service, problem) in [
        ("{}", "has no base_url"),
        ("x", "is a single value"),
        ("{ base_url: crud }", "is not an absolute URL"),
        ("{ base_url: 'crud:8080' }", "neither http nor https"),
        ("{ base_url: 'ftp://crud' }", "neither http nor https"),
        ("{ base_url: 'http://' }", "is not an absolute URL"),
        ("{ base_url: 'http://crud/?a=b' }", "has a query"),
        ("{ base_url: 'http://crud/#a' }", "has a query or a fragment"),
        ("{ base_url: 'http://crud/a//b' }", "empty segment"),
        ("{ base_url: 'http://crud/a;b' }", "two ways"),
        (
            "{ base_url: 'http://user:hunter2@crud' }",
            "a user name or a password",
        ),
        ("{ base_url: 'http://crud:hunter2' }", "is not an absolute URL"),
        (
            "{ base_url: 'http://crud', timeout: 0 }",
            "timeout of service `crud` is `0`",
        ),
        ("{ base_url: 'http://crud', timeout: 2h }", "is `2h`"),
        ("{ base_url: 'http://crud', timeout: -1 }", "is `-1`"),
        (
            "{ base_url: 'http://crud', timeout: 1.5 }",
            "is a number with a fraction",
        ),
        (
            "{ base_url: 'http://crud', timeout: 99999999999999999999h }",
            "is `9999",
        ),
        ("{ base_url: 'http://crud', timeout: 5 days }", "is `5 days`"),
        ("{ base_url: 'http://crud', url: x }", "unknown key `url`"),
        (
            "{ base_url: 'http://crud', rewrite: never }",
            "rewrite of service `crud` is a single value",
        ),
        ("{ base_url: 'http://crud/a%2Fb' }", "two ways"),
        (
            "{ base_url: 'http://crud', headers: x }",
            "headers of service `crud` is a single value",
        ),
        (
            "{ base_url: 'http://crud', headers: { drop: [x] } }",
            "headers of service `crud` has the unknown key `drop`",
        ),
        (
            "{ base_url: 'http://crud', headers: { remove: x } }",
            "remove in headers of service `crud` is a single value",
        ),
        (
            "{ base_url: 'http://crud', headers: { remove: [[x]] } }",
            "an entry of remove in headers of service `crud` is a list",
        ),
        (
            "{ base_url: 'http://crud', headers: { remove: ['*'] } }",
            "removes `*`, which is no name of a field",
        ),
        (
            "{ base_url: 'http://crud', headers: { remove: [X_Tenant] } }",
            "removes `X_Tenant`, which is no name of a field",
        ),
        (
            "{ base_url: 'http://crud', headers: { allow: [Strict-Transport-Securty] } }",
            "allows `Strict-Transport-Securty`, which is withheld from no answer; did you mean \
             strict-transport-security? list names",
        ),
        (
            "{ base_url: 'http://crud', headers: { allow: ['X-Accel-*'] } }",
            "allows `X-Accel-*`, which is withheld from no answer",
        ),
    ] {
        assert_service_mistake(service, problem);
    }
}

#[test]
fn each_mistake_in_times_and_set_fields_is_named() {
    for (service, problem) in [
        (
            "{ base_url: 'http://crud', timeout: [1] }",
            "timeout of service `crud` is a list",
        ),
        (
            "{ base_url: 'http://crud', timeout: { connect: 0 } }",
            "connect in timeout of service `crud` is `0`",
        ),
        (
            "{ base_url: 'http://crud', timeout: { first: 1s } }",
            "timeout of service `crud` has the unknown key `first`",
        ),
        (
            "{ base_url: 'http://crud', h2c: maybe }",
            "h2c of service `crud` is a single value",
        ),
        (
            "{ base_url: 'https://crud', h2c: true }",
            "has h2c: true, which is HTTP/2 without TLS",
        ),
        (
            "{ base_url: 'https://crud', tls_verify: [ca.pem] }",
            "tls_verify of service `crud` is a list",
        ),
        (
            "{ base_url: 'http://crud', headers: { set: [x] } }",
            "set in headers of service `crud` is a list",
        ),
        (
            "{ base_url: 'http://crud', headers: { set: { X-User-ID: root } } }",
            "sets `X-User-ID`, which is no field that a service may set",
        ),
        (
            "{ base_url: 'http://crud', headers: { set: { Authorization: hunter2 } } }",
            "sets `Authorization`, which is no field that a service may set",
        ),
        (
            "{ base_url: 'http://crud', headers: { set: { Connection: close } } }",
            "sets `Connection`, which is no field that a service may set",
        ),
        (
            "{ base_url: 'http://crud', headers: { set: { X_Tenant: a } } }",
            "sets `X_Tenant`, which is no field that a service may set",
        ),
        (
            "{ base_url: 'http://crud', headers: { set: { X-Key: \"hunter2\\n\" } } }",
            "sets `X-Key` to a value with control characters",
        ),
    ] {
        assert_service_mistake(service, problem);
    }
}

/// The one mistake of a service with these settings.
fn assert_service_mistake(service: &str, problem: &str) {
    let error = Routes::parse(&format!("services:\n  crud: {service}\n")).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.mistakes().len(), 1, "{service}: {text}");
    assert!(
        text.starts_with("line 2, column ") && text.contains(problem),
        "{service}: {text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_file() {
    let error = Routes::parse(
        "services:
  crud:
    base_url: crud
    timeout: never
routes:
  - id: a
    path: a
    target_service: crud
    auth: maybe
  - id: a
    path: /b/*
    target_service: none
  - just text
extra: 1
",
    )
    .unwrap_err();
    let lines: Vec<u64> = error.mistakes().iter().map(|mistake| mistake.at.line).collect();
    assert_eq!(lines, [3, 4, 7, 9, 10, 12, 13, 14], "{error}");
    assert_eq!(error.to_string().lines().count(), 8);
}

#[test]
fn two_routes_for_one_path_and_method_are_refused() {
    let error = parse(
        "
- { id: a, path: /a/*, target_service: crud, methods: [GET, POST] }
- { id: b, path: /a/*, target_service: page, methods: [POST, PUT] }
- { id: c, path: /a, target_service: page }
",
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 8, column 3: route `b` has the paths and POST of route `a` in line 7; remove one of them, or give them other methods"
    );
}

#[test]
fn yaml_that_cannot_be_read_is_refused_without_its_text() {
    for (yaml, line) in [
        ("services: [\nhunter2", 1),
        ("services:\n  a: {}\n  a: {}\n", 3),
        ("services: &a [*a]\n", 1),
        ("routes: *hunter2\n", 1),
        ("\u{0}", 1),
    ] {
        let error = Routes::parse(yaml).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{error}");
        assert_eq!(error.mistakes()[0].at.line, line, "{error}");
        assert!(
            !error.to_string().contains("hunter2") || yaml.contains('*'),
            "{error}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(Routes::parse(&deep).is_err());
    let large = format!("# {}", "x".repeat(MAX_FILE_SIZE));
    assert!(
        Routes::parse(&large)
            .unwrap_err()
            .to_string()
            .contains("larger than 1 MiB")
    );
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(yaml in "(services:|routes:|  a: |- id: a|\\n|  path: /|[\\[\\]{}:,*&|>-]|\\PC){0,40}") {
        let _ = Routes::parse(&yaml);
    }

    #[test]
    fn the_longest_prefix_on_a_segment_boundary_wins(path in "(/[ab]{1,2}){0,5}/?") {
        let prefixes = ["", "/a", "/a/b", "/ab", "/a/b/a"];
        let routes: Vec<String> = prefixes
            .iter()
            .enumerate()
            .map(|(at, prefix)| format!("- {{ id: r{at}, path: '{prefix}/*', target_service: crud }}"))
            .collect();
        let routes = parse(&routes.join("\n")).unwrap();
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let normal = self::path(&path);
        let Found::Match(found) = routes.find("", &normal, &Method::GET) else {
            return Err(TestCaseError::fail("no match"));
        };
        let expected = prefixes
            .iter()
            .enumerate()
            .filter(|(_, prefix)| path == **prefix || path.starts_with(&format!("{prefix}/")))
            .max_by_key(|(_, prefix)| prefix.len())
            .map(|(at, _)| format!("r{at}"));
        prop_assert_eq!(Some(found.route.id().to_owned()), expected);
        prop_assert!(path.ends_with(found.rest));
    }
}

#[test]
fn attack_47_no_mistake_quotes_what_looks_like_a_secret() {
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.planted.x";
    for yaml in [
        TOKEN.to_owned(),
        format!("{TOKEN}: x"),
        format!("services: {{ {TOKEN}: {{}} }}"),
        format!("services: {{ a: {{ base_url: '{TOKEN}' }} }}"),
        format!("services: {{ a: {{ base_url: 'http://a', timeout: {TOKEN} }} }}"),
        format!("services: {{ a: {{ base_url: 'http://a', {TOKEN}: 1 }} }}"),
        format!("routes: [{{ id: {TOKEN} }}]"),
        format!("routes: [{{ id: a, path: {TOKEN}, target_service: b }}]"),
        format!("routes: [{{ id: a, path: /a, target_service: {TOKEN} }}]"),
        format!("routes: [{{ id: a, path: /a, target_service: b, auth: {TOKEN} }}]"),
        format!("routes: [{{ id: a, path: /a, target_service: b, methods: [{TOKEN}] }}]"),
        format!("routes: [{{ id: a, path: /a, target_service: b, upstream_path: {TOKEN} }}]"),
        // Errors of the YAML reader itself.
        format!("a: *{TOKEN}"),
        format!("a: !{TOKEN} x"),
        format!("a: {TOKEN}: x"),
        format!("a: [\"{TOKEN}"),
        format!("{TOKEN}: 1\n{TOKEN}: 2\n"),
        format!("a: 1\n--- {TOKEN}\n"),
    ] {
        let error = Routes::parse(&yaml).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("planted"), "{yaml}: {text}");
    }
}

#[test]
fn a_route_may_be_described() {
    let routes = parse("- { id: a, description: all orders, path: /a, target_service: crud }").unwrap();
    assert_eq!(routes.iter().count(), 1);
    assert!(parse("- { id: a, description: [x], path: /a, target_service: crud }").is_err());
}

#[test]
fn variables_stand_in_values_and_their_values_in_no_message() {
    let variables = |name: &str| (name == "HOST").then(|| "planted-host".to_owned());
    let routes = |base_url: &str, id: &str| {
        let yaml = format!(
            "services: {{ a: {{ base_url: '{base_url}' }} }}\nroutes: [{{ id: '{id}', path: /a, target_service: a }}]\n"
        );
        Routes::parse_with(
            &yaml,
            &Around {
                variables: &variables,
                folder: None,
                tokens: &TokenDefaults::NONE,
                private: &Private::default(),
                unchecked: false,
            },
        )
    };
    let found = routes("http://${HOST}:${PORT:-8080}", "a").unwrap();
    assert_eq!(found.services()[0].authority(), "planted-host:8080");
    let error = routes("http://${NOTHING}", "a").unwrap_err().to_string();
    assert!(
        error.starts_with("line 1, column 28: a value names the variable NOTHING, which is not set"),
        "{error}"
    );
    for (base_url, id) in [
        ("http://a", "${HOST}/x"),
        ("ftp://${HOST}", "a"),
        ("http://a", "${HOST} ${HOST}"),
    ] {
        let error = routes(base_url, id).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[test]
fn keys_of_the_original_system_are_told_apart() {
    for (entry, message) in [
        ("authz: pdp", "which are not built yet"),
        ("internal: true", "has no meaning here"),
        ("strea: true", "unknown key"),
    ] {
        let error = parse(&format!("- {{ id: a, path: /a, target_service: crud, {entry} }}")).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{error}");
        assert!(error.to_string().contains(message), "{entry}: {error}");
    }
    for entry in [
        "authz: none",
        "streaming: false",
        "internal: false",
        "csrf: true",
        "websocket: false",
        "websocket: true",
    ] {
        assert!(
            parse(&format!("- {{ id: a, path: /a, target_service: crud, {entry} }}")).is_ok(),
            "{entry}"
        );
    }
    for (route, message) in [
        (
            "path: /a, target_service: internal",
            "the handlers inside the original server",
        ),
        (
            "path: /a, target_service: crud, metods: [GET]",
            "did you mean methods?",
        ),
    ] {
        let error = parse(&format!("- {{ id: a, {route} }}")).unwrap_err();
        assert!(error.to_string().contains(message), "{route}: {error}");
    }
    for (entry, message) in [
        (
            "tls_verify: ca.pem, ca_file: ca.pem",
            "has both ca_file and a file in tls_verify",
        ),
        (
            "tls_verify: ca.pem",
            "tls_verify `ca.pem` of service `a` cannot be read here",
        ),
        (
            "tls_verify: false",
            "is false, so that anybody could answer in its place; name a file",
        ),
        (
            "tls_verify: 'false'",
            "is false, so that anybody could answer in its place",
        ),
        (
            "client_cert_path: /x",
            "has a client_cert_path, and no client_key_path",
        ),
        (
            "client_key_path: /x",
            "has a client_key_path, and no client_cert_path",
        ),
        (
            "client_cert_path: /x, client_key_path: /y",
            "client_cert_path `/x` and client_key_path `/y` of service `a` cannot be used: they cannot be read here",
        ),
        ("client_secret: planted", "has no meaning here"),
        ("token_url: 'http://planted'", "has no meaning here"),
    ] {
        let yaml = format!("services: {{ a: {{ base_url: 'https://a', {entry} }} }}");
        let error = Routes::parse(&yaml).unwrap_err().to_string();
        assert!(
            error.contains(message) && !error.contains("planted"),
            "{entry}: {error}"
        );
    }
    assert!(
        Routes::parse("services: { a: { base_url: 'http://a', tls_verify: true, identity_headers: false } }")
            .is_ok()
    );
}

/// Errors name the line.
#[test]
fn a_ca_file_is_read_with_the_routes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), crate::tls::testing::CA).unwrap();
    std::fs::write(folder.path().join("not.pem"), "not a certificate").unwrap();
    let around = Around {
        variables: &|name| (name == "CA").then(|| "ca.pem".to_owned()),
        folder: Some(folder.path()),
        tokens: &TokenDefaults::NONE,
        private: &Private::default(),
        unchecked: false,
    };
    let read = |service: &str| Routes::parse_with(&format!("services:\n  a: {{ {service} }}\n"), &around);
    for file in ["ca.pem", "./ca.pem", "\"${CA}\""] {
        let routes = read(&format!("base_url: 'https://a.test', ca_file: {file}")).unwrap();
        assert!(routes.services()[0].own_authorities().is_some(), "{file}");
    }
    for (service, part) in [
        (
            "base_url: 'https://a.test', ca_file: gone.pem",
            "ca_file `gone.pem` of service `a` cannot be read: No such file",
        ),
        (
            "base_url: 'https://a.test', ca_file: not.pem",
            "`not.pem` of service `a` holds no certificate in PEM form",
        ),
        (
            "base_url: 'https://a.test', ca_file: .",
            "holds no certificate in PEM form",
        ),
        (
            "base_url: 'https://a.test', ca_file: [ca.pem]",
            "ca_file of service `a` is a list",
        ),
        (
            "base_url: 'http://a.test', ca_file: ca.pem",
            "service `a` has a ca_file, and its base_url is http",
        ),
    ] {
        let error = read(service).unwrap_err();
        let [mistake] = error.mistakes() else {
            panic!("{error}");
        };
        assert_eq!(mistake.at.line, 2);
        assert!(mistake.problem.contains(part), "{error}");
    }
    // Without a base for paths, no file is read.
    let text = format!(
        "services:\n  a: {{ base_url: 'https://a.test', ca_file: '{}' }}\n",
        folder.path().join("ca.pem").display()
    );
    let error = Routes::parse(&text).unwrap_err();
    assert!(error.to_string().contains("cannot be read here"), "{error}");
}

/// The example of `docs/websockets.md`, too.
#[test]
fn a_route_takes_websockets_if_it_says_so() {
    let document = include_str!("../../../docs/websockets.md");
    let (_, example) = document.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let routes = Routes::parse(example).unwrap();
    let settings = |id: &str| {
        routes
            .iter()
            .find(|route| route.id() == id)
            .unwrap()
            .web_sockets()
    };
    assert_eq!(settings("live"), Some(&WebSockets::default()));
    let prefix = settings("ticker").unwrap().token_subprotocol.as_deref();
    assert_eq!(prefix, Some("bearer."));
    let ticker = routes.iter().find(|route| route.id() == "ticker").unwrap();
    assert_eq!(ticker.max_message(7), Some(64 << 10));
    assert_eq!(ticker.web_sockets().unwrap().idle, Some(Duration::from_mins(10)));
    let live = routes.iter().find(|route| route.id() == "live").unwrap();
    assert_eq!(live.max_message(7), Some(7));
    for (keys, longest) in [
        ("websocket: true, max_body: 9", Some(9)),
        ("websocket: { max_message: 8 }, max_body: 9", Some(8)),
        ("websocket: { max_message: unlimited }, max_body: 9", None),
        ("websocket: true, streaming: true", None),
    ] {
        let routes = parse(&format!("- {{ id: a, path: /a, target_service: crud, {keys} }}")).unwrap();
        assert_eq!(routes.iter().next().unwrap().max_message(7), longest, "{keys}");
    }
    let plain = parse("- { id: a, path: /a, target_service: crud, websocket: false }").unwrap();
    assert!(!plain.iter().next().unwrap().takes_web_sockets());
}

#[test]
fn a_key_for_websockets_that_cannot_work_is_a_mistake() {
    for (entry, message) in [
        ("websocket: maybe", "websocket of route"),
        ("websocket: [true]", "websocket of route"),
        ("websocket: { token_subprotocol: 'a b' }", "begins no subprotocol"),
        ("websocket: { token_subprotocol: '' }", "begins no subprotocol"),
        ("websocket: { token_subprotocl: a }", "unknown key"),
        (
            "websocket: { token_subprotocol: a. }, auth: none",
            "no effect with auth: none",
        ),
        ("websocket: true, methods: [POST]", "lack GET"),
        (
            "websocket: { max_message: 1MB }",
            "max_message of websocket of route `a` is `1MB`",
        ),
        (
            "websocket: { idle: soon }",
            "idle in websocket of route `a` is `soon`",
        ),
        ("websocket: { idle: 0 }", "write 1s to 24h"),
        ("websocket: { idle: 25h }", "write 1s to 24h"),
    ] {
        let error = parse(&format!("- {{ id: a, path: /a, target_service: crud, {entry} }}")).unwrap_err();
        assert_eq!(error.mistakes().len(), 1, "{entry}: {error}");
        assert!(error.to_string().contains(message), "{entry}: {error}");
    }
    let h2c = "services:\n  a: { base_url: 'http://a', h2c: true }\nroutes:\n- { id: a, path: /a, target_service: a, websocket: true }\n";
    let error = Routes::parse(h2c).unwrap_err().to_string();
    assert!(error.contains("WebSockets go to services by HTTP/1.1"), "{error}");
}
