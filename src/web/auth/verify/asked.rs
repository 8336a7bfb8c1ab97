//! The call that a proxy asks about: how it is told from the request that asks.

use http::{HeaderName, Method, request::Parts};

use super::super::super::proof;

/// Where a method can stand: as Traefik and Caddy send it, as ingress-nginx does, and where an API may take one from
/// the browser.
const METHODS: [HeaderName; 5] = [
    HeaderName::from_static("x-forwarded-method"),
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// Whether the call may change state: one of the methods that are named does, or it opens a WebSocket.
///
/// The request's own method counts, since some proxies (Envoy, Istio) keep the call's. What the header fields say counts
/// from any peer: it can only ask for one proof more. Of several lines none is preferred, as nobody knows on which of
/// them the proxy acts.
pub(super) fn changes_state(request: &Parts) -> bool {
    let named = METHODS
        .iter()
        .flat_map(|name| request.headers.get_all(name))
        .any(|method| {
            Method::from_bytes(method.as_bytes()).map_or(true, |method| proof::changes_state(&method))
        });
    named || proof::changes_state(&request.method) || proof::opens_tunnel(request)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/auth/verify");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        changes_state(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn attack_42_any_method_that_changes_state_counts() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(!asked(method, &[]), "{method}");
            for name in METHODS {
                assert!(!asked("GET", &[(name.as_str(), method)]), "{name}: {method}");
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
            assert!(asked(method, &[]), "{method}");
            for name in METHODS {
                assert!(asked("GET", &[(name.as_str(), method)]), "{name}: {method}");
            }
        }
        for name in METHODS {
            // No method at all, or more than one.
            for method in ["", " ", "GET, POST", "GET POST"] {
                assert!(asked("GET", &[(name.as_str(), method)]), "{name}: {method:?}");
            }
            for methods in [["GET", "DELETE"], ["DELETE", "GET"]] {
                let headers = methods.map(|method| (name.as_str(), method));
                assert!(asked("GET", &headers), "{name}: {methods:?}");
            }
        }
    }

    #[test]
    fn attack_42_a_harmless_method_does_not_cover_one_that_changes_state() {
        assert!(asked(
            "POST",
            &[("x-forwarded-method", "GET"), ("x-original-method", "GET")]
        ));
        assert!(asked(
            "GET",
            &[("x-forwarded-method", "GET"), ("x-original-method", "POST")]
        ));
        assert!(asked(
            "GET",
            &[("x-forwarded-method", "POST"), ("x-original-method", "GET")]
        ));
    }
}
