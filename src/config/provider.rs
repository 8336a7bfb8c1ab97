//! The identity provider: its address and the requests to it.

use std::path::{Path, PathBuf};

use url::Url;

use super::{
    address::{endpoint_url, issuer_url},
    parse,
    problem::Complaint,
    reader::Reader,
};
use crate::{
    access::Need,
    oidc::OptionalEndpoint,
    tls::{self, BundleError},
};

/// The possible prompts (OpenID Connect Core 1.0 section 3.1.2.1, Initiating User Registration 1.0). Without `none`:
/// as a default it would let in only people who are already logged in.
const PROMPTS: [&str; 4] = ["login", "consent", "select_account", "create"];

/// The identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The issuer identifier, exactly as it was written.
    pub issuer: String,
    /// Whether `OIDC_ISSUER` was set; otherwise the issuer is a guess from `IDP_BASE_URL`, and where discovery names
    /// another one the error prints the line to add.
    pub issuer_is_explicit: bool,
    /// The address at which this process reaches the provider, if it differs from the issuer.
    pub base_url: Option<Url>,
    /// The address at which browsers reach the provider, if only this process reaches the issuer's address.
    pub public_base: Option<Url>,
    /// Endpoints that win over discovery.
    pub endpoints: EndpointSettings,
    /// The source of the further CA certificates.
    pub ca_file: Option<PathBuf>,
    /// Further CA certificates, PEM.
    pub ca_bundle: Option<Vec<u8>>,
    /// Audiences that an ID token may list beside us.
    pub trusted_audiences: Vec<String>,
    /// The scopes, `openid` among them.
    pub scopes: Vec<String>,
    /// The `prompt` that is sent unless the login names one.
    pub prompt: PromptSetting,
    /// The audience of tokens that callers bring, without `idps.yaml` (`AUTH_AUDIENCE`).
    pub callers_audience: Option<String>,
    /// The middle of the names of people over all providers (`OIDC_PROVIDER_ALIAS`).
    pub alias: String,
    /// An e-mail address counts as verified if the provider does not say (`OIDC_EMAIL_TRUSTED`).
    pub email_trusted: bool,
}

/// The `prompt` that is sent unless the login names one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PromptSetting {
    /// `consent` where refresh tokens do not come without it.
    #[default]
    Auto,
    /// None.
    Never,
    /// This one.
    Always(String),
}

/// Explicit endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of OpenID Connect Discovery")]
pub struct EndpointSettings {
    pub authorization: Option<Url>,
    pub token: Option<Url>,
    pub jwks: Option<Url>,
    pub par: Option<OptionalEndpoint>,
    pub userinfo: Option<OptionalEndpoint>,
    pub end_session: Option<OptionalEndpoint>,
    pub revocation: Option<OptionalEndpoint>,
    pub introspection: Option<OptionalEndpoint>,
    pub registration: Option<OptionalEndpoint>,
}

