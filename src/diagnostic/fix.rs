//! Advice: a sentence with knobs in it.

use std::borrow::Cow;

use super::{
    Knob,
    words::{Words, of_log},
};

/// Advice: an imperative in lower case without a full stop, with typed knobs in it. Made by `fix!`.
///
/// It has no `Display`: printing it requires the [`Words`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Fix(Vec<Part>);

/// A piece of a [`Fix`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words of ours, or a value.
    Text(Cow<'static, str>),
    /// Something that a person can change.
    Knob(Knob),
    /// A knob, and what to set it to.
    Setting(Setting),
    /// Another fix.
    Fix(Fix),
}

/// A knob, and what to set it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The setting to set.
    pub knob: Knob,
    /// To what.
    pub value: Cow<'static, str>,
}

/// A [`Fix`] of a text with a part for each `{}` in it; how many there are is checked when it is compiled.
macro_rules! fix {
    ($text:literal $(, $part:expr)* $(,)?) => {{
        const PARTS: &[&str] = &[$(stringify!($part)),*];
        const { assert!($crate::diagnostic::holes($text) == PARTS.len()) };
        $crate::diagnostic::Fix::of($text, [$($crate::diagnostic::Part::from($part)),*])
    }};
}
pub(crate) use fix;

/// How often `{}` stands in `text`.
#[doc(hidden)]
#[must_use]
pub const fn holes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (1, 0);
    while at < bytes.len() {
        if bytes[at - 1] == b'{' && bytes[at] == b'}' {
            found += 1;
        }
        at += 1;
    }
    found
}

// === impl Fix ===

impl Fix {
    /// The text, with a part for each `{}`. Of `fix!`, which counts them.
    pub fn of(text: &'static str, parts: impl IntoIterator<Item = Part>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = Vec::new();
        for (index, words) in text.split("{}").enumerate() {
            if index > 0 {
                match parts.next() {
                    Some(Part::Fix(Self(more))) => all.extend(more),
                    part => all.extend(part),
                }
            }
            if !words.is_empty() {
                all.push(Part::Text(Cow::Borrowed(words)));
            }
        }
        Self(all)
    }

    /// The knobs in it, each once, in their order.
    #[must_use]
    pub fn knobs(&self) -> Vec<Knob> {
        let mut knobs = Vec::new();
        for part in &self.0 {
            let knob = match part {
                Part::Knob(knob) | Part::Setting(Setting { knob, .. }) => *knob,
                Part::Text(_) => continue,
                Part::Fix(fix) => {
                    knobs.extend(fix.knobs());
                    continue;
                }
            };
            if !knobs.contains(&knob) {
                knobs.push(knob);
            }
        }
        knobs
    }

    /// The sentence for the log, in the words that belong to it.
    #[must_use]
    pub fn told(&self) -> String {
        of_log(|words| self.in_words(words))
    }

    /// The sentence in these words.
    #[must_use]
    pub fn in_words(&self, words: &dyn Words) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Knob(knob) => text.push_str(&words.name(*knob)),
                Part::Setting(Setting { knob, value }) => text.push_str(&words.setting(*knob, value)),
                Part::Fix(fix) => text.push_str(&fix.in_words(words)),
            }
        }
        text
    }
}

impl From<&'static str> for Fix {
    fn from(text: &'static str) -> Self {
        Self(vec![Part::from(text)])
    }
}

impl From<String> for Fix {
    fn from(text: String) -> Self {
        Self(vec![Part::from(text)])
    }
}

// === impl Part ===

impl From<&'static str> for Part {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Knob> for Part {
    fn from(knob: Knob) -> Self {
        Self::Knob(knob)
    }
}

impl From<Setting> for Part {
    fn from(setting: Setting) -> Self {
        Self::Setting(setting)
    }
}

impl From<Fix> for Part {
    fn from(fix: Fix) -> Self {
        Self::Fix(fix)
    }
}
