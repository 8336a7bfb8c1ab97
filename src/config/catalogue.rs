//! Every variable there is, as one table.
//!
//! It defines the known names, the secrets and lists among them, the content of `docs/configuration.md`, and the
//! switches that are not built yet.

/// One variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name in the environment; in `settings.yaml` it is written in lower case.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its type.
    pub kind: Kind,
    /// The default, as text for a person.
    pub default: &'static str,
    /// Its purpose, in one line.
    pub meaning: &'static str,
    /// Its chapter.
    pub group: Group,
    /// Whether a message may quote its value, bounded. Off for values that may contain a credential.
    pub public: bool,
    /// For a feature that is not built yet: the only accepted value, empty for "must not be set".
    pub not_built: Option<&'static str>,
}

/// The type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text with its own rules.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`, also as `1` or `0`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// In the grammar of [`crate::duration`].
    Duration,
    /// `512MiB`, `1GiB`, or plain bytes.
    Bytes,
    /// Several values, separated by commas or spaces; a list in `settings.yaml`.
    List,
    /// Several values with names, `name=value`, separated by commas or spaces; a map in `settings.yaml`.
    Map,
    /// A URL.
    Url,
    /// `https://host[:port]` without a path.
    Origin,
    /// The path of a file.
    Path,
    /// The path of a folder.
    Folder,
    /// The paths of several files, separated by commas or spaces; a list in `settings.yaml`.
    Files,
    /// A secret: never printed, also readable from the file that `NAME_FILE` names.
    Secret,
}

/// The headings of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the headings say it")]
pub enum Group {
    Server,
    Provider,
    Network,
    Client,
    Keys,
    Registration,
    Session,
    Cookies,
    Tokens,
    Login,
    Pages,
    Telemetry,
}

impl Group {
    /// All groups in the order of the reference.
    pub const ALL: [Self; 12] = [
        Self::Server,
        Self::Provider,
        Self::Network,
        Self::Client,
        Self::Keys,
        Self::Registration,
        Self::Session,
        Self::Cookies,
        Self::Tokens,
        Self::Login,
        Self::Pages,
        Self::Telemetry,
    ];

    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Provider => "Identity provider",
            Self::Network => "Proxies and certificate authorities on the way out",
            Self::Client => "OAuth client",
            Self::Keys => "Keys and files",
            Self::Registration => "Registration (DCR)",
            Self::Session => "Sessions",
            Self::Cookies => "Cookies",
            Self::Tokens => "Tokens",
            Self::Login => "Login and redirects",
            Self::Pages => "Pages for people",
            Self::Telemetry => "Logs and telemetry",
        }
    }
}

/// The variable called `name`, or with that alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES
        .iter()
        .find(|variable| variable.name == name || variable.aliases.contains(&name))
}

const fn variable(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        aliases: &[],
        kind,
        default,
        meaning,
        group,
        public: false,
        not_built: None,
    }
}

/// A variable whose value messages may quote.
const fn public(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        public: true,
        ..variable(group, name, kind, default, meaning)
    }
}

impl Variable {
    const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn not_built(self, only: &'static str) -> Self {
        Self {
            not_built: Some(only),
            ..self
        }
    }

    /// Whether its value must never be printed.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret)
    }

    /// Whether it names files or a folder.
    #[must_use]
    pub const fn is_path(&self) -> bool {
        matches!(self.kind, Kind::Path | Kind::Folder | Kind::Files)
    }

    /// Whether it takes several values.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List | Kind::Map | Kind::Files)
    }

    /// Whether its values have names.
    #[must_use]
    pub const fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map)
    }
}

use Group as G;
use Kind as K;

