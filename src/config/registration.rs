//! Dynamic client registration.

use std::{path::Path, time::Duration};

use url::Url;

use super::{
    address::{Origin, endpoint_url, plain_url, reach},
    parse,
    problem::Complaint,
    reader::Reader,
};
use crate::{
    own_paths,
    own_paths::{BACKCHANNEL_LOGOUT, CALLBACK},
    registration::{Description, RedirectUpdate, UpdateMethod},
    secret::Secret,
};

/// The minimum interval of comparisons: each is a call to the IdP.
const LEAST_CHECK_INTERVAL: Duration = Duration::from_mins(1);

/// The value of `DCR_IAT` if none is needed.
const OPEN: &str = "none";
/// The default name of the client.
const DEFAULT_NAME: &str = "bff";
/// The longest name, in characters.
const LONGEST_NAME: usize = 256;

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
    /// The IdP registers without one.
    pub open_registration: bool,
    /// The requested client id.
    pub client_id: Option<String>,
    /// Sent as `client_profile`.
    pub client_profile: Option<String>,
    /// The fields that the IdP shows to people.
    pub description: Description,
    /// The exact redirect URIs, also without registration.
    pub redirect_uris: Vec<Url>,
    /// Register anew with an unused initial access token.
    pub force_replace: bool,
    /// The registered `jwks_uri`; inline `jwks` without one.
    pub jwks_uri: Option<Url>,
    /// The registered `backchannel_logout_uri`, for an IdP that knows it.
    pub backchannel_logout_uri: Option<Url>,
    /// Lets the start mint an initial access token.
    pub bootstrap_admin_token: Option<Secret>,
    /// A refused first registration does not stop the process.
    pub allow_bootstrap_failure: bool,
    /// The treatment of redirect URIs that the IdP has and `redirect_uris` lacks.
    pub redirect_update: RedirectUpdate,
    /// How the registration is updated.
    pub update_method: UpdateMethod,
    /// How often a running server compares its registration.
    pub check_interval: Option<Duration>,
}

pub(super) fn read(
    reader: &mut Reader,
    base_url: Option<&Origin>,
    credentials: &Path,
) -> RegistrationSettings {
    let mentioned = reader
        .set_names()
        .find(|name| name.starts_with("DCR_") && *name != "DCR_ENABLED")
        .map(|name| reader.place(name).to_string());
    let enabled = reader.switch("DCR_ENABLED", mentioned.is_some());
    let redirect_uris = redirect_uris(reader);
    if enabled && !reader.is_set("DCR_REDIRECT_URIS") {
        reader.complain(
            "DCR_REDIRECT_URIS",
            match mentioned {
                Some(name) if !reader.is_set("DCR_ENABLED") => {
                    format!("is required for registration, which is on because {name} is set")
                }
                _ => "is required for registration, which DCR_ENABLED switches on".to_owned(),
            },
            format!(
                "list the redirect URIs, one per host: `{}`",
                base_url.map_or_else(
                    || format!("https://app.example{CALLBACK}"),
                    |base| base.at(CALLBACK).to_string()
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
    // Secrets that were needed once and were removed since.
    let is_registered = credentials.exists();
    let configured = reader.secret_needed_unless("DCR_IAT", is_registered);
    let open_registration = configured.as_ref().is_some_and(|token| token.expose() == OPEN);
    let initial_access_token = configured.filter(|_| !open_registration);
    if (open_registration || initial_access_token.is_some()) && !enabled {
        reader.warn("DCR_IAT", "has no effect while DCR_ENABLED is false; remove it");
    }
    let bootstrap_admin_token = reader.secret_needed_unless("BOOTSTRAP_ADMIN_TOKEN", is_registered);
    if bootstrap_admin_token.is_some() {
        reader.warn(
            "BOOTSTRAP_ADMIN_TOKEN",
            "an admin's token of the identity provider is kept in this server's configuration; remove it after the first \
             registration",
        );
    }
    let jwks_uri = reader.url("DCR_JWKS_URI", endpoint_url);
    let backchannel_logout_uri = reader.url("DCR_BACKCHANNEL_LOGOUT_URI", endpoint_url);
    let of_a_host = |uri: &Url| {
        base_url
            .map(|base| base.at(BACKCHANNEL_LOGOUT))
            .or_else(|| uri.join(BACKCHANNEL_LOGOUT).ok())
    };
    let backchannel_logout_uri = backchannel_logout_uri.or_else(|| redirect_uris.first().and_then(of_a_host));
    RegistrationSettings {
        enabled,
        skip_bootstrap: reader.switch("SKIP_DCR_BOOTSTRAP", false),
        initial_access_token,
        open_registration,
        client_id,
        client_profile: reader.parsed("DCR_CLIENT_PROFILE", visible),
        description: description(reader),
        redirect_uris,
        force_replace: force_replace(reader, open_registration),
        jwks_uri: jwks_uri.or_else(|| base_url.map(|base| base.at(own_paths::JWKS))),
        backchannel_logout_uri,
        bootstrap_admin_token,
        allow_bootstrap_failure: reader.switch("ALLOW_BOOTSTRAP_FAILURE", false),
        redirect_update: redirect_update(reader),
        update_method: update_method(reader),
        check_interval: reader
            .parsed("DCR_CHECK_INTERVAL", check_interval)
            .filter(|interval| !interval.is_zero()),
    }
}

fn force_replace(reader: &mut Reader, open_registration: bool) -> bool {
    let wanted = reader.switch("DCR_FORCE_REPLACE", false);
    if wanted && open_registration {
        reader.warn(
            "DCR_FORCE_REPLACE",
            "has no effect with DCR_IAT=none: it registers anew once for each initial access token; to register anew without \
             one, have the client removed at the identity provider and move bff_client.json away",
        );
    }
    wanted
}

fn description(reader: &mut Reader) -> Description {
    let name = reader.parsed("DCR_CLIENT_NAME", |text| parse::line(text, LONGEST_NAME));
    Description {
        uri: reader.url("DCR_CLIENT_URI", endpoint_url),
        logo_uri: reader.url("DCR_LOGO_URI", endpoint_url),
        policy_uri: reader.url("DCR_POLICY_URI", endpoint_url),
        tos_uri: reader.url("DCR_TOS_URI", endpoint_url),
        contacts: reader
            .entries("DCR_CONTACTS", |text| parse::visible(text, 256))
            .unwrap_or_default(),
        ..Description::named(name.unwrap_or_else(|| DEFAULT_NAME.to_owned()))
    }
}

fn redirect_update(reader: &mut Reader) -> RedirectUpdate {
    let name = "DCR_REDIRECT_UPDATE_MODE";
    let mode = reader.choice(
        name,
        &[
            // `auto` updates the given and differing ones. Registration does not start without the URIs.
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
                // The browser's `Host` decides which URI is used, so it must be unambiguous.
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
    if url.path() != CALLBACK {
        let mut right = url.clone();
        right.set_path(CALLBACK);
        return Err(Complaint::new(
            format!("has another path than `{CALLBACK}`"),
            format!("write `{right}`"),
        ));
    }
    Ok(url)
}
