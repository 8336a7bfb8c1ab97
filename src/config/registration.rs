//! Dynamic client registration.

use std::time::Duration;

use url::Url;

use super::{
    address::{Origin, endpoint_url, plain_url, reach},
    parse,
    problem::Complaint,
    reader::Reader,
};
use crate::{
    registration::{RedirectUpdate, UpdateMethod},
    secret::Secret,
};

/// The path of every redirect URI.
const CALLBACK_PATH: &str = "/auth/callback";
/// The registration is not compared more often than this: each time is a call to the IdP.
const LEAST_CHECK_INTERVAL: Duration = Duration::from_mins(1);

/// Registration at startup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent switches of the contract"
)]
pub struct RegistrationSettings {
    /// Whether the BFF registers itself.
    pub enabled: bool,
    /// No registration call, although it is enabled.
    pub skip_bootstrap: bool,
    /// The initial access token.
    pub initial_access_token: Option<Secret>,
    /// The client id asked for.
    pub client_id: Option<String>,
    /// Sent as `client_profile`.
    pub client_profile: Option<String>,
    /// The exact redirect URIs, also without registration.
    pub redirect_uris: Vec<Url>,
    /// Register anew with an unused initial access token.
    pub force_replace: bool,
    /// The registered `jwks_uri`; inline `jwks` without one.
    pub jwks_uri: Option<Url>,
    /// Lets the start mint an initial access token.
    pub bootstrap_admin_token: Option<Secret>,
    /// A refused first registration does not stop the process.
    pub allow_bootstrap_failure: bool,
    /// What becomes of redirect URIs that the IdP has and `redirect_uris` has not.
    pub redirect_update: RedirectUpdate,
    /// How the registration is updated.
    pub update_method: UpdateMethod,
    /// How often a running server compares its registration.
    pub check_interval: Option<Duration>,
}

pub(super) fn read(reader: &mut Reader, base_url: Option<&Origin>) -> RegistrationSettings {
    let mentioned = reader
        .set_names()
        .any(|name| name.starts_with("DCR_") && name != "DCR_ENABLED");
    let enabled = reader.switch("DCR_ENABLED", mentioned);
    let redirect_uris = redirect_uris(reader);
    if enabled && !reader.is_set("DCR_REDIRECT_URIS") {
        reader.complain(
            "DCR_REDIRECT_URIS",
            "is required for registration (which is on: DCR_ENABLED, or some other DCR_* variable is set)",
            format!(
                "list the redirect URIs, one per host: `{}`",
                base_url.map_or_else(
                    || format!("https://app.example{CALLBACK_PATH}"),
                    |base| base.at(CALLBACK_PATH).to_string()
                )
            ),
        );
    }
    let visible = |text: &str| parse::visible(text, 256);
    let client_id = reader.parsed("DCR_CLIENT_ID", visible);
    if let (Some(wanted), Some(fixed)) = (&client_id, reader.text("AUTH_CLIENT_ID"))
        && *wanted != fixed
    {
        reader.complain(
            "DCR_CLIENT_ID",
            "differs from AUTH_CLIENT_ID",
            "remove one of them, or set both to the same id",
        );
    }
    let client_id = client_id.or_else(|| reader.text("AUTH_CLIENT_ID"));
    let initial_access_token = reader.secret("DCR_IAT");
    if initial_access_token.is_some() && !enabled {
        reader.warn("DCR_IAT", "has no effect while DCR_ENABLED is false; remove it");
    }
    let bootstrap_admin_token = reader.secret("BOOTSTRAP_ADMIN_TOKEN");
    if bootstrap_admin_token.is_some() {
        reader.warn(
            "BOOTSTRAP_ADMIN_TOKEN",
            "an admin's token of the identity provider is kept in this server's configuration; remove it after the first \
             registration",
        );
    }
    let jwks_uri = reader.url("DCR_JWKS_URI", endpoint_url);
    RegistrationSettings {
        enabled,
        skip_bootstrap: reader.switch("SKIP_DCR_BOOTSTRAP", false),
        initial_access_token,
        client_id,
        client_profile: reader.parsed("DCR_CLIENT_PROFILE", visible),
        redirect_uris,
        force_replace: reader.switch("DCR_FORCE_REPLACE", false),
        jwks_uri: jwks_uri.or_else(|| base_url.map(|base| base.at("/.well-known/jwks.json"))),
        bootstrap_admin_token,
        allow_bootstrap_failure: reader.switch("ALLOW_BOOTSTRAP_FAILURE", false),
        redirect_update: redirect_update(reader),
        update_method: update_method(reader),
        check_interval: reader
            .parsed("DCR_CHECK_INTERVAL", check_interval)
            .filter(|interval| !interval.is_zero()),
    }
}

fn redirect_update(reader: &mut Reader) -> RedirectUpdate {
    let name = "DCR_REDIRECT_UPDATE_MODE";
    let mode = reader.choice(
        name,
        &[
            // `auto` updates what is given and differs, and registration does not start without the URIs.
            RedirectUpdate::Replace,
            RedirectUpdate::Replace,
            RedirectUpdate::Merge,
            RedirectUpdate::Keep,
        ],
    );
    if !reader.switch("DCR_ROTATION_SAFE", false) {
        return mode.unwrap_or_default();
    }
    if reader
        .text(name)
        .is_some_and(|word| matches!(word.as_str(), "replace" | "none"))
    {
        reader.warn(
            name,
            "has no effect while DCR_ROTATION_SAFE is true, which stands for `merge`; remove one of them",
        );
    }
    RedirectUpdate::Merge
}

fn update_method(reader: &mut Reader) -> UpdateMethod {
    let methods = [UpdateMethod::Auto, UpdateMethod::Put, UpdateMethod::Patch];
    reader.choice("DCR_UPDATE_METHOD", &methods).unwrap_or_default()
}

fn check_interval(text: &str) -> Result<Duration, Complaint> {
    let interval = parse::duration(text)?;
    if interval.is_zero() || interval >= LEAST_CHECK_INTERVAL {
        Ok(interval)
    } else {
        Err(Complaint::new(
            "is shorter than a minute",
            "write `0` for never, or at least `1m`: each comparison is a call to the identity provider",
        ))
    }
}

fn redirect_uris(reader: &mut Reader) -> Vec<Url> {
    let name = "DCR_REDIRECT_URIS";
    let mut uris: Vec<Url> = Vec::new();
    for uri in reader.entries(name, redirect_uri).unwrap_or_default() {
        let problem = match reader.check_reach(name, reach(&uri)) {
            Err(complaint) => Some(complaint),
            Ok(()) => uris
                .iter()
                // What a browser sends in `Host` decides which URI is used, so it must decide for one.
                .find(|known| known.authority() == uri.authority())
                .map(|known| {
                    Complaint::new(
                        format!("is for the same host as `{known}`"),
                        "leave one redirect URI per host",
                    )
                }),
        };
        match problem {
            None => uris.push(uri),
            Some(complaint) => reader.complain_of_entry(name, uri.as_str(), complaint),
        }
    }
    uris
}

/// An exact redirect URI: the IdP compares it character by character.
pub(super) fn redirect_uri(text: &str) -> Result<Url, Complaint> {
    let url = plain_url(text)?;
    if url.path() != CALLBACK_PATH {
        let mut right = url.clone();
        right.set_path(CALLBACK_PATH);
        return Err(Complaint::new(
            format!("has another path than `{CALLBACK_PATH}`"),
            format!("write `{right}`"),
        ));
    }
    Ok(url)
}
