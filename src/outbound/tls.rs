//! Whose certificates the identity provider may show, where `IDP_CA_FILE` names some beside the system's.
//!
//! A self-signed certificate is often made with the mark of an authority (`openssl req -x509` does so), and the library
//! takes no authority's certificate for a server's. Here it counts where the server shows exactly the certificate that
//! the file holds: the operator has named it, and no other.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

use super::BuildError;

/// Protocols that are offered, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Checks a chain as usual, and knows certificates that need none.
#[derive(Debug)]
struct WithOwn {
    usual: Arc<dyn ServerCertVerifier>,
    own: Vec<CertificateDer<'static>>,
}

/// Whether every certificate of a PEM bundle can be used; reads nothing of the system's.
///
/// # Errors
///
/// [`BuildError::CaBundle`].
pub(super) fn check(bundle: &[u8]) -> Result<(), BuildError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(bundle)? {
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(())
}

/// TLS that trusts the certificates of a PEM bundle beside the system's.
///
/// # Errors
///
/// [`BuildError`].
pub(super) fn config(bundle: &[u8]) -> Result<ClientConfig, BuildError> {
    let own = certificates(bundle)?;
    let provider = CryptoProvider::get_default()
        .cloned()
        .ok_or_else(|| BuildError::Client("no provider of TLS is installed".to_owned()))?;
    let usual = rustls_platform_verifier::Verifier::new_with_extra_roots(own.clone(), Arc::clone(&provider))
        .map_err(unusable)?;
    let verifier = WithOwn {
        usual: Arc::new(usual),
        own,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Client(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn certificates(bundle: &[u8]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle).collect();
    let certificates = certificates.map_err(|error| BuildError::CaBundle(error.to_string()))?;
    if certificates.is_empty() {
        return Err(BuildError::CaBundle("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unusable(error: TlsError) -> BuildError {
    BuildError::CaBundle(error.to_string())
}

/// Whether nothing is wrong with the certificate but that it is an authority's. That is found out after its dates have
/// been checked, which a test holds the library to.
fn is_authority(error: &TlsError) -> bool {
    let TlsError::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else {
        return false;
    };
    cause.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

// === impl WithOwn ===

impl ServerCertVerifier for WithOwn {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let usual = self
            .usual
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match usual {
            Err(error)
                if is_authority(&error) && self.own.contains(end_entity) && is_self_issued(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            usual => usual,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
