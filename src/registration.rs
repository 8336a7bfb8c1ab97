//! Dynamic Client Registration (RFC 7591) and its management (RFC 7592).

mod credentials;
mod diff;
mod metadata;
mod options;

#[cfg(test)]
mod tests {
    use super::options::*;
    use crate::jose::Algorithm;
    use std::path::PathBuf;

    pub(super) fn options() -> Options {
        Options {
            client_id: Some("bff-server".to_owned()),
            client_profile: Some("code-flow-pkjwt".to_owned()),
            client_name: "bff".to_owned(),
            redirect_uris: vec![
                "https://a.example/auth/callback".to_owned(),
                "https://b.example:8443/auth/callback".to_owned(),
            ],
            scopes: ["openid", "profile", "offline_access"]
                .map(str::to_owned)
                .to_vec(),
            auth_method: AuthMethod::PrivateKeyJwt,
            signing_algorithm: None,
            key_algorithms: &[Algorithm::PS256, Algorithm::RS256],
            jwks: Jwks::Uri("https://a.example/.well-known/jwks.json".to_owned()),
            force_replace: false,
            initial_access_token: None,
            admin_token: None,
            idp_origin: url::Url::parse("https://idp.example").unwrap(),
            credentials: PathBuf::from("bff_client.json"),
            skip: false,
            client_secret: None,
            allow_failure: false,
        }
    }
}
