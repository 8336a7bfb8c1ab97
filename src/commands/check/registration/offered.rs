//! The IdP's features, compared with those that this client requests.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    super::{
        Context,
        finding::{Check, Kind, Report},
        text::clean,
    },
    fields::{ALGORITHM, SCOPE},
};
use crate::{
    app::App,
    config::PromptSetting,
    credential::Mode,
    diagnostic::{Knob, fix},
    login::offline_access::{self, Consent},
    oidc::{CLIENT_CREDENTIALS, Client, ClientAuthentication, Metadata, TOKEN_EXCHANGE},
    registration::{AuthMethod, Inspected, Reading, single},
};

/// The client that would use the IdP's features.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose<'a> {
    /// No client exists yet.
    Nobody,
    /// One that was registered from here.
    Registered(&'a Inspected),
    /// One that the configuration names.
    Configured(&'a Client),
}

/// Whether the IdP offers the feature at all. A failed row says more.
pub(super) fn check(context: &Context<'_>, metadata: &Metadata, whose: &Whose<'_>, report: &mut Report) {
    let client = match whose {
        Whose::Registered(client) => Some(*client),
        Whose::Nobody | Whose::Configured(_) => None,
    };
    scopes(context, metadata, client, report);
    tokens(context, metadata, report);
    let method = context.config.client.authentication;
    if report.failed(&[Check::Method]).is_none() {
        match &metadata.token_auth_methods {
            Some(offered) if !offered.iter().any(|name| name == method.name()) => report.fail(
                Kind::Wrong,
                Check::Method,
                format!("the IdP does not offer {}", method.name()),
                format!("it offers {}", clean(&offered.join(", "))),
                fix!(
                    "set {} to one of these, or switch it on at the IdP",
                    Knob::AuthMethod
                ),
            ),
            _ => report.ok(Check::Method, method.name()),
        }
    }
    if report.failed(&[Check::Algorithm]).is_none() {
        algorithm(method, metadata, whose, report);
    }
}

fn algorithm(method: AuthMethod, metadata: &Metadata, whose: &Whose<'_>, report: &mut Report) {
    if method != AuthMethod::PrivateKeyJwt {
        return report.skip(Check::Algorithm, "nothing is signed with a client secret");
    }
    match whose {
        Whose::Configured(Client {
            auth: ClientAuthentication::PrivateKeyJwt { algorithm },
            ..
        }) => {
            let name = algorithm.name();
            match metadata.token_auth_signing_algs.as_deref() {
                None | Some([]) => report.ok(
                    Check::Algorithm,
                    format!("{name}: the key does it; the IdP does not say what it takes"),
                ),
                Some(listed) if listed.iter().any(|one| one == name) => report.ok(
                    Check::Algorithm,
                    format!("{name}: the key does it, and the IdP lists it"),
                ),
                // BFF_JWT_SIGNING_ALG wins over a list, which may be incomplete.
                Some(listed) => report.skip(
                    Check::Algorithm,
                    fix!(
                        "{}, as {} says; the IdP lists {}",
                        name.to_owned(),
                        Knob::SigningAlgorithm,
                        clean(&listed.join(", "))
                    ),
                ),
            }
        }
        Whose::Registered(client) => match client.wanted.fields().get(ALGORITHM).and_then(Value::as_str) {
            Some(algorithm) => report.ok(Check::Algorithm, algorithm.to_owned()),
            None => report.skip(Check::Algorithm, "settled when the client is registered"),
        },
        Whose::Nobody | Whose::Configured(_) => {
            report.skip(Check::Algorithm, "settled when the client is registered");
        }
    }
}

/// The tokens for single APIs that routes need. A list of grants may be missing, and is then no proof.
fn tokens(context: &Context<'_>, metadata: &Metadata, report: &mut Report) {
    let Ok((routes, _)) = App::routes(context.config) else {
        return;
    };
    let idps = App::idps(context.config, &routes).unwrap_or_default();
    let indicators = context.config.tokens.resource_indicators;
    let (mut needed, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for policy in routes.tokens_for_apis(idps.exchange_as_login_client()) {
        let audience = policy.target.audience.as_deref();
        let grant = match policy.mode {
            Mode::ServiceToken => CLIENT_CREDENTIALS,
            Mode::OnBehalfOf => TOKEN_EXCHANGE,
            Mode::SessionPassthrough => {
                if audience.is_some_and(|audience| indicators.names(metadata, audience)) {
                    needed.insert("resource indicators");
                    continue;
                }
                TOKEN_EXCHANGE
            }
        };
        needed.insert(grant);
        if !metadata.offers_grant(grant) {
            missing.insert(grant);
        }
    }
    let list = |grants: BTreeSet<&str>| grants.into_iter().collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        if !needed.is_empty() {
            report.ok(Check::Scopes, format!("routes need {}", list(needed)));
        }
        return;
    }
    let missing = list(missing);
    match &metadata.grant_types {
        None => report.skip(
            Check::Scopes,
            format!("routes need {missing}; the IdP does not say which grants it has"),
        ),
        Some(listed) => report.fail(
            Kind::Wrong,
            Check::Scopes,
            format!("the IdP does not offer {missing}, which routes need"),
            format!("it lists {}", clean(&listed.join(", "))),
            fix!(
                "switch it on at the IdP, or change token_policy and token_audience in routes.yaml, or set {} for an IdP that \
                 has resource indicators and does not say so",
                Knob::ResourceIndicators.to("always")
            ),
        ),
    }
}

/// The registered scopes: some IdPs write the value as a list of one.
fn registered_scope(current: &Map<String, Value>) -> &str {
    let scope = current.get(SCOPE).map(|scope| single(SCOPE, scope));
    scope.and_then(Value::as_str).unwrap_or_default()
}

/// The server's experience with refresh tokens at logins, if it has any.
fn offline_access(context: &Context<'_>, report: &mut Report) {
    let provider = &context.config.provider;
    let asked = provider.scopes.iter().any(|scope| scope == "offline_access");
    if !asked || provider.prompt != PromptSetting::Auto {
        return;
    }
    match offline_access::learnt(&context.config.keys.state_dir, &provider.issuer) {
        Ok(None | Some(Consent::Unneeded)) => {}
        Ok(Some(Consent::Needed)) => report.ok(
            Check::Scopes,
            fix!(
                "refresh tokens come with prompt=consent alone, so logins send it ({} is auto)",
                Knob::Prompt
            ),
        ),
        Ok(Some(Consent::Tried)) => report.ok(
            Check::Scopes,
            fix!(
                "a login brought no refresh token, so the next ones send prompt=consent ({} is auto)",
                Knob::Prompt
            ),
        ),
        Ok(Some(Consent::Useless)) => report.fail(
            Kind::Wrong,
            Check::Scopes,
            "the IdP gives no refresh token, so sessions end with their access token",
            "none came at the last logins, also where the person was asked for consent",
            offline_access::without_refresh_token(),
        ),
        Err(error) => report.skip(
            Check::Scopes,
            format!("the record of earlier logins with offline_access cannot be read: {error}"),
        ),
    }
}

fn scopes(context: &Context<'_>, metadata: &Metadata, client: Option<&Inspected>, report: &mut Report) {
    let wanted = &context.config.provider.scopes;
    let registered = match client.map(|client| &client.reading) {
        Some(Reading::Read(current)) => registered_scope(current),
        _ => "",
    };
    // A list may be incomplete (OpenID Connect Discovery 1.0 section 3), so a registered value is allowed.
    let unknown = |scope: &&String| {
        let listed = |offered: &Vec<String>| offered.contains(*scope);
        !metadata.scopes_supported.as_ref().is_none_or(listed)
            && !registered
                .split_ascii_whitespace()
                .any(|one| one == scope.as_str())
    };
    let unknown: Vec<&str> = wanted.iter().filter(unknown).map(String::as_str).collect();
    if report.failed(&[Check::Scopes]).is_some() {
        return;
    }
    if unknown.is_empty() {
        report.ok(Check::Scopes, wanted.join(" "));
        return offline_access(context, report);
    }
    let offered = metadata.scopes_supported.as_deref().unwrap_or_default();
    report.fail(
        Kind::Wrong,
        Check::Scopes,
        format!("the IdP does not offer {}", unknown.join(", ")),
        format!("it lists {}", clean(&offered.join(" "))),
        fix!(
            "add it to {} and restart the IdP, or remove it from {}",
            Knob::ProviderScopes,
            Knob::Scopes
        ),
    );
}
