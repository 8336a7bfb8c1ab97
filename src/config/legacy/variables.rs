//! Variables of the original system.

use super::{
    JSON_FORMAT, Legacy,
    Verdict::{self, AddsTo, Ignored, Missed, NotBuilt, NotBuiltBut, Only, Refused, Sets},
};

const YES: &[&str] = &["true", "1"];
const NO: &[&str] = &["false", "0"];
const ANOTHER_PRODUCT: Verdict = Ignored("it belongs to another product");
const DERIVED: Verdict = Ignored("all secrets of this server are derived from SESSION_SECRET");
const ALWAYS: Verdict = Only {
    values: YES,
    reason: "this server always does it",
    fix: "remove it: this cannot be switched off",
};
const METADATA: Verdict = Ignored("it described the original process");
const EVENTS: Verdict = Ignored("events are log lines here");
const ROUTE: Verdict = Refused("remove it, and write a route in routes.yaml, whose service has a `timeout`");
const POLICY: Verdict = NotBuilt("asking a policy decision point");
/// Whether a policy decision point is consulted.
pub(super) const AUTHZ_SWITCH: Verdict = NotBuiltBut {
    values: NO,
    meaning: "asking a policy decision point",
};
const ENCRYPTED: Verdict = NotBuilt("encrypted request objects and responses");

