//! What is told to the operator: mistakes, all at once, and warnings.

use std::fmt;

/// A longer value is cut off in messages, in characters.
const MAX_SHOWN: usize = 200;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable, with the line where it stands in `settings.yaml`.
    pub variable: String,
    /// Its value, never that of a secret.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: String,
}

/// All mistakes of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The mistakes, at least one.
    pub problems: Vec<Problem>,
    /// What was noticed beside them: a name that nobody knows often explains why another one is missing.
    pub warnings: Vec<Warning>,
}

/// Something that works but that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable or variables.
    pub variable: String,
    /// What to know.
    pub message: String,
}

/// What a parser of one value says: the message and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) fix: String,
}

// === impl Complaint ===

impl Complaint {
    pub(super) fn new(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fix: fix.into(),
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
        for warning in &self.warnings {
            write!(f, "\n\n  warning: {warning}")?;
        }
        Ok(())
    }
}

// === impl Problem ===

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
    let mut text = String::new();
    for (index, part) in value.split("://").enumerate() {
        if index > 0 {
            text.push_str("://");
        }
        // Everything before an `@` may be a password, wherever a sloppy parser would end the host.
        match part.rfind('@') {
            Some(at) if index > 0 => {
                text.push('…');
                text.push_str(&part[at..]);
            }
            _ => text.push_str(part),
        }
    }
    let mut escaped: String = text.escape_debug().take(MAX_SHOWN).collect();
    if text.chars().count() > MAX_SHOWN {
        escaped.push('…');
    }
    format!("\"{escaped}\"")
}
