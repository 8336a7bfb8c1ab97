//! Reports for the operator: all mistakes at once, and warnings.

use std::{fmt, io, path::Path};

use super::{catalogue, names::Source};
use crate::{
    access::{Need, Refused},
    quote::{looks_like_a_secret, quote},
};

/// A longer value is cut off in messages, in characters.
const MAX_SHOWN: usize = 200;
/// A longer name is not ours, in bytes.
const MAX_NAME: usize = 64;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable, with its line in `settings.yaml`.
    pub variable: String,
    /// Its value, if the catalogue marks the variable as public.
    pub value: Option<String>,
    /// The mistake.
    pub message: String,
    /// The fix.
    pub fix: String,
    /// Where the value was set.
    source: Option<Box<Source>>,
}

/// All mistakes of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The mistakes, at least one.
    pub problems: Vec<Problem>,
    /// The warnings beside them: an unknown name often explains why another one is missing.
    pub warnings: Vec<Warning>,
}

/// Something that works but that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable or variables.
    pub variable: String,
    /// The text.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
}

/// How much a warning matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warning,
    /// Logins are impossible, on one host at least.
    PreventsLogin,
}

/// The place of a mistake.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A value that is set.
    Set(Source),
    /// A variable that is not set, or a file.
    Other(String),
}

/// The result of a parser of one value: the message and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) fix: String,
    /// The value may be a misplaced secret: it is not quoted, even if the catalogue marks the variable as public.
    pub(super) unquoted: bool,
}

// === impl Complaint ===

impl Complaint {
    pub(super) fn new(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fix: fix.into(),
            unquoted: false,
        }
    }

    /// A complaint of a file or folder that cannot be read. If no right is lacking, the fix is `otherwise`.
    pub(super) fn unreadable(path: &Path, need: Need, error: &io::Error, otherwise: &str) -> Self {
        let refused = Refused::of(path, need, error);
        Self::new(
            refused.reason(),
            refused.remedy().unwrap_or_else(|| otherwise.to_owned()),
        )
    }

    /// A complaint of a value that must not be quoted.
    pub(super) fn unquoted(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            unquoted: true,
            ..Self::new(message, fix)
        }
    }
}

// === impl ConfigError ===

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        for problem in &self.problems {
            write!(f, "\n\n{problem}")?;
        }
        for warning in self
            .warnings
            .iter()
            .filter(|warning| warning.severity != Severity::Info)
        {
            write!(f, "\n\n  warning: {warning}")?;
        }
        Ok(())
    }
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(place: impl Into<Place>, value: Option<String>, complaint: Complaint) -> Self {
        let place = place.into();
        Self {
            variable: place.to_string(),
            value,
            message: complaint.message,
            fix: complaint.fix,
            source: match place {
                Place::Set(source) => Some(Box::new(source)),
                Place::Other(_) => None,
            },
        }
    }

    /// The faulty setting by its name in the catalogue, and where it was set. `None` if the mistake is not one of a
    /// setting.
    #[must_use]
    pub fn setting(&self) -> Option<(String, Option<&Source>)> {
        let written = self
            .source
            .as_ref()
            .map_or(&*self.variable, |source| source.name());
        let name = written.to_ascii_uppercase();
        let known = catalogue::find(&name).or_else(|| catalogue::find(name.strip_suffix("_FILE")?));
        let source = self.source.as_deref();
        match known {
            Some(variable) => Some((variable.name.to_owned(), source)),
            None => source.map(|source| (written.to_owned(), Some(source))),
        }
    }
}

// === impl Place ===

impl From<Source> for Place {
    fn from(source: Source) -> Self {
        Self::Set(source)
    }
}

impl From<&Source> for Place {
    fn from(source: &Source) -> Self {
        Self::Set(source.clone())
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Self::Other(name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(source) => source.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", self.variable)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, "\n    {}\n    fix: {}", self.message, self.fix)
    }
}

// === impl Warning ===

impl Warning {
    pub(super) fn new(variable: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
            message: message.into(),
            severity: Severity::Warning,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// `value` as it may be printed: on one line, bounded, without the credentials that a URL may carry.
pub(super) fn shown(value: &str) -> String {
    quote(value, '"', MAX_SHOWN)
}

/// The name of a variable or key as it may be printed.
pub(super) fn shown_name(name: &str) -> &str {
    plain_name(name).unwrap_or("a name that is not shown")
}

/// `name` if it is one. Other text may be a value in the wrong place.
pub(super) fn plain_name(name: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = name.len() <= MAX_NAME && name.bytes().all(plain);
    (is_name && !name.split('_').any(looks_like_a_secret)).then_some(name)
}
