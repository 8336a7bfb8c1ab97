//! The advice for a file that contains no usable key.

use super::{KeyProblem, UnusableKey};
use crate::diagnostic::{Explain, Fix, Knob, fix};

// === impl UnusableKey ===

impl Explain for UnusableKey {
    fn fix(&self) -> Option<Fix> {
        Some(match &self.problem {
            KeyProblem::Missing => fix!(
                "start the server, which makes it on a first start; otherwise correct the path, or mount the volume that holds it"
            ),
            KeyProblem::Unreadable(refused) => refused.fix().unwrap_or_else(|| {
                fix!("the user that runs bff needs read permission on the file and its folders")
            }),
            KeyProblem::Exposed(exposed) => return exposed.fix(),
            KeyProblem::NotAFile(_) => fix!("name the PEM file itself"),
            KeyProblem::Folder => fix!(
                "name the PEM file itself; where a bind mount names it, the file was missing on the host and the container engine made \
                 the folder: remove it there, put the PEM file in its place, and make the container anew"
            ),
            KeyProblem::OtherForm(form) => Fix::from(form.remedy()),
            KeyProblem::TooLarge => fix!("name the PEM file; this is probably another one"),
            KeyProblem::Empty => {
                fix!("restore it from a backup, or remove it to have a new key made on a first start")
            }
            KeyProblem::NotPem => fix!("name the PEM file of the private key"),
            KeyProblem::Damaged(_) => {
                fix!("copy the file again, and check it with `openssl pkey -in FILE -noout -check`")
            }
            KeyProblem::Encrypted => {
                fix!("store it decrypted with mode 0600: `openssl pkey -in FILE -out key.pem`")
            }
            KeyProblem::PublicOnly | KeyProblem::Certificate => {
                fix!("name the file with the private key that belongs to it")
            }
            KeyProblem::OpenSsh => fix!("convert a copy with `ssh-keygen -p -m PKCS8 -f FILE`"),
            KeyProblem::NoPrivateKey => fix!(
                "store it as `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1)"
            ),
            KeyProblem::SeveralKeys(_) => {
                fix!("leave one in it, and name files for more in {}", Knob::ExtraKeys)
            }
            KeyProblem::RsaTooSmall(_) => fix!(
                "make a new one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem`"
            ),
            KeyProblem::RsaTooLarge(_) => fix!("use one of 2048 or 3072 bits"),
            KeyProblem::RsaInvalid => fix!("make a new one, or copy the file again"),
            KeyProblem::RsaPss => fix!("use a plain RSA key, which signs PS256 as well"),
            KeyProblem::Dsa | KeyProblem::UnsupportedType(_) => fix!("use RSA, P-256 or Ed25519"),
        })
    }
}
