//! Everything that a person can set or change.

use std::borrow::Cow;

use super::Setting;

/// The enumeration, and a list of it for tests.
macro_rules! knobs {
    ($($(#[$doc:meta])+ $knob:ident,)+) => {
        /// Something that a person can set or change: a setting, a file, something at the IdP. It is named after what it does;
        /// the configuration knows what it is called.
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
    /// Who the IdP is.
    Issuer,
    /// Where this process reaches the IdP.
    ProviderBase,
    /// Whom the IdP's certificate may come from.
    ProviderCa,
    /// Where logins begin at the IdP.
    AuthorizationEndpoint,
    /// Where the IdP gives tokens.
    TokenEndpoint,
    /// Where the IdP's keys are.
    ProviderKeys,
    /// Where the IdP takes pushed authorization requests.
    ParEndpoint,
    /// Where the IdP tells of a person.
    UserinfoEndpoint,
    /// Where the IdP ends its session.
    EndSessionEndpoint,
    /// Where the IdP revokes tokens.
    RevocationEndpoint,
    /// Where the IdP tells of tokens.
    IntrospectionEndpoint,
    /// Where the IdP registers clients.
    RegistrationEndpoint,
    /// The scopes that are asked for.
    Scopes,
    /// What the IdP is told to ask people.
    Prompt,
    /// Whether every e-mail address of the IdP is verified.
    EmailTrusted,
    /// Audiences that an ID token may list beside this client.
    TrustedAudiences,
    /// Hosts that are reached without a proxy.
    NoProxy,
    /// The file of the system's certificate authorities.
    SystemCa,
    /// The folder of the system's certificate authorities.
    SystemCaFolder,
    /// The client that was registered by hand.
    ClientId,
    /// The secret of that client.
    ClientSecret,
    /// How the client authenticates.
    AuthMethod,
    /// What assertions are signed with.
    SigningAlgorithm,
    /// Whom assertions are for.
    AssertionAudience,
    /// What assertions call themselves.
    AssertionTyp,
    /// Whether authorization requests are pushed.
    Par,
    /// The file of the key that signs.
    SigningKey,
    /// The key id of that key.
    KeyId,
    /// The type of keys that are made.
    KeyType,
    /// Files of further keys that are published.
    ExtraKeys,
    /// The folder of keys.
    KeysFolder,
    /// The folder of what a restart needs.
    StateFolder,
    /// Where replicas keep what they have in common.
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
    /// Whether a client is registered in the place of the present one.
    ForceReplace,
    /// The client id that is asked for.
    RequestedClientId,
    /// The profile that is asked for.
    ClientProfile,
    /// The redirect URIs of the client.
    RedirectUris,
    /// What becomes of redirect URIs that only the IdP has.
    RedirectUpdate,
    /// Whether redirect URIs at the IdP are kept in any case.
    RotationSafe,
    /// The method of updates.
    UpdateMethod,
    /// Where the IdP fetches our keys.
    JwksUri,
    /// Where the file of credentials is.
    CredentialsPath,
    /// The address of this server.
    BaseUrl,
    /// The listener that is never published.
    InternalAddress,
    /// The socket of the operator.
    AdminSocket,
    /// Proxies whose forwarded headers are believed.
    TrustedProxies,
    /// How many connections there may be.
    MaxConnections,
    /// How many of them may be of one address.
    MaxConnectionsPerAddress,
    /// What sessions are sealed under.
    SessionSecret,
    /// Where sessions are kept.
    StoreKind,
    /// How many sessions there may be.
    SessionMax,
    /// How much memory sessions may take.
    SessionMemory,
    /// Where Redis is.
    Redis,
    /// Whom the certificate of Redis may come from.
    RedisCa,
    /// The certificate that Redis is shown.
    RedisClientCert,
    /// The key of that certificate.
    RedisClientKey,
    /// The name of the session cookie.
    CookieName,
    /// The domain of the session cookie.
    CookieDomain,
    /// Whether cookies are for https alone.
    CookieSecure,
    /// The address to listen on.
    Host,
    /// The port to listen on.
    Port,
    /// The folder of page templates.
    Templates,
    /// What is logged.
    LogLevel,
    /// The file of the registered client.
    CredentialsFile,
    /// The file that says which key signs.
    KeyringFile,
    /// The file of routes.
    RoutesFile,
    /// The scopes that the IdP allows.
    ProviderScopes,
    /// The client as the IdP has it.
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
