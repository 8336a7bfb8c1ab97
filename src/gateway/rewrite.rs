//! Maps the service's own URLs in an answer to the URLs that the browser knows.
//!
//! An API that redirects to `http://crud:8080/v1/orders/7`, or sets a cookie for `/v1`, means a URL that no browser can
//! reach. [`Location`](http::header::LOCATION) and `Content-Location` are mapped back to the public path, and so are
//! `Domain` and `Path` of a `Set-Cookie`. A service switches it off with `rewrite: false`.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LOCATION, Entry, LOCATION, SET_COOKIE},
};
use url::Url;

use super::routes::{Match, Routes, Service};

/// Maps the fields of an answer that came by `matched`.
pub(super) fn rewrite(headers: &mut HeaderMap, routes: &Routes, matched: &Match<'_>) {
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(mapped) = headers
            .get(&name)
            .and_then(|value| location(value.to_str().ok()?, routes, matched))
        {
            headers.insert(name, mapped);
        }
    }
    if let Entry::Occupied(mut cookies) = headers.entry(SET_COOKIE) {
        for cookie in cookies.iter_mut() {
            if let Some(mapped) = set_cookie(cookie, matched) {
                *cookie = mapped;
            }
        }
    }
}

/// The public form of a URL of the service. `None` for any other URL, and for a reference that is relative to the URL
/// of the request: it is as right for the browser.
fn location(reference: &str, routes: &Routes, matched: &Match<'_>) -> Option<HeaderValue> {
    let service = matched.route.service();
    let base = Url::parse(&format!("{}://{}/", service.scheme(), service.authority())).ok()?;
    let is_path = reference.starts_with('/');
    if !is_path && Url::parse(reference).is_err() {
        return None;
    }
    let url = base.join(reference).ok()?;
    if url.origin() != base.origin() {
        return None;
    }
    // An API that supports `X-Forwarded-Prefix` sends the public path itself.
    if is_path && service.base_path().is_empty() && matched.route.is_public_path(url.path()) {
        return None;
    }
    let mut public = routes.public_path(matched, url.path())?;
    public.push_str(&url[url::Position::AfterPath..]);
    HeaderValue::try_from(public).ok()
}

/// A cookie for the host and the paths of the service, for the browser's. `None` where nothing has to change.
fn set_cookie(cookie: &HeaderValue, matched: &Match<'_>) -> Option<HeaderValue> {
    let text = cookie.to_str().ok()?;
    // Such a name promises the path `/` (RFC 6265bis section 4.1.3.2), and no browser takes it with another.
    let named_host = |prefix: &str| prefix.eq_ignore_ascii_case("__Host-");
    if text.trim_start().get(..7).is_some_and(named_host) {
        return None;
    }
    let mut attributes = text.split(';');
    let mut mapped = attributes.next()?.to_owned();
    let mut changed = false;
    for attribute in attributes {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("domain") && is_host_of(matched.route.service(), value) {
            changed = true;
            continue;
        }
        mapped.push(';');
        match public_scope(matched, value) {
            Some(path) if name.eq_ignore_ascii_case("path") => {
                changed = true;
                mapped.push_str(" Path=");
                mapped.push_str(&path);
            }
            _ => mapped.push_str(attribute),
        }
    }
    changed.then(|| HeaderValue::try_from(mapped).ok()).flatten()
}

/// The public path below which the browser sends a cookie for `path` at the service and below. `None` if it is the
/// same.
fn public_scope(matched: &Match<'_>, path: &str) -> Option<String> {
    let path = path.starts_with('/').then(|| path.trim_end_matches('/'))?;
    let public = matched.public_scope(path)?;
    match public.as_str() {
        same if same == path => None,
        "" => Some("/".to_owned()),
        _ => Some(public),
    }
}

/// Whether `domain` is the service's host or a domain that it lies in.
fn is_host_of(service: &Service, domain: &str) -> bool {
    let host = service.authority().host().to_ascii_lowercase();
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    !domain.is_empty() && (host == domain || host.ends_with(&format!(".{domain}")))
}

#[cfg(test)]
mod tests;
