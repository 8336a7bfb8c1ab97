//! Faults of an endpoint, once or until it is healed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::endpoint::Endpoint;

/// The fault of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers without looking at the request.
    Respond {
        /// Status of the answer.
        status: u16,
        /// Headers of the answer.
        headers: Vec<(String, String)>,
        /// Body of the answer.
        body: Vec<u8>,
    },
    /// Answers with an OAuth error whose description quotes everything that the request carried: as it came, and
    /// percent-encoded.
    Quote {
        /// Status of the answer.
        status: u16,
        /// The `error`.
        error: &'static str,
    },
    /// Does not answer until the endpoint is healed (then the request is processed) or the caller hangs up.
    Hang,
    /// Closes the connection without an answer and without processing the request.
    CloseWithoutAnswer,
    /// Processes the request, then closes the connection: the answer is lost.
    CloseAfterProcessing,
    /// Processes the request, then sends the head and half of the body.
    CutBody,
    /// Processes the request, then answers something else.
    RespondAfterProcessing {
        /// Status of the answer.
        status: u16,
        /// Body of the answer.
        body: Vec<u8>,
    },
    /// Waits for the notification, then processes the request as usual.
    HoldUntil(Arc<Notify>),
    /// Processes the request, then waits for the notification before it answers.
    HoldAnswerUntil(Arc<Notify>),
}

#[derive(Default)]
struct Plan {
    next: VecDeque<Fault>,
    always: Option<Fault>,
    /// How often the endpoint was healed: hanging requests wait for an increase.
    healed: u64,
}

/// The planned faults of all endpoints.
pub(crate) struct Faults {
    plans: Mutex<HashMap<Endpoint, Plan>>,
    healing: watch::Sender<()>,
}

/// A request that hangs.
pub(crate) struct Hanging {
    endpoint: Endpoint,
    healed: u64,
    healing: watch::Receiver<()>,
}

// === impl Fault ===

impl Fault {
    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    /// An OAuth error (RFC 6749, section 5.2).
    #[must_use]
    pub fn oauth_error(status: u16, code: &str) -> Self {
        Self::json(
            status,
            &json!({ "error": code, "error_description": "rehearsed" }),
        )
    }

    /// A page of a proxy in front of the IdP.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::text(
            status,
            "text/html",
            "<html><body><h1>Bad gateway</h1></body></html>",
        )
    }

    /// An answer with an empty body, such as a bare 503.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Respond {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A redirect, which no client may follow with credentials.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        let headers = vec![("location".to_owned(), location.to_owned())];
        Self::Respond {
            status,
            headers,
            body: Vec::new(),
        }
    }

    /// An answer with any text.
    #[must_use]
    pub fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self::Respond {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        }
    }
}

// === impl Faults ===

impl Faults {
    pub(crate) fn next(&self, endpoint: Endpoint, fault: Fault) {
        self.plans
            .lock()
            .entry(endpoint)
            .or_default()
            .next
            .push_back(fault);
    }

    pub(crate) fn always(&self, endpoint: Endpoint, fault: Fault) {
        self.plans.lock().entry(endpoint).or_default().always = Some(fault);
    }

    pub(crate) fn heal(&self, endpoint: Endpoint) {
        if let Some(plan) = self.plans.lock().get_mut(&endpoint) {
            plan.heal();
        }
        self.healing.send_replace(());
    }

    pub(crate) fn heal_all(&self) {
        self.plans.lock().values_mut().for_each(Plan::heal);
        self.healing.send_replace(());
    }

    /// The fault of this request, and the count it would wait for if it hangs.
    pub(crate) fn take(&self, endpoint: Endpoint) -> Option<(Fault, Hanging)> {
        // Subscribed before the plan is read: a heal in between is not missed.
        let healing = self.healing.subscribe();
        let mut plans = self.plans.lock();
        let plan = plans.get_mut(&endpoint)?;
        let fault = plan.next.pop_front().or_else(|| plan.always.clone())?;
        Some((
            fault,
            Hanging {
                endpoint,
                healed: plan.healed,
                healing,
            },
        ))
    }

    pub(crate) async fn healed(&self, mut hanging: Hanging) {
        while self
            .plans
            .lock()
            .get(&hanging.endpoint)
            .is_some_and(|plan| plan.healed <= hanging.healed)
        {
            if hanging.healing.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            plans: Mutex::default(),
            healing: watch::Sender::new(()),
        }
    }
}

// === impl Plan ===

impl Plan {
    fn heal(&mut self) {
        self.next.clear();
        self.always = None;
        self.healed += 1;
    }
}
