//! The hosts on which people log in, each with its registered redirect URI.

use url::{Host, Origin, Url};

/// A registered redirect URI and its derived values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginHost {
    redirect_uri: String,
    origin: Url,
    authority: Authority,
}

/// The registered redirect URIs by host.
///
/// A browser's `Host` only selects one of them; nothing of the request enters a URL.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// Never empty; the first one is the fallback.
    hosts: Vec<LoginHost>,
    dynamic: bool,
}

/// Why there are no hosts for logins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Neither redirect URIs nor a fallback.
    #[error("no redirect URI is known")]
    Empty,
    /// Not an absolute http(s) URL with a host.
    #[error("`{0}` is no redirect URI: it must be an absolute http(s) URL")]
    NotAUrl(String),
}

/// A host and its port, the default port of the scheme left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: Option<u16>,
    default_port: u16,
}

// === impl LoginHost ===

impl LoginHost {
    fn new(redirect_uri: &str) -> Result<Self, HostsError> {
        let refused = || HostsError::NotAUrl(redirect_uri.to_owned());
        let url = Url::parse(redirect_uri).map_err(|_| refused())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused());
        }
        let host = url.host().ok_or_else(refused)?.to_owned();
        let default_port = if url.scheme() == "https" { 443 } else { 80 };
        let authority = Authority {
            host,
            port: url.port(),
            default_port,
        };
        let mut origin = url;
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        Ok(Self {
            redirect_uri: redirect_uri.to_owned(),
            origin,
            authority,
        })
    }

    /// The redirect URI, exactly as it was registered (RFC 6749 section 3.1.2.3).
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The origin as a URL with the path `/`.
    #[must_use]
    pub const fn origin(&self) -> &Url {
        &self.origin
    }

    /// Host and port, for comparison.
    #[must_use]
    pub fn authority(&self) -> String {
        self.origin.authority().to_owned()
    }
}

// === impl Hosts ===

impl Hosts {
    /// The hosts of `redirect_uris`, and `fallback` for browsers on any other host. With `dynamic` off, only
    /// `fallback` is used.
    ///
    /// # Errors
    ///
    /// [`HostsError`] if a URI is invalid or there are none.
    pub fn new(redirect_uris: &[String], fallback: Option<&str>, dynamic: bool) -> Result<Self, HostsError> {
        let mut hosts = Vec::new();
        for uri in fallback
            .into_iter()
            .chain(redirect_uris.iter().map(String::as_str))
        {
            let host = LoginHost::new(uri)?;
            if !hosts
                .iter()
                .any(|known: &LoginHost| known.authority == host.authority)
            {
                hosts.push(host);
            }
        }
        if hosts.is_empty() {
            return Err(HostsError::Empty);
        }
        Ok(Self { hosts, dynamic })
    }

    /// The target for people on a host without a redirect URI.
    #[must_use]
    pub fn fallback(&self) -> &LoginHost {
        &self.hosts[0]
    }

    /// The login host for a browser that sent `host` (`Host`, or `X-Forwarded-Host` of a listed proxy).
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&LoginHost> {
        let hosts = if self.dynamic {
            &self.hosts[..]
        } else {
            &self.hosts[..1]
        };
        among(hosts, host)
    }

    /// Whether a browser's host selects the redirect URI (`BFF_DYNAMIC_CALLBACK`).
    #[must_use]
    pub const fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    /// Our own host that `host` names, whether or not people log in on it.
    #[must_use]
    pub fn own(&self, host: &str) -> Option<&LoginHost> {
        among(&self.hosts, host)
    }

    /// Whether `origin` is one of ours.
    #[must_use]
    pub fn is_own_origin(&self, origin: &Origin) -> bool {
        self.hosts.iter().any(|host| host.origin.origin() == *origin)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &LoginHost> {
        self.hosts.iter()
    }
}

// === impl Authority ===

impl Authority {
    /// Whether a `Host` header means this authority. Compared as a parsed host, so that case or an explicit default
    /// port make no difference.
    fn is(&self, header: &str) -> bool {
        let Some((name, port)) = split_port(header, self.default_port) else {
            return false;
        };
        port == self.port.unwrap_or(self.default_port)
            && Host::parse(name).is_ok_and(|host| host == self.host)
    }
}

/// The host that `host` names.
fn among<'a>(hosts: &'a [LoginHost], host: &str) -> Option<&'a LoginHost> {
    // As nearly every browser sends it; other spellings are for the parser.
    let verbatim = hosts.iter().find(|known| known.origin.authority() == host);
    verbatim.or_else(|| hosts.iter().find(|known| known.authority.is(host)))
}

/// Splits `host[:port]`; `None` if the port is not a number.
fn split_port(header: &str, default_port: u16) -> Option<(&str, u16)> {
    // The colons of an IPv6 address are in brackets.
    let after_bracket = header.rfind(']').map_or(0, |at| at + 1);
    match header[after_bracket..].find(':') {
        None => Some((header, default_port)),
        Some(colon) => {
            let colon = after_bracket + colon;
            Some((&header[..colon], header[colon + 1..].parse().ok()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(dynamic: bool) -> Hosts {
        let uris = [
            "https://automate.example/auth/callback",
            "https://authn.example:8443/auth/callback",
            "http://app.localhost:8000/auth/callback",
        ];
        Hosts::new(
            &uris.map(str::to_owned),
            Some("https://bff.example/auth/callback"),
            dynamic,
        )
        .unwrap()
    }

    fn found(host: &str) -> Option<String> {
        hosts(true).find(host).map(|host| host.redirect_uri().to_owned())
    }

    #[test]
    fn the_browsers_host_selects_a_registered_uri_as_it_stands() {
        assert_eq!(
            found("automate.example").as_deref(),
            Some("https://automate.example/auth/callback")
        );
        assert_eq!(
            found("AUTOMATE.example:443").as_deref(),
            Some("https://automate.example/auth/callback")
        );
        assert_eq!(
            found("authn.example:8443").as_deref(),
            Some("https://authn.example:8443/auth/callback")
        );
        assert_eq!(
            found("app.localhost:8000").as_deref(),
            Some("http://app.localhost:8000/auth/callback")
        );
        assert_eq!(
            found("bff.example").as_deref(),
            Some("https://bff.example/auth/callback")
        );
    }

    #[test]
    fn an_unknown_host_selects_nothing() {
        for host in [
            "",
            "evil.example",
            "authn.example",
            "automate.example:80",
            "automate.example:https",
            "automate.example@evil.example",
            "automate.example/x",
            "automate.example.",
            "[::1",
            "app.localhost:80000",
        ] {
            assert_eq!(found(host), None, "{host}");
        }
    }

    #[test]
    fn without_dynamic_callbacks_only_the_fallback_is_used() {
        assert!(hosts(false).find("automate.example").is_none());
        assert!(hosts(false).find("bff.example").is_some());
        assert_eq!(
            hosts(false).fallback().redirect_uri(),
            "https://bff.example/auth/callback"
        );
    }

    #[test]
    fn what_is_no_redirect_uri_is_refused() {
        assert_eq!(Hosts::new(&[], None, true).unwrap_err(), HostsError::Empty);
        for uri in ["nonsense", "ftp://a.example/auth/callback", "/auth/callback"] {
            assert_eq!(
                Hosts::new(&[uri.to_owned()], None, true).unwrap_err(),
                HostsError::NotAUrl(uri.to_owned())
            );
        }
    }

    proptest! {
        #[test]
        fn no_host_header_panics(header in ".{0,64}") {
            let _ = hosts(true).find(&header);
        }
    }
}
