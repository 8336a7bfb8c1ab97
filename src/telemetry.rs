//! Log output.
//!
//! Events go to standard output, one line each. Never logged: tokens, codes, secrets, assertions, cookies, and the
//! query string of any request, because on the routes of a login it contains a code and a state.

pub mod panics;
pub mod recent;
mod targets;

use std::{borrow::Cow, io::IsTerminal as _, str::FromStr};

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::recent::Recent;
use crate::diagnostic::LogWords;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    #[default]
    Pretty,
    /// One JSON object a line, for a log collector.
    Json,
}

/// The options of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A level or a filter in the syntax of `RUST_LOG`, such as `info` or `bff=debug,hyper=warn`.
    pub filter: String,
    /// How lines look.
    pub format: Format,
}

/// Why a filter is refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It does not parse.
    #[error("not a log filter: {0}")]
    Syntax(#[from] tracing_subscriber::filter::ParseError),
    /// It names a module that never logs.
    #[error("nothing is ever logged from {unknown:?}")]
    Target {
        /// The name.
        unknown: String,
        /// The suggestion.
        nearest: Option<&'static str>,
    },
}

/// Checks that `filter` parses, and that each of its directives can match something.
///
/// # Errors
///
/// [`FilterError`] with the reason.
pub fn check_filter(filter: &str) -> Result<(), FilterError> {
    EnvFilter::from_str(filter)?;
    match targets::unknown_target(filter) {
        None => Ok(()),
        Some(unknown) => Err(FilterError::Target {
            unknown: unknown.to_owned(),
            nearest: targets::nearest_target(unknown),
        }),
    }
}

/// Sends events to standard output from now on, in these words, and gives what remembers warnings. A second call in one
/// process changes nothing.
///
/// # Errors
///
/// [`FilterError::Syntax`] if the filter does not parse.
pub fn init(options: &Options, words: LogWords) -> Result<Recent, FilterError> {
    let filter = without_floods(&options.filter);
    let recent = Recent::default();
    let registry = tracing_subscriber::registry()
        .with(EnvFilter::from_str(&filter)?)
        .with(words)
        .with(recent.clone());
    // Only a subscriber that is there already makes `try_init` fail, and that one is as good.
    let _ = match options.format {
        Format::Pretty => {
            // Colours are for a terminal; in a file or a pipe they are noise.
            let colours = std::io::stdout().is_terminal();
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .with_target(false)
                        .with_ansi(colours),
                )
                .try_init()
        }
        Format::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true))
            .try_init(),
    };
    Ok(recent)
}

/// `filter`, without warnings that a stranger can cause at will: the library for HTTP/2 has one for each connection
/// that resets too many requests. They are enabled if the filter names the library, or asks for debug.
fn without_floods(filter: &str) -> Cow<'_, str> {
    let asks = |directive: &str| {
        let level = directive.rsplit('=').next().unwrap_or_default().trim();
        directive.trim_start().starts_with("h2")
            || ["debug", "trace"]
                .iter()
                .any(|deep| level.eq_ignore_ascii_case(deep))
    };
    if filter.split(',').any(asks) {
        Cow::Borrowed(filter)
    } else {
        Cow::Owned(format!("{filter},h2=error"))
    }
}

#[cfg(test)]
#[expect(dead_code, reason = "shared with the tests in tests/, which use more of it")]
pub(crate) mod testing;

/// Logs in tests of modules have no words: below the configuration no module knows any.
#[cfg(test)]
const fn in_words<S>(log: S) -> S {
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        assert!(check_filter("info").is_ok());
        assert!(check_filter("bff=debug,hyper=warn").is_ok());
        assert!(matches!(check_filter("bff=loud"), Err(FilterError::Syntax(_))));
        let error = check_filter("info,bbf=debug").unwrap_err();
        assert!(matches!(&error, FilterError::Target { unknown, nearest: Some("bff") } if unknown == "bbf"));
    }

    /// Otherwise a stranger could fill the log.
    #[test]
    fn attack_37_http_2_logs_no_line_per_connection() {
        for (filter, quieted) in [
            ("info", "info,h2=error"),
            ("warn,bff::oidc=info", "warn,bff::oidc=info,h2=error"),
            ("debug", "debug"),
            ("info,h2=warn", "info,h2=warn"),
            ("INFO,bff=TRACE", "INFO,bff=TRACE"),
        ] {
            assert_eq!(without_floods(filter), quieted);
            assert!(check_filter(&without_floods(filter)).is_ok());
        }
    }
}
