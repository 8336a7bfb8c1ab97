//! The issuers of tokens that callers bring.

use std::sync::Arc;

use super::{
    Context,
    finding::{Check, Kind, Report},
    text::clean,
};
use crate::{
    app::App,
    bearer::{Bearers, Ports},
    diagnostic::{Knob, fix},
};

/// A row for each issuer, if a route takes tokens.
pub(super) async fn check(context: &Context<'_>, report: &mut Report) {
    let config = context.config;
    // Mistakes of the files have their own row.
    let Ok((routes, _)) = App::routes(config) else {
        return;
    };
    let Ok(idps) = App::idps(config, &routes) else {
        return;
    };
    if !routes.has_bearers() {
        return;
    }
    let bearers = Bearers::new(
        &idps,
        Ports {
            login: context.parts.relying_party.clone(),
            outbound: context.parts.outbound.clone(),
            keys: context.parts.keys.clone(),
            allow_http: config.server.allow_http,
            clock: Arc::clone(&context.clock),
            random: Arc::clone(&context.random),
        },
    );
    let mut known = Vec::new();
    for (idp, reached) in bearers.reach().await {
        let (name, issuer) = (clean(&idp.name), clean(&idp.issuer));
        match reached {
            Ok(keys) => known.push(format!("{name}: {keys} keys of {issuer} are known")),
            Err(cause) => report.fail(
                Kind::Wrong,
                Check::Idps,
                format!("{name}: the keys of {issuer} are not known"),
                clean(&cause),
                fix!(
                    "correct issuer of the entry in {}, or add jwks_url",
                    Knob::IdpsFile
                ),
            ),
        }
    }
    // After the failures, which take rows before them for outdated.
    for row in known {
        report.ok(Check::Idps, row);
    }
}
