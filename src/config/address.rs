//! URLs and origins in a configuration.

use std::fmt;

use url::Url;

use super::problem::Complaint;
use crate::{quote::quote, url_policy::Reach};

/// A longer URL is refused, in bytes.
const MAX_URL_LENGTH: usize = 2_048;
/// An example of an origin.
const ORIGIN: &str = "https://host";
/// A longer URL is not suggested, in characters.
const MAX_SUGGESTED: usize = 200;

/// `scheme://host[:port]`, `http` or `https` (RFC 6454).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Url);

// === impl Origin ===

impl Origin {
    /// The origin of `url`, if it is one of `http` or `https`.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        Url::parse(&url.origin().ascii_serialization()).ok().map(Self)
    }

    /// Reads an origin; a trailing slash does not matter.
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let url = web_url_like(text, ORIGIN)?;
        let origin = Self::of(&url).ok_or_else(|| not_web(ORIGIN))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if bare {
            Ok(origin)
        } else {
            Err(Complaint::new(
                "is more than an origin",
                format!("write `{origin}`: scheme, host and port, without path, query or fragment"),
            ))
        }
    }

    /// The origin as a URL with the path `/`.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of `path`, which begins with a slash, at this origin.
    #[must_use]
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host and port as a browser sends them in `Host`: without the default port of the scheme.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The host without port; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// How it would be reached.
    pub(super) fn reach(&self) -> Reach {
        reach(&self.0)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As browsers send it in `Origin`, without the slash that a URL ends with.
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// How `url`, which is one of `http` or `https`, would be reached.
pub(super) fn reach(url: &Url) -> Reach {
    Reach::of(url).unwrap_or(Reach::Elsewhere)
}

/// Whether a host can have this name (RFC 1035 section 2.3.4). The parser of URLs lets a `*`, other characters and empty
/// labels pass, and such an entry of a list could match nothing.
fn is_host_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && name
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(usual))
}

fn not_web(example: &str) -> Complaint {
    Complaint::new("is not an http or https URL", write_like(example))
}

fn write_like(example: &str) -> String {
    format!("write a URL like `{example}`")
}

/// An absolute `http` or `https` URL with a host and without credentials, in its normal form: text that is compared
/// with registered or signed text must not change when it is parsed.
pub(super) fn web_url(text: &str) -> Result<Url, Complaint> {
    web_url_like(text, "https://host/path")
}

/// The same; the message about another text shows `example`.
fn web_url_like(text: &str, example: &str) -> Result<Url, Complaint> {
    if text.len() > MAX_URL_LENGTH {
        return Err(Complaint::new(
            format!("is longer than {MAX_URL_LENGTH} characters"),
            "shorten it",
        ));
    }
    let url = Url::parse(text)
        .map_err(|error| Complaint::new(format!("is not a URL ({error})"), write_like(example)))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(not_web(example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new(
            "holds a user name or password",
            "remove everything up to the `@`; credentials have variables of their own",
        ));
    }
    if url.domain().is_some_and(|name| !is_host_name(name)) {
        return Err(Complaint::new(
            "has a host that is not a host name",
            "write the name of one host, without empty parts; there are no wildcards",
        ));
    }
    if url.port() == Some(0) {
        return Err(Complaint::new("has port 0", "write the real port"));
    }
    // `https:host`, backslashes, tabs and the like are repaired by the parser; here they are mistakes.
    let normal = url.as_str();
    let same =
        normal == text || normal.strip_suffix('/').is_some_and(|normal| normal == text) && url.path() == "/";
    if !same {
        let normal = if text.ends_with('/') {
            normal
        } else {
            normal.trim_end_matches('/')
        };
        // A query may contain a secret, and half a URL is useless.
        let fix = if url.query().is_none() && normal.len() <= MAX_SUGGESTED {
            format!("write {}", quote(normal, '`', MAX_SUGGESTED))
        } else {
            "write it in that form".to_owned()
        };
        return Err(Complaint::new(
            "is not in its normal form (lower-case host, no default port, nothing that a parser would repair)",
            fix,
        ));
    }
    Ok(url)
}

/// As [`web_url`], without query and fragment.
pub(super) fn plain_url(text: &str) -> Result<Url, Complaint> {
    if text.contains(['?', '#']) {
        return Err(Complaint::new(
            "has a query or fragment",
            "remove everything from the `?` or `#` on",
        ));
    }
    web_url(text)
}

