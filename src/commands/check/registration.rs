//! The client at the IdP, compared with the wanted one.

mod fields;
mod jwk_sets;
mod kid;
mod offered;
mod unread;
mod unregistered;

use self::{
    jwk_sets::{registered_keys, tell_empty_set},
    offered::Whose,
};
use super::{
    Context,
    finding::{Check, Kind, Report, Verdict},
    jwks::{Served, has_signing_key},
    own::KeysFound,
    text::clean,
};
use crate::{
    diagnostic::{Fix, Knob, fix},
    keys::Keys,
    oidc::{Client, KeyThere, Metadata},
    registration::{
        AuthMethod, ErrorKind, Inspected, Inspection, Plan, Reading, Registration, RegistrationError, Why,
        managed_elsewhere, secret_expired,
    },
};

/// The known data of the client.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The client's credentials.
    pub(super) client: Option<Client>,
    /// Whether the IdP knows the signing key under its kid, if that can be determined.
    pub(super) knows_key: Option<bool>,
    /// Whether the result comes from the address at which the IdP fetches the keys, and not from the IdP's
    /// registration.
    pub(super) fetched: bool,
    /// Whether the client cannot be read from here, because the configuration names it.
    pub(super) unread: bool,
    /// Whether it cannot be read which scopes the IdP allows the client.
    pub(super) scopes_unread: bool,
}

// === impl Known ===

impl Known {
    /// Whether the IdP has the key.
    pub(super) const fn key(&self) -> KeyThere {
        match (self.knows_key, self.fetched) {
            (None, _) => KeyThere::Unknown,
            (Some(false), _) => KeyThere::Missing,
            (Some(true), true) => KeyThere::Served,
            (Some(true), false) => KeyThere::Registered,
        }
    }
}

pub(super) async fn check(
    context: &Context<'_>,
    metadata: &Metadata,
    keys: &KeysFound,
    served: &Served,
    report: &mut Report,
) -> Known {
    let Some(registration) = &context.parts.registration else {
        return by_hand(context, metadata, keys, served, report).await;
    };
    let registration = if is_served(context, served) {
        &registration.clone().asking(context.parts.relying_party.clone())
    } else {
        registration
    };
    match registration.inspect(metadata).await {
        Err(error) => {
            let check = match &error {
                RegistrationError::Algorithm(_) => Check::Algorithm,
                _ => Check::Registration,
            };
            failed(report, check, "the stored client cannot be used", &error);
            Known::default()
        }
        Ok(Inspection::Unregistered(plan)) => {
            unregistered::check(context, registration, metadata, &plan, report).await;
            offered::check(context, metadata, &Whose::Nobody, report);
            report.skip(Check::RedirectUris, "not registered yet");
            report.skip(Check::Kid, "not registered yet");
            Known::default()
        }
        Ok(Inspection::Registered(client)) => {
            planned(registration, metadata, &client.plan, report).await;
            registered(context, metadata, keys, served, *client, report)
        }
        Ok(Inspection::Configured(client, _)) => match *client {
            Ok(client) => {
                offered::check(context, metadata, &Whose::Configured(&client), report);
                report.skip(
                    Check::Registration,
                    fix!(
                        "no call is made ({}): the client is the one that the configuration names",
                        Knob::SkipRegistration
                    ),
                );
                Known {
                    client: Some(client),
                    knows_key: keys.found().and_then(|keys| serves_key(keys, served)),
                    fetched: true,
                    unread: true,
                    scopes_unread: true,
                }
            }
            Err(error) => {
                failed(report, Check::Registration, "there is no client", &error);
                offered::check(context, metadata, &Whose::Nobody, report);
                Known::default()
            }
        },
    }
}

/// Whether a refusal of the client says something of the client: the IdP can fetch its keys, or needs none.
fn is_served(context: &Context<'_>, served: &Served) -> bool {
    let settings = context.config;
    settings.client.authentication != AuthMethod::PrivateKeyJwt
        || settings.registration.jwks_uri.is_none()
        || matches!(served, Served::Keys(_))
}

/// The plan of the next start for a client that exists. A token that has not been used had better be good.
async fn planned(registration: &Registration, metadata: &Metadata, plan: &Plan, report: &mut Report) {
    let forced = plan
        .registering()
        .is_some_and(|registering| matches!(registering.why, Why::Forced { .. }));
    if forced
        && let Err(error @ RegistrationError::InitialTokenRefused { .. }) =
            registration.try_initial_token(metadata).await
    {
        let what = fix!(
            "{} asks for a new client, but {} is refused",
            Knob::ForceReplace,
            Knob::InitialAccessToken
        );
        return failed(report, Check::Registration, what, &error);
    }
    if plan.changes_something() || plan.imports().is_some() {
        let note = next_start(plan, report);
        report.note(note);
    }
}

/// `plan` in words.
fn next_start(plan: &Plan, report: &Report) -> String {
    let would = plan.describe().in_words(report.names());
    format!("the next start would {}", clean(&would))
}

