//! A match: the path at the service, and the prefix that it does not see.

use std::path::PathBuf;

use http::HeaderValue;

use super::{Match, Prefix};

// === impl Match ===

impl<'a> Match<'a> {
    /// The URI at the service: its origin, the mapped path, and `query` byte for byte.
    pub(in crate::gateway) fn uri(&self, query: Option<&str>) -> Result<http::Uri, http::Error> {
        let service = &self.route.service;
        let path_and_query = self.route.target.path_and_query(service.base_path(), self, query);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(service.scheme().clone());
        parts.authority = Some(service.authority().clone());
        parts.path_and_query = Some(http::uri::PathAndQuery::from_maybe_shared(path_and_query)?);
        Ok(http::Uri::from_parts(parts)?)
    }

    /// The URL that the service gets, for messages.
    #[must_use]
    pub fn sent(&self, query: Option<&str>) -> Option<String> {
        let uri = self.uri(query).ok()?;
        let service = &self.route.service;
        Some(match (service.socket(), uri.path_and_query()) {
            (Some(_), Some(target)) => format!("{target} over {}", service.origin_text()),
            _ => uri.to_string(),
        })
    }

    /// The path below the folder of its service.
    pub(in crate::gateway) fn file_path(&self) -> Option<String> {
        let path = self.route.target.path_and_query("", self, None);
        String::from_utf8(path.into()).ok()
    }

    /// The file that the path leads to, whether it exists or not, for messages. `None` if its service is no folder, or serves
    /// no file of this name.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let folder = self.route.service.folder()?;
        folder.file_of(&self.file_path()?, self.route.is_well_known())
    }

    /// The value of a parameter, in the spelling that was matched.
    pub(super) fn param(&self, index: usize) -> Option<&'a str> {
        self.params.get(index, self.path.as_str())
    }

    /// The path without the part that matches a trailing `*`.
    pub(super) fn public_prefix(&self) -> &'a str {
        let path = self.path.as_str();
        &path[..path.len() - self.rest.len()]
    }

    /// The prefix of the public path that the service does not see, for `X-Forwarded-Prefix`.
    pub(in crate::gateway) fn forwarded_prefix(&self) -> Option<HeaderValue> {
        match &self.route.forwarded_prefix {
            Prefix::Nothing => None,
            Prefix::Fixed(prefix) => Some(prefix.clone()),
            Prefix::OfPath => HeaderValue::from_str(self.public_prefix()).ok(),
        }
    }
}
