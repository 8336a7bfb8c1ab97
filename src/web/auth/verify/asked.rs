//! The call that a proxy asks about, as far as the proxy's request shows it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};

use super::super::super::{ForwardedFamily, csrf, navigation::Visit, way_in::Page};
use crate::own_paths;

/// Fields with a method: of Traefik and Caddy, of ingress-nginx, and fields from which an API may take one of the
/// browser.
const METHODS: [HeaderName; 5] = [
    HeaderName::from_static("x-forwarded-method"),
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// Fields in which configurations of nginx name the target: path and query, or the whole URL (ingress-nginx).
const BY_NGINX: [HeaderName; 2] = [
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-url"),
];

/// The field of Traefik and Caddy.
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The paths of forward authentication. Envoy and Istio append that of the call (`path_prefix`).
const PATHS: [&str; 2] = [own_paths::VERIFY, own_paths::FORWARD];

/// The call that a proxy asks about.
pub(super) struct Asked<'a> {
    request: &'a Parts,
    /// Path and query of the call, if they follow our own path.
    in_path: Option<&'a str>,
}

/// The doubt about the method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing states it.
    NoMethod,
    /// Two of its places differ, or one of them has no method.
    Method,
}

/// Whether `path` is for forward authentication.
pub(in super::super::super) fn is_path(path: &str) -> bool {
    behind(path).is_some()
}