/// A client that somebody registered: the server does not know its metadata.
async fn by_hand(
    context: &Context<'_>,
    metadata: &Metadata,
    keys: &KeysFound,
    served: &Served,
    report: &mut Report,
) -> Known {
    report.skip(
        Check::Registration,
        fix!(
            "the client is registered by hand ({} is off), so nobody can read it from here",
            Knob::Registration
        ),
    );
    let client = match context.parts.configured_client().await {
        Ok(client) => Some(client),
        Err(error) => {
            let what = "nothing to authenticate with";
            report.explain(Kind::Wrong, Check::Algorithm, what, &error);
            None
        }
    };
    let whose = client.as_ref().map_or(Whose::Nobody, Whose::Configured);
    offered::check(context, metadata, &whose, report);
    Known {
        client: client.filter(|_| keys.found().is_some()),
        knows_key: keys.found().and_then(|keys| serves_key(keys, served)),
        fetched: true,
        unread: true,
        scopes_unread: true,
    }
}

/// The row of the key for a client that cannot be read: the IdP's reaction to an assertion, or else the served keys.
pub(super) fn unread_kid(context: &Context<'_>, keys: &KeysFound, served: &Served, report: &mut Report) {
    if context.config.client.authentication != AuthMethod::PrivateKeyJwt {
        return report.skip(Check::Kid, "nothing is signed with a client secret");
    }
    let Some(keys) = keys.found() else {
        return report.skip(Check::Kid, "there is no key yet");
    };
    let signing = keys.signing();
    let kid = signing.kid();
    let mut rows = report.rows();
    if rows.any(|row| row.check == Check::Authentication && row.verdict == Verdict::Ok) {
        drop(rows);
        return report.ok(Check::Kid, format!("the IdP takes what {kid} signs"));
    }
    drop(rows);
    let what = match (served, &context.config.registration.jwks_uri) {
        (Served::Keys(_), Some(url)) => {
            format!("{kid} is served at {url}; whether the IdP fetches it there cannot be read")
        }
        (Served::Nobody(url), _) => {
            format!("nobody answers at {url} now; whether the IdP has {kid} by itself cannot be read")
        }
        (Served::Wrong, _) => format!("{kid} is not served where the row jwks looks: fix that first"),
        _ => format!("whether the IdP has {kid} cannot be read"),
    };
    report.skip(Check::Kid, what);
}

fn registered(
    context: &Context<'_>,
    metadata: &Metadata,
    keys: &KeysFound,
    served: &Served,
    client: Inspected,
    report: &mut Report,
) -> Known {
    match &client.reading {
        Reading::Failed(error) => unread::tell(&client, error, served, report),
        Reading::Elsewhere { origin } => report.fail(
            Kind::Wrong,
            Check::Registration,
            format!(
                "{} is managed at {}, where its token is not sent",
                client.client_id,
                clean(origin)
            ),
            "registration_client_uri is at another origin than the registration endpoint",
            managed_elsewhere(),
        ),
        Reading::Read(_) | Reading::NotOffered | Reading::Skipped | Reading::ToImport(_) => {}
    }
    fields::compared(context, &client, report);
    offered::check(context, metadata, &Whose::Registered(&client), report);
    tell_empty_set(&client, report);
    let registered = registered_keys(&client);
    let fetched = registered.is_none();
    let knows_key = keys.found().and_then(|keys| match registered {
        Some(registered) => Some(has_signing_key(keys, registered)),
        // The keys served here show nothing about another place.
        None if client.changes.iter().any(|change| change.field == "jwks_uri") => None,
        None => serves_key(keys, served),
    });
    kid::check(&client, keys, knows_key, registered, served, report);
    let scopes_unread =
        !matches!(&client.reading, Reading::Read(current) if current.contains_key(fields::SCOPE));
    if let Some(ends) = client.secret_ends.filter(|ends| *ends <= context.clock.wall()) {
        let days = context.clock.wall().duration_since(ends).as_secs() / (24 * 3600);
        report.fail(
            Kind::Wrong,
            Check::Method,
            format!("the client secret of {} has expired", client.client_id),
            format!("the IdP gave it for a time that ended {days} days ago"),
            secret_expired(),
        );
    }
    let usable = match client.client {
        Ok(usable) => Some(usable),
        Err(error) => {
            // One cause, one row: the field's own row already reports it.
            let check = match &error {
                RegistrationError::MethodReplaced { .. } | RegistrationError::NoSecret { .. } => {
                    Check::Method
                }
                RegistrationError::AlgorithmReplaced { .. } => Check::Algorithm,
                _ => Check::Registration,
            };
            if report.failed(&[check]).is_none() {
                failed(
                    report,
                    check,
                    format!("{} cannot be used", client.client_id),
                    &error,
                );
            }
            None
        }
    };
    Known {
        client: usable,
        knows_key,
        fetched,
        unread: false,
        scopes_unread,
    }
}

fn serves_key(keys: &Keys, served: &Served) -> Option<bool> {
    match served {
        Served::Keys(set) => Some(has_signing_key(keys, set)),
        Served::Wrong => Some(false),
        Served::Unknown | Served::Nobody(_) => None,
    }
}

fn kind(error: &RegistrationError) -> Kind {
    match error.kind() {
        ErrorKind::Configuration => Kind::Configuration,
        ErrorKind::Unreachable => Kind::Unreachable,
        ErrorKind::Refused | ErrorKind::OutcomeUnknown => Kind::Wrong,
    }
}

/// An error of registration, which has its own cause and hint.
pub(super) fn failed(report: &mut Report, check: Check, what: impl Into<Fix>, error: &RegistrationError) {
    report.explain(kind(error), check, what, error);
}
