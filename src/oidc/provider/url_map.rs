//! The addresses of a provider: as the world sees them, as this process reaches them, and as browsers do.

use url::Url;

/// Moves URLs between the form that the world sees and the form in which this process reaches the provider.
///
/// If `IDP_BASE_URL` has a path, that path replaces the issuer's; otherwise only the origin is replaced.
#[derive(Clone, Debug)]
pub struct UrlMap {
    issuer: Url,
    base: Option<Url>,
    /// The replacement for the issuer in URLs for browsers.
    browsers: Option<Url>,
}

// === impl UrlMap ===

impl UrlMap {
    /// The map for an issuer and how to reach it.
    #[must_use]
    pub const fn new(issuer: Url, base: Option<Url>) -> Self {
        Self {
            issuer,
            base,
            browsers: None,
        }
    }

    /// The same, where browsers reach the issuer at `browsers`.
    #[must_use]
    pub fn with_browsers_at(self, browsers: Option<Url>) -> Self {
        Self { browsers, ..self }
    }

    /// `url` as browsers reach it: as the world sees it, and at the issuer's origin moved to `IDP_PUBLIC_BASE`.
    #[must_use]
    pub fn for_browsers(&self, url: Url) -> Url {
        let url = self.public(url);
        match &self.browsers {
            Some(browsers) => moved(url, &self.issuer, browsers, has_path(browsers)),
            None => url,
        }
    }

    /// The issuer.
    pub(super) const fn issuer(&self) -> &Url {
        &self.issuer
    }

    /// `url` as this process reaches it: at the issuer's origin it moves to `IDP_BASE_URL`, elsewhere it stays.
    #[must_use]
    pub fn back_channel(&self, url: Url) -> Url {
        match &self.base {
            Some(base) => moved(url, &self.issuer, base, has_path(base)),
            None => url,
        }
    }

    /// `url` as the world sees it: at the origin of `IDP_BASE_URL` it moves to the issuer's, elsewhere it stays.
    #[must_use]
    pub fn public(&self, url: Url) -> Url {
        match &self.base {
            Some(base) => moved(url, base, &self.issuer, has_path(base)),
            None => url,
        }
    }
}

fn has_path(url: &Url) -> bool {
    !matches!(url.path(), "" | "/")
}

fn moved(mut url: Url, from: &Url, to: &Url, with_path: bool) -> Url {
    if url.origin() != from.origin() {
        return url;
    }
    let original = url.clone();
    // None of these fails between two http(s) URLs; if one did, half a move would be worse than none.
    let origin_moved = url.set_scheme(to.scheme()).is_ok()
        && url.set_host(to.host_str()).is_ok()
        && url.set_port(to.port()).is_ok();
    if !origin_moved {
        return original;
    }
    if with_path {
        let (old, new) = (from.path().trim_end_matches('/'), to.path().trim_end_matches('/'));
        if let Some(rest) = original.path().strip_prefix(old)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            url.set_path(&format!("{new}{rest}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn map(issuer: &str, base: &str) -> UrlMap {
        UrlMap::new(url(issuer), Some(url(base)))
    }

    #[test]
    fn without_a_path_only_the_origin_is_replaced() {
        let map = map("https://idp.example/realms/x", "http://idp:8080");
        let there = |text: &str| map.back_channel(url(text)).to_string();
        let back = |text: &str| map.public(url(text)).to_string();
        assert_eq!(
            there("https://idp.example/realms/x/token?a=b"),
            "http://idp:8080/realms/x/token?a=b"
        );
        assert_eq!(
            there("https://idp.example/oauth/token"),
            "http://idp:8080/oauth/token"
        );
        assert_eq!(
            there("https://other.example/token"),
            "https://other.example/token"
        );
        assert_eq!(
            there("https://idp.example:8443/token"),
            "https://idp.example:8443/token"
        );
        assert_eq!(
            back("http://idp:8080/realms/x/auth"),
            "https://idp.example/realms/x/auth"
        );
        assert_eq!(back("http://idp/auth"), "http://idp/auth");
    }

    #[test]
    fn a_path_stands_for_the_path_of_the_issuer() {
        let map = map("https://idp.example/realms/x", "http://gateway:8080/idp/");
        let there = |text: &str| map.back_channel(url(text)).to_string();
        assert_eq!(
            there("https://idp.example/realms/x/token"),
            "http://gateway:8080/idp/token"
        );
        assert_eq!(
            there("https://idp.example/realms/xy/token"),
            "http://gateway:8080/realms/xy/token"
        );
        assert_eq!(
            map.public(url("http://gateway:8080/idp/auth")).as_str(),
            "https://idp.example/realms/x/auth"
        );
    }

    #[test]
    fn browsers_are_sent_to_the_public_base_and_this_process_is_not() {
        let map = UrlMap::new(url("http://idp-app:8002/api/oidc"), None)
            .with_browsers_at(Some(url("https://idp.example")));
        let authorize = url("http://idp-app:8002/api/oidc/authorize?a=b");
        assert_eq!(
            map.for_browsers(authorize.clone()).as_str(),
            "https://idp.example/api/oidc/authorize?a=b"
        );
        assert_eq!(map.back_channel(authorize.clone()), authorize);
        assert_eq!(map.public(authorize.clone()), authorize);
        let elsewhere = url("https://login.example/authorize");
        assert_eq!(map.for_browsers(elsewhere.clone()), elsewhere);
    }

    #[test]
    fn nothing_moves_without_a_base() {
        let map = UrlMap::new(url("https://idp.example"), None);
        let somewhere = url("https://idp.example/token");
        assert_eq!(map.back_channel(somewhere.clone()), somewhere);
        assert_eq!(map.public(somewhere.clone()), somewhere);
    }
}
