//! One endpoint of the provider: its name, and whether the document's value is usable.

use serde_json::{Map, Value};
use url::Url;

use super::{
    super::{
        EndpointOverrides, OptionalEndpoint, ProviderOptions, UrlMap, discovery::displayable,
        network::is_internal,
    },
    confused::Used,
};
use crate::diagnostic::{Explain, Fix, Knob, fix};

/// Longer URLs are refused, in bytes.
const MAX_URL: usize = 2048;

/// Why an endpoint is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The document does not name it.
    #[error("the IdP's metadata has no `{member}`")]
    Missing {
        /// Its name in the document.
        member: &'static str,
        /// The setting that can replace it.
        knob: Knob,
    },
    /// It is not a URL, or has credentials or a fragment.
    #[error("`{member}` is `{value}`, which is not a usable URL")]
    Invalid {
        /// Its name in the document.
        member: &'static str,
        /// The value, shortened; nothing of it if it may contain credentials.
        value: String,
        /// The setting that can replace it.
        knob: Knob,
    },
    /// Plain http beyond the local network.
    #[error("`{member}` is {url}, which is neither https nor a local name")]
    Insecure {
        /// Its name in the document.
        member: &'static str,
        /// As it would be used, shortened.
        url: String,
        /// The setting that can replace it.
        knob: Knob,
    },
    /// A host inside a private network or on this machine, named by an issuer on the internet.
    #[error("`{member}` is {url}, which is inside a private network although the issuer is not")]
    Internal {
        /// Its name in the document.
        member: &'static str,
        /// As it would be used, shortened.
        url: String,
        /// The setting that can replace it.
        knob: Knob,
    },
}

// === impl EndpointError ===

impl EndpointError {
    /// The name of the endpoint in the document.
    #[must_use]
    pub const fn member(&self) -> &'static str {
        match self {
            Self::Missing { member, .. }
            | Self::Invalid { member, .. }
            | Self::Insecure { member, .. }
            | Self::Internal { member, .. } => member,
        }
    }
}

impl Explain for EndpointError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Missing { knob, .. } => fix!("set {}", *knob),
            Self::Invalid { knob, .. } => fix!("correct it at the IdP, or set {}", *knob),
            Self::Insecure { knob, .. } => fix!(
                "correct it at the IdP, set {}, or accept the risk with {}",
                *knob,
                Knob::AllowHttp.to("true")
            ),
            Self::Internal { knob, .. } => {
                fix!(
                    "correct it at the IdP, or set {} to that URL if it is right",
                    *knob
                )
            }
        })
    }
}

/// The names of an endpoint in the document and in our configuration, and its callers.
#[derive(Clone, Copy)]
pub(in crate::oidc::provider) struct Endpoint {
    pub(in crate::oidc::provider) member: &'static str,
    pub(in crate::oidc::provider) knob: Knob,
    for_browsers: bool,
}

/// An endpoint that every login needs.
#[derive(Clone, Copy)]
pub(in crate::oidc::provider) struct Required {
    pub(in crate::oidc::provider) endpoint: Endpoint,
    configured: fn(&EndpointOverrides) -> Option<&Url>,
}

/// An endpoint that a login can do without.
#[derive(Clone, Copy)]
pub(in crate::oidc::provider) struct Optional {
    pub(in crate::oidc::provider) endpoint: Endpoint,
    configured: fn(&EndpointOverrides) -> Option<&OptionalEndpoint>,
}

pub(in crate::oidc::provider) const AUTHORIZATION: Required = Required {
    endpoint: Endpoint::for_browsers("authorization_endpoint", Knob::AuthorizationEndpoint),
    configured: |overrides| overrides.authorization.as_ref(),
};
pub(in crate::oidc::provider) const TOKEN: Required = Required {
    endpoint: Endpoint::for_us("token_endpoint", Knob::TokenEndpoint),
    configured: |overrides| overrides.token.as_ref(),
};
pub(super) const JWKS: Required = Required {
    endpoint: Endpoint::for_us("jwks_uri", Knob::ProviderKeys),
    configured: |overrides| overrides.jwks.as_ref(),
};
pub(in crate::oidc::provider) const PAR: Optional = Optional {
    endpoint: Endpoint::for_us("pushed_authorization_request_endpoint", Knob::ParEndpoint),
    configured: |overrides| overrides.par.as_ref(),
};
pub(in crate::oidc::provider) const USER_INFO: Optional = Optional {
    endpoint: Endpoint::for_us("userinfo_endpoint", Knob::UserinfoEndpoint),
    configured: |overrides| overrides.user_info.as_ref(),
};
pub(in crate::oidc::provider) const END_SESSION: Optional = Optional {
    endpoint: Endpoint::for_browsers("end_session_endpoint", Knob::EndSessionEndpoint),
    configured: |overrides| overrides.end_session.as_ref(),
};
pub(in crate::oidc::provider) const REVOCATION: Optional = Optional {
    endpoint: Endpoint::for_us("revocation_endpoint", Knob::RevocationEndpoint),
    configured: |overrides| overrides.revocation.as_ref(),
};
pub(super) const INTROSPECTION: Optional = Optional {
    endpoint: Endpoint::for_us("introspection_endpoint", Knob::IntrospectionEndpoint),
    configured: |overrides| overrides.introspection.as_ref(),
};
pub(super) const REGISTRATION: Optional = Optional {
    endpoint: Endpoint::for_us("registration_endpoint", Knob::RegistrationEndpoint),
    configured: |overrides| overrides.registration.as_ref(),
};

