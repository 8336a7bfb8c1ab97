//! Where keys and state are.

use std::path::{Path, PathBuf};

use super::{parse, reader::Reader};
use crate::{
    jose::SigningKey,
    keys::{self, KeyKind},
};

/// Keys and the folders of the BFF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// What the keys module is started with.
    pub options: keys::Options,
    /// The folder of all that the BFF itself writes.
    pub state_dir: PathBuf,
    /// The file of what registration returned.
    pub credentials: PathBuf,
}

pub(super) fn read(reader: &mut Reader) -> KeySettings {
    let named = reader
        .path("BFF_JWT_SIGNING_KEY")
        .or_else(|| reader.path("DCR_SIGNING_KEY"));
    if let (Some(one), Some(other)) = (reader.path("BFF_JWT_SIGNING_KEY"), reader.path("DCR_SIGNING_KEY"))
        && !same_key(&one, &other)
    {
        reader.complain(
            "DCR_SIGNING_KEY",
            "is another key than BFF_JWT_SIGNING_KEY, or they cannot be compared",
            "remove DCR_SIGNING_KEY: the signing key is registered",
        );
    }
    let dir = reader
        .path("BFF_KEYS_DIR")
        .or_else(|| named.as_deref().and_then(folder))
        .unwrap_or_else(|| PathBuf::from("keys"));
    let signing_key = named.unwrap_or_else(|| dir.join("bff-signing.pem"));
    let state_dir = reader.path("BFF_STATE_DIR").unwrap_or_else(|| dir.clone());
    let credentials = reader
        .path("BFF_CLIENT_CRED_PATH")
        .unwrap_or_else(|| state_dir.join("bff_client.json"));
    let mut identity_markers = Vec::new();
    for marker in [
        credentials.clone(),
        state_dir.join("keyring.json"),
        state_dir.join("bff_client.json"),
        // Where they were before BFF_STATE_DIR was set.
        dir.join("keyring.json"),
        dir.join("bff_client.json"),
    ] {
        if !identity_markers.contains(&marker) {
            identity_markers.push(marker);
        }
    }
    let options = keys::Options {
        signing_key,
        kid: reader.parsed("BFF_KID", |text| parse::visible(text, 128)),
        generate: reader.choice("BFF_KEY_TYPE", &KeyKind::ALL).unwrap_or_default(),
        extra: reader
            .list("BFF_JWKS_EXTRA_KEYS")
            .unwrap_or_default()
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        dir,
        identity_markers,
    };
    KeySettings {
        options,
        state_dir,
        credentials,
    }
}

fn folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    Some(if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    })
}

/// Whether both paths are one key: the same path, the same file, or the same key in two files.
fn same_key(one: &Path, other: &Path) -> bool {
    if one == other {
        return true;
    }
    if let (Ok(one), Ok(other)) = (one.canonicalize(), other.canonicalize())
        && one == other
    {
        return true;
    }
    let thumbprint = |path: &Path| {
        let key = SigningKey::new(keys::read_key(path).ok()?, None).ok()?;
        Some(key.kid().to_owned())
    };
    match (thumbprint(one), thumbprint(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}
