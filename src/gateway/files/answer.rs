//! The answer with a file.

use std::{borrow::Cow, sync::Arc};

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, VARY,
    },
};

use super::{Content, FileBody, Folder, Found, Verdict, Wishes, judge, on_a_thread};
use crate::gateway::{Auth, Gateway, Match, Route, SessionEnd, headers::keep_private};

/// A request for a file.
pub struct FileRequest<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// Its header.
    pub headers: &'a HeaderMap,
    /// Its query, for a redirect.
    pub query: Option<&'a str>,
    /// Whether a person opens a page.
    pub is_page: bool,
    /// Whether the browser speaks TLS.
    pub is_https: bool,
    /// The end of the session of the caller, if there is one: it ends the answer.
    pub session_end: Option<SessionEnd>,
}

/// Why a request gets no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is none that may be served.
    #[error("there is no such file")]
    NotFound,
    /// A condition of the request does not hold.
    #[error("a condition of the request does not hold for this file")]
    PreconditionFailed,
    /// The file has no such bytes.
    #[error("the file has none of the bytes that the request asks for")]
    NotSatisfiable {
        /// Its length.
        length: u64,
    },
    /// The disk, or this process, fails. The cause is in the log.
    #[error("the file cannot be read at the moment")]
    Unavailable,
}

// === impl Gateway ===

impl Gateway {
    /// The answer with the file that `matched` names. The caller has admitted the request.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub async fn file(
        &self,
        matched: Match<'_>,
        asked: FileRequest<'_>,
    ) -> Result<Response<Body>, FileError> {
        let route = matched.route;
        let folder = route.service().folder().ok_or(FileError::NotFound)?;
        let wishes = Wishes {
            path: matched.file_path().ok_or(FileError::NotFound)?,
            redirects: route.is_below() && !matched.path.as_str().ends_with('/'),
            is_page: asked.is_page,
            well_known: route.is_well_known(),
        };
        let encodings: HeaderMap = asked
            .headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .map(|value| (ACCEPT_ENCODING, value.clone()))
            .collect();
        let find = {
            let folder = Arc::clone(folder);
            move || folder.find(&wishes, &encodings)
        };
        let found = on_a_thread(&folder.threads, find).await;
        let auth = route.auth().of_call(asked.session_end.is_some());
        let mut response = match found {
            Ok(Found::File(content)) => self.content(route, folder, *content, &asked)?,
            Ok(Found::NeedsSlash) => with_slash(matched.path.as_str(), asked.query),
            Ok(Found::Nothing) => return Err(FileError::NotFound),
            Err(error) => {
                tracing::error!(
                    service = route.service().id(),
                    %error,
                    "a file cannot be read"
                );
                return Err(FileError::Unavailable);
            }
        };
        let headers = response.headers_mut();
        route.security().apply(headers, asked.is_https);
        if auth == Auth::Session {
            keep_private(headers);
        } else if route.auth() == Auth::Optional {
            // A cache must not show it to a person with a session.
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
        Ok(response)
    }

    fn content(
        &self,
        route: &Route,
        folder: &Folder,
        content: Content,
        asked: &FileRequest<'_>,
    ) -> Result<Response<Body>, FileError> {
        // Never later than now (RFC 9110 section 8.8.2.1).
        let modified = content
            .modified
            .filter(|(seconds, _)| *seconds <= self.clock.wall().unix_seconds());
        let date = modified.map(|(_, date)| date);
        let verdict = judge(asked.method, asked.headers, &content.tag, date, content.length);
        let (status, range) = match verdict {
            Verdict::Whole => (StatusCode::OK, Some(0..content.length)),
            Verdict::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
            Verdict::NotModified => (StatusCode::NOT_MODIFIED, None),
            Verdict::PreconditionFailed => return Err(FileError::PreconditionFailed),
            Verdict::NotSatisfiable => {
                return Err(FileError::NotSatisfiable {
                    length: content.length,
                });
            }
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let cache_control = route.cache_control().filter(|_| !content.is_fallback);
        headers.insert(
            CACHE_CONTROL,
            // A client asks whether the file has changed before it uses its own copy.
            cache_control
                .cloned()
                .unwrap_or(HeaderValue::from_static("no-cache")),
        );
        if let Ok(tag) = HeaderValue::from_str(&content.tag) {
            headers.insert(ETAG, tag);
        }
        if let Some(date) = date.and_then(|date| HeaderValue::try_from(httpdate::fmt_http_date(date)).ok()) {
            headers.insert(LAST_MODIFIED, date);
        }
        if content.varies {
            headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        }
        let Some(range) = range else {
            return Ok(response);
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content.kind));
        if let Some(encoding) = content.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        if status == StatusCode::PARTIAL_CONTENT {
            let text = format!("bytes {}-{}/{}", range.start, range.end - 1, content.length);
            if let Ok(text) = HeaderValue::try_from(text) {
                headers.insert(CONTENT_RANGE, text);
            }
        }
        if asked.method == Method::GET {
            *response.body_mut() = match content.small {
                // It fits, since all of it is in memory.
                Some(bytes) => Body::from(bytes.slice(index(range.start)..index(range.end))),
                None => Body::new(FileBody::new(
                    content.file,
                    range,
                    Arc::clone(&folder.threads),
                    asked.session_end.clone(),
                )),
            };
        }
        Ok(response)
    }
}

fn index(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// A redirect to the path with a slash, relative to the request, so that it is right behind every proxy.
fn with_slash(path: &str, query: Option<&str>) -> Response<Body> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let query = query.map_or(Cow::Borrowed(""), |query| format!("?{query}").into());
    // Without the dot, a name with a colon would be a scheme.
    let target = HeaderValue::try_from(format!("./{last}/{query}"));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response
        .headers_mut()
        .insert(LOCATION, target.unwrap_or(HeaderValue::from_static("./")));
    response
}
