//! What a failed call is for the client, and what the log says of it.

use std::{error::Error, io};

use http::HeaderValue;

use super::{GatewayError, body::BodyError, causes::causes};
use crate::head;

/// A correlation id as text.
pub(super) fn text(correlation: &HeaderValue) -> &str {
    correlation.to_str().unwrap_or_default()
}

/// Logs why a call failed and decides what it is for the client.
pub(super) fn report(service: &str, correlation_id: &str, error: &(dyn Error + 'static)) -> GatewayError {
    let mut decided = GatewayError::BadGateway;
    let mut is_too_large = false;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            decided = match body {
                BodyError::Stalled => GatewayError::RequestTimeout,
                BodyError::Broken(_) | BodyError::SentAgain => GatewayError::BadRequest,
                BodyError::SessionEnded => GatewayError::Unauthenticated,
            };
            break;
        }
        is_too_large |= error
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse_too_large);
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if is_our_own_shortage(error) {
                decided = GatewayError::ServiceUnavailable;
            } else if error.kind() == io::ErrorKind::TimedOut {
                // No connection in time.
                decided = GatewayError::GatewayTimeout;
            }
        }
        cause = error.source();
    }
    if matches!(
        decided,
        GatewayError::RequestTimeout | GatewayError::BadRequest | GatewayError::Unauthenticated
    ) {
        // Clients come and go.
        tracing::debug!(
            service,
            correlation_id,
            cause = causes(error),
            "a client did not finish its request"
        );
    } else if is_too_large {
        tracing::warn!(
            service,
            correlation_id,
            max_fields = head::READ_FIELDS,
            max_bytes = head::READ_BYTES,
            "the answer of a service was refused: its header has too many fields, or too many bytes"
        );
    } else {
        tracing::warn!(
            service,
            correlation_id,
            cause = causes(error),
            "a call to a service failed"
        );
    }
    decided
}

/// Logs that the head of an answer is larger than what is accepted.
pub(super) fn refuse_head(service: &str, correlation_id: &str, error: &head::TooLarge) -> GatewayError {
    tracing::warn!(
        service,
        correlation_id,
        field = error.name,
        size = error.size,
        fields = error.fields,
        bytes = error.bytes,
        max_fields = head::MAX_FIELDS,
        max_bytes = head::MAX_BYTES,
        "the answer of a service was refused: its header has too many fields, or too many bytes"
    );
    GatewayError::BadGateway
}

/// Whether we, not the service, have run out of something: descriptors, ports, memory.
fn is_our_own_shortage(error: &io::Error) -> bool {
    const EADDRNOTAVAIL: i32 = 99;
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    matches!(error.kind(), io::ErrorKind::OutOfMemory)
        || matches!(
            error.raw_os_error(),
            Some(EADDRNOTAVAIL | EMFILE | ENFILE | ENOBUFS)
        )
}
