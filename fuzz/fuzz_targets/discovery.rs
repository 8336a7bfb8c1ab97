//! The metadata document of an IdP.

#![no_main]
#![expect(clippy::unwrap_used, reason = "a finding says so by panicking")]

use bff::{
    oidc::{EndpointOverrides, ProviderOptions, UrlMap, fuzzing::discovery},
    url_policy::HttpPolicy,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use url::Url;

const ISSUER: &str = "https://idp.example";

fuzz_target!(|data: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Map<String, Value>>(data) else {
        return;
    };
    for base in [None, Some("http://idp:9000/realm")] {
        let base = base.map(|base| Url::parse(base).unwrap());
        let options = ProviderOptions {
            issuer: ISSUER.to_owned(),
            base_url: base.clone(),
            public_base: None,
            overrides: EndpointOverrides::default(),
            allow_http: HttpPolicy::LocalOnly,
        };
        let map = UrlMap::new(Url::parse(ISSUER).unwrap(), base);
        match discovery(&document, &options, map) {
            Ok(metadata) => {
                for url in [
                    Some(&metadata.authorization_endpoint),
                    Some(&metadata.token_endpoint),
                    Some(&metadata.jwks_uri),
                    metadata.par_endpoint.as_ref(),
                    metadata.userinfo_endpoint.as_ref(),
                    metadata.end_session_endpoint.as_ref(),
                    metadata.revocation_endpoint.as_ref(),
                    metadata.introspection_endpoint.as_ref(),
                    metadata.registration_endpoint.as_ref(),
                ]
                .into_iter()
                .flatten()
                {
                    assert!(matches!(url.scheme(), "https" | "http"), "{url}");
                    assert!(
                        url.scheme() == "https" || HttpPolicy::LocalOnly.permits(url),
                        "{url}"
                    );
                }
            }
            // A document of a megabyte does not make a line of a megabyte.
            Err(error) => assert!(error.to_string().chars().count() < 1_500),
        }
    }
});
