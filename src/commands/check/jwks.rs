//! Our keys as the IdP would fetch them.

use std::time::Duration;

use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::Value;
use url::Url;

use super::{
    Context,
    finding::{Check, Kind, Report},
    own::KeysFound,
    server::Local,
    text::clean,
};
use crate::{
    clock::Timestamp,
    diagnostic::{Fix, Knob, fix},
    keys::{Entry, Keys, State, moment},
    outbound::{Lane, Request, Response},
};

/// A set that is kept longer than a new key is published before it signs, in seconds, makes a rotation fail.
const LONGEST_CACHE: u64 = 24 * 3600;

/// A running server reads the keyring every few seconds, so it may not have seen a change younger than this.
const SEEN_BY: Duration = Duration::from_mins(1);

/// At most this many unknown keys are named.
const MOST_NAMED: usize = 5;

/// The result of reading the keys as the IdP would.
#[derive(Debug)]
pub(super) enum Served {
    /// Nothing: no address is configured, or no key exists yet.
    Unknown,
    /// The address does not respond.
    Nobody(Url),
    /// The response contains no keys.
    Wrong,
    /// These.
    Keys(Vec<Value>),
}

pub(super) async fn check(
    context: &Context<'_>,
    keys: &KeysFound,
    server: Local,
    report: &mut Report,
) -> Served {
    let Some(url) = context.config.registration.jwks_uri.clone() else {
        report.skip(
            Check::Jwks,
            fix!(
                "no address: neither {} nor {} is set, so the keys are registered inline",
                Knob::BaseUrl,
                Knob::JwksUri
            ),
        );
        return Served::Unknown;
    };
    let is_idp = is_idp(context, &url);
    if keys.found().is_none() && !is_idp {
        report.skip(
            Check::Jwks,
            format!("{url} is not asked: there are no keys to compare"),
        );
        return Served::Unknown;
    }
    let answer = context
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
            let fix = fix!(
                "let {} (or {}) be the address that the IdP reaches this server at, and route it here",
                Knob::BaseUrl,
                Knob::JwksUri
            );
            let what = format!("{url} cannot be reached, although the server is running here");
            report.fail(Kind::Wrong, Check::Jwks, what, cause.to_string(), fix);
            Served::Nobody(url)
        }
        // A proxy answers for a server that is stopped.
        Ok(response) if server == Local::Absent && response.status.is_server_error() => {
            report.skip(
                Check::Jwks,
                format!(
                    "{url} answers {}, and the server is not running here",
                    response.status
                ),
            );
            Served::Nobody(url)
        }
        Ok(response) if is_idp && !has_our_keys(&response, keys) => {
            let cause = format!(
                "{} is the address of the IdP, too, and what answers there does not have our keys",
                url.origin().ascii_serialization()
            );
            let what = format!("{url} is an address of the IdP, and not of this server");
            let fix = fix!(
                "set {} to the address at which browsers reach this server",
                named(context)
            );
            wrong(report, what, cause, fix)
        }
        Ok(response) => {
            let place = Place {
                url: &url,
                knob: named(context),
            };
            compared(&place, &response, keys, context.clock.now(), report)
        }
    }
}

/// The setting that `jwks_uri` comes from.
fn named(context: &Context<'_>) -> Knob {
    match context.config.names.variable(Knob::JwksUri) {
        Some((_, Some(_))) => Knob::JwksUri,
        _ => Knob::BaseUrl,
    }
}

/// Whether `url` is at an origin of the IdP.
fn is_idp(context: &Context<'_>, url: &Url) -> bool {
    let provider = &context.config.provider;
    let issuer = Url::parse(&provider.issuer).ok();
    let addresses = [&issuer, &provider.base_url, &provider.public_base];
    let mut addresses = addresses.into_iter().flatten();
    addresses.any(|address| address.origin() == url.origin())
}

fn has_our_keys(response: &Response, keys: &KeysFound) -> bool {
    let set = serde_json::from_slice::<Value>(&response.body).ok();
    let served = set.as_ref().and_then(|set| set.get("keys")?.as_array());
    let (Some(served), Some(keys)) = (served, keys.found()) else {
        return false;
    };
    has_signing_key(keys, served) || !other_kids(keys, served).is_empty()
}

/// The address of our keys, and where it comes from.
struct Place<'a> {
    url: &'a Url,
    knob: Knob,
}

