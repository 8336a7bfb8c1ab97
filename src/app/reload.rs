//! Reads `routes.yaml` again after a change, and when a person asks for it (SIGHUP).

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{error::StartError, routes};
use crate::{clock::SharedClock, config::Config, diagnostic::Explain as _, web::Web};

/// The file is compared this often. A change counts when two looks in a row see the same: a file that is just being
/// written could lack its last routes, and a wider route would decide in their place.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Keeps the routing table up to date.
pub(super) struct Reload {
    pub(super) config: Config,
    pub(super) web: Web,
    pub(super) clock: SharedClock,
    /// Notified when a person asks.
    pub(super) asked: Arc<Notify>,
}

/// The texts of the file; `None` if there is no file.
struct Texts {
    /// The one that was tried last.
    tried: Option<String>,
    /// The one of the last look.
    seen: Option<String>,
}

// === impl Reload ===

impl Reload {
    /// Looks until `stop`. `text` is the file of the start.
    pub(super) async fn run(self, text: Option<String>, stop: CancellationToken) {
        let mut texts = Texts {
            tried: text.clone(),
            seen: text,
        };
        loop {
            let by_hand = tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => true,
                () = self.clock.sleep(LOOK_EVERY) => false,
            };
            let config = self.config.clone();
            let read = tokio::task::spawn_blocking(move || routes::text(&config)).await;
            match read {
                Ok(Ok(text)) => {
                    if texts.is_due(text.as_deref(), by_hand) {
                        self.try_out(text.as_deref());
                    }
                }
                Ok(Err(error)) if by_hand => refuse(&error),
                // The next look may be able to read it.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    fn try_out(&self, text: Option<&str>) {
        let Some(text) = text else {
            let file = routes::file(&self.config);
            tracing::error!("{file} does not exist any more; the former routes stay");
            return;
        };
        match self.replace(text) {
            Ok(count) => tracing::info!(routes = count, "the routes were read again"),
            Err(error) => refuse(&error),
        }
    }

    /// The number of routes.
    fn replace(&self, text: &str) -> Result<usize, StartError> {
        let (routes, warnings) = routes::parsed(&self.config, Some(text))?;
        routes::tell(&self.config, &routes, &warnings);
        let count = routes.iter().count();
        self.web.gateway.reload(routes)?;
        Ok(count)
    }
}

fn refuse(error: &StartError) {
    tracing::error!(
        "the routes were not read again, and the former ones stay: {}",
        error.told()
    );
}

// === impl Texts ===

impl Texts {
    /// Whether `text` is to be tried.
    fn is_due(&mut self, text: Option<&str>, by_hand: bool) -> bool {
        let is_settled = text == self.seen.as_deref();
        self.seen = text.map(ToOwned::to_owned);
        let is_due = by_hand || is_settled && text != self.tried.as_deref();
        if is_due {
            self.tried = self.seen.clone();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_tried_once_when_it_has_settled() {
        let mut texts = Texts {
            tried: Some("a".to_owned()),
            seen: Some("a".to_owned()),
        };
        for (text, by_hand, expected) in [
            (Some("a"), false, false),
            (Some("b"), false, false),
            (Some("bc"), false, false),
            (Some("bc"), false, true),
            (Some("bc"), false, false),
            (Some("bc"), true, true),
            (Some("d"), true, true),
            (Some("d"), false, false),
            (None, false, false),
            (None, false, true),
            (None, false, false),
        ] {
            assert_eq!(texts.is_due(text, by_hand), expected, "{text:?}");
        }
    }
}
