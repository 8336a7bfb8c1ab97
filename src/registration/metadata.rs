//! The metadata that the server wants at the IdP, with the meaning of "the same" for each field.

mod logouts;
mod meaning;

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use url::Url;

use self::logouts::LOGOUTS;
pub use self::meaning::single;
pub(super) use self::meaning::{field_digest, meaning};
use super::{
    diff::{Change, Remembered},
    options::{AuthMethod, Description, Jwks, Options, RedirectUpdate},
};
use crate::{jose::Algorithm, own_paths::LOGGED_OUT, secret::Secret};

/// The field that carries the scopes.
pub(super) const SCOPE: &str = "scope";
/// The field that carries the authentication method.
pub(super) const AUTH_METHOD: &str = "token_endpoint_auth_method";
/// The field that carries the algorithm of client assertions.
pub(super) const SIGNING_ALG: &str = "token_endpoint_auth_signing_alg";
/// The field that carries the algorithm of ID tokens.
const ID_TOKEN_ALG: &str = "id_token_signed_response_alg";
/// The field that carries the client profile, which no standard knows.
pub(super) const CLIENT_PROFILE: &str = "client_profile";
/// The field that carries our client id.
pub(super) const CLIENT_ID: &str = "client_id";

/// The field that carries the redirect URIs.
pub(super) const REDIRECT_URIS: &str = "redirect_uris";
/// The fields that `DCR_REDIRECT_UPDATE_MODE` is about.
pub(super) const REDIRECTS: [&str; 2] = [REDIRECT_URIS, "post_logout_redirect_uris"];

/// The field that carries where other sites may send people to log in.
const INITIATE_LOGIN_URI: &str = "initiate_login_uri";

/// Fields that describe the client to people or to other sites. A field that the server has sent and no longer wants
/// is removed. A field that it never sent belongs to somebody else.
const DESCRIPTIVE: [&str; 6] = [
    "client_uri",
    "logo_uri",
    "policy_uri",
    "tos_uri",
    "contacts",
    INITIATE_LOGIN_URI,
];

/// Fields that the server removes if it does not want them: the one of `jwks` and `jwks_uri` that is not registered
/// (never both, RFC 7591 section 2), and the algorithm of a method that does not sign.
const OURS_TO_REMOVE: [&str; 3] = ["jwks", "jwks_uri", SIGNING_ALG];

/// Members that an update must not contain (RFC 7592 section 2.2).
const FORBIDDEN_IN_UPDATE: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// Digest of each field, by name. Equal digests mean an equal meaning.
pub(super) type Digests = BTreeMap<String, String>;

/// The wanted metadata (RFC 7591 section 2), without the client id.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedMetadata {
    fields: Map<String, Value>,
    /// Extensions that the IdP refuses, which are left out.
    left_out: Digests,
    /// Descriptive fields and logout fields that an earlier request contained and that are no longer wanted.
    dropped: BTreeSet<&'static str>,
}

// === impl WantedMetadata ===

impl WantedMetadata {
    /// The metadata that `options` require. `algorithm` counts only for `private_key_jwt`, and `public_jwks` only if
    /// the keys are registered inline.
    #[must_use]
    pub fn new(options: &Options, algorithm: Option<Algorithm>, public_jwks: impl FnOnce() -> Value) -> Self {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put(REDIRECT_URIS, json!(options.redirect_uris));
        put(
            "post_logout_redirect_uris",
            json!(logged_out_uris(&options.redirect_uris)),
        );
        put("grant_types", json!(["authorization_code", "refresh_token"]));
        put("response_types", json!(["code"]));
        put("application_type", json!("web"));
        put(SCOPE, json!(options.scopes.join(" ")));
        describe(&options.description, &mut put);
        if let Some(uri) = &options.initiate_login_uri {
            put(INITIATE_LOGIN_URI, json!(uri));
        }
        put(AUTH_METHOD, json!(options.auth_method.name()));
        if let (AuthMethod::PrivateKeyJwt, Some(algorithm)) = (options.auth_method, algorithm) {
            put(SIGNING_ALG, json!(algorithm.name()));
        }
        match &options.jwks {
            Jwks::Uri(uri) => put("jwks_uri", json!(uri)),
            Jwks::Inline => put("jwks", public_jwks()),
        };
        if let Some(profile) = &options.client_profile {
            put(CLIENT_PROFILE, json!(profile));
        }
        Self {
            fields,
            left_out: Digests::new(),
            dropped: BTreeSet::new(),
        }
    }

