//! TLS failures in words of ours, with the variable that helps. What the library says goes to debug.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// What is wrong, if `error` comes from TLS.
pub(super) fn explain(error: &(dyn Error + 'static)) -> Option<&'static str> {
    find(error).map(said)
}

/// The first error of TLS among the causes. An `io::Error` leaves what it wraps out of its own causes.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

const fn said(error: &TlsError) -> &'static str {
    match error {
        TlsError::InvalidCertificate(error) => of_certificate(error),
        TlsError::InvalidMessage(_) => {
            "it does not speak TLS there (correct scheme and port in OIDC_ISSUER or IDP_BASE_URL)"
        }
        TlsError::PeerIncompatible(_)
        | TlsError::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => {
            "it has no version of TLS from 1.2 on, or no cipher, in common with this server (update what answers there)"
        }
        TlsError::AlertReceived(AlertDescription::UnrecognisedName) => {
            "what answers there does not know this name (correct OIDC_ISSUER or IDP_BASE_URL)"
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a client certificate, which this server does not have (let IDP_BASE_URL name an address without that)"
        }
        TlsError::AlertReceived(_) => {
            "what answers there has broken off the TLS handshake (its log says why)"
        }
        TlsError::NoCertificatesPresented => {
            "it shows no certificate (let it have one, or correct IDP_BASE_URL)"
        }
        _ => "the TLS handshake failed (LOG_LEVEL=debug shows what the library says)",
    }
}

const fn of_certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate comes from an authority that is not trusted here (name that authority's certificate in \
             IDP_CA_FILE)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired (renew it there, unless this machine's clock is wrong)"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet (is this machine's clock right?)"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for other names (use one of them in OIDC_ISSUER or IDP_BASE_URL, or have a certificate made \
             for this one)"
        }
        CertificateError::Revoked => "its certificate has been revoked (have a new one made)",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for servers (have one made with the extended key usage serverAuth)"
        }
        _ => {
            "its certificate cannot be verified (a self-signed one, or that of its authority, belongs into IDP_CA_FILE)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_inside_io_errors_is_found() {
        let tls = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::other(tls);
        let outer = io::Error::other(inner);
        assert!(explain(&outer).unwrap().contains("IDP_CA_FILE"));
        assert_eq!(explain(&io::Error::other("something else")), None);
        assert_eq!(explain(&io::Error::from(io::ErrorKind::TimedOut)), None);
    }

    #[test]
    fn each_failure_says_what_to_change() {
        for (error, part) in [
            (TlsError::InvalidCertificate(CertificateError::Expired), "clock"),
            (
                TlsError::InvalidCertificate(CertificateError::NotValidYet),
                "clock",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::NotValidForName),
                "OIDC_ISSUER",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::BadSignature),
                "IDP_CA_FILE",
            ),
            (TlsError::AlertReceived(AlertDescription::HandshakeFailure), "1.2"),
            (
                TlsError::AlertReceived(AlertDescription::UnrecognisedName),
                "IDP_BASE_URL",
            ),
            (TlsError::General("x".to_owned()), "debug"),
        ] {
            assert!(said(&error).contains(part), "{error}");
        }
    }
}
