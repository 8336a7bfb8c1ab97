//! The other end: the peer of the connection, and the facts about the browser behind a listed proxy.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, Uri,
    header::{FORWARDED, VIA},
};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// At most this many list members are read from the right; nobody chains more proxies.
const MAX_HOPS: usize = 32;

/// The proxies whose forwarded headers are believed. Nobody by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    family: ForwardedFamily,
}

/// The header fields that a listed proxy sets. The other family is never read, not even if the first is absent: a
/// proxy that sets one of them forwards the other as its client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// `X-Forwarded-For`, `X-Forwarded-Host`, `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The browser, as far as it can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The host of its request, with the port if it named one.
    pub(crate) host: String,
    /// Whether it used TLS; `None` if no listed proxy says so.
    pub(crate) https: Option<bool>,
    /// Whether there is a listed proxy in between.
    pub(crate) by_proxy: bool,
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// Trusts the header fields of `family` from peers in these networks.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, family: ForwardedFamily) -> Self {
        Self { networks, family }
    }

    /// The header fields that they set.
    pub(crate) const fn family(&self) -> ForwardedFamily {
        self.family
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
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
        let forwarded = match self.family {
            ForwardedFamily::XForwarded => Forwarded::of_x_forwarded(headers),
            ForwardedFamily::Forwarded => Forwarded::of_forwarded(headers),
        };
        Client {
            address: self.farthest_trusted(peer.ip(), &forwarded.addresses),
            host: forwarded.host.unwrap_or(direct.host),
            https: forwarded.proto.as_deref().and_then(is_https),
            by_proxy: true,
        }
    }

    /// Walks the addresses from the nearest to the farthest and stops at the first that is not a listed proxy.
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

/// Whether a proxy says that it forwards the request for another client.
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

/// The content of forwarded headers, the farthest address first. For host and scheme, the last value counts, which
/// the listed proxy itself has written.
#[derive(Default)]
struct Forwarded {
    addresses: Vec<IpAddr>,
    host: Option<String>,
    proto: Option<String>,
}

impl Forwarded {
    fn of_x_forwarded(headers: &HeaderMap) -> Self {
        Self {
            addresses: known_addresses(last_members(headers, &X_FORWARDED_FOR).map(address)),
            host: last_members(headers, &X_FORWARDED_HOST)
                .next()
                .map(ToOwned::to_owned),
            proto: last_members(headers, &X_FORWARDED_PROTO)
                .next()
                .map(ToOwned::to_owned),
        }
    }

    fn of_forwarded(headers: &HeaderMap) -> Self {
        let mut elements = last_members(headers, &FORWARDED)
            .map_while(Element::parse)
            .peekable();
        let last = elements.peek().copied().unwrap_or_default();
        Self {
            host: last.host.map(ToOwned::to_owned),
            proto: last.proto.map(ToOwned::to_owned),
            addresses: known_addresses(elements.map(|element| address(element.client?))),
        }
    }
}

/// One hop in `Forwarded` (RFC 7239 section 4): `for=192.0.2.43;host=a.example;proto=https`.
#[derive(Clone, Copy, Default)]
struct Element<'a> {
    client: Option<&'a str>,
    host: Option<&'a str>,
    proto: Option<&'a str>,
}

// === impl Element ===

impl<'a> Element<'a> {
    /// `None` if it is malformed: it may be a half of a quoted value.
    fn parse(text: &'a str) -> Option<Self> {
        let mut element = Self::default();
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let known = match name.to_ascii_lowercase().as_str() {
                "for" => &mut element.client,
                "host" => &mut element.host,
                "proto" => &mut element.proto,
                // `by`, or an extension.
                _ => &mut None,
            };
            // A parameter comes once at most.
            if known.replace(unquoted(value)?).is_some() {
                return None;
            }
        }
        Some(element)
    }
}

/// A value, quoted or not. Escapes are impossible in an address, a host or a scheme. An unquoted colon or bracket is
/// accepted, although only a token may be unquoted: proxies write `host=a.example:8443`.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    (!inner.is_empty() && inner.bytes().all(plain)).then_some(inner)
}

/// Whether the browser used TLS. Traefik calls the scheme of a WebSocket `ws` or `wss`.
fn is_https(scheme: &str) -> Option<bool> {
    let is = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
    if is(["https", "wss"]) {
        Some(true)
    } else if is(["http", "ws"]) {
        Some(false)
    } else {
        None
    }
}

