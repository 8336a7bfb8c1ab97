//! The proof that the IdP accepts the client, without a person: a pushed authorization request (RFC 9126) if the IdP
//! supports them. Otherwise a token request with an invented code, which must fail because of the code and not
//! because of the client.

mod experiments;
mod fetches;
mod request;

use std::{fmt::Write as _, sync::Arc};

use url::Url;

use self::{
    experiments::{Cause, Outcome, Refused},
    request::{Answer, Refusal, push, redeem, redirect_uris},
};
use super::{
    Context,
    finding::{Check, Kind, Report},
    own::KeysFound,
    provider::wrong_clock,
    registration::Known,
    text::{clean, list},
};
use crate::{
    diagnostic::{Explain as _, Fix, Knob, fix},
    oidc::{
        Blames, CallError, Client, ClientAuthentication, InvalidClient, KeyThere, Metadata, OAuthError,
        ParMode,
    },
};

/// Whether the IdP can fetch our keys now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysAre {
    /// It can, or need not, or who knows.
    There,
    /// The keys are not served at the address that the IdP would read.
    OutOfReach,
}

/// The IdP misses a secret.
const SECRET_WANTED: &str =
    "the IdP misses a client secret: probably the client is registered for a method with one";

/// Possible causes of a refusal that have their own row.
const CAUSES: [Check; 7] = [
    // The first one explains nothing of a client that cannot be read.
    Check::Jwks,
    Check::Clock,
    Check::Method,
    Check::Algorithm,
    Check::Kid,
    Check::Registration,
    Check::Keys,
];

