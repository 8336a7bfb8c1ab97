//! The provider's metadata document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2) as we use it.

use serde_json::{Map, Value};
use url::Url;

use super::{DiscoveryError, EndpointOverrides, ProviderOptions, UrlMap, discovery::displayable};
use crate::jose::Algorithm;

/// Longer URLs are refused, in bytes.
const MAX_URL: usize = 2048;

/// Of a list, this many entries of this length are looked at.
const MAX_ENTRIES: usize = 200;
const MAX_ENTRY: usize = 200;

/// What the provider says of itself, with every URL in the form in which it is to be used: back-channel endpoints as
/// this process reaches them, browser endpoints as the world sees them.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The issuer identifier, exactly as configured.
    pub issuer: String,
    /// Where browsers are sent to log in.
    pub authorization_endpoint: Url,
    /// The token endpoint as this process reaches it.
    pub token_endpoint: Url,
    /// The token endpoint as the world sees it: what an assertion may name as its audience.
    pub token_endpoint_public: String,
    /// The provider's keys.
    pub jwks_uri: Url,
    /// Pushed authorization requests (RFC 9126 section 5).
    pub par_endpoint: Option<Url>,
    /// `UserInfo`.
    pub userinfo_endpoint: Option<Url>,
    /// RP-Initiated Logout 1.0; for browsers.
    pub end_session_endpoint: Option<Url>,
    /// Revocation (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// Introspection (RFC 7662).
    pub introspection_endpoint: Option<Url>,
    /// Dynamic registration (RFC 7591).
    pub registration_endpoint: Option<Url>,
    /// Scopes that the provider lists.
    pub scopes_supported: Option<Vec<String>>,
    /// How clients may authenticate at the token endpoint.
    pub token_auth_methods: Option<Vec<String>>,
    /// What may sign a client assertion.
    pub token_auth_signing_algs: Option<Vec<String>>,
    /// What may sign an ID token, as far as we verify it; RS256 where the provider lists nothing.
    pub id_token_algorithms: Vec<Algorithm>,
    /// PKCE methods that the provider lists (RFC 8414).
    pub code_challenge_methods: Option<Vec<String>>,
    /// Authorization responses carry `iss` (RFC 9207 section 3).
    pub iss_parameter_supported: bool,
    /// Authorization requests must be pushed (RFC 9126 section 5).
    pub require_par: bool,
    map: UrlMap,
}

/// An endpoint: what it is called in the document and in our configuration.
#[derive(Clone, Copy)]
struct Endpoint {
    member: &'static str,
    variable: &'static str,
    configured: fn(&EndpointOverrides) -> Option<&Url>,
    for_browsers: bool,
}

const AUTHORIZATION: Endpoint = Endpoint {
    member: "authorization_endpoint",
    variable: "OIDC_AUTHORIZATION_URL",
    configured: |overrides| overrides.authorization.as_ref(),
    for_browsers: true,
};
const TOKEN: Endpoint = Endpoint {
    member: "token_endpoint",
    variable: "OIDC_TOKEN_URL",
    configured: |overrides| overrides.token.as_ref(),
    for_browsers: false,
};
const JWKS: Endpoint = Endpoint {
    member: "jwks_uri",
    variable: "OIDC_JWKS_URL",
    configured: |overrides| overrides.jwks.as_ref(),
    for_browsers: false,
};
const PAR: Endpoint = Endpoint {
    member: "pushed_authorization_request_endpoint",
    variable: "OIDC_PAR_URL",
    configured: |overrides| overrides.par.as_ref(),
    for_browsers: false,
};
const USER_INFO: Endpoint = Endpoint {
    member: "userinfo_endpoint",
    variable: "OIDC_USERINFO_URL",
    configured: |overrides| overrides.user_info.as_ref(),
    for_browsers: false,
};
const END_SESSION: Endpoint = Endpoint {
    member: "end_session_endpoint",
    variable: "OIDC_END_SESSION_URL",
    configured: |overrides| overrides.end_session.as_ref(),
    for_browsers: true,
};
const REVOCATION: Endpoint = Endpoint {
    member: "revocation_endpoint",
    variable: "OIDC_REVOCATION_URL",
    configured: |overrides| overrides.revocation.as_ref(),
    for_browsers: false,
};
const INTROSPECTION: Endpoint = Endpoint {
    member: "introspection_endpoint",
    variable: "OIDC_INTROSPECTION_URL",
    configured: |overrides| overrides.introspection.as_ref(),
    for_browsers: false,
};
const REGISTRATION: Endpoint = Endpoint {
    member: "registration_endpoint",
    variable: "DCR_REGISTRATION_URL",
    configured: |overrides| overrides.registration.as_ref(),
    for_browsers: false,
};

struct Reader<'a> {
    document: &'a Map<String, Value>,
    options: &'a ProviderOptions,
    map: &'a UrlMap,
}

// === impl Metadata ===

