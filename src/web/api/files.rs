//! The files of a folder, for a route that leads to one.

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header::CONTENT_RANGE};

use super::{Web, client_info};
use crate::{
    gateway::{FileError, FileRequest, Match, Proto},
    web::{
        caller::Caller,
        navigation,
        problem::{Code, Problem},
        request_context::RequestContext,
    },
};

/// Sends the file. No token is needed for it, but the session is in use.
pub(super) async fn send(
    web: &Web,
    context: &RequestContext,
    matched: Match<'_>,
    request: Request,
    caller: Option<&Caller>,
) -> Result<Response, Problem> {
    let client = web
        .trusted_proxies
        .client(context.peer, request.uri(), request.headers());
    let is_https = client_info(web, &client).proto == Proto::Https;
    let (request, _) = request.into_parts();
    let renewal = match caller {
        Some(caller) => web.touch(caller).await?,
        None => None,
    };
    let asked = FileRequest {
        method: &request.method,
        headers: &request.headers,
        query: request.uri.query(),
        is_page: navigation::wants_page(&request.headers),
        is_https,
        session_end: caller.map(|caller| web.session_end(&caller.key)),
    };
    let answer = web.gateway.file(matched, asked).await;
    let mut answer = answer.unwrap_or_else(refuse);
    if let Some(renewal) = renewal {
        renewal.apply(answer.headers_mut());
    }
    Ok(answer)
}

fn refuse(error: FileError) -> Response {
    let problem = match error {
        FileError::NotFound => Problem::not_found(),
        FileError::PreconditionFailed => Problem::new(Code::PreconditionFailed, error.to_string()),
        FileError::NotSatisfiable { .. } => Problem::new(Code::RangeNotSatisfiable, error.to_string()),
        FileError::Unavailable => Problem::unavailable(Code::ServiceUnavailable),
    };
    let mut answer = problem.into_response();
    if let FileError::NotSatisfiable { length } = error
        && let Ok(range) = HeaderValue::try_from(format!("bytes */{length}"))
    {
        // RFC 9110 section 15.5.17.
        answer.headers_mut().insert(CONTENT_RANGE, range);
    }
    answer
}
