//! Problems, each with the change that a person can make about it.
//!
//! A floor below the configuration does not know a setting's name, or its place: it uses a [`Knob`], and the
//! [`Words`] of the configuration replace it with a name. The `Display` of an error describes the problem, and
//! [`Explain::fix`] gives the change. Log line, exit message and doctor are all made of the same [`Diagnostic`].

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

/// An error or warning that can give advice. Its `Display` describes the problem in one line, without the name of a
/// setting and without a secret.
pub trait Explain: fmt::Display {
    /// The change to make. `None` if a person cannot change it, or need not.
    fn fix(&self) -> Option<Fix>;

    /// Both in one line, for the log: in the words that belong to it.
    fn told(&self) -> String {
        words::of_log(|words| Diagnostic::of(self, words).to_string())
    }
}

/// The text of an error or a warning, without its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The problem.
    pub what: String,
    /// The change to make.
    pub fix: Option<Fix>,
}

/// The printed form of an [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The problem.
    pub what: String,
    /// The change to make.
    pub fix: Option<String>,
}

/// A warning without a type of its own, in one line for the log, in the words that belong to it.
pub fn told(what: impl fmt::Display, fix: Fix) -> String {
    Explained::new(what, fix).told()
}

// === impl Explained ===

impl Explained {
    /// The problem, and the change to make.
    pub fn new(what: impl fmt::Display, fix: Fix) -> Self {
        Self {
            what: what.to_string(),
            fix: Some(fix),
        }
    }

    /// The text of `error`.
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

/// A problem without advice.
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
