//! Who the BFF is to the identity provider, and how it proves it.

use super::{parse, reader::Reader};
use crate::{
    jose::Algorithm,
    oidc::{AssertionAudience, AssertionTyp, ParMode},
    registration::AuthMethod,
    secret::Secret,
};

/// The OAuth client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// `AUTH_CLIENT_ID`: with registration a wish, without it the client.
    pub id: Option<String>,
    /// How it authenticates.
    pub authentication: AuthMethod,
    /// The secret of the secret methods.
    pub secret: Option<Secret>,
    /// The algorithm of client assertions, if it is not negotiated.
    pub signing_algorithm: Option<Algorithm>,
    /// `aud` of client assertions.
    pub assertion_audience: AssertionAudience,
    /// `typ` of client assertions.
    pub assertion_typ: AssertionTyp,
    /// Whether authorization requests are pushed.
    pub par: ParMode,
}

pub(super) fn read(reader: &mut Reader, registers: bool) -> ClientSettings {
    let id = reader.parsed("AUTH_CLIENT_ID", |text| parse::visible(text, 256));
    let authentication = reader
        .choice(
            "MS_BFF_TOKEN_AUTH_METHOD",
            &[
                AuthMethod::PrivateKeyJwt,
                AuthMethod::ClientSecretBasic,
                AuthMethod::ClientSecretPost,
            ],
        )
        .unwrap_or(AuthMethod::PrivateKeyJwt);
    let secret = reader.secret("AUTH_CLIENT_SECRET");
    if !registers {
        if !reader.is_set("AUTH_CLIENT_ID") {
            reader.complain(
                "AUTH_CLIENT_ID",
                "is required while registration (DCR) is off",
                "set it to the client's id at the identity provider, or set DCR_REDIRECT_URIS and a DCR_IAT to register",
            );
        }
        let needs_secret = authentication != AuthMethod::PrivateKeyJwt;
        if needs_secret && secret.is_none() && !reader.is_refused("AUTH_CLIENT_SECRET") {
            let method = authentication.name();
            reader.complain(
                "AUTH_CLIENT_SECRET",
                format!("is required for {method} while registration (DCR) is off"),
                "set AUTH_CLIENT_SECRET or AUTH_CLIENT_SECRET_FILE, or use MS_BFF_TOKEN_AUTH_METHOD=private_key_jwt",
            );
        }
    }
    if secret.is_some() && authentication == AuthMethod::PrivateKeyJwt {
        reader.warn(
            "AUTH_CLIENT_SECRET",
            "has no effect with private_key_jwt; remove it",
        );
    }
    ClientSettings {
        id,
        authentication,
        secret,
        signing_algorithm: reader.choice(
            "BFF_JWT_SIGNING_ALG",
            &[
                Algorithm::PS256,
                Algorithm::RS256,
                Algorithm::ES256,
                Algorithm::EdDSA,
                Algorithm::Ed25519,
            ],
        ),
        assertion_audience: reader
            .choice(
                "BFF_ASSERTION_AUDIENCE",
                &[AssertionAudience::Issuer, AssertionAudience::TokenEndpoint],
            )
            .unwrap_or(AssertionAudience::Issuer),
        assertion_typ: reader
            .choice("BFF_ASSERTION_TYP", &[AssertionTyp::Auto, AssertionTyp::None])
            .unwrap_or_default(),
        par: reader
            .choice(
                "MS_BFF_PAR_ENABLED",
                &[ParMode::Auto, ParMode::Always, ParMode::Never],
            )
            .unwrap_or(ParMode::Auto),
    }
}
