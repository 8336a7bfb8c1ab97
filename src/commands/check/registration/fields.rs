//! The fields of the registration that have a row of their own, and the others.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use url::Url;

use super::super::{
    Patient,
    finding::{Check, Kind, Report},
    jwks::Served,
    own::KeysFound,
    text::{clean, items},
};
use crate::{
    oidc::{Client, ClientAuthentication, Metadata},
    registration::{AuthMethod, Change, Inspected, Reading, RedirectUpdate},
};

const REDIRECT_URIS: &str = "redirect_uris";
const LOGOUT_URIS: &str = "post_logout_redirect_uris";
const SCOPE: &str = "scope";
const METHOD: &str = "token_endpoint_auth_method";
const ALGORITHM: &str = "token_endpoint_auth_signing_alg";
const KEYS: [&str; 2] = ["jwks", "jwks_uri"];

/// What repairs most differences.
const REPAIR: &str = "run `bff register` (or restart the server), which updates it at the IdP";

/// What the client is at the IdP, field by field.
pub(super) fn compared(patient: &Patient<'_>, client: &Inspected, report: &mut Report) {
    match &client.reading {
        Reading::Read(current) => {
            redirect_uris(patient, client, current, report);
            registered_scopes(client, current, report);
        }
        // The proof of authentication has something to say of both.
        Reading::NotOffered | Reading::Skipped | Reading::Elsewhere { .. } | Reading::Failed(_) => {}
    }
    let registered = client.changes.iter().find(|change| change.field == METHOD);
    if let Some(change) = registered {
        let theirs = value(change.from.as_ref());
        let ours = patient.config.client.authentication.name();
        report.fail(
            Kind::Wrong,
            Check::Method,
            format!("the client is to use {ours}, but the IdP has registered {theirs}"),
            format!("MS_BFF_TOKEN_AUTH_METHOD is {ours}; the IdP lets the client in with {theirs} alone"),
            format!(
                "set MS_BFF_TOKEN_AUTH_METHOD={theirs}; or, to change the client, {}{REPAIR}",
                profile(patient, ours)
            ),
        );
    }
    if let Some(change) = client.changes.iter().find(|change| change.field == ALGORITHM) {
        let (theirs, ours) = (value(change.from.as_ref()), value(change.to.as_ref()));
        report.fail(
            Kind::Wrong,
            Check::Algorithm,
            format!("the client is to sign with {ours}, but the IdP has registered {theirs}"),
            "the signing key or BFF_JWT_SIGNING_ALG has changed since, or somebody changed the client",
            format!(
                "let a key of the former type sign (`bff keys rotate --now` with its BFF_KEY_TYPE), or put \
                 BFF_JWT_SIGNING_ALG back; or, to change the client, {REPAIR}"
            ),
        );
    }
    others(client, report);
}

/// An IdP with profiles refuses a method that the client's does not allow.
fn profile(patient: &Patient<'_>, method: &str) -> String {
    let profile = patient.config.registration.client_profile.as_deref();
    profile.map_or_else(String::new, |now| {
        format!("let DCR_CLIENT_PROFILE (now {now}) name a profile for {method}, and ")
    })
}

fn redirect_uris(
    patient: &Patient<'_>,
    client: &Inspected,
    current: &Map<String, Value>,
    report: &mut Report,
) {
    let repair = match patient.config.registration.redirect_update {
        RedirectUpdate::Keep => "add it at the IdP (DCR_REDIRECT_UPDATE_MODE=none leaves that to you)",
        RedirectUpdate::Replace | RedirectUpdate::Merge => REPAIR,
    };
    let wanted = client
        .wanted
        .fields()
        .get(REDIRECT_URIS)
        .map(items)
        .unwrap_or_default();
    let there = current.get(REDIRECT_URIS).map(items).unwrap_or_default();
    let missing = wanted.iter().filter(|uri| !there.contains(uri));
    for uri in missing.clone() {
        let cause = match there.iter().find(|other| is_near(uri, other)) {
            Some(near) => format!("the IdP has {near}, and compares to the letter"),
            None => format!("the IdP has {}", list(&there)),
        };
        report.fail(
            Kind::Wrong,
            Check::RedirectUris,
            format!("{uri} is not registered"),
            cause,
            format!("correct DCR_REDIRECT_URIS if it is wrong there; if it is right, {repair}"),
        );
    }
    if missing.count() == 0 {
        let hosts: Vec<String> = wanted.iter().map(|uri| host(uri)).collect();
        report.ok(Check::RedirectUris, format!("registered for {}", list(&hosts)));
    }
    let surplus: Vec<String> = there.into_iter().filter(|uri| !wanted.contains(uri)).collect();
    if !surplus.is_empty() {
        report.note(format!(
            "registered beside the redirect URIs of DCR_REDIRECT_URIS: {}",
            list(&surplus)
        ));
    }
}

/// Whether both are for the same host, whatever else differs.
fn is_near(one: &str, other: &str) -> bool {
    let host = |uri: &str| {
        Url::parse(uri)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
    };
    host(one).is_some() && host(one) == host(other)
}

