//! Who the identity provider is, how to reach it, and which URLs are acceptable.

pub(super) mod network;

use std::borrow::Cow;

use url::{Origin, Url};

use crate::url_policy::HttpPolicy;

use crate::diagnostic::Knob;

/// Who the identity provider is and how to reach it.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// The issuer identifier (`OIDC_ISSUER`, else `IDP_BASE_URL`), compared exactly.
    pub issuer: String,
    /// The address at which this process reaches the provider (`IDP_BASE_URL`), if it differs from the issuer.
    pub base_url: Option<Url>,
    /// The address at which browsers reach the provider (`IDP_PUBLIC_BASE`), if only this process reaches the address
    /// in `issuer`. The provider may use an issuer at this origin.
    pub public_base: Option<Url>,
    /// Endpoints that win over discovery.
    pub overrides: EndpointOverrides,
    /// Hosts for which plain http is accepted.
    pub allow_http: HttpPolicy,
}

/// Endpoints from the configuration; used unchanged.
#[derive(Clone, Debug, Default)]
pub struct EndpointOverrides {
    /// `OIDC_AUTHORIZATION_URL`
    pub authorization: Option<Url>,
    /// `OIDC_TOKEN_URL`
    pub token: Option<Url>,
    /// `OIDC_JWKS_URL`
    pub jwks: Option<Url>,
    /// `OIDC_PAR_URL`
    pub par: Option<OptionalEndpoint>,
    /// `OIDC_USERINFO_URL`
    pub user_info: Option<OptionalEndpoint>,
    /// `OIDC_END_SESSION_URL`
    pub end_session: Option<OptionalEndpoint>,
    /// `OIDC_REVOCATION_URL`
    pub revocation: Option<OptionalEndpoint>,
    /// `OIDC_INTROSPECTION_URL`
    pub introspection: Option<OptionalEndpoint>,
    /// `DCR_REGISTRATION_URL`
    pub registration: Option<OptionalEndpoint>,
}

/// The configuration of an optional endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionalEndpoint {
    /// It exists; discovery does not matter.
    At(Url),
    /// It is not used, even if discovery names it (`none`).
    Off,
}

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

// === impl ProviderOptions ===

impl ProviderOptions {
    /// Whether the issuer is merely the value of `IDP_BASE_URL`, because none is configured.
    pub(super) fn issuer_is_base_url(&self) -> bool {
        let trimmed = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let issuer = Url::parse(&self.issuer).ok();
        let base = self.base_url.as_ref();
        base.is_some_and(|base| issuer.is_some_and(|issuer| trimmed(base) == trimmed(&issuer)))
    }

    /// These options for a provider with the issuer `found`. With `IDP_PUBLIC_BASE` it may use its public name, and
    /// then `OIDC_ISSUER` is the address at which this process reaches it. `None` if it is another provider.
    pub(super) fn for_issuer(&self, found: Option<&str>) -> Option<Cow<'_, Self>> {
        let found = found?;
        if found == self.issuer {
            return Some(Cow::Borrowed(self));
        }
        let public = self.public_base.as_ref()?;
        let inside = Url::parse(&self.issuer).ok()?;
        let is_public = Url::parse(found).is_ok_and(|issuer| issuer.origin() == public.origin());
        is_public.then(|| {
            Cow::Owned(Self {
                issuer: found.to_owned(),
                base_url: Some(self.base_url.clone().unwrap_or(inside)),
                public_base: None,
                ..self.clone()
            })
        })
    }

    /// The origins of all URLs that these options name.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let EndpointOverrides {
            authorization,
            token,
            jwks,
            par,
            user_info,
            end_session,
            revocation,
            introspection,
            registration,
        } = &self.overrides;
        let optional = [
            par,
            user_info,
            end_session,
            revocation,
            introspection,
            registration,
        ];
        let optional = optional.into_iter().flatten().filter_map(OptionalEndpoint::url);
        [&self.base_url, authorization, token, jwks]
            .into_iter()
            .flatten()
            .chain(optional)
            .cloned()
            .chain(Url::parse(&self.issuer).ok())
            .map(|url| url.origin())
            .collect()
    }

    /// The setting with the provider's address.
    pub(super) const fn location(&self) -> Knob {
        if self.base_url.is_some() {
            Knob::ProviderBase
        } else {
            Knob::Issuer
        }
    }
}

// === impl OptionalEndpoint ===

impl OptionalEndpoint {
    const fn url(&self) -> Option<&Url> {
        match self {
            Self::At(url) => Some(url),
            Self::Off => None,
        }
    }
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
    fn a_provider_may_use_its_known_public_name() {
        let mut options = ProviderOptions {
            issuer: "http://idp-app:8002/api/oidc".to_owned(),
            base_url: None,
            public_base: Some(url("https://idp.example")),
            overrides: EndpointOverrides::default(),
            allow_http: HttpPolicy::LocalOnly,
        };
        let same = options.for_issuer(Some("http://idp-app:8002/api/oidc")).unwrap();
        assert_eq!(same.issuer, "http://idp-app:8002/api/oidc");
        let public = options.for_issuer(Some("https://idp.example/api/oidc")).unwrap();
        assert_eq!(public.issuer, "https://idp.example/api/oidc");
        assert_eq!(public.base_url, Some(url("http://idp-app:8002/api/oidc")));
        assert!(public.public_base.is_none());
        for found in [
            None,
            Some("https://other.example"),
            Some("http://idp.example/api/oidc"),
            Some("nonsense"),
        ] {
            assert!(options.for_issuer(found).is_none(), "{found:?}");
        }
        options.public_base = None;
        assert!(options.for_issuer(Some("https://idp.example/api/oidc")).is_none());
    }

    #[test]
    fn nothing_moves_without_a_base() {
        let map = UrlMap::new(url("https://idp.example"), None);
        let somewhere = url("https://idp.example/token");
        assert_eq!(map.back_channel(somewhere.clone()), somewhere);
        assert_eq!(map.public(somewhere.clone()), somewhere);
    }
}
