//! Settings that name an endpoint with the address of another one.

use url::Url;

use super::endpoint::Endpoint;
use crate::diagnostic::{Explain, Fix, Knob, fix};

/// An endpoint that a setting names with the address of another endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url} is set as the `{member}`, and it is the `{other}`")]
pub struct ConfusedEndpoint {
    /// Its name in the document.
    pub member: &'static str,
    /// The name of the endpoint with that address.
    pub other: &'static str,
    /// The address.
    pub url: String,
    /// The setting with the mistake.
    pub knob: Knob,
}

/// The address of an endpoint, and the one that the document names for it.
pub(super) struct Used {
    pub(super) endpoint: Endpoint,
    pub(super) url: Url,
    pub(super) is_configured: bool,
    /// As it would be used without the setting.
    pub(super) in_document: Option<Url>,
}

// === impl ConfusedEndpoint ===

impl ConfusedEndpoint {
    /// Those among `all`. An IdP that names one address for two endpoints means it.
    pub(super) fn among(all: &[Used]) -> Vec<Self> {
        let configured = all
            .iter()
            .filter(|used| used.is_configured && used.in_document.as_ref() != Some(&used.url));
        configured
            .filter_map(|used| {
                let mut others = all
                    .iter()
                    .filter(|other| other.endpoint.member != used.endpoint.member);
                let other = others.find(|other| other.url == used.url)?;
                Some(Self {
                    member: used.endpoint.member,
                    other: other.endpoint.member,
                    url: super::displayable(used.url.as_str()),
                    knob: used.endpoint.knob,
                })
            })
            .collect()
    }
}

impl Explain for ConfusedEndpoint {
    fn fix(&self) -> Option<Fix> {
        Some(fix!(
            "correct {}, or remove it if the IdP's metadata name the endpoint",
            self.knob
        ))
    }
}
