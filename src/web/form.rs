//! Forms that browsers post: bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};

use super::problem::{Code, Problem};
use crate::{
    clock::{Clock, Elapsed, timeout},
    gateway::GatewayError,
};

/// A form has this long to arrive.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The text of a form of at most `most` bytes (`application/x-www-form-urlencoded`). `None` for another body, which
/// is not read.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    clock: &dyn Clock,
) -> Result<Option<String>, Problem> {
    let is_form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !is_form {
        return Ok(None);
    }
    let refused = || Problem::new(Code::MalformedForm, "The form is too long or not UTF-8.");
    let body = timeout(clock, TIMEOUT, Limited::new(body, most).collect())
        .await
        .map_err(|Elapsed| Problem::from(GatewayError::RequestTimeout))?
        .map_err(|_| refused())?
        .to_bytes();
    String::from_utf8(body.into()).map(Some).map_err(|_| refused())
}
