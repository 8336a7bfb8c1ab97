//! What went wrong, and what a person can change about it.
//!
//! A floor below the configuration does not know what a setting is called, or where it was set: it names a [`Knob`], and
//! the [`Words`] of the configuration put a name in its place. An error says by its `Display` what happened, and by
//! [`Explain::fix`] what to change. Log line, exit message and doctor are all made of the same [`Diagnostic`].

mod fix;
mod knob;
mod words;

use std::fmt;

pub(crate) use self::fix::fix;
#[doc(hidden)]
pub use self::fix::holes;
pub use self::{
    fix::{Fix, Part, Setting},
    knob::Knob,
    words::{LogWords, Neutral, Words},
};

/// What can tell a person what to do about it. By its `Display` it says what happened, in one line, without any name of a
/// setting and without a secret.
pub trait Explain: fmt::Display {
    /// What to change. `None` where a person can do nothing, or has nothing to do.
    fn fix(&self) -> Option<Fix>;

    /// Both in one line, for the log: in the words that belong to it.
    fn told(&self) -> String {
        words::of_log(|words| Diagnostic::of(self, words).to_string())
    }
}

/// What an error or a warning says, without its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What happened.
    pub what: String,
    /// What to change.
    pub fix: Option<Fix>,
}

/// What is printed of an [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What happened.
    pub what: String,
    /// What to change.
    pub fix: Option<String>,
}

/// A warning without a type of its own, in one line for the log, in the words that belong to it.
pub fn told(what: impl fmt::Display, fix: Fix) -> String {
    Explained::new(what, fix).told()
}

// === impl Explained ===

impl Explained {
    /// What happened, and what to change.
    pub fn new(what: impl fmt::Display, fix: Fix) -> Self {
        Self {
            what: what.to_string(),
            fix: Some(fix),
        }
    }

    /// What `error` says.
    pub fn of<E: Explain + ?Sized>(error: &E) -> Self {
        Self {
            what: error.to_string(),
            fix: error.fix(),
        }
    }

    /// The same with other words for what happened.
    #[must_use]
    pub fn saying(self, what: impl FnOnce(String) -> String) -> Self {
        Self {
            what: what(self.what),
            ..self
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Explain for Explained {
    fn fix(&self) -> Option<Fix> {
        self.fix.clone()
    }
}

/// What nobody has to change anything about.
impl From<String> for Explained {
    fn from(what: String) -> Self {
        Self { what, fix: None }
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// In these words.
    pub fn of<E: Explain + ?Sized>(error: &E, words: &dyn Words) -> Self {
        Self {
            what: error.to_string(),
            fix: error.fix().map(|fix| fix.in_words(words)),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.fix {
            Some(fix) => write!(f, " - fix: {fix}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
