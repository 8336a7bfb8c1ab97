//! The endpoints, as a closed list.

/// An endpoint of the IdP, for [`Control`](crate::Control).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
    Discovery,
    /// `/jwks`.
    Jwks,
    /// `POST /register`.
    Register,
    /// `/register/{client_id}`.
    RegistrationManagement,
    /// `/api/admin/dcr/initial-access-tokens`.
    AdminIat,
    /// `/api/admin/dcr/clients/{client_id}/tokens`.
    AdminToken,
    /// `/par`.
    Par,
    /// `/authorize`.
    Authorize,
    /// `POST /login`: the login form.
    Login,
    /// `POST /consent`: the consent form.
    Consent,
    /// `/token`.
    Token,
    /// `/userinfo`.
    UserInfo,
    /// `/revoke`.
    Revoke,
    /// `/introspect`.
    Introspect,
    /// `/logout`.
    EndSession,
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint at a path, seen from the issuer.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/.well-known/openid-configuration" => Some(Self::Discovery),
            "/jwks" => Some(Self::Jwks),
            "/register" => Some(Self::Register),
            "/api/admin/dcr/initial-access-tokens" => Some(Self::AdminIat),
            "/par" => Some(Self::Par),
            "/authorize" => Some(Self::Authorize),
            "/login" => Some(Self::Login),
            "/consent" => Some(Self::Consent),
            "/token" => Some(Self::Token),
            "/userinfo" => Some(Self::UserInfo),
            "/revoke" => Some(Self::Revoke),
            "/introspect" => Some(Self::Introspect),
            "/logout" => Some(Self::EndSession),
            _ if path.starts_with("/api/admin/dcr/clients/") => Some(Self::AdminToken),
            _ if path.starts_with("/register/") => Some(Self::RegistrationManagement),
            _ if path.starts_with("/.well-known/oauth-authorization-server") => Some(Self::Discovery),
            _ => None,
        }
    }
}
