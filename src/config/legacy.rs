//! Names of the original system that this server does not have, and the treatment of each.
//!
//! A name with the same meaning as one of ours is an alias in the catalogue. The others are in two tables, of
//! variables and of keys of `settings.yaml`, from which a chapter of `docs/configuration.md` is generated.

mod keys;
mod variables;

use std::fmt;

use super::problem::{Complaint, Severity};

pub(super) use self::{keys::KEYS, variables::VARIABLES};

/// One name, or, with a `*` at its end, all names with this prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legacy {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
}

/// The treatment of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// Accepted without an effect, for this reason.
    Ignored(&'static str),
    /// The same; with these values it is worth a warning.
    Missed {
        values: &'static [&'static str],
        reason: &'static str,
    },
    /// The same, only for these values, in any case of letters. Others are refused, with this fix.
    Only {
        values: &'static [&'static str],
        reason: &'static str,
        fix: &'static str,
    },
    /// Refused, and this is to be done instead.
    Refused(&'static str),
    /// Refused, because this is not built yet.
    NotBuilt(&'static str),
    /// The same, but only these values are accepted without an effect.
    NotBuiltBut {
        values: &'static [&'static str],
        meaning: &'static str,
    },
    /// Another name of this variable of ours.
    Means(&'static str),
    /// Another way to set this variable of ours; maps its values.
    Sets(&'static str, &'static [(&'static str, &'static str)]),
    /// Its entries are added to those of these lists of ours.
    AddsTo(&'static [&'static str]),
}

/// The effect of a value of a legacy name.
pub(super) enum Effect {
    /// None, except for a line.
    Line(Severity, String),
    /// A mistake.
    Mistake(Complaint),
    /// The variable has this value.
    Value(&'static str, String),
    /// These lists get these entries too.
    Entries(&'static [&'static str]),
}

/// The variable `name` of the original system.
pub(super) fn variable(name: &str) -> Option<&'static Legacy> {
    find(VARIABLES, name)
}

/// The key `name` of its `settings.yaml`, parts joined by dots; flat keys are names of variables in lower case.
pub(super) fn key(name: &str) -> Option<&'static Legacy> {
    find(KEYS, name).or_else(|| variable(&name.to_ascii_uppercase()))
}

/// Whether keys exist below `name`.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|known| {
        known
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
            || known
                .name
                .strip_suffix('*')
                .is_some_and(|start| name.starts_with(start))
    })
}

fn find(table: &'static [Legacy], name: &str) -> Option<&'static Legacy> {
    table.iter().find(|known| match known.name.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => known.name == name,
    })
}

/// `LOG_FORMAT` in the words of the original system, as a variable and as a key.
const JSON_FORMAT: Verdict = Verdict::Sets(
    "LOG_FORMAT",
    &[
        ("true", "json"),
        ("1", "json"),
        ("false", "pretty"),
        ("0", "pretty"),
    ],
);

// === impl Legacy ===

impl Legacy {
    /// The effect of `text` as the value of this name. It is never quoted.
    pub(super) fn effect(&self, text: &str) -> Effect {
        let is_one_of = |values: &[&str]| values.iter().any(|value| value.eq_ignore_ascii_case(text));
        match self.verdict {
            Verdict::Ignored(reason) => ignored(reason),
            Verdict::Missed { values, reason } => {
                let severity = if is_one_of(values) {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                Effect::Line(severity, format!("has no effect: {reason}"))
            }
            Verdict::Only { values, reason, .. } if is_one_of(values) => ignored(reason),
            Verdict::Only { fix, .. } => refused("asks for what this server does not do", fix),
            Verdict::Refused(fix) => refused("has no meaning here", fix),
            Verdict::NotBuiltBut { values, .. } if is_one_of(values) => {
                ignored("it is what this server does")
            }
            Verdict::NotBuilt(meaning) | Verdict::NotBuiltBut { meaning, .. } => refused(
                &format!("is not built yet ({meaning})"),
                "remove it until a later version has it",
            ),
            Verdict::Means(variable) => Effect::Value(variable, text.to_owned()),
            Verdict::Sets(variable, words) => {
                match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
                    Some((_, "")) => ignored("it is what this server does"),
                    Some((_, value)) => Effect::Value(variable, (*value).to_owned()),
                    None => refused(
                        "is neither true nor false",
                        &format!("remove it, or set {variable}"),
                    ),
                }
            }
            Verdict::AddsTo(lists) => Effect::Entries(lists),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: &[&str]| {
            words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Self::Ignored(reason) => write!(f, "ignored: {reason}"),
            Self::Missed { values, reason } => {
                write!(f, "ignored, with a warning at {}: {reason}", list(values))
            }
            Self::Only { values, reason, fix } => {
                write!(
                    f,
                    "{} ignored: {reason}; anything else refused: {fix}",
                    list(values)
                )
            }
            Self::Refused(fix) => write!(f, "refused: {fix}"),
            Self::NotBuilt(meaning) => write!(f, "refused: not built yet ({meaning})"),
            Self::NotBuiltBut { values, meaning } => {
                write!(
                    f,
                    "{} ignored; anything else refused: not built yet ({meaning})",
                    list(values)
                )
            }
            Self::Means(variable) => write!(f, "`{variable}`"),
            Self::Sets(variable, words) => {
                let words = words.iter().map(|(word, value)| match *value {
                    "" => format!("`{word}` ignored"),
                    value => format!("`{word}` is `{variable}={value}`"),
                });
                f.write_str(&words.collect::<Vec<_>>().join(", "))
            }
            Self::AddsTo(lists) => write!(f, "added to {}", list(lists)),
        }
    }
}

fn ignored(reason: &str) -> Effect {
    Effect::Line(Severity::Info, format!("has no effect: {reason}"))
}

fn refused(message: &str, fix: &str) -> Effect {
    Effect::Mistake(Complaint::unquoted(message, fix))
}

#[cfg(test)]
mod tests {
    use super::{super::catalogue, *};

    #[test]
    fn no_legacy_name_is_one_of_ours_and_all_targets_are() {
        for legacy in VARIABLES.iter().chain(KEYS) {
            assert!(catalogue::find(legacy.name).is_none(), "{}", legacy.name);
            let targets: &[&str] = match &legacy.verdict {
                Verdict::Means(target) | Verdict::Sets(target, _) => &[target],
                Verdict::AddsTo(targets) => targets,
                _ => &[],
            };
            for target in targets {
                assert!(catalogue::find(target).is_some(), "{target}");
            }
        }
        for table in [VARIABLES, KEYS] {
            for (index, legacy) in table.iter().enumerate() {
                let other = table.iter().position(|known| known.name == legacy.name);
                assert_eq!(other, Some(index), "{} stands there twice", legacy.name);
            }
        }
    }

    #[test]
    fn sections_are_known() {
        for name in ["auth", "cors", "log", "kafka", "services", "services.crud"] {
            assert!(is_section(name), "{name}");
        }
        for name in ["port", "au", "auth.issuer", "authx"] {
            assert!(!is_section(name), "{name}");
        }
    }
}
