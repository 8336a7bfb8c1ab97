//! An entry of `services`.

use std::time::Duration;

use http::uri::{Authority, Scheme};

use super::{
    super::Service,
    legacy::Place,
    mistakes::{Mistake, Reader, shown},
};
use crate::{
    duration,
    gateway::{NormalPath, headers::Rules},
    tls::{Bundle, read_bundle},
    yaml::{Key, Node},
};

/// The keys of an entry.
pub(in crate::gateway::routes) const KEYS: [&str; 5] =
    ["base_url", "ca_file", "timeout", "headers", "rewrite"];

/// For services that name no `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn service(&mut self, key: &Key, node: &Node) -> Option<Service> {
        let fields = self.fields_of(
            Some(Place::Service),
            node,
            format!("service {}", shown(&key.name)),
            &KEYS,
        );
        self.id(&key.name, key.at(), "a service");
        let fields = fields?;
        let timeout = match fields.get("timeout") {
            None => Some(DEFAULT_TIMEOUT),
            Some(node) => self.timeout(node, &fields.what),
        };
        let rules = match fields.get("headers") {
            None => Some(Rules::default()),
            Some(node) => self.headers(node, &fields.what),
        };
        let rewrite = match fields.get("rewrite") {
            None => Some(true),
            Some(node) => self.boolean(node, &format!("rewrite of {}", fields.what)),
        };
        let own_authorities = match fields.get("ca_file") {
            None => Some(None),
            Some(node) => self.ca_file(node, &fields.what).map(Some),
        };
        let base = self.required(
            &fields,
            "base_url",
            "the service's URL, as in base_url: http://crud:8080",
        );
        let (scheme, authority, base_path) = self.base_url(base?, &fields.what)?;
        if let Some(node) = fields.get("ca_file")
            && scheme == Scheme::HTTP
        {
            self.mistake(
                node.at(),
                format!("{} has a ca_file, and its base_url is http", fields.what),
                "write https in base_url, or remove ca_file",
            );
        }
        Some(Service {
            id: key.name.clone(),
            scheme,
            authority,
            base_path,
            timeout: timeout?,
            rules: rules?,
            rewrite: rewrite?,
            own_authorities: own_authorities?,
        })
    }

    fn base_url(&mut self, node: &Node, what: &str) -> Option<(Scheme, Authority, String)> {
        const FIX: &str = "write scheme, host and perhaps port and path, as in http://crud:8080/v1";
        let text = self.text(node, &format!("base_url of {what}"))?;
        let mut wrong = |problem: String| {
            self.mistake(node.at(), format!("base_url of {what} {problem}"), FIX);
            None
        };
        // The message quotes nothing: the text may contain a password.
        let Ok(url) = url::Url::parse(text) else {
            return wrong("is not an absolute URL".to_owned());
        };
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return wrong("is neither http nor https".to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("holds a user name or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has a query or a fragment".to_owned());
        }
        let Ok(authority) = Authority::try_from(&url[url::Position::BeforeHost..url::Position::AfterPort])
        else {
            return wrong("has no usable host".to_owned());
        };
        match NormalPath::parse(url.path()) {
            Ok(path) => {
                let base_path = path.as_str().strip_suffix('/').unwrap_or(path.as_str());
                Some((scheme, authority, base_path.to_owned()))
            }
            Err(error) => wrong(format!("has an unusable path: {error}")),
        }
    }

    /// Reads the certificates that a service may use in addition to those of the system's authorities.
    fn ca_file(&mut self, node: &Node, what: &str) -> Option<Bundle> {
        const FIX: &str = "name a PEM file with certificates of authorities, or with the service's own self-signed one; a relative \
                           path begins in the folder of routes.yaml";
        let text = self.text(node, &format!("ca_file of {what}"))?;
        let mut wrong = |problem: &str| {
            self.mistakes.push(Mistake {
                at: node.at(),
                problem: format!("ca_file {} of {what} {problem}", shown(text)),
                fix: FIX.to_owned(),
            });
            None
        };
        let Some(folder) = self.folder else {
            return wrong("cannot be read here");
        };
        let read = read_bundle(&folder.join(text)).and_then(|pem| Bundle::parse(&pem));
        match read {
            Ok(bundle) => Some(bundle),
            Err(error) => wrong(&error.to_string()),
        }
    }

    fn timeout(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, &format!("timeout of {what}"))?;
        let timeout = duration::parse(text)
            .ok()
            .filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT);
        if timeout.is_none() {
            self.mistake(
                node.at(),
                format!("timeout of {what} is {}", shown(text)),
                "write 1ms to 1h, as in 30, 500ms, 30s or 2m",
            );
        }
        timeout
    }
}
