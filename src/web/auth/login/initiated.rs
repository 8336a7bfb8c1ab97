//! A login that another site begins (OpenID Connect Core 1.0 section 4): it sends the person here, by a link or by a form.
//!
//! It starts an ordinary login, which logs nobody in by itself.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header::LOCATION};

use super::super::super::{
    Web, form,
    page::Label,
    problem::{Code, Problem},
    query::Parameters,
};
use crate::{login::Initiated, own_paths};

/// The target of the person.
pub(super) const TARGET: &str = "target_link_uri";

/// A longer form is refused, in bytes: it becomes a query string.
const MAX_FORM_LENGTH: usize = 4 * 1024;

/// The allowed parameters of such a login: of section 4, and of OpenID Connect Enterprise Extensions.
const PARAMETERS: [&str; 6] = ["iss", "login_hint", TARGET, "client_id", "domain_hint", "tenant"];

/// Reads the parameters of a login that another site starts, and its target. Without `iss` it is an ordinary login.
pub(super) fn read(query: &mut Parameters<'_>) -> Result<Option<(Initiated, Option<String>)>, Problem> {
    let target = query.take(TARGET)?;
    let client_id = query.take("client_id")?;
    let Some(issuer) = query.take("iss")? else {
        return match target {
            None => Ok(None),
            Some(_) => Err(needs_issuer()),
        };
    };
    Ok(Some((Initiated { issuer, client_id }, target)))
}

/// `POST`: redirects to a GET, to which the browser adds the cookies that it withholds from a form of another site.
pub(in super::super::super) async fn post(State(web): State<Web>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let form = form::read(&head.headers, body, MAX_FORM_LENGTH, &*web.clock).await;
    match form.and_then(|form| target(form.as_deref())) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(problem) => problem.for_person(Label::GoToStartPage, "/").into_response(),
    }
}

fn target(form: Option<&str>) -> Result<HeaderValue, Problem> {
    let mut form = Parameters::parse(form)?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut names_issuer = false;
    for name in PARAMETERS {
        if let Some(value) = form.take(name)? {
            query.append_pair(name, &value);
            names_issuer |= name == "iss";
        }
    }
    if !names_issuer {
        return Err(needs_issuer());
    }
    HeaderValue::try_from(format!("{}?{}", own_paths::LOGIN, query.finish())).map_err(|_| Problem::internal())
}

fn needs_issuer() -> Problem {
    Problem::new(
        Code::InvalidParameter,
        "A login that another site begins must name the identity provider (`iss`).",
    )
}
