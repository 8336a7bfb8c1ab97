//! Why credentials cannot be used, with what to do about it.

use std::path::PathBuf;

use crate::{private_file::Exposed, registration::vault::Place};

/// Why stored credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it, and the fields are what they name"
)]
pub enum CredentialsError {
    #[error("{} cannot be read: {cause} - hint: it must be a file that the user of this process can read", path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{}: {exposed} - hint: only where that cannot be helped, set BFF_DANGER_ALLOW_OPEN_FILES=true", path.display())]
    Exposed { path: PathBuf, exposed: Exposed },
    #[error(
        "{place} is not a credentials file of this server: {reason} - hint: restore it from a backup; without one, move it \
         away, have the client removed at the IdP, and start with a fresh DCR_IAT"
    )]
    Corrupt { place: Place, reason: String },
    #[error(
        "{place} was written by a newer version of this server (format {version}) - hint: start that version, or restore \
         what belongs to this one"
    )]
    Newer { place: Place, version: u32 },
    #[error(
        "{place} belongs to the issuer {stored}, and this server is configured for {configured} - hint: correct OIDC_ISSUER \
         (or IDP_BASE_URL), or {}", place.way_elsewhere()
    )]
    OtherIssuer {
        place: Place,
        stored: String,
        configured: String,
    },
    #[error(
        "{place} belongs to a client that was asked for as {stored}, and this server is configured for {configured} - hint: \
         correct DCR_CLIENT_ID (or AUTH_CLIENT_ID), {}, or register anew with DCR_FORCE_REPLACE=true and a fresh DCR_IAT",
        place.way_elsewhere()
    )]
    OtherClient {
        place: Place,
        stored: String,
        configured: String,
    },
    #[error(
        "{} cannot be written: {cause} - hint: its folder (BFF_CLIENT_CRED_PATH, else BFF_STATE_DIR) must be writable \
         for the user of this process and have space left", path.display()
    )]
    NotWritable { path: PathBuf, cause: String },
    #[error(
        "the lock {} cannot be taken: {cause} - hint: its folder (BFF_CLIENT_CRED_PATH, else BFF_STATE_DIR) must be \
         writable and lie on a file system with locks", path.display()
    )]
    Lock { path: PathBuf, cause: String },
    #[error(
        "another process has held the lock of {place} for {seconds} s - hint: {}",
        place.way_to_the_lock()
    )]
    Held { place: Place, seconds: u64 },
    #[error("the client record cannot be read or written now: {cause}; it is tried again")]
    Unavailable { cause: String },
    #[error(
        "the client record in Redis is sealed with a SESSION_SECRET that this process does not have - hint: give all replicas \
         the same SESSION_SECRET; in it the new secret comes first, and the old one after it until every replica has the new one first. If that secret is lost for \
         good, delete the record (docs/redis.md)"
    )]
    Foreign,
    #[error(
        "this process has lost the right to register, as after a pause of the whole process: another one goes on - hint: \
         nothing; it is tried again"
    )]
    LockLost,
}
