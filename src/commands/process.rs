//! The beginning of every command: the settings, the configured log, a runtime.

use super::{Exit, complain};
use crate::{
    config::{Config, Environment, Severity, Warning},
    diagnostic::LogWords,
    telemetry::{self, recent::Recent},
};

/// The settings; prints all mistakes in them at once.
pub(super) fn settings() -> Result<(Config, Vec<Warning>), Exit> {
    Config::load(&Environment::of_process()).map_err(|error| {
        complain(&error.to_string());
        Exit::Configuration
    })
}

/// The same for a command that logs as the server does: warnings go there, and into what remembers them.
pub(super) fn settings_and_log() -> Result<(Config, Recent), Exit> {
    let (config, warnings) = settings()?;
    let options = telemetry::Options {
        filter: config.telemetry.log_filter.clone(),
        format: config.telemetry.log_format,
    };
    let recent = telemetry::init(&options, LogWords::new(config.names.clone())).map_err(|error| {
        complain(&error.to_string());
        Exit::Configuration
    })?;
    for warning in warnings {
        match warning.severity {
            Severity::Info => tracing::info!("{warning}"),
            Severity::Warning | Severity::PreventsLogin => tracing::warn!("{warning}"),
        }
    }
    Ok((config, recent))
}

/// Runs `work` to its end.
pub(super) fn block_on(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain(&format!("the runtime cannot be started: {error}"));
            Exit::Internal
        }
    }
}
