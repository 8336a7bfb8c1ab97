//! The one list of the paths that the server answers itself.

use crate::spelling;

/// Begins a login.
pub const LOGIN: &str = "/auth/login";
/// Where the provider sends the browser back to.
pub const CALLBACK: &str = "/auth/callback";
/// Ends the session.
pub const LOGOUT: &str = "/auth/logout";
/// Where the browser comes to after a logout at the provider.
pub const LOGGED_OUT: &str = "/auth/logged-out";
/// Who is logged in.
pub const SESSION: &str = "/auth/session";
/// The sessions of a person.
pub const SESSIONS: &str = "/auth/sessions";
/// One of them, as the router has it.
pub const ONE_SESSION: &str = "/auth/sessions/{reference}";
/// The CSRF token.
pub const CSRF: &str = "/auth/csrf";
/// The events of a session, as a stream.
pub const EVENTS: &str = "/auth/events";
/// Forward authentication.
pub const VERIFY: &str = "/auth/verify";
/// The same, under its other name.
pub const FORWARD: &str = "/auth/forward";
/// Where the provider tells of logouts.
pub const BACKCHANNEL_LOGOUT: &str = "/auth/backchannel-logout";
/// The same, in a frame of its page.
pub const FRONTCHANNEL_LOGOUT: &str = "/auth/frontchannel-logout";
/// Where a browser registers the key of its device.
pub const DBSC_REGISTER: &str = "/auth/dbsc/register";
/// Where a browser proves that key.
pub const DBSC_REFRESH: &str = "/auth/dbsc/refresh";
/// Our public keys.
pub const JWKS: &str = "/.well-known/jwks.json";
/// The metadata of this resource, for clients with tokens of their own (RFC 9728 section 3).
pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// Readiness.
pub const HEALTH: &str = "/health";
/// Liveness.
pub const HEALTH_LIVE: &str = "/health/live";
/// Readiness.
pub const HEALTH_READY: &str = "/health/ready";
/// Liveness, under a name of the original system.
pub const AUTH_HEALTH: &str = "/auth/health";
/// [`SESSION`], under a name of the original system.
pub const SESSION_ALIAS: &str = "/api/auth/session";
/// [`LOGOUT`], under a name of the original system.
pub const LOGOUT_ALIAS: &str = "/api/auth/logout";
/// Readiness, under a name of the original system.
pub const OLD_HEALTH: &str = "/api/v1/health";
/// Liveness, likewise.
pub const OLD_HEALTH_LIVE: &str = "/api/v1/health/live";
/// Readiness, likewise.
pub const OLD_HEALTH_READY: &str = "/api/v1/health/ready";
/// The session store alone, likewise.
pub const OLD_HEALTH_STORE: &str = "/api/v1/health/redis";

/// The server answers these, and nothing else is ever below them.
const RESERVED: [&str; 4] = ["/auth", HEALTH, "/metrics", JWKS];

/// The server answers exactly these; everything below them is free for routes.
const ALIASES: [&str; 2] = [SESSION_ALIAS, LOGOUT_ALIAS];

/// The server answers exactly these if no route does: the health paths of the original system, and the metadata of this
/// resource.
const YIELDING: [&str; 5] = [
    OLD_HEALTH,
    OLD_HEALTH_LIVE,
    OLD_HEALTH_READY,
    OLD_HEALTH_STORE,
    PROTECTED_RESOURCE,
];

/// Whether `path` belongs to the server itself: no route ever gets it.
#[must_use]
pub fn is_own(path: &str) -> bool {
    is_reserved(path) || is_alias(path)
}

/// Whether `path` is one of the server's own, or lies below it.
#[must_use]
pub fn is_reserved(path: &str) -> bool {
    RESERVED.into_iter().any(|reserved| is_below(path, reserved))
}

/// Whether the server answers exactly `path`, and no path below it.
#[must_use]
pub fn is_alias(path: &str) -> bool {
    ALIASES.contains(&path)
}

/// Whether the server answers exactly `path` if no route has it.
#[must_use]
pub fn yields_to_routes(path: &str) -> bool {
    YIELDING.contains(&path)
}

/// Whether `path` is about a login, a session or a logout: nothing that it answers is ever stored or referred to.
#[must_use]
pub fn is_auth(path: &str) -> bool {
    path.starts_with("/auth/") || path.starts_with("/api/auth/")
}

/// Whether `path` is that of a health check.
#[must_use]
pub fn is_health(path: &str) -> bool {
    is_below(path, HEALTH)
}

