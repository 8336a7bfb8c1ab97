//! The data that only the running server has, read through the operator's socket.

use std::{fmt::Write as _, path::Path, time::Duration};

use super::{
    super::ask::{AskError, ask},
    text::{clean, wrapped},
};
use crate::{
    admin::{ServerStatus, Warned},
    config::{Config, Names},
    diagnostic::Diagnostic,
};

/// A server that does not answer within this long is told as one that does not.
const PATIENCE: Duration = Duration::from_secs(3);

/// As many warnings are shown; `--json` has all of them.
const SHOWN: usize = 5;

/// Asks the server that listens on `socket`. The error says why there is no answer, and what to do.
pub(super) async fn status(socket: &Path, names: &Names) -> Result<ServerStatus, String> {
    let socket = socket.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let body = ask(&socket, "GET", "/status", PATIENCE)?;
        serde_json::from_str(&body).map_err(|_| AskError::Unreadable)
    });
    match asked.await {
        Ok(answer) => answer.map_err(|error| Diagnostic::of(&error, names).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The fetches of our JWK Set by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetches {
    /// How many since the server started.
    pub(super) count: u64,
    /// The last one.
    pub(super) last: Option<String>,
}

/// The fetches of our JWK Set. `None` if the server does not say, or if other replicas serve it too.
pub(super) fn fetches_of(status: &ServerStatus) -> Option<Fetches> {
    let is_alone = status.replicas.as_ref().is_none_or(Vec::is_empty);
    is_alone.then(|| {
        Some(Fetches {
            count: status.jwks_fetches?,
            last: status.jwks_fetched_at.clone(),
        })
    })?
}

/// The fetches until now.
pub(super) async fn fetches(config: &Config) -> Option<Fetches> {
    let socket = config.server.admin_socket.as_deref()?;
    fetches_of(&status(socket, &config.names).await.ok()?)
}

/// The status in lines of at most `width` characters.
pub(super) fn lines(status: &ServerStatus, width: usize) -> String {
    let mut out = format!(
        "\n  the server (bff {}) says of itself:\n",
        clean(&status.version)
    );
    let mut line = |name: &str, text: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{}",
            wrapped(width, &format!("    {name:<16}"), &clean(text))
        );
    };
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "not since the start".to_owned());
    line("running since", &status.since);
    line("tokens renewed", &time(&status.refreshed_at));
    line("keys fetched", &time(&status.jwks_fetched_at));
    if let Some(replicas) = &status.replicas {
        let names = if replicas.is_empty() {
            "none".to_owned()
        } else {
            replicas.join(", ")
        };
        line("other replicas", &names);
    }
    for trouble in &status.troubles {
        line(
            "does not work",
            &format!("{}: {}", trouble.component, trouble.reason),
        );
    }
    for warned in status.warnings.iter().take(SHOWN) {
        line(&warned.level, &told(warned));
    }
    if let Some(more) = status.warnings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        line(
            "",
            &format!("and {more} more, which `bff check --json` and the log show"),
        );
    }
    out.truncate(out.trim_end().len());
    out
}

fn told(warned: &Warned) -> String {
    match warned.count {
        1 => format!("{}: {}", warned.last, warned.text),
        count => format!(
            "{} ({count} times since {}): {}",
            warned.last, warned.first, warned.text
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Trouble;

    fn warned(text: &str, count: u64) -> Warned {
        Warned {
            level: "warning".to_owned(),
            text: text.to_owned(),
            count,
            first: "2026-01-01T00:00:00Z".to_owned(),
            last: "2026-01-01T00:00:09Z".to_owned(),
        }
    }

    #[test]
    fn the_status_is_told_in_lines() {
        let mut status = ServerStatus {
            version: "1.2.3".to_owned(),
            since: "2026-01-01T00:00:00Z".to_owned(),
            ready: true,
            troubles: Vec::new(),
            refreshed_at: None,
            jwks_fetched_at: Some("2026-01-01T00:00:05Z".to_owned()),
            jwks_fetches: Some(1),
            replicas: None,
            warnings: Vec::new(),
        };
        assert_eq!(
            lines(&status, 100),
            "\n  the server (bff 1.2.3) says of itself:\n    \
             running since   2026-01-01T00:00:00Z\n    \
             tokens renewed  not since the start\n    \
             keys fetched    2026-01-01T00:00:05Z"
        );
        assert_eq!(fetches_of(&status).map(|fetches| fetches.count), Some(1));
        status.replicas = Some(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!(fetches_of(&status), None, "another replica may have been asked");
        status.troubles.push(Trouble {
            component: "discovery".to_owned(),
            reason: "timeout".to_owned(),
        });
        status.warnings = (1..=7).map(|count| warned("what\nhappened", count)).collect();
        let told = lines(&status, 200);
        for part in [
            "    other replicas  one, two\n",
            "    does not work   discovery: timeout\n",
            "    warning         2026-01-01T00:00:09Z: what\\u{a}happened\n",
            "    warning         2026-01-01T00:00:09Z (2 times since 2026-01-01T00:00:00Z): what\\u{a}happened\n",
            "and 2 more",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
