//! Guards of services: a circuit breaker, and a bound on calls at a time.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{GatewayError, Service};
use crate::{
    clock::Timestamp,
    retry::{Breaker, Pass},
};

/// The guards of the services that have some.
#[derive(Debug, Default)]
pub(super) struct Guards(HashMap<String, Arc<Guard>>);

/// The guard of one service.
#[derive(Debug)]
pub(super) struct Guard {
    service: String,
    breaker: Option<Breaker>,
    /// With the number of places altogether.
    places: Option<(u32, Arc<Semaphore>)>,
}

/// A place among the calls of a service at a time, until it is dropped.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// One sending of a call, whose outcome the breaker learns. A trial that is dropped without one makes room for the next.
pub(super) struct Sending(Option<(Arc<Guard>, Pass)>);

// === impl Guards ===

impl Guards {
    /// The guards for `services`, with those of `former` where nothing has changed: a reload closes no breaker.
    pub(super) fn after(former: Option<&Self>, services: &[Arc<Service>]) -> Self {
        let mut guards = HashMap::new();
        for service in services {
            if service.breaker().is_none() && service.concurrency().is_none() {
                continue;
            }
            let same = former
                .and_then(|former| former.0.get(service.id()))
                .filter(|guard| guard.fits(service));
            let guard = same.map_or_else(|| Arc::new(Guard::new(service)), Arc::clone);
            guards.insert(service.id().to_owned(), guard);
        }
        Self(guards)
    }

    pub(super) fn of(&self, service: &Service) -> Option<&Arc<Guard>> {
        // Most tables have none.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(service.id())
    }
}

// === impl Guard ===

impl Guard {
    fn new(service: &Service) -> Self {
        let places = |number: u32| Arc::new(Semaphore::new(usize::try_from(number).unwrap_or(usize::MAX)));
        Self {
            service: service.id().to_owned(),
            breaker: service.breaker().copied().map(Breaker::new),
            places: service.concurrency().map(|number| (number, places(number))),
        }
    }

    fn fits(&self, service: &Service) -> bool {
        self.breaker.as_ref().map(Breaker::options) == service.breaker()
            && self.places.as_ref().map(|(number, _)| *number) == service.concurrency()
    }

    /// A place, if the service has a bound.
    pub(super) fn place(&self) -> Result<Option<Place>, GatewayError> {
        let Some((_, places)) = &self.places else {
            return Ok(None);
        };
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => Ok(Some(Arc::new(place))),
            Err(_) => Err(GatewayError::Full),
        }
    }
}

// === impl Sending ===

impl Sending {
    /// Asks the breaker.
    pub(super) fn begin(
        guard: Option<&Arc<Guard>>,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<Self, GatewayError> {
        let Some((guard, breaker)) = guard.and_then(|guard| Some((guard, guard.breaker.as_ref()?))) else {
            return Ok(Self(None));
        };
        match breaker.check(now()) {
            Ok(pass) => {
                if pass == Pass::Trial {
                    tracing::debug!(
                        service = guard.service,
                        "a call tries whether the service is back"
                    );
                }
                Ok(Self(Some((Arc::clone(guard), pass))))
            }
            Err(pause) => Err(GatewayError::CircuitOpen(pause)),
        }
    }

    /// The service answered, whatever it said.
    pub(super) fn answered(mut self) {
        if let Some((guard, _)) = self.0.take()
            && guard.breaker.as_ref().is_some_and(Breaker::success)
        {
            tracing::info!(
                service = guard.service,
                "a service answers again, and its circuit breaker is closed"
            );
        }
    }

    /// The service gave no answer.
    pub(super) fn failed(mut self, now: Timestamp) {
        let Some((guard, _)) = self.0.take() else {
            return;
        };
        if let Some(breaker) = &guard.breaker
            && breaker.failure(now)
        {
            let options = breaker.options();
            tracing::warn!(
                service = guard.service,
                failures = options.failures,
                pause = ?options.pauses.first,
                "the circuit breaker of a service is open: its calls get 503 until it answers a trial"
            );
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some((guard, Pass::Trial)) = &self.0
            && let Some(breaker) = &guard.breaker
        {
            breaker.give_up();
        }
    }
}
