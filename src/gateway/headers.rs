//! Which header fields pass, in both directions.
//!
//! Towards an API, the policy removes fields of one connection (RFC 9110 section 7.6.1) and fields in which a client
//! could claim an identity or an origin ([`identity`]). Then it adds the gateway's own fields. Towards the browser,
//! it removes fields of one connection, cookies whose names the caller reserves, fields that affect more than the
//! answer ([`withheld`]), and fields that let a shared cache keep the data of a session. Both work in place on the
//! received map. A service can remove more fields, and allow withheld ones ([`Rules`]).

mod identity;
mod names;
mod rules;
mod withheld;

use std::net::{IpAddr, Ipv4Addr};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};

use self::identity::is_claim_of_identity;
use super::{Auth, ClientInfo};
use crate::credential::Credential;

pub(super) use self::{
    names::Names,
    rules::Rules,
    withheld::{is_withheld, nearest_withheld},
};

/// The header that ties the log lines of one call together.
pub const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

pub(super) const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// At most so many fields are added.
const ADDED: usize = 7;

/// The gateway's additions to a request.
pub(super) struct Additions<'a> {
    /// Only for a route with a session or a bearer.
    pub(super) credential: Option<Credential>,
    /// The application's own cookies.
    pub(super) cookies: Option<HeaderValue>,
    pub(super) client: &'a ClientInfo,
    /// Fields that say who the caller is.
    pub(super) identity: HeaderMap,
    /// The part of the public path that the API does not see, for `X-Forwarded-Prefix`.
    pub(super) prefix: Option<HeaderValue>,
    pub(super) correlation_id: HeaderValue,
}

/// The fate of a header field of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    Removed,
    /// The client's own `Authorization`: passes on routes without a session.
    Credential,
}

/// Brings the header of a request into the form that the API gets.
pub(super) fn prepare_request(headers: &mut HeaderMap, auth: Auth, rules: &Rules, additions: Additions<'_>) {
    remove_named_in_connection(headers);
    // One growth instead of two.
    headers.reserve(ADDED);
    let removed = |name: &HeaderName| match fate(name.as_str()) {
        Fate::Passes => false,
        Fate::Removed => true,
        Fate::Credential => takes_credential(auth),
    };
    remove_where(headers, |name| {
        removed(name) || rules.remove.contains(name.as_str())
    });
    for (name, value) in &rules.set {
        headers.insert(name.clone(), value.clone());
    }
    if takes_credential(auth)
        && let Some(credential) = additions.credential
    {
        // Replaces: there is one `Authorization`, and it is the one that was checked.
        credential.apply(headers);
    }
    // Those of the client have been removed.
    headers.extend(additions.identity);
    if let Some(cookies) = additions.cookies
        && !rules.remove.contains(header::COOKIE.as_str())
    {
        headers.insert(header::COOKIE, cookies);
    }
    headers.insert(X_CORRELATION_ID, additions.correlation_id);
    let ClientInfo { address, proto, host } = additions.client;
    if let Some(address) = address.and_then(address_value) {
        headers.insert(X_FORWARDED_FOR, address);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto.as_str()));
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    if let Some(prefix) = additions.prefix {
        headers.insert(X_FORWARDED_PREFIX, prefix);
    }
}

/// Whether the caller of the gateway says what `Authorization` holds.
const fn takes_credential(auth: Auth) -> bool {
    matches!(auth, Auth::Session | Auth::Bearer)
}

/// Brings the header of an API's answer into the form that the browser gets. A `Set-Cookie` stays where
/// `keep_set_cookie` says so.
pub(super) fn prepare_response(
    headers: &mut HeaderMap,
    auth: Auth,
    rules: &Rules,
    keep_set_cookie: &dyn Fn(&HeaderValue) -> bool,
) {
    remove_named_in_connection(headers);
    remove_where(headers, |name| {
        let name = name.as_str();
        is_hop_by_hop(name) || is_withheld(name) && !rules.allow.contains(name)
    });
    if let Entry::Occupied(mut cookies) = headers.entry(header::SET_COOKIE)
        && !cookies.iter().all(keep_set_cookie)
    {
        let kept: Vec<HeaderValue> = cookies
            .iter()
            .filter(|cookie| keep_set_cookie(cookie))
            .cloned()
            .collect();
        let mut kept = kept.into_iter();
        if let Some(first) = kept.next() {
            cookies.insert(first);
            for cookie in kept {
                cookies.append(cookie);
            }
        } else {
            cookies.remove_entry_mult();
        }
    }
    if auth == Auth::Session {
        keep_private(headers);
        // The server that holds the session decides which pages may read its data, not an API that reflects any
        // origin.
        remove_where(headers, |name| name.as_str().starts_with("access-control-"));
    }
}