fn host(uri: &str) -> String {
    Url::parse(uri).map_or_else(|_| uri.to_owned(), |url| url.authority().to_owned())
}

fn registered_scopes(client: &Inspected, current: &Map<String, Value>, report: &mut Report) {
    // An IdP that does not say lets nobody compare.
    let Some(there) = current.get(SCOPE).and_then(Value::as_str) else {
        return;
    };
    let there: Vec<&str> = there.split_ascii_whitespace().collect();
    let wanted = client
        .wanted
        .fields()
        .get(SCOPE)
        .and_then(Value::as_str)
        .unwrap_or_default();
    let missing: Vec<&str> = wanted.split(' ').filter(|scope| !there.contains(scope)).collect();
    if missing.is_empty() {
        return;
    }
    report.fail(
        Kind::Wrong,
        Check::Scopes,
        format!("the client may not ask for {}", missing.join(", ")),
        format!("registered are: {}", clean(&there.join(" "))),
        format!(
            "remove {} from OIDC_SCOPES; or allow it at the IdP (policy.allowed_scopes in dcr_config.yaml), restart the IdP, \
             and {REPAIR}",
            missing.join(", ")
        ),
    );
}

/// Every other difference, in the row of the registration.
fn others(client: &Inspected, report: &mut Report) {
    let moved = report.failed(&[Check::RedirectUris]).is_some();
    let own_row = |field: &str| {
        [METHOD, ALGORITHM].contains(&field)
            // They are made of the redirect URIs, and change with them.
            || moved && field == LOGOUT_URIS
            || KEYS.contains(&field)
            || matches!(&client.reading, Reading::Read(_)) && [REDIRECT_URIS, SCOPE].contains(&field)
    };
    let failed = report.failed(&[Check::Registration]).is_some();
    let changes: Vec<&Change> = client
        .changes
        .iter()
        .filter(|change| !own_row(&change.field))
        .collect();
    if !changes.is_empty() {
        let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
        let texts: Vec<String> = changes.iter().map(|change| clean(&change.to_string())).collect();
        let what = format!(
            "{} differs from what is wanted in {}",
            client.client_id,
            fields.join(", ")
        );
        report.fail(Kind::Wrong, Check::Registration, what, texts.join("; "), REPAIR);
    } else if !failed {
        let id = &client.client_id;
        match &client.reading {
            Reading::Read(_) => report.ok(Check::Registration, format!("{id} is registered, and can be managed from here")),
            Reading::Skipped => report.skip(
                Check::Registration,
                format!("{id}, as bff_client.json has it; the IdP is not asked (SKIP_DCR_BOOTSTRAP)"),
            ),
            _ => report.ok(
                Check::Registration,
                format!("{id} is registered as it was sent; the IdP lets nobody read it, so changes there are not seen"),
            ),
        }
    }
}