/// The addresses from the nearest to the first hop that gives none: beyond it nothing can be believed. The farthest comes
/// first.
fn known_addresses(nearest_first: impl Iterator<Item = Option<IpAddr>>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = nearest_first.map_while(|address| address).collect();
    addresses.reverse();
    addresses
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    bare().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The members of a list header over all its lines, the last one first. An unreadable line ends them: the lines
/// before it existed when a nearer proxy wrote it, and cannot be distinguished from lines of a client.
fn last_members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .map_while(|line| line.to_str().ok())
        .flat_map(|line| line.rsplit(','))
        .take(MAX_HOPS)
        .map(str::trim)
        .filter(|member| !member.is_empty())
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
        client_by(ForwardedFamily::XForwarded, trusted, peer, headers)
    }

    fn client_by(
        family: ForwardedFamily,
        trusted: &[&str],
        peer: &str,
        headers: &[(&str, impl AsRef<[u8]>)],
    ) -> Client {
        let networks = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut request = Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, value.as_ref());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        let request = request.body(()).unwrap();
        TrustedProxies::new(networks, family).client(peer, request.uri(), request.headers())
    }

    /// The statements of a listed proxy in `Forwarded`.
    fn by_forwarded(value: &str) -> Client {
        let headers = [("host", "bff:8000"), ("forwarded", value)];
        client_by(ForwardedFamily::Forwarded, &["10.0.0.0/8"], "10.0.0.7", &headers)
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
        for family in [ForwardedFamily::XForwarded, ForwardedFamily::Forwarded] {
            assert_eq!(client_by(family, &[], "10.0.0.7", &forwarded), expected);
            assert_eq!(client_by(family, &[], "10.0.0.7", &FORWARDED_HEADERS), expected);
        }
        assert_eq!(client(&[], "127.0.0.1", &FORWARDED_HEADERS).host, "bff:8000");
    }

    #[test]
    fn addresses_of_a_listed_proxy_are_read_from_the_right() {
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
        let seen = by_forwarded("for=203.0.113.9, for=\"[2001:db8::1]:4711\";host=a.example;proto=https");
        assert_eq!(seen.address.to_string(), "2001:db8::1");
        assert_eq!((seen.host.as_str(), seen.https), ("a.example", Some(true)));
        let seen = by_forwarded("For=192.0.2.60 ; Proto=http;by=_x; ;host=\"a.example:8443\"");
        assert_eq!(seen.address.to_string(), "192.0.2.60");
        assert_eq!((seen.host.as_str(), seen.https), ("a.example:8443", Some(false)));
    }

    #[test]
    fn attack_1_only_the_family_that_the_proxy_sets_is_read() {
        let standard = ("forwarded", "for=198.51.100.66;host=evil.example;proto=http");
        let mixed = [&FORWARDED_HEADERS[..], &[standard]].concat();
        let seen = client(&["10.0.0.0/8"], "10.0.0.7", &mixed);
        assert_eq!((seen.host.as_str(), seen.https), ("automate.example", Some(true)));
        let seen = client_by(ForwardedFamily::Forwarded, &["10.0.0.0/8"], "10.0.0.7", &mixed);
        assert_eq!(seen.address.to_string(), "198.51.100.66");
        assert_eq!((seen.host.as_str(), seen.https), ("evil.example", Some(false)));

        // If the proxy's own is absent, the other one comes from the client.
        let direct = |family, headers: &[(&str, &str)]| {
            let seen = client_by(family, &["10.0.0.0/8"], "10.0.0.7", headers);
            assert_eq!(seen.address.to_string(), "10.0.0.7", "{headers:?}");
            assert_eq!(
                (seen.host.as_str(), seen.https),
                ("bff:8000", None),
                "{headers:?}"
            );
        };
        direct(ForwardedFamily::XForwarded, &[("host", "bff:8000"), standard]);
        direct(ForwardedFamily::Forwarded, &FORWARDED_HEADERS);
        // Nor does one family fill the gaps of the other.
        let gaps = [("host", "bff:8000"), ("x-forwarded-for", "203.0.113.9"), standard];
        let seen = client(&["10.0.0.0/8"], "10.0.0.7", &gaps);
        assert_eq!((seen.host.as_str(), seen.https), ("bff:8000", None));
    }

    #[test]
    fn attack_1_an_unreadable_line_stops_the_search() {
        let lines = |name: &'static str, values: [&'static [u8]; 3]| {
            let mut headers = vec![("host", &b"bff:8000"[..])];
            headers.extend(values.map(|value| (name, value)));
            headers
        };
        let trusted = ["10.0.0.0/8"];
        let unreadable = b"\xff".as_slice();
        let seen = |family, headers: &[(&str, &[u8])]| client_by(family, &trusted, "10.0.0.7", headers);

        let family = ForwardedFamily::XForwarded;
        let addresses = lines("x-forwarded-for", [b"203.0.113.9", unreadable, b"10.0.0.3"]);
        assert_eq!(seen(family, &addresses).address.to_string(), "10.0.0.3");
        let addresses = lines("x-forwarded-for", [b"203.0.113.9", b"10.0.0.3", unreadable]);
        assert_eq!(seen(family, &addresses).address.to_string(), "10.0.0.7");
        let hosts = lines("x-forwarded-host", [b"evil.example", b"evil.example", unreadable]);
        assert_eq!(seen(family, &hosts).host, "bff:8000");
        let schemes = lines("x-forwarded-proto", [b"https", b"https", unreadable]);
        assert_eq!(seen(family, &schemes).https, None);

        let family = ForwardedFamily::Forwarded;
        let far = b"for=203.0.113.9;host=evil.example;proto=http".as_slice();
        let near = b"for=10.0.0.3;host=a.example;proto=https".as_slice();
        let client = seen(family, &lines("forwarded", [far, unreadable, near]));
        assert_eq!(client.address.to_string(), "10.0.0.3");
        assert_eq!((client.host.as_str(), client.https), ("a.example", Some(true)));
        let client = seen(family, &lines("forwarded", [far, near, unreadable]));
        assert_eq!(client.address.to_string(), "10.0.0.7");
        assert_eq!((client.host.as_str(), client.https), ("bff:8000", None));
    }

    #[test]
    fn attack_1_a_malformed_hop_stops_the_search() {
        for malformed in [
            "x",
            "for",
            "for=",
            "for=\"\"",
            "for=\"10.0.0.4",
            "for=10.0.0.4\"",
            "for=\"10.0.0.4\\\"\"",
            "for=10.0.0.4;for=10.0.0.4",
            "for=10.0.0.4;host=a.example;HOST=a.example",
            "for=10.0.0.4;host=a=b",
            "for=10.0.0.4;host=a b",
            // The halves of something quoted.
            "for=\"a,b\"",
            "for=\"a;b\"",
        ] {
            let seen = by_forwarded(&format!(
                "for=203.0.113.9;host=evil.example, {malformed}, for=10.0.0.3"
            ));
            assert_eq!(seen.address.to_string(), "10.0.0.3", "{malformed}");
            let seen = by_forwarded(&format!("for=203.0.113.9;host=evil.example, {malformed}"));
            assert_eq!(seen.address.to_string(), "10.0.0.7", "{malformed}");
            assert_eq!(
                (seen.host.as_str(), seen.https),
                ("bff:8000", None),
                "{malformed}"
            );
        }
        // Well-formed, and no address.
        for hidden in ["for=unknown", "for=_hidden", "by=10.0.0.4", "proto=https"] {
            let seen = by_forwarded(&format!("for=203.0.113.9, {hidden}, for=10.0.0.3"));
            assert_eq!(seen.address.to_string(), "10.0.0.3", "{hidden}");
        }
    }

    #[test]
    fn a_scheme_that_nobody_knows_says_nothing_of_tls() {
        for (scheme, https) in [
            ("https", Some(true)),
            ("WSS", Some(true)),
            ("http", Some(false)),
            ("ws", Some(false)),
            ("h2", None),
            ("http, https", Some(true)),
        ] {
            let headers = [("x-forwarded-proto", scheme)];
            assert_eq!(
                client(&["10.0.0.0/8"], "10.0.0.7", &headers).https,
                https,
                "{scheme}"
            );
        }
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
                for family in [ForwardedFamily::XForwarded, ForwardedFamily::Forwarded] {
                    client_by(family, &["10.0.0.0/8"], "10.0.0.7", &[(name, &value)]);
                }
            }
        }
    }
}