pub(super) async fn check(
    context: &Context<'_>,
    metadata: &Arc<Metadata>,
    keys: &KeysFound,
    known: Known,
    keys_are: KeysAre,
    report: &mut Report,
) {
    let key = known.key();
    let (unread, fetched, scopes_unread) = (known.unread, known.fetched, known.scopes_unread);
    let client = match known.client {
        Some(client) if keys.found().is_some() => client,
        _ => {
            let why = match report.failed(&CAUSES) {
                Some(row) => format!("not tried: fix {} first", row.check.name()),
                None => "not tried: there is no client yet".to_owned(),
            };
            report.skip(Check::Authentication, why);
            return without_push(report);
        }
    };
    let relying_party = &context.parts.relying_party;
    relying_party.client().set(client.clone());
    let pushes = metadata.par_endpoint.is_some() && context.config.client.par != ParMode::Never;
    let uris = redirect_uris(context);
    let mut answer = None;
    if pushes {
        for uri in &uris {
            match push(context, relying_party, uri).await {
                Answer::Refused(error) => refused_request(uri, error, report),
                other => {
                    let goes_on = matches!(other, Answer::In);
                    answer.get_or_insert(other);
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        if matches!(answer, Some(Answer::In)) && report.rows().all(|row| row.check != Check::RedirectUris) {
            report.ok(
                Check::RedirectUris,
                format!("the IdP takes requests for all {}", uris.len()),
            );
        }
    }
    let at_par = answer.is_some();
    let (answer, how) = if let Some(answer) = answer {
        (answer, "a pushed authorization request")
    } else {
        // Also where each push was refused for another reason: that says little of the client.
        let uri = uris.first().map_or("", String::as_str);
        let answer = redeem(context, relying_party, uri).await;
        (answer, "a token request with a made-up code")
    };
    match answer {
        Answer::In => {
            let what = format!("the IdP lets {} in ({}; {how})", client.id, client.auth.method());
            report.ok(Check::Authentication, what);
            if unread && signs(&client) {
                excuse_keys(report);
            }
            if scopes_unread && has_unlisted_scopes(context, metadata) {
                report.excuse(
                    Check::Scopes,
                    if at_par {
                        "the IdP takes requests with them all the same"
                    } else {
                        "a list may be incomplete, and whether it grants them shows at a login"
                    },
                );
            }
        }
        Answer::Out(refusal) => {
            let refusal = match refusal {
                Refusal::Told(error) => Refusal::Told(Box::new(InvalidClient {
                    // Nobody knows where the IdP has the keys of a client that cannot be read.
                    key: if unread { KeyThere::Unknown } else { key },
                    ..*error
                })),
                bare @ Refusal::Bare(_) => bare,
            };
            let uri = context.config.registration.jwks_uri.as_ref();
            let kept_out = KeptOut {
                context,
                metadata,
                keys,
                client: &client,
                refusal,
                at_par,
                unread,
                fetches_from: uri.filter(|_| fetched && !unread),
                keys_are,
            };
            kept_out.tell(report).await;
        }
        Answer::Refused(error) => refused(error, report),
        Answer::Unclear(error) => unclear(&error, report),
    }
    without_push(report);
}

/// The IdP complains of something else than the client or a code.
fn refused(error: OAuthError, report: &mut Report) {
    let misses_secret = error.blames() == Blames::Secret;
    let error = CallError::Rejected(error);
    if !misses_secret {
        let what = "the IdP refuses the client for another reason than a made-up code";
        return report.explain(Kind::Wrong, Check::Authentication, what, &error);
    }
    // A push may have told it already.
    if report.failed(&[Check::Method]).is_none() {
        report.explain(Kind::Wrong, Check::Method, SECRET_WANTED, &error);
    }
    report.skip(Check::Authentication, "not proven: fix method first");
}

/// The redirect URIs could not be checked.
fn without_push(report: &mut Report) {
    if report.rows().all(|row| row.check != Check::RedirectUris) {
        report.skip(
            Check::RedirectUris,
            "cannot be told: the client cannot be read, and no request could be pushed",
        );
    }
}

/// A push that was refused although the client may be let in.
fn refused_request(uri: &str, error: OAuthError, report: &mut Report) {
    let (check, what) = match error.blames() {
        Blames::Scope => (
            Check::Scopes,
            "the IdP refuses the scopes that are asked for".to_owned(),
        ),
        Blames::RedirectUri => (Check::RedirectUris, format!("the IdP refuses {uri}")),
        Blames::Secret => (Check::Method, SECRET_WANTED.to_owned()),
        Blames::Grant | Blames::Other => (
            Check::Authentication,
            "the IdP refuses our authorization requests".to_owned(),
        ),
    };
    // A host need not repeat a message that the table already contains.
    if report.failed(&[check]).is_none() {
        report.explain(Kind::Wrong, check, what, &CallError::Rejected(error));
    }
}

/// Whether the IdP does not list a scope, which it may grant all the same (OpenID Connect Discovery 1.0 section 3).
fn has_unlisted_scopes(context: &Context<'_>, metadata: &Metadata) -> bool {
    let listed = metadata.scopes_supported.as_deref();
    let mut wanted = context.config.provider.scopes.iter();
    listed.is_some_and(|listed| wanted.any(|scope| !listed.contains(scope)))
}

fn signs(client: &Client) -> bool {
    matches!(client.auth, ClientAuthentication::PrivateKeyJwt { .. })
}

/// The IdP has the key of a client that cannot be read: then the address of our keys keeps nobody out.
fn excuse_keys(report: &mut Report) {
    report.excuse(Check::Jwks, "the IdP has the signing key all the same");
}

/// A client that the IdP does not let in.
struct KeptOut<'a> {
    context: &'a Context<'a>,
    metadata: &'a Arc<Metadata>,
    keys: &'a KeysFound,
    client: &'a Client,
    refusal: Refusal,
    at_par: bool,
    /// Whether the client cannot be read at the IdP.
    unread: bool,
    /// The address from which the IdP fetches our keys, where that is known.
    fetches_from: Option<&'a Url>,
    keys_are: KeysAre,
}

// === impl KeptOut ===

impl KeptOut<'_> {
    async fn tell(self, report: &mut Report) {
        let what = format!("the IdP does not let {} in", self.client.id);
        let out_of_reach = signs(self.client) && self.keys_are == KeysAre::OutOfReach;
        let known = report.failed(self.causes());
        // Without our keys the IdP refuses every client, also one that cannot be read for another reason.
        if out_of_reach && known.is_some_and(|row| row.check == Check::Registration) {
            return report.skip(Check::Authentication, self.unproven());
        }
        if let Some(row) = known {
            let cause = clean(&self.refusal.to_string());
            let fix = format!("fix {} first, and check again", row.check.name());
            return report.fail(Kind::Wrong, Check::Authentication, what, cause, fix);
        }
        let refused = Refused {
            context: self.context,
            metadata: self.metadata,
            keys: self.keys,
            client: self.client,
            refusal: &self.refusal,
            at_par: self.at_par,
            keys_out_of_reach: out_of_reach && !self.unread,
        };
        let outcome = refused.explain().await;
        if self.unread && outcome.has_key {
            excuse_keys(report);
        }
        let (cause, fix) = match outcome.cause {
            Some(Cause::Told { text, fix }) => (text, fix),
            Some(Cause::Clock(time)) => {
                wrong_clock(
                    time,
                    "the IdP refuses our assertions, and takes those that are dated by its own clock",
                    report,
                );
                (
                    clean(&self.refusal.to_string()),
                    Fix::from("fix clock first, and check again"),
                )
            }
            Some(Cause::OnlyPar) => self.only_par(),
            None if out_of_reach => return report.skip(Check::Authentication, self.unproven()),
            None => self.unexplained(&outcome).await,
        };
        report.fail(Kind::Wrong, Check::Authentication, what, cause, fix);
    }

    /// The rows that explain the refusal if they have failed. Whether the IdP fetches the keys of a client that cannot be
    /// read is not known.
    fn causes(&self) -> &'static [Check] {
        if self.unread { &CAUSES[1..] } else { &CAUSES }
    }

    fn only_par(&self) -> (String, Fix) {
        let cause = format!(
            "the token endpoint accepts the client, and the endpoint for pushed requests does not: {}",
            clean(&self.refusal.to_string())
        );
        let fix = if self.metadata.require_par {
            fix!(
                "allow the client to push requests at the IdP ({}), or correct {}",
                Knob::ProviderClient,
                Knob::ParEndpoint
            )
        } else {
            fix!(
                "set {}, or correct {} if it points elsewhere",
                Knob::Par.to("false"),
                Knob::ParEndpoint
            )
        };
        (cause, fix)
    }

    /// While the server is stopped, its keys are not served.
    fn unproven(&self) -> &'static str {
        if self.unread {
            "cannot be proven now: the IdP refuses the client, and if it fetches our keys from this server, it has none. Start it, \
             and check again"
        } else {
            "cannot be proven now: the IdP fetches our keys from this server. Start it, and check again"
        }
    }

    async fn unexplained(&self, outcome: &Outcome) -> (String, Fix) {
        let mut cause = clean(&self.refusal.to_string());
        let mut fix = self
            .refusal
            .fix()
            .unwrap_or_else(|| Fix::from("see in the log of the IdP why it refuses"));
        if self.unread {
            let knob = match self.context.config.client.id {
                Some(_) => Knob::ClientId,
                None => Knob::RequestedClientId,
            };
            fix = fix!(
                "correct {}, if the IdP knows no client {}; else {}",
                knob,
                self.client.id.clone(),
                fix
            );
        }
        if !outcome.refused.is_empty() {
            cause.push_str("; refused as well: ");
            cause.push_str(&list(&outcome.refused));
        }
        if !outcome.untried.is_empty() {
            // Writing to a string cannot fail.
            let _ = match outcome.stopped {
                Some(status) => write!(
                    cause,
                    "; not tried, because the IdP answered {}: ",
                    status.as_u16()
                ),
                None => write!(cause, "; not tried, to send few requests: "),
            };
            cause.push_str(&list(&outcome.untried));
        }
        if let Some(from) = self.fetches_from
            && let Some(seen) = fetches::since_the_start(self.context, self.metadata, from).await
        {
            cause.push_str("; ");
            cause.push_str(&seen.text);
            if let Some(first) = seen.fix {
                fix = fix!("{}; else {}", first, fix);
            }
        }
        (cause, fix)
    }
}

fn unclear(error: &CallError, report: &mut Report) {
    let kind = match error {
        CallError::Transport { .. } | CallError::Unavailable { .. } => Kind::Unreachable,
        _ => Kind::Wrong,
    };
    let what = "whether the IdP lets the client in could not be found out";
    report.explain(kind, Check::Authentication, what, error);
}
