//! The way to other servers: proxies, and the certificate authorities that count for all of them.

use std::path::{Path, PathBuf};

use super::{
    path::{self, Leads},
    problem::Complaint,
    reader::Reader,
};
use crate::{
    proxy::{Direct, Mistake, Proxies, Proxy},
    tls::{self, SystemRoots},
};

/// The way to other servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The proxies of calls.
    pub proxies: Proxies,
    /// The certificate authorities that count for every server.
    pub roots: SystemRoots,
}

pub(super) fn read(reader: &mut Reader) -> NetworkSettings {
    let https = proxy(reader, "HTTPS_PROXY");
    let http = proxy(reader, "HTTP_PROXY");
    let direct = reader.entries("NO_PROXY", |text| Direct::parse(text).map_err(complaint));
    let file = reader.path("SSL_CERT_FILE");
    if let Some(file) = &file {
        reader.parsed("SSL_CERT_FILE", |_| authorities(file));
    }
    let folders = reader.parsed("SSL_CERT_DIR", folders).unwrap_or_default();
    NetworkSettings {
        proxies: Proxies::new(https, http, direct.unwrap_or_default()),
        roots: SystemRoots::new(file, folders),
    }
}

fn proxy(reader: &mut Reader, name: &'static str) -> Option<Proxy> {
    let text = reader.text(name)?;
    match Proxy::parse(name, &text) {
        Ok(proxy) => Some(proxy),
        Err(mistake) => {
            match without_credentials(&text) {
                Some(part) => reader.refuse_showing(name, complaint(mistake), &part),
                None => reader.refuse(name, complaint(mistake)),
            }
            None
        }
    }
}

/// The printable part of a proxy's value. Everything before an `@` may be a password, and so may the text after a
/// colon if no host follows it.
fn without_credentials(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    if let Some((_, part)) = rest.rsplit_once('@') {
        return Some(format!("{scheme}{part}"));
    }
    let port = rest.rsplit_once(':').map_or("", |(_, port)| port);
    let port = port.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then(|| text.to_owned())
}

fn authorities(file: &Path) -> Result<(), Complaint> {
    tls::read_bundle(file).map(|_| ()).map_err(|error| {
        Complaint::new(
            error.to_string(),
            "name a PEM file with the certificates of authorities, or remove the variable to use those of the system",
        )
    })
}

fn folders(text: &str) -> Result<Vec<PathBuf>, Complaint> {
    let folders = text.split(':').filter(|folder| !folder.is_empty());
    folders
        .map(|folder| {
            let folder = path::parse(folder, Leads::ToFolder)?;
            if folder.is_dir() {
                Ok(folder)
            } else {
                Err(Complaint::new(
                    "names a folder that is not there",
                    "correct it, or remove the variable to use the system's authorities",
                ))
            }
        })
        .collect()
}

fn complaint(mistake: Mistake) -> Complaint {
    Complaint::new(mistake.message, mistake.fix)
}
