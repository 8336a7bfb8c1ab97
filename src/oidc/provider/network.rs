//! Recognises hosts outside the internet by their names and addresses only: no name is resolved.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Names below these are resolved by this machine or this network (RFC 6761, RFC 6762 with its appendix G, RFC 8375,
/// and `internal`, which ICANN keeps free for this).
const PRIVATE_SUFFIXES: [&str; 10] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
];

/// Whether `url` points at this machine, at a link-local or private address, or at a name that only a private network
/// resolves. URL parsing has normalised decimal, octal and hexadecimal forms of IPv4 addresses.
pub(super) fn is_internal(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_internal_name(name),
        Some(Host::Ipv4(address)) => is_internal_v4(address),
        Some(Host::Ipv6(address)) => is_internal_v6(address),
        None => true,
    }
}

/// Names without a dot are those of container networks and search domains. A dot at the end changes nothing.
fn is_internal_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.')
        || PRIVATE_SUFFIXES.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|below| below.ends_with('.'))
        })
}

/// The special-purpose registry of IANA (RFC 6890), without the addresses for documentation.
fn is_internal_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        // This network, with 0.0.0.0, which reaches this machine.
        || a == 0
        // Shared address space of carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments.
        || (a == 192 && b == 0 && c == 0)
        // Benchmarking (RFC 2544).
        || (a == 198 && (18..20).contains(&b))
        // Reserved, with the broadcast address.
        || a >= 240
}

fn is_internal_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded(address) {
        return is_internal_v4(inner);
    }
    let first = address.segments()[0];
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // Site-local, which is deprecated (RFC 3879).
        || first & 0xffc0 == 0xfec0
        // NAT64 of a network's own (RFC 8215), whose layout only that network knows.
        || address.segments()[..3] == [0x64, 0xff9b, 1]
}

/// The IPv4 address that packets to `address` end up at: mapped (RFC 4291 section 2.5.5.2), compatible (2.5.5.1),
/// translated (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let joined = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // `::` and `::1` are addresses of IPv6 itself.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(joined(high, low)),
        [0x2001, 0, .., high, low] => Some(joined(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internal(host: &str) -> bool {
        is_internal(&Url::parse(&format!("https://{host}/x")).unwrap())
    }

    #[test]
    fn attack_51_every_spelling_of_a_host_inside_is_known() {
        let inside = [
            // Names.
            "localhost",
            "localhost.",
            "LOCALHOST",
            "a.localhost",
            "keycloak",
            "keycloak.",
            "idp.corp",
            "idp.svc.cluster.local",
            "metadata.google.internal",
            "metadata.google.internal.",
            "router.home.arpa",
            "localhost.localdomain",
            // IPv4, in the forms that the URL standard reads.
            "127.0.0.1",
            "127.1",
            "127.0.0.1.",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "0177.0.0.1",
            "%31%32%37.0.0.1",
            "\u{ff11}27.0.0.1",
            "0.0.0.0",
            "0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            // IPv6.
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[fec0::1]",
            "[ff02::1]",
            // IPv4 inside IPv6.
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[::ffff:0:10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        ];
        for host in inside {
            assert!(internal(host), "{host}");
        }
        let outside = [
            "idp.example",
            "idp.example.",
            "localhost.example",
            "local.example",
            "idp.localhosts",
            "notlocal",
            "8.8.8.8",
            "11.0.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "169.253.0.1",
            "192.0.2.7",
            "203.0.113.5",
            "[2001:4860:4860::8888]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[2002:808:808::1]",
        ];
        for host in outside {
            // A name without a dot is always inside.
            assert_eq!(internal(host), !host.contains(['.', ':']), "{host}");
        }
    }
}
