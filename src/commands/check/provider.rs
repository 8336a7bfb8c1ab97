//! The IdP: its address, its identity and its clock.

use std::sync::Arc;

use url::Url;

use super::{
    Context,
    finding::{Check, Kind, Report},
    own::KeysFound,
    text::clean,
};
use crate::{
    diagnostic::{Explained, Knob, fix},
    oidc::{
        AbsentEndpoint, ConfusedEndpoint, DiscoveryError, JwksError, Metadata, NotReady, ParMode,
        ProviderTime,
    },
    outbound::TransportError,
};

/// With a larger clock skew, in seconds, the IdP will refuse assertions that live 60 s sooner or later.
const LARGEST_DIFFERENCE: i64 = 30;

/// Discovery, issuer and clock. `None` if the further checks lack the metadata.
pub(super) async fn check(
    context: &Context<'_>,
    keys: &KeysFound,
    report: &mut Report,
) -> Option<Arc<Metadata>> {
    let provider = context.parts.relying_party.provider();
    let metadata = match provider.discover().await {
        Ok(metadata) => metadata,
        Err(error) => {
            not_discovered(&error, report);
            return None;
        }
    };
    let reached = match &context.config.provider.base_url {
        Some(base) => format!("the IdP's metadata and keys can be used, reached at {base}"),
        None => "the IdP's metadata and keys can be used".to_owned(),
    };
    for confused in &metadata.confused {
        another_endpoint(confused, report);
    }
    match provider.keys().await {
        Ok(set) => {
            // A key that is called by the thumbprint of ours is ours.
            if keys
                .found()
                .is_some_and(|ours| set.contains(&ours.signing_thumbprint()))
            {
                own_keys(&metadata.jwks_uri, report);
            } else if metadata.confused.is_empty() {
                report.ok(Check::Discovery, reached);
            }
            if let Some(keys) = set.broken() {
                report.note(clean(&format!(
                    "the IdP publishes keys that cannot be used; what they sign is refused: {keys}"
                )));
            }
        }
        Err(error) => no_keys(&error, report),
    }
    let pushes = context.config.client.par != ParMode::Never;
    let is_confused = |member| metadata.confused.iter().any(|confused| confused.member == member);
    for absent in provider.absent_endpoints(&metadata, pushes).await {
        if !is_confused(absent.member()) {
            no_endpoint(&absent, report);
        }
    }
    demands(context.config.client.par, &metadata, report);
    report.ok(Check::Issuer, metadata.issuer.clone());
    for error in &metadata.left_out {
        report.note_of(&Explained::of(error).saying(|what| format!("left out: {what}")));
    }
    match provider.time().await {
        Ok(Some(time)) => clock(time, report),
        Ok(None) => report.skip(Check::Clock, "the IdP's answers carry no Date"),
        Err(_) => report.skip(
            Check::Clock,
            "not compared: the IdP's keys, which carry a Date, cannot be read",
        ),
    }
    Some(metadata)
}

fn not_discovered(error: &DiscoveryError, report: &mut Report) {
    let kind = if error.is_transient() {
        Kind::Unreachable
    } else {
        Kind::Wrong
    };
    let mut check = Check::Discovery;
    let what = match error {
        DiscoveryError::IssuerMismatch { expected, .. } => {
            report.ok(Check::Discovery, "an IdP answers");
            check = Check::Issuer;
            format!("the IdP does not call itself {}", clean(expected))
        }
        DiscoveryError::IssuerTemplate { .. } => {
            report.ok(Check::Discovery, "an IdP answers");
            check = Check::Issuer;
            "the IdP's metadata are those of all its tenants".to_owned()
        }
        DiscoveryError::Unreachable {
            source: TransportError::Proxy { .. },
            ..
        }
        | DiscoveryError::Proxy { .. } => "the proxy before the IdP does not pass the call on".to_owned(),
        DiscoveryError::Unreachable { .. } => "the IdP does not answer".to_owned(),
        DiscoveryError::Status { .. } | DiscoveryError::NotJson { .. } => {
            "the server there does not serve an IdP's metadata".to_owned()
        }
        DiscoveryError::InvalidIssuer { .. }
        | DiscoveryError::Endpoint(_)
        | DiscoveryError::Insecure { .. } => "the IdP's metadata cannot be used".to_owned(),
    };
    report.explain(kind, check, what, error);
}