/// The rest after a path of forward authentication: nothing, or the path of the call.
fn behind(target: &str) -> Option<&str> {
    PATHS
        .iter()
        .find_map(|path| target.strip_prefix(path))
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

// === impl Asked ===

impl<'a> Asked<'a> {
    pub(super) fn of(request: &'a Parts) -> Self {
        let target = request.uri.path_and_query().map_or("", |target| target.as_str());
        Self {
            request,
            in_path: behind(target).filter(|rest| rest.starts_with('/')),
        }
    }

    /// Whether the query of the request belongs to the call, so that it contains no wish of the proxy: the path
    /// contains the call, or the proxy has appended the call's query to our path, as Caddy does without a query of
    /// its own.
    pub(super) fn has_the_calls_query(&self) -> bool {
        let query_of = |target: &'a [u8]| {
            let at = target.iter().position(|byte| *byte == b'?')?;
            Some(&target[at + 1..])
        };
        let forwarded = single(&self.request.headers, &X_FORWARDED_URI).and_then(query_of);
        let own = self.request.uri.query().map(str::as_bytes);
        self.in_path.is_some() || (own.is_some() && own == forwarded)
    }

    /// Whether the call may change state: one of the methods that are named does.
    ///
    /// The request's own method counts, because some proxies (Envoy, Istio) keep the call's. The header fields count
    /// from any peer: they can only demand one check more. All lines count, because it is unknown which of them the
    /// proxy follows.
    pub(super) fn changes_state(&self) -> bool {
        csrf::changes_state(&self.request.method)
            || self
                .named_methods()
                .any(|method| method.is_none_or(|method| csrf::changes_state(&method)))
    }

    /// Whether the call opens a WebSocket.
    pub(super) fn opens_tunnel(&self) -> bool {
        csrf::opens_tunnel(self.request)
    }

    /// The purpose of the call.
    pub(super) fn visit(&self) -> Visit {
        if self.named_methods().all(|method| method == Some(Method::GET)) && !self.opens_tunnel() {
            Visit::of(&self.request.method, &self.request.headers)
        } else {
            Visit::Other
        }
    }

    /// The method of the call, if it is stated and beyond doubt. A proxy that asks with GET whatever the call is states
    /// nothing by that; one that appends the path of the call keeps its method.
    pub(super) fn method(&self) -> Result<Method, Doubt> {
        let mut methods = self.named_methods();
        let own = &self.request.method;
        let method = match methods.next() {
            Some(named) => named.ok_or(Doubt::Method)?,
            None if self.in_path.is_some() || !matches!(*own, Method::GET | Method::HEAD) => own.clone(),
            None => return Err(Doubt::NoMethod),
        };
        let agrees = methods.all(|other| other.as_ref() == Some(&method));
        if agrees && (self.in_path.is_none() || method == *own) {
            Ok(method)
        } else {
            Err(Doubt::Method)
        }
    }

    /// The targets that the request names for the call, each in one of its places. Those of the other family of
    /// forwarded fields do not count: the proxy passes them on as its client wrote them.
    pub(super) fn targets(&self, family: ForwardedFamily) -> impl Iterator<Item = &'a [u8]> {
        let by_family = match family {
            ForwardedFamily::XForwarded => Some(X_FORWARDED_URI),
            ForwardedFamily::Forwarded => None,
        };
        let headers = &self.request.headers;
        let named = BY_NGINX
            .into_iter()
            .chain(by_family)
            .flat_map(|name| headers.get_all(name))
            .map(HeaderValue::as_bytes);
        self.in_path.map(str::as_bytes).into_iter().chain(named)
    }

    /// Whether nginx asks, which turns a redirect into a 500.
    pub(super) fn is_by_nginx(&self) -> bool {
        BY_NGINX
            .iter()
            .any(|name| self.request.headers.contains_key(name))
    }

    /// Path and query of the call.
    pub(super) fn page(&self) -> Option<Page> {
        if let Some(target) = self.in_path {
            return Page::of(target.as_bytes());
        }
        let mut names = BY_NGINX.into_iter().chain([X_FORWARDED_URI]);
        Page::of(names.find_map(|name| single(&self.request.headers, &name))?)
    }

    /// The methods in header fields; `None` for an invalid one.
    fn named_methods(&self) -> impl Iterator<Item = Option<Method>> {
        METHODS
            .into_iter()
            .flat_map(|name| self.request.headers.get_all(name))
            .map(|method| Method::from_bytes(method.as_bytes()).ok())
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn changes_state(method: &str, headers: &[(&str, &str)]) -> bool {
        Asked::of(&parts(method, "/auth/verify", headers)).changes_state()
    }

    #[test]
    fn attack_42_any_method_that_changes_state_counts() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(!changes_state(method, &[]), "{method}");
            for name in METHODS {
                assert!(
                    !changes_state("GET", &[(name.as_str(), method)]),
                    "{name}: {method}"
                );
            }
        }
        for method in [
            "POST",
            "PUT",
            "PATCH",
            "DELETE",
            "CONNECT",
            "TRACE",
            "PROPPATCH",
            "get",
        ] {
            assert!(changes_state(method, &[]), "{method}");
            for name in METHODS {
                assert!(
                    changes_state("GET", &[(name.as_str(), method)]),
                    "{name}: {method}"
                );
            }
        }
        for name in METHODS {
            // No method at all, or more than one.
            for method in ["", " ", "GET, POST", "GET POST"] {
                assert!(
                    changes_state("GET", &[(name.as_str(), method)]),
                    "{name}: {method:?}"
                );
            }
            for methods in [["GET", "DELETE"], ["DELETE", "GET"]] {
                let headers = methods.map(|method| (name.as_str(), method));
                assert!(changes_state("GET", &headers), "{name}: {methods:?}");
            }
        }
    }

    #[test]
    fn attack_42_a_safe_method_does_not_hide_an_unsafe_one() {
        let named =
            |forwarded, original| [("x-forwarded-method", forwarded), ("x-original-method", original)];
        assert!(changes_state("POST", &named("GET", "GET")));
        assert!(changes_state("GET", &named("GET", "POST")));
        assert!(changes_state("GET", &named("POST", "GET")));
    }

    #[test]
    fn only_a_get_of_a_document_opens_a_page() {
        let html = ("accept", "text/html");
        let opens = |method: &str, headers: &[(&str, &str)]| {
            Asked::of(&parts(method, "/auth/verify", headers)).visit() == Visit::Page
        };
        assert!(opens("GET", &[html]));
        assert!(opens(
            "GET",
            &[html, ("x-forwarded-method", "GET"), ("x-original-method", "GET")]
        ));
        assert!(!opens("GET", &[]));
        assert!(!opens("POST", &[html]));
        assert!(!opens("GET", &[html, ("upgrade", "websocket")]));
        for name in METHODS {
            for method in ["POST", "HEAD", "get", "", "GET, POST"] {
                assert!(
                    !opens("GET", &[html, (name.as_str(), method)]),
                    "{name}: {method}"
                );
            }
        }
    }

    #[test]
    fn the_page_is_read_in_the_dialect_of_each_proxy() {
        let page = |target: &str, headers: &[(&str, &str)]| Asked::of(&parts("GET", target, headers)).page();
        let expected = Page::of(b"/a?b=c&d=%26");
        assert!(expected.is_some());
        for target in ["/auth/verify/a?b=c&d=%26", "/auth/forward/a?b=c&d=%26"] {
            assert_eq!(page(target, &[]), expected);
            assert_eq!(page(target, &[("x-forwarded-uri", "/other")]), expected);
        }
        for (name, value) in [
            ("x-forwarded-uri", "/a?b=c&d=%26"),
            ("x-original-uri", "/a?b=c&d=%26"),
            ("x-original-url", "https://app.example/a?b=c&d=%26"),
        ] {
            assert_eq!(
                page("/auth/verify?service=x", &[(name, value)]),
                expected,
                "{name}"
            );
            // It is unknown which of them is the proxy's.
            assert_eq!(
                page("/auth/verify", &[(name, value), (name, value)]),
                None,
                "{name}"
            );
        }
        assert_eq!(page("/auth/verify", &[]), None);
        assert_eq!(page("/auth/verify?a=/b", &[]), None);
    }

    #[test]
    fn attack_25_the_query_of_a_call_is_no_wish_of_the_proxy() {
        let is = |target: &str, uri: &str| {
            Asked::of(&parts("GET", target, &[("x-forwarded-uri", uri)])).has_the_calls_query()
        };
        assert!(is("/auth/verify?service=crud&x", "/a?service=crud&x"));
        assert!(is("/auth/verify/a?service=crud", "/other"));
        assert!(!is("/auth/verify?service=crud", "/a"));
        assert!(!is("/auth/verify?service=crud", "/a?x"));
        assert!(!is("/auth/verify", "/a"));
        assert!(!is("/auth/verify", "/a?service=crud"));
        assert!(!Asked::of(&parts("GET", "/auth/verify?service=crud", &[])).has_the_calls_query());
    }

    #[test]
    fn the_method_of_a_call_is_beyond_doubt_or_unknown() {
        let method = |method: &str, target: &str, headers: &[(&str, &str)]| {
            Asked::of(&parts(method, target, headers)).method()
        };
        let (alone, suffix) = ("/auth/verify", "/auth/verify/a");
        for name in METHODS {
            let post = (name.as_str(), "POST");
            assert_eq!(method("GET", alone, &[post]), Ok(Method::POST), "{name}");
            assert_eq!(method("POST", alone, &[post, post]), Ok(Method::POST), "{name}");
            assert_eq!(method("POST", suffix, &[post]), Ok(Method::POST), "{name}");
            assert_eq!(method("GET", suffix, &[post]), Err(Doubt::Method), "{name}");
            let other = (name.as_str(), "GET");
            assert_eq!(method("GET", alone, &[post, other]), Err(Doubt::Method), "{name}");
            for invalid in ["", "GET, POST", "GET POST"] {
                let invalid = [(name.as_str(), invalid)];
                assert_eq!(method("GET", alone, &invalid), Err(Doubt::Method), "{name}");
            }
        }
        let differ = [("x-forwarded-method", "GET"), ("x-original-method", "POST")];
        assert_eq!(method("GET", alone, &differ), Err(Doubt::Method));
        // Many proxies ask with GET for every call.
        for own in ["GET", "HEAD"] {
            assert_eq!(method(own, alone, &[]), Err(Doubt::NoMethod));
            assert_eq!(method(own, suffix, &[]).unwrap().as_str(), own);
        }
        assert_eq!(method("DELETE", alone, &[]), Ok(Method::DELETE));
    }

    #[test]
    fn attack_1_the_targets_of_the_other_family_do_not_count() {
        let headers = [
            ("x-forwarded-uri", "/forwarded"),
            ("x-original-uri", "/original"),
            ("x-original-uri", "/second"),
            ("x-original-url", "https://app.example/url"),
        ];
        let targets = |target: &str, family| -> Vec<String> {
            let parts = parts("GET", target, &headers);
            let asked = Asked::of(&parts);
            let targets = asked.targets(family);
            targets
                .map(|target| String::from_utf8_lossy(target).into_owned())
                .collect()
        };
        let by_nginx = ["/original", "/second", "https://app.example/url"];
        let of_caddy = [&by_nginx[..], &["/forwarded"]].concat();
        assert_eq!(targets("/auth/verify?x", ForwardedFamily::XForwarded), of_caddy);
        assert_eq!(targets("/auth/verify?x", ForwardedFamily::Forwarded), by_nginx);
        let of_envoy = [&["/a?b"][..], &by_nginx].concat();
        assert_eq!(targets("/auth/forward/a?b", ForwardedFamily::Forwarded), of_envoy);
    }

    #[test]
    fn the_paths_of_forward_authentication_are_whole_segments() {
        for path in [
            "/auth/verify",
            "/auth/forward",
            "/auth/verify/",
            "/auth/forward/a/b",
        ] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "/auth/verifyx",
            "/auth",
            "/auth/verif",
            "/x/auth/verify",
            "/auth/Verify",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
