//! Client authentication at PAR, token and revocation endpoint (RFC 6749, section 2.3; RFC 7523).

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use crate::{
    client::{AuthMethod, Client},
    provider::Provider,
    web::params::Params,
};

mod assertion;
pub(crate) mod keys;
pub(crate) mod source;

/// Algorithms of client assertions, as discovery lists them.
pub(crate) const SIGNING_ALGS: [&str; 5] = ["PS256", "RS256", "ES256", "EdDSA", "Ed25519"];

/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why a client was not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientAuthError {
    /// The request is not well formed: `invalid_request`.
    #[error("{0}")]
    Malformed(String),
    /// It is, but proves nothing: `invalid_client`.
    #[error("{reason}")]
    Failed { reason: String, basic: bool },
}

/// The credentials of a request.
enum Offered<'a> {
    Basic { client_id: String, secret: String },
    Post { client_id: &'a str, secret: &'a str },
    Assertion(&'a str),
}

// === impl ClientAuthError ===

impl ClientAuthError {
    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed {
            reason: reason.into(),
            basic: false,
        }
    }
}

// === impl Offered ===

impl Offered<'_> {
    fn method(&self) -> AuthMethod {
        match self {
            Self::Basic { .. } => AuthMethod::ClientSecretBasic,
            Self::Post { .. } => AuthMethod::ClientSecretPost,
            Self::Assertion(_) => AuthMethod::PrivateKeyJwt,
        }
    }
}

/// Authenticates the client of a request by exactly the method that it registered. `endpoint` is the URL of the
/// endpoint that was called, which an assertion may also name as audience.
pub(crate) async fn authenticate(
    provider: &Provider,
    headers: &HeaderMap,
    params: &Params,
    endpoint: &str,
) -> Result<Client, ClientAuthError> {
    let offered = offered(headers, params)?;
    let basic = matches!(offered, Offered::Basic { .. });
    let client_id = match &offered {
        Offered::Basic { client_id, .. } => client_id.clone(),
        Offered::Post { client_id, .. } => (*client_id).to_owned(),
        Offered::Assertion(token) => assertion::claimed_client(token)?,
    };
    if params.get("client_id").is_some_and(|named| named != client_id) {
        return Err(ClientAuthError::Malformed(
            "client_id names another client than the credentials".into(),
        ));
    }
    let failed = |reason: String| ClientAuthError::Failed { reason, basic };
    let client = provider
        .client(&client_id)
        .ok_or_else(|| failed("the client is not known".to_owned()))?;
    let registered = client.token_endpoint_auth_method;
    if offered.method() != registered {
        return Err(failed(format!(
            "the client registered {registered}, not {}",
            offered.method()
        )));
    }
    match offered {
        Offered::Basic { secret, .. } => check_secret(&client, &secret).map_err(failed)?,
        Offered::Post { secret, .. } => check_secret(&client, secret).map_err(failed)?,
        Offered::Assertion(token) => assertion::verify(provider, &client, token, endpoint).await?,
    }
    Ok(client)
}

fn check_secret(client: &Client, secret: &str) -> Result<(), String> {
    match &client.client_secret_sha256 {
        Some(digest) if digest.matches(secret) => Ok(()),
        Some(_) => Err("the client secret is wrong".to_owned()),
        None => Err("the client has no secret".to_owned()),
    }
}

fn offered<'a>(headers: &HeaderMap, params: &'a Params) -> Result<Offered<'a>, ClientAuthError> {
    let malformed = |text: &str| ClientAuthError::Malformed(text.to_owned());
    let basic = basic(headers)?;
    let secret = params.get("client_secret");
    let assertion = params.get("client_assertion");
    let kind = params.get("client_assertion_type");
    match (basic, secret, assertion) {
        (Some((client_id, secret)), None, None) if kind.is_none() => Ok(Offered::Basic { client_id, secret }),
        (None, Some(secret), None) if kind.is_none() => match params.get("client_id") {
            Some(client_id) => Ok(Offered::Post { client_id, secret }),
            None => Err(malformed("client_secret without client_id")),
        },
        (None, None, Some(assertion)) => match kind {
            Some(ASSERTION_TYPE) => Ok(Offered::Assertion(assertion)),
            Some(_) => Err(ClientAuthError::failed("client_assertion_type is not supported")),
            None => Err(malformed("client_assertion without client_assertion_type")),
        },
        (None, None, None) if kind.is_none() => Err(ClientAuthError::failed(
            "the request carries no client authentication",
        )),
        (None, None, None) => Err(malformed("client_assertion_type without client_assertion")),
        // RFC 6749, section 2.3: a client must not use more than one method in a request.
        _ => Err(malformed("more than one way of client authentication")),
    }
}

/// RFC 6749, section 2.3.1: id and secret are form-encoded before they are put together.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, ClientAuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = || ClientAuthError::Malformed("the Authorization header cannot be read".to_owned());
    if values.next().is_some() {
        return Err(wrong());
    }
    let text = value.to_str().map_err(|_| wrong())?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| wrong())?;
    let pair = String::from_utf8(bytes).map_err(|_| wrong())?;
    let (id, secret) = pair.split_once(':').ok_or_else(wrong)?;
    Ok(Some((form_decode(id), form_decode(secret))))
}

fn form_decode(text: &str) -> String {
    // Form values always encode `&` and `=`. Here both may be literal, so only the decoding is shared.
    let text = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    fn offer(authorization: Option<&str>, body: &str) -> Result<AuthMethod, ClientAuthError> {
        let headers = authorization.map(headers).unwrap_or_default();
        let params = Params::parse(body.as_bytes()).unwrap();
        super::offered(&headers, &params).map(|offered| offered.method())
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        let value = format!("Basic {}", STANDARD.encode("bff%2Dserver:a%3Ab+c%25&d=e"));
        let (id, secret) = basic(&headers(&value)).unwrap().unwrap();
        assert_eq!((id.as_str(), secret.as_str()), ("bff-server", "a:b c%&d=e"));
    }

    #[test]
    fn an_unreadable_authorization_header_is_a_bad_request() {
        for value in ["Basic", "Basic !!!", "Bearer abc", "Basic YWJj", "Basic /////w=="] {
            assert!(
                matches!(basic(&headers(value)), Err(ClientAuthError::Malformed(_))),
                "{value}"
            );
        }
    }

    #[test]
    fn exactly_one_way_of_authentication() {
        let basic = format!("Basic {}", STANDARD.encode("a:b"));
        let typed = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        assert_eq!(offer(Some(&basic), "").unwrap(), AuthMethod::ClientSecretBasic);
        assert_eq!(
            offer(None, "client_id=a&client_secret=b").unwrap(),
            AuthMethod::ClientSecretPost
        );
        let assertion = format!("{typed}&client_assertion=x.y.z");
        assert_eq!(offer(None, &assertion).unwrap(), AuthMethod::PrivateKeyJwt);
        for (authorization, body) in [
            (Some(basic.as_str()), "client_id=a&client_secret=b".to_owned()),
            (Some(basic.as_str()), assertion.clone()),
            (None, format!("{assertion}&client_id=a&client_secret=b")),
            (None, "client_assertion=x.y.z".to_owned()),
            (None, typed.to_owned()),
            (None, "client_secret=b".to_owned()),
        ] {
            let outcome = offer(authorization, &body);
            assert!(matches!(outcome, Err(ClientAuthError::Malformed(_))), "{body}");
        }
        assert!(matches!(
            offer(None, "client_id=a"),
            Err(ClientAuthError::Failed { .. })
        ));
    }
}
