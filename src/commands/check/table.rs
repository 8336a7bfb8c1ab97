//! The report for a person, and for a program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    finding::{Check, Finding, Report, Verdict},
    running,
    terminal::Terminal,
    text::{clean, wrapped},
};
use crate::{
    config::{Names, Source},
    diagnostic::Fix,
};

/// The version of the `--json` output: it increases when a member changes its meaning or disappears.
const FORMAT: u32 = 1;
/// The widest name of a check, in characters.
const NAMES: usize = 14;

/// The table, with the advice at the end.
pub(super) fn table(report: &Report, terminal: &Terminal) -> String {
    let mut out = String::new();
    let mut last = None;
    let mut rows = report.rows().peekable();
    while let Some(finding) = rows.next() {
        let mut name = if last == Some(finding.check) {
            String::new()
        } else {
            finding.check.name().to_owned()
        };
        last = Some(finding.check);
        // Checks skipped for the same reason share one line.
        while let Some(next) = rows.next_if(|next| next.verdict == Verdict::Skipped && next.is_like(finding))
        {
            name = format!("{name}, {}", next.check.name());
        }
        row(&mut out, terminal, &name, finding, report.names());
    }
    match &report.running {
        Some(Ok(status)) => {
            out.push_str(&running::lines(status, terminal.width));
            out.push('\n');
        }
        Some(Err(error)) => {
            out.push('\n');
            out.push_str(&wrapped(
                terminal.width,
                "  the running server cannot be asked: ",
                error,
            ));
            out.push('\n');
        }
        None => {}
    }
    for note in report.notes() {
        out.push('\n');
        out.push_str(&wrapped(terminal.width, "  note: ", note));
    }
    if !report.notes().is_empty() {
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&wrapped(terminal.width, "  ", &verdict(report)));
    out
}

fn row(out: &mut String, terminal: &Terminal, name: &str, finding: &Finding, names: &Names) {
    let mark = finding.verdict.mark();
    let first = format!("  {mark} {name:<NAMES$}  ");
    let text = if name.len() > NAMES {
        wrapped(
            terminal.width,
            &format!("  {mark} "),
            &format!("{name}: {}", finding.what),
        )
    } else {
        wrapped(terminal.width, &first, &finding.what)
    };
    // After wrapping, which counts characters: a colour has no width. The mark is the first of its kind in the row.
    let text = text.replacen(mark, &terminal.coloured(&finding.verdict), 1);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
    let indent = " ".repeat(first.chars().count());
    if let Verdict::Failed { cause, fix, .. } = &finding.verdict {
        let _ = writeln!(
            out,
            "{}",
            wrapped(terminal.width, &format!("{indent}cause: "), cause)
        );
        let fix = clean(&fix.in_words(names));
        let _ = writeln!(
            out,
            "{}",
            wrapped(terminal.width, &format!("{indent}fix:   "), &fix)
        );
    }
    if let Some(why) = &finding.inside {
        let _ = writeln!(
            out,
            "{}",
            wrapped(terminal.width, &format!("{indent}view:  "), &clean(why))
        );
    }
}

/// The last line: the summary for a tired person.
fn verdict(report: &Report) -> String {
    let mut failed: Vec<&str> = Vec::new();
    for finding in report.rows().filter(|finding| finding.is_failed()) {
        if !failed.contains(&finding.check.name()) {
            failed.push(finding.check.name());
        }
    }
    let all = report.checks();
    let skipped = report
        .rows()
        .filter(|finding| finding.verdict == Verdict::Skipped)
        .count();
    match failed.as_slice() {
        [] if skipped == 0 => "All is as it should be.".to_owned(),
        [] => format!("Nothing is wrong with what could be checked; {skipped} of {all} could not (–)."),
        [one] => format!("1 of {all} checks failed: {one}. Fix it and check again."),
        [first, ..] => format!(
            "{} of {all} checks failed: {}. Begin with {}: the others often follow from it.",
            failed.len(),
            failed.join(", "),
            report.failed(&Check::ALL).map_or(*first, |row| row.check.name())
        ),
    }
}

/// The report as JSON; `docs/doctor.md` describes it.
pub(super) fn json(report: &Report) -> Value {
    let (exit, names) = (report.exit(), report.names());
    let findings = report.rows().map(|finding| {
        let mut row = json!({
            "check": finding.check.name(),
            "status": finding.verdict.word(),
            "what": finding.what,
        });
        if let (Verdict::Failed { cause, fix, .. }, Some(row)) = (&finding.verdict, row.as_object_mut()) {
            row.insert("cause".to_owned(), json!(cause));
            row.insert("fix".to_owned(), json!(clean(&fix.in_words(names))));
            row.insert("settings".to_owned(), settings(finding, fix, names));
        }
        if let (Some(why), Some(row)) = (&finding.inside, row.as_object_mut()) {
            row.insert("view".to_owned(), json!(why));
        }
        row
    });
    json!({
        "format": FORMAT,
        "ok": exit == super::Exit::Success,
        "exit_code": exit as u8,
        "findings": findings.collect::<Vec<_>>(),
        "notes": report.notes(),
        "server": report.running.as_ref().and_then(|running| running.as_ref().ok()),
    })
}