/// All of them except aliases, which are in the catalogue.
pub(in crate::config) const VARIABLES: &[Legacy] = &[
    // Framework
    legacy(
        "AUTH_DEV_MODE",
        Only {
            values: NO,
            reason: "there is no such mode",
            fix: "remove it: there is no such mode; LOG_LEVEL=debug shows more",
        },
    ),
    legacy(
        "DEBUG",
        Only {
            values: &["false", "0", "no", "off"],
            reason: "there is no such mode",
            fix: "remove it: there is no such mode; LOG_LEVEL=debug shows more",
        },
    ),
    legacy("ENABLE_DOCS", METADATA),
    legacy("APP_NAME", METADATA),
    legacy("APP_DESCRIPTION", METADATA),
    legacy("APP_VERSION", METADATA),
    legacy(
        "API_PREFIX",
        Only {
            values: &["/api", "/api/v1"],
            reason: "paths stand in routes.yaml",
            fix: "remove it, and write the paths in routes.yaml",
        },
    ),
    legacy(
        "ENVIRONMENT",
        Ignored("it is for telemetry, which is not built yet"),
    ),
    legacy(
        "BFF_VERSION",
        Ignored("it is for telemetry, which is not built yet"),
    ),
    legacy(
        "VITE_BFF_BASE_URL",
        Ignored("it belongs to the build of an application"),
    ),
    // Folders, keys and secrets
    legacy(
        "AUTO_KEY_ROTATION",
        Ignored("keys are rotated with `bff keys rotate` or BFF_JWK_ROTATE_AFTER_DAYS"),
    ),
    legacy("TOKEN_HASH_SALT", DERIVED),
    legacy("UA_HASH_SALT", DERIVED),
    legacy("CSRF_SECRET_KEY", DERIVED),
    legacy("STATE_TOKEN_KEY", DERIVED),
    // Switches that cannot be switched
    legacy("BFF_REDIS_ENCRYPT_SECRETS", ALWAYS),
    legacy("BFF_TOKEN_MANAGER_CONCURRENCY_SAFE", ALWAYS),
    legacy("CSRF_PROTECTION", ALWAYS),
    legacy("BFF_JWT_VERIFY_SIGNATURE", ALWAYS),
    legacy("BFF_JWT_VERIFY_AUDIENCE", ALWAYS),
    legacy("BFF_JWT_VERIFY_ISSUER", ALWAYS),
    legacy("BFF_JWT_VERIFY_EXPIRY", ALWAYS),
    legacy(
        "CSRF_EXEMPT_PATHS",
        Refused(
            "remove it: every call of a session that changes state needs the proof of its origin and the token",
        ),
    ),
    // Origins
    legacy(
        "ALLOWED_REDIRECT_ORIGINS",
        AddsTo(&["BFF_ALLOWED_REDIRECT_HOSTS"]),
    ),
    legacy(
        "ALLOWED_FRONTEND_ORIGINS",
        AddsTo(&["BFF_ALLOWED_REDIRECT_HOSTS", "CORS__ALLOW_ORIGINS"]),
    ),
    legacy("ALLOWED_STREAM_ORIGINS", AddsTo(&["CORS__ALLOW_ORIGINS"])),
    legacy("CORS_ALLOW_ORIGINS", AddsTo(&["CORS__ALLOW_ORIGINS"])),
    // FAPI
    legacy("MTLS_CERT", NotBuilt("TLS client authentication, RFC 8705")),
    legacy("MTLS_KEY", NotBuilt("TLS client authentication, RFC 8705")),
    legacy(
        "MS_BFF_JAR_SIGNING_ALG",
        NotBuilt("signed authorization requests, RFC 9101"),
    ),
    legacy(
        "MS_BFF_JAR_ALGS_ALLOWED",
        NotBuilt("signed authorization requests, RFC 9101"),
    ),
    legacy(
        "MS_BFF_JARM_MODE",
        NotBuilt("signed authorization responses, JARM"),
    ),
    legacy("MS_BFF_JAR_ENC_ALG", ENCRYPTED),
    legacy("MS_BFF_JAR_ENC_METHOD", ENCRYPTED),
    legacy("BFF_JAR_ENC_KEY", ENCRYPTED),
    legacy("MS_BFF_JARM_ENC_ALG", ENCRYPTED),
    legacy("MS_BFF_JARM_ENC_ENC", ENCRYPTED),
    legacy("BFF_JARM_PRIV_KEY", ENCRYPTED),
    // Decisions
    legacy("MS_BFF_AUTHZ_ENABLED", AUTHZ_SWITCH),
    legacy("PDP_ENABLED", AUTHZ_SWITCH),
    legacy("AUTHZ_*", POLICY),
    legacy("PDP_*", POLICY),
    legacy("MEMBERSHIP_*", ANOTHER_PRODUCT),
    // Telemetry and events
    legacy(
        "OTEL_DISABLED",
        Sets(
            "TELEMETRY_ENABLED",
            &[("true", "false"), ("1", "false"), ("false", ""), ("0", "")],
        ),
    ),
    legacy(
        "OTEL_SDK_DISABLED",
        Sets(
            "TELEMETRY_ENABLED",
            &[("true", "false"), ("1", "false"), ("false", ""), ("0", "")],
        ),
    ),
    legacy("PROM_PUSHGATEWAY_URL", Ignored("nothing is pushed")),
    legacy("LOG_JSON_FORMAT", JSON_FORMAT),
    legacy("LOG_ENABLE_TRACING", Ignored("LOG_LEVEL says what is logged")),
    legacy(
        "KAFKA_ENABLED",
        Missed {
            values: YES,
            reason: "events are log lines here, and nothing is sent to Kafka",
        },
    ),
    legacy("KAFKA_*", EVENTS),
    legacy("CAEP_SIGNING_KEY", Ignored("no security events are sent")),
    legacy("CAEP_KID", Ignored("no security events are sent")),
    // The legacy proxy
    legacy("LEGACY_SERVICE_*", ROUTE),
    legacy("CIRCUIT_BREAKER_*", ROUTE),
    legacy("RESPONSE_CACHE_*", ROUTE),
    legacy("CRUD_SERVICE_URL", ROUTE),
    legacy("WORKFLOW_EVENTS_TIMEOUT", ROUTE),
    legacy("CONFIG_EVENTS_TIMEOUT", ROUTE),
    legacy("CONFIGS_STREAM_TIMEOUT", ROUTE),
    // FIPS
    legacy(
        "FIPS_MODE",
        Only {
            values: NO,
            reason: "this build has no FIPS module",
            fix: "remove it: this build has no FIPS module",
        },
    ),
    legacy("EMPOWERNOW_FIPS_MODE", Ignored("this build has no FIPS module")),
    legacy(
        "EMPOWERNOW_FIPS_DISABLE",
        Ignored("this build has no FIPS module"),
    ),
    legacy("PYTHONHASHSEED", Ignored("it is for Python")),
    legacy("CRYPTOGRAPHY_OPENSSL_NO_LEGACY", Ignored("it is for Python")),
    // Another product
    legacy("OPENAI_*", ANOTHER_PRODUCT),
    legacy("ENABLE_PROVIDER_PROXIES", ANOTHER_PRODUCT),
    legacy("RECEIPT_VAULT_URL", ANOTHER_PRODUCT),
    legacy("LLM_PRICING_*", ANOTHER_PRODUCT),
];

const fn legacy(name: &'static str, verdict: Verdict) -> Legacy {
    Legacy { name, verdict }
}
