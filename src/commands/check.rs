//! `bff check`: the doctor. Looks at everything that a login needs without a person, and says what to mend.
//!
//! Nothing is changed at the IdP and nothing is spent. One thing may be written: a registration access token that the IdP
//! replaces when it is used for reading.

mod authentication;
mod checks;
mod finding;
mod idps;
mod inside;
mod jwks;
mod own;
mod provider;
mod registration;
mod running;
mod server;
mod skewed_clock;
mod table;
mod terminal;
pub(super) mod text;

use std::sync::Arc;

use self::{
    authentication::KeysAre,
    finding::{Check, Report},
    inside::Place,
    own::KeysFound,
    running::Fetches,
    terminal::Terminal,
};
use super::{Exit, complain_of, process, say};
use crate::{
    app::{
        App, Ports,
        one_shot::{InCommon, OneShot},
        preflight,
    },
    clock::SharedClock,
    config::{Config, Severity},
    diagnostic::Diagnostic,
    random::SharedRandom,
};

/// The data that the checks share.
struct Context<'a> {
    config: &'a Config,
    parts: OneShot,
    clock: SharedClock,
    random: SharedRandom,
    /// The fetches of our keys before the checks began, if the server says so.
    fetches: Option<Fetches>,
}

pub(super) fn config_only() -> Exit {
    let (config, warnings) = match process::settings() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    for warning in &warnings {
        say(&match warning.severity {
            Severity::Info => format!("note: {warning}"),
            _ => format!("warning: {warning}"),
        });
    }
    match App::check(&config) {
        Ok(warnings) => {
            for warning in warnings {
                say(&format!("warning: {}", Diagnostic::of(&warning, &config.names)));
            }
        }
        Err(error) => {
            complain_of(&error, &config);
            return Exit::Configuration;
        }
    }
    if warnings
        .iter()
        .any(|warning| warning.severity == Severity::PreventsLogin)
    {
        say("the server would start, but nobody could log in: see the warnings");
        return Exit::Unhealthy;
    }
    say("the configuration is consistent");
    Exit::Success
}

pub(super) fn run(as_json: bool) -> Exit {
    process::block_on(async {
        // In a place of its own: in line it would be too large for a stack.
        let report = Box::pin(examined()).await;
        if as_json {
            say(&format!("{:#}", table::json(&report)));
        } else {
            say(&table::table(&report, &Terminal::of_process()));
        }
        report.exit()
    })
}

async fn examined() -> Report {
    let mut report = Report::default();
    if let Some(config) = own::configuration(&mut report) {
        let outside = Ports::default();
        let asked = match &config.server.admin_socket {
            Some(socket) => Some(running::status(socket, &config.names).await),
            None => None,
        };
        let fetches = asked
            .as_ref()
            .and_then(|asked| running::fetches_of(asked.as_ref().ok()?));
        let work = async |common: &InCommon| {
            Box::pin(examine(&config, common, &outside, fetches, &mut report)).await;
        };
        if let Err(error) = InCommon::with(&config, &outside, work).await {
            own::unusable(
                &mut report,
                Check::Configuration,
                "the state that replicas share",
                &error,
            );
        }
        inside::mark(&config, Place::of_process(), &mut report);
        // If no server runs, the table already reports it.
        report.running = asked.filter(|asked| asked.is_ok() || report.is_ok(Check::Server));
    }
    let why = match report.failed(&Check::ALL) {
        Some(_) => "not checked; fix the failed checks above first",
        None => "not checked",
    };
    report.skip_the_rest(why);
    report
}

/// Each step needs the ones before it: after a failure the rest is skipped.
async fn examine(
    config: &Config,
    common: &InCommon,
    outside: &Ports,
    fetches: Option<Fetches>,
    report: &mut Report,
) {
    if let Err(error) = preflight::store_answers(config, outside).await {
        own::unusable(report, Check::Configuration, "the session store", &error);
    }
    let Some(keys) = own::keys(config, common, outside.clock.now(), report).await else {
        return;
    };
    let (clock, random) = (Arc::clone(&outside.clock), Arc::clone(&outside.random));
    let parts = match OneShot::new(config, keys.any().clone(), common, outside.clone()) {
        Ok(parts) => parts,
        Err(error) => return own::unusable(report, Check::Configuration, "the settings", &error),
    };
    let context = Context {
        config,
        parts,
        clock,
        random,
        fetches,
    };
    let local = server::check(config, report).await;
    let served = jwks::check(&context, &keys, local, report).await;
    let metadata = provider::check(&context, &keys, report).await;
    idps::check(&context, report).await;
    let Some(metadata) = metadata else {
        return;
    };
    if matches!(keys, KeysFound::Broken(_)) {
        return;
    }
    let known = registration::check(&context, &metadata, &keys, &served, report).await;
    let keys_are = match served {
        // A running server that cannot be reached there has its own row.
        jwks::Served::Nobody(_) if report.failed(&[Check::Jwks]).is_none() => KeysAre::OutOfReach,
        _ => KeysAre::There,
    };
    let unread = known.unread;
    authentication::check(&context, &metadata, &keys, known, keys_are, report).await;
    if unread {
        registration::unread_kid(&context, &keys, &served, report);
    }
}