/// The settings of a failure, and where each was set: the faulty one first, then those that the fix names. Without
/// their values.
fn settings(finding: &Finding, fix: &Fix, names: &Names) -> Value {
    let faulty = finding.faulty.as_ref();
    let first = faulty.map(|(name, source)| setting(name, source.as_ref(), true));
    let others = fix
        .knobs()
        .into_iter()
        .filter_map(|knob| names.variable(knob))
        .filter(|(name, _)| faulty.is_none_or(|(faulty, _)| faulty != name));
    let others = others.map(|(name, source)| setting(name, source, false));
    first.into_iter().chain(others).collect()
}

fn setting(name: &str, source: Option<&Source>, is_faulty: bool) -> Value {
    let set = source.map(|source| match source {
        Source::Environment(_) => "environment".to_owned(),
        Source::Settings { line, .. } => format!("settings.yaml line {line}"),
    });
    json!({"name": name, "set": set, "faulty": is_faulty})
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Kind, *};

    fn report() -> Report {
        let mut report = Report::default();
        report.ok(Check::Configuration, "consistent");
        report.skip(Check::Server, "not running");
        report.skip(Check::Jwks, "why not");
        report.skip(Check::Discovery, "why not");
        report.fail(
            Kind::Wrong,
            Check::RedirectUris,
            "https://a.example/auth/callback is not registered",
            "why",
            "do this",
        );
        report.fail(Kind::Wrong, Check::RedirectUris, "another", "why", "do that");
        report.note("something");
        report.see_from(Check::Server, "asked inside this container");
        report
    }

    #[test]
    fn each_failure_has_its_cause_and_its_fix_below_it() {
        let table = table(&report(), &Terminal::default());
        let expected = "  \
            ✓ configuration   consistent\n  \
            – server          not running\n                    \
            view:  asked inside this container\n  \
            – jwks, discovery: why not\n  \
            ✗ redirect_uris   https://a.example/auth/callback is not registered\n                    \
            cause: why\n                    \
            fix:   do this\n  \
            ✗                 another\n                    \
            cause: why\n                    \
            fix:   do that\n\n  \
            note: something\n\n  \
            1 of 5 checks failed: redirect_uris. Fix it and check again.";
        assert_eq!(table, expected);
    }

    /// The table fits into a narrow terminal.
    #[test]
    fn only_marks_are_coloured() {
        let terminal = Terminal {
            width: 60,
            colours: true,
        };
        let mut report = report();
        report.fail(
            Kind::Wrong,
            Check::Kid,
            "word – ".repeat(20),
            "word ".repeat(20),
            "word ".repeat(20),
        );
        let coloured = table(&report, &terminal);
        assert!(
            coloured.contains("  \u{1b}[31m✗\u{1b}[0m redirect_uris   https"),
            "{coloured}"
        );
        assert!(
            coloured.contains("  \u{1b}[2m–\u{1b}[0m server          not running"),
            "{coloured}"
        );
        let plain = table(
            &report,
            &Terminal {
                width: 60,
                colours: false,
            },
        );
        let mut stripped = coloured.clone();
        for code in ["\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain, "the lines break at the same places");
        assert_eq!(
            coloured.matches("\u{1b}[0m").count(),
            5,
            "three of ✗ and two of –: {coloured}"
        );
        for line in plain.lines() {
            assert!(line.chars().count() <= 60 || line.contains("https://"), "{line}");
        }
    }

    #[test]
    fn what_could_not_be_checked_is_not_said_to_be_well() {
        let mut report = Report::default();
        report.ok(Check::Keys, "");
        assert!(table(&report, &Terminal::default()).ends_with("All is as it should be."));
        report.skip(Check::Jwks, "");
        assert!(
            table(&report, &Terminal::default())
                .ends_with("Nothing is wrong with what could be checked; 1 of 2 could not (–).")
        );
    }

    #[test]
    fn names_fit_their_column() {
        for check in Check::ALL {
            assert!(check.name().len() <= NAMES, "{}", check.name());
        }
    }

    #[test]
    fn json_says_the_same() {
        let json = json(&report());
        assert_eq!(json["format"], 1);
        assert_eq!(json["ok"], false);
        assert_eq!(json["exit_code"], 1);
        assert_eq!(
            json["findings"][4],
            json!({
                "check": "redirect_uris",
                "status": "failed",
                "what": "https://a.example/auth/callback is not registered",
                "cause": "why",
                "fix": "do this",
                "settings": [],
            })
        );
        assert_eq!(json["findings"][0]["status"], "ok");
        assert_eq!(json["findings"][1]["status"], "skipped");
        assert_eq!(json["notes"], json!(["something"]));
    }
}