/// Restricts an answer with a session to this person's browser. A cache in front of us sees only a cookie, which it
/// does not know to be decisive. The API saw `Authorization` (RFC 9111 section 3.5). Other cache directives of the
/// API stay.
pub(super) fn keep_private(headers: &mut HeaderMap) {
    // Caches of one kind listen to a field of their own before `Cache-Control` (RFC 9213).
    remove_where(headers, |name| {
        let name = name.as_str();
        name.ends_with("-cache-control")
            || matches!(
                name,
                "surrogate-control" | "edge-control" | "x-accel-expires" | "x-cache-expires"
            )
    });
    let Entry::Occupied(mut entry) = headers.entry(header::CACHE_CONTROL) else {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    };
    let mut kept = b"private".to_vec();
    for directive in entry
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
    {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = name.trim_ascii();
        let dropped = ["", "public", "s-maxage", "private"]
            .iter()
            .any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()));
        if !dropped {
            kept.extend_from_slice(b", ");
            kept.extend_from_slice(directive);
        }
    }
    // Made of pieces of a valid value.
    let kept = HeaderValue::try_from(kept).unwrap_or(HeaderValue::from_static("no-store"));
    entry.insert(kept);
}

/// Removes the fields that `Connection` names, and `Connection` itself.
fn remove_named_in_connection(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(header::CONNECTION) else {
        return;
    };
    // Nearly every request of HTTP/1.1 says just this; it names no field.
    let mut values = entry.iter();
    if let (Some(only), None) = (values.next(), values.next())
        && (only.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || only.as_bytes().eq_ignore_ascii_case(b"close"))
    {
        entry.remove();
        return;
    }
    let values: Vec<HeaderValue> = entry.remove_entry_mult().1.collect();
    for name in values
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
    {
        // A name that does not parse cannot be in the map.
        if let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) {
            headers.remove(name);
        }
    }
}

/// Removes every field for which `removed` is true, with all its values.
fn remove_where(headers: &mut HeaderMap, removed: impl Fn(&HeaderName) -> bool) {
    // Most answers lose nothing, which allocates nothing.
    let names: Vec<HeaderName> = headers.keys().filter(|name| removed(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a service may have a fixed value of this request field: not one of the gateway's own, and none in which other
/// products state the caller.
pub(super) fn can_be_set(name: &HeaderName) -> bool {
    fate(name.as_str()) == Fate::Passes
}

/// Whether a request field of the client, in lower case, reaches a service.
pub(super) fn passes_in_requests(name: &str, rules: &Rules) -> bool {
    let is_set = || rules.set.iter().any(|(set, _)| set == name);
    fate(name) == Fate::Passes && !rules.remove.contains(name) && !is_set()
}

/// Whether a field of an answer, in lower case, reaches a client, if nothing speaks against its value.
pub(super) fn passes_in_answers(name: &str, rules: &Rules) -> bool {
    !is_hop_by_hop(name) && (!is_withheld(name) || rules.allow.contains(name))
}

/// Names are in lower case, as in `HeaderName`.
fn fate(name: &str) -> Fate {
    // Many servers (CGI and its descendants) read `_` as `-`, and some read every byte that is not a letter or a
    // digit as `-`. There `X_User.ID` would arrive as `X-User-ID`. Browsers send no such field by themselves.
    if !is_plain(name) || is_hop_by_hop(name) || is_claim_of_identity(name) {
        return Fate::Removed;
    }
    match name {
        "authorization" => Fate::Credential,
        // Set anew: the host of the service, the cookies without ours, our id, the size of the body.
        "host" | "cookie" | "x-correlation-id" | "content-length"
        // Between the browser and the server: the CSRF token, and `Expect`.
        | "x-csrf-token" | "expect"
        // The method that was checked is the method that counts.
        | "x-http-method-override" | "x-http-method" | "x-method-override" | "x-method" => Fate::Removed,
        _ => Fate::Passes,
    }
}

/// Whether every reader takes the name for the same one.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// RFC 9110 section 7.6.1, and fields of older clients.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-authentication-info"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

fn address_value(address: IpAddr) -> Option<HeaderValue> {
    // An IPv4 client on a socket for both families is an IPv4 client.
    match address.to_canonical() {
        IpAddr::V4(address) => HeaderValue::from_bytes(&dotted(address)).ok(),
        IpAddr::V6(address) => HeaderValue::try_from(address.to_string()).ok(),
    }
}

/// An address as people write it. Made for every call, and several times as fast as the formatting of the standard library.
fn dotted(address: Ipv4Addr) -> Vec<u8> {
    let mut text = Vec::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
    text
}

#[cfg(test)]
mod tests;
