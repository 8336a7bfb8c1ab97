//! Who we are at the provider.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{jose::Algorithm, secret::Secret};

/// A registered client, from registration or the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client id (RFC 6749 section 2.2).
    pub id: String,
    /// How it proves that.
    pub auth: ClientAuthentication,
}

/// How a client authenticates (OpenID Connect Core 1.0 section 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// A signed assertion (RFC 7523 section 2.2).
    PrivateKeyJwt {
        /// The registered algorithm.
        algorithm: Algorithm,
    },
    /// The secret in the `Authorization` header (RFC 6749 section 2.3.1).
    ClientSecretBasic(Secret),
    /// The secret in the body (RFC 6749 section 2.3.1).
    ClientSecretPost(Secret),
}

/// Registration puts the client here, and all others read it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ClientSlot {
    client: Arc<watch::Sender<Option<Arc<Client>>>>,
}

// === impl ClientAuthentication ===

impl ClientAuthentication {
    /// Its name in `token_endpoint_auth_method` (RFC 7591 section 2).
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::ClientSecretBasic(_) => "client_secret_basic",
            Self::ClientSecretPost(_) => "client_secret_post",
        }
    }
}

// === impl ClientSlot ===

impl ClientSlot {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `client` in; replaces another one.
    pub fn set(&self, client: Client) {
        self.client.send_replace(Some(Arc::new(client)));
    }

    /// The client, if there is one yet.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Client>> {
        self.client.borrow().clone()
    }

    /// Waits until there is a client.
    pub async fn wait(&self) -> Arc<Client> {
        let mut client = self.client.subscribe();
        loop {
            if let Some(client) = client.borrow_and_update().clone() {
                return client;
            }
            if client.changed().await.is_err() {
                // Impossible, because we hold the sender. There will never be a client then.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caller_that_waits_gets_the_client_that_arrives() {
        let slot = ClientSlot::new();
        assert_eq!(slot.get(), None);
        let waiting = slot.wait();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let client = Client {
            id: "bff-server".to_owned(),
            auth: ClientAuthentication::ClientSecretPost(Secret::from("hunter2")),
        };
        slot.clone().set(client.clone());
        assert_eq!(*waiting.await, client);
        assert_eq!(*slot.wait().await, client);
        assert!(!format!("{slot:?}").contains("hunter2"));
    }
}
