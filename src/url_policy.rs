//! Where plain `http` may be spoken: the one answer, for settings, for what the identity provider publishes, and for cookies.
//!
//! Services behind the gateway are not asked about: `routes.yaml` names them, and any of them may be `http`.

use std::net::IpAddr;

use url::{Host, Url};

/// How a URL would be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `https`.
    Secure,
    /// `http` on this machine.
    Loopback,
    /// `http` to a name without a dot, as in container networks.
    Dotless,
    /// `http` to anywhere else.
    Elsewhere,
}

/// Where plain http is accepted (`BFF_DANGER_ALLOW_HTTP`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpPolicy {
    /// For loopback addresses, `localhost` and names below it, and names without a dot (container networks).
    #[default]
    LocalOnly,
    /// For every host.
    Anywhere,
}

/// Whether `host`, a name or an address with or without brackets, is this machine: a loopback address, `localhost` or a
/// name below it.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    // A dot at the end changes nothing.
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

// === impl Reach ===

impl Reach {
    /// How `url` would be reached; `None` where that is neither `http` nor `https`.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "https" => Some(Self::Secure),
            "http" => Some(Self::of_plain(url)),
            _ => None,
        }
    }

    fn of_plain(url: &Url) -> Self {
        match url.host() {
            // The parser has put the name in lower case. A dot at the end changes nothing.
            Some(Host::Domain(name)) => match name.strip_suffix('.').unwrap_or(name) {
                "" => Self::Elsewhere,
                name if name == "localhost" || name.ends_with(".localhost") => Self::Loopback,
                name if name.contains('.') => Self::Elsewhere,
                _ => Self::Dotless,
            },
            Some(Host::Ipv4(address)) if address.is_loopback() => Self::Loopback,
            Some(Host::Ipv6(address)) if IpAddr::V6(address).to_canonical().is_loopback() => Self::Loopback,
            _ => Self::Elsewhere,
        }
    }
}

// === impl HttpPolicy ===

impl HttpPolicy {
    /// Whether this policy accepts what is reached like that.
    #[must_use]
    pub const fn accepts(self, reach: Reach) -> bool {
        match reach {
            Reach::Secure | Reach::Loopback | Reach::Dotless => true,
            Reach::Elsewhere => matches!(self, Self::Anywhere),
        }
    }

    /// Whether `url` may be used: https, or http where this policy accepts it.
    #[must_use]
    pub fn permits(self, url: &Url) -> bool {
        Reach::of(url).is_some_and(|reach| self.accepts(reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn this_machine_has_many_names() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("idp.localhost", true),
            ("127.0.0.2", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
            ("redis", false),
        ] {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }

    #[test]
    fn http_is_for_loopback_and_dotless_names() {
        for text in [
            "http://localhost",
            "http://localhost.",
            "http://LOCALHOST",
            "http://app.localhost:1/x",
            "http://127.0.0.1:80",
            "http://127.9.9.9",
            "http://2130706433",
            "http://[::1]:9",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert_eq!(Reach::of(&url(text)), Some(Reach::Loopback), "{text}");
        }
        for text in ["http://idp:8080", "http://idp."] {
            assert_eq!(Reach::of(&url(text)), Some(Reach::Dotless), "{text}");
        }
        for text in [
            "http://idp.example",
            "http://10.0.0.1",
            "http://[2001:db8::1]",
            "http://localhost.example",
            "http://host.docker.internal",
            "http://0.0.0.0",
        ] {
            assert_eq!(Reach::of(&url(text)), Some(Reach::Elsewhere), "{text}");
        }
        assert_eq!(Reach::of(&url("https://idp.example")), Some(Reach::Secure));
    }

    #[test]
    fn a_policy_permits_https_and_the_http_that_it_accepts() {
        for (text, local_only, anywhere) in [
            ("https://idp.example", true, true),
            ("http://localhost", true, true),
            ("http://idp:8080", true, true),
            ("http://idp.example", false, true),
            ("http://10.0.0.1", false, true),
            ("ftp://localhost", false, false),
            ("file:///etc/passwd", false, false),
            ("data:x", false, false),
            ("unix:/run/x", false, false),
        ] {
            assert_eq!(HttpPolicy::LocalOnly.permits(&url(text)), local_only, "{text}");
            assert_eq!(HttpPolicy::Anywhere.permits(&url(text)), anywhere, "{text}");
        }
    }
}
