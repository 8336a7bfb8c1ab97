//! The provider's metadata document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2) as we use it.

mod confused;
mod endpoint;

use serde_json::{Map, Value};
use url::Url;

use self::endpoint::Endpoints;
pub(super) use self::endpoint::{AUTHORIZATION, END_SESSION, Endpoint, PAR, REVOCATION, TOKEN, USER_INFO};
pub use self::{confused::ConfusedEndpoint, endpoint::EndpointError};
use super::{ProviderOptions, UrlMap, discovery::displayable};
use crate::jose::Algorithm;

/// The maximum number and length of the entries that are read from a list.
const MAX_ENTRIES: usize = 200;
const MAX_ENTRY: usize = 200;

/// The provider's metadata. Every URL has the form for its use: back-channel endpoints as this process reaches them,
/// browser endpoints with their public address.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The issuer identifier, exactly as configured.
    pub issuer: String,
    /// The login endpoint for browsers.
    pub authorization_endpoint: Url,
    /// The token endpoint as this process reaches it.
    pub token_endpoint: Url,
    /// The public URL of the token endpoint, which an assertion may name as its audience.
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
    /// The algorithms for client assertions.
    pub token_auth_signing_algs: Option<Vec<String>>,
    /// The ID token algorithms of the provider that we verify; RS256 if it lists none.
    pub id_token_algorithms: Vec<Algorithm>,
    /// Grants that the provider lists (RFC 8414 section 2).
    pub grant_types: Option<Vec<String>>,
    /// Resources that the provider lists (RFC 9728 section 4).
    pub protected_resources: Option<Vec<String>>,
    /// PKCE methods that the provider lists (RFC 8414).
    pub code_challenge_methods: Option<Vec<String>>,
    /// Authorization responses carry `iss` (RFC 9207 section 3).
    pub iss_parameter_supported: bool,
    /// Authorization requests must be pushed (RFC 9126 section 5).
    pub require_par: bool,
    /// The provider notifies clients of logouts (OpenID Connect Back-Channel Logout 1.0 section 2.1).
    pub backchannel_logout: LogoutSupport,
    /// A page of the provider notifies clients of logouts in frames (OpenID Connect Front-Channel Logout 1.0 section
    /// 3).
    pub frontchannel_logout: LogoutSupport,
    /// Optional endpoints that the document names and that cannot be used, which count as absent.
    pub left_out: Vec<EndpointError>,
    /// Endpoints that the settings name with the address of another one.
    pub confused: Vec<ConfusedEndpoint>,
    map: UrlMap,
}

/// How the provider notifies clients of logouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogoutSupport {
    /// Nothing.
    #[default]
    None,
    /// That a person has logged out.
    Supported,
    /// That, and with which `sid`.
    WithSession,
}

/// Reads the members that are not endpoints.
struct Reader<'a> {
    document: &'a Map<String, Value>,
}

// === impl Metadata ===

impl Metadata {
    /// Reads a document whose `issuer` has been checked.
    pub(in crate::oidc) fn read(
        document: &Map<String, Value>,
        options: &ProviderOptions,
        map: UrlMap,
    ) -> Result<Self, EndpointError> {
        let reader = Reader { document };
        let mut endpoints = Endpoints::new(document, options, &map);
        Ok(Self {
            issuer: options.issuer.clone(),
            authorization_endpoint: endpoints.required(endpoint::AUTHORIZATION)?,
            token_endpoint: endpoints.required(endpoint::TOKEN)?,
            token_endpoint_public: endpoints.public_token_endpoint(),
            jwks_uri: endpoints.required(endpoint::JWKS)?,
            par_endpoint: endpoints.optional(endpoint::PAR)?,
            userinfo_endpoint: endpoints.optional(endpoint::USER_INFO)?,
            end_session_endpoint: endpoints.optional(endpoint::END_SESSION)?,
            revocation_endpoint: endpoints.optional(endpoint::REVOCATION)?,
            introspection_endpoint: endpoints.optional(endpoint::INTROSPECTION)?,
            registration_endpoint: endpoints.optional(endpoint::REGISTRATION)?,
            scopes_supported: reader.list("scopes_supported"),
            token_auth_methods: reader.list("token_endpoint_auth_methods_supported"),
            token_auth_signing_algs: reader.list("token_endpoint_auth_signing_alg_values_supported"),
            id_token_algorithms: reader.id_token_algorithms(),
            grant_types: reader.list("grant_types_supported"),
            protected_resources: reader.list("protected_resources"),
            code_challenge_methods: reader.list("code_challenge_methods_supported"),
            iss_parameter_supported: reader.flag("authorization_response_iss_parameter_supported"),
            require_par: reader.flag("require_pushed_authorization_requests"),
            backchannel_logout: reader.logout("backchannel"),
            frontchannel_logout: reader.logout("frontchannel"),
            confused: ConfusedEndpoint::among(&endpoints.used),
            left_out: endpoints.left_out,
            map,
        })
    }

    /// Whether the provider lists `grant`. A list that is missing means the code and the implicit grant (OpenID Connect
    /// Discovery 1.0 section 3).
    #[must_use]
    pub fn offers_grant(&self, grant: &str) -> bool {
        self.grant_types.iter().flatten().any(|listed| listed == grant)
    }

    /// The metadata of a provider of which only the settings speak. Browsers are never sent there, so that every endpoint
    /// that the settings leave out stands at `place`.
    #[must_use]
    pub fn of_settings(options: &ProviderOptions, place: &Url) -> Option<Self> {
        let mut options = options.clone();
        let overrides = &mut options.overrides;
        for endpoint in [
            &mut overrides.authorization,
            &mut overrides.token,
            &mut overrides.jwks,
        ] {
            endpoint.get_or_insert_with(|| place.clone());
        }
        let issuer = Url::parse(&options.issuer).ok()?;
        Self::read(&Map::new(), &options, UrlMap::new(issuer, None)).ok()
    }

    /// The same with a token endpoint that the settings name.
    #[must_use]
    pub fn with_token_endpoint(&self, url: Url) -> Self {
        Self {
            token_endpoint: url,
            ..self.clone()
        }
    }

    /// How URLs of this provider move: for `registration_client_uri`, which comes later than this document.
    #[must_use]
    pub const fn url_map(&self) -> &UrlMap {
        &self.map
    }

    /// The plain http URLs in use, except at origins that the settings name themselves.
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

// === impl Reader ===

impl Reader<'_> {
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

    /// Names that we do not verify, `none` and `HS256` among them, fall out. `EdDSA` and `Ed25519` come together.
    fn id_token_algorithms(&self) -> Vec<Algorithm> {
        match self.list("id_token_signing_alg_values_supported") {
            None => vec![Algorithm::RS256],
            Some(names) => Algorithm::ALL
                .into_iter()
                .filter(|algorithm| {
                    let mut listed = names.iter().filter_map(|name| Algorithm::from_name(name));
                    listed.any(|listed| listed.is_same_as(*algorithm))
                })
                .collect(),
        }
    }

    fn logout(&self, channel: &str) -> LogoutSupport {
        let flag = |what: &str| self.flag(&format!("{channel}_logout_{what}"));
        match (flag("supported"), flag("session_supported")) {
            (false, _) => LogoutSupport::None,
            (true, false) => LogoutSupport::Supported,
            (true, true) => LogoutSupport::WithSession,
        }
    }

    fn flag(&self, member: &str) -> bool {
        self.document.get(member).and_then(Value::as_bool) == Some(true)
    }
}

#[cfg(test)]
mod tests;
