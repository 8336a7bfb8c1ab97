//! The reasons why credentials cannot be used, each with its fix.

use std::path::PathBuf;

use crate::{
    access::Refused,
    diagnostic::{Explain, Fix, Knob, fix},
    private_file::Exposed,
    registration::vault::Place,
};

/// Why stored credentials cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it, and the fields are what they name"
)]
pub enum CredentialsError {
    #[error(transparent)]
    Unreadable(Refused),
    #[error("{}: {exposed}", path.display())]
    Exposed { path: PathBuf, exposed: Exposed },
    #[error("{place} is not a credentials file of this server: {reason}")]
    Corrupt { place: Place, reason: String },
    #[error("{place} was written by a newer version of this server (format {version})")]
    Newer { place: Place, version: u32 },
    #[error("{place} belongs to the issuer {stored}, and this server is configured for {configured}")]
    OtherIssuer {
        place: Place,
        stored: String,
        configured: String,
    },
    #[error("{place} belongs to the client {client}, and this server is configured for {configured}")]
    OtherClient {
        place: Place,
        /// Its id, and the requested one if that differs.
        client: String,
        configured: String,
        /// The setting of the configured id.
        knob: Knob,
    },
    #[error("{} cannot be written: {cause}", path.display())]
    NotWritable { path: PathBuf, cause: String },
    #[error("the lock {} cannot be taken: {cause}", path.display())]
    Lock { path: PathBuf, cause: String },
    #[error("another process has held the lock of {place} for {seconds} s")]
    Held { place: Place, seconds: u64 },
    #[error("the client record cannot be read or written now: {cause}; it is tried again")]
    Unavailable { cause: String },
    #[error("the client record in Redis is sealed with a secret that this process does not have")]
    Foreign,
    #[error(
        "this process has lost the right to register, as after a pause of the whole process; it is tried again"
    )]
    LockLost,
}

// === impl CredentialsError ===

impl Explain for CredentialsError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Unreadable(refused) => refused.fix().unwrap_or_else(|| {
                fix!(
                    "let {} name a file that the user of this process can read",
                    Knob::CredentialsPlace
                )
            }),
            Self::Exposed { exposed, .. } => return exposed.fix(),
            Self::Corrupt { .. } => fix!(
                "correct {} if it leads to another file; else restore it from a backup; without one, move it away, have the client \
                 removed at the IdP, and start with a fresh {}",
                Knob::CredentialsPlace,
                Knob::InitialAccessToken
            ),
            Self::Newer { .. } => fix!("start that version, or restore what belongs to this one"),
            Self::OtherIssuer { place, .. } => fix!(
                "correct {} (or {}), or {}",
                Knob::Issuer,
                Knob::ProviderBase,
                place.way_elsewhere()
            ),
            Self::OtherClient { place, knob, .. } => fix!(
                "correct {}, {}, or register anew with {} and a fresh {}",
                *knob,
                place.way_elsewhere(),
                Knob::ForceReplace.to("true"),
                Knob::InitialAccessToken
            ),
            Self::NotWritable { .. } => fix!(
                "its folder ({}, else {}) must be writable for the user of this process and have space left",
                Knob::CredentialsPath,
                Knob::StateFolder
            ),
            Self::Lock { .. } => fix!(
                "its folder ({}, else {}) must be writable and lie on a file system with locks",
                Knob::CredentialsPath,
                Knob::StateFolder
            ),
            Self::Held { place, .. } => place.way_to_the_lock(),
            Self::Foreign => fix!(
                "give all replicas the same {}; in it the new secret comes first, and the old one after it until every replica has \
                 the new one first. If that secret is lost for good, delete the record (docs/redis.md)",
                Knob::SessionSecret
            ),
            Self::Unavailable { .. } | Self::LockLost => return None,
        })
    }
}
