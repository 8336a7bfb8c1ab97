//! The files of keys and state.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Config, parse, reader::Reader, session::StoreKind};
use crate::{
    jose::SigningKey,
    keys::{self, KeyKind, Policy, Rotation},
};

/// An IdP that respects our `Cache-Control` may learn of a new key only after this time: it may cache the document
/// for five minutes, and the folder is read every few seconds.
const SOONEST_KNOWN: Duration = Duration::from_mins(6);

/// Keys and the folders of the BFF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// The options of the keys module.
    pub options: keys::Options,
    /// How keys are rotated.
    pub policy: Policy,
    /// The folder for all files that the BFF itself writes.
    pub state_dir: PathBuf,
    /// The file with the answer to the registration.
    pub credentials: PathBuf,
    /// Where replicas find the shared registration, and which key signs.
    pub state_store: StateStore,
}

/// The store of the replicas' shared state, beside sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateStore {
    /// In files, in a folder that all replicas mount.
    Files,
    /// In the Redis of the sessions.
    Redis,
}

pub(super) fn read(reader: &mut Reader) -> KeySettings {
    let own = reader.path("BFF_JWT_SIGNING_KEY");
    let registered = reader.path("DCR_SIGNING_KEY");
    if let (Some(own), Some(registered)) = (&own, &registered)
        && !same_key(own, registered)
    {
        reader.complain(
            "DCR_SIGNING_KEY",
            "is another key than BFF_JWT_SIGNING_KEY, or they cannot be compared",
            "remove DCR_SIGNING_KEY: the signing key is registered",
        );
    }
    let named = own.or(registered);
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
        // Their place before BFF_STATE_DIR was set.
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
        extra: reader.paths("BFF_JWKS_EXTRA_KEYS").unwrap_or_default(),
        dir,
        identity_markers,
        guard: reader.guard(),
    };
    KeySettings {
        options,
        policy: policy(reader),
        state_dir,
        credentials,
        state_store: StateStore::Files,
    }
}

/// The store of the replicas' shared state, which depends on the store of sessions.
pub(super) fn read_state_store(reader: &mut Reader, sessions: &StoreKind, policy: &Policy) -> StateStore {
    let has_redis = matches!(sessions, StoreKind::Redis(_));
    let chosen = reader.choice("BFF_STATE_STORE", &[StateStore::Files, StateStore::Redis]);
    if chosen == Some(StateStore::Redis) && !has_redis {
        reader.complain(
            "BFF_STATE_STORE",
            "is `redis`, but the sessions are not in Redis",
            "set REDIS_URL, or remove BFF_STATE_STORE",
        );
        return StateStore::Files;
    }
    let store = match chosen {
        Some(store) => store,
        None if has_redis => StateStore::Redis,
        None => StateStore::Files,
    };
    if store == StateStore::Redis && policy.rotate_after.is_some() {
        reader.complain(
            "BFF_JWK_ROTATE_AFTER_DAYS",
            "lets a replica make keys that the others do not have: they have no folder in common (BFF_STATE_STORE is \
             `redis`)",
            "set it to 0 and mount the next PEM on all replicas (docs/keys.md); or set BFF_STATE_STORE=files, if all \
             replicas mount BFF_KEYS_DIR and BFF_STATE_DIR from one volume",
        );
    }
    store
}

fn policy(reader: &mut Reader) -> Policy {
    let days = |days: u64| Duration::from_hours(24).saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
    let defaults = Policy::default();
    let rotate_after = reader.number("BFF_JWK_ROTATE_AFTER_DAYS", 0, 0, 3_650);
    let retire_after = reader.number("BFF_JWK_RETIRE_AFTER_DAYS", 60, 1, 3_650);
    let max_keys = reader.number("BFF_JWK_MAX_KEYS", 3, 2, 20);
    let policy = Policy {
        rotate_after: (rotate_after > 0).then(|| days(rotate_after)),
        retire_after: days(retire_after),
        max_keys: usize::try_from(max_keys).unwrap_or(defaults.max_keys),
        publish_ahead: reader.duration("BFF_JWK_PUBLISH_AHEAD", defaults.publish_ahead),
    };
    if policy
        .rotate_after
        .is_some_and(|after| after <= policy.publish_ahead)
    {
        reader.complain(
            "BFF_JWK_ROTATE_AFTER_DAYS",
            "is not longer than BFF_JWK_PUBLISH_AHEAD: a key would be replaced before its successor may sign",
            "rotate less often, or shorten BFF_JWK_PUBLISH_AHEAD",
        );
    }
    if policy.publish_ahead < SOONEST_KNOWN {
        reader.warn(
            "BFF_JWK_PUBLISH_AHEAD",
            "is shorter than an IdP may keep our keys (5 minutes): one that does not ask again for an unknown key refuses \
             us after a rotation until it does",
        );
    }
    policy
}

// === impl Config ===

impl Config {
    /// How keys are rotated, and where that is stored.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        Rotation {
            state_dir: self.keys.state_dir.clone(),
            policy: self.keys.policy,
            algorithm: self.client.signing_algorithm,
        }
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
