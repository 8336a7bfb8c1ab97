//! The terminal: its width, and whether it shows colours.

use std::{ffi::OsStr, io::IsTerminal as _};

use super::finding::Verdict;
use crate::config::Environment;

/// The width of everything that is not a terminal, or does not say how wide it is, in characters.
const WIDTH: usize = 100;
/// Narrower, and a row is all breaks.
const NARROWEST: usize = 60;
/// On wider lines, readers lose the next line.
const WIDEST: usize = 120;

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// In characters.
    pub(super) width: usize,
    /// Whether marks have colours.
    pub(super) colours: bool,
}

// === impl Terminal ===

impl Terminal {
    /// Standard output.
    pub(super) fn of_process() -> Self {
        if std::io::stdout().is_terminal() {
            Self::of_terminal(&Environment::of_process())
        } else {
            Self::default()
        }
    }

    /// A terminal, as the environment describes it.
    fn of_terminal(environment: &Environment) -> Self {
        let columns = environment.get("COLUMNS").and_then(OsStr::to_str);
        let columns = columns.and_then(|columns| columns.trim().parse::<usize>().ok());
        // <https://no-color.org>: any value counts, unless it is empty.
        let unwanted = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = environment.get("TERM").is_some_and(|value| value == "dumb");
        Self {
            width: columns.map_or(WIDTH, |columns| columns.clamp(NARROWEST, WIDEST)),
            colours: !unwanted && !dumb,
        }
    }

    /// The coloured mark: failures stand out, and neutral rows recede.
    pub(super) fn coloured(&self, verdict: &Verdict) -> String {
        let mark = verdict.mark();
        match verdict {
            Verdict::Failed { .. } if self.colours => format!("\u{1b}[31m{mark}\u{1b}[0m"),
            Verdict::Skipped if self.colours => format!("\u{1b}[2m{mark}\u{1b}[0m"),
            _ => mark.to_string(),
        }
    }
}

impl Default for Terminal {
    /// A pipe or a file.
    fn default() -> Self {
        Self {
            width: WIDTH,
            colours: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Terminal {
        Terminal::of_terminal(&variables.iter().copied().collect())
    }

    #[test]
    fn a_terminal_is_as_wide_as_it_says_within_reason() {
        for (columns, width) in [("80", 80), ("20", 60), ("300", 120), ("many", 100), ("", 100)] {
            assert_eq!(of(&[("COLUMNS", columns)]).width, width, "{columns}");
        }
        assert_eq!(of(&[]).width, 100);
    }

    #[test]
    fn colours_can_be_declined() {
        assert!(of(&[("TERM", "xterm")]).colours);
        assert!(of(&[("NO_COLOR", "")]).colours, "an empty value means nothing");
        assert!(!of(&[("NO_COLOR", "1")]).colours);
        assert!(!of(&[("NO_COLOR", "0")]).colours, "any value means no");
        assert!(!of(&[("TERM", "dumb")]).colours);
        assert!(!Terminal::default().colours);
    }
}
