//! The certificate by which another server knows this one (RFC 8446 section 4.4.2).

use std::{fmt, fs::File, io, io::Read as _, path::Path, sync::Arc, time::Duration};

use rustls::{
    Error as TlsError,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use x509_cert::{Certificate, der::Decode as _};
use zeroize::Zeroizing;

use super::{BundleError, MAX_BUNDLE, read_bundle};

/// A certificate for a client, with its chain and its key. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file of the certificate.
    #[error("the certificate {0}")]
    Certificate(#[from] BundleError),
    /// The file of the key cannot be read.
    #[error("the key cannot be read: {0}")]
    UnreadableKey(io::Error),
    /// It is something else.
    #[error(
        "the file of the key holds no private key in PEM form without a password, or is larger than 1 MiB"
    )]
    NoKey,
    /// The key is that of another certificate.
    #[error("the key does not belong to the certificate")]
    Inconsistent,
    /// The library does not take one of them.
    #[error("the library does not take them: {0}")]
    Unusable(TlsError),
}

// === impl Identity ===

impl Identity {
    /// Reads the certificate with its chain, and its key, from PEM files.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&read_bundle(certificate)?).collect();
        let certificates = certificates.map_err(|error| BundleError::Unusable(error.to_string()))?;
        let key = read_key(key)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match CertifiedKey::from_der(certificates, key, &provider) {
            Ok(both) => Ok(Self(Arc::new(both))),
            Err(TlsError::InconsistentKeys(_)) => Err(IdentityError::Inconsistent),
            Err(error) => Err(IdentityError::Unusable(error)),
        }
    }

    /// The end of its validity, since the Unix epoch, if it can be read.
    #[must_use]
    pub fn end(&self) -> Option<Duration> {
        let certificate = Certificate::from_der(self.0.cert.first()?).ok()?;
        Some(certificate.tbs_certificate.validity.not_after.to_unix_duration())
    }

    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.0)))
    }
}

/// The key belongs to the certificate, so that equal certificates have equal keys.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let mut pem = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(IdentityError::UnreadableKey)?;
    // A folder opens and cannot be read.
    file.take(MAX_BUNDLE)
        .read_to_end(&mut pem)
        .map_err(IdentityError::UnreadableKey)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| IdentityError::NoKey)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn testing(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/tls/testing")
            .join(name)
    }

    #[test]
    fn a_certificate_and_its_key_are_read() {
        crate::jose::install_crypto();
        let identity = Identity::read(&testing("server.pem"), &testing("server.key")).unwrap();
        assert!(identity.end().unwrap() > Duration::from_secs(1_700_000_000));
        assert_eq!(format!("{identity:?}"), "Identity { .. }");
        let other = Identity::read(&testing("named.pem"), &testing("named.key")).unwrap();
        assert_ne!(identity, other);
    }

    #[test]
    fn each_fault_of_the_two_files_is_named() {
        crate::jose::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no PEM").unwrap();
        for (certificate, key, expected) in [
            (
                testing("no-such"),
                testing("server.key"),
                "the certificate cannot be read",
            ),
            (text.clone(), testing("server.key"), "holds no certificate"),
            (
                testing("server.pem"),
                testing("no-such"),
                "the key cannot be read",
            ),
            (testing("server.pem"), testing(""), "the key cannot be read"),
            (testing("server.pem"), text, "holds no private key"),
            (testing("server.pem"), testing("named.key"), "does not belong"),
        ] {
            let error = Identity::read(&certificate, &key).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
