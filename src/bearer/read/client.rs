//! The client that asks about tokens and exchanges them.

use std::{fs, path::Path};

use super::super::idps::IdpClient;
use crate::{
    secret::Secret,
    yaml::{Fields, Reader, shown},
};

/// A larger file of a secret is a mistake, in bytes.
const MAX_SECRET: u64 = 4096;

// === impl Reader ===

impl Reader<'_> {
    /// The client that asks about tokens and exchanges them. This server is a client of the issuer of its logins alone.
    pub(super) fn client(
        &mut self,
        fields: &Fields<'_>,
        issuer: Option<&str>,
        login_issuer: &str,
        exchanges: bool,
    ) -> Option<IdpClient> {
        let what = &fields.what;
        let id = fields
            .get("client_id")
            .and_then(|node| Some((node, self.text(node, &format!("client_id of {what}"))?)));
        let secret = self.secret(fields);
        match id {
            Some((node, id)) if id.is_empty() || !id.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
                self.mistake(
                    node.at(),
                    format!("client_id of {what} is {}", shown(id)),
                    "write the id that the issuer has assigned",
                );
                None
            }
            Some((_, id)) => Some(IdpClient {
                id: id.to_owned(),
                secret,
            }),
            None => {
                for key in ["client_secret", "client_secret_file"] {
                    if let Some(node) = fields.get(key) {
                        self.mistake(
                            node.at(),
                            format!("{what} has {key} but no client_id"),
                            "add client_id, or remove it",
                        );
                    }
                }
                let is_other = issuer.is_some_and(|issuer| issuer != login_issuer);
                for (key, needs) in [("introspection_url", true), ("enable_token_exchange", exchanges)] {
                    if let (Some(node), true) = (fields.get(key), is_other && needs) {
                        self.mistake(
                            node.at(),
                            format!(
                                "{what} has {key} but no client_id, and this server is a client of {} only",
                                shown(login_issuer)
                            ),
                            "add client_id, and client_secret unless the issuer knows the keys of this server",
                        );
                    }
                }
                None
            }
        }
    }

    fn secret(&mut self, fields: &Fields<'_>) -> Option<Secret> {
        let what = &fields.what;
        let (node, path) = match (fields.get("client_secret"), fields.get("client_secret_file")) {
            (None, None) => return None,
            (Some(_), Some(node)) => {
                self.mistake(
                    node.at(),
                    format!("{what} has both client_secret and client_secret_file"),
                    "keep one of them",
                );
                return None;
            }
            (None, Some(node)) => (node, self.text(node, &format!("client_secret_file of {what}"))?),
            (Some(node), None) => {
                let text = self.text(node, &format!("client_secret of {what}"))?;
                match text.strip_prefix("file:") {
                    Some(path) => (node, path),
                    None if text.is_empty() => {
                        self.mistake(
                            node.at(),
                            format!("client_secret of {what} is empty"),
                            "write it, or remove it",
                        );
                        return None;
                    }
                    None => return Some(Secret::from(text)),
                }
            }
        };
        let read = self.file(path).and_then(|path| read_secret(&path));
        if read.is_none() {
            self.mistake(
                node.at(),
                format!(
                    "the file of the secret of {what}, {}, cannot be read, or is empty",
                    shown(path)
                ),
                "write the secret alone into it, and let the user that runs the server read it",
            );
        }
        read
    }
}

/// The text of a small file without the line break at its end.
fn read_secret(path: &Path) -> Option<Secret> {
    let length = fs::metadata(path).ok()?.len();
    if length > MAX_SECRET {
        return None;
    }
    let text = Secret::new(fs::read_to_string(path).ok()?);
    let secret = text.expose().trim_end_matches(['\r', '\n']);
    (!secret.is_empty()).then(|| Secret::from(secret))
}
