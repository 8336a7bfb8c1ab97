//! The host that a request names: exactly one, or the request is refused.
//!
//! Two readers of a request with two hosts could take it for two different sites (RFC 9112 section 11.2, RFC 9113
//! section 8.3.1). The check holds on every listener, before any decision.

use axum::extract::Request;
use http::{
    Uri, Version,
    header::HOST,
    uri::{Authority, Scheme},
};

use super::problem::{Code, Problem};
use crate::own_paths;

/// Refuses a request with no host, several, or an invalid one: RFC 9112 section 3.2. The host in the request line,
/// which is `:authority` in HTTP/2, and `Host` may both be present if they name the same one.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let mut lines = request.headers().get_all(HOST).iter();
    let (line, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(refused("The request has several Host header fields."));
    }
    let named = request.uri().authority();
    let host = match line.map(|line| line.to_str().unwrap_or_default()) {
        None if named.is_some() || may_be_nameless(request) => None,
        None => return Err(refused("The request has no Host header field.")),
        Some(line) => Some(line.parse().map_err(|_| no_host())?),
    };
    if named.into_iter().chain(&host).any(|host| !is_host(host)) {
        return Err(no_host());
    }
    match (named, &host) {
        (Some(named), Some(host)) if !same(named, host, request.uri()) => Err(refused(
            "The request names two hosts: the one of the Host header field is not that of the request target.",
        )),
        _ => Ok(()),
    }
}

/// Health checks of load balancers that speak HTTP/1.0, which knows no `Host`.
fn may_be_nameless(request: &Request) -> bool {
    let path = request.uri().path();
    request.version() == Version::HTTP_10 && own_paths::is_health(path)
}

/// A host, perhaps with a port, and no user. A name of the DNS needs none of the other characters that a URI allows
/// there, and a comma could be a list.
fn is_host(authority: &Authority) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%:[]".contains(&byte);
    let text = authority.as_str();
    !text.is_empty() && !text.starts_with(':') && text.bytes().all(usual)
}

fn same(named: &Authority, host: &Authority, uri: &Uri) -> bool {
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
        Some(scheme) if *scheme == Scheme::HTTP => Some(80),
        _ => None,
    };
    let port = |authority: &Authority| authority.port_u16().or(default);
    named.host().eq_ignore_ascii_case(host.host()) && port(named) == port(host)
}

fn no_host() -> Problem {
    refused("The Host header field, or the host of the request target, is not a host with an optional port.")
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidHost, detail)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn accepted(version: Version, target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        check(&request.body(Body::empty()).unwrap()).is_ok()
    }

    #[test]
    fn a_request_names_one_host() {
        let one = |target: &str, host: &str| accepted(Version::HTTP_11, target, &[host]);
        assert!(one("/", "app.example"));
        assert!(one("/", "app.example:8443"));
        assert!(one("/", "[::1]:8000"));
        assert!(one("http://app.example/", "App.Example"));
        assert!(one("http://app.example/", "app.example:80"));
        assert!(one("https://app.example:443/", "app.example"));
        assert!(accepted(Version::HTTP_2, "https://app.example/", &[]));
        assert!(accepted(
            Version::HTTP_2,
            "https://app.example/",
            &["app.example"]
        ));
        assert!(accepted(Version::HTTP_10, "/health/live", &[]));
        assert!(accepted(Version::HTTP_10, "/", &["app.example"]));
    }

    #[test]
    fn no_host_and_two_hosts_are_refused() {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert!(!accepted(version, "/", &[]), "{version:?}");
            assert!(!accepted(version, "/health/live", &["a.example", "a.example"]));
            assert!(!accepted(version, "/", &["a.example", "b.example"]));
            assert!(!accepted(version, "http://a.example/", &["b.example"]));
            assert!(!accepted(version, "http://a.example/", &["a.example:81"]));
            assert!(!accepted(version, "https://a.example/", &["a.example:80"]));
            assert!(!accepted(
                version,
                "http://a.example/",
                &["a.example", "a.example"]
            ));
        }
        assert!(!accepted(Version::HTTP_11, "/health/live", &[]));
        assert!(!accepted(Version::HTTP_10, "/healthy", &[]));
        for none in [
            "",
            " ",
            "a b",
            "a/b",
            "user@a.example",
            "a.example:x:y",
            "a,b",
            "a?b",
        ] {
            assert!(!accepted(Version::HTTP_11, "/", &[none]), "{none:?}");
        }
        assert!(!accepted(
            Version::HTTP_11,
            "http://user@a.example/",
            &["a.example"]
        ));
    }
}
