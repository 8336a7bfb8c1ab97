//! TLS failures in our own words, with the setting to change. The library's words go to debug.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// The settings of a server that an operator can change, as messages name them.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// The variable with the server's address.
    pub address: &'static str,
    /// The variable with further certificate authorities.
    pub authorities: &'static str,
}

/// The fault, if `error` comes from TLS.
#[must_use]
pub fn explain(error: &(dyn Error + 'static), hints: &Hints) -> Option<String> {
    find(error).map(|error| said(error, hints))
}

/// The first TLS error among the causes. An `io::Error` omits the wrapped error from its own causes.
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

fn said(error: &TlsError, hints: &Hints) -> String {
    let address = hints.address;
    match error {
        TlsError::InvalidCertificate(error) => of_certificate(error, hints),
        TlsError::InvalidMessage(_) => {
            format!("it does not speak TLS there (correct scheme and port in {address})")
        }
        TlsError::PeerIncompatible(_)
        | TlsError::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => {
            "it has no version of TLS from 1.2 on, or no cipher, in common with this server (update what answers there)"
                .to_owned()
        }
        TlsError::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("what answers there does not know this name (correct {address})")
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => format!(
            "it wants a client certificate, which this server does not have (name an address without that in {address})"
        ),
        TlsError::AlertReceived(_) => {
            "what answers there has broken off the TLS handshake (its log says why)".to_owned()
        }
        TlsError::NoCertificatesPresented => {
            format!("it shows no certificate (let it have one, or correct {address})")
        }
        _ => "the TLS handshake failed (LOG_LEVEL=debug shows what the library says)".to_owned(),
    }
}

fn of_certificate(error: &CertificateError, hints: &Hints) -> String {
    let Hints { address, authorities } = hints;
    match error {
        CertificateError::UnknownIssuer => format!(
            "its certificate comes from an authority that is not trusted here (name that authority's certificate in \
             {authorities})"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired (renew it there, unless this machine's clock is wrong)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet (is this machine's clock right?)".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "its certificate is for other names (use one of them in {address}, or have a certificate made for this one)"
        ),
        CertificateError::Revoked => "its certificate has been revoked (have a new one made)".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for servers (have one made with the extended key usage serverAuth)"
                .to_owned()
        }
        _ => format!(
            "its certificate cannot be verified (a self-signed one, or that of its authority, belongs into {authorities})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: Hints = Hints {
        address: "BASE_URL",
        authorities: "CA_FILE",
    };

    #[test]
    fn a_cause_inside_io_errors_is_found() {
        let tls = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::other(tls);
        let outer = io::Error::other(inner);
        assert!(explain(&outer, &HINTS).unwrap().contains("CA_FILE"));
        assert_eq!(explain(&io::Error::other("something else"), &HINTS), None);
        assert_eq!(explain(&io::Error::from(io::ErrorKind::TimedOut), &HINTS), None);
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
                "BASE_URL",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::InvalidPurpose),
                "serverAuth",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::BadSignature),
                "CA_FILE",
            ),
            (TlsError::AlertReceived(AlertDescription::HandshakeFailure), "1.2"),
            (
                TlsError::AlertReceived(AlertDescription::UnrecognisedName),
                "BASE_URL",
            ),
            (TlsError::General("x".to_owned()), "debug"),
        ] {
            assert!(said(&error, &HINTS).contains(part), "{error}");
        }
    }
}
