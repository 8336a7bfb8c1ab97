//! The needs of routes for tokens of single APIs: the part of the wanted metadata that changes in a running server.

use std::borrow::Cow;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};

use super::{Registration, attempt::Attempt, options::Options};

/// The scopes and the further grants of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// As [`Options::scopes`].
    pub scopes: Vec<String>,
    /// As [`Options::grants`].
    pub grants: Vec<&'static str>,
}

/// The needs of the newest routes, and what the IdP grants of them.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// `None` while they are those of the start.
    needs: Mutex<Option<Needs>>,
    /// Notified of a change.
    pub(super) changed: Notify,
    granted: watch::Sender<Option<Vec<String>>>,
}

// === impl Newest ===

impl Newest {
    /// `options` with the newest needs.
    fn within<'o>(&self, options: &'o Options) -> Cow<'o, Options> {
        match self.needs.lock().clone() {
            None => Cow::Borrowed(options),
            Some(Needs { scopes, grants }) => Cow::Owned(Options {
                scopes,
                grants,
                ..options.clone()
            }),
        }
    }
}

// === impl Registration ===

impl Registration {
    /// From now on the client has `needs`. A running server compares its registration at once if they are new.
    pub fn ask_for(&self, needs: Needs) {
        let before = self.newest.within(&self.options);
        let is_new = before.scopes != needs.scopes || before.grants != needs.grants;
        *self.newest.needs.lock() = Some(needs);
        if is_new {
            // The former grants say nothing about the new needs.
            self.newest.granted.send_replace(None);
            self.newest.changed.notify_one();
        }
    }

    /// The grants of the client, as far as the IdP has named them. Changes with each comparison.
    #[must_use]
    pub fn watch_grants(&self) -> watch::Receiver<Option<Vec<String>>> {
        self.newest.granted.subscribe()
    }

    /// The options with the needs of the newest routes.
    pub(super) fn options(&self) -> Cow<'_, Options> {
        self.newest.within(&self.options)
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// Remembers the grants of the client, if `metadata` of the IdP name them.
    pub(super) fn note_grants(&mut self, metadata: &Map<String, Value>) {
        let listed = metadata.get("grant_types").and_then(Value::as_array);
        self.granted = listed.map(|listed| {
            let names = listed.iter().filter_map(Value::as_str);
            names.map(ToOwned::to_owned).collect()
        });
    }

    /// Tells the others which grants the client has.
    pub(super) fn tell_grants(&self) {
        self.registration
            .newest
            .granted
            .send_replace(self.granted.clone());
    }
}