/// Whether some server, proxy or browser may read `path` as one of our own paths: in any spelling that [`spelling`]
/// knows.
///
/// Stricter than this server's own matching, because a proxy in front of it may repair a path.
#[must_use]
pub fn may_be_read_as_own(path: &str) -> bool {
    // A path below an own path that leaves it again through `..` counts too.
    spelling::fold_beginnings(path).is_none_or(|beginnings| {
        beginnings.iter().any(|beginning| {
            is_reserved(beginning) || ALIASES.into_iter().any(|alias| is_below(beginning, alias))
        })
    })
}

fn is_below(path: &str, own: &str) -> bool {
    path.strip_prefix(own)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attack_38_no_spelling_of_an_own_path_is_overlooked() {
        for path in [
            "/auth/logout",
            "/auth",
            "/auth/",
            "/auth/anything",
            "/AUTH/Logout",
            "/%61uth/logout",
            "/%2561uth/logout",
            "/%252561uth/logout",
            "/%25252525252561uth/logout",
            "/auth%2flogout",
            "/auth%2Flogout",
            "/auth%5Clogout",
            "/auth%252flogout",
            "//auth/logout",
            "/.//auth/logout",
            "/./auth/logout",
            "/x/../auth/logout",
            "/x/%2e%2e/auth/logout",
            "/x/..%2fauth/logout",
            "/x%2f..%2f..%2f..%2fauth",
            "/x%3f/../auth/logout",
            "/auth%3f/../x",
            "/auth%3Fx",
            "/auth%23x",
            "/auth;x=1/logout",
            "/;x/auth/logout",
            "/auth./logout",
            "/auth%20/logout",
            "/%20auth/logout",
            "/auth%00/logout",
            "/au%09th/logout",
            "/au%0ath/logout",
            "/%EF%BD%81uth/logout",
            "/%c0%ae%c0%ae/auth",
            "/x/%c0%ae%c0%ae/auth/logout",
            "/%c1%a1uth/logout",
            "/auth::$DATA/logout",
            "/au%C2%ADth/logout",
            "/au%E2%80%8Bth/logout",
            "/api/auth/sess%C4%B1on",
            "/%EF%BC%8561uth/logout",
            "/api/auth/logout",
            "/api/auth/session",
            "/api/auth/logout/",
            "/api//auth/logout",
            "/API/auth/LOGOUT",
            "/api/x/..%2fauth/logout",
            "/health",
            "/Health/live",
            "/metrics",
            "/.well-known/jwks.json",
            "/.WELL-KNOWN/jwks.json",
        ] {
            assert!(may_be_read_as_own(path), "{path}");
        }
    }

    /// Nothing that begins like a path of ours stands in quotes anywhere else.
    #[test]
    fn no_other_place_writes_one_of_our_paths() {
        let mut wrong = Vec::new();
        for source in crate::floors::sources() {
            if source.module == "own_paths" {
                continue;
            }
            for own in RESERVED.into_iter().chain(["/api/auth/", "/api/v1/health"]) {
                for (at, _) in source.text.match_indices(&format!("\"{own}")) {
                    let line = source.text[..at].lines().count();
                    wrong.push(format!("{} (code line {line}): {own}", source.path.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn paths_of_the_application_are_free() {
        for path in [
            "/",
            "/orders",
            "/authors",
            "/authentication/help",
            "/x/auth",
            "/api/auth",
            "/api/auth/me",
            "/api/authors/session",
            "/.well-known/security.txt",
            "/healthy",
            "/caf%C3%A9",
            "/100%25",
            "/a%20b/",
            "//evil.example",
            "/orders/..%2fitems",
        ] {
            assert!(!may_be_read_as_own(path), "{path}");
            assert!(!is_own(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn attack_38_encoding_and_case_hide_nothing(which: u64, twice: bool, upper: u64, path in "/(auth(/[a-z]{0,8})?|health|metrics|api/auth/logout)") {
            let mut spelt = String::new();
            for (at, character) in path.chars().enumerate() {
                let character = if upper >> (at % 64) & 1 == 1 { character.to_ascii_uppercase() } else { character };
                match (which >> (at % 64) & 1 == 1, twice) {
                    (true, true) => spelt.extend(format!("%25{:02x}", u32::from(character)).chars()),
                    (true, false) => spelt.extend(format!("%{:02X}", u32::from(character)).chars()),
                    (false, _) => spelt.push(character),
                }
            }
            prop_assert!(may_be_read_as_own(&spelt), "{}", spelt);
        }

        #[test]
        fn what_is_ours_is_read_as_ours(path in "(/|auth|health|\\.|%2[ef5]|[a-z%;]|\\PC){0,24}") {
            prop_assert!(!is_own(&path) || may_be_read_as_own(&path));
        }
    }
}
