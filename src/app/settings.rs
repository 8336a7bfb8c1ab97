//! From the settings of the configuration to the options of each module.

use std::sync::Arc;

use http::HeaderValue;
use url::Url;

use super::{api_tokens, descriptors::few_files};
use crate::{
    bearer::Idps,
    config::{Config, ForwardedHeaders, PromptSetting},
    diagnostic::{Explain as _, Knob},
    gateway::{self, Routes, TokenDefaults},
    login::{
        self, DefaultPrompt,
        hosts::{Hosts, HostsError},
        return_to::AllowedTargets,
    },
    oidc, outbound, own_paths, registration,
    server::{self, Budget, Wishes},
    session::{CookieOptions, EmailTrust, Lifespan, Limits},
    tokens,
    web::{Brand, Color, ForwardedFamily, OwnOrigins, PageOptions, TrustedProxies},
};

pub(super) fn outbound(config: &Config) -> outbound::Options {
    outbound::Options {
        ca_bundle: config.provider.ca_bundle.clone(),
        roots: config.network.roots.clone(),
        proxies: config.network.proxies.clone(),
        // Calls that `tokens` allows must never have to wait here.
        lanes: outbound::LaneLimits {
            refresh: config.tokens.refresh_concurrency,
            ..outbound::LaneLimits::default()
        },
        ..outbound::Options::default()
    }
}

pub(super) fn gateway(config: &Config) -> gateway::Options {
    gateway::Options {
        roots: config.network.roots.clone(),
        proxies: config.network.proxies.clone(),
        max_body: config.server.max_body,
        ..gateway::Options::default()
    }
}

/// Who may have how many connections.
pub(super) fn budget(config: &Config) -> Budget {
    Budget::new(server::open_files(), wishes(config))
}

/// The configured connections.
pub(super) fn wishes(config: &Config) -> Wishes {
    Wishes {
        connections: config.server.max_connections,
        per_address: config.server.max_connections_per_address,
        outbound: outbound(config).lanes.total(),
    }
}

/// The bounds of the public listener, and of the internal one.
pub(super) fn servers(config: &Config) -> (server::Options, server::Options) {
    let settings = &config.server;
    let budget = budget(config);
    if let Some(few) = few_files(config, server::open_files()) {
        tracing::warn!(
            connections = few.connections,
            open_files = few.open_files,
            "{}",
            few.told()
        );
    }
    let proxies = trusted_proxies(config);
    let public = server::Options {
        connections: budget.public,
        per_address: budget.per_address,
        keep_alive: settings.keep_alive,
        is_listed: Arc::new(move |peer| proxies.contains(peer)),
        finish: settings.shutdown_timeout,
    };
    let internal = server::Options {
        connections: budget.internal,
        per_address: budget.internal,
        // Only proxies of the operator reach it.
        is_listed: Arc::new(|_| true),
        ..public.clone()
    };
    (public, internal)
}

pub(super) fn relying_party(config: &Config) -> oidc::Options {
    let provider = &config.provider;
    let endpoints = provider.endpoints.clone();
    let idp = oidc::ProviderOptions {
        issuer: provider.issuer.clone(),
        base_url: provider.base_url.clone(),
        public_base: provider.public_base.clone(),
        overrides: oidc::EndpointOverrides {
            authorization: endpoints.authorization,
            token: endpoints.token,
            jwks: endpoints.jwks,
            par: endpoints.par,
            user_info: endpoints.userinfo,
            end_session: endpoints.end_session,
            revocation: endpoints.revocation,
            introspection: endpoints.introspection,
            registration: endpoints.registration,
        },
        allow_http: config.server.allow_http,
    };
    let mut options = oidc::Options::new(if provider.issuer_is_explicit {
        idp.with_explicit_issuer()
    } else {
        idp
    });
    options.assertion_audience = config.client.assertion_audience;
    options.assertion_typ = config.client.assertion_typ;
    options.trusted_audiences.clone_from(&provider.trusted_audiences);
    options.par = config.client.par;
    options.resource_indicators = config.tokens.resource_indicators;
    options
}

pub(super) fn limits(config: &Config) -> Limits {
    let session = &config.session;
    Limits {
        lifespan: Lifespan {
            lifetime: session.lifetime,
            idle: session.idle_timeout,
        },
        max: usize::try_from(session.max).unwrap_or(usize::MAX),
        max_per_user: usize::try_from(session.max_per_user).unwrap_or(usize::MAX),
        memory: usize::try_from(session.memory_limit).unwrap_or(usize::MAX),
    }
}

pub(super) fn login(config: &Config) -> Result<login::Options, HostsError> {
    let settings = &config.login;
    let redirect_uris: Vec<String> = redirect_uris(config);
    let fallback = settings.fallback_callback.as_ref().map(Url::as_str);
    Ok(login::Options {
        hosts: Hosts::new(&redirect_uris, fallback, settings.dynamic_callback)?,
        targets: AllowedTargets::new(
            settings
                .return_origins
                .iter()
                .map(|origin| origin.url().origin())
                .collect(),
            settings
                .own_origins
                .iter()
                .filter_map(|origin| origin.url().host().map(|host| host.to_owned()))
                .collect(),
        ),
        scopes: config.provider.scopes.clone(),
        prompt: match &config.provider.prompt {
            PromptSetting::Auto => DefaultPrompt::Auto {
                state_dir: config.keys.state_dir.clone(),
            },
            PromptSetting::Never => DefaultPrompt::Never,
            PromptSetting::Always(prompt) => DefaultPrompt::Always(prompt.clone()),
        },
        session_lifetime: config.session.lifetime,
        refresh_threshold: config.tokens.refresh_threshold,
        email_trust: email_trust(config),
        binding: config.binding,
    })
}

