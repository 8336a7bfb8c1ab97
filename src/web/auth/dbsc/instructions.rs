//! The instructions to a browser for its bound session (Device Bound Session Credentials).

use serde::Serialize;
use url::Url;

use crate::{own_paths, session::CookiePolicy};

/// Session instructions.
#[derive(Debug, Serialize)]
pub(super) struct Instructions {
    session_identifier: String,
    refresh_url: &'static str,
    scope: Scope,
    allowed_refresh_initiators: [&'static str; 1],
    credentials: [Credential; 1],
}

/// The end of a bound session in the browser.
#[derive(Debug, Default, Serialize)]
pub(super) struct End {
    r#continue: bool,
}

/// The requests that wait for the cookie: all to this origin, except those that renew it.
#[derive(Debug, Serialize)]
struct Scope {
    origin: String,
    include_site: bool,
}

#[derive(Debug, Serialize)]
struct Credential {
    r#type: &'static str,
    name: &'static str,
    attributes: &'static str,
}

// === impl Instructions ===

impl Instructions {
    /// Those for the session called `identifier` on `origin`. The cookie is described as [`CookiePolicy::set_bound`] sets it:
    /// the browser compares.
    pub(super) fn new(identifier: String, origin: &Url, cookies: &CookiePolicy) -> Self {
        Self {
            session_identifier: identifier,
            refresh_url: own_paths::DBSC_REFRESH,
            scope: Scope {
                origin: origin.origin().ascii_serialization(),
                // No other host gets the session's cookie.
                include_site: false,
            },
            // A link of another site leads here with the session cookie, so it has to bring the bound one too.
            allowed_refresh_initiators: ["*"],
            credentials: [Credential {
                r#type: "cookie",
                name: cookies.bound_name(),
                attributes: cookies.bound_attributes(),
            }],
        }
    }
}
