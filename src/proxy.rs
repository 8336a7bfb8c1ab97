//! Proxies on the way out (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`): which calls to the identity provider and to services
//! pass which of them.
//!
//! Calls over `https` pass a proxy in a tunnel (CONNECT, RFC 9110 section 9.3.6). For calls over plain `http`, the
//! proxy receives the whole URL (absolute form, RFC 9112 section 3.2.2): many proxies open tunnels only to port 443.
//! Calls to this machine use no proxy.

mod direct;
mod failure;

#[cfg(test)]
pub(crate) mod testing;

use std::{fmt, net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

pub use self::direct::Direct;
use crate::{diagnostic::Knob, secret::Secret};

/// The proxies and the exceptions. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Arc<Inner>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Inner {
    https: Option<Proxy>,
    http: Option<Proxy>,
    direct: Vec<Direct>,
}

/// One proxy. Its `Display` is host, port and variable; its credentials are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    variable: &'static str,
    knob: Knob,
    url: Url,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// The mistake in a value, and the fix. Neither text quotes the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The mistake.
    pub message: String,
    /// The fix.
    pub fix: &'static str,
}

// === impl Proxies ===

impl Proxies {
    /// `https` for calls over `https`, `http` for calls over plain `http`, neither for hosts in `direct`.
    #[must_use]
    pub fn new(https: Option<Proxy>, http: Option<Proxy>, direct: Vec<Direct>) -> Self {
        let of = |knob| move |proxy: Proxy| Proxy { knob, ..proxy };
        Self(Arc::new(Inner {
            https: https.map(of(Knob::HttpsProxy)),
            http: http.map(of(Knob::HttpProxy)),
            direct,
        }))
    }

    /// Whether no call passes a proxy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.https.is_none() && self.0.http.is_none()
    }

    /// Each of them, for `https` first.
    pub fn all(&self) -> impl Iterator<Item = &Proxy> {
        self.0.https.iter().chain(&self.0.http)
    }

    /// The proxy that a call to `url` passes.
    #[must_use]
    pub fn of_url(&self, url: &Url) -> Option<&Proxy> {
        self.find(url.scheme(), url.host_str()?, url.port_or_known_default()?)
    }

    /// The proxy that a call to `uri` passes.
    #[must_use]
    pub fn of_uri(&self, uri: &Uri) -> Option<&Proxy> {
        let scheme = uri.scheme_str()?;
        let usual = if scheme == "https" { 443 } else { 80 };
        self.find(scheme, uri.host()?, uri.port_u16().unwrap_or(usual))
    }

    /// The entries of `NO_PROXY`.
    #[must_use]
    pub fn direct(&self) -> &[Direct] {
        &self.0.direct
    }

    fn find(&self, scheme: &str, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = match scheme {
            "https" => self.0.https.as_ref()?,
            "http" => self.0.http.as_ref()?,
            _ => return None,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = name.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let is_here = match address {
            Some(address) => address.is_loopback(),
            None => name == "localhost" || name.ends_with(".localhost"),
        };
        let is_direct = |direct: &Direct| direct.covers(&name, address, port);
        (!is_here && !self.0.direct.iter().any(is_direct)).then_some(proxy)
    }
}

// === impl Proxy ===

impl Proxy {
    /// Reads `http://host:port`, `host:port`, each perhaps with `user:password@` before the host, as the value of
    /// `variable`.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn parse(variable: &'static str, text: &str) -> Result<Self, Mistake> {
        const FIX: &str =
            "write `http://host:port`, if needed with `user:password@` before the host, both percent-encoded";
        let wrong = |message: &str| Mistake {
            message: message.to_owned(),
            fix: FIX,
        };
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let mut url =
            Url::parse(&whole).map_err(|error| wrong(&format!("is not the URL of a proxy ({error})")))?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(wrong(
                    "is a proxy that is itself reached by https, which is not supported",
                ));
            }
            "socks4" | "socks4a" | "socks5" | "socks5h" => {
                return Err(wrong("is a SOCKS proxy, which is not supported"));
            }
            _ => return Err(wrong("is not the URL of an http proxy")),
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has more than a host and a port"));
        }
        if url.port() == Some(0) {
            return Err(wrong("has port 0"));
        }
        let authorization = basic(&url).map_err(wrong)?;
        // Neither of these fails for a URL with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let uri = Uri::try_from(url.as_str()).map_err(|_| wrong("has no usable host"))?;
        Ok(Self {
            variable,
            knob: Knob::HttpProxy,
            url,
            uri,
            authorization,
        })
    }

    /// Its address, without credentials.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The same.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The setting that names it.
    #[must_use]
    pub const fn knob(&self) -> Knob {
        self.knob
    }

    /// Its `Proxy-Authorization`; no other party receives it.
    #[must_use]
    pub const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

/// `Basic` credentials from user name and password of a URL (RFC 7617).
fn basic(url: &Url) -> Result<Option<HeaderValue>, &'static str> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| -> Vec<u8> { percent_decode_str(text).collect() };
    let (user, password) = (
        decoded(url.username()),
        decoded(url.password().unwrap_or_default()),
    );
    if user.contains(&b':') {
        return Err("has a user name with a colon, which cannot be sent");
    }
    let credentials = zeroize::Zeroizing::new([user.as_slice(), b":", &password].concat());
    let text = Secret::from(format!("Basic {}", STANDARD.encode(&*credentials)).as_str());
    let mut value =
        HeaderValue::from_str(text.expose()).map_err(|_| "has credentials that cannot be sent")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        write!(f, "{host}:{port} ({})", self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests;
