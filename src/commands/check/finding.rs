//! The doctor's findings: one row of the table each.

pub(in crate::commands) use super::checks::Check;
use super::{super::Exit, text::clean};
use crate::{
    admin::ServerStatus,
    config::{Names, Source},
    diagnostic::{Diagnostic, Explain, Fix},
};

/// The advice if nothing has to be changed.
const BY_ITSELF: &str = "it passes by itself: check again";

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Finding {
    /// The check.
    pub(in crate::commands) check: Check,
    /// The finding, in one line.
    pub(in crate::commands) what: String,
    /// The status.
    pub(in crate::commands) verdict: Verdict,
    /// Why the row would say something else outside of this container.
    pub(super) inside: Option<String>,
    /// The setting whose value is wrong, and where it was set.
    pub(super) faulty: Option<(String, Option<Source>)>,
}

/// The status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Verdict {
    /// As it should be.
    Ok,
    /// No result is possible; [`Finding::what`] gives the reason.
    Skipped,
    /// Not as it should be.
    Failed {
        /// Why, in one line.
        cause: String,
        /// The advice, in one line.
        fix: Fix,
        /// The kind of failure.
        kind: Kind,
    },
}

/// The effect of a failure on the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Kind {
    /// Something is not as it should be.
    Wrong,
    /// The IdP cannot be reached.
    Unreachable,
    /// Settings or files with which no server would start.
    Configuration,
}

/// All rows. Each text can have knobs in it.
#[derive(Debug, Default)]
pub(in crate::commands) struct Report {
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// The names of settings in this process.
    names: Names,
    /// The running server's report about itself, or the reason why there is none; `None` if it has no socket.
    pub(super) running: Option<Result<ServerStatus, String>>,
}

// === impl Verdict ===

impl Verdict {
    /// The word in JSON.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Failed { .. } => "failed",
        }
    }

    /// The mark in the table.
    pub(super) const fn mark(&self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Skipped => '–',
            Self::Failed { .. } => '✗',
        }
    }
}

// === impl Report ===

impl Report {
    /// Says from now on what settings are called here.
    pub(super) fn call_settings(&mut self, names: Names) {
        self.names = names;
    }

    /// The names of settings in this process.
    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// It is as it should be.
    pub(super) fn ok(&mut self, check: Check, what: impl Into<Fix>) {
        self.add(check, what, Verdict::Ok);
    }

    /// No result is possible, for the reason in `what`.
    pub(super) fn skip(&mut self, check: Check, what: impl Into<Fix>) {
        self.add(check, what, Verdict::Skipped);
    }

    /// The check failed, even if an earlier look succeeded.
    pub(super) fn fail(
        &mut self,
        kind: Kind,
        check: Check,
        what: impl Into<Fix>,
        cause: impl Into<Fix>,
        fix: impl Into<Fix>,
    ) {
        let verdict = Verdict::Failed {
            cause: cause.into().in_words(&self.names),
            fix: fix.into(),
            kind,
        };
        self.findings
            .retain(|finding| finding.check != check || finding.verdict != Verdict::Ok);
        self.add(check, what, verdict);
    }

    /// It is not as it should be, for the reason that `error` gives, with what that says to do.
    pub(super) fn explain(
        &mut self,
        kind: Kind,
        check: Check,
        what: impl Into<Fix>,
        error: &(impl Explain + ?Sized),
    ) {
        let fix = error.fix().unwrap_or_else(|| Fix::from(BY_ITSELF));
        // Several mistakes of one file stand in lines of their own.
        let cause = error.to_string().replace('\n', "; ");
        self.fail(kind, check, what, clean(&cause), fix);
    }

    /// The last failure is about the value of `setting`.
    pub(super) fn blame(&mut self, setting: Option<(String, Option<&Source>)>) {
        if let Some(finding) = self.findings.last_mut() {
            finding.faulty = setting.map(|(name, source)| (name, source.cloned()));
        }
    }

    /// A failure of the check harms nobody now, for the reason `why`: no result is left.
    pub(super) fn excuse(&mut self, check: Check, why: &str) {
        for finding in &mut self.findings {
            if finding.check == check && finding.is_failed() {
                finding.verdict = Verdict::Skipped;
                finding.what = format!("{}; {why}", finding.what);
            }
        }
    }

    /// The rows of the check would say something else outside, for the reason `why`.
    pub(super) fn see_from(&mut self, check: Check, why: impl Into<String>) {
        let why = why.into();
        for finding in self.findings.iter_mut().filter(|finding| finding.check == check) {
            finding.inside = Some(why.clone());
        }
    }

    /// A notice beside the table, from another module.
    pub(super) fn note_of(&mut self, warning: &dyn Explain) {
        let note = Diagnostic::of(warning, &self.names).to_string();
        self.note(clean(&note));
    }

    /// A notice beside the table.
    pub(super) fn note(&mut self, note: impl Into<Fix>) {
        self.notes.push(note.into().in_words(&self.names));
    }

