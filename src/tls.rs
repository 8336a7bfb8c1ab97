//! TLS towards other servers, the same for the identity provider and for services: the trusted certificate
//! authorities, and the meaning of a failure.

mod failure;
mod identity;
mod own;

#[cfg(test)]
pub(crate) mod testing;

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, Error as TlsError, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

pub use self::{
    failure::{Hints, explain},
    identity::{Identity, IdentityError},
};
use crate::diagnostic::{Knob, fix, told};

/// A larger bundle is refused, in bytes.
const MAX_BUNDLE: u64 = 1024 * 1024;

/// The certificate authorities for every server: the system's, or those of a file and of folders that replace them.
/// They are read at the first use. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct SystemRoots(Arc<Inner>);

#[derive(Default)]
struct Inner {
    file: Option<PathBuf>,
    folders: Vec<PathBuf>,
    store: OnceLock<Arc<RootCertStore>>,
}

/// Certificates of a PEM bundle, trusted in addition to those of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    /// Whether every other certificate is trusted as well.
    is_unchecked: bool,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`), or is larger than 1 MiB")]
    NoBundle,
    /// One of its certificates is broken.
    #[error("holds a certificate that is not usable: {0}")]
    Unusable(String),
}

/// The settings of a client: HTTP protocols are left to the caller. Reads the system's certificate authorities, which may
/// take tens of milliseconds, unless they have been read before.
///
/// # Errors
///
/// [`TlsError`] if the library refuses its settings.
pub fn client_config(
    roots: &SystemRoots,
    own: Option<&Bundle>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match own {
        None => builder.with_root_certificates(roots.store()),
        Some(own) => builder
            .dangerous()
            .with_custom_certificate_verifier(own::verifier(&roots.store(), own, provider)?),
    };
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
    })
}

/// The bytes of a certificate file, bounded.
///
/// # Errors
///
/// [`BundleError`]; the certificates themselves are checked by [`Bundle::parse`].
pub fn read_bundle(path: &Path) -> Result<Vec<u8>, BundleError> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(BundleError::NoBundle);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BUNDLE + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BUNDLE);
    let is_certificate = |block: &pem::Pem| block.tag() == "CERTIFICATE";
    if fits && pem::parse_many(&bytes).is_ok_and(|blocks| blocks.iter().any(is_certificate)) {
        Ok(bytes)
    } else {
        Err(BundleError::NoBundle)
    }
}

// === impl SystemRoots ===

impl SystemRoots {
    /// Those of `file` and `folders`; where neither is named, the system's own.
    #[must_use]
    pub fn new(file: Option<PathBuf>, folders: Vec<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            file,
            folders,
            store: OnceLock::new(),
        }))
    }

    /// None at all: for a client that never speaks TLS, so that nothing is read.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(Inner {
            store: OnceLock::from(Arc::new(RootCertStore::empty())),
            ..Inner::default()
        }))
    }

    fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(self.0.store.get_or_init(|| Arc::new(self.0.load())))
    }
}

impl PartialEq for SystemRoots {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.file, &self.0.folders) == (&other.0.file, &other.0.folders)
    }
}

impl Eq for SystemRoots {}

impl fmt::Debug for SystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRoots")
            .field("file", &self.0.file)
            .field("folders", &self.0.folders)
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    fn load(&self) -> RootCertStore {
        let found = self.find();
        let mut roots = RootCertStore::empty();
        // The system's may contain some that the library cannot use. That is not a mistake of the operator.
        roots.add_parsable_certificates(found.certs);
        let cause = found.errors.first().map(ToString::to_string);
        if roots.is_empty() {
            // An image without certificates still reaches plain http servers in a container network.
            let fix = fix!(
                "install them, or name them in {} or {}",
                Knob::SystemCa,
                Knob::SystemCaFolder
            );
            let what = "the system's certificate authorities cannot be read: no https server is trusted but those whose \
                        certificate authority is named for them alone";
            tracing::warn!(cause, "{}", told(what, fix));
        } else if let Some(cause) = cause {
            tracing::warn!(
                cause,
                "some of the system's certificate authorities cannot be read"
            );
        }
        roots
    }

    fn find(&self) -> CertificateResult {
        let usual;
        let (file, folders) = if self.file.is_none() && self.folders.is_empty() {
            // Not the library's own search, which takes a variable that is set but empty for a path.
            usual = openssl_probe::probe();
            (&usual.cert_file, &usual.cert_dir)
        } else {
            (&self.file, &self.folders)
        };
        let mut found = load_certs_from_paths(file.as_deref(), None);
        for folder in folders {
            let more = load_certs_from_paths(None, Some(folder));
            found.certs.extend(more.certs);
            found.errors.extend(more.errors);
        }
        found
    }
}

// === impl Bundle ===

impl Bundle {
    /// Every certificate is trusted, so that anybody on the way can answer. Only for a server of a developer, on this machine
    /// or in a network of containers.
    #[must_use]
    pub const fn unchecked() -> Self {
        Self {
            certificates: Vec::new(),
            is_unchecked: true,
        }
    }

    /// The certificates of a PEM bundle; the library can use each of them.
    ///
    /// # Errors
    ///
    /// [`BundleError`] if it has none, or a broken one.
    pub fn parse(pem: &[u8]) -> Result<Self, BundleError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|error| BundleError::Unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(BundleError::NoBundle);
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| BundleError::Unusable(error.to_string()))?;
        }
        Ok(Self {
            certificates,
            is_unchecked: false,
        })
    }
}

#[cfg(test)]
mod tests;
