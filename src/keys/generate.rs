//! Making keys: the named signing key on a first start, and new ones for a rotation.

use std::{
    io,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    error::Unspecified,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use pem::{EncodeConfig, LineEnding, Pem};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::KeyKind;
use crate::{
    clock::Timestamp,
    diagnostic::{Explain, Fix, Knob, fix},
    jose::SigningKey,
    private_file::{self, exists},
};

/// The prefix of the names of files that are made for the keyring.
pub(super) const PREFIX: &str = "bff-";

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The key is gone, but this BFF already has an identity.
    #[error(
        "the signing key {path:?} does not exist, but {marker:?} does: this BFF already has an identity, and a missing \
         volume must not silently become a new one"
    )]
    IdentityWithoutKey {
        /// The named key.
        path: PathBuf,
        /// The file that shows that a key has existed.
        marker: PathBuf,
    },
    /// The folder or the file cannot be written.
    #[error("cannot make the signing key {path:?} ({error})")]
    Write {
        /// The named key.
        path: PathBuf,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// The library failed.
    #[error("the library could not make a {0} key")]
    Library(KeyKind),
}

// === impl GenerateError ===

impl Explain for GenerateError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::IdentityWithoutKey { path, marker } => Some(fix!(
                "correct {} if the key is elsewhere; otherwise restore {} from a backup or mount the volume that holds it; only to \
                 really start anew, remove {} too",
                Knob::KeyPlace,
                format!("{path:?}"),
                format!("{marker:?}")
            )),
            Self::Write { .. } => Some(fix!(
                "the folder ({}) must be writable for the user that runs bff, and have space left",
                Knob::KeyPlace
            )),
            Self::Library(_) => None,
        }
    }
}

/// Makes a key of `kind` in the file `path`, mode 0600, unless the file exists. A file that appears meanwhile (from
/// another replica on the same folder) stays unchanged. Returns whether this call made it.
///
/// # Errors
///
/// [`GenerateError`]: if one of `identity_markers` exists, nothing is made.
pub fn generate_if_new(
    path: &Path,
    kind: KeyKind,
    identity_markers: &[PathBuf],
) -> Result<bool, GenerateError> {
    let write_error = |error| GenerateError::Write {
        path: path.to_owned(),
        error,
    };
    // The markers first: another replica that starts now makes the key before any of them, so that behind a marker that
    // is seen here there is a key by now, or it is lost.
    let mut marker = None;
    for candidate in identity_markers {
        if exists(candidate).map_err(write_error)? {
            marker = Some(candidate);
            break;
        }
    }
    // A failed look-up does not mean that a name is absent; a dangling link is a lost volume too.
    if exists(path).map_err(write_error)? {
        return Ok(false);
    }
    if let Some(marker) = marker {
        return Err(GenerateError::IdentityWithoutKey {
            path: path.to_owned(),
            marker: marker.clone(),
        });
    }
    let text = make(kind).map_err(|_| GenerateError::Library(kind))?;
    private_file::create_new(path, text.as_bytes()).map_err(write_error)
}

/// Makes a key of `kind` in a new file in `dir`, which is named after the day and the key. Returns the file and the
/// thumbprint (RFC 7638) of the key.
///
/// # Errors
///
/// [`GenerateError`]; nothing is left behind then.
pub(super) fn generate_new(
    dir: &Path,
    kind: KeyKind,
    now: Timestamp,
) -> Result<(PathBuf, String), GenerateError> {
    let library = |_| GenerateError::Library(kind);
    let text = make(kind).map_err(library)?;
    let pair = super::pem::parse(text.as_bytes()).map_err(|_| GenerateError::Library(kind))?;
    let key = SigningKey::new(pair, None).map_err(|_| GenerateError::Library(kind))?;
    let seconds = i64::try_from(now.unix_seconds()).unwrap_or_default();
    let day = OffsetDateTime::from_unix_timestamp(seconds).map(OffsetDateTime::date);
    let day = day.map_or_else(
        |_| String::new(),
        |day| format!("{:04}{:02}{:02}-", day.year(), u8::from(day.month()), day.day()),
    );
    let short: String = key.kid().chars().take(8).collect();
    let path = dir.join(format!("{PREFIX}{day}{short}.pem"));
    match private_file::create_new(&path, text.as_bytes()) {
        Ok(true) => Ok((path, key.kid().to_owned())),
        Ok(false) => Err(GenerateError::Write {
            path,
            error: io::ErrorKind::AlreadyExists.into(),
        }),
        Err(error) => Err(GenerateError::Write { path, error }),
    }
}

