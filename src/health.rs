//! The server's knowledge of its own state, for readiness.
//!
//! Readiness is latched: once every [`Component`] has been [`Status::Ok`], the server stays ready, and a later
//! problem shows as `degraded`. An IdP that is down for a minute must not take the server out of rotation, because
//! sessions still work. Only the stop ends readiness, so that a load balancer turns away in time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;
use serde::Serialize;

/// The conditions of readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The signing key and the published JWK Set.
    Keys,
    /// The session store.
    Store,
    /// The IdP's metadata.
    Discovery,
    /// A client id and the means to authenticate as it.
    Credentials,
    /// The other replicas: they have the same secrets and keys.
    Replicas,
}

/// The state of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Not known yet, or never worked; `reason` for a person.
    Pending {
        /// Why, without any secret.
        reason: String,
    },
    /// Works.
    Ok,
    /// Worked once and fails now; `reason` for a person.
    Degraded {
        /// Why, without any secret.
        reason: String,
    },
}

/// A snapshot of all components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether requests may be routed here.
    pub ready: bool,
    /// Ready, but something does not work at the moment.
    pub degraded: bool,
    /// The server was told to stop: new requests should go elsewhere.
    pub stopping: bool,
    /// Each component with its state.
    pub components: Vec<(Component, Status)>,
}

/// The state of the server; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    components: Arc<RwLock<[Status; Component::ALL.len()]>>,
    stopping: Arc<AtomicBool>,
}

// === impl Component ===

impl Component {
    /// All components.
    pub const ALL: [Self; 5] = [
        Self::Keys,
        Self::Store,
        Self::Discovery,
        Self::Credentials,
        Self::Replicas,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Store => "store",
            Self::Discovery => "discovery",
            Self::Credentials => "credentials",
            Self::Replicas => "replicas",
        }
    }
}

// === impl Report ===

impl Report {
    /// The failing components, each with its reason.
    pub fn troubles(&self) -> impl Iterator<Item = (Component, &str)> {
        self.components
            .iter()
            .filter_map(|(component, status)| match status {
                Status::Ok => None,
                Status::Pending { reason } | Status::Degraded { reason } => {
                    Some((*component, reason.as_str()))
                }
            })
    }
}

// === impl Health ===

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        let pending = || Status::Pending {
            reason: "starting".to_owned(),
        };
        Self {
            components: Arc::new(RwLock::new(std::array::from_fn(|_| pending()))),
            stopping: Arc::default(),
        }
    }

    /// `component` works.
    pub fn ok(&self, component: Component) {
        self.components.write()[component as usize] = Status::Ok;
    }

    /// `component` does not work because of `reason` (no secrets): pending if it never has, degraded if it has.
    pub fn failing(&self, component: Component, reason: impl Into<String>) {
        let status = &mut self.components.write()[component as usize];
        let reason = reason.into();
        *status = match status {
            Status::Pending { .. } => Status::Pending { reason },
            Status::Ok | Status::Degraded { .. } => Status::Degraded { reason },
        };
    }

    /// The server was told to stop. It is never ready again.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The state now.
    #[must_use]
    pub fn report(&self) -> Report {
        let components = self.components.read();
        let stopping = self.stopping.load(Ordering::Relaxed);
        // No component returns to pending: this latches readiness.
        let pending = components
            .iter()
            .any(|status| matches!(status, Status::Pending { .. }));
        Report {
            ready: !pending && !stopping,
            stopping,
            degraded: components
                .iter()
                .any(|status| matches!(status, Status::Degraded { .. })),
            components: Component::ALL
                .into_iter()
                .zip(components.iter().cloned())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_every_component_and_is_latched() {
        let health = Health::new();
        for component in Component::ALL {
            assert!(!health.report().ready);
            health.failing(component, "not there yet");
            assert!(!health.report().ready);
            health.ok(component);
        }
        assert!(health.report().ready);
        assert!(!health.report().degraded);

        health.failing(Component::Discovery, "the IdP is down");
        assert!(health.report().ready);
        assert!(health.report().degraded);

        health.ok(Component::Discovery);
        assert!(!health.report().degraded);

        health.stop();
        assert!(!health.report().ready && health.report().stopping);
    }
}