fn clock(time: ProviderTime, report: &mut Report) {
    let ahead = time.ahead();
    let seconds = ahead.unsigned_abs();
    let direction = direction(ahead);
    if ahead.abs() <= LARGEST_DIFFERENCE {
        let what = match ahead {
            0 => "the same as the IdP's, to the second".to_owned(),
            _ => format!("{seconds} s {direction} the IdP's"),
        };
        return report.ok(Check::Clock, what);
    }
    wrong_clock(
        time,
        "client assertions live 60 s and ID tokens are dated, so that either side takes the other's for expired or not yet valid",
        report,
    );
}

/// The clocks are too far apart, as `cause` says.
pub(super) fn wrong_clock(time: ProviderTime, cause: &'static str, report: &mut Report) {
    let ahead = time.ahead();
    report.fail(
        Kind::Wrong,
        Check::Clock,
        format!(
            "this machine's clock is {} s {} the IdP's",
            ahead.unsigned_abs(),
            direction(ahead)
        ),
        cause,
        "set the clock of whichever machine is wrong (NTP, chrony); in a container it is the host's",
    );
}

const fn direction(ahead: i64) -> &'static str {
    if ahead < 0 { "behind" } else { "ahead of" }
}

/// Nobody can log in if the server cannot verify the IdP's signatures.
fn no_keys(error: &JwksError, report: &mut Report) {
    let kind = match error {
        JwksError::Unreachable { .. } => Kind::Unreachable,
        JwksError::Status { status, .. } if status.is_server_error() => Kind::Unreachable,
        _ => Kind::Wrong,
    };
    let what = "the IdP's own keys cannot be used, so nobody could log in";
    report.explain(kind, Check::Discovery, what, error);
}

/// The address of the IdP's keys leads to this server's.
fn own_keys(url: &Url, report: &mut Report) {
    report.fail(
        Kind::Wrong,
        Check::Discovery,
        "the IdP's keys are read from this server, so that nobody could log in",
        clean(&format!("the keys at {url} are this server's own, and the IdP signs with others")),
        fix!(
            "remove {} if it is set: the IdP's metadata name the address of its keys; correct jwks_uri there otherwise",
            Knob::ProviderKeys
        ),
    );
}

/// A setting names it with the address of another one.
fn another_endpoint(confused: &ConfusedEndpoint, report: &mut Report) {
    let what = format!("the {} is set to another endpoint", confused.member);
    report.explain(Kind::Wrong, Check::Discovery, what, confused);
}

/// A login fails at it, or a part of the session's life does.
fn no_endpoint(absent: &AbsentEndpoint, report: &mut Report) {
    let kind = match absent {
        AbsentEndpoint::Unreachable { .. } => Kind::Unreachable,
        AbsentEndpoint::Status { .. } | AbsentEndpoint::NotOAuth { .. } => Kind::Wrong,
    };
    let consequence = if absent.prevents_logins() {
        ", so that nobody could log in"
    } else {
        ""
    };
    let member = absent.member();
    let what = match absent {
        AbsentEndpoint::NotOAuth { .. } => format!("the {member} gives no OAuth answer{consequence}"),
        AbsentEndpoint::Status { .. } | AbsentEndpoint::Unreachable { .. } => {
            format!("nothing serves the {member}{consequence}")
        }
    };
    report.explain(kind, Check::Discovery, what, absent);
}

/// Whether the IdP takes authorization requests in the form in which the server sends them.
fn demands(par: ParMode, metadata: &Metadata, report: &mut Report) {
    match par {
        ParMode::Always if metadata.par_endpoint.is_none() => report.explain(
            Kind::Wrong,
            Check::Discovery,
            "requests are to be pushed, and the IdP offers no endpoint for that, so that nobody could log in",
            &NotReady::ParEndpoint,
        ),
        ParMode::Never if metadata.require_par => report.fail(
            Kind::Wrong,
            Check::Discovery,
            "the IdP demands pushed requests, and the server sends none, so that nobody could log in",
            "its metadata have require_pushed_authorization_requests (RFC 9126 section 5)",
            fix!("set {}", Knob::Par.to("auto")),
        ),
        _ => {}
    }
    if let Some(methods) = &metadata.code_challenge_methods
        && !methods.iter().any(|method| method == "S256")
    {
        report.note(format!(
            "the IdP lists {} for PKCE, and the server sends S256; if the IdP refuses it, nobody can log in",
            clean(&methods.join(", "))
        ));
    }
}
