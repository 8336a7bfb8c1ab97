//! The fields of the registration that have a row of their own, and the others.

use serde_json::{Map, Value};
use url::{Origin, Url};

use super::{
    super::{
        Context,
        finding::{Check, Kind, Report},
        text::{clean, items, list},
    },
    failed,
};
use crate::{
    diagnostic::{Fix, Knob, fix},
    registration::{AuthMethod, Change, Inspected, Reading, RedirectUpdate, RegistrationError, single},
};

const REDIRECT_URIS: &str = "redirect_uris";
const LOGOUT_URIS: &str = "post_logout_redirect_uris";
pub(super) const SCOPE: &str = "scope";
pub(super) const METHOD: &str = "token_endpoint_auth_method";
pub(super) const ALGORITHM: &str = "token_endpoint_auth_signing_alg";
const BACKCHANNEL_LOGOUT: &str = "backchannel_logout_uri";
const OF_A_HOST: [&str; 3] = [
    BACKCHANNEL_LOGOUT,
    "frontchannel_logout_uri",
    "initiate_login_uri",
];
pub(super) const KEYS: [&str; 2] = ["jwks", "jwks_uri"];

/// The fix of most differences.
pub(super) fn repair(client: &Inspected) -> Fix {
    match &client.reading {
        Reading::Skipped => fix!(
            "start once without {}, which updates it at the IdP",
            Knob::SkipRegistration
        ),
        _ => Fix::from("run `bff register` (or restart the server), which updates it at the IdP"),
    }
}

/// The client's fields at the IdP, one by one.
pub(super) fn compared(context: &Context<'_>, client: &Inspected, report: &mut Report) {
    match &client.reading {
        Reading::Read(current) => {
            redirect_uris(context, client, current, report);
            registered_scopes(client, current, report);
        }
        // The proof of authentication has something to say of both.
        Reading::NotOffered
        | Reading::Skipped
        | Reading::ToImport(_)
        | Reading::Elsewhere { .. }
        | Reading::Failed(_) => {}
    }
    let registered = client.changes.iter().find(|change| change.field == METHOD);
    // An answer without the field means the default (RFC 7591 section 2). Of a client that was not read, the stored record
    // knows more.
    let theirs = registered.and_then(|change| match (&change.from, &client.reading) {
        (Some(from), _) => Some(value(Some(from))),
        (None, Reading::Read(_)) => Some(AuthMethod::ClientSecretBasic.name().to_owned()),
        (None, _) => {
            let stored = client.client.as_ref().ok()?;
            Some(stored.auth.method().to_owned())
        }
    });
    if let Some(theirs) = theirs {
        let ours = context.config.client.authentication.name();
        report.fail(
            Kind::Wrong,
            Check::Method,
            format!("the client is to use {ours}, but the IdP has registered {theirs}"),
            format!("configured is {ours}; the IdP lets the client in with {theirs} alone"),
            fix!(
                "set {}; or, to change the client, {}{}",
                Knob::AuthMethod.to(theirs),
                profile(context, ours),
                repair(client)
            ),
        );
    }
    if let Some(change) = client.changes.iter().find(|change| change.field == ALGORITHM) {
        let (theirs, ours) = (value(change.from.as_ref()), value(change.to.as_ref()));
        report.fail(
            Kind::Wrong,
            Check::Algorithm,
            format!("the client is to sign with {ours}, but the IdP has registered {theirs}"),
            "the signing key or the configured algorithm has changed since, or somebody changed the client",
            fix!(
                "put {} back; or, to change the client, {}; or, if the type of the signing key has changed, let a key of the former \
                 type sign (`bff keys rotate --now` with its {})",
                Knob::SigningAlgorithm,
                repair(client),
                Knob::KeyType
            ),
        );
    }
    others(context, client, report);
}

/// An IdP with profiles refuses a method that the client's does not allow.
fn profile(context: &Context<'_>, method: &'static str) -> Fix {
    match context.config.registration.client_profile.clone() {
        None => Fix::from(""),
        Some(now) => fix!(
            "let {} (now {}) name a profile for {}, and ",
            Knob::ClientProfile,
            now,
            method
        ),
    }
}

fn redirect_uris(
    context: &Context<'_>,
    client: &Inspected,
    current: &Map<String, Value>,
    report: &mut Report,
) {
    let repair = match context.config.registration.redirect_update {
        RedirectUpdate::Keep => fix!(
            "add it at the IdP ({} leaves that to you)",
            Knob::RedirectUpdate.to("none")
        ),
        RedirectUpdate::Replace | RedirectUpdate::Merge => repair(client),
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
            fix!(
                "correct {} if it is wrong there; if it is right, {}",
                Knob::RedirectUris,
                repair.clone()
            ),
        );
    }
    if missing.count() == 0 {
        let hosts: Vec<String> = wanted.iter().map(|uri| host(uri)).collect();
        report.ok(Check::RedirectUris, format!("registered for {}", list(&hosts)));
    }
    let surplus: Vec<String> = there.into_iter().filter(|uri| !wanted.contains(uri)).collect();
    if !surplus.is_empty() {
        report.note(fix!(
            "registered beside the redirect URIs of {}: {}",
            Knob::RedirectUris,
            list(&surplus)
        ));
    }
}