/// All variables.
pub const VARIABLES: &[Variable] = &[
    // Server
    public(G::Server, "HOST", K::Text, "`127.0.0.1` (image: `0.0.0.0`)", "address to listen on"),
    public(G::Server, "PORT", K::Number, "`8000`", "port to listen on"),
    public(G::Server, "BFF_BASE_URL", K::Origin, "none", "external origin of the BFF; base of `jwks_uri`, of the fallback callback and of logout URLs"),
    public(G::Server, "BFF_INTERNAL_ADDR", K::Text, "none", "`ip:port` of a second listener that is never published: health in detail, and `/auth/verify` with tokens, which answers nowhere else").or(&["BFF_METRICS_ADDR"]),
    public(G::Server, "BFF_CONFIG_DIR", K::Folder, "`config` (image: `/app/config`)", "folder of `settings.yaml` and `routes.yaml`; only from the environment").or(&["SERVICE_CONFIG_DIR", "BFF_CONFIG"]),
    public(G::Server, "SETTINGS_FILE", K::Path, "`settings.yaml` in `BFF_CONFIG_DIR`", "the file of settings; only from the environment"),
    public(G::Server, "BFF_TRUSTED_PROXIES", K::List, "none", "CIDRs or addresses of proxies whose forwarded headers are trusted"),
    public(G::Server, "BFF_FORWARDED_HEADERS", K::Choice(&["x-forwarded", "forwarded"]), "`x-forwarded`", "the headers that the proxies in `BFF_TRUSTED_PROXIES` set: `X-Forwarded-For`, `-Host` and `-Proto`, or `Forwarded` (RFC 7239); the server ignores the others"),
    public(G::Server, "KEEP_ALIVE", K::Duration, "`125s`", "how long an unused connection of a proxy in `BFF_TRUSTED_PROXIES` is kept; set it longer than the proxy keeps it. Other connections are kept for 20 s"),
    public(G::Server, "MAX_CONNECTIONS", K::Number, "`10000`, fewer if the limit of open files is low", "maximum of concurrent client connections; if all are taken, the one that has been idle longest ends"),
    public(G::Server, "MAX_CONNECTIONS_PER_ADDRESS", K::Number, "a quarter of `MAX_CONNECTIONS`", "maximum per address (per IPv6 network of 64 bits), for connections and for concurrent requests; not for `BFF_TRUSTED_PROXIES`"),
    public(G::Server, "REQUEST_MAX_BODY_SIZE", K::Bytes, "`10MiB`", "the longest body of a request that is passed on, if neither the route nor its service has `max_body`; not for routes with `streaming: true`"),
    public(G::Server, "SHUTDOWN_DELAY", K::Duration, "`5s`", "after SIGTERM, readiness is 503 for this long while the server still serves everything, so that load balancers turn away"),
    public(G::Server, "SHUTDOWN_TIMEOUT", K::Duration, "`20s`", "after that, requests under way have this long to finish"),
    public(G::Server, "BFF_DANGER_ALLOW_HTTP", K::Switch, "`false`", "accept plain `http` URLs everywhere; otherwise only for loopback and for names without a dot"),
    public(G::Server, "BFF_ADMIN_SOCKET", K::Path, "none (image: `/run/bff/admin.sock`)", "Unix socket, mode 0600, for `bff sessions` and other commands that need the running server"),
    // Provider
    public(G::Provider, "OIDC_ISSUER", K::Url, "`IDP_BASE_URL`", "issuer identifier, compared exactly; this or `IDP_BASE_URL` is required").or(&["AUTH_ISSUER"]),
    public(G::Provider, "IDP_BASE_URL", K::Url, "the issuer", "address of the IdP for this process, e.g. in a container network"),
    public(G::Provider, "IDP_PUBLIC_BASE", K::Url, "none", "address of the IdP for browsers, if `OIDC_ISSUER` is an address that only this process reaches; the IdP may also use an issuer at that origin"),
    public(G::Provider, "OIDC_AUTHORIZATION_URL", K::Url, "discovery", "authorization endpoint"),
    public(G::Provider, "OIDC_TOKEN_URL", K::Url, "discovery", "token endpoint"),
    public(G::Provider, "OIDC_JWKS_URL", K::Url, "discovery", "the IdP's JWK Set").or(&["AUTH_JWKS_URL"]),
    public(G::Provider, "OIDC_PAR_URL", K::Url, "discovery", "pushed authorization request endpoint; `none` disables it"),
    public(G::Provider, "OIDC_USERINFO_URL", K::Url, "discovery", "UserInfo endpoint; `none` disables it"),
    public(G::Provider, "OIDC_END_SESSION_URL", K::Url, "discovery", "end-session endpoint; `none` disables it"),
    public(G::Provider, "OIDC_REVOCATION_URL", K::Url, "discovery", "revocation endpoint; `none` disables it"),
    public(G::Provider, "OIDC_INTROSPECTION_URL", K::Url, "discovery", "introspection endpoint; `none` disables it"),
    public(G::Provider, "DCR_REGISTRATION_URL", K::Url, "discovery", "client registration endpoint; `none` disables it"),
    public(G::Provider, "IDP_CA_FILE", K::Path, "system roots", "PEM file with further CA certificates for the IdP, or with its own self-signed certificate"),
    public(G::Provider, "OIDC_SCOPES", K::List, "`openid profile email offline_access`", "scopes requested at login and registration"),
    public(G::Provider, "OIDC_PROMPT", K::Text, "`auto`", "`prompt` for logins that name none. `auto` sends none, and `consent` after a login with `offline_access` has brought no refresh token (stored in `BFF_STATE_DIR`); set but empty: never sent"),
    public(G::Provider, "OIDC_PROVIDER_ALIAS", K::Text, "`oidc`", "the IdP in the names of people over all IdPs, `auth:account:ALIAS:SUB` (`user.arn` of the session answer, `X-Original-User`); `provider` of an entry of `idps.yaml` for the IdP of the logins wins"),
    public(G::Provider, "AUTH_AUDIENCE", K::Text, "`BFF_BASE_URL`", "`aud` of the access tokens that callers bring to routes with `auth: bearer`, if there is no `idps.yaml`"),
    public(G::Provider, "OIDC_EMAIL_TRUSTED", K::Switch, "`false`", "an e-mail address without `email_verified` counts as verified, for IdPs that never send it; an address with `email_verified: false` never does"),
    public(G::Provider, "OIDC_TRUSTED_AUDIENCES", K::List, "none", "audiences that an ID token may list beside this client, for IdPs that always list several; `azp` has to name this client then"),
    // Network
    variable(G::Network, "HTTPS_PROXY", K::Url, "none", "proxy for calls over https to the IdP and to services, through CONNECT: `http://host:port`, if needed with `user:password@`. If both names of this or the next two variables are set, the one in capitals wins").or(&["https_proxy"]),
    variable(G::Network, "HTTP_PROXY", K::Url, "none", "the same for calls over plain http; the proxy receives their whole URL").or(&["http_proxy"]),
    public(G::Network, "NO_PROXY", K::List, "none", "hosts that are called without a proxy: host names and domains with all names below them, IP addresses, CIDRs, each optionally with a port, or `*`; list the services of your container network. Loopback never uses a proxy").or(&["no_proxy"]),
    public(G::Network, "SSL_CERT_FILE", K::Path, "the system's", "PEM file of certificate authorities that replace those of the system, for the IdP and for services"),
    public(G::Network, "SSL_CERT_DIR", K::Folder, "the system's", "folder of such files, or several with `:` between them; with `SSL_CERT_FILE` both count"),
    // Client
    public(G::Client, "AUTH_CLIENT_ID", K::Text, "the registered one", "OAuth client id; with DCR a request like `DCR_CLIENT_ID`, without DCR required"),
    variable(G::Client, "AUTH_CLIENT_SECRET", K::Secret, "none", "client secret, only for the secret methods"),
    public(G::Client, "MS_BFF_TOKEN_AUTH_METHOD", K::Choice(&["private_key_jwt", "client_secret_basic", "client_secret_post"]), "`private_key_jwt`", "how the BFF authenticates at the IdP"),
    public(G::Client, "BFF_JWT_SIGNING_ALG", K::Choice(&["PS256", "RS256", "ES256", "EdDSA", "Ed25519"]), "negotiated", "algorithm of client assertions; by default from the key and the IdP's list"),
    public(G::Client, "BFF_ASSERTION_AUDIENCE", K::Choice(&["issuer", "token_endpoint"]), "`issuer`", "`aud` of client assertions"),
    public(G::Client, "BFF_ASSERTION_TYP", K::Choice(&["auto", "none"]), "`auto`", "`typ` of client assertions: `client-authentication+jwt` if `aud` is the issuer, otherwise `JWT`; `none` sends no `typ`, for IdPs that refuse one"),
    public(G::Client, "MS_BFF_PAR_ENABLED", K::Choice(&["auto", "true", "false"]), "`auto`", "pushed authorization requests; `auto` uses them if discovery offers them"),
    public(G::Client, "MS_BFF_DPOP_ENABLED", K::Switch, "`false`", "sender-constrained tokens (DPoP)").not_built("false"),
    public(G::Client, "MS_BFF_JAR_ENABLED", K::Switch, "`false`", "signed authorization requests (JAR)").not_built("false"),
    public(G::Client, "MS_BFF_JARM_ENABLED", K::Switch, "`false`", "signed authorization responses (JARM)").not_built("false"),
    // Keys
    public(G::Keys, "BFF_JWT_SIGNING_KEY", K::Path, "`DCR_SIGNING_KEY`, else `bff-signing.pem` in `BFF_KEYS_DIR`", "PEM file of the signing key (PKCS#8, PKCS#1, SEC1; RSA of 2048 bits or more, P-256, Ed25519); made on a first start"),
    public(G::Keys, "BFF_KEYS_DIR", K::Folder, "folder of the signing key, else `keys` (image: `/app/keys`)", "the `bff-keys` volume").or(&["KEYS_DIR"]),
    public(G::Keys, "BFF_STATE_DIR", K::Folder, "`BFF_KEYS_DIR`", "folder for all files that the BFF itself writes"),
    public(G::Keys, "BFF_STATE_STORE", K::Choice(&["files", "redis"]), "`redis` if sessions are kept in Redis, otherwise `files`", "store of the registration and the keyring for all replicas: `bff_client.json` and `keyring.json` in one folder that all of them mount, or sealed in Redis, while each mounts the same key; see `docs/redis.md`"),
    public(G::Keys, "BFF_KID", K::Text, "RFC 7638 thumbprint", "key id of the signing key"),
    public(G::Keys, "BFF_KEY_TYPE", K::Choice(&["rsa-2048", "rsa-3072", "p-256", "ed25519"]), "`rsa-2048`", "type of keys that the BFF makes; `p-256` is recommended if the IdP lists ES256, because signing is some 35 times cheaper"),
    public(G::Keys, "BFF_JWKS_EXTRA_KEYS", K::Files, "none", "further PEM files whose public halves are published"),
    public(G::Keys, "BFF_JWK_ROTATE_AFTER_DAYS", K::Number, "`0` (off)", "days after which a new key replaces the signing one; `0`: rotation only by hand"),
    public(G::Keys, "BFF_JWK_RETIRE_AFTER_DAYS", K::Number, "`60`", "days for which a key stays published after it has stopped signing"),
    public(G::Keys, "BFF_JWK_MAX_KEYS", K::Number, "`3`", "maximum number of published keys of `keyring.json`, at least 2; the next and the active one always are published"),
    public(G::Keys, "BFF_JWK_PUBLISH_AHEAD", K::Duration, "`24h`", "how long a new key is published before it signs"),
    public(G::Keys, "BFF_DANGER_ALLOW_OPEN_FILES", K::Switch, "`false`", "accept keys, secrets, credentials and their folders although others can read or write them, or they belong to another user; otherwise only files on a read-only mount or in memory (tmpfs) may be readable for others, with a warning"),
    // Registration
    public(G::Registration, "DCR_ENABLED", K::Switch, "`true` if any other `DCR_*` is set", "registration at startup"),
    public(G::Registration, "SKIP_DCR_BOOTSTRAP", K::Switch, "`false`", "no registration calls while set"),
    variable(G::Registration, "DCR_IAT", K::Secret, "none", "initial access token; used only to create or replace a registration; `none` if the IdP registers without one. A missing file counts as unset once there are credentials"),
    public(G::Registration, "DCR_CLIENT_ID", K::Text, "`AUTH_CLIENT_ID`", "requested client id"),
    public(G::Registration, "DCR_CLIENT_PROFILE", K::Text, "none", "sent as `client_profile`, e.g. `code-flow-pkjwt`"),
    public(G::Registration, "DCR_CLIENT_NAME", K::Text, "`bff`", "name that the IdP shows to people, for example on its consent page (`client_name`)"),
    public(G::Registration, "DCR_CLIENT_URI", K::Url, "none", "page about the application (`client_uri`)"),
    public(G::Registration, "DCR_LOGO_URI", K::Url, "none", "logo that the IdP shows to people (`logo_uri`)"),
    public(G::Registration, "DCR_POLICY_URI", K::Url, "none", "privacy policy (`policy_uri`)"),
    public(G::Registration, "DCR_TOS_URI", K::Url, "none", "terms of service (`tos_uri`)"),
    public(G::Registration, "DCR_CONTACTS", K::List, "none", "people responsible for the client, for example mail addresses (`contacts`)"),
    public(G::Registration, "DCR_SIGNING_KEY", K::Path, "`BFF_JWT_SIGNING_KEY`", "the signing key; if both are set they must be the same key"),
    public(G::Registration, "DCR_REDIRECT_URIS", K::List, "required for DCR", "exact redirect URIs, one per host, path `/auth/callback`"),
    public(G::Registration, "DCR_FORCE_REPLACE", K::Switch, "`false`", "register anew; needs a fresh `DCR_IAT`, has no effect without one"),
    public(G::Registration, "DCR_JWKS_URI", K::Url, "`BFF_BASE_URL` + `/.well-known/jwks.json`", "registered `jwks_uri`; if neither is set, the keys are registered inline (`jwks`)"),
    public(G::Registration, "DCR_BACKCHANNEL_LOGOUT_URI", K::Url, "`BFF_BASE_URL`, or the origin of the first redirect URI, + `/auth/backchannel-logout`", "registered `backchannel_logout_uri`, to which the provider reports logouts, if its metadata supports that"),
    public(G::Registration, "DCR_REDIRECT_UPDATE_MODE", K::Choice(&["auto", "replace", "merge", "none"]), "`auto`", "redirect URIs at the IdP that are not in `DCR_REDIRECT_URIS`: `auto` and `replace` remove them, `merge` keeps them, `none` changes nothing; the same holds for post-logout URIs"),
    public(G::Registration, "DCR_ROTATION_SAFE", K::Switch, "`false`", "`true` forces `merge`"),
    public(G::Registration, "DCR_UPDATE_METHOD", K::Choice(&["auto", "put", "patch"]), "`auto`", "how a registration is updated: `put` (RFC 7592), `patch` (only the difference), or `auto`: PUT, and PATCH if the IdP answers 405 or 501"),
    public(G::Registration, "DCR_CHECK_INTERVAL", K::Duration, "`0` (only at the start)", "interval at which a running server compares its registration with the configuration, and reverts changes at the IdP; at least `1m`"),
    public(G::Registration, "BFF_CLIENT_CRED_PATH", K::Path, "`bff_client.json` in `BFF_STATE_DIR`", "file for the answer to the registration, mode 0600"),
    variable(G::Registration, "BOOTSTRAP_ADMIN_TOKEN", K::Secret, "none", "lets the start mint an initial access token through the IdP's admin API. A missing file counts as unset once there are credentials"),
    public(G::Registration, "ALLOW_BOOTSTRAP_FAILURE", K::Switch, "`false`", "a refused first registration does not stop the process"),
    // Session
    public(G::Session, "SESSION_STORE", K::Choice(&["memory", "disk", "redis"]), "`redis` if `REDIS_URL` is set; otherwise `disk` if `BFF_STATE_DIR` is writable; otherwise `memory`", "store of sessions: a Redis that replicas share, `sessions.redb` in `BFF_STATE_DIR`, or memory until the next restart"),
    variable(G::Session, "REDIS_URL", K::Secret, "none", "address of Redis: `redis://USER:PASSWORD@HOST:6379/0`, with TLS `rediss://`; `redis+sentinel://`, `redis+cluster://`; see `docs/redis.md`"),
    public(G::Session, "REDIS_CA_FILE", K::Path, "the system's", "PEM file of the certificate authorities for the certificate of Redis"),
    public(G::Session, "REDIS_CLIENT_CERT_FILE", K::Path, "none", "PEM file with the certificate of the server for Redis"),
    variable(G::Session, "REDIS_CLIENT_KEY", K::Secret, "none", "the private key of that certificate in PEM form; usually as a file, `REDIS_CLIENT_KEY_FILE`"),
    public(G::Session, "SESSION_LIFETIME", K::Duration, "`8h`", "absolute limit of a session"),
    public(G::Session, "SESSION_IDLE_TIMEOUT", K::Duration, "`1h`", "sliding limit of a session"),
    variable(G::Session, "SESSION_SECRET", K::Secret, "made once in `BFF_STATE_DIR`", "master secrets of at least 32 bytes (base64 or hex), comma-separated: the first one encrypts, the others still decrypt"),
    public(G::Session, "SESSION_MAX", K::Number, "`1000000`", "maximum number of sessions; beyond it a new login gets 503"),
    public(G::Session, "SESSION_MAX_PER_USER", K::Number, "`50`", "maximum number of sessions of one person; beyond it the oldest ends"),
    public(G::Session, "SESSION_MEMORY_LIMIT", K::Bytes, "`1GiB`", "maximum memory for sessions: with `memory` a login beyond it gets 503; otherwise it bounds the cache of recently used sessions"),
    public(G::Session, "SESSION_BINDING", K::Choice(&["off", "ua", "ip", "ua+ip", "device", "device-if-possible"]), "`off`", "binding of a session to more than its cookie: the browser (`ua`, without version numbers), its network (`ip`: /24, of IPv6 /48), or a key that never leaves the device; see `docs/binding.md`"),
    public(G::Session, "SESSION_BINDING_RENEWAL", K::Duration, "`10m`", "with `device`: interval at which a browser proves its key; a stolen cookie works for at most this long"),
    // Cookies
    public(G::Cookies, "SESSION_COOKIE_NAME", K::Text, "`__Host-Http-bff_session`; with a domain `__Http-bff_session`; without `Secure` `bff_session`", "name of the session cookie"),
    public(G::Cookies, "BFF_COOKIE_DOMAIN", K::Text, "none", "domain of the session cookie, if several hosts share it"),
    public(G::Cookies, "BFF_COOKIE_SECURE", K::Switch, "`true`", "`false` only if all own origins are http on loopback, or with `BFF_DANGER_ALLOW_HTTP`"),
    public(G::Cookies, "BFF_COOKIE_SAMESITE", K::Choice(&["Lax", "Strict"]), "`Strict`", "`SameSite` of the session cookie; with `Strict` another site cannot send it even by a link"),
    public(G::Cookies, "BFF_CSRF_COOKIE", K::Switch, "`false`", "`true` for pages that were written for the original system: they read the CSRF token from the cookie `_eid_csrf_v1`"),
    // Tokens
    public(G::Tokens, "TOKEN_REFRESH_THRESHOLD", K::Duration, "`300`", "refresh this long before expiry, at most half the token's life"),
    public(G::Tokens, "TOKEN_REFRESH_CONCURRENCY", K::Number, "`32`", "maximum number of concurrent refreshes"),
    public(G::Tokens, "SERVICE_AUDIENCES", K::Map, "none", "the `aud` that tokens for a service must have, for services of `routes.yaml` without `token_audience`: `orders=https://orders.example`"),
    public(G::Tokens, "SERVICE_SCOPES", K::Map, "none", "the scopes of tokens for a service, for services of `routes.yaml` without `scopes`: `orders=orders.read,orders=orders.write`"),
    public(G::Tokens, "OIDC_RESOURCE_INDICATORS", K::Choice(&["auto", "always", "never"]), "`auto`", "whether requests for tokens name an API by `resource` (RFC 8707); `auto` does for the audiences that the IdP lists in `protected_resources`, and names others by `audience`"),
    public(G::Tokens, "BFF_TOKEN_POLICY_ENABLED", K::Switch, "`true`", "whether routes may have a `token_policy`; `false` refuses a `routes.yaml` that has one"),
    public(G::Tokens, "BFF_OBO_ENABLED", K::Switch, "`true`", "whether a `token_policy` may have the mode `on_behalf_of`; `false` refuses a `routes.yaml` that has one"),
    // Login
    public(G::Login, "BFF_DYNAMIC_CALLBACK", K::Switch, "`true`", "use the redirect URI with the browser's host"),
    public(G::Login, "BFF_CALLBACK_URL", K::Url, "the fallback origin + `/auth/callback`", "redirect URI if none matches the browser's host"),
    public(G::Login, "BFF_DEFAULT_HOST", K::Text, "host of `BFF_BASE_URL`", "host (with port) of the fallback origin"),
    public(G::Login, "BFF_DEFAULT_SCHEME", K::Choice(&["https", "http"]), "scheme of `BFF_BASE_URL`", "scheme of the fallback origin"),
    public(G::Login, "BFF_ALLOWED_REDIRECT_HOSTS", K::List, "hosts of `DCR_REDIRECT_URIS`", "allowed targets of `return_to`: a bare host means https on 443 (or the scheme and port registered for it), anything else is a full origin"),
    public(G::Login, "LOGIN_RATE_LIMIT", K::Text, "`600/m`", "how many logins may begin at one address (per IPv6 network of 64 bits): a number per `s`, `m`, `h` or `d`, all of them possible at once; `off` for no limit"),
    public(G::Login, "CORS__ALLOW_ORIGINS", K::List, "none", "other origins that may call with credentials: a JSON array or a list"),
    // Pages
    public(G::Pages, "BRAND_NAME", K::Text, "none", "name of the application, shown on the pages for people"),
    public(G::Pages, "BRAND_LOGO_URI", K::Text, "none", "logo on these pages: an absolute URL, or a path on the own host such as `/logo.svg`"),
    public(G::Pages, "BRAND_COLOR", K::Text, "none", "colour of their buttons: `#rgb` or `#rrggbb`"),
    public(G::Pages, "BFF_TEMPLATES_DIR", K::Folder, "none", "folder of templates and texts that override ours ([pages.md](pages.md))"),
    // Telemetry
    public(G::Telemetry, "LOG_LEVEL", K::Text, "`info`", "`error`, `warn`, `info`, `debug`, `trace`, `off`, or a filter such as `info,bff::oidc=debug`"),
    public(G::Telemetry, "LOG_FORMAT", K::Choice(&["pretty", "json"]), "`pretty` (image: `json`)", "form of log lines"),
    public(G::Telemetry, "RUST_LOG", K::Text, "none", "a filter that overrides `LOG_LEVEL`"),
    variable(G::Telemetry, "OTEL_EXPORTER_OTLP_ENDPOINT", K::Url, "none", "OpenTelemetry collector").or(&["OTLP_ENDPOINT"]).not_built(""),
    public(G::Telemetry, "TELEMETRY_ENABLED", K::Switch, "`false`", "OpenTelemetry").not_built("false"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_group_has_some() {
        let mut names = BTreeSet::new();
        for variable in VARIABLES {
            for name in std::iter::once(&variable.name).chain(variable.aliases) {
                assert!(names.insert(*name), "{name}");
                assert!(
                    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                        || name.to_ascii_uppercase() == variable.name,
                    "{name}"
                );
                assert_eq!(find(name).unwrap().name, variable.name);
            }
            assert!(!variable.meaning.contains('|') && !variable.default.contains('|'));
        }
        for group in Group::ALL {
            assert!(
                VARIABLES.iter().any(|variable| variable.group == group),
                "{group:?}"
            );
        }
    }

    #[test]
    fn no_secret_is_public() {
        assert!(
            VARIABLES
                .iter()
                .all(|variable| !(variable.public && variable.is_secret()))
        );
        assert!(!find("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap().public);
    }

    /// The contract's table names all of them; a name there that we do not know would be refused as unknown.
    #[test]
    fn every_secret_is_marked() {
        let secrets: Vec<&str> = VARIABLES
            .iter()
            .filter(|variable| variable.is_secret())
            .map(|variable| variable.name)
            .collect();
        assert_eq!(
            secrets,
            [
                "AUTH_CLIENT_SECRET",
                "DCR_IAT",
                "BOOTSTRAP_ADMIN_TOKEN",
                "REDIS_URL",
                "REDIS_CLIENT_KEY",
                "SESSION_SECRET"
            ]
        );
    }
}
