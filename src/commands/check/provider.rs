//! The IdP: where it is, who it says that it is, and what time it has.

use std::sync::Arc;

use url::Url;

use super::{
    Patient,
    finding::{Check, Kind, Report},
    text::clean,
};
use crate::{
    oidc::{DiscoveryError, JwksError, Metadata, ProviderTime},
    outbound::TransportError,
    proxy::Proxies,
};

/// More than this apart, in seconds, and assertions that live 60 s are refused sooner or later.
const LARGEST_DIFFERENCE: i64 = 30;

/// Discovery, issuer and clock. `None` where there is nothing to go on with.
pub(super) async fn check(patient: &Patient<'_>, report: &mut Report) -> Option<Arc<Metadata>> {
    let metadata = match patient.parts.relying_party.discover().await {
        Ok(metadata) => metadata,
        Err(error) => {
            not_discovered(&error, &patient.config.network.proxies, report);
            return None;
        }
    };
    let reached = match &patient.config.provider.base_url {
        Some(base) => format!("the IdP's metadata and keys can be used, reached at {base}"),
        None => "the IdP's metadata and keys can be used".to_owned(),
    };
    match patient.parts.relying_party.provider_keys().await {
        Ok(_) => report.ok(Check::Discovery, reached),
        Err(error) => no_keys(&error, report),
    }
    report.ok(Check::Issuer, metadata.issuer.clone());
    for error in &metadata.left_out {
        report.note(format!("left out: {}", clean(&error.to_string())));
    }
    match patient.parts.relying_party.provider_time().await {
        Ok(Some(time)) => clock(time, report),
        Ok(None) => report.skip(Check::Clock, "the IdP's answers carry no Date"),
        Err(_) => report.skip(
            Check::Clock,
            "not compared: the IdP's keys, which carry a Date, cannot be read",
        ),
    }
    Some(metadata)
}

fn not_discovered(error: &DiscoveryError, proxies: &Proxies, report: &mut Report) {
    let text = clean(&error.to_string());
    // The texts end with what to change; in a table that stands in a line of its own.
    let (cause, fix) = text.rsplit_once("; ").unwrap_or((&text, "see the cause"));
    let kind = if error.is_transient() {
        Kind::Unreachable
    } else {
        Kind::Wrong
    };
    match error {
        DiscoveryError::IssuerMismatch { found, expected, .. } => {
            report.ok(Check::Discovery, "an IdP answers");
            let fix = match found {
                Some(found) => format!(
                    "set OIDC_ISSUER={} if that is your IdP (to the letter, also a slash at the end)",
                    clean(found)
                ),
                None => "let OIDC_ISSUER name an OpenID provider".to_owned(),
            };
            let what = format!("the IdP does not call itself {}", clean(expected));
            report.fail(Kind::Wrong, Check::Issuer, what, cause, fix);
        }
        DiscoveryError::IssuerTemplate { .. } => {
            report.ok(Check::Discovery, "an IdP answers");
            let what = "the IdP's metadata are those of all its tenants";
            report.fail(Kind::Wrong, Check::Issuer, what, cause, fix);
        }
        DiscoveryError::Unreachable { url, source, .. } if proxy_failed(url, source, proxies) => {
            let what = "the proxy before the IdP does not pass the call on";
            let fix = "start the proxy or correct the variable that the cause names; or list the IdP's host in NO_PROXY, if it \
                       can be reached without a proxy";
            report.fail(kind, Check::Discovery, what, cause, fix);
        }
        DiscoveryError::Unreachable { variable, .. } => {
            let fix = format!(
                "start the IdP, or correct {variable}, which points there; IDP_CA_FILE for a private certificate authority"
            );
            report.fail(kind, Check::Discovery, "the IdP does not answer", cause, fix);
        }
        DiscoveryError::Status { variable, .. } | DiscoveryError::NotJson { variable, .. } => {
            let what = "what answers does not serve an IdP's metadata";
            let fix = format!(
                "correct {variable}, which points there; it must be the IdP itself, not a page before it"
            );
            report.fail(kind, Check::Discovery, what, cause, fix);
        }
        _ => report.fail(
            kind,
            Check::Discovery,
            "the IdP's metadata cannot be used",
            cause,
            fix,
        ),
    }
}

/// Whether the failure is one of the proxy that calls to `url` pass, as the text of the failure says.
fn proxy_failed(url: &str, failure: &TransportError, proxies: &Proxies) -> bool {
    let proxy = Url::parse(url).ok().and_then(|url| proxies.of_url(&url).cloned());
    proxy.is_some_and(|proxy| failure.to_string().starts_with(&format!("the proxy {proxy} ")))
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
pub(super) fn wrong_clock(time: ProviderTime, cause: &str, report: &mut Report) {
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

/// Nobody can log in with an IdP whose signatures nobody can verify.
fn no_keys(error: &JwksError, report: &mut Report) {
    let kind = match error {
        JwksError::Unreachable { .. } => Kind::Unreachable,
        JwksError::Status { status, .. } if status.is_server_error() => Kind::Unreachable,
        _ => Kind::Wrong,
    };
    let text = error.to_string();
    let cause = text.split("; discovery or").next().unwrap_or(&text);
    report.fail(
        kind,
        Check::Discovery,
        "the IdP's own keys cannot be used, so that nobody could log in",
        clean(cause),
        "correct jwks_uri in the IdP's metadata or the keys there, or OIDC_JWKS_URL if it is set",
    );
}
