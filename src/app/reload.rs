//! Reads `routes.yaml` and `idps.yaml` again after a change, and when a person asks for it (SIGHUP). Both count together
//! or not at all.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinError,
};
use tokio_util::sync::CancellationToken;

use super::{api_tokens, error::StartError, idps, routes};
use crate::{
    bearer::Idps,
    clock::{SharedClock, Timestamp},
    config::Config,
    diagnostic::Explain as _,
    gateway::Routes,
    oidc::RelyingParty,
    registration::Registration,
    web::Web,
};

/// The files are compared this often. A change counts when two looks in a row see the same: a file that is just being
/// written could lack its last routes, and a wider route would decide in their place.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The ends of client certificates are looked at this often.
const WARN_EVERY: Duration = Duration::from_hours(24);

/// Keeps the routing table and the issuers up to date.
pub(super) struct Reload {
    pub(super) config: Config,
    pub(super) web: Web,
    pub(super) clock: SharedClock,
    /// Notified when a person asks.
    pub(super) asked: Arc<Notify>,
    /// Logins ask it for the APIs of the routes.
    pub(super) relying_party: RelyingParty,
    /// Gives the client the grants of the routes.
    pub(super) registration: Option<Registration>,
}

/// The texts of the files; `None` for one that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) routes: Option<String>,
    pub(super) idps: Option<String>,
}

/// The state of the files at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    texts: Files,
    /// The states of the files that the two name.
    named: Vec<Option<Stamp>>,
}

/// The state of a file: a change of its content changes it too.
type Stamp = (u64, u64, i64, i64);

/// The looks so far.
struct Looks {
    /// The one that was tried last.
    tried: Look,
    /// The last one.
    seen: Look,
}

// === impl Files ===

impl Files {
    pub(super) fn read(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            routes: routes::text(config)?,
            idps: idps::text(config)?,
        })
    }

    /// Routes and issuers at a start; logs notes for the operator.
    pub(super) fn parsed(&self, config: &Config, now: Timestamp) -> Result<(Routes, Idps), StartError> {
        let (routes, issuers) = (self.routes.as_deref(), self.idps.as_deref());
        let (routes, warnings, issuers) = idps::with_routes(config, routes, issuers, now)?;
        routes::tell(config, &routes, &warnings);
        Ok((routes, issuers))
    }
}

// === impl Reload ===

impl Reload {
    /// Looks until `stop`. `texts` are those of the start.
    pub(super) async fn run(self, texts: Files, stop: CancellationToken) {
        let mut files = self.named();
        let first = Look {
            texts,
            named: stamps(&files),
        };
        let mut looks = Looks {
            tried: first.clone(),
            seen: first,
        };
        let mut warned = self.clock.now();
        let mut told = api_tokens::Told::default();
        let mut metadata = self.relying_party.provider().watch_metadata();
        metadata.mark_changed();
        let mut granted = self.registration.as_ref().map(Registration::watch_grants);
        loop {
            let by_hand = tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = metadata.changed() => {
                    self.tell_lacks(&mut told);
                    continue;
                }
                () = changed(granted.as_mut()) => {
                    self.tell_lacks(&mut told);
                    continue;
                }
                () = self.asked.notified() => true,
                () = self.clock.sleep(LOOK_EVERY) => false,
            };
            if self.clock.now() >= warned.saturating_add(WARN_EVERY) {
                warned = self.clock.now();
                for warning in routes::expiring(self.web.gateway.table().routes(), self.clock.wall()) {
                    tracing::warn!("{}", warning.told());
                }
            }
            match self.look(files.clone()).await {
                Ok(Ok(look)) => {
                    if let Some(look) = looks.due(look, by_hand) {
                        files = self.try_out(&look.texts);
                        // Other files may be named now.
                        looks.tried.named = stamps(&files);
                        looks.seen.named.clone_from(&looks.tried.named);
                        self.tell_lacks(&mut told);
                    }
                }
                Ok(Err(error)) if by_hand => refuse(&error),
                // The next look may be able to read it.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    /// Warns of tokens that the routes need and the IdP will not issue.
    fn tell_lacks(&self, told: &mut api_tokens::Told) {
        let Some(metadata) = self.relying_party.provider().metadata() else {
            return;
        };
        let granted = self.registration.as_ref();
        let granted = granted.and_then(|registration| registration.watch_grants().borrow().clone());
        let known = api_tokens::Known {
            metadata: &metadata,
            of_callers: self.web.bearers.exchange_as_login_client(),
            indicators: self.config.tokens.resource_indicators,
            granted: granted.as_deref(),
        };
        told.tell(self.web.gateway.table().routes(), &known);
    }

    async fn look(&self, files: Vec<PathBuf>) -> Result<Result<Look, StartError>, JoinError> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || {
            Ok(Look {
                texts: Files::read(&config)?,
                named: stamps(&files),
            })
        })
        .await
    }

