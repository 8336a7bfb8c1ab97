//! `bff register`: the bootstrap of a start, once, without serving.

mod difference;

use std::sync::Arc;

use self::difference::{Row, table};
use super::{Exit, complain_of, process, say};
use crate::{
    app::{
        Ports, StartError,
        one_shot::{InCommon, OneShot, load_keys, look_at_keys},
    },
    config::Config,
    diagnostic::{Explain as _, Explained, Knob, fix},
    keys::Keys,
    oidc::{DiscoveryError, Metadata},
    registration::{
        Event, Inspected, Inspection, Outcome, Prospect, Reading, Registration, RegistrationError,
        Replacement, TokenSource, WantedMetadata, managed_elsewhere,
    },
};

pub(super) fn run(dry_run: bool) -> Exit {
    let config = match process::settings_and_log() {
        Ok((config, _)) => config,
        Err(exit) => return exit,
    };
    if !config.registration.enabled {
        let fix = fix!(
            "set {} and {}, or look at the configured client with `bff check`",
            Knob::RedirectUris,
            Knob::InitialAccessToken
        );
        let off = Explained::new("registration is off, so that there is nothing to register", fix);
        complain_of(&off, &config);
        return Exit::Configuration;
    }
    process::block_on(register(&config, dry_run))
}

async fn register(config: &Config, dry_run: bool) -> Exit {
    let ports = Ports::default();
    let work = async |common: &InCommon| register_with(config, common, &ports, dry_run).await;
    InCommon::with(config, &ports, work)
        .await
        .unwrap_or_else(|error| {
            complain_of(&error, config);
            Exit::Configuration
        })
}

async fn register_with(config: &Config, common: &InCommon, ports: &Ports, dry_run: bool) -> Exit {
    let one_shot = match parts(config, common, ports, dry_run) {
        Ok(one_shot) => one_shot,
        Err(error) => {
            complain_of(&error, config);
            return Exit::Configuration;
        }
    };
    let Some(registration) = &one_shot.registration else {
        return Exit::Configuration;
    };
    let metadata = match one_shot.relying_party.provider().discover().await {
        Ok(metadata) => metadata,
        Err(error) => {
            complain_of(&error, config);
            return undiscovered(&error);
        }
    };
    if dry_run {
        return match registration.inspect(&metadata).await {
            Ok(Inspection::Unregistered(prospect)) => would_register(&prospect, &metadata, config),
            Ok(Inspection::Registered(client)) => would_change(&client, config),
            Ok(Inspection::Configured(_)) => would_do_nothing(),
            Err(error) => refused(&error, config),
        };
    }
    ensure(registration, &metadata, config).await
}

/// A dry run makes no key: if there is none yet, a temporary one replaces it.
fn parts(config: &Config, common: &InCommon, ports: &Ports, dry_run: bool) -> Result<OneShot, StartError> {
    let now = ports.clock.now();
    let keys = if dry_run {
        match look_at_keys(config, common, now)? {
            Some((_, keys, _)) => keys,
            None => Keys::throwaway(config.keys.options.generate)?,
        }
    } else {
        let (keys, warnings) = load_keys(config, common, now)?;
        for warning in warnings {
            tracing::warn!("{}", warning.told());
        }
        keys
    };
    OneShot::new(config, keys, common, ports.clone())
}

fn undiscovered(error: &DiscoveryError) -> Exit {
    if error.is_transient() {
        Exit::Unreachable
    } else {
        Exit::Configuration
    }
}

async fn ensure(registration: &Registration, metadata: &Arc<Metadata>, config: &Config) -> Exit {
    match registration.ensure(metadata).await {
        Ok(Outcome { client, event }) => done(&client.id, event, config),
        Err(error) => refused(&error, config),
    }
}

fn done(client_id: &str, event: Event, config: &Config) -> Exit {
    match event {
        Event::Registered { assigned, .. } => say(&format!("{assigned} is registered.")),
        Event::Unchanged => say(&format!(
            "{client_id} is registered as it should be; nothing had to be done."
        )),
        Event::Updated(changes) => {
            say(&format!("{client_id} was updated:\n"));
            say(&table(changes.iter().map(Row::of_change)));
        }
        Event::Skipped => say("No call was made (SKIP_DCR_BOOTSTRAP)."),
        // The event is already in the log, unless that is filtered; the stored registration still serves.
        Event::UpdateRefused(error) | Event::Postponed(error) => {
            return if tracing::enabled!(tracing::Level::WARN) {
                exit_of(&error)
            } else {
                refused(&error, config)
            };
        }
    }
    Exit::Success
}

/// Says why, and the exit code for it.
fn refused(error: &RegistrationError, config: &Config) -> Exit {
    complain_of(error, config);
    exit_of(error)
}

fn exit_of(error: &RegistrationError) -> Exit {
    match error.kind().exit_code() {
        69 => Exit::Unreachable,
        77 => Exit::Refused,
        _ => Exit::Configuration,
    }
}

fn would_register(prospect: &Prospect, metadata: &Metadata, config: &Config) -> Exit {
    let how = match &prospect.token {
        Ok(TokenSource::Configured) => "with DCR_IAT",
        Ok(TokenSource::Open) => "without an initial access token (DCR_IAT=none)",
        Ok(TokenSource::Minted) => {
            "with an initial access token that is minted for it (BOOTSTRAP_ADMIN_TOKEN)"
        }
        Err(error) => return refused(error, config),
    };
    let issuer = &metadata.issuer;
    would_create(
        &format!("Would register a new client at {issuer}, {how}:"),
        &prospect.wanted,
    );
    Exit::Success
}

/// All fields, as none is there yet.
fn would_create(what: &str, wanted: &WantedMetadata) {
    let fields = wanted.fields().iter();
    say(&format!("{what}\n"));
    say(&table(
        fields.map(|(name, value)| Row::new(name, None, Some(value))),
    ));
    say("\nNothing was written and nothing was spent.");
}

fn would_do_nothing() -> Exit {
    say("No call would be made (SKIP_DCR_BOOTSTRAP).");
    Exit::Success
}

fn would_change(client: &Inspected, config: &Config) -> Exit {
    let id = &client.client_id;
    if let Some(replacement) = client.replacement {
        let why = match replacement {
            Replacement::Forced => "DCR_FORCE_REPLACE with an unused DCR_IAT",
            Replacement::TokenLost => {
                "its registration access token is refused, and there is an initial access token (DCR_IAT), or one is minted"
            }
        };
        would_create(
            &format!("Would register a new client in the place of {id}: {why}."),
            &client.wanted,
        );
        return Exit::Success;
    }
    match &client.reading {
        Reading::Failed(error) => return refused(error, config),
        Reading::Elsewhere { origin } => {
            let what = format_args!("{id} is managed at {origin}, where its token is not sent");
            complain_of(&Explained::new(what, managed_elsewhere()), config);
            return Exit::Refused;
        }
        Reading::Skipped => return would_do_nothing(),
        Reading::Read(_) | Reading::NotOffered => {}
    }
    if client.changes.is_empty() {
        say(&format!(
            "{id} is registered as it should be; nothing would be done."
        ));
    } else {
        say(&format!("Would update {id}:\n"));
        say(&table(client.changes.iter().map(Row::of_change)));
        say("\nNothing was changed at the IdP.");
    }
    Exit::Success
}
