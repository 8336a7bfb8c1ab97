use url::Url;

use super::*;
use crate::{
    gateway::{Around, Private, TokenDefaults},
    oidc::{EndpointOverrides, ProviderOptions},
    telemetry::testing::Logs,
    url_policy::HttpPolicy,
};

const ROUTES: &str = "services:
  orders: { base_url: 'http://orders', token_audience: 'https://orders.example' }
  bills: { base_url: 'http://bills', token_audience: 'https://bills.example' }
routes:
  - { id: one, path: /one, target_service: orders, token_policy: { mode: service_token } }
  - { id: two, path: /two, target_service: orders, token_policy: { mode: service_token } }
  - { id: person, path: /person, target_service: orders, token_policy: { mode: on_behalf_of } }
  - { id: bills, path: /bills, target_service: bills }
";

fn routes(text: &str) -> Routes {
    let around = Around {
        tokens: &TokenDefaults::NONE,
        variables: &|_| None,
        folder: None,
        private: &Private::default(),
        unchecked: false,
    };
    Routes::parse_with(text, &around).unwrap()
}

/// An IdP that lists these grants and resources.
fn metadata(grants: Option<&[&str]>, resources: &[&str]) -> Metadata {
    let options = ProviderOptions {
        issuer: "https://idp.example".to_owned(),
        base_url: None,
        public_base: None,
        overrides: EndpointOverrides::default(),
        allow_http: HttpPolicy::LocalOnly,
    };
    let place = Url::parse("https://idp.example/").unwrap();
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut metadata = Metadata::of_settings(&options, &place).unwrap();
    metadata.grant_types = grants.map(list);
    metadata.protected_resources = Some(list(resources));
    metadata
}

fn known(metadata: &Metadata) -> Known<'_> {
    Known {
        metadata,
        of_callers: false,
        indicators: ResourceIndicators::Auto,
        granted: None,
    }
}

/// The warnings about the routes of the test.
fn told(metadata: &Metadata, granted: Option<&[&str]>) -> Vec<String> {
    let granted: Option<Vec<String>> = granted.map(|names| names.iter().map(ToString::to_string).collect());
    let known = Known {
        granted: granted.as_deref(),
        ..known(metadata)
    };
    lacks(&routes(ROUTES), &known).iter().map(Explain::told).collect()
}

#[test]
fn a_grant_that_the_idp_lacks_is_told_for_each_service() {
    let told = told(&metadata(Some(&["authorization_code"]), &[]), None);
    assert_eq!(told.len(), 3, "{told:#?}");
    for parts in [
        ["`orders`", "service_token", "the grant client_credentials"],
        ["`orders`", "on_behalf_of", TOKEN_EXCHANGE],
        ["`bills`", "https://bills.example", "[ResourceIndicators]"],
    ] {
        let line = told
            .iter()
            .find(|line| parts.iter().all(|part| line.contains(part)));
        let line = line.unwrap_or_else(|| panic!("{parts:?} in {told:#?}"));
        for part in ["upstream_auth_failed", "fix: ", "[RoutesFile]"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}

#[test]
fn a_grant_that_the_client_lacks_is_told() {
    let idp = metadata(
        Some(&[CLIENT_CREDENTIALS, TOKEN_EXCHANGE]),
        &["https://bills.example"],
    );
    assert_eq!(told(&idp, None), [] as [&str; 0]);
    assert_eq!(
        told(&idp, Some(&[CLIENT_CREDENTIALS, TOKEN_EXCHANGE])),
        [] as [&str; 0]
    );
    let told = told(&idp, Some(&["authorization_code", TOKEN_EXCHANGE]));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("the client of this server does not have the grant client_credentials"),
        "{told:#?}"
    );
}

/// A provider without a list may have every grant, but none is a way for the token of a login.
#[test]
fn a_missing_list_of_grants_is_no_proof() {
    let told = told(&metadata(None, &[]), None);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("`bills`"), "{told:#?}");
}

#[test]
fn a_warning_is_logged_once_until_it_has_passed() {
    let (bad, good) = (
        metadata(Some(&[]), &[]),
        metadata(None, &["https://bills.example"]),
    );
    let (logs, mut told, routes) = (Logs::capture(), Told::default(), routes(ROUTES));
    for (idp, lines) in [(&bad, 3), (&bad, 3), (&good, 3), (&bad, 6)] {
        told.tell(&routes, &known(idp));
        assert_eq!(logs.lines("WARN").len(), lines);
    }
}

/// Another IdP issues what its own client exchanges there.
#[test]
fn an_exchange_for_callers_counts_at_its_own_idp_alone() {
    let text = "services:
  orders: { base_url: 'http://orders', token_audience: 'https://orders.example' }
routes:
  - { id: a, path: /a, target_service: orders, auth: bearer, token_policy: { mode: on_behalf_of, scopes: [x] } }
  - { id: b, path: /b, target_service: orders, auth: bearer }
";
    let routes = routes(text);
    let idp = metadata(Some(&[]), &[]);
    assert_eq!(lacks(&routes, &known(&idp)), []);
    assert_eq!(grants(&routes, false), [] as [&str; 0]);
    assert_eq!(audiences(&routes), [] as [&str; 0]);
    let of_callers = Known {
        of_callers: true,
        ..known(&idp)
    };
    let lacks = lacks(&routes, &of_callers);
    let [Lack::Grant { mode, grant, .. }] = lacks.as_slice() else {
        panic!("{lacks:?}");
    };
    assert_eq!((*mode, *grant), (Mode::OnBehalfOf, TOKEN_EXCHANGE));
    assert_eq!(grants(&routes, true), [TOKEN_EXCHANGE]);
}
