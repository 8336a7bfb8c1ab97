//! Keys of the original `settings.yaml`, parts joined by dots. Its flat keys are variables in lower case.

use super::{
    JSON_FORMAT, Legacy,
    Verdict::{self, AddsTo, Ignored, Means, NotBuilt, Refused},
};

const CORS: Verdict = Ignored("what pages of listed origins may do follows from the routes");
const CACHE: Verdict = Ignored("what is kept, and how long, follows from sessions and tokens");

/// All of them.
pub(in crate::config) const KEYS: &[Legacy] = &[
    key("auth.issuer", Means("OIDC_ISSUER")),
    key("auth.jwks_url", Means("OIDC_JWKS_URL")),
    key("auth.client_id", Means("AUTH_CLIENT_ID")),
    key("auth.client_secret", Means("AUTH_CLIENT_SECRET")),
    key("auth.client_secret_file", Means("AUTH_CLIENT_SECRET")),
    key("auth.oauth_scopes", Means("OIDC_SCOPES")),
    key("auth.audience", Means("AUTH_AUDIENCE")),
    key("cors.allow_origins", AddsTo(&["CORS__ALLOW_ORIGINS"])),
    key("cors.dev_origins", AddsTo(&["CORS__ALLOW_ORIGINS"])),
    key("cors.allow_credentials", CORS),
    key("cors.allow_methods", CORS),
    key("cors.allow_headers", CORS),
    key("log.level", Means("LOG_LEVEL")),
    key("log.format", Means("LOG_FORMAT")),
    key("log.json_format", JSON_FORMAT),
    key("log.enable_tracing", Ignored("log.level says what is logged")),
    key("cache.redis_url", Means("REDIS_URL")),
    key(
        "cache.redis_db",
        Refused("write the number of the database at the end of REDIS_URL, as in `redis://host:6379/3`"),
    ),
    key("cache.*", CACHE),
    key("kafka.*", Ignored("events are log lines here")),
    key("pdp.*", NotBuilt("asking a policy decision point")),
    key("authz.*", NotBuilt("asking a policy decision point")),
    key("feature_flags.authz_enabled", super::variables::AUTHZ_SWITCH),
    key(
        "authz_validation_strict",
        NotBuilt("asking a policy decision point"),
    ),
    key(
        "authz_default_mapping_enabled",
        NotBuilt("asking a policy decision point"),
    ),
    key(
        "services.*",
        Refused(
            "remove it: services stand in routes.yaml, and the client of this server asks for all tokens",
        ),
    ),
];

const fn key(name: &'static str, verdict: Verdict) -> Legacy {
    Legacy { name, verdict }
}
