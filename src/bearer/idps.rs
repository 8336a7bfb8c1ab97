//! `idps.yaml`: the issuers of tokens that callers may bring.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{Bearer, read};
use crate::{
    clock::Timestamp,
    oidc::{EndpointOverrides, ProviderOptions},
    secret::Secret,
    url_policy::HttpPolicy,
    yaml::{Mistake, Mistakes},
};

/// A larger file is refused, in bytes.
pub const MAX_FILE_SIZE: usize = 256 * 1024;

/// The answer of an issuer counts for at most this long.
const ANSWER_COUNTS: Duration = Duration::from_mins(1);

/// The surroundings that an `idps.yaml` may refer to.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The values of `${NAME}`.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// The base of relative paths. Without it no file is read, and naming one is a mistake.
    pub folder: Option<&'a Path>,
    /// Hosts for which plain http is accepted.
    pub allow_http: HttpPolicy,
    /// The issuer of the logins.
    pub login_issuer: &'a str,
}

/// The issuers of a file, in its order.
#[derive(Debug, Default)]
pub struct Idps {
    pub(super) entries: Vec<Idp>,
    pub(super) notes: Vec<Mistake>,
    pub(super) files: Vec<PathBuf>,
}

/// One entry: an issuer, and the audiences for which its tokens are good here.
#[derive(Clone, Debug)]
pub struct Idp {
    /// Its name in logs.
    pub name: String,
    /// The middle of the names of its people ([`account_arn`](super::account_arn)).
    pub provider: String,
    /// `iss` must be exactly this.
    pub issuer: String,
    /// `aud` must hold one of these.
    pub audiences: Vec<String>,
    /// Its keys, if discovery does not say where they are.
    pub jwks_url: Option<Url>,
    /// Where tokens are asked about.
    pub introspection_url: Option<Url>,
    /// Whether JWTs are asked about too.
    pub introspects_all: bool,
    /// The form of answers about tokens.
    pub answers: Answers,
    /// Whether tokens that are not JWTs are asked about there.
    pub takes_opaque: bool,
    /// Whether access tokens without the type of RFC 9068 are accepted.
    pub accepts_untyped: bool,
    /// Where its tokens are exchanged for those of other APIs, if that is allowed.
    pub exchange: Option<ExchangeAt>,
    /// Who asks and exchanges; this server as the client of the logins without it.
    pub client: Option<IdpClient>,
    /// Where roles come from.
    pub roles: Vec<Source>,
    /// Where permissions come from.
    pub permissions: Vec<Source>,
}

/// The client that asks about tokens and exchanges them.
#[derive(Clone, Debug)]
pub struct IdpClient {
    /// Its id.
    pub id: String,
    /// Its secret; it proves itself with our keys without one.
    pub secret: Option<Secret>,
}

/// Where tokens are exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeAt {
    /// At the token endpoint of the issuer's metadata.
    Metadata,
    /// There (`token_url`).
    Url(Url),
}

/// The form of answers about tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// JSON (RFC 7662).
    Json,
    /// Signed by the issuer (RFC 9701); others do not count.
    Signed,
}

/// A claim with roles or permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name; dots lead into nested claims.
    pub claim: String,
    /// Whether it is text with blanks between its values; otherwise a list.
    pub is_spaced: bool,
}

// === impl Idps ===

impl Idps {
    /// Reads `idps.yaml`.
    ///
    /// # Errors
    ///
    /// [`Mistakes`] with every mistake: its line, the problem, and the fix.
    pub fn parse(yaml: &str, around: &Around<'_>) -> Result<Self, Mistakes> {
        read::read(yaml, around)
    }

    /// Without a file: the issuer of the logins, for tokens that name `audience`. Its people have names with `provider`.
    #[must_use]
    pub fn of_logins(issuer: &str, audience: Option<String>, provider: &str) -> Self {
        let idp = |audience| Idp {
            name: "login".to_owned(),
            provider: provider.to_owned(),
            issuer: issuer.to_owned(),
            audiences: vec![audience],
            jwks_url: None,
            introspection_url: None,
            introspects_all: false,
            answers: Answers::Json,
            takes_opaque: false,
            accepts_untyped: false,
            exchange: None,
            client: None,
            roles: Source::of_roles(),
            permissions: Source::of_permissions(),
        };
        Self {
            entries: audience.map(idp).into_iter().collect(),
            notes: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = &Idp> {
        self.entries.iter()
    }

    /// Whether no token is good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether tokens of an entry may be exchanged.
    #[must_use]
    pub fn exchange(&self) -> bool {
        self.entries.iter().any(|idp| idp.exchange.is_some())
    }

    /// Whether the client of the logins exchanges tokens that callers bring.
    #[must_use]
    pub fn exchange_as_login_client(&self) -> bool {
        self.entries.iter().any(Idp::exchanges_as_login_client)
    }

    /// The other files that were read for it: secrets of clients.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Suggestions about accepted values of the file.
    #[must_use]
    pub fn notes(&self) -> &[Mistake] {
        &self.notes
    }
}

// === impl Idp ===

impl Idp {
    /// Whether its tokens are exchanged by the client of the logins.
    pub(super) const fn exchanges_as_login_client(&self) -> bool {
        self.exchange.is_some() && self.client.is_none()
    }

    /// The address for exchanges that the entry names.
    pub(super) const fn token_url(&self) -> Option<&Url> {
        match &self.exchange {
            Some(ExchangeAt::Url(url)) => Some(url),
            Some(ExchangeAt::Metadata) | None => None,
        }
    }

    /// How its issuer is reached.
    pub(super) fn provider_options(&self, allow_http: HttpPolicy) -> ProviderOptions {
        ProviderOptions {
            issuer: self.issuer.clone(),
            base_url: None,
            public_base: None,
            overrides: EndpointOverrides {
                jwks: self.jwks_url.clone(),
                token: self.token_url().cloned(),
                ..EndpointOverrides::default()
            },
            allow_http,
        }
    }

    /// Whether the issuer is asked about a token; otherwise its keys decide.
    pub(super) fn asks_about(&self, is_jwt: bool) -> bool {
        self.introspection_url.is_some() && (!is_jwt || self.introspects_all)
    }

    /// Until when a good outcome counts: never beyond the token, and for an answer of the issuer not for long.
    pub(super) fn keep_until(&self, bearer: &Bearer, is_jwt: bool, now: Timestamp) -> Timestamp {
        let longest = now.saturating_add(ANSWER_COUNTS);
        match (bearer.expires_at, self.asks_about(is_jwt)) {
            (Some(end), true) => end.min(longest),
            (None, true) => longest,
            (Some(end), false) => end,
            (None, false) => now,
        }
    }
}

// === impl Source ===

impl Source {
    fn list(claim: &str) -> Self {
        Self {
            claim: claim.to_owned(),
            is_spaced: false,
        }
    }

    /// Without `claims_mapping.roles`.
    pub(super) fn of_roles() -> Vec<Self> {
        vec![Self::list("roles"), Self::list("groups")]
    }

    /// Without `claims_mapping.permissions`.
    pub(super) fn of_permissions() -> Vec<Self> {
        let scope = Self {
            claim: "scope".to_owned(),
            is_spaced: true,
        };
        vec![scope, Self::list("permissions")]
    }
}
