//! `clients.yaml`: the registered clients, so that they outlive a restart.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    atomic_file,
    client::Client,
    options::{ConfigError, from_yaml},
};

const HEADER: &str = "# Written by the IdP at every registration; secrets and tokens only as SHA-256.\n";

/// The registered clients by id, and the file behind them.
pub(crate) struct Clients {
    file: Option<PathBuf>,
    clients: BTreeMap<String, Client>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `None` is the rest after somebody has removed the last client by hand.
    #[serde(default)]
    clients: Option<Vec<Client>>,
}

/// The file could not be written; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The YAML could not be made.
    #[error("cannot write clients as YAML: {0}")]
    Yaml(String),
    /// The disk refused.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

// === impl Clients ===

impl Clients {
    /// Reads the file if it is there.
    pub(crate) fn load(file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let Some(path) = file else {
            return Ok(Self {
                file: None,
                clients: BTreeMap::new(),
            });
        };
        let yaml = match fs::read_to_string(&path) {
            Ok(yaml) => yaml,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let only_comments = yaml
            .lines()
            .all(|line| line.trim().is_empty() || line.starts_with('#'));
        let parsed = if only_comments {
            Vec::new()
        } else {
            from_yaml::<File>("clients.yaml", &yaml)?
                .clients
                .unwrap_or_default()
        };
        let mut clients = BTreeMap::new();
        for client in parsed {
            if let Some(twin) = clients.insert(client.client_id.clone(), client) {
                return Err(ConfigError::Invalid {
                    name: "clients.yaml".to_owned(),
                    reason: format!("client_id `{}` stands there twice", twin.client_id),
                });
            }
        }
        Ok(Self {
            file: Some(path),
            clients,
        })
    }

    pub(crate) fn get(&self, client_id: &str) -> Option<&Client> {
        self.clients.get(client_id)
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.clients.keys().cloned().collect()
    }

    pub(crate) fn insert(&mut self, client: Client) -> Result<(), StoreError> {
        let mut next = self.clients.clone();
        next.insert(client.client_id.clone(), client);
        self.replace(next)
    }

    pub(crate) fn remove(&mut self, client_id: &str) -> Result<bool, StoreError> {
        let mut next = self.clients.clone();
        let removed = next.remove(client_id).is_some();
        if removed {
            self.replace(next)?;
        }
        Ok(removed)
    }

    /// The file is written first: the memory is never ahead of the disk.
    fn replace(&mut self, next: BTreeMap<String, Client>) -> Result<(), StoreError> {
        if let Some(path) = &self.file {
            let file = File {
                clients: Some(next.values().cloned().collect()),
            };
            let yaml = serde_saphyr::to_string(&file).map_err(|error| StoreError::Yaml(error.to_string()))?;
            atomic_file::write(path, format!("{HEADER}{yaml}").as_bytes()).map_err(|source| {
                StoreError::Write {
                    path: path.clone(),
                    source,
                }
            })?;
        }
        self.clients = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "clients:
- client_id: bff-server
  client_name: BFF
  token_endpoint_auth_method: private_key_jwt
  jwks_uri: https://bff.example/.well-known/jwks.json
  redirect_uris:
  - https://a.example/auth/callback
  - https://b.example/auth/callback
  grant_types:
  - authorization_code
  response_types:
  - code
  scope: openid profile
";

    #[test]
    fn a_file_from_which_the_last_client_was_taken_by_hand_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.yaml");
        for text in ["clients:\n", "clients: []\n", "# nothing\n", ""] {
            fs::write(&path, text).unwrap();
            assert!(
                Clients::load(Some(path.clone())).unwrap().ids().is_empty(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_written_reads_as_documented_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.yaml");
        let client = from_yaml::<File>("seed", SEED)
            .unwrap()
            .clients
            .unwrap()
            .remove(0);
        let mut clients = Clients::load(Some(path.clone())).unwrap();
        clients.insert(client).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{HEADER}{SEED}"));
        let again = Clients::load(Some(path.clone())).unwrap();
        assert_eq!(again.get("bff-server").unwrap().scope, "openid profile");
        clients.remove("bff-server").unwrap();
        assert!(Clients::load(Some(path)).unwrap().get("bff-server").is_none());
    }

    #[test]
    fn a_client_that_stands_there_twice_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.yaml");
        let twice = format!("{SEED}{}", SEED.trim_start_matches("clients:\n"));
        fs::write(&path, twice).unwrap();
        let message = Clients::load(Some(path)).err().unwrap().to_string();
        assert!(message.contains("bff-server"), "{message}");
    }
}
