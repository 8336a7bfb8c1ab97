//! The answer to the client after a failed call, and the log line about it.

use std::error::Error;

use super::{GatewayError, Service, body::BodyError, upstream::SendError};
use crate::{
    diagnostic::{Explain as _, Explained, Knob, fix},
    head,
    outage::{self, Outage, causes},
    proxy::Proxy,
    tls,
};
use http::HeaderValue;

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
                BodyError::TooLarge => GatewayError::BodyTooLarge,
            };
            break;
        }
        is_too_large |= error
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse_too_large);
        cause = error.source();
    }
    let outage = Outage::of(error);
    decided = match (decided, outage) {
        (GatewayError::BadGateway, Outage::Shortage) => GatewayError::ServiceUnavailable,
        // No connection in time.
        (GatewayError::BadGateway, Outage::TimedOut) => GatewayError::GatewayTimeout,
        (decided, _) => decided,
    };
    let id = service.id();
    if matches!(
        decided,
        GatewayError::RequestTimeout
            | GatewayError::BadRequest
            | GatewayError::BodyTooLarge
            | GatewayError::Unauthenticated
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
        tracing::debug!(
            service = id,
            correlation_id,
            cause = causes(error),
            "the library's error for the failed call"
        );
        tracing::warn!(
            service = id,
            correlation_id,
            origin = %service.origin_text(),
            proxy = proxy.map(tracing::field::display),
            cause = said(service, proxy, error).told(),
            "a call to a service failed"
        );
    }
    decided
}

/// Whether the service gave no answer, and nothing of the client's was the cause.
pub(super) fn is_of_service(decided: GatewayError, error: &(dyn Error + 'static)) -> bool {
    let by_body = outage::chain(error).any(<dyn Error>::is::<BodyError>);
    matches!(decided, GatewayError::BadGateway | GatewayError::GatewayTimeout) && !by_body
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

/// The fault of the proxy, of TLS, of the connection, or of our own limits.
fn said(service: &Service, proxy: Option<&Proxy>, error: &(dyn Error + 'static)) -> Explained {
    let is_connect = error
        .downcast_ref::<SendError>()
        .is_some_and(SendError::is_connect);
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
        .unwrap_or_else(|| broken(service, error))
}

/// Neither the proxy nor TLS is the cause.
fn broken(service: &Service, error: &(dyn Error + 'static)) -> Explained {
    let late = outage::chain(error)
        .filter_map(|cause| cause.downcast_ref::<BodyError>())
        .find(|body| matches!(body, BodyError::Late));
    if let Some(late) = late {
        return late.to_string().into();
    }
    let outage = Outage::of(error);
    let routes = Knob::RoutesFile;
    match outage {
        Outage::NotPermitted if service.socket().is_some() => Explained::new(
            "this user may not connect to the socket",
            fix!("give the user that runs this server the right to write to it"),
        ),
        Outage::Refused | Outage::NoAddress | Outage::NoRoute | Outage::NoSocket => Explained::new(
            outage,
            fix!("start the service, or correct its base_url in {}", routes),
        ),
        Outage::NotHttp2 if service.is_h2c() => Explained::new(
            "h2c is set for the service, and it does not speak HTTP/2 over plain TCP",
            fix!("remove h2c from the service in {}", routes),
        ),
        // A server that does not understand HTTP/2 may hang up before its complaint is read.
        Outage::Ended | Outage::Unfinished if service.is_h2c() => Explained::new(
            outage,
            fix!(
                "remove h2c from the service in {} if it does not speak HTTP/2 over plain TCP",
                routes
            ),
        ),
        Outage::NotHttp => Explained::new(
            outage,
            fix!(
                "correct scheme and port of its base_url in {}; a service that speaks only HTTP/2 over plain TCP needs h2c: true",
                routes
            ),
        ),
        _ => outage.to_string().into(),
    }
}
