//! The names for a log filter: the modules of this server that log, and the libraries that do.
//!
//! A directive for anything else, such as `bbf=debug`, would never match, and the operator would wait for lines that
//! never come.

use crate::quote::nearest;

/// The targets of this server's events: a module's path, unless the event names another.
const OWN: &[&str] = &[
    "bff::access",
    "bff::admin::sessions",
    "bff::admin::socket",
    "bff::app::api_tokens",
    "bff::app::discover",
    "bff::app::idps",
    "bff::app::listeners",
    "bff::app::proxies",
    "bff::app::reload",
    "bff::app::replicas",
    "bff::app::routes",
    "bff::app::session_secret",
    "bff::app::settings",
    "bff::app::store",
    "bff::bearer",
    "bff::bearer::issuer",
    "bff::commands::process",
    "bff::commands::register",
    "bff::commands::serve",
    "bff::commands::systemd",
    "bff::gateway::body",
    "bff::gateway::call",
    "bff::gateway::call::web_socket",
    "bff::gateway::failure",
    "bff::gateway::files",
    "bff::gateway::files::answer",
    "bff::gateway::guard",
    "bff::gateway::upstream::alone",
    "bff::keys",
    "bff::keys::keeper::notes",
    "bff::keys::keeper::open",
    "bff::keys::keeper::run",
    "bff::keys::leftovers",
    "bff::limits",
    "bff::login::callback::session",
    "bff::login::logged_out",
    "bff::login::offline_access",
    "bff::login::relay",
    "bff::oidc::call",
    "bff::oidc::id_token",
    "bff::oidc::provider::discovery",
    "bff::oidc::provider::jwks",
    "bff::oidc::revocation",
    "bff::oidc::token",
    "bff::oidc::userinfo",
    "bff::outbound::error",
    "bff::outbound::lanes",
    "bff::private_file",
    "bff::random",
    "bff::registration",
    "bff::registration::answer",
    "bff::registration::attempt",
    "bff::registration::calls",
    "bff::registration::credentials::file",
    "bff::registration::event",
    "bff::registration::executor",
    "bff::registration::executor::delete",
    "bff::registration::executor::extensions",
    "bff::registration::executor::read",
    "bff::registration::executor::register",
    "bff::registration::executor::tokens",
    "bff::registration::executor::update",
    "bff::registration::keep",
    "bff::registration::run",
    "bff::registration::stored",
    "bff::replicas",
    "bff::replicas::document",
    "bff::replicas::time",
    "bff::replicas::vault",
    "bff::seal",
    "bff::server::accept",
    "bff::server::notices",
    "bff::session::cookie",
    "bff::session::sessions",
    "bff::session::sessions::ending",
    "bff::session::sessions::opening",
    "bff::session::store::disk::file",
    "bff::session::store::disk::writer",
    "bff::session::store::redis::changes",
    "bff::session::store::redis::failure",
    "bff::session::store::redis::start",
    "bff::session::store::redis::trial",
    "bff::session::store::sealed",
    "bff::session::user",
    "bff::telemetry::panics",
    "bff::tls",
    "bff::tokens::accept",
    "bff::tokens::for_api",
    "bff::tokens::refresh",
    "bff::tokens::revocations",
    "bff::tokens::worker",
    "bff::web::admission",
    "bff::web::api::step_up",
    "bff::web::auth::backchannel_logout",
    "bff::web::auth::callback",
    "bff::web::auth::dbsc",
    "bff::web::bearer",
    "bff::web::binding",
    "bff::web::notices",
    "bff::web::page",
    "bff::web::problem",
    "bff::web::way_in",
];

/// Crates below this server that log, by their names in code.
const LIBRARIES: &[&str] = &[
    "h2",
    "hyper_rustls",
    "hyper_util",
    "redis",
    "reqwest",
    "rustls",
    "rustls_platform_verifier",
    "tower",
];

/// The first target in `filter` which never logs anything.
pub(super) fn unknown_target(filter: &str) -> Option<&str> {
    filter
        .split(',')
        .map(|directive| directive.split(['=', '[']).next().unwrap_or_default().trim())
        .find(|target| !is_level(target) && !is_known(target))
}