    /// The files that routes and issuers name: certificates, keys and secrets.
    fn named(&self) -> Vec<PathBuf> {
        let mut files = self.web.gateway.table().routes().files().to_vec();
        files.extend(self.web.bearers.files());
        files
    }

    /// The files that routes and issuers name then, also those of a file with mistakes.
    fn try_out(&self, texts: &Files) -> Vec<PathBuf> {
        let Some(text) = &texts.routes else {
            let file = routes::file(&self.config);
            tracing::error!("{file} does not exist any more; the former routes stay");
            return self.named();
        };
        match self.replace(text, texts.idps.as_deref()) {
            Ok(count) => tracing::info!(routes = count, "the routes were read again"),
            Err(error) => {
                refuse(&error);
                return [self.named(), error.files()].concat();
            }
        }
        self.named()
    }

    /// The number of routes.
    fn replace(&self, text: &str, issuers: Option<&str>) -> Result<usize, StartError> {
        let now = self.clock.wall();
        let (routes, warnings, issuers) = idps::with_routes(&self.config, Some(text), issuers, now)?;
        routes::tell(&self.config, &routes, &warnings);
        idps::tell(&self.config, &issuers);
        let count = routes.iter().count();
        let audiences = api_tokens::audiences(&routes);
        let needs = api_tokens::needs(&self.config, &routes, issuers.exchange_as_login_client());
        self.web.gateway.reload(routes)?;
        self.relying_party.ask_for(audiences);
        if let Some(registration) = &self.registration {
            registration.ask_for(needs);
        }
        self.web.bearers.replace(&issuers);
        Ok(count)
    }
}

/// Resolves when the IdP has named the grants of the client again.
async fn changed(granted: Option<&mut watch::Receiver<Option<Vec<String>>>>) {
    if let Some(granted) = granted
        && granted.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn refuse(error: &StartError) {
    tracing::error!(
        "the routes were not read again, and the former ones stay: {}",
        error.told()
    );
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let file = std::fs::metadata(file).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}

// === impl Looks ===

impl Looks {
    /// `look`, if it is to be tried.
    fn due(&mut self, look: Look, by_hand: bool) -> Option<Look> {
        let is_settled = look == self.seen;
        self.seen = look.clone();
        if by_hand || is_settled && look != self.tried {
            self.tried = look.clone();
            Some(look)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: Option<&str>, inode: u64) -> Look {
        Look {
            texts: Files {
                routes: Some("r".to_owned()),
                idps: text.map(ToOwned::to_owned),
            },
            named: vec![Some((inode, 1, 1, 1))],
        }
    }

    #[test]
    fn a_change_is_tried_once_when_it_has_settled() {
        let mut looks = Looks {
            tried: look(Some("a"), 1),
            seen: look(Some("a"), 1),
        };
        for (text, inode, by_hand, expected) in [
            (Some("a"), 1, false, false),
            (Some("b"), 1, false, false),
            (Some("bc"), 1, false, false),
            (Some("bc"), 1, false, true),
            (Some("bc"), 1, false, false),
            (Some("bc"), 1, true, true),
            (Some("d"), 1, true, true),
            (Some("d"), 1, false, false),
            // A certificate.
            (Some("d"), 2, false, false),
            (Some("d"), 2, false, true),
            (Some("d"), 2, false, false),
            (None, 2, false, false),
            (None, 2, false, true),
            (None, 2, false, false),
        ] {
            let due = looks.due(look(text, inode), by_hand);
            assert_eq!(due.is_some(), expected, "{text:?} {inode}");
        }
    }

    #[test]
    fn a_file_that_is_written_again_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let missing = stamps(std::slice::from_ref(&file));
        assert_eq!(missing, [None]);
        std::fs::write(&file, "one").unwrap();
        let first = stamps(std::slice::from_ref(&file));
        std::fs::write(&file, "longer").unwrap();
        assert_ne!(stamps(std::slice::from_ref(&file)), first);
        assert_ne!(first, missing);
    }
}