/// As [`plain_url`]. An issuer may name the default port of its scheme, and its host with capital letters: it is compared
/// to the letter, and some providers write it so.
pub(super) fn issuer_url(text: &str) -> Result<Url, Complaint> {
    let lower = with_lower_case_host(text);
    let text = lower.as_deref().unwrap_or(text);
    match without_default_port(text) {
        Some(shorter) => plain_url(&shorter),
        None => plain_url(text),
    }
}

/// `text` with the host of its URL in lower case, if it has capital letters.
fn with_lower_case_host(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let lower = authority.to_ascii_lowercase();
    (lower != authority).then(|| format!("{scheme}://{lower}{path}"))
}

/// `text` without `:443` after the host of an `https` URL, or `:80` of an `http` one.
fn without_default_port(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.strip_suffix(port)?;
    // The rest must not have its own port: not `host:443:80`.
    let is_host = host.ends_with(']') || !host.contains(':');
    is_host.then(|| format!("{scheme}://{host}{path}"))
}

/// As [`web_url`], without fragment: endpoints may have a query (RFC 6749 section 3.1).
pub(super) fn endpoint_url(text: &str) -> Result<Url, Complaint> {
    if text.contains('#') {
        return Err(Complaint::new(
            "has a fragment",
            "remove everything from the `#` on",
        ));
    }
    web_url(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_issuer_may_name_its_default_port() {
        for text in [
            "https://am.example:443/am/oauth2",
            "https://am.example:443",
            "https://am.example:443/",
            "http://localhost:80/x",
            "https://[2001:db8::1]:443/x",
            "https://am.example/am/oauth2",
            "https://am.example:8443/am/oauth2",
            "https://AM.example:443/",
            "https://IDP.Example/Realms/One",
        ] {
            assert!(issuer_url(text).is_ok(), "{text}");
        }
        for text in [
            "https://am.example:0443/",
            "https://am.example:/",
            "HTTPS://am.example/",
            "https://am.example:443:443/",
            "http://localhost:443:80/",
            "https://user@am.example:443/",
            "https://am.example:443/?x",
            "https://am.example:443#x",
            "https://:443/",
            "ftp://am.example:21/",
        ] {
            assert!(issuer_url(text).is_err(), "{text}");
        }
        // Nowhere else: redirect URIs and origins are compared in their normal form.
        assert!(plain_url("https://am.example:443/").is_err());
        assert!(endpoint_url("https://am.example:443/").is_err());
    }

    #[test]
    fn origins() {
        for (text, shown) in [
            ("https://bff.example", "https://bff.example"),
            ("https://bff.example/", "https://bff.example"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "https://bff.example/x",
            "https://bff.example?x",
            "https://bff.example#x",
            "https://bff.example:443",
            "https://BFF.example",
            "https:bff.example",
            "https:\\\\bff.example",
            "https://bff.example\t",
            " https://bff.example",
            "https://user@bff.example",
            "https://bff.example:0",
            "bff.example",
            "//bff.example",
            "ftp://bff.example",
            "javascript:alert(1)",
            "null",
            "*",
            "",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
        // No path is suggested, which would be refused next.
        for text in ["localhost:8700", "foo"] {
            let complaint = Origin::parse(text).unwrap_err();
            assert_eq!(complaint.fix, "write a URL like `https://host`", "{text}");
            let complaint = plain_url(text).unwrap_err();
            assert_eq!(complaint.fix, "write a URL like `https://host/path`", "{text}");
        }
        let complaint = Origin::parse("https://BFF.example:443").unwrap_err();
        assert_eq!(complaint.fix, "write `https://bff.example`");
        assert_eq!(
            Origin::parse("https://a").unwrap().at("/auth/callback").as_str(),
            "https://a/auth/callback"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_passes_is_unchanged(text in "(https?:[/\\\\]{0,3})?[a-zA-Z0-9.:@\\[\\]/?#%\t é-]{0,40}") {
            if let Ok(url) = web_url(&text) {
                prop_assert_eq!(url.as_str().trim_end_matches('/'), text.trim_end_matches('/'));
            }
            let _ = Origin::parse(&text);
        }
    }
}