/// The known target that was probably meant by `unknown`.
pub(super) fn nearest_target(unknown: &str) -> Option<&'static str> {
    let mut words: Vec<&str> = LIBRARIES.to_vec();
    for target in OWN {
        let ends = target.match_indices("::").map(|(at, _)| at);
        words.extend(ends.chain([target.len()]).filter_map(|end| target.get(..end)));
    }
    words.sort_unstable();
    words.dedup();
    nearest(unknown, words.into_iter())
}

/// A filter compares prefixes: `hyper` also means `hyper_util`. `target` is empty if a directive concerns only spans.
fn is_known(target: &str) -> bool {
    let is_below = |library: &&str| {
        target
            .strip_prefix(*library)
            .is_some_and(|rest| rest.starts_with("::"))
    };
    OWN.iter().chain(LIBRARIES).any(|known| known.starts_with(target)) || LIBRARIES.iter().any(is_below)
}

fn is_level(text: &str) -> bool {
    [
        "off", "error", "warn", "info", "debug", "trace", "0", "1", "2", "3", "4", "5",
    ]
    .iter()
    .any(|level| level.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The targets in the sources below `folder`, which is the module `module`.
    fn targets(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
        let macros =
            ["error!", "warn!", "info!", "debug!", "trace!", "event!"].map(|name| format!("tracing::{name}"));
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{module}::{}", path.file_stem().unwrap().to_str().unwrap());
            if path.is_dir() {
                targets(&path, &name, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !macros.iter().any(|name| text.contains(name.as_str())) {
                continue;
            }
            let named: Vec<&str> = text
                .split("target: \"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .collect();
            if named.is_empty() {
                found.insert(name);
            }
            found.extend(named.into_iter().map(ToOwned::to_owned));
        }
    }

    #[test]
    fn every_module_that_logs_is_known_and_no_other() {
        let mut found = BTreeSet::new();
        targets(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            "bff",
            &mut found,
        );
        // These only speak of the macros.
        for module in ["bff::telemetry::targets", "bff::telemetry::recent"] {
            found.remove(module);
        }
        let listed: BTreeSet<String> = OWN.iter().map(|target| (*target).to_owned()).collect();
        assert_eq!(
            listed, found,
            "OWN of src/telemetry/targets.rs lists the modules that log"
        );
    }

    #[test]
    fn every_library_that_logs_is_known() {
        // Parts of logging itself, those of the workspace, and those that only other systems need.
        let others = [
            "bff",
            "devstack",
            "devstack-idp",
            "jni",
            "log",
            "tracing",
            "tracing-core",
            "tracing-log",
            "tracing-serde",
            "tracing-subscriber",
        ];
        let lock = include_str!("../../Cargo.lock");
        let logs = |package: &str| {
            [" \"log\"", " \"tracing\"", " \"tracing-core\""]
                .iter()
                .any(|name| package.contains(name))
        };
        let found: BTreeSet<String> = lock
            .split("[[package]]")
            .filter(|package| logs(package))
            .filter_map(|package| package.split("name = \"").nth(1)?.split('"').next())
            .filter(|name| !others.contains(name))
            .map(|name| name.replace('-', "_"))
            .collect();
        let listed: BTreeSet<String> = LIBRARIES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            listed, found,
            "LIBRARIES of src/telemetry/targets.rs lists the crates that log"
        );
    }

    #[test]
    fn a_target_that_never_logs_is_found_and_the_nearest_named() {
        for filter in [
            "info",
            "WARN",
            "3",
            "",
            "bff",
            "bff=debug,hyper=warn",
            "info,bff::oidc=debug,bff::access=off",
            "bff[request]=debug",
            "[request]=debug",
            "hyper_util::client",
        ] {
            assert_eq!(unknown_target(filter), None, "{filter}");
        }
        for (filter, unknown, nearest) in [
            ("bbf=debug", "bbf", Some("bff")),
            (
                "info, bff::oidc::tokn=debug",
                "bff::oidc::tokn",
                Some("bff::oidc::token"),
            ),
            ("hyper-util", "hyper-util", Some("hyper_util")),
            ("bff::jose=debug", "bff::jose", None),
            ("sqlx=warn", "sqlx", None),
            ("h2x::y=warn", "h2x::y", None),
            ("wran", "wran", None),
        ] {
            assert_eq!(unknown_target(filter), Some(unknown), "{filter}");
            assert_eq!(nearest_target(unknown), nearest, "{filter}");
        }
    }
}