/// A new private key as PKCS#8 PEM.
pub(super) fn make(kind: KeyKind) -> Result<Zeroizing<String>, Unspecified> {
    let pkcs8 = match kind {
        KeyKind::Rsa2048 => pkcs8_of(&RsaKeyPair::generate(KeySize::Rsa2048)?)?,
        KeyKind::Rsa3072 => pkcs8_of(&RsaKeyPair::generate(KeySize::Rsa3072)?)?,
        KeyKind::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?
            .to_pkcs8v1()?
            .as_ref()
            .to_vec(),
        KeyKind::Ed25519 => pkcs8_of(&Ed25519KeyPair::generate()?)?,
    };
    let block = Pem::new("PRIVATE KEY", pkcs8);
    let text = pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF));
    drop(Zeroizing::new(block.into_contents()));
    Ok(Zeroizing::new(text))
}

fn pkcs8_of(pair: &impl AsDer<Pkcs8V1Der<'static>>) -> Result<Vec<u8>, Unspecified> {
    Ok(pair.as_der()?.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::{jose::KeyType, keys::pem::read_key};

    #[test]
    fn every_kind_is_made_reads_back_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, key_type) in [
            (KeyKind::Rsa2048, KeyType::Rsa),
            (KeyKind::Rsa3072, KeyType::Rsa),
            (KeyKind::P256, KeyType::P256),
            (KeyKind::Ed25519, KeyType::Ed25519),
        ] {
            let path = folder.path().join("made/below").join(kind.name());
            assert!(generate_if_new(&path, kind, &[]).unwrap());
            assert_eq!(read_key(&path).unwrap().key_type(), key_type);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let made = folder.path().join("made/below");
        assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(
            fs::read_dir(made).unwrap().count(),
            4,
            "temporary files were left behind"
        );
    }

    #[test]
    fn an_existing_file_is_never_overwritten_whatever_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "precious").unwrap();
        assert!(!generate_if_new(&path, KeyKind::P256, &[]).unwrap());
        // Also if it appears between the check and the write.
        assert!(!private_file::create_new(&path, b"other").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn attack_33_a_missing_named_key_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lost/key.pem");
        let markers = [
            folder.path().join("keyring.json"),
            folder.path().join("bff_client.json"),
        ];
        for marker in &markers {
            fs::write(marker, "{}").unwrap();
            let error = generate_if_new(&path, KeyKind::P256, &markers)
                .unwrap_err()
                .told();
            assert!(error.contains("must not silently become a new one"), "{error}");
            assert!(error.contains("restore"), "{error}");
            assert!(error.contains(marker.to_str().unwrap()), "{error}");
            assert!(!path.exists());
            fs::remove_file(marker).unwrap();
        }
        assert!(generate_if_new(&path, KeyKind::P256, &markers).unwrap());
    }

    /// And the identity with it.
    #[test]
    fn a_replica_adopts_the_key_that_another_is_making() {
        // The other one writes the key first, then its identity marker. At no moment does anything seem lost.
        for _ in 0..300 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key.pem");
            let marker = folder.path().join("bff_client.json");
            let other = {
                let (path, marker) = (path.clone(), marker.clone());
                std::thread::spawn(move || {
                    fs::write(path, "the key").unwrap();
                    fs::write(marker, "{}").unwrap();
                })
            };
            while !other.is_finished() {
                let markers = std::slice::from_ref(&marker);
                generate_if_new(&path, KeyKind::Ed25519, markers).unwrap();
            }
            other.join().unwrap();
        }
    }

    #[test]
    fn a_dangling_link_is_a_lost_volume_and_no_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::os::unix::fs::symlink(folder.path().join("gone"), &path).unwrap();
        assert!(!generate_if_new(&path, KeyKind::P256, &[]).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn left_over_temporary_files_do_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let left_over = folder
            .path()
            .join(format!(".key.pem.{}.0.tmp", std::process::id()));
        fs::write(&left_over, "").unwrap();
        assert!(generate_if_new(&path, KeyKind::P256, &[]).unwrap());
        assert!(left_over.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = generate_if_new(&file.join("key.pem"), KeyKind::P256, &[]).unwrap_err();
        assert!(matches!(error, GenerateError::Write { .. }), "{error}");
        assert!(error.told().contains("must be writable"));
    }
}
