//! The rules for an authorization request (RFC 6749, section 4.1.1; OpenID Connect Core 3.1.2.1; RFC 7636).

use std::collections::BTreeSet;

use crate::{client::Client, web::params::Params};

const MAX_STATE: usize = 4096;

/// An authorization request that has passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: Vec<String>,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: Option<String>,
    pub(crate) prompt: BTreeSet<Prompt>,
    pub(crate) max_age: Option<u64>,
    pub(crate) login_hint: Option<String>,
    /// RFC 8707, section 2.1.
    pub(crate) resources: Vec<String>,
}

/// OpenID Connect Core 3.1.2.1, `prompt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Prompt {
    None,
    Login,
    Consent,
    SelectAccount,
}

/// Why a request is refused. Without a valid redirect URI of the client, there is no redirect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0}")]
    Untrusted(String),
    #[error("{description}")]
    Refused {
        redirect_uri: String,
        state: Option<String>,
        code: &'static str,
        description: String,
    },
}

// === impl Prompt ===

impl Prompt {
    pub(crate) const VALUES: [&'static str; 4] = ["none", "login", "consent", "select_account"];

    fn parse(value: &str) -> Option<Self> {
        match value {
            "none" => Some(Self::None),
            "login" => Some(Self::Login),
            "consent" => Some(Self::Consent),
            "select_account" => Some(Self::SelectAccount),
            _ => None,
        }
    }
}

// === impl AuthorizationRequest ===

impl AuthorizationRequest {
    /// Checks the parameters for a known client. `pkce` says whether its profile requires PKCE.
    /// `resources` are the APIs that the request may name.
    pub(crate) fn validate(
        params: &Params,
        client: &Client,
        pkce: bool,
        resources: &[String],
    ) -> Result<Self, RequestError> {
        let redirect_uri = params
            .get("redirect_uri")
            .ok_or_else(|| RequestError::Untrusted("redirect_uri is missing".to_owned()))?;
        // RFC 9700, section 2.1: exact string comparison.
        if !client
            .redirect_uris
            .iter()
            .any(|registered| registered == redirect_uri)
        {
            return Err(RequestError::Untrusted(
                "redirect_uri is not registered for the client".to_owned(),
            ));
        }
        let state = params.get("state").filter(|state| state.len() <= MAX_STATE);
        let refuse = |code: &'static str, description: &str| RequestError::Refused {
            redirect_uri: redirect_uri.to_owned(),
            state: state.map(str::to_owned),
            code,
            description: description.to_owned(),
        };
        if let Some(name) = params.duplicate() {
            return Err(refuse(
                "invalid_request",
                &format!("{name} is there more than once"),
            ));
        }
        if params.get("request").is_some() {
            return Err(refuse(
                "request_not_supported",
                "request objects are not supported",
            ));
        }
        if params.get("registration").is_some() {
            return Err(refuse(
                "registration_not_supported",
                "registration is not supported",
            ));
        }
        match params.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(refuse("unsupported_response_type", "response_type must be code")),
            None => return Err(refuse("invalid_request", "response_type is missing")),
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(refuse("invalid_request", "response_mode must be query"));
        }
        if params.get("state").is_some_and(|state| state.len() > MAX_STATE) {
            return Err(refuse("invalid_request", "state is too long"));
        }
        let code_challenge = challenge(params, pkce).map_err(|text| refuse("invalid_request", text))?;
        let prompt = prompts(params).map_err(|text| refuse("invalid_request", text))?;
        let max_age = match params.get("max_age").map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(refuse("invalid_request", "max_age is not a number of seconds")),
        };
        if params
            .all("resource")
            .any(|asked| !resources.iter().any(|known| known == asked))
        {
            return Err(refuse("invalid_target", "resource is not known"));
        }
        let scope = scopes(params, client).map_err(|text| refuse("invalid_scope", &text))?;
        Ok(Self {
            client_id: client.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scope,
            state: state.map(str::to_owned),
            nonce: params.get("nonce").map(str::to_owned),
            code_challenge,
            prompt,
            max_age,
            login_hint: params.get("login_hint").map(str::to_owned),
            resources: params.all("resource").map(str::to_owned).collect(),
        })
    }

    pub(crate) fn has_prompt(&self, prompt: Prompt) -> bool {
        self.prompt.contains(&prompt)
    }

    /// The granted scopes. If `wants_prompt`, `offline_access` is among them only if the request has `prompt=consent`
    /// (OpenID Connect Core 1.0 section 11); otherwise the person's consent to it is enough.
    pub(crate) fn granted_scope(&self, client: &Client, wants_prompt: bool) -> Vec<String> {
        let asked = self.has_prompt(Prompt::Consent) || !wants_prompt;
        let offline = asked && client.allows_grant("refresh_token");
        self.scope
            .iter()
            .filter(|scope| offline || *scope != "offline_access")
            .cloned()
            .collect()
    }
}

/// RFC 7636, sections 4.2 and 4.3; `plain` is not offered.
fn challenge(params: &Params, required: bool) -> Result<Option<String>, &'static str> {
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (None, None) if required => Err("code_challenge is missing: PKCE with S256 is required"),
        (None, None) => Ok(None),
        (None, Some(_)) => Err("code_challenge_method without code_challenge"),
        (Some(challenge), Some("S256")) => {
            let good = challenge.len() == 43
                && challenge
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if good {
                Ok(Some(challenge.to_owned()))
            } else {
                Err("code_challenge is not the base64url of a SHA-256")
            }
        }
        (Some(_), _) => Err("code_challenge_method must be S256"),
    }
}

fn prompts(params: &Params) -> Result<BTreeSet<Prompt>, &'static str> {
    let mut prompts = BTreeSet::new();
    for value in params
        .get("prompt")
        .unwrap_or_default()
        .split(' ')
        .filter(|value| !value.is_empty())
    {
        prompts.insert(Prompt::parse(value).ok_or("prompt has a value that is not known")?);
    }
    if prompts.contains(&Prompt::None) && prompts.len() > 1 {
        return Err("prompt none goes with no other value");
    }
    Ok(prompts)
}

fn scopes(params: &Params, client: &Client) -> Result<Vec<String>, String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in params
        .get("scope")
        .unwrap_or_default()
        .split(' ')
        .filter(|scope| !scope.is_empty())
    {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    if scopes.is_empty() {
        return Err("scope is missing".to_owned());
    }
    let refused: Vec<&str> = scopes
        .iter()
        .map(String::as_str)
        .filter(|scope| !client.allows_scope(scope))
        .collect();
    if refused.is_empty() {
        Ok(scopes)
    } else {
        Err(format!("the client has not registered: {}", refused.join(" ")))
    }
}

#[cfg(test)]
mod tests;
