//! Our keys as the IdP would fetch them.

use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::Value;
use url::Url;

use super::{
    Patient,
    finding::{Check, Kind, Report},
    own::KeysFound,
    server::Local,
    text::clean,
};
use crate::{
    keys::Keys,
    outbound::{Lane, Request, Response},
};

/// A set that is kept longer than a new key is published before it signs, in seconds, makes a rotation fail.
const LONGEST_CACHE: u64 = 24 * 3600;

/// What is known of the keys that the IdP would fetch.
#[derive(Debug)]
pub(super) enum Served {
    /// Nothing: there is no address, or no key yet.
    Unknown,
    /// Nobody answers at the address.
    Nobody(Url),
    /// What answers there does not serve them.
    Wrong,
    /// These.
    Keys(Vec<Value>),
}

pub(super) async fn check(
    patient: &Patient<'_>,
    keys: &KeysFound,
    server: Local,
    report: &mut Report,
) -> Served {
    let Some(url) = patient.config.registration.jwks_uri.clone() else {
        report.skip(
            Check::Jwks,
            "no address: neither BFF_BASE_URL nor DCR_JWKS_URI is set, so the keys are registered inline",
        );
        return Served::Unknown;
    };
    let Some(keys) = keys.found() else {
        report.skip(
            Check::Jwks,
            format!("{url} is not asked: there are no keys to compare"),
        );
        return Served::Unknown;
    };
    let answer = patient
        .parts
        .outbound
        .send(Lane::Metadata, Request::get(url.clone()))
        .await;
    match answer {
        Err(_) if server == Local::Absent => {
            report.skip(
                Check::Jwks,
                format!("nobody answers at {url}, and the server is not running here"),
            );
            Served::Nobody(url)
        }
        Err(cause) => {
            report.fail(
                Kind::Wrong,
                Check::Jwks,
                format!("{url} cannot be reached, although the server is running here"),
                cause.to_string(),
                "let BFF_BASE_URL (or DCR_JWKS_URI) be the address that the IdP reaches this server at, and route it here",
            );
            Served::Nobody(url)
        }
        Ok(response) => compared(&url, &response, keys, report),
    }
}

fn compared(url: &Url, response: &Response, keys: &Keys, report: &mut Report) -> Served {
    let mut wrong = |what: String, cause: String, fix: &str| {
        report.fail(Kind::Wrong, Check::Jwks, what, cause, fix);
        Served::Wrong
    };
    let here = "route the path to this server, without a login or a redirect in between";
    if response.status != StatusCode::OK {
        let cause = format!(
            "the answer is {}, which an IdP does not take for keys",
            response.status
        );
        return wrong(format!("{url} does not serve the keys"), cause, here);
    }
    let set = serde_json::from_slice::<Value>(&response.body).ok();
    let Some(served) = set.as_ref().and_then(|set| set.get("keys")?.as_array().cloned()) else {
        let cause = "what is served is not a JWK Set".to_owned();
        return wrong(format!("{url} does not serve the keys"), cause, here);
    };
    let header = |name| response.headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header(CONTENT_TYPE).unwrap_or("none");
    if !media_type.contains("json") {
        let cause = format!(
            "its content type is {}, which strict IdPs refuse",
            clean(media_type)
        );
        let fix = "have the proxy in between leave the content type as it is";
        return wrong(format!("{url} is not served as JSON"), cause, fix);
    }
    if let Some(missing) = missing(keys, &served) {
        let fix = "where the running server uses another key (BFF_JWT_SIGNING_KEY, BFF_KID, another volume), align both or \
                   restart it; where a cache is in between, wait or empty it";
        return wrong(format!("{url} serves other keys than this one"), missing, fix);
    }
    if let Some(age) = header(CACHE_CONTROL)
        .and_then(max_age)
        .filter(|age| *age > LONGEST_CACHE)
    {
        let cause = format!("max-age is {age} s; a new key would not be seen for as long");
        let fix = "have the proxy in between leave Cache-Control as it is (300 s)";
        return wrong(format!("{url} is cached for too long"), cause, fix);
    }
    report.ok(Check::Jwks, format!("{url} serves the signing key"));
    Served::Keys(served)
}

/// The first of our keys that is not among `served`, in words.
fn missing(keys: &Keys, served: &[Value]) -> Option<String> {
    let ours = keys.public_jwks();
    let ours = ours.get("keys").and_then(Value::as_array)?;
    ours.iter().find_map(|key| missing_key(key, served))
}

fn missing_key(key: &Value, served: &[Value]) -> Option<String> {
    let wanted = kid(key);
    if let Some(other) = served.iter().find(|other| kid(other) == wanted) {
        return (!same_key(key, other)).then(|| format!("the kid {wanted} is there, but it is another key"));
    }
    if let Some(other) = served.iter().find(|other| same_key(key, other)) {
        let other = clean(kid(other));
        return Some(format!(
            "the key with the kid {wanted} is there under the kid {other}"
        ));
    }
    let there: Vec<String> = served.iter().map(|key| clean(kid(key))).collect();
    Some(format!(
        "the kid {wanted} is not there; there are: {}",
        there.join(", ")
    ))
}

/// Whether the signing key is among `set`, under its kid.
pub(super) fn has_signing_key(keys: &Keys, set: &[Value]) -> bool {
    let ours = keys.public_jwks();
    let signing = keys.signing();
    let ours = ours.get("keys").and_then(Value::as_array).into_iter().flatten();
    let ours: Vec<&Value> = ours.filter(|key| kid(key) == signing.kid()).collect();
    set.iter()
        .any(|key| kid(key) == signing.kid() && ours.iter().any(|our| same_key(our, key)))
}

fn kid(key: &Value) -> &str {
    key.get("kid").and_then(Value::as_str).unwrap_or_default()
}

fn same_key(one: &Value, other: &Value) -> bool {
    ["kty", "crv", "n", "e", "x", "y"]
        .iter()
        .all(|member| one.get(member) == other.get(member))
}

fn max_age(cache_control: &str) -> Option<u64> {
    let mut directives = cache_control.split(',').map(str::trim);
    directives.find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_found_among_other_directives() {
        assert_eq!(max_age("public, max-age=300"), Some(300));
        assert_eq!(max_age("max-age=90000,immutable"), Some(90_000));
        assert_eq!(max_age("no-store"), None);
        assert_eq!(max_age("max-age=soon"), None);
    }
}