/// Reads endpoints from a document, and remembers the ignored ones.
pub(super) struct Endpoints<'a> {
    document: &'a Map<String, Value>,
    options: &'a ProviderOptions,
    map: &'a UrlMap,
    /// Whether the issuer itself is inside a private network.
    internal_issuer: bool,
    pub(super) left_out: Vec<EndpointError>,
    /// The endpoints so far.
    pub(super) used: Vec<Used>,
}

// === impl Endpoint ===

impl Endpoint {
    const fn for_us(member: &'static str, knob: Knob) -> Self {
        Self {
            member,
            knob,
            for_browsers: false,
        }
    }

    const fn for_browsers(member: &'static str, knob: Knob) -> Self {
        Self {
            member,
            knob,
            for_browsers: true,
        }
    }

    fn missing(self) -> EndpointError {
        EndpointError::Missing {
            member: self.member,
            knob: self.knob,
        }
    }

    fn invalid(self, value: &Value) -> EndpointError {
        let value = match value.as_str() {
            None => "not text".to_owned(),
            Some(text) if text.contains('@') => "(not shown)".to_owned(),
            Some(text) => displayable(text),
        };
        EndpointError::Invalid {
            member: self.member,
            value,
            knob: self.knob,
        }
    }

    fn insecure(self, url: &Url) -> EndpointError {
        EndpointError::Insecure {
            member: self.member,
            url: displayable(url.as_str()),
            knob: self.knob,
        }
    }

    fn internal(self, url: &Url) -> EndpointError {
        EndpointError::Internal {
            member: self.member,
            url: displayable(url.as_str()),
            knob: self.knob,
        }
    }
}

// === impl Endpoints ===

impl<'a> Endpoints<'a> {
    pub(super) fn new(
        document: &'a Map<String, Value>,
        options: &'a ProviderOptions,
        map: &'a UrlMap,
    ) -> Self {
        Self {
            document,
            options,
            map,
            internal_issuer: is_internal(map.issuer()),
            left_out: Vec::new(),
            used: Vec::new(),
        }
    }

    /// The endpoint, which has to be there and to be usable.
    pub(super) fn required(&mut self, required: Required) -> Result<Url, EndpointError> {
        let endpoint = required.endpoint;
        let configured = (required.configured)(&self.options.overrides);
        let url = match configured {
            Some(url) => self.configured(endpoint, url)?,
            None => self.found(endpoint)?.ok_or_else(|| endpoint.missing())?,
        };
        self.note(endpoint, url.clone(), configured.is_some());
        Ok(url)
    }

    /// The endpoint, if there is a usable one. An unusable one from the document is ignored, because no login depends
    /// on it. One from the configuration has to be usable.
    pub(super) fn optional(&mut self, optional: Optional) -> Result<Option<Url>, EndpointError> {
        let endpoint = optional.endpoint;
        let configured = (optional.configured)(&self.options.overrides);
        let url = match configured {
            Some(OptionalEndpoint::At(url)) => Some(self.configured(endpoint, url)?),
            Some(OptionalEndpoint::Off) => None,
            None => self.found(endpoint).unwrap_or_else(|error| {
                self.left_out.push(error);
                None
            }),
        };
        if let Some(url) = &url {
            self.note(endpoint, url.clone(), configured.is_some());
        }
        Ok(url)
    }

    fn note(&mut self, endpoint: Endpoint, url: Url, is_configured: bool) {
        self.used.push(Used {
            endpoint,
            url,
            is_configured,
            in_document: self.found(endpoint).ok().flatten(),
        });
    }

    /// As the document spells it, unless it has to move: an audience is compared as a string.
    pub(super) fn public_token_endpoint(&self) -> String {
        let spelled = match &self.options.overrides.token {
            Some(url) => url.as_str(),
            None => self
                .document
                .get(TOKEN.endpoint.member)
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

    /// The operator's value is used unchanged, wherever it points.
    fn configured(&self, endpoint: Endpoint, url: &Url) -> Result<Url, EndpointError> {
        self.permitted(endpoint, url)?;
        Ok(url.clone())
    }

    fn found(&self, endpoint: Endpoint) -> Result<Option<Url>, EndpointError> {
        let value = match self.document.get(endpoint.member) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        let url = parsed(value).ok_or_else(|| endpoint.invalid(value))?;
        let url = if endpoint.for_browsers {
            self.map.for_browsers(url)
        } else {
            self.map.back_channel(url)
        };
        self.permitted(endpoint, &url)?;
        if self.reaches_inside(&url) {
            return Err(endpoint.internal(&url));
        }
        Ok(Some(url))
    }

    fn permitted(&self, endpoint: Endpoint, url: &Url) -> Result<(), EndpointError> {
        if !is_endpoint(url) {
            return Err(endpoint.invalid(&Value::from(url.as_str())));
        }
        if !self.options.allow_http.permits(url) {
            return Err(endpoint.insecure(url));
        }
        Ok(())
    }

    /// Whether an attacker on the internet makes us, or a browser, call a host that only we, or it, can reach
    /// (server-side request forgery). An issuer inside the network may name its neighbours, and an origin in the
    /// settings is the operator's choice.
    fn reaches_inside(&self, url: &Url) -> bool {
        !self.internal_issuer && is_internal(url) && !self.options.origins().contains(&url.origin())
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
