//! The address of Redis, if it stores the sessions.

use std::path::PathBuf;

use super::{problem::Complaint, provider::read_ca_bundle, reader::Reader};
use crate::{
    access::Need,
    secret::Secret,
    session::{RedisCertificateError, RedisOptions},
};

/// The files of certificates and of the key of one.
pub(super) const CERTIFICATES: [&str; 3] = ["REDIS_CA_FILE", "REDIS_CLIENT_CERT_FILE", "REDIS_CLIENT_KEY"];

/// The settings beside the URL. They are checked even without a URL, so that an invalid path is reported.
pub(super) struct Certificates {
    authorities: Option<PathBuf>,
    own: Option<PathBuf>,
    key: Option<Secret>,
}

impl Certificates {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            authorities: reader.path("REDIS_CA_FILE"),
            own: reader.path("REDIS_CLIENT_CERT_FILE"),
            key: reader.secret("REDIS_CLIENT_KEY"),
        }
    }
}

/// `REDIS_URL` and the certificates. `None` without it, or after a complaint.
pub(super) fn read(reader: &mut Reader, certificates: Certificates) -> Option<RedisOptions> {
    let url = reader.secret("REDIS_URL")?;
    let options = match RedisOptions::parse(url.expose()) {
        Ok(options) => options,
        Err(error) => {
            reader.complain("REDIS_URL", error.to_string(), error.fix());
            return None;
        }
    };
    let given = CERTIFICATES.into_iter().find(|name| reader.is_set(name));
    if let Some(name) = given.filter(|_| !options.is_encrypted()) {
        reader.complain(
            name,
            "is set, but REDIS_URL does not use TLS",
            "write rediss:// (rediss+sentinel://, rediss+cluster://) in REDIS_URL, or remove it",
        );
        return None;
    }
    let options = trusting(reader, options, certificates.authorities)?;
    showing(reader, options, certificates.own, certificates.key)
}

fn trusting(
    reader: &mut Reader,
    options: RedisOptions,
    authorities: Option<PathBuf>,
) -> Option<RedisOptions> {
    let Some(path) = authorities else {
        return Some(options);
    };
    let bundle = reader.parsed("REDIS_CA_FILE", |_| read_ca_bundle(&path))?;
    // It was read as a bundle just now.
    options.trust(bundle).ok()
}

fn showing(
    reader: &mut Reader,
    options: RedisOptions,
    own: Option<PathBuf>,
    key: Option<Secret>,
) -> Option<RedisOptions> {
    match (own, key) {
        (None, None) => Some(options),
        (Some(path), Some(key)) => {
            let certificate = reader.parsed("REDIS_CLIENT_CERT_FILE", |_| {
                std::fs::read(&path).map_err(|error| {
                    Complaint::unreadable(
                        &path,
                        Need::Read,
                        &error,
                        "correct the path, or put the file there",
                    )
                })
            })?;
            match options.show(certificate, key) {
                Ok(options) => Some(options),
                Err(error) => {
                    let name = match error {
                        RedisCertificateError::Key => "REDIS_CLIENT_KEY",
                        RedisCertificateError::Certificate | RedisCertificateError::Apart => {
                            "REDIS_CLIENT_CERT_FILE"
                        }
                    };
                    reader.complain(name, error.to_string(), error.fix());
                    None
                }
            }
        }
        (Some(_), None) => {
            reader.complain(
                "REDIS_CLIENT_CERT_FILE",
                "is set, but the key of that certificate is not",
                "name its file in REDIS_CLIENT_KEY_FILE",
            );
            None
        }
        (None, Some(_)) => {
            reader.complain(
                "REDIS_CLIENT_KEY",
                "is set, but the certificate of that key is not",
                "name its file in REDIS_CLIENT_CERT_FILE",
            );
            None
        }
    }
}
