//! Medians, spreads, ratios and gates, as a table.

use std::fmt;

use super::{Result, say};

/// Several measurements of one thing, in microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

/// A limit.
pub(super) struct Gate {
    what: String,
    measured: f64,
    limit: Limit,
}

/// Where it ends.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

// === impl Samples ===

impl Samples {
    /// Adds one.
    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one.
    pub(super) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The smallest and the largest.
    pub(super) fn spread(&self) -> (f64, f64) {
        (
            self.0.first().copied().unwrap_or(f64::NAN),
            self.0.last().copied().unwrap_or(f64::NAN),
        )
    }
}

// === impl Limit ===

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit:.2}"),
            Self::AtLeast(limit) => write!(f, "at least {limit:.2}"),
        }
    }
}

// === impl Gate ===

impl Gate {
    /// `measured` must not be above `limit`.
    pub(super) fn new(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            measured,
            limit: Limit::AtMost(limit),
        }
    }

    /// `measured` must not be below `limit`.
    pub(super) fn at_least(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            measured,
            limit: Limit::AtLeast(limit),
        }
    }

    /// Whether one of its cases was not measured.
    pub(super) const fn is_unknown(&self) -> bool {
        self.measured.is_nan()
    }

    fn holds(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.measured <= limit,
            Limit::AtLeast(limit) => self.measured >= limit,
        }
    }
}

/// Prints the cases, as Markdown.
pub(super) fn print_cases(names: &[&str], samples: &[Samples]) {
    say("\n| case | CPU µs per request (median) | smallest | largest |\n| --- | ---: | ---: | ---: |");
    for (name, samples) in names.iter().zip(samples) {
        let (smallest, largest) = samples.spread();
        say(&format!(
            "| {name} | {:.1} | {smallest:.1} | {largest:.1} |",
            samples.median()
        ));
    }
}

/// Prints the gates; an error if one does not hold.
pub(super) fn check(gates: &[Gate]) -> Result<()> {
    say("\n| gate | measured | limit | |\n| --- | ---: | ---: | --- |");
    for gate in gates {
        let word = if gate.holds() { "holds" } else { "FAILS" };
        say(&format!(
            "| {} | {:.2} | {} | {word} |",
            gate.what, gate.measured, gate.limit
        ));
    }
    if gates.iter().all(Gate::holds) {
        Ok(())
    } else {
        Err("a gate does not hold".into())
    }
}
