//! Pushed authorization requests (RFC 9126).

use std::{fmt, time::Duration};

use url::Url;

use super::{
    AuthorizationRequest, CallError, Client, MemberError, Metadata, RelyingParty,
    member::{required, seconds},
};
use crate::outbound::{Lane, Response};

/// Longer references are refused, in bytes: they travel in a URL.
const MAX_REQUEST_URI: usize = 1024;

/// The provider's name for a pushed request (RFC 9126 section 2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct PushedRequest {
    /// The reference, valid for one authorization request.
    pub request_uri: String,
    /// Its lifetime, if the provider states it readably. The browser goes there at once, so nothing depends on it.
    pub expires_in: Option<Duration>,
}

// === impl PushedRequest ===

impl PushedRequest {
    fn read(response: &Response) -> Result<Self, MemberError> {
        let object = response
            .json_object()
            .ok_or_else(|| MemberError::NotAnObject(response.unread()))?;
        let request_uri = required(&object, "request_uri", MAX_REQUEST_URI)?;
        if !request_uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MemberError::Characters("request_uri"));
        }
        Ok(Self {
            request_uri: request_uri.to_owned(),
            expires_in: seconds(object.get("expires_in")),
        })
    }
}

impl fmt::Debug for PushedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedRequest")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Pushes `request` to `endpoint` (RFC 9126 section 2.1), authenticated as at the token endpoint.
    pub(super) async fn push(
        &self,
        metadata: &Metadata,
        client: &Client,
        endpoint: &Url,
        request: &AuthorizationRequest,
        resources: &[String],
    ) -> Result<PushedRequest, CallError> {
        let parameters = request.parameters(client, resources);
        let fields: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();
        let response = self.post(Lane::Par, metadata, client, endpoint, &fields).await?;
        PushedRequest::read(&response).map_err(CallError::Malformed)
    }
}

#[cfg(test)]
mod tests;
