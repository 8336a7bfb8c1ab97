//! The answer to the client after a failed call, and the log line about it.

use std::{error::Error, io};

use http::HeaderValue;
use hyper_util::client::legacy;

use super::{GatewayError, Service, body::BodyError, causes::causes};
use crate::{
    diagnostic::{Explain as _, Explained, Knob, fix},
    head,
    proxy::Proxy,
    tls,
};

/// The settings of a service that an operator can change.
fn hints() -> tls::Hints {
    tls::Hints {
        address: fix!("its base_url in {}", Knob::RoutesFile),
        authorities: fix!("its ca_file in {}", Knob::RoutesFile),
    }
}

/// A correlation id as text.
pub(super) fn text(correlation: &HeaderValue) -> &str {
    correlation.to_str().unwrap_or_default()
}

/// Logs why a call failed and decides the answer to the client.
pub(super) fn report(
    service: &Service,
    proxy: Option<&Proxy>,
    correlation_id: &str,
    error: &(dyn Error + 'static),
) -> GatewayError {
    let mut decided = GatewayError::BadGateway;
    let mut is_too_large = false;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            decided = match body {
                BodyError::Stalled => GatewayError::RequestTimeout,
                BodyError::Late => GatewayError::GatewayTimeout,
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
    let id = service.id();
    if matches!(
        decided,
        GatewayError::RequestTimeout | GatewayError::BadRequest | GatewayError::Unauthenticated
    ) {
        // Clients come and go.
        tracing::debug!(
            service = id,
            correlation_id,
            cause = causes(error),
            "a client did not finish its request"
        );
    } else if is_too_large {
        tracing::warn!(
            service = id,
            correlation_id,
            max_fields = head::READ_FIELDS,
            max_bytes = head::READ_BYTES,
            "the answer of a service was refused: its header has too many fields, or too many bytes"
        );
    } else {
        let cause = said(service, proxy, error);
        if cause.is_some() {
            tracing::debug!(
                service = id,
                correlation_id,
                cause = causes(error),
                "the library's error for the failed call"
            );
        }
        tracing::warn!(
            service = id,
            correlation_id,
            origin = %service.origin_text(),
            proxy = proxy.map(tracing::field::display),
            cause = cause.map_or_else(|| causes(error), |cause| cause.told()),
            "a call to a service failed"
        );
    }
    decided
}

/// Logs that the head of an answer exceeds the limits.
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

/// Logs that a proxy requires other credentials, and decides the answer to the client. The credentials are not the
/// client's.
pub(super) fn unauthorised(service: &Service, proxy: &Proxy, correlation_id: &str) -> GatewayError {
    tracing::warn!(
        service = service.id(),
        correlation_id,
        origin = %service.origin_text(),
        cause = proxy.wants_credentials().told(),
        "a call to a service failed"
    );
    GatewayError::BadGateway
}

/// The fault of the proxy or of TLS, if the cause is one of them.
fn said(service: &Service, proxy: Option<&Proxy>, error: &(dyn Error + 'static)) -> Option<Explained> {
    let is_connect = error
        .downcast_ref::<legacy::Error>()
        .is_some_and(legacy::Error::is_connect);
    proxy
        .and_then(|proxy| {
            proxy.explain(
                error,
                service.authority().as_str(),
                service.is_https(),
                is_connect,
            )
        })
        .or_else(|| tls::explain(error, &hints()))
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
