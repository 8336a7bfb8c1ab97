//! The beginning of a login: from `/auth/login` to the URL at the IdP.

use url::Url;

use super::{DefaultPrompt, Login, attempt::Attempt, hosts::LoginHost, return_to::ReturnToError};
use crate::{
    diagnostic::{Explain, Fix},
    oidc::{AuthorizationRequest, CallError, Pkce},
    random::RandomExt as _,
    secret::Secret,
    session::SessionKey,
};

/// Longer hints are refused, in bytes: they become part of a URL.
const MAX_HINT_LENGTH: usize = 512;

/// The prompt that makes an IdP ask the person.
const CONSENT: &str = "consent";

/// The parameters of `/auth/login`.
#[derive(Clone, Debug, Default)]
pub struct LoginQuery {
    /// The target after the login (`return_to`, `returnUrl`).
    pub return_to: Option<String>,
    /// `prompt` (OpenID Connect Core 1.0 section 3.1.2.1), like the following.
    pub prompt: Option<String>,
    /// `login_hint`.
    pub login_hint: Option<String>,
    /// `ui_locales`.
    pub ui_locales: Option<String>,
    /// `acr_values`.
    pub acr_values: Option<String>,
    /// `max_age`, in seconds.
    pub max_age: Option<u64>,
    /// `domain_hint` and `tenant` (OpenID Connect Enterprise Extensions).
    pub domain_hint: Option<String>,
    /// See above.
    pub tenant: Option<String>,
    /// Who has to log the person in, where another site has sent them (OpenID Connect Core 1.0 section 4).
    pub initiated: Option<Initiated>,
    /// Whether the server starts this login by itself after a failed one.
    pub repeated: bool,
    /// The session that the browser has, which the new one takes the place of. The callback may not show it.
    pub previous: Option<SessionKey>,
}

/// The parameters of another site that sends a person to log in.
#[derive(Clone, Debug)]
pub struct Initiated {
    /// `iss`: the IdP.
    pub issuer: String,
    /// `client_id`: this application's name there, if given.
    pub client_id: Option<String>,
}

/// A login that has been started.
#[derive(Debug)]
pub struct Start {
    /// The next URL of the browser: the IdP's authorization endpoint.
    pub location: Url,
    /// `state`, which names the login cookie.
    pub state: Secret,
    /// The login cookie's value.
    pub cookie_value: String,
}

/// Why no login can be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `return_to` is refused.
    #[error(transparent)]
    ReturnTo(#[from] ReturnToError),
    /// A parameter is too long or contains control characters.
    #[error("the parameter {0} is too long or malformed")]
    Parameter(&'static str),
    /// Another site wants another IdP to log the person in.
    #[error("`iss` is not the identity provider of this application")]
    OtherIssuer,
    /// Another site takes this application for another one.
    #[error("`client_id` is not the one of this application")]
    OtherClient,
    /// The IdP cannot be worked with at the moment, or refused the pushed authorization request.
    #[error(transparent)]
    Idp(#[from] CallError),
}

// === impl StartError ===

impl Explain for StartError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Idp(error) => error.fix(),
            Self::ReturnTo(_) | Self::Parameter(_) | Self::OtherIssuer | Self::OtherClient => None,
        }
    }
}

// === impl LoginQuery ===

impl LoginQuery {
    /// Whether it has requirements that an existing session does not satisfy.
    #[must_use]
    pub const fn is_demanding(&self) -> bool {
        self.prompt.is_some() || self.max_age.is_some() || self.acr_values.is_some()
    }
}

// === impl Login ===

