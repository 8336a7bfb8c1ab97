//! Logs.

use super::{problem::Complaint, reader::Reader};
use crate::{
    quote::quote,
    telemetry::{FilterError, Format, check_filter},
};

/// A longer name of a target is cut off in messages, in characters.
const MAX_SHOWN: usize = 80;

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// A filter in the syntax of `RUST_LOG`, known to parse.
    pub log_filter: String,
    /// The form of log lines.
    pub log_format: Format,
}

pub(super) fn read(reader: &mut Reader) -> TelemetrySettings {
    let level = reader.parsed("LOG_LEVEL", level);
    let rust_log = reader.parsed("RUST_LOG", filter);
    TelemetrySettings {
        log_filter: rust_log.or(level).unwrap_or_else(|| "info".to_owned()),
        log_format: reader
            .choice("LOG_FORMAT", &[Format::Pretty, Format::Json])
            .unwrap_or(Format::Pretty),
    }
}

/// A level, or a filter in which every word without `=` is a level: otherwise `wran` would be taken for a module and
/// silence everything else.
fn level(text: &str) -> Result<String, Complaint> {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |part: &str| levels.iter().any(|level| level.eq_ignore_ascii_case(part));
    let mut parts = text.split(',').map(str::trim);
    if parts.all(|part| part.contains(['=', '[', ']']) || is_level(part)) {
        filter(text)
    } else {
        Err(not_a_filter())
    }
}

fn filter(text: &str) -> Result<String, Complaint> {
    match check_filter(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(FilterError::Syntax(_)) => Err(not_a_filter()),
        Err(FilterError::Target { unknown, nearest }) => {
            let meant = nearest.map_or_else(
                || "name a module of this server that logs, such as `bff::oidc`, or a library".to_owned(),
                |target| format!("did you mean `{target}`?"),
            );
            let unknown = quote(&unknown, '`', MAX_SHOWN);
            Err(Complaint::new(
                format!("names {unknown}, which never logs anything"),
                meant,
            ))
        }
    }
}

fn not_a_filter() -> Complaint {
    Complaint::new(
        "is neither a log level nor a filter",
        "write `error`, `warn`, `info`, `debug`, `trace` or `off`, or a filter such as `info,bff::oidc=debug`",
    )
}
