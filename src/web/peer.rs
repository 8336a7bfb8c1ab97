//! Who is on the other end: the peer of the connection, and what a listed proxy says of the browser behind it.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, Uri,
    header::{FORWARDED, VIA},
};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");

/// Headers are looked at up to this many list members from the right; nobody chains more proxies.
const MAX_HOPS: usize = 32;

/// The proxies whose forwarded headers are believed. Nobody by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// The browser, as far as it can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The host that it asked for, with the port if it named one.
    pub(crate) host: String,
    /// Whether it used TLS; `None` where nobody who is believed says so.
    pub(crate) https: Option<bool>,
    /// Whether a listed proxy stands between.
    pub(crate) by_proxy: bool,
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// Believes peers of these networks.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The browser behind the request, given the peer of its connection.
    pub(crate) fn client(&self, peer: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Client {
        // HTTP/2 names the host in the URI, HTTP/1.1 in a header.
        let own_host = uri.authority().map(http::uri::Authority::as_str);
        let host = own_host
            .or_else(|| single(headers, &http::header::HOST))
            .unwrap_or_default();
        let direct = Client {
            address: peer.ip(),
            host: host.to_owned(),
            https: None,
            by_proxy: false,
        };
        if !self.contains(peer.ip()) {
            return direct;
        }
        let forwarded = Forwarded::of(headers);
        Client {
            address: self.farthest_trusted(peer.ip(), &forwarded.addresses),
            host: forwarded.host.unwrap_or(direct.host),
            https: forwarded.proto.map(|proto| proto.eq_ignore_ascii_case("https")),
            by_proxy: true,
        }
    }

    /// Walks the addresses from the nearest to the farthest and stops at the first that is no listed proxy.
    fn farthest_trusted(&self, peer: IpAddr, addresses: &[IpAddr]) -> IpAddr {
        let mut client = peer;
        for address in addresses.iter().rev() {
            if !self.contains(client) {
                break;
            }
            client = *address;
        }
        client
    }
}

/// Whether a proxy says that it passes the request on for somebody.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    [
        X_FORWARDED_FOR,
        X_FORWARDED_HOST,
        X_FORWARDED_PROTO,
        FORWARDED,
        VIA,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

/// What forwarded headers say, the farthest address first. Of host and scheme the last value counts: the one that the
/// listed proxy itself has written.
#[derive(Default)]
struct Forwarded {
    addresses: Vec<IpAddr>,
    host: Option<String>,
    proto: Option<String>,
}

impl Forwarded {
    fn of(headers: &HeaderMap) -> Self {
        let listed = |name: &HeaderName| last_members(headers, name);
        let x_forwarded = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];
        if x_forwarded.iter().any(|name| headers.contains_key(name)) {
            return Self {
                addresses: known_addresses(&listed(&X_FORWARDED_FOR)),
                host: listed(&X_FORWARDED_HOST).pop(),
                proto: listed(&X_FORWARDED_PROTO).pop(),
            };
        }
        // RFC 7239: `for=192.0.2.43;host=a.example;proto=https, for="[2001:db8::1]:4711"`.
        let elements = listed(&FORWARDED);
        let parameter = |element: &str, wanted: &str| {
            element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case(wanted)
                    .then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        let last = elements.last();
        Self {
            host: last.and_then(|element| parameter(element, "host")),
            proto: last.and_then(|element| parameter(element, "proto")),
            addresses: known_addresses(
                &elements
                    .iter()
                    .map(|element| parameter(element, "for").unwrap_or_default())
                    .collect::<Vec<_>>(),
            ),
        }
    }
}

/// The addresses up to the first, seen from the right, that is none: beyond it nothing can be believed.
fn known_addresses(members: &[String]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = members.iter().rev().map_while(|member| address(member)).collect();
    addresses.reverse();
    addresses
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    bare().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The last members of a list header, over all its lines.
fn last_members(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut members: Vec<String> = headers
        .get_all(name)
        .iter()
        .rev()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.rsplit(','))
        .take(MAX_HOPS)
        .map(|member| member.trim().to_owned())
        .filter(|member| !member.is_empty())
        .collect();
    members.reverse();
    members
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn client(trusted: &[&str], peer: &str, headers: &[(&str, &str)]) -> Client {
        let networks = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut request = Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        let request = request.body(()).unwrap();
        TrustedProxies(networks).client(peer, request.uri(), request.headers())
    }

    const FORWARDED_HEADERS: [(&str, &str); 4] = [
        ("host", "bff:8000"),
        ("x-forwarded-for", "203.0.113.9, 198.51.100.1"),
        ("x-forwarded-host", "automate.example"),
        ("x-forwarded-proto", "https"),
    ];

    #[test]
    fn attack_1_forwarded_headers_count_only_from_a_listed_proxy() {
        let expected = Client {
            address: "10.0.0.7".parse().unwrap(),
            host: "bff:8000".to_owned(),
            https: None,
            by_proxy: false,
        };
        assert_eq!(client(&[], "10.0.0.7", &FORWARDED_HEADERS), expected);
        assert_eq!(client(&["10.1.0.0/16"], "10.0.0.7", &FORWARDED_HEADERS), expected);
        let forwarded = [
            ("host", "bff:8000"),
            ("forwarded", "for=203.0.113.9;host=automate.example;proto=https"),
        ];
        assert_eq!(client(&[], "10.0.0.7", &forwarded), expected);
        assert_eq!(client(&[], "127.0.0.1", &FORWARDED_HEADERS).host, "bff:8000");
    }

    #[test]
    fn a_listed_proxy_is_believed_and_the_addresses_are_walked_from_the_right() {
        let seen = client(&["10.0.0.0/8"], "10.0.0.7", &FORWARDED_HEADERS);
        assert_eq!(seen.address.to_string(), "198.51.100.1");
        assert_eq!(seen.host, "automate.example");
        assert_eq!(seen.https, Some(true));
        let both = client(&["10.0.0.0/8", "198.51.100.1/32"], "10.0.0.7", &FORWARDED_HEADERS);
        assert_eq!(both.address.to_string(), "203.0.113.9");
        let mapped = client(&["10.0.0.0/8"], "::ffff:10.0.0.7", &FORWARDED_HEADERS);
        assert!(mapped.by_proxy);
    }

    #[test]
    fn the_standard_header_is_understood() {
        let headers = [(
            "forwarded",
            "for=203.0.113.9, for=\"[2001:db8::1]:4711\";host=a.example;proto=https",
        )];
        let seen = client(&["10.0.0.0/8"], "10.0.0.7", &headers);
        assert_eq!(seen.address.to_string(), "2001:db8::1");
        assert_eq!((seen.host.as_str(), seen.https), ("a.example", Some(true)));
    }

    #[test]
    fn beyond_an_address_that_is_none_nothing_is_believed() {
        let headers = [("x-forwarded-for", "203.0.113.9, unknown, 10.0.0.3")];
        assert_eq!(
            client(&["10.0.0.0/8"], "10.0.0.7", &headers).address.to_string(),
            "10.0.0.3"
        );
    }

    proptest! {
        #[test]
        fn no_forwarded_header_panics(value in "[ -~]{0,128}") {
            for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"] {
                client(&["10.0.0.0/8"], "10.0.0.7", &[(name, &value)]);
            }
        }
    }
}