pub(super) fn read(reader: &mut Reader) -> ProviderSettings {
    // The issuer is kept as written: it is compared exactly, and a URL type would add a slash.
    reader.url("OIDC_ISSUER", issuer_url);
    let base_url = reader.url("IDP_BASE_URL", issuer_url);
    let public_base = reader.url("IDP_PUBLIC_BASE", issuer_url);
    let issuer_is_explicit = reader.is_set("OIDC_ISSUER");
    let issuer = reader.text("OIDC_ISSUER").or_else(|| reader.text("IDP_BASE_URL"));
    if issuer.is_none() && !reader.is_set("IDP_BASE_URL") {
        reader.complain(
            "OIDC_ISSUER",
            "is required: nothing says which identity provider to use",
            "set OIDC_ISSUER to the issuer identifier, the `issuer` in its `/.well-known/openid-configuration`",
        );
    }
    let endpoints = EndpointSettings {
        authorization: reader.url("OIDC_AUTHORIZATION_URL", endpoint_url),
        token: reader.url("OIDC_TOKEN_URL", endpoint_url),
        jwks: reader.url("OIDC_JWKS_URL", endpoint_url),
        par: optional(reader, "OIDC_PAR_URL"),
        userinfo: optional(reader, "OIDC_USERINFO_URL"),
        end_session: optional(reader, "OIDC_END_SESSION_URL"),
        revocation: optional(reader, "OIDC_REVOCATION_URL"),
        introspection: optional(reader, "OIDC_INTROSPECTION_URL"),
        registration: optional(reader, "DCR_REGISTRATION_URL"),
    };
    let trusted_audiences = reader.entries("OIDC_TRUSTED_AUDIENCES", |text| parse::visible(text, 256));
    let scopes = scopes(reader);
    let prompt = prompt(reader);
    let ca_file = reader.path("IDP_CA_FILE");
    let ca_bundle = ca_file
        .as_deref()
        .and_then(|path| reader.parsed("IDP_CA_FILE", |_| read_ca_bundle(path)));
    ProviderSettings {
        issuer: issuer.unwrap_or_default(),
        issuer_is_explicit,
        base_url,
        public_base,
        endpoints,
        ca_file,
        ca_bundle,
        trusted_audiences: trusted_audiences.unwrap_or_default(),
        scopes,
        prompt,
        callers_audience: reader.parsed("AUTH_AUDIENCE", |text| parse::visible(text, 512)),
        alias: reader
            .parsed("OIDC_PROVIDER_ALIAS", |text| parse::line(text, 64))
            .unwrap_or_else(|| "oidc".to_owned()),
        email_trusted: reader.switch("OIDC_EMAIL_TRUSTED", false),
    }
}

/// The URL of an endpoint that a login can do without, or `none`.
fn optional(reader: &mut Reader, name: &'static str) -> Option<OptionalEndpoint> {
    if reader.text(name)?.eq_ignore_ascii_case("none") {
        return Some(OptionalEndpoint::Off);
    }
    let or_none = |mut complaint: Complaint| {
        complaint.fix.push_str(", or `none`");
        complaint
    };
    reader
        .url(name, |text| endpoint_url(text).map_err(or_none))
        .map(OptionalEndpoint::At)
}

fn scopes(reader: &mut Reader) -> Vec<String> {
    let Some(entries) = reader.entries("OIDC_SCOPES", scope) else {
        return ["openid", "profile", "email", "offline_access"]
            .map(ToOwned::to_owned)
            .to_vec();
    };
    let mut scopes: Vec<String> = Vec::new();
    for scope in entries {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        let fix = if scopes.iter().any(|scope| scope.eq_ignore_ascii_case("openid")) {
            "write scopes as the IdP does: capital letters count, and `openid` has none"
        } else {
            "add `openid`"
        };
        reader.complain(
            "OIDC_SCOPES",
            "lacks `openid`, without which no ID token is issued and nobody can log in",
            fix,
        );
    }
    scopes
}

/// RFC 6749 section 3.3.
fn scope(text: &str) -> Result<String, Complaint> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(
            "is not a scope",
            "write scopes with spaces between them, without quotes",
        ))
    }
}

fn prompt(reader: &mut Reader) -> PromptSetting {
    if !reader.is_set("OIDC_PROMPT") {
        return PromptSetting::Auto;
    }
    let prompt = reader.parsed("OIDC_PROMPT", |text| {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            [] => Ok(PromptSetting::Never),
            ["auto"] => Ok(PromptSetting::Auto),
            _ if words.iter().all(|word| PROMPTS.contains(word)) => Ok(PromptSetting::Always(words.join(" "))),
            _ => Err(Complaint::new(
                "is not a prompt that can be a default",
                "write `auto`, or `login`, `consent`, `select_account` or `create`, several with spaces between them, or \
                 leave it empty to send none",
            )),
        }
    });
    prompt.unwrap_or_default()
}

pub(super) fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, Complaint> {
    tls::read_bundle(path).map_err(|error| match &error {
        BundleError::Unreadable(error) => {
            Complaint::unreadable(path, Need::Read, error, "correct the path, or put the file there")
        }
        BundleError::NoBundle | BundleError::Unusable(_) => {
            Complaint::new(error.to_string(), "name a PEM file with the CA certificates")
        }
    })
}
