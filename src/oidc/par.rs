//! Pushed authorization requests (RFC 9126).

use std::{fmt, time::Duration};

use serde_json::Value;
use url::Url;

use super::{AuthorizationRequest, CallError, Client, Metadata, RelyingParty};
use crate::outbound::{Lane, Response};

/// Longer references are refused, in bytes: they travel in a URL.
const MAX_REQUEST_URI: usize = 1024;

/// What the provider calls a pushed request (RFC 9126 section 2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct PushedRequest {
    /// The reference, good for one authorization request.
    pub request_uri: String,
    /// How long it is good.
    pub expires_in: Duration,
}

// === impl PushedRequest ===

impl PushedRequest {
    fn read(response: &Response) -> Result<Self, CallError> {
        let object = response
            .json_object()
            .ok_or(CallError::Malformed("not a JSON object"))?;
        let request_uri = object
            .get("request_uri")
            .and_then(Value::as_str)
            .filter(|uri| !uri.is_empty() && uri.len() <= MAX_REQUEST_URI)
            .filter(|uri| uri.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or(CallError::Malformed("no usable `request_uri`"))?;
        let expires_in = object
            .get("expires_in")
            .and_then(Value::as_u64)
            .filter(|seconds| *seconds > 0)
            .ok_or(CallError::Malformed("no usable `expires_in`"))?;
        Ok(Self {
            request_uri: request_uri.to_owned(),
            expires_in: Duration::from_secs(expires_in),
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
    ) -> Result<PushedRequest, CallError> {
        let parameters = request.parameters(client);
        let fields: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();
        let response = self.post(Lane::Par, metadata, client, endpoint, &fields).await?;
        PushedRequest::read(&response)
    }
}

#[cfg(test)]
mod tests;
