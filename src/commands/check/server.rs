//! The server on this machine, if it runs.

use super::{
    super::health,
    finding::{Check, Kind, Report},
};
use crate::{app::preflight, config::Config, own_paths};

/// Of a longer answer only this much is read, in bytes.
const MAX_ANSWER: u64 = 4 * 1024;

/// The body of our answer to `/health/live`. Another server may answer 200 to every path.
const LIVE: &str = "{\"status\":\"live\"}";

/// The state of the server on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// It answers.
    Live,
    /// No response, or a response of another server.
    Absent,
}

pub(super) async fn check(config: &Config, report: &mut Report) -> Local {
    let address = health::reachable(config.server.listen);
    let ask = |path| tokio::task::spawn_blocking(move || health::answer(address, path, MAX_ANSWER).ok());
    let live = ask(own_paths::HEALTH_LIVE).await.ok().flatten();
    let ready = ask(own_paths::HEALTH_READY).await.ok().flatten();
    let is_ours = live
        .as_ref()
        .is_some_and(|(status, text)| *status == 200 && text.contains(LIVE));
    match (live.map(|(status, _)| status), ready.map(|(status, _)| status)) {
        (Some(200), Some(200)) if is_ours => {
            report.ok(Check::Server, format!("live and ready at {address}"));
            Local::Live
        }
        (Some(200), _) if is_ours => {
            report.skip(
                Check::Server,
                format!("live at {address}, but not ready: its log says why, and so do the rows below"),
            );
            Local::Live
        }
        (Some(status), _) if can_listen(config, report).await => {
            let text = format!("the server at {address} is another one (/health/live: {status})");
            report.skip(Check::Server, text);
            Local::Absent
        }
        (None, _) if can_listen(config, report).await => {
            report.skip(Check::Server, format!("not running at {address}"));
            Local::Absent
        }
        _ => Local::Absent,
    }
}

/// Whether a start could listen; if not, the report says why.
async fn can_listen(config: &Config, report: &mut Report) -> bool {
    let Err(error) = preflight::can_listen(config).await else {
        return true;
    };
    report.explain(
        Kind::Configuration,
        Check::Server,
        "a start could not listen",
        &error,
    );
    false
}