    /// Nothing was found out about any check without a row yet.
    pub(super) fn skip_the_rest(&mut self, why: &str) {
        for check in Check::ALL.into_iter().filter(|check| *check != Check::Idps) {
            if !self.findings.iter().any(|finding| finding.check == check) {
                self.skip(check, why.to_owned());
            }
        }
    }

    fn add(&mut self, check: Check, what: impl Into<Fix>, verdict: Verdict) {
        self.findings.push(Finding {
            check,
            what: what.into().in_words(&self.names),
            verdict,
            inside: None,
            faulty: None,
        });
    }

    /// The rows in the order of the checks.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Finding> {
        Check::ALL
            .into_iter()
            .flat_map(|check| self.findings.iter().filter(move |finding| finding.check == check))
    }

    /// How many checks have rows.
    pub(super) fn checks(&self) -> usize {
        let has_rows = |check: &Check| self.findings.iter().any(|finding| finding.check == *check);
        Check::ALL.into_iter().filter(has_rows).count()
    }

    /// The data beside the table.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether it is as it should be.
    pub(super) fn is_ok(&self, check: Check) -> bool {
        let mut rows = self.findings.iter().filter(|finding| finding.check == check);
        rows.any(|finding| finding.verdict == Verdict::Ok)
    }

    /// Whether one of these has failed; of several the deepest cause.
    pub(super) fn failed(&self, checks: &[Check]) -> Option<&Finding> {
        let mut by_depth = Check::BY_DEPTH.into_iter().filter(|check| checks.contains(check));
        by_depth.find_map(|check| {
            let mut failed = self.findings.iter().filter(|finding| finding.is_failed());
            failed.find(|finding| finding.check == check)
        })
    }

    /// The exit code: 64 for settings and files, 69 for an IdP that cannot be reached, 1 for any other ✗.
    pub(super) fn exit(&self) -> Exit {
        let has = |wanted: Kind| {
            self.findings
                .iter()
                .any(|finding| matches!(&finding.verdict, Verdict::Failed { kind, .. } if *kind == wanted))
        };
        if has(Kind::Configuration) {
            Exit::Configuration
        } else if has(Kind::Unreachable) {
            Exit::Unreachable
        } else if has(Kind::Wrong) {
            Exit::Unhealthy
        } else {
            Exit::Success
        }
    }
}

// === impl Finding ===

impl Finding {
    /// Whether it is a ✗.
    pub(super) const fn is_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { .. })
    }

    /// Whether both say the same of different checks.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.verdict == other.verdict
            && self.what == other.what
            && self.inside == other.inside
            && self.check != other.check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let mut report = Report::default();
        report.ok(Check::Keys, "");
        report.skip(Check::Server, "");
        assert_eq!(report.exit(), Exit::Success);
        for (kind, exit) in [
            (Kind::Wrong, Exit::Unhealthy),
            (Kind::Unreachable, Exit::Unreachable),
            (Kind::Configuration, Exit::Configuration),
            (Kind::Wrong, Exit::Configuration),
        ] {
            report.fail(kind, Check::Clock, "", "", "");
            assert_eq!(report.exit(), exit);
        }
    }

    /// It stands beside other failures.
    #[test]
    fn a_failure_replaces_an_earlier_ok() {
        let mut report = Report::default();
        report.ok(Check::Scopes, "as listed");
        report.ok(Check::Method, "as listed");
        report.fail(Kind::Wrong, Check::Scopes, "refused", "", "");
        report.fail(Kind::Wrong, Check::Scopes, "another", "", "");
        let rows: Vec<_> = report.rows().map(|row| row.what.as_str()).collect();
        assert_eq!(rows, ["refused", "another", "as listed"]);
    }

    #[test]
    fn of_several_failures_the_deepest_is_named() {
        for check in Check::ALL {
            assert!(Check::BY_DEPTH.contains(&check), "{check:?}");
        }
        for (deep, shallow) in [
            (Check::Discovery, Check::Jwks),
            (Check::Clock, Check::Jwks),
            (Check::Keys, Check::Discovery),
            (Check::Jwks, Check::Registration),
            (Check::Registration, Check::Scopes),
            (Check::Method, Check::RedirectUris),
            (Check::Kid, Check::Authentication),
        ] {
            let mut report = Report::default();
            report.fail(Kind::Wrong, shallow, "", "", "");
            report.ok(Check::Configuration, "");
            report.fail(Kind::Wrong, deep, "", "", "");
            let named = |checks: &[Check]| report.failed(checks).map(|row| row.check);
            assert_eq!(named(&Check::ALL), Some(deep));
            assert_eq!(named(&[shallow]), Some(shallow));
            assert_eq!(named(&[Check::Server]), None);
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_the_checks_and_none_is_left_out() {
        let mut report = Report::default();
        report.ok(Check::Clock, "second");
        report.ok(Check::Configuration, "first");
        report.skip_the_rest("why");
        let rows: Vec<_> = report.rows().map(|row| row.check).collect();
        assert_eq!(rows, Check::ALL[..14]);
        assert_eq!(report.checks(), 14);
        report.ok(Check::Idps, "there");
        assert_eq!(report.checks(), 15);
        assert_eq!(report.rows().next().map(|row| row.what.as_str()), Some("first"));
    }
}