fn compared(
    place: &Place<'_>,
    response: &Response,
    found: &KeysFound,
    now: Timestamp,
    report: &mut Report,
) -> Served {
    let keys = found.any();
    let url = place.url;
    let here = || {
        fix!(
            "correct {} if another server answers there; if a proxy does, route the path to this server, without a login or a \
             redirect in between",
            place.knob
        )
    };
    if response.status != StatusCode::OK {
        let cause = format!(
            "the answer is {}, which an IdP does not take for keys",
            response.status
        );
        return wrong(report, format!("{url} does not serve the keys"), cause, here());
    }
    let set = serde_json::from_slice::<Value>(&response.body).ok();
    let Some(served) = set.as_ref().and_then(|set| set.get("keys")?.as_array().cloned()) else {
        let cause = "the answer is not a JWK Set";
        return wrong(report, format!("{url} does not serve the keys"), cause, here());
    };
    let header = |name| response.headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header(CONTENT_TYPE).unwrap_or("none");
    if !media_type.contains("json") {
        let cause = format!(
            "its content type is {}, which strict IdPs refuse",
            clean(media_type)
        );
        let fix = "have the proxy in between leave the content type as it is";
        return wrong(report, format!("{url} is not served as JSON"), cause, fix);
    }
    let missing = missing(keys, &served);
    let signing = keys.signing();
    if let Some((_, cause)) = missing.iter().find(|(kid, _)| kid == signing.kid()) {
        let fix = if found.entry(signing.kid()).is_some_and(|key| is_news(key, now)) {
            fix!(
                "check again in ten seconds, because the key is new in the keyring; then: {}",
                align()
            )
        } else {
            align()
        };
        return wrong(
            report,
            format!("{url} serves other keys than this one"),
            cause.clone(),
            fix,
        );
    }
    if let Some(age) = header(CACHE_CONTROL)
        .and_then(max_age)
        .filter(|age| *age > LONGEST_CACHE)
    {
        let cause = format!("max-age is {age} s; a new key would not be seen for as long");
        let fix = "have the proxy in between leave Cache-Control as it is (300 s)";
        return wrong(report, format!("{url} is cached for too long"), cause, fix);
    }
    for (kid, cause) in missing {
        not_served(url, &kid, &cause, found.entry(&kid), now, report);
    }
    if report.failed(&[Check::Jwks]).is_none() {
        report.ok(Check::Jwks, format!("{url} serves the signing key"));
    }
    Served::Keys(served)
}

/// The signing key is not among the served ones.
fn align() -> Fix {
    fix!(
        "if the running server has another keyring ({}, {}, another volume) or was started with another {} or {}, align both or \
         restart it; where a cache is in between, wait or empty it",
        Knob::StateFolder,
        Knob::KeysFolder,
        Knob::SigningKey,
        Knob::KeyId
    )
}

fn wrong(report: &mut Report, what: String, cause: impl Into<Fix>, fix: impl Into<Fix>) -> Served {
    report.fail(Kind::Wrong, Check::Jwks, what, cause, fix);
    Served::Wrong
}

/// The absence of a key that does not sign now locks nobody out. The next signing key's absence will.
fn not_served(url: &Url, kid: &str, cause: &str, entry: Option<&Entry>, now: Timestamp, report: &mut Report) {
    match entry {
        Some(key) if key.state == State::Next && is_news(key, now) => report.note(format!(
            "the key {kid}, which is next, is not served yet at {url}: a running server takes it up within seconds"
        )),
        Some(key) if key.state == State::Next => report.fail(
            Kind::Wrong,
            Check::Jwks,
            format!("{url} serves the signing key, and not the next key, which will sign after it"),
            format!(
                "{cause}; it is next since {}, and a server that follows the keyring serves it within seconds",
                moment(key.since)
            ),
            fix!(
                "the server does not follow {}: let both use one folder ({}, {}), and look in its log for what it cannot read; \
                 where a cache is in between, wait or empty it",
                Knob::KeyringFile,
                Knob::StateFolder,
                Knob::KeysFolder
            ),
        ),
        Some(key) => report.note(format!("the key {kid}, which is {}, is not served at {url}", key.state)),
        None => report.note(fix!(
            "the key {} of {} is not served at {}: perhaps the running server was started without it",
            kid.to_owned(),
            Knob::ExtraKeys,
            url.to_string()
        )),
    }
}

fn is_news(key: &Entry, now: Timestamp) -> bool {
    now.duration_since(key.since) < SEEN_BY
}

