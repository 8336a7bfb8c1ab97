//! One key of the keyring.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its PEM file; relative to the keys folder.
    pub file: PathBuf,
    /// Its key id.
    pub kid: String,
    /// Its RFC 7638 thumbprint, if that is not its key id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
    /// Its state.
    pub state: State,
    /// Since when; for `next`, since when it is published.
    pub since: Timestamp,
    /// Unknown members, preserved.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Published, not yet signing.
    Next,
    /// Signs.
    Active,
    /// Published, no longer signing.
    Previous,
    /// Neither published nor signing.
    Retired,
}

/// The identity of a key and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// Its PEM file; relative to the keys folder.
    pub file: PathBuf,
    /// Its key id.
    pub kid: String,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(key: &KeyName, state: State, since: Timestamp) -> Self {
        Self {
            file: key.file.clone(),
            kid: key.kid.clone(),
            thumbprint: (key.thumbprint != key.kid).then(|| key.thumbprint.clone()),
            state,
            since,
            unknown: Map::new(),
        }
    }

    /// Its RFC 7638 thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        self.thumbprint.as_deref().unwrap_or(&self.kid)
    }

    /// Which key it is.
    #[must_use]
    pub fn name(&self) -> KeyName {
        KeyName {
            file: self.file.clone(),
            kid: self.kid.clone(),
            thumbprint: self.thumbprint().to_owned(),
        }
    }

    pub(super) fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.since = now;
    }

    pub(super) fn is_sound(&self) -> bool {
        let visible =
            |text: &str| (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let length = self.file.as_os_str().len();
        visible(&self.kid)
            && visible(self.thumbprint())
            && (1..=4096).contains(&length)
            && self.file != Path::new(".")
    }
}

// === impl State ===

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Previous => "previous",
            Self::Retired => "retired",
        })
    }
}
