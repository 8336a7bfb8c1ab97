//! `bff` and `bff serve`.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use super::{Exit, complain, process, systemd::ServiceManager};
use crate::{
    app::{App, Ports, RunError},
    clock::SharedClock,
    config::{Config, Environment},
    diagnostic::{Explain, Knob, fix},
    health::Health,
    server,
    telemetry::recent::Recent,
};

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// How the server stops.
struct Stop {
    /// Cancelled at the first signal.
    asked: CancellationToken,
    /// Cancelled when no more connections are taken.
    shutdown: CancellationToken,
    health: Health,
    clock: SharedClock,
    delay: Duration,
}

pub(super) fn run() -> Exit {
    match process::settings_and_log() {
        Ok((config, recent)) => process::block_on(serve(config, recent)),
        Err(exit) => exit,
    }
}

async fn serve(config: Config, recent: Recent) -> Exit {
    if let Err(error) = server::raise_open_files() {
        tracing::warn!("{error}");
    }
    let ports = Ports {
        recent,
        ..Ports::default()
    };
    let (delay, clock) = (config.server.shutdown_delay, Arc::clone(&ports.clock));
    let mut signals = match Signals::receive() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received");
            return Exit::Internal;
        }
    };
    let hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received");
            return Exit::Internal;
        }
    };
    let app = tokio::select! {
        // It may wait for the file of sessions.
        _ = signals.next() => return Exit::Success,
        app = App::new(config, ports) => match app {
            Ok(app) => app,
            Err(error) => {
                tell(&error);
                return if error.is_configuration() { Exit::Configuration } else { Exit::Unreachable };
            }
        },
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
        let what = fix!("listening on the internal address ({})", Knob::InternalAddress);
        tracing::info!(%address, "{}", what.told());
    }
    let stop = Stop {
        asked: CancellationToken::new(),
        shutdown: CancellationToken::new(),
        health: app.health().clone(),
        clock: Arc::clone(&clock),
        delay,
    };
    let (asked, shutdown) = (stop.asked.clone(), stop.shutdown.clone());
    tokio::spawn(stop.on(signals));
    tokio::spawn(reload_on(hangup, app.reload()));
    if let Some(manager) = ServiceManager::of(&Environment::of_process()) {
        manager.listens();
        let health = app.health().clone();
        tokio::spawn(manager.follow(health, clock, asked));
    }
    match app.run(listeners, shutdown).await {
        Ok(()) => {
            tracing::info!("stopped");
            Exit::Success
        }
        Err(error) => {
            tell(&error);
            match error {
                RunError::CutOff { .. } => Exit::CutOff,
                _ if error.is_configuration() => Exit::Configuration,
                _ => Exit::Refused,
            }
        }
    }
}

/// Makes the server read its routes again at each signal.
async fn reload_on(mut signal: Signal, reload: Arc<Notify>) {
    while signal.recv().await.is_some() {
        reload.notify_one();
    }
}

/// Says why the process ends: in the log, or on standard error if the log filter suppresses that.
fn tell(error: &dyn Explain) {
    let told = error.told();
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{told}");
    } else {
        complain(&told);
    }
}

// === impl Signals ===

impl Signals {
    fn receive() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves with the next signal; whether it comes from a person at a terminal.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => true,
        }
    }
}

// === impl Stop ===

impl Stop {
    /// The first signal stops in order, the second ends the process at once.
    async fn on(self, mut signals: Signals) {
        let by_hand = signals.next().await;
        tokio::select! {
            () = self.in_order(by_hand) => {
                signals.next().await;
            }
            _ = signals.next() => {}
        }
        std::process::exit(130);
    }

    /// Lets load balancers see that it stops, while it still serves them, and then lets requests finish.
    async fn in_order(&self, by_hand: bool) {
        let is_used = self.health.report().ready;
        self.health.stop();
        self.asked.cancel();
        // A person at a terminal has no load balancer to wait for, and a server that was never ready gets no traffic.
        if is_used && !by_hand && !self.delay.is_zero() {
            tracing::info!(delay = ?self.delay, "stopping: not ready any more, and still serving");
            self.clock.sleep(self.delay).await;
        }
        tracing::info!("stopping; requests under way may finish");
        self.shutdown.cancel();
    }
}