    /// The same with the further `grants`, those that the IdP lists: it would refuse a client that asks for others. An IdP
    /// without a list may have all of them.
    #[must_use]
    pub fn for_grants(mut self, grants: &[&'static str], listed: Option<&[String]>) -> Self {
        let is_possible = |grant: &&&str| listed.is_none_or(|listed| listed.iter().any(|one| one == **grant));
        let grants = ["authorization_code", "refresh_token"]
            .iter()
            .chain(grants.iter().filter(is_possible));
        let grants: Vec<&str> = grants.copied().collect();
        self.fields.insert("grant_types".to_owned(), json!(grants));
        self
    }

    /// The same for an IdP that signs ID tokens with `supported`. A client that requests no algorithm gets RS256
    /// (OpenID Connect Dynamic Client Registration 1.0 section 2), so an IdP without RS256 refuses such a client.
    #[must_use]
    pub fn for_id_tokens(mut self, supported: &[Algorithm]) -> Self {
        if let Some(first) = supported.first()
            && !supported.contains(&Algorithm::RS256)
        {
            self.fields.insert(ID_TOKEN_ALG.to_owned(), json!(first.name()));
        }
        self
    }

    /// The same for a client that is registered as `current`, with its redirect URIs according to `mode`. If the URIs
    /// are kept and `current` has none, they are no longer wanted: the server neither compares nor sends them.
    #[must_use]
    pub fn keeping(&self, mode: RedirectUpdate, current: &Map<String, Value>) -> Self {
        let mut wanted = self.clone();
        for name in REDIRECTS {
            let theirs = current.get(name).filter(|value| !value.is_null());
            match (mode, theirs) {
                (RedirectUpdate::Replace, _) | (RedirectUpdate::Merge, None) => {}
                (RedirectUpdate::Merge, Some(theirs)) => {
                    if let Some(ours) = wanted.fields.get_mut(name) {
                        *ours = union(theirs, ours);
                    }
                }
                (RedirectUpdate::Keep, Some(theirs)) => {
                    wanted.fields.insert(name.to_owned(), theirs.clone());
                }
                (RedirectUpdate::Keep, None) => {
                    wanted.fields.remove(name);
                }
            }
        }
        wanted
    }

    /// The same without the members that no standard defines.
    #[must_use]
    pub(super) fn without_extensions(&self) -> Self {
        let mut plain = self.clone();
        if let Some(profile) = plain.fields.remove(CLIENT_PROFILE) {
            let digest = field_digest(CLIENT_PROFILE, &profile);
            plain.left_out.insert(CLIENT_PROFILE.to_owned(), digest);
        }
        plain
    }

    /// The same for a registered client. A field that was sent and is no longer wanted is removed. An extension that
    /// the IdP refused is left out until its configured value changes.
    #[must_use]
    pub(super) fn after(mut self, memory: &Remembered) -> Self {
        let dropped = |name: &&str| memory.sent.contains_key(*name) && !self.fields.contains_key(*name);
        self.dropped = DESCRIPTIVE.into_iter().chain(LOGOUTS).filter(dropped).collect();
        let refused = |name: &str, value: &Value| {
            memory
                .refused
                .get(name)
                .is_some_and(|refused| *refused == field_digest(name, value))
        };
        match self.fields.get(CLIENT_PROFILE) {
            Some(profile) if refused(CLIENT_PROFILE, profile) => self.without_extensions(),
            _ => self,
        }
    }

    /// Digests of the fields left out because the IdP refused them.
    pub(super) const fn left_out(&self) -> &Digests {
        &self.left_out
    }

    /// The fields.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The fields as changes of a client that does not exist yet.
    pub(super) fn as_changes(&self) -> Vec<Change> {
        let fields = self.fields.iter();
        let changes = fields.map(|(name, value)| Change {
            field: name.clone(),
            from: None,
            to: Some(value.clone()),
        });
        changes.collect()
    }

    /// The body of a registration request (RFC 7591 section 3.1), with the client id that we wish for as an extension.
    #[must_use]
    pub fn create_body(&self, client_id: Option<&str>) -> Value {
        let mut body = self.fields.clone();
        if let Some(client_id) = client_id {
            body.insert(CLIENT_ID.to_owned(), json!(client_id));
        }
        Value::Object(body)
    }

    /// The body of an update (RFC 7592 section 2.2): the IdP's metadata with our fields over it, because a missing
    /// field would be deleted. It contains the client id and the secret, if one exists, and none of the members that
    /// must not be sent.
    #[must_use]
    pub fn update_body(
        &self,
        current: Option<&Map<String, Value>>,
        client_id: &str,
        client_secret: Option<&str>,
    ) -> Value {
        let mut body = current.cloned().unwrap_or_default();
        // A null means the same as the field left out.
        body.retain(|name, value| !value.is_null() && !FORBIDDEN_IN_UPDATE.contains(&name.as_str()));
        for name in OURS_TO_REMOVE.iter().chain(&self.dropped) {
            body.remove(*name);
        }
        body.extend(self.fields.clone());
        body.insert(CLIENT_ID.to_owned(), json!(client_id));
        match client_secret {
            Some(secret) => body.insert("client_secret".to_owned(), json!(secret)),
            None => body.remove("client_secret"),
        };
        Value::Object(body)
    }

    /// Whether an update would remove the field `name`.
    pub(super) fn removes(&self, name: &str) -> bool {
        // A signing algorithm that we did not ask for is a default of the IdP.
        let unwanted =
            name != SIGNING_ALG && OURS_TO_REMOVE.contains(&name) && !self.fields.contains_key(name);
        unwanted || self.dropped.contains(name)
    }

    /// The names of the fields that an update could remove.
    pub(super) fn removable() -> impl Iterator<Item = &'static str> {
        OURS_TO_REMOVE.into_iter().chain(DESCRIPTIVE).chain(LOGOUTS)
    }