impl Metadata {
    /// Reads a document whose `issuer` has been checked.
    pub(super) fn read(
        document: &Map<String, Value>,
        options: &ProviderOptions,
        map: UrlMap,
    ) -> Result<Self, DiscoveryError> {
        let reader = Reader {
            document,
            options,
            map: &map,
        };
        Ok(Self {
            issuer: options.issuer.clone(),
            authorization_endpoint: reader.required(AUTHORIZATION)?,
            token_endpoint: reader.required(TOKEN)?,
            token_endpoint_public: reader.public_token_endpoint(),
            jwks_uri: reader.required(JWKS)?,
            par_endpoint: reader.optional(PAR)?,
            userinfo_endpoint: reader.optional(USER_INFO)?,
            end_session_endpoint: reader.optional(END_SESSION)?,
            revocation_endpoint: reader.optional(REVOCATION)?,
            introspection_endpoint: reader.optional(INTROSPECTION)?,
            registration_endpoint: reader.optional(REGISTRATION)?,
            scopes_supported: reader.list("scopes_supported"),
            token_auth_methods: reader.list("token_endpoint_auth_methods_supported"),
            token_auth_signing_algs: reader.list("token_endpoint_auth_signing_alg_values_supported"),
            id_token_algorithms: reader.id_token_algorithms(),
            code_challenge_methods: reader.list("code_challenge_methods_supported"),
            iss_parameter_supported: reader.flag("authorization_response_iss_parameter_supported"),
            require_par: reader.flag("require_pushed_authorization_requests"),
            map,
        })
    }

    /// How URLs of this provider move: for `registration_client_uri`, which comes later than this document.
    #[must_use]
    pub const fn url_map(&self) -> &UrlMap {
        &self.map
    }

    /// The URLs in use that are plain http, but for those at origins that the settings name themselves.
    pub(super) fn plain_http_elsewhere(&self, options: &ProviderOptions) -> Vec<&str> {
        let named = options.origins();
        let plain = self.plain_http().into_iter();
        plain
            .filter(|url| !named.contains(&url.origin()))
            .map(Url::as_str)
            .collect()
    }

    fn plain_http(&self) -> Vec<&Url> {
        [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            Some(&self.jwks_uri),
            self.par_endpoint.as_ref(),
            self.userinfo_endpoint.as_ref(),
            self.end_session_endpoint.as_ref(),
            self.revocation_endpoint.as_ref(),
            self.introspection_endpoint.as_ref(),
            self.registration_endpoint.as_ref(),
        ]
        .into_iter()
        .flatten()
        .filter(|url| url.scheme() == "http")
        .collect()
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn invalid(self, value: &Value) -> DiscoveryError {
        let value = match value.as_str() {
            None => "not text".to_owned(),
            Some(text) if text.contains('@') => "(not shown)".to_owned(),
            Some(text) => displayable(text),
        };
        DiscoveryError::InvalidUrl {
            member: self.member,
            value,
            variable: self.variable,
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn required(&self, endpoint: Endpoint) -> Result<Url, DiscoveryError> {
        self.optional(endpoint)?.ok_or(DiscoveryError::MissingEndpoint {
            member: endpoint.member,
            variable: endpoint.variable,
        })
    }

    fn optional(&self, endpoint: Endpoint) -> Result<Option<Url>, DiscoveryError> {
        let url = match (endpoint.configured)(&self.options.overrides) {
            Some(url) => url.clone(),
            None => match self.document.get(endpoint.member) {
                None | Some(Value::Null) => return Ok(None),
                Some(value) => {
                    let url = parsed(value).ok_or_else(|| endpoint.invalid(value))?;
                    if endpoint.for_browsers {
                        self.map.public(url)
                    } else {
                        self.map.back_channel(url)
                    }
                }
            },
        };
        if !is_endpoint(&url) {
            return Err(endpoint.invalid(&Value::from(url.as_str())));
        }
        if !self.options.allow_http.permits(&url) {
            return Err(DiscoveryError::InsecureUrl {
                member: endpoint.member,
                url: displayable(url.as_str()),
                variable: endpoint.variable,
            });
        }
        Ok(Some(url))
    }

    /// As the document spells it, unless it has to move: an audience is compared as a string.
    fn public_token_endpoint(&self) -> String {
        let spelled = match &self.options.overrides.token {
            Some(url) => url.as_str(),
            None => self
                .document
                .get(TOKEN.member)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        };
        match Url::parse(spelled) {
            Ok(url) => {
                let public = self.map.public(url.clone());
                if public == url {
                    spelled.to_owned()
                } else {
                    public.into()
                }
            }
            Err(_) => spelled.to_owned(),
        }
    }

    fn list(&self, member: &str) -> Option<Vec<String>> {
        let entries = self.document.get(member)?.as_array()?;
        Some(
            entries
                .iter()
                .take(MAX_ENTRIES)
                .filter_map(Value::as_str)
                .filter(|entry| entry.len() <= MAX_ENTRY)
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Names that we do not verify, `none` and `HS256` among them, fall out.
    fn id_token_algorithms(&self) -> Vec<Algorithm> {
        match self.list("id_token_signing_alg_values_supported") {
            None => vec![Algorithm::RS256],
            Some(names) => Algorithm::ALL
                .into_iter()
                .filter(|algorithm| names.iter().any(|name| name == algorithm.name()))
                .collect(),
        }
    }

    fn flag(&self, member: &str) -> bool {
        self.document.get(member).and_then(Value::as_bool) == Some(true)
    }
}

fn parsed(value: &Value) -> Option<Url> {
    let text = value.as_str().filter(|text| text.len() <= MAX_URL)?;
    Url::parse(text).ok()
}

/// No credentials, and no fragment (RFC 6749 sections 3.1 and 3.2).
fn is_endpoint(url: &Url) -> bool {
    url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests;
