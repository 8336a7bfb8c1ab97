//! The binding of sessions.

use std::time::Duration;

use super::{address::Origin, cookies::CookieSettings, reader::Reader, server::ServerSettings};
use crate::{session::Binding, url_policy::Reach};

const BINDING: &str = "SESSION_BINDING";
const RENEWAL: &str = "SESSION_BINDING_RENEWAL";

/// With a shorter interval, a browser does little else than prove its key; with a longer one, the binding protects
/// little.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(2);
const LONGEST_RENEWAL: Duration = Duration::from_hours(1);

/// The words of the variable, in the order of the catalogue.
#[derive(Clone, Copy)]
enum Word {
    Off,
    UserAgent,
    Network,
    Both,
    Device,
    DeviceIfPossible,
}

pub(super) fn read(
    reader: &mut Reader,
    own_origins: &[Origin],
    cookies: &CookieSettings,
    server: &ServerSettings,
) -> Binding {
    let word = reader.choice(
        BINDING,
        &[
            Word::Off,
            Word::UserAgent,
            Word::Network,
            Word::Both,
            Word::Device,
            Word::DeviceIfPossible,
        ],
    );
    let traits = |user_agent, network| Binding::Traits { user_agent, network };
    let binding = match word {
        None | Some(Word::Off) => Binding::Off,
        Some(Word::UserAgent) => traits(true, false),
        Some(Word::Network) => traits(false, true),
        Some(Word::Both) => traits(true, true),
        Some(word @ (Word::Device | Word::DeviceIfPossible)) => Binding::Device {
            required: matches!(word, Word::Device),
            cookie_lifetime: renewal(reader),
        },
    };
    match binding {
        Binding::Device { required, .. } => check_device(reader, required, own_origins, cookies),
        Binding::Off | Binding::Traits { .. } if reader.is_set(RENEWAL) => {
            reader.warn(
                RENEWAL,
                "has no effect unless SESSION_BINDING is `device` or `device-if-possible`",
            );
        }
        Binding::Off | Binding::Traits { .. } => {}
    }
    if let Binding::Traits { network: true, .. } = binding
        && server.trusted_proxies.is_empty()
        && own_origins.iter().any(Origin::is_https)
    {
        reader.warn(
            BINDING,
            "binds every session to the address of the proxy that ends TLS, which protects nothing: list that proxy in \
             BFF_TRUSTED_PROXIES",
        );
    }
    binding
}

fn renewal(reader: &mut Reader) -> Duration {
    let usual = Duration::from_mins(10);
    let renewal = reader.duration(RENEWAL, usual);
    if (SHORTEST_RENEWAL..=LONGEST_RENEWAL).contains(&renewal) {
        return renewal;
    }
    reader.complain(
        RENEWAL,
        "is not from 2 seconds to an hour",
        "remove it, or write for example `5m`",
    );
    usual
}

/// Browsers bind a session only over https, for one host.
fn check_device(reader: &mut Reader, required: bool, own_origins: &[Origin], cookies: &CookieSettings) {
    if !cookies.secure {
        reader.complain(
            BINDING,
            "binds sessions to a device, and BFF_COOKIE_SECURE is `false`: browsers do that over https alone",
            "remove BFF_COOKIE_SECURE and use https, or choose another SESSION_BINDING",
        );
        return;
    }
    if cookies.domain.is_some() {
        reader.complain(
            BINDING,
            "binds sessions to a device, and BFF_COOKIE_DOMAIN shares them between hosts: a browser binds a session to one \
             host",
            "remove BFF_COOKIE_DOMAIN, or choose another SESSION_BINDING",
        );
    }
    let Some(plain) = own_origins.iter().find(|origin| !origin.is_https()) else {
        return;
    };
    if required {
        reader.complain(
            BINDING,
            format!("needs https, and {plain} is an origin of this BFF: nobody could work there"),
            "use https, or `device-if-possible`",
        );
    } else if plain.reach() != Reach::Loopback {
        reader.warn(
            BINDING,
            format!("binds no session at {plain}: browsers do that over https alone"),
        );
    }
}