/// Those of our keys that are not among `served`: their kids, and how, in words.
fn missing(keys: &Keys, served: &[Value]) -> Vec<(String, String)> {
    let ours = keys.public_jwks();
    let ours = ours.get("keys").and_then(Value::as_array).into_iter().flatten();
    ours.filter_map(|key| Some((kid(key).to_owned(), missing_key(key, served)?)))
        .collect()
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
    let mut there: Vec<String> = served
        .iter()
        .take(MOST_NAMED)
        .map(|key| clean(kid(key)))
        .collect();
    if there.is_empty() {
        there.push("none".to_owned());
    }
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

/// The kids under which the signing key is among `set`, although it signs under another one.
pub(super) fn other_kids<'a>(keys: &Keys, set: &'a [Value]) -> Vec<&'a str> {
    let ours = keys.public_jwks();
    let signing = keys.signing();
    let mut ours = ours.get("keys").and_then(Value::as_array).into_iter().flatten();
    let Some(ours) = ours.find(|key| kid(key) == signing.kid()) else {
        return Vec::new();
    };
    let same = set.iter().filter(|key| same_key(ours, key)).map(kid);
    same.filter(|other| *other != signing.kid()).collect()
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
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::keys::{KeyKind, Keyring};

    #[test]
    fn the_age_is_found_among_other_directives() {
        assert_eq!(max_age("public, max-age=300"), Some(300));
        assert_eq!(max_age("max-age=90000,immutable"), Some(90_000));
        assert_eq!(max_age("no-store"), None);
        assert_eq!(max_age("max-age=soon"), None);
    }

    fn response(status: StatusCode, headers: &[(HeaderName, &'static str)], body: &str) -> Response {
        let headers = headers.iter().cloned();
        Response {
            status,
            headers: headers
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect(),
            body: Bytes::from(body.to_owned()),
            withheld: crate::secret::Withheld::default(),
            unproven_proxy: None,
        }
    }

    /// The words about a response.
    fn said(keys: &KeysFound, response: &Response) -> String {
        let url = Url::parse("https://bff.example/.well-known/jwks.json").unwrap();
        let mut report = Report::default();
        let place = Place {
            url: &url,
            knob: Knob::BaseUrl,
        };
        compared(&place, response, keys, Timestamp::EPOCH, &mut report);
        format!("{:?}", report.rows().collect::<Vec<_>>())
    }

    #[test]
    fn what_a_proxy_makes_of_the_keys_is_told() {
        let keys = Keys::throwaway(KeyKind::P256).unwrap();
        let found = KeysFound::Found(keys.clone(), Keyring::default(), Vec::new());
        let good = String::from_utf8(keys.document().body.to_vec()).unwrap();
        let json = (CONTENT_TYPE, "application/jwk-set+json");
        let answer = |status, headers: &[_], body: &str| said(&found, &response(status, headers, body));
        let ok = StatusCode::OK;
        let fine = answer(ok, &[json.clone(), (CACHE_CONTROL, "max-age=300")], &good);
        assert!(
            fine.contains("serves the signing key") && !fine.contains("Failed"),
            "{fine}"
        );
        let page = "<html>log in</html>";
        for (answer, part) in [
            (answer(StatusCode::FOUND, &[], ""), "302"),
            (answer(ok, &[(CONTENT_TYPE, "text/html")], page), "not a JWK Set"),
            (answer(ok, &[(CONTENT_TYPE, "text/plain")], &good), "text/plain"),
            (answer(ok, &[], &good), "content type is none"),
            (
                answer(ok, std::slice::from_ref(&json), r#"{"keys":[]}"#),
                "is not there; there are: none",
            ),
            (
                answer(ok, &[json.clone(), (CACHE_CONTROL, "max-age=604800")], &good),
                "max-age is 604800 s",
            ),
        ] {
            assert!(
                answer.contains("Failed") && answer.contains(part),
                "no {part}: {answer}"
            );
        }
        let other = Keys::throwaway(KeyKind::P256).unwrap();
        let kid = |keys: &Keys| keys.signing().kid().to_owned();
        let foreign = String::from_utf8(other.document().body.to_vec()).unwrap();
        let there = answer(ok, std::slice::from_ref(&json), &foreign);
        assert!(there.contains(&kid(&other)), "what is there is named: {there}");
        let forged = answer(
            ok,
            std::slice::from_ref(&json),
            &foreign.replace(&kid(&other), &kid(&keys)),
        );
        assert!(forged.contains("another key"), "{forged}");
        let renamed = answer(ok, &[json], &good.replace(&kid(&keys), "renamed"));
        assert!(renamed.contains("is there under the kid renamed"), "{renamed}");
    }

    #[test]
    fn a_kid_alone_is_not_the_key() {
        let (keys, other) = (
            Keys::throwaway(KeyKind::P256).unwrap(),
            Keys::throwaway(KeyKind::P256).unwrap(),
        );
        let set = |keys: &Keys| keys.public_jwks()["keys"].as_array().unwrap().clone();
        assert!(has_signing_key(&keys, &set(&keys)));
        let mut forged = set(&other);
        assert!(!has_signing_key(&keys, &forged));
        forged[0]["kid"] = keys.signing().kid().into();
        assert!(!has_signing_key(&keys, &forged));
    }
}