impl Login {
    /// Starts a login for a browser on `host`.
    ///
    /// # Errors
    ///
    /// [`StartError`]: a parameter is refused, or the IdP cannot be worked with at the moment.
    pub async fn start(&self, host: &LoginHost, query: LoginQuery) -> Result<Start, StartError> {
        let options = &self.inner.options;
        let demanding = query.is_demanding();
        let return_to = query.return_to.unwrap_or_else(|| "/".to_owned());
        options.targets.resolve(&return_to, host.origin())?;
        for (name, value) in [
            ("prompt", &query.prompt),
            ("login_hint", &query.login_hint),
            ("ui_locales", &query.ui_locales),
            ("acr_values", &query.acr_values),
            ("domain_hint", &query.domain_hint),
            ("tenant", &query.tenant),
        ] {
            if value
                .as_ref()
                .is_some_and(|value| value.len() > MAX_HINT_LENGTH || value.chars().any(char::is_control))
            {
                return Err(StartError::Parameter(name));
            }
        }

        if query.prompt.as_deref().is_some_and(|prompt| !is_prompt(prompt)) {
            return Err(StartError::Parameter("prompt"));
        }
        if let Some(initiated) = &query.initiated {
            self.check_initiated(initiated)?;
        }

        let random = &*self.inner.random;
        let state = random.base64url::<32>();
        let nonce = random.base64url::<32>();
        let pkce = Pkce::generate(random);
        let prompt = query.prompt.or_else(|| self.default_prompt());
        let attempt = Attempt {
            nonce: nonce.as_str().into(),
            code_verifier: pkce.verifier.clone(),
            started_at: self.inner.clock.now(),
            host: host.authority(),
            return_to,
            max_age: query.max_age,
            acr_values: query.acr_values.clone().filter(|_| query.previous.is_some()),
            silent: prompt.as_deref() == Some("none"),
            demanding,
            repeated: query.repeated,
            previous: query.previous,
            consent: prompt.as_deref().is_some_and(asks_for_consent),
        };
        let request = AuthorizationRequest {
            redirect_uri: host.redirect_uri().to_owned(),
            scope: options.scopes.join(" "),
            state: state.clone(),
            nonce,
            code_challenge: pkce.challenge,
            prompt,
            login_hint: query.login_hint,
            ui_locales: query.ui_locales,
            acr_values: query.acr_values,
            domain_hint: query.domain_hint,
            tenant: query.tenant,
            max_age: query.max_age,
        };
        Ok(Start {
            location: self.inner.relying_party.authorization_url(&request).await?,
            cookie_value: attempt.seal(&self.inner.sealer, &state),
            state: state.into(),
        })
    }
}

impl Login {
    fn check_initiated(&self, initiated: &Initiated) -> Result<(), StartError> {
        let relying_party = &self.inner.relying_party;
        if initiated.issuer != relying_party.issuer() {
            return Err(StartError::OtherIssuer);
        }
        match (&initiated.client_id, relying_party.client().get()) {
            (Some(id), Some(client)) if *id != client.id => Err(StartError::OtherClient),
            _ => Ok(()),
        }
    }

    fn default_prompt(&self) -> Option<String> {
        match &self.inner.options.prompt {
            DefaultPrompt::Never => None,
            DefaultPrompt::Always(prompt) => Some(prompt.clone()),
            DefaultPrompt::Auto { .. } => self.asks_for_consent().then(|| CONSENT.to_owned()),
        }
    }

    fn asks_for_consent(&self) -> bool {
        let relying_party = &self.inner.relying_party;
        let client = relying_party.client().get();
        let learnt = self.inner.offline_access.as_ref().zip(client);
        self.asks_for_offline_access()
            && learnt
                .is_some_and(|(access, client)| access.asks_for_consent(relying_party.issuer(), &client.id))
    }

    pub(super) fn asks_for_offline_access(&self) -> bool {
        let scopes = &self.inner.options.scopes;
        scopes.iter().any(|scope| scope == "offline_access")
    }
}

fn asks_for_consent(prompt: &str) -> bool {
    prompt.split(' ').any(|value| value == CONSENT)
}

/// Whether `prompt` is a list that OpenID Connect Core 1.0 section 3.1.2.1 knows (and `create`, of its Initiating User
/// Registration extension). What an IdP would refuse is not sent: it would be a line in the log for every visitor who
/// makes it up.
fn is_prompt(prompt: &str) -> bool {
    let mut values = prompt.split(' ');
    prompt == "none" || values.all(|value| matches!(value, "login" | "consent" | "select_account" | "create"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prompts_of_the_standard_are_sent() {
        for prompt in [
            "none",
            "login",
            "consent",
            "select_account",
            "login consent",
            "create",
        ] {
            assert!(is_prompt(prompt), "{prompt}");
        }
        for prompt in [
            "",
            "garbage",
            "none login",
            "login  consent",
            "LOGIN",
            "login\tconsent",
        ] {
            assert!(!is_prompt(prompt), "{prompt}");
        }
    }
}
