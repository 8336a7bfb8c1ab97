//! The certificate by which a service knows this server: `client_cert_path` and `client_key_path`.

use super::mistakes::{Fields, Mistake, Reader, shown};
use crate::{tls::Identity, yaml::At};

const CERTIFICATE: &str = "client_cert_path";
const KEY: &str = "client_key_path";

// === impl Reader ===

impl Reader<'_> {
    /// The certificate, if the service names a usable one.
    pub(super) fn identity(&mut self, fields: &Fields<'_>, is_https: bool) -> Option<Identity> {
        let what = &fields.what;
        let (certificate, key) = match (fields.get(CERTIFICATE), fields.get(KEY)) {
            (None, None) => return None,
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(one), None) => return self.lonely(one.at(), what, CERTIFICATE, KEY),
            (None, Some(one)) => return self.lonely(one.at(), what, KEY, CERTIFICATE),
        };
        if !is_https {
            self.mistake(
                certificate.at(),
                format!("{what} has a {CERTIFICATE}, and its base_url is http"),
                format!("write https in base_url, or remove {CERTIFICATE} and {KEY}"),
            );
            return None;
        }
        let certificate_file = self.text(certificate, &format!("{CERTIFICATE} of {what}"))?;
        let key_file = self.text(key, &format!("{KEY} of {what}"))?;
        let read = match (self.file(certificate_file), self.file(key_file)) {
            (Some(certificate), Some(key)) => {
                Identity::read(&certificate, &key).map_err(|error| error.to_string())
            }
            (None, _) | (_, None) => Err("they cannot be read here".to_owned()),
        };
        match read {
            Ok(identity) => Some(identity),
            Err(problem) => {
                self.mistakes.push(Mistake {
                    at: certificate.at(),
                    problem: format!(
                        "{CERTIFICATE} {} and {KEY} {} of {what} cannot be used: {problem}",
                        shown(certificate_file),
                        shown(key_file)
                    ),
                    fix: "name a PEM file with the certificate and its chain, and one with its private key; relative paths begin in the \
                          folder of routes.yaml"
                        .to_owned(),
                });
                None
            }
        }
    }

    fn lonely(&mut self, at: At, what: &str, has: &str, lacks: &str) -> Option<Identity> {
        self.mistake(
            at,
            format!("{what} has a {has}, and no {lacks}"),
            format!("add {lacks}, or remove {has}"),
        );
        None
    }
}
