//! Who a provider is, how to reach it, and which URLs are acceptable.

use std::borrow::Cow;

use url::{Origin, Url};

use crate::{diagnostic::Knob, url_policy::HttpPolicy};

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

// === impl ProviderOptions ===

impl ProviderOptions {
    /// Whether the issuer is merely the value of `IDP_BASE_URL`, because none is configured.
    pub(super) fn issuer_is_base_url(&self) -> bool {
        let trimmed = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let issuer = Url::parse(&self.issuer).ok();
        let base = self.base_url.as_ref();
        base.is_some_and(|base| issuer.is_some_and(|issuer| trimmed(base) == trimmed(&issuer)))
    }

    /// The same for an issuer that is configured by itself: an equal `IDP_BASE_URL` moves nothing, and stands for nothing.
    #[must_use]
    pub fn with_explicit_issuer(self) -> Self {
        Self {
            base_url: self.base_url.clone().filter(|_| !self.issuer_is_base_url()),
            ..self
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
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
}
