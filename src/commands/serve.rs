//! `bff` and `bff serve`.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, complain, process};
use crate::{
    app::{App, Ports},
    config::Config,
};

pub(super) fn run() -> Exit {
    match process::settings_and_log() {
        Ok(config) => process::block_on(serve(config)),
        Err(exit) => exit,
    }
}

async fn serve(config: Config) -> Exit {
    let app = match App::new(config, Ports::default()) {
        Ok(app) => app,
        Err(error) => {
            tell(&error);
            return Exit::Configuration;
        }
    };
    let listeners = match app.bind().await {
        Ok(listeners) => listeners,
        Err(error) => {
            tell(&error);
            return Exit::Configuration;
        }
    };
    if let Ok(address) = listeners.public.local_addr() {
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    if let Some(internal) = &listeners.internal
        && let Ok(address) = internal.local_addr()
    {
        tracing::info!(%address, "listening for the inside (BFF_INTERNAL_ADDR)");
    }
    let shutdown = CancellationToken::new();
    if let Err(error) = cancel_on_signal(&shutdown) {
        tracing::error!(%error, "signals cannot be received");
        return Exit::Internal;
    }
    match app.run(listeners, shutdown).await {
        Ok(()) => {
            tracing::info!("stopped");
            Exit::Success
        }
        Err(error) => {
            tell(&error);
            if error.is_configuration() {
                Exit::Configuration
            } else {
                Exit::Refused
            }
        }
    }
}

/// Says why the process ends: in the log, or where the log filter silences that, on standard error.
fn tell(error: &dyn std::error::Error) {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{error}");
    } else {
        complain(&error.to_string());
    }
}

/// The first signal lets requests finish, the second ends the process at once.
fn cancel_on_signal(shutdown: &CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!("stopping; requests under way may finish");
            shutdown.cancel();
        }
    });
    Ok(())
}
