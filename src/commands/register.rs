//! `bff register`: the bootstrap of a start, once, without serving.

mod difference;

use std::sync::Arc;

use self::difference::{Row, table};
use super::{Exit, check::text::clean, complain_of, process, say};
use crate::{
    app::{
        Ports, StartError,
        one_shot::{InCommon, OneShot, load_keys, look_at_keys},
    },
    config::Config,
    diagnostic::{Explain as _, Explained, Knob, Words as _, fix},
    keys::Keys,
    oidc::{DiscoveryError, Metadata},
    registration::{Event, Inspection, Outcome, Reading, Registration, RegistrationError, managed_elsewhere},
};

pub(super) fn run(dry_run: bool) -> Exit {
    let config = match process::settings_and_log() {
        Ok((config, _)) => config,
        Err(exit) => return exit,
    };
    if !config.registration.enabled {
        let fix = fix!(
            "to let the server register itself, set {} with {} and {}; to test the configured client, run `bff check`",
            Knob::Registration.to("true"),
            Knob::RedirectUris,
            Knob::InitialAccessToken
        );
        let off = Explained::new(
            "registration is off: the server uses the client that the configuration names, which was registered by hand, and neither \
             registers nor changes one",
            fix,
        );
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
            Ok(inspection) => would(&inspection, config),
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
        Event::Skipped => say(&format!(
            "No call was made ({}).",
            config.names.name(Knob::SkipRegistration)
        )),
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

/// Prints what a registration would do, in the words of its plan.
fn would(inspection: &Inspection, config: &Config) -> Exit {
    let plan = inspection.plan();
    if let Some(error) = plan.refusal() {
        return refused(error, config);
    }
    if let Inspection::Registered(client) = inspection
        && let Reading::Elsewhere { origin } = &client.reading
        && !plan.changes_something()
    {
        let what = format_args!(
            "{} is managed at {origin}, where its token is not sent",
            client.client_id
        );
        complain_of(&Explained::new(what, managed_elsewhere()), config);
        return Exit::Refused;
    }
    if let Inspection::Registered(client) = inspection
        && matches!(&client.reading, Reading::Skipped)
        && !client.changes.is_empty()
    {
        let changes: Vec<String> = client.changes.iter().map(ToString::to_string).collect();
        let error = RegistrationError::NotWritten {
            client_id: client.client_id.clone(),
            changes: changes.join("; "),
        };
        return refused(&error, config);
    }
    let would = clean(&plan.describe().in_words(&config.names));
    let changes = plan.changes();
    if changes.is_empty() {
        say(&format!("Would {would}."));
    } else {
        say(&format!("Would {would}:\n"));
        say(&table(changes.iter().map(Row::of_change)));
        say("");
    }
    say(if plan.imports().is_some() {
        "Nothing was written. The IdP's record of the client is compared after the import."
    } else if !plan.changes_something() {
        "Nothing would be done at the IdP."
    } else if plan.registering().is_some() {
        "Nothing was written and nothing was spent."
    } else {
        "Nothing was changed at the IdP."
    });
    Exit::Success
}