    /// Digest of each field.
    #[must_use]
    pub(super) fn digests(&self) -> Digests {
        self.fields
            .iter()
            .map(|(name, value)| (name.clone(), field_digest(name, value)))
            .collect()
    }
}

/// Adds the description for people.
fn describe(description: &Description, put: &mut impl FnMut(&str, Value) -> Option<Value>) {
    put("client_name", json!(description.name));
    let uris = [
        ("client_uri", &description.uri),
        ("logo_uri", &description.logo_uri),
        ("policy_uri", &description.policy_uri),
        ("tos_uri", &description.tos_uri),
    ];
    for (name, uri) in uris {
        if let Some(uri) = uri {
            put(name, json!(uri.as_str()));
        }
    }
    if !description.contacts.is_empty() {
        put("contacts", json!(description.contacts));
    }
}

/// The algorithm of client assertions that `metadata` name, if the server supports it.
pub(super) fn named_algorithm(metadata: &Map<String, Value>) -> Option<Algorithm> {
    let name = single(SIGNING_ALG, metadata.get(SIGNING_ALG)?).as_str()?;
    Algorithm::from_name(name)
}

/// The mark that records a token.
pub(super) fn token_hash(token: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.expose().as_bytes()))
}

/// The values of `theirs` in their order, followed by the values that only `ours` has.
fn union(theirs: &Value, ours: &Value) -> Value {
    let entries = |value: &Value| match value {
        Value::Array(entries) => entries.clone(),
        // Seen from IdPs that write a list of one as its element.
        Value::String(_) => vec![value.clone()],
        _ => Vec::new(),
    };
    let mut all = entries(theirs);
    for uri in entries(ours) {
        if !all.contains(&uri) {
            all.push(uri);
        }
    }
    Value::Array(all)
}

/// `/auth/logged-out` on each host of the redirect URIs, in their order, each once.
fn logged_out_uris(redirect_uris: &[String]) -> Vec<String> {
    let mut uris = Vec::new();
    for uri in redirect_uris {
        let Ok(url) = Url::parse(uri) else { continue };
        let uri = format!("{}{LOGGED_OUT}", url.origin().ascii_serialization());
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    uris
}

/// The algorithm of the last registration, found by its digest, while key and IdP still support it. Without an
/// operator's setting, it changes only with one of them.
pub(super) fn sent_algorithm(
    sent: &Digests,
    of_key: &[Algorithm],
    supported: Option<&[String]>,
) -> Option<Algorithm> {
    let sent = sent.get(SIGNING_ALG)?;
    of_key.iter().copied().find(|algorithm| {
        *sent == field_digest(SIGNING_ALG, &json!(algorithm.name()))
            && supported.is_none_or(|names| names.iter().any(|name| name == algorithm.name()))
    })
}

#[cfg(test)]
mod tests;
