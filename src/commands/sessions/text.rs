//! Answers of the server as a person reads them.

use std::fmt::Write as _;

use crate::admin::{Counted, Entry, Page, Statistics};

const UNKNOWN: &str = "-";

pub(super) fn list(page: &Page) -> String {
    if page.sessions.is_empty() {
        return "no sessions".to_owned();
    }
    let heads = [
        "REF",
        "USER",
        "BROWSER",
        "NETWORK",
        "SINCE",
        "LAST SEEN",
        "EXPIRES",
    ]
    .map(str::to_owned);
    let mut rows = vec![heads];
    rows.extend(page.sessions.iter().map(|entry| {
        [
            &entry.r#ref,
            &entry.user,
            known(entry.device.browser.as_ref()),
            known(entry.device.network.as_ref()),
            &entry.since,
            &entry.last_seen,
            &entry.expires_at,
        ]
        .map(printable)
    }));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    if page.more {
        text.push_str("and more: name a --user or a --sid\n");
    }
    text
}

pub(super) fn one(page: &Page) -> String {
    page.sessions.iter().map(lines).collect()
}

fn lines(entry: &Entry) -> String {
    let unknown = &UNKNOWN.to_owned();
    let refreshable = if entry.refreshable { "yes" } else { "no" }.to_owned();
    [
        ("ref", &entry.r#ref),
        ("user", &entry.user),
        ("sid", entry.sid.as_ref().unwrap_or(unknown)),
        ("browser", entry.device.browser.as_ref().unwrap_or(unknown)),
        ("network", entry.device.network.as_ref().unwrap_or(unknown)),
        ("host", entry.device.host.as_ref().unwrap_or(unknown)),
        ("since", &entry.since),
        ("last seen", &entry.last_seen),
        ("expires", &entry.expires_at),
        ("scope", &entry.scope),
        ("tokens of", &entry.refreshed_at),
        ("token expires", &entry.token_expires_at),
        ("refreshable", &refreshable),
    ]
    .map(|(name, value)| format!("{name:13}  {}\n", printable(value)))
    .concat()
}

pub(super) fn ended(count: usize) -> String {
    match count {
        1 => "1 session has ended".to_owned(),
        count => format!("{count} sessions have ended"),
    }
}

pub(super) fn statistics(statistics: &Statistics) -> String {
    let mut text = format!(
        "sessions  {}\nmemory    {} bytes for sessions\n\nsince the start of this server:",
        statistics.sessions, statistics.memory
    );
    for (series, counted) in &statistics.counted {
        let value = match counted {
            // Events that have not happened are left out.
            Counted::Count(0) | Counted::Times { count: 0, .. } | Counted::Last(None) => continue,
            Counted::Last(Some(time)) => time.clone(),
            Counted::Count(count) => count.to_string(),
            Counted::Times {
                count,
                seconds,
                longest,
            } => format!("{count} times, {seconds:.3} s in all, {longest:.3} s the longest"),
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {series}  {value}");
    }
    text
}

fn known(text: Option<&String>) -> &str {
    text.map_or(UNKNOWN, String::as_str)
}

/// Foreign text must not control a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Device;

    fn entry() -> Entry {
        Entry {
            r#ref: "-Y0u".to_owned(),
            user: "u-\u{1b}[2Jada".to_owned(),
            sid: None,
            device: Device::default(),
            since: "2027-01-15T08:00:00Z".to_owned(),
            last_seen: "2027-01-15T08:01:00Z".to_owned(),
            expires_at: "2027-01-15T09:01:00Z".to_owned(),
            refreshed_at: "2027-01-15T08:00:00Z".to_owned(),
            token_expires_at: "2027-01-15T08:05:00Z".to_owned(),
            refreshable: true,
            scope: "openid".to_owned(),
        }
    }

    #[test]
    fn a_list_is_a_table_that_steers_no_terminal() {
        let page = Page {
            sessions: vec![entry()],
            more: true,
        };
        let text = list(&page);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "REF   USER       BROWSER  NETWORK  SINCE                 LAST SEEN             EXPIRES",
                "-Y0u  u-\u{fffd}[2Jada  -        -        2027-01-15T08:00:00Z  2027-01-15T08:01:00Z  2027-01-15T09:01:00Z",
                "and more: name a --user or a --sid",
            ]
        );
        let none = Page {
            sessions: Vec::new(),
            more: false,
        };
        assert_eq!(list(&none), "no sessions");
        assert!(one(&page).contains("refreshable    yes\n"));
        assert!(!one(&page).contains('\u{1b}'));
    }

    #[test]
    fn tables_are_as_reviewed() {
        let named = Entry {
            user: "u-ada".to_owned(),
            sid: Some("s-1".to_owned()),
            device: Device {
                browser: Some("Firefox on Linux".to_owned()),
                network: Some("198.51.100.0/24".to_owned()),
                ..Device::default()
            },
            ..entry()
        };
        let page = Page {
            sessions: vec![named, entry()],
            more: true,
        };
        insta::assert_snapshot!("sessions_list", list(&page));
        insta::assert_snapshot!("sessions_show", one(&page));
        let counted = [
            ("sessions.opened", Counted::Count(3)),
            ("sessions.ended{reason=idle}", Counted::Count(0)),
            (
                "store.get",
                Counted::Times {
                    count: 12,
                    seconds: 0.25,
                    longest: 0.125,
                },
            ),
        ];
        let stats = Statistics {
            sessions: 2,
            memory: 4_096,
            counted: counted.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        insta::assert_snapshot!("sessions_stats", statistics(&stats));
    }

    #[test]
    fn one_session_and_many_are_told_in_words() {
        assert_eq!(ended(0), "0 sessions have ended");
        assert_eq!(ended(1), "1 session has ended");
    }
}