/// The client that is to take what the IdP offers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose<'a> {
    /// There is none yet.
    Nobody,
    /// One that was registered from here.
    Registered(&'a Inspected),
    /// One that the configuration names.
    Configured(&'a Client),
}

/// What the IdP offers at all. A row that has failed says more.
pub(super) fn offered(patient: &Patient<'_>, metadata: &Metadata, whose: &Whose<'_>, report: &mut Report) {
    let client = match whose {
        Whose::Registered(client) => Some(*client),
        Whose::Nobody | Whose::Configured(_) => None,
    };
    scopes(patient, metadata, client, report);
    let method = patient.config.client.authentication;
    if report.failed(&[Check::Method]).is_none() {
        match &metadata.token_auth_methods {
            Some(offered) if !offered.iter().any(|name| name == method.name()) => report.fail(
                Kind::Wrong,
                Check::Method,
                format!("the IdP does not offer {}", method.name()),
                format!("it offers {}", clean(&offered.join(", "))),
                "set MS_BFF_TOKEN_AUTH_METHOD to one of these, or switch it on at the IdP",
            ),
            _ => report.ok(Check::Method, method.name()),
        }
    }
    if report.failed(&[Check::Algorithm]).is_none() {
        algorithm(method, metadata, whose, report);
    }
}

fn algorithm(method: AuthMethod, metadata: &Metadata, whose: &Whose<'_>, report: &mut Report) {
    if method != AuthMethod::PrivateKeyJwt {
        return report.skip(Check::Algorithm, "nothing is signed with a client secret");
    }
    match whose {
        Whose::Configured(Client {
            auth: ClientAuthentication::PrivateKeyJwt { algorithm },
            ..
        }) => {
            let name = algorithm.name();
            match metadata.token_auth_signing_algs.as_deref() {
                None | Some([]) => report.ok(
                    Check::Algorithm,
                    format!("{name}: the key does it; the IdP does not say what it takes"),
                ),
                Some(listed) if listed.iter().any(|one| one == name) => report.ok(
                    Check::Algorithm,
                    format!("{name}: the key does it, and the IdP lists it"),
                ),
                // BFF_JWT_SIGNING_ALG wins over a list, which may be incomplete.
                Some(listed) => report.skip(
                    Check::Algorithm,
                    format!(
                        "{name}, as BFF_JWT_SIGNING_ALG says; the IdP lists {}",
                        clean(&listed.join(", "))
                    ),
                ),
            }
        }
        Whose::Registered(client) => match client.wanted.fields().get(ALGORITHM).and_then(Value::as_str) {
            Some(algorithm) => report.ok(Check::Algorithm, algorithm),
            None => report.skip(Check::Algorithm, "settled when the client is registered"),
        },
        Whose::Nobody | Whose::Configured(_) => {
            report.skip(Check::Algorithm, "settled when the client is registered");
        }
    }
}

fn scopes(patient: &Patient<'_>, metadata: &Metadata, client: Option<&Inspected>, report: &mut Report) {
    let wanted = &patient.config.provider.scopes;
    let registered = match client.map(|client| &client.reading) {
        Some(Reading::Read(current)) => current.get(SCOPE).and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    };
    // A list may be incomplete (OpenID Connect Discovery 1.0 section 3); what is registered is allowed.
    let unknown = |scope: &&String| {
        let listed = |offered: &Vec<String>| offered.contains(*scope);
        !metadata.scopes_supported.as_ref().is_none_or(listed)
            && !registered
                .split_ascii_whitespace()
                .any(|one| one == scope.as_str())
    };
    let unknown: Vec<&str> = wanted.iter().filter(unknown).map(String::as_str).collect();
    if report.failed(&[Check::Scopes]).is_some() {
        return;
    }
    if unknown.is_empty() {
        return report.ok(Check::Scopes, wanted.join(" "));
    }
    let offered = metadata.scopes_supported.as_deref().unwrap_or_default();
    report.fail(
        Kind::Wrong,
        Check::Scopes,
        format!("the IdP does not offer {}", unknown.join(", ")),
        format!("it lists {}", clean(&offered.join(" "))),
        "add it to policy.allowed_scopes at the IdP (dcr_config.yaml) and restart the IdP, or remove it from OIDC_SCOPES",
    );
}

/// Whether the IdP has the key that signs.
pub(super) fn kid(
    client: &Inspected,
    keys: &KeysFound,
    knows: Option<bool>,
    served: &Served,
    report: &mut Report,
) {
    let Some(keys) = keys.found() else {
        return report.skip(Check::Kid, "there is no key yet");
    };
    if !matches!(&client.client, Ok(client) if client.auth.method() == AuthMethod::PrivateKeyJwt.name())
        && client.wanted.fields().get(METHOD) != Some(&Value::from(AuthMethod::PrivateKeyJwt.name()))
    {
        return report.skip(Check::Kid, "nothing is signed with a client secret");
    }
    let signing = keys.signing();
    let kid = signing.kid();
    let moved = client
        .changes
        .iter()
        .find(|change| KEYS.contains(&change.field.as_str()));
    if let Some(change) = moved {
        let theirs = change.from.as_ref().map(items).unwrap_or_default();
        let ours = change.to.as_ref().map(items).unwrap_or_default();
        let what = match (change.field.as_str(), knows) {
            ("jwks", Some(true)) => {
                "the keys that the IdP has registered are not all that are published".to_owned()
            }
            ("jwks_uri", _) => "the IdP fetches our keys from elsewhere".to_owned(),
            _ => format!("the IdP does not have the signing key, kid {kid}"),
        };
        let cause = format!("{} there: {}; here: {}", change.field, list(&theirs), list(&ours));
        let fix = match (change.field.as_str(), knows) {
            ("jwks_uri", _) => {
                format!("put BFF_BASE_URL or DCR_JWKS_URI back if one was changed by mistake; else {REPAIR}")
            }
            (_, Some(true)) => REPAIR.to_owned(),
            _ => format!(
                "{REPAIR}; or, if another key signs here by mistake, restore keyring.json with the files that it names, since \
                 it decides which key signs (BFF_JWT_SIGNING_KEY and BFF_KID name a key that comes next)"
            ),
        };
        return report.fail(Kind::Wrong, Check::Kid, what, cause, fix);
    }
    match (knows, served) {
        (Some(true), _) => report.ok(Check::Kid, format!("the IdP finds {kid}")),
        (Some(false), _) => report.skip(
            Check::Kid,
            "the IdP fetches our keys where the row jwks looks: mend that first",
        ),
        (None, Served::Nobody(url)) => {
            report.skip(
                Check::Kid,
                format!("the IdP fetches our keys from {url}, where nobody answers now"),
            );
        }
        (None, _) => report.skip(Check::Kid, "which keys the IdP has cannot be read"),
    }
}

fn value(value: Option<&Value>) -> String {
    let items = value.map(items).unwrap_or_default();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(" ")
    }
}

/// A list in words; a long one is cut.
fn list(entries: &[String]) -> String {
    const MOST: usize = 8;
    let mut text = entries.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match entries.len() {
        0 => text.push_str("none"),
        count if count > MOST => {
            // Writing to a string cannot fail.
            let _ = write!(text, " and {} more", count - MOST);
        }
        _ => {}
    }
    text
}
