//! Doors for `fuzz/`, which are there in its builds only (`--cfg fuzzing`).

use serde_json::{Map, Value};

use super::{EndpointError, MemberError, Metadata, ProviderOptions, TokenResponse, UrlMap};

/// Reads a discovery document whose `issuer` has been checked.
///
/// # Errors
///
/// The fault.
pub fn discovery(
    document: &Map<String, Value>,
    options: &ProviderOptions,
    map: UrlMap,
) -> Result<Metadata, EndpointError> {
    Metadata::read(document, options, map)
}

/// Reads the answer of a token endpoint.
///
/// # Errors
///
/// The fault.
pub fn token_response(document: &Map<String, Value>) -> Result<TokenResponse, MemberError> {
    TokenResponse::from_object(document, |_| ())
}