fn email_trust(config: &Config) -> EmailTrust {
    if config.provider.email_trusted {
        EmailTrust::Unstated
    } else {
        EmailTrust::Verified
    }
}

pub(super) fn tokens(config: &Config) -> tokens::Options {
    tokens::Options {
        threshold: config.tokens.refresh_threshold,
        concurrency: config.tokens.refresh_concurrency,
        issues: outbound(config).lanes.issue,
        exchanges: outbound(config).lanes.exchange,
        email_trust: email_trust(config),
        ..tokens::Options::default()
    }
}

/// The part of the settings that is about tokens for services.
pub(super) fn token_defaults(config: &Config) -> TokenDefaults {
    let tokens = &config.tokens;
    TokenDefaults {
        audiences: tokens.service_audiences.clone(),
        scopes: tokens.service_scopes.clone(),
        refuses_policies: !tokens.policies,
        refuses_on_behalf_of: !tokens.on_behalf_of,
    }
}

/// `routes` and `idps` say for which APIs tokens are needed.
pub(super) fn registration(config: &Config, routes: &Routes, idps: &Idps) -> registration::Options {
    let needs = api_tokens::needs(config, routes, idps.exchange_as_login_client());
    let settings = &config.registration;
    registration::Options {
        client_id: settings.client_id.clone(),
        client_id_knob: match config.names.variable(Knob::RequestedClientId) {
            Some((_, Some(_))) => Knob::RequestedClientId,
            _ => Knob::ClientId,
        },
        client_profile: settings.client_profile.clone(),
        description: settings.description.clone(),
        redirect_uris: redirect_uris(config),
        scopes: needs.scopes,
        grants: needs.grants,
        auth_method: config.client.authentication,
        signing_algorithm: config.client.signing_algorithm,
        jwks: match &settings.jwks_uri {
            Some(uri) => registration::Jwks::Uri(uri.to_string()),
            None => registration::Jwks::Inline,
        },
        backchannel_logout_uri: settings.backchannel_logout_uri.as_ref().map(Url::to_string),
        // OpenID Connect Front-Channel Logout 1.0 section 2: at the origin of a redirect URI.
        frontchannel_logout_uri: settings
            .redirect_uris
            .first()
            .and_then(|uri| uri.join(own_paths::FRONTCHANNEL_LOGOUT).ok())
            .map(|uri| uri.to_string()),
        // OpenID Connect Dynamic Client Registration 1.0 section 2: https.
        initiate_login_uri: settings
            .redirect_uris
            .first()
            .filter(|uri| uri.scheme() == "https")
            .and_then(|uri| uri.join(own_paths::LOGIN).ok())
            .map(|uri| uri.to_string()),
        force_replace: settings.force_replace,
        initial_access_token: settings.initial_access_token.clone(),
        open_registration: settings.open_registration,
        admin_token: settings.bootstrap_admin_token.clone(),
        credentials: config.keys.credentials.clone(),
        guard: config.keys.options.guard,
        skip: settings.skip_bootstrap,
        client_secret: config.client.secret.clone(),
        allow_failure: settings.allow_bootstrap_failure,
        redirect_update: settings.redirect_update,
        update_method: settings.update_method,
        check_interval: settings.check_interval,
    }
}

pub(super) fn cookies(config: &Config) -> CookieOptions {
    let settings = &config.cookies;
    CookieOptions {
        secure: settings.secure,
        domain: settings.domain.clone(),
        same_site: settings.same_site,
        session_name: Some(settings.name.clone()),
        csrf: settings.csrf,
    }
}

pub(super) fn own_origins(config: &Config) -> OwnOrigins {
    let login = &config.login;
    let origins = login.own_origins.iter().chain(&login.cors_origins);
    let origins: Vec<_> = origins.map(|origin| origin.url().origin()).collect();
    OwnOrigins::new(&origins)
}

pub(super) fn cors_origins(config: &Config) -> Vec<HeaderValue> {
    // An origin is printable ASCII.
    config
        .login
        .cors_origins
        .iter()
        .filter_map(|origin| HeaderValue::try_from(origin.to_string()).ok())
        .collect()
}

pub(super) fn trusted_proxies(config: &Config) -> TrustedProxies {
    let family = match config.server.forwarded {
        ForwardedHeaders::XForwarded => ForwardedFamily::XForwarded,
        ForwardedHeaders::Forwarded => ForwardedFamily::Forwarded,
    };
    TrustedProxies::new(config.server.trusted_proxies.clone(), family)
}

pub(super) fn pages(config: &Config) -> PageOptions {
    let settings = &config.pages;
    PageOptions {
        brand: Brand {
            name: settings.brand_name.clone(),
            logo: settings.brand_logo.clone(),
            color: settings.brand_color.map(Color),
        },
        templates: settings.templates.clone(),
    }
}

fn redirect_uris(config: &Config) -> Vec<String> {
    config
        .registration
        .redirect_uris
        .iter()
        .map(Url::to_string)
        .collect()
}
