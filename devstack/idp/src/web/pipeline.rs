//! The pipeline of every request: its size is bounded, it is recorded, and it meets the faults that a test has
//! planned.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use time::{UtcDateTime, macros::format_description};
use tokio::time::{sleep, timeout};

use crate::{
    control::{Endpoint, Fault, Recorded},
    provider::Provider,
};

const MAX_BODY: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Extension of a response that must never be sent: the server closes the connection instead.
#[derive(Clone, Copy)]
pub(crate) struct CloseConnection;

pub(crate) async fn run(State(provider): State<Arc<Provider>>, request: Request, next: Next) -> Response {
    let mut response = answered(&provider, request, next).await;
    // By the IdP's own clock, which may differ from the machine's.
    if let Some(date) = http_date(provider.now()) {
        response.headers_mut().entry(header::DATE).or_insert(date);
    }
    response
}

/// RFC 9110, section 5.6.7.
fn http_date(seconds: u64) -> Option<HeaderValue> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = UtcDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    HeaderValue::try_from(date.format(format).ok()?).ok()
}

async fn answered(provider: &Provider, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let relative = path.strip_prefix(provider.base_path()).unwrap_or(path);
    let Some(endpoint) = Endpoint::at(relative).or_else(|| Endpoint::at(path)) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let body = match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let recorded = Recorded::new(&parts, &body);
    let quoted = recorded.quoted();
    provider.log.add(endpoint, recorded);
    let planned = provider.faults.take(endpoint);
    let process = async || next.run(Request::from_parts(parts, Body::from(body))).await;
    let Some((fault, hanging)) = planned else {
        return process().await;
    };
    match fault {
        Fault::Respond {
            status,
            headers,
            body,
        } => answer(status, &headers, body),
        Fault::Quote { status, error } => {
            let body = serde_json::json!({ "error": error, "error_description": quoted });
            answer(
                status,
                &[("content-type".to_owned(), "application/json".to_owned())],
                body.to_string().into(),
            )
        }
        Fault::Hang => {
            provider.faults.healed(hanging).await;
            process().await
        }
        Fault::CloseWithoutAnswer => close(),
        Fault::CloseAfterProcessing => {
            process().await;
            close()
        }
        Fault::CutBody => cut(process().await).await,
        Fault::RespondAfterProcessing { status, body } => {
            process().await;
            answer(status, &[], body)
        }
        Fault::HoldUntil(notify) => {
            notify.notified().await;
            process().await
        }
        Fault::HoldAnswerUntil(notify) => {
            let response = process().await;
            notify.notified().await;
            response
        }
    }
}

fn answer(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn close() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(CloseConnection);
    response
}

/// Promises the whole body in the head, sends half of it, and ends the connection.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(whole) = to_bytes(body, usize::MAX).await else {
        return close();
    };
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let body = stream::unfold(Some(half), async |half| {
        if let Some(half) = half.filter(|half| !half.is_empty()) {
            return Some((Ok::<Bytes, std::io::Error>(half), None));
        }
        // An immediate error would keep hyper from sending its buffer.
        sleep(Duration::from_millis(20)).await;
        Some((Err(std::io::Error::other("cut on request")), None))
    });
    Response::from_parts(parts, Body::from_stream(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_fixed_form() {
        let date = http_date(784_111_777).unwrap();
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(u64::MAX), None);
    }
}
