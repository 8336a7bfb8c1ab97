//! Whether the IdP gives refresh tokens only after consent, as OpenID Connect Core 1.0 section 11 allows
//! (`OIDC_PROMPT=auto`). The server learns this from logins and stores it in the state folder, because an unnecessary
//! consent prompt at each login is a nuisance.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    diagnostic::{Fix, Knob, fix},
    private_file,
};

/// The file's name in the state folder.
pub const FILE_NAME: &str = "offline_access.json";

/// A longer file is not ours, in bytes.
const MAX_SIZE: u64 = 16 * 1024;

/// The knowledge from logins about one client of one IdP.
#[derive(Clone, Debug)]
pub(super) struct OfflineAccess {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    lesson: Mutex<Option<Lesson>>,
}

/// The stored form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lesson {
    issuer: String,
    client_id: String,
    consent: Consent,
}

/// The effect of consent on refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// They come without it.
    Unneeded,
    /// They do not come without it. Whether they come with it has not been seen yet.
    Tried,
    /// They come only with consent.
    Needed,
    /// They do not come at all.
    Useless,
}

// === impl OfflineAccess ===

impl OfflineAccess {
    /// Reads the file at `path`. An unusable file counts as absent: the fact is learnt anew.
    pub(super) fn open(path: PathBuf) -> Self {
        let lesson = read(&path).unwrap_or_else(|error| {
            tracing::warn!(?path, %error, "the knowledge about refresh tokens is unreadable, and is learnt again");
            None
        });
        let shared = Shared {
            path,
            lesson: Mutex::new(lesson),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether logins have to ask for consent.
    pub(super) fn asks_for_consent(&self, issuer: &str, client_id: &str) -> bool {
        matches!(
            self.shared.known(issuer, client_id),
            Some(Consent::Tried | Consent::Needed)
        )
    }

    /// Learns from a login that requested `offline_access`. Returns the change, if any, and stores it.
    pub(super) fn learn(&self, issuer: &str, client_id: &str, asked: bool, came: bool) -> Option<Consent> {
        let before = self.shared.known(issuer, client_id);
        let consent = next(before, asked, came).filter(|consent| Some(*consent) != before)?;
        *self.shared.lesson.lock() = Some(Lesson {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            consent,
        });
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.keep());
        Some(consent)
    }
}

/// The knowledge after a login: whether it `asked` for consent, and whether a refresh token `came`. `None` if that is
/// nothing new.
const fn next(before: Option<Consent>, asked: bool, came: bool) -> Option<Consent> {
    match (before, asked, came) {
        (None | Some(Consent::Unneeded), false, false) => Some(Consent::Tried),
        (None | Some(Consent::Unneeded | Consent::Tried), true, false) => Some(Consent::Useless),
        (Some(Consent::Tried | Consent::Useless), true, true) => Some(Consent::Needed),
        (Some(Consent::Useless), false, true) => Some(Consent::Unneeded),
        // A person whom the IdP has asked before may get one without a new question; others still do not.
        _ => None,
    }
}

/// The knowledge of a server with this state folder about the issuer. For the doctor.
///
/// # Errors
///
/// The system's error.
pub fn learnt(state_dir: &Path, issuer: &str) -> io::Result<Option<Consent>> {
    let lesson = read(&state_dir.join(FILE_NAME))?;
    Ok(lesson
        .filter(|lesson| lesson.issuer == issuer)
        .map(|lesson| lesson.consent))
}

fn read(path: &Path) -> io::Result<Option<Lesson>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut content = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut content)?;
    Ok(Some(serde_json::from_slice(&content)?))
}

// === impl Shared ===

impl Shared {
    fn known(&self, issuer: &str, client_id: &str) -> Option<Consent> {
        let lesson = self.lesson.lock();
        lesson
            .as_ref()
            .filter(|lesson| lesson.issuer == issuer && lesson.client_id == client_id)
            .map(|lesson| lesson.consent)
    }

    /// Writes the present knowledge. After a failure, it is learnt again after the next start.
    fn keep(&self) {
        let lesson = self.lesson.lock().clone();
        let kept = serde_json::to_vec_pretty(&lesson)
            .map_err(io::Error::from)
            .and_then(|content| private_file::replace(&self.path, &content));
        if let Err(error) = kept {
            tracing::warn!(path = ?self.path, %error, "the knowledge about refresh tokens cannot be stored");
        }
    }
}

/// The advice if the IdP gives no refresh token, even after the person's consent.
pub fn without_refresh_token() -> Fix {
    fix!(
        "allow the client offline_access and the refresh_token grant at the IdP, or remove offline_access from {}",
        Knob::Scopes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_is_asked_for_once_nothing_came_without_it() {
        let tried = next(None, false, false);
        assert_eq!(tried, Some(Consent::Tried));
        assert_eq!(next(tried, true, true), Some(Consent::Needed));
        assert_eq!(next(None, false, true), None);
    }

    /// Helpful consent is kept.
    #[test]
    fn useless_consent_is_given_up() {
        assert_eq!(next(Some(Consent::Tried), true, false), Some(Consent::Useless));
        assert_eq!(next(Some(Consent::Useless), false, false), None);
        assert_eq!(next(Some(Consent::Useless), false, true), Some(Consent::Unneeded));
        assert_eq!(next(Some(Consent::Unneeded), false, false), Some(Consent::Tried));
        for (asked, came) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(next(Some(Consent::Needed), asked, came), None);
        }
    }

    /// They belong to one client.
    #[tokio::test]
    async fn learnt_facts_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let access = OfflineAccess::open(path.clone());
        assert!(!access.asks_for_consent("https://idp", "bff"));
        assert_eq!(
            access.learn("https://idp", "bff", false, false),
            Some(Consent::Tried)
        );
        assert_eq!(access.learn("https://idp", "bff", false, false), None);
        access.shared.keep();

        let access = OfflineAccess::open(path.clone());
        assert!(access.asks_for_consent("https://idp", "bff"));
        assert!(!access.asks_for_consent("https://idp", "other"));
        assert!(!access.asks_for_consent("https://other", "bff"));
        let found = learnt(folder.path(), "https://idp").unwrap();
        assert_eq!(found, Some(Consent::Tried));
        assert_eq!(learnt(folder.path(), "https://other").unwrap(), None);
    }

    #[test]
    fn a_file_that_is_none_of_ours_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        for content in ["", "{}", "null", "[1", &"x".repeat(100_000)] {
            std::fs::write(&path, content).unwrap();
            let access = OfflineAccess::open(path.clone());
            assert!(!access.asks_for_consent("https://idp", "bff"), "{content:.9}");
        }
    }
}
