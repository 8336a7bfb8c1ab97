//! Everything that a person can set or change.

use std::borrow::Cow;

use super::Setting;

/// The enumeration, and a list of it for tests.
macro_rules! knobs {
    ($($(#[$doc:meta])+ $knob:ident,)+) => {
        /// A thing that a person can set or change: a setting, a file, something at the IdP. Its name here describes
        /// its purpose; the configuration knows its real name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Knob {
            $($(#[$doc])+ $knob,)+
        }

        impl Knob {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$knob),+];
        }
    };
}

knobs! {
    /// The identity of the IdP.
    Issuer,
    /// The address at which this process reaches the IdP.
    ProviderBase,
    /// The certificate authorities of the IdP.
    ProviderCa,
    /// The IdP's authorization endpoint.
    AuthorizationEndpoint,
    /// The IdP's token endpoint.
    TokenEndpoint,
    /// The address of the IdP's keys.
    ProviderKeys,
    /// The IdP's endpoint for pushed authorization requests.
    ParEndpoint,
    /// The IdP's `UserInfo` endpoint.
    UserinfoEndpoint,
    /// The IdP's logout endpoint.
    EndSessionEndpoint,
    /// The IdP's revocation endpoint.
    RevocationEndpoint,
    /// The IdP's introspection endpoint.
    IntrospectionEndpoint,
    /// The IdP's registration endpoint.
    RegistrationEndpoint,
    /// The requested scopes.
    Scopes,
    /// The `prompt` of authorization requests.
    Prompt,
    /// Whether every e-mail address of the IdP is verified.
    EmailTrusted,
    /// Audiences that an ID token may list beside this client.
    TrustedAudiences,
    /// The proxy for calls over https.
    HttpsProxy,
    /// The proxy for calls over plain http.
    HttpProxy,
    /// Hosts without a proxy.
    NoProxy,
    /// The file of the system's certificate authorities.
    SystemCa,
    /// The folder of the system's certificate authorities.
    SystemCaFolder,
    /// The client that an operator registered by hand.
    ClientId,
    /// The secret of that client.
    ClientSecret,
    /// The authentication method of the client.
    AuthMethod,
    /// The algorithm of assertions.
    SigningAlgorithm,
    /// The audience of assertions.
    AssertionAudience,
    /// The `typ` of assertions.
    AssertionTyp,
    /// Whether authorization requests are pushed.
    Par,
    /// Whether requests for tokens name an API by a resource indicator.
    ResourceIndicators,
    /// The file of the signing key.
    SigningKey,
    /// The key id of that key.
    KeyId,
    /// The type of new keys.
    KeyType,
    /// How long a new key is published before it signs.
    PublishAhead,
    /// Files of further published keys.
    ExtraKeys,
    /// The folder of keys.
    KeysFolder,
    /// The setting that the path of the signing key follows from.
    KeyPlace,
    /// The folder of the data that a restart needs.
    StateFolder,
    /// The setting that the path of that folder follows from.
    StatePlace,
    /// The store of the data that replicas share.
    StateStore,
    /// Whether files that others can use are accepted.
    AllowOpenFiles,
    /// Whether plain http is accepted everywhere.
    AllowHttp,
    /// Whether the server registers itself.
    Registration,
    /// Whether no call for a registration is made.
    SkipRegistration,
    /// The token that allows one registration.
    InitialAccessToken,
    /// The token that mints initial access tokens.
    AdminToken,
    /// Whether a new client replaces the present one.
    ForceReplace,
    /// The requested client id.
    RequestedClientId,
    /// The requested profile.
    ClientProfile,
    /// The redirect URIs of the client.
    RedirectUris,
    /// The treatment of redirect URIs that only the IdP has.
    RedirectUpdate,
    /// Whether redirect URIs at the IdP are kept in any case.
    RotationSafe,
    /// The method of updates.
    UpdateMethod,
    /// The address at which the IdP fetches our keys.
    JwksUri,
    /// The path of the credentials file.
    CredentialsPath,
    /// The setting that the path of that file follows from.
    CredentialsPlace,
    /// The address of this server.
    BaseUrl,
    /// The listener that is never published.
    InternalAddress,
    /// The socket of the operator.
    AdminSocket,
    /// Trusted proxies: their forwarded headers are used.
    TrustedProxies,
    /// The maximum of connections.
    MaxConnections,
    /// The maximum of connections from one address.
    MaxConnectionsPerAddress,
    /// The secret that seals sessions.
    SessionSecret,
    /// The kind of session store.
    StoreKind,
    /// The maximum of sessions.
    SessionMax,
    /// The maximum of memory for sessions.
    SessionMemory,
    /// The address of Redis.
    Redis,
    /// The certificate authorities of Redis.
    RedisCa,
    /// The client certificate for Redis.
    RedisClientCert,
    /// The key of that certificate.
    RedisClientKey,
    /// The name of the session cookie.
    CookieName,
    /// The domain of the session cookie.
    CookieDomain,
    /// Whether cookies require https.
    CookieSecure,
    /// The address to listen on.
    Host,
    /// The port to listen on.
    Port,
    /// The folder of page templates.
    Templates,
    /// The level of the log.
    LogLevel,
    /// The file of the registered client.
    CredentialsFile,
    /// The keyring file, which names the signing key.
    KeyringFile,
    /// The file of routes.
    RoutesFile,
    /// The file of issuers of tokens that callers bring.
    IdpsFile,
    /// The scopes that the IdP allows.
    ProviderScopes,
    /// The client at the IdP.
    ProviderClient,
}

// === impl Knob ===

impl Knob {
    /// It, set to `value`.
    pub fn to(self, value: impl Into<Cow<'static, str>>) -> Setting {
        Setting {
            knob: self,
            value: value.into(),
        }
    }
}
