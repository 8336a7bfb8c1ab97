//! The call that a proxy asks about, as far as the proxy's request shows it.

use http::{HeaderMap, HeaderName, Method, request::Parts};

use super::super::super::{csrf, navigation::Visit, way_in::Page};
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

    /// Whether the call may change state: one of the methods that are named does, or it opens a WebSocket.
    ///
    /// The request's own method counts, because some proxies (Envoy, Istio) keep the call's. The header fields count
    /// from any peer: they can only demand one check more. All lines count, because it is unknown which of them the
    /// proxy follows.
    pub(super) fn changes_state(&self) -> bool {
        csrf::changes_state(&self.request.method)
            || self
                .named_methods()
                .any(|method| method.is_none_or(|method| csrf::changes_state(&method)))
            || csrf::opens_tunnel(self.request)
    }

    /// Whether a person opens a page with the call.
    pub(super) fn opens_a_page(&self) -> bool {
        Visit::of(&self.request.method, &self.request.headers) == Visit::Page
            && self.named_methods().all(|method| method == Some(Method::GET))
            && !csrf::opens_tunnel(self.request)
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
            Asked::of(&parts(method, "/auth/verify", headers)).opens_a_page()
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
