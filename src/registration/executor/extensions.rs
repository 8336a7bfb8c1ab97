//! Members of a registration request that no standard defines: the requested client id, and `client_profile`. RFC
//! 7591 section 2 says that an IdP ignores unknown members, but some IdPs refuse them by design.

use http::StatusCode;
use serde_json::Value;
use url::Url;

use super::super::{
    answer::Answer,
    attempt::Attempt,
    error::RegistrationError,
    metadata::{CLIENT_ID, CLIENT_PROFILE},
    plan::InitialAccess,
};
use crate::{
    diagnostic::{Knob, fix, told},
    oidc::OAuthError,
};

/// How texts name the extensions.
const NAMES: [&str; 6] = [
    CLIENT_ID,
    CLIENT_PROFILE,
    "client id",
    "clientid",
    "client identifier",
    "client profile",
];
/// The name of the member in messages.
const MEMBERS: [&str; 8] = [
    "member",
    "propert",
    "field",
    "parameter",
    "attribute",
    "metadata",
    "element",
    "extension",
];
/// The words for a refused member.
const REFUSED: [&str; 10] = [
    "unknown",
    "unrecognized",
    "unrecognised",
    "unsupported",
    "unexpected",
    "additional",
    "not allowed",
    "not permitted",
    "not supported",
    "extension",
];
/// The words for a refused value, such as an unknown profile.
const NO_SUCH: [&str; 5] = [
    "not known",
    "not exist",
    "not found",
    "no such",
    "unknown profile",
];

// === impl Attempt ===

impl Attempt<'_> {
    /// Requests the wanted client. If the IdP refuses it because of the extensions, requests it once more without
    /// them.
    pub(super) async fn ask_for_client(
        &mut self,
        endpoint: &Url,
        access: &InitialAccess,
    ) -> Result<Answer, RegistrationError> {
        let calls = &self.registration.calls;
        let token = access.token.as_ref();
        let wish = self.registration.options.client_id.clone();
        let body = self.wanted.create_body(wish.as_deref());
        let refusal = match calls.create(endpoint, token, &body, &self.asked(wish)).await {
            Err(refusal) if self.may_blame_extensions(&refusal) => refusal,
            outcome => return outcome,
        };
        tracing::warn!(
            "{refusal}. The server sends the request once more, without the requested client id and without client_profile, \
             because no standard defines them"
        );
        let plain = self.wanted.without_extensions();
        let asked = self.asked(None);
        match calls
            .create(endpoint, token, &plain.create_body(None), &asked)
            .await
        {
            Ok(answer) => {
                self.wanted = plain;
                Ok(answer)
            }
            Err(RegistrationError::InitialTokenRefused { .. }) => {
                let fix = fix!(
                    "unset {}, {} and {}, mint an initial access token, and start again",
                    Knob::RequestedClientId,
                    Knob::ClientId,
                    Knob::ClientProfile
                );
                let what = "the IdP took the refused request for a use of the initial access token";
                tracing::warn!("{}", told(what, fix));
                Err(refusal)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether `refusal` may come from the extensions in the request. Not where this IdP has taken them before.
    fn may_blame_extensions(&self, refusal: &RegistrationError) -> bool {
        let RegistrationError::Refused {
            status,
            error: Some(error),
            ..
        } = refusal
        else {
            return false;
        };
        let fits = [
            StatusCode::BAD_REQUEST,
            StatusCode::FORBIDDEN,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        let known = self.record.registered.as_ref();
        let wish = self.registration.options.client_id.as_ref();
        let sends_wish = wish.is_some_and(|wish| known.is_none_or(|known| known.client_id != *wish));
        let sends_profile = self.wanted.fields().contains_key(CLIENT_PROFILE)
            && known.is_none_or(|known| !known.remembered.sent.contains_key(CLIENT_PROFILE));
        // A text that names a value or another field does not mind that the extension is there.
        let fields = self.wanted.fields();
        let others = fields
            .keys()
            .map(String::as_str)
            .filter(|name| *name != CLIENT_PROFILE);
        let profile = fields.get(CLIENT_PROFILE).and_then(Value::as_str);
        let others: Vec<&str> = others.chain(profile).chain(wish.map(String::as_str)).collect();
        fits.contains(status) && (sends_wish || sends_profile) && blames_extensions(error, &others)
    }
}

/// Whether the text of a refusal names an extension or speaks of a member that is unknown, and names nothing of `others`.
/// Without a text it may be anything, also that.
fn blames_extensions(error: &OAuthError, others: &[&str]) -> bool {
    let is_of_metadata = error.is("invalid_client_metadata") || error.is("invalid_request");
    let Some(text) = error.description.as_deref().map(str::to_ascii_lowercase) else {
        return is_of_metadata;
    };
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&NO_SUCH)
        || others
            .iter()
            .any(|name| text.contains(&name.to_ascii_lowercase()))
    {
        return false;
    }
    says(&NAMES) || is_of_metadata && says(&MEMBERS) && says(&REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blamed(code: &str, text: Option<&str>) -> bool {
        let others = [
            "redirect_uris",
            "scope",
            "token_endpoint_auth_method",
            "code-flow-pkjwt",
            "bff-server",
        ];
        blames_extensions(&OAuthError::new(code, text), &others)
    }

    /// Or if it names an unknown member.
    #[test]
    fn extensions_are_blamed_if_the_text_names_them() {
        for text in [
            "Client Identifier included",
            "client_id must not be sent",
            "Unrecognized field \"client_profile\"",
            "the request has an unknown property",
            "additional metadata members are not allowed",
        ] {
            assert!(blamed("invalid_client_metadata", Some(text)), "{text}");
            assert!(blamed("invalid_request", Some(text)), "{text}");
        }
        assert!(blamed("invalid_client_metadata", None));
        assert!(blamed(
            "access_denied",
            Some("client_id is not for you to choose")
        ));
    }

    #[test]
    fn another_cause_is_not_retried() {
        for text in [
            "no",
            "client_profile x is not known",
            "the profile of client_id x does not exist",
            "unsupported value in field token_endpoint_auth_method",
            "client_profile x needs token_endpoint_auth_method client_secret_basic",
            "client_profile code-flow-pkjwt is not allowed for this token",
            "client_id BFF-server is reserved",
            "the host is not trusted",
        ] {
            assert!(!blamed("invalid_client_metadata", Some(text)), "{text}");
        }
        assert!(!blamed("access_denied", None));
        assert!(!blamed("unapproved_software_statement", None));
    }
}
