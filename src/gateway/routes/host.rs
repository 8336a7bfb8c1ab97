//! Names of hosts.

use std::borrow::Cow;

use super::Hosts;

/// The name in a `Host`, in lower case: without the port and without a dot at the end.
pub(super) fn bare(host: &str) -> Cow<'_, str> {
    let name = match host.rsplit_once(':') {
        // An IPv6 address without a port ends in a bracket.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether two hosts, perhaps with ports, are one to the routes.
#[must_use]
pub fn same_host(one: &str, other: &str) -> bool {
    bare(one) == bare(other)
}

// === impl Hosts ===

impl Hosts {
    pub(super) fn of(&self, host: &str) -> Option<usize> {
        self.named.get(host).copied().or(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_case_and_port() {
        for (host, expected) in [
            ("app.example", "app.example"),
            ("App.Example:8443", "app.example"),
            ("app.example.", "app.example"),
            ("app.example.:80", "app.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(bare(host), expected);
        }
    }
}