/// Whether both are for the same host; the rest may differ.
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
    // If the IdP does not return the field, no comparison is possible.
    let there: Vec<&str> = match current.get(SCOPE).map(|scope| single(SCOPE, scope)) {
        Some(Value::String(scopes)) => scopes.split_ascii_whitespace().collect(),
        Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
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
        fix!(
            "remove {} from {}; or allow it in {}, restart the IdP, and {}",
            missing.join(", "),
            Knob::Scopes,
            Knob::ProviderScopes,
            repair(client)
        ),
    );
}

/// Every other difference, in the row of the registration.
fn others(context: &Context<'_>, client: &Inspected, report: &mut Report) {
    let moved = report.failed(&[Check::RedirectUris]).is_some();
    let first = unregistered_first(client);
    // Without another setting, they are at the origin of the first redirect URI.
    let of_first: Vec<&str> = client
        .changes
        .iter()
        .filter(|change| first.is_some() && origin_of(change.to.as_ref()) == first)
        .map(|change| change.field.as_str())
        .filter(|field| OF_A_HOST.contains(field))
        .collect();
    let own_row = |field: &str| {
        [METHOD, ALGORITHM].contains(&field)
            // They follow from the redirect URIs, and change with them.
            || moved && field == LOGOUT_URIS
            || of_first.contains(&field)
            || KEYS.contains(&field)
            || matches!(&client.reading, Reading::Read(_)) && [REDIRECT_URIS, SCOPE].contains(&field)
    };
    let has_failed = report.failed(&[Check::Registration]).is_some();
    let changes: Vec<&Change> = client
        .changes
        .iter()
        .filter(|change| !own_row(&change.field))
        .collect();
    if !changes.is_empty() {
        let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
        let texts: Vec<String> = changes.iter().map(|change| clean(&change.to_string())).collect();
        let (id, fields) = (&client.client_id, fields.join(", "));
        if matches!(&client.reading, Reading::Skipped) {
            let error = RegistrationError::NotWritten {
                client_id: id.clone(),
                changes: texts.join("; "),
            };
            let what =
                format!("{id} differs from what is wanted in {fields}, and the server does not write it");
            return failed(report, Check::Registration, what, &error);
        }
        let what = format!("{id} differs from what is wanted in {fields}");
        report.fail(
            Kind::Wrong,
            Check::Registration,
            what,
            texts.join("; "),
            if moved_with_base(context, &changes) {
                fix!(
                    "put {} back if it was changed by mistake; else {}",
                    Knob::BaseUrl,
                    repair(client)
                )
            } else {
                repair(client)
            },
        );
    } else if !has_failed {
        let id = &client.client_id;
        match &client.reading {
            Reading::Read(_) => report.ok(Check::Registration, format!("{id} is registered, and can be managed from here")),
            Reading::ToImport(path) => report.skip(
                Check::Registration,
                format!("{id}, as {} has it: the next start imports it into Redis, and then compares it with the IdP's", path.display()),
            ),
            Reading::Skipped => report.skip(
                Check::Registration,
                fix!(
                    "{}, as {} has it; the IdP is not asked ({})",
                    id.clone(),
                    Knob::CredentialsFile,
                    Knob::SkipRegistration
                ),
            ),
            _ => report.ok(
                Check::Registration,
                format!("{id} is registered as it was sent; the IdP lets nobody read it, so changes there are not seen"),
            ),
        }
    }
}

/// The origin of the first redirect URI, if the provider does not have that one.
fn unregistered_first(client: &Inspected) -> Option<Origin> {
    let Reading::Read(current) = &client.reading else {
        return None;
    };
    let wanted = client.wanted.fields().get(REDIRECT_URIS).map(items)?;
    let there = current.get(REDIRECT_URIS).map(items).unwrap_or_default();
    let first = wanted.first().filter(|uri| !there.contains(uri))?;
    Some(Url::parse(first).ok()?.origin())
}

/// Whether an address among `changes` is one below the own base URL.
fn moved_with_base(context: &Context<'_>, changes: &[&Change]) -> bool {
    let Some(base) = &context.config.server.base_url else {
        return false;
    };
    changes
        .iter()
        .filter(|change| change.field == BACKCHANNEL_LOGOUT)
        .any(|change| origin_of(change.to.as_ref()) == Some(base.url().origin()))
}

fn origin_of(uri: Option<&Value>) -> Option<Origin> {
    Some(Url::parse(uri?.as_str()?).ok()?.origin())
}

fn value(value: Option<&Value>) -> String {
    let items = value.map(items).unwrap_or_default();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(" ")
    }
}
