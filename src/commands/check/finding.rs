//! What the doctor finds: one row of the table each.

use super::super::Exit;
use crate::admin::ServerStatus;

/// What is checked, in the order of the table. The names stand in `--json` and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Check {
    /// Settings, routes, hosts, cookies.
    Configuration,
    /// The signing key and its files.
    Keys,
    /// The server on this machine.
    Server,
    /// Our keys as the IdP fetches them.
    Jwks,
    /// The IdP's metadata.
    Discovery,
    /// Who the IdP says that it is.
    Issuer,
    /// The time here and there.
    Clock,
    /// The client at the IdP.
    Registration,
    /// One for each host.
    RedirectUris,
    /// What is asked for.
    Scopes,
    /// How the client authenticates.
    Method,
    /// What signs assertions.
    Algorithm,
    /// The key that the IdP knows.
    Kid,
    /// Whether the IdP lets the client in.
    Authentication,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Finding {
    /// What was checked.
    pub(in crate::commands) check: Check,
    /// What was found, in one line.
    pub(in crate::commands) what: String,
    /// How it stands.
    pub(in crate::commands) verdict: Verdict,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Verdict {
    /// As it should be.
    Ok,
    /// Nothing can be said; [`Finding::what`] says why.
    Skipped,
    /// Not as it should be.
    Failed {
        /// Why, in one line.
        cause: String,
        /// What to do, in one line.
        fix: String,
        /// What kind of failure it is.
        kind: Kind,
    },
}

/// What a failure means for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Kind {
    /// Something is not as it should be.
    Wrong,
    /// The IdP cannot be reached.
    Unreachable,
    /// Settings or files with which no server would start.
    Configuration,
}

/// All rows.
#[derive(Debug, Default)]
pub(in crate::commands) struct Report {
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// What the running server says of itself, or why it says nothing; `None` where it has no socket.
    pub(super) running: Option<Result<ServerStatus, String>>,
}

// === impl Check ===

impl Check {
    /// All of them.
    pub(super) const ALL: [Self; 14] = [
        Self::Configuration,
        Self::Keys,
        Self::Server,
        Self::Jwks,
        Self::Discovery,
        Self::Issuer,
        Self::Clock,
        Self::Registration,
        Self::RedirectUris,
        Self::Scopes,
        Self::Method,
        Self::Algorithm,
        Self::Kid,
        Self::Authentication,
    ];

    /// All of them, the deepest cause first: what stands below follows from what stands above rather than the other way
    /// round. The table has another order, in which the own side comes first.
    const BY_DEPTH: [Self; 14] = [
        Self::Configuration,
        Self::Keys,
        Self::Discovery,
        Self::Issuer,
        Self::Clock,
        Self::Server,
        Self::Jwks,
        Self::Registration,
        Self::Method,
        Self::Algorithm,
        Self::Kid,
        Self::Scopes,
        Self::RedirectUris,
        Self::Authentication,
    ];

    /// The name in the table and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Keys => "keys",
            Self::Server => "server",
            Self::Jwks => "jwks",
            Self::Discovery => "discovery",
            Self::Issuer => "issuer",
            Self::Clock => "clock",
            Self::Registration => "registration",
            Self::RedirectUris => "redirect_uris",
            Self::Scopes => "scopes",
            Self::Method => "method",
            Self::Algorithm => "algorithm",
            Self::Kid => "kid",
            Self::Authentication => "authentication",
        }
    }
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
    /// It is as it should be.
    pub(super) fn ok(&mut self, check: Check, what: impl Into<String>) {
        self.add(check, what, Verdict::Ok);
    }

    /// Nothing can be said, for the reason that `what` gives.
    pub(super) fn skip(&mut self, check: Check, what: impl Into<String>) {
        self.add(check, what, Verdict::Skipped);
    }

    /// It is not as it should be, even if an earlier look has said that it is.
    pub(super) fn fail(
        &mut self,
        kind: Kind,
        check: Check,
        what: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let verdict = Verdict::Failed {
            cause: cause.into(),
            fix: fix.into(),
            kind,
        };
        self.findings
            .retain(|finding| finding.check != check || finding.verdict != Verdict::Ok);
        self.add(check, what, verdict);
    }

    /// Not as it should be, with cause and fix in one text of ours (`… - hint: …`).
    pub(super) fn fail_with_hint(&mut self, kind: Kind, check: Check, what: impl Into<String>, text: &str) {
        let (cause, fix) = text.split_once(" - hint: ").unwrap_or((text, "see the cause"));
        self.fail(kind, check, what, cause, fix);
    }

    /// Something to know beside the table.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Nothing was found out about any check without a row yet.
    pub(super) fn skip_the_rest(&mut self, why: &str) {
        for check in Check::ALL {
            if !self.findings.iter().any(|finding| finding.check == check) {
                self.skip(check, why);
            }
        }
    }

    fn add(&mut self, check: Check, what: impl Into<String>, verdict: Verdict) {
        self.findings.push(Finding {
            check,
            what: what.into(),
            verdict,
        });
    }

    /// The rows in the order of the checks.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Finding> {
        Check::ALL
            .into_iter()
            .flat_map(|check| self.findings.iter().filter(move |finding| finding.check == check))
    }

    /// What stands beside the table.
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
        self.verdict == other.verdict && self.what == other.what && self.check != other.check
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

    #[test]
    fn a_failure_takes_the_place_of_an_earlier_ok_and_stands_beside_other_failures() {
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
        assert_eq!(rows, Check::ALL);
        assert_eq!(report.rows().next().map(|row| row.what.as_str()), Some("first"));
    }
}
