//! TLS failures in our own words, with the setting to change. The library's words go to debug.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::diagnostic::{Explained, Fix, Knob, fix};

/// The settings of a server that an operator can change.
#[derive(Clone, Debug)]
pub struct Hints {
    /// The variable with the server's address.
    pub address: Fix,
    /// The variable with further certificate authorities.
    pub authorities: Fix,
}

/// The fault, if `error` comes from TLS.
#[must_use]
pub fn explain(error: &(dyn Error + 'static), hints: &Hints) -> Option<Explained> {
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

fn said(error: &TlsError, hints: &Hints) -> Explained {
    let address = hints.address.clone();
    match error {
        TlsError::InvalidCertificate(error) => of_certificate(error, hints),
        TlsError::InvalidMessage(_) => Explained::new(
            "it does not speak TLS there",
            fix!("correct scheme and port in {}", address),
        ),
        TlsError::PeerIncompatible(_)
        | TlsError::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => Explained::new(
            "it has no version of TLS from 1.2 on, or no cipher, in common with this server",
            fix!("update the server there"),
        ),
        TlsError::AlertReceived(AlertDescription::UnrecognisedName) => Explained::new(
            "the server there does not know this name",
            fix!("correct {}", address),
        ),
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => Explained::new(
            "it wants a client certificate, which this server does not have",
            fix!("name an address without that in {}", address),
        ),
        TlsError::AlertReceived(_) => Explained::new(
            "the server there has broken off the TLS handshake",
            fix!("see why in its log"),
        ),
        TlsError::NoCertificatesPresented => Explained::new(
            "it shows no certificate",
            fix!("let it have one, or correct {}", address),
        ),
        _ => Explained::new(
            "the TLS handshake failed",
            fix!(
                "set {}, with which the log shows what the library says",
                Knob::LogLevel.to("debug")
            ),
        ),
    }
}

fn of_certificate(error: &CertificateError, hints: &Hints) -> Explained {
    let Hints { address, authorities } = hints.clone();
    match error {
        CertificateError::UnknownIssuer => Explained::new(
            "its certificate comes from an authority that is not trusted here",
            fix!("name that authority's certificate in {}", authorities),
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Explained::new(
            "its certificate has expired",
            fix!("renew it there, unless this machine's clock is wrong"),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Explained::new(
            "its certificate is not valid yet",
            fix!("check whether this machine's clock is right"),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Explained::new(
                "its certificate is for other names",
                fix!(
                    "use one of them in {}, or have a certificate made for this one",
                    address
                ),
            )
        }
        CertificateError::Revoked => {
            Explained::new("its certificate has been revoked", fix!("have a new one made"))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Explained::new(
            "its certificate is not for servers",
            fix!("have one made with the extended key usage serverAuth"),
        ),
        _ => Explained::new(
            "its certificate cannot be verified",
            fix!(
                "put a self-signed one, or that of its authority, into {}",
                authorities
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Explain as _;

    fn hints() -> Hints {
        Hints {
            address: Fix::from("BASE_URL"),
            authorities: Fix::from("CA_FILE"),
        }
    }

    #[test]
    fn a_cause_inside_io_errors_is_found() {
        let tls = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::other(tls);
        let outer = io::Error::other(inner);
        assert!(explain(&outer, &hints()).unwrap().told().contains("CA_FILE"));
        assert_eq!(explain(&io::Error::other("something else"), &hints()), None);
        assert_eq!(explain(&io::Error::from(io::ErrorKind::TimedOut), &hints()), None);
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
            (TlsError::General("x".to_owned()), "LogLevel]=debug"),
        ] {
            assert!(said(&error, &hints()).told().contains(part), "{error}");
        }
    }
}
