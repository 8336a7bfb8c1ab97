//! `routes.yaml`: reading it, and warnings about routes that do not work with the settings.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    sync::Arc,
    time::Duration,
};

use super::{StartError, settings};
use crate::{
    access::{Need, Refused},
    clock::{Clock as _, SystemClock, Timestamp},
    config::Config,
    diagnostic::{Explain, Fix, Knob, fix},
    gateway::{Around, Auth, MAX_FILE_SIZE, Private, Route, Routes, Service},
    url_policy::HttpPolicy,
};

/// A client certificate that ends within this time is warned of.
const AHEAD: Duration = Duration::from_hours(14 * 24);

/// The name of the file in the configuration folder.
const FILE: &str = "routes.yaml";

/// Something about the routes that works otherwise than an operator expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutesWarning {
    /// There is no file at this path.
    NoFile(String),
    /// The file at this path has no routes.
    NoRoutes(String),
    /// Logins do not request scopes that a route requires.
    Scopes {
        /// The route.
        route: String,
        /// The scopes.
        scopes: Vec<String>,
    },
    /// Nobody can have a session on the host of a route that needs one.
    Host {
        /// The route.
        route: String,
        /// Its host.
        host: String,
    },
    /// A call to a service ends before the service has to begin its answer.
    Times {
        /// The service.
        service: String,
        /// The time for the whole call.
        total: Duration,
        /// The time for the beginning of the answer.
        first_byte: Duration,
    },
    /// The client certificate for a service ends within 14 days, or has ended.
    Certificate {
        /// The service.
        service: String,
        /// The end of its validity.
        end: Timestamp,
        /// The end is over.
        has_ended: bool,
    },
}

/// The routing table of the file, with warnings.
pub(super) fn read(config: &Config) -> Result<(Routes, Vec<RoutesWarning>), StartError> {
    parsed(config, text(config)?.as_deref(), SystemClock.wall())
}

/// The path of the file, for messages.
pub(super) fn file(config: &Config) -> String {
    config.server.config_dir.join(FILE).display().to_string()
}

/// The text of the file, if there is one.
pub(super) fn text(config: &Config) -> Result<Option<String>, StartError> {
    let path = config.server.config_dir.join(FILE);
    let mut text = String::new();
    // One byte more than allowed, so that a file that is too large is seen to be.
    match File::open(&path).and_then(|file| file.take(MAX_FILE_SIZE as u64 + 1).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refused::of(&path, Need::Read, &error).into()),
    }
}

/// The routing table in the text of the file, with warnings of `now`. Without the file there are no routes.
pub(super) fn parsed(
    config: &Config,
    text: Option<&str>,
    now: Timestamp,
) -> Result<(Routes, Vec<RoutesWarning>), StartError> {
    let Some(text) = text else {
        return Ok((Routes::default(), vec![RoutesWarning::NoFile(file(config))]));
    };
    let tokens = settings::token_defaults(config);
    let around = Around {
        tokens: &tokens,
        variables: &|name| config.environment.text(name),
        folder: Some(&config.server.config_dir),
        private: &private(config),
        unchecked: config.server.allow_http == HttpPolicy::Anywhere,
    };
    match Routes::parse_with(text, &around) {
        Ok(routes) => {
            let mut warnings = warnings(config, &routes);
            warnings.extend(expiring(&routes, now));
            Ok((routes, warnings))
        }
        Err(error) => Err(StartError::Routes {
            path: file(config),
            error,
        }),
    }
}

/// The folders and files of the settings that no service may show.
fn private(config: &Config) -> Private {
    let keys = &config.keys;
    let folders = vec![keys.options.dir.clone(), keys.state_dir.clone()];
    let entries = [
        &config.server.config_dir,
        &keys.options.signing_key,
        &keys.credentials,
    ];
    let entries = entries
        .into_iter()
        .chain(&keys.options.extra)
        .chain(&config.server.admin_socket)
        .chain(&config.secret_files);
    Private::new(folders, entries.cloned().collect())
}

/// Logs the warnings, and the notes of the reader.
pub(super) fn tell(config: &Config, routes: &Routes, warnings: &[RoutesWarning]) {
    let path = file(config);
    for note in routes.notes() {
        tracing::info!("{path}: {note}");
    }
    for warning in warnings {
        tracing::warn!("{}", warning.told());
    }
}

fn warnings(config: &Config, routes: &Routes) -> Vec<RoutesWarning> {
    if routes.is_empty() {
        return vec![RoutesWarning::NoRoutes(file(config))];
    }
    let of_routes = routes
        .iter()
        .flat_map(|route| [scopes(config, route), host(config, route)])
        .flatten();
    let of_services = routes.services().iter().filter_map(|service| {
        let (total, first_byte) = service.total_before_first_byte()?;
        Some(RoutesWarning::Times {
            service: service.id().to_owned(),
            total,
            first_byte,
        })
    });
    of_routes.chain(of_services).collect()
}

/// The client certificates that end soon, or have ended.
pub(super) fn expiring(routes: &Routes, now: Timestamp) -> Vec<RoutesWarning> {
    let of_service = |service: &Arc<Service>| {
        let end = u64::try_from(service.identity()?.end()?.as_millis()).ok()?;
        let end = Timestamp::from_unix_millis(end);
        (end <= now.saturating_add(AHEAD)).then(|| RoutesWarning::Certificate {
            service: service.id().to_owned(),
            end,
            has_ended: end <= now,
        })
    };
    routes.services().iter().filter_map(of_service).collect()
}

fn scopes(config: &Config, route: &Route) -> Option<RoutesWarning> {
    if route.auth() == Auth::Bearer {
        return None;
    }
    let required = route.policy().scopes().iter();
    let scopes: Vec<String> = required
        .filter(|scope| !config.provider.scopes.contains(scope))
        .cloned()
        .collect();
    (!scopes.is_empty()).then(|| RoutesWarning::Scopes {
        route: route.id().to_owned(),
        scopes,
    })
}

fn host(config: &Config, route: &Route) -> Option<RoutesWarning> {
    let host = route
        .host()
        .filter(|_| !matches!(route.auth(), Auth::None | Auth::Bearer))?;
    let own = &config.login.own_origins;
    let is_own = own.iter().any(|origin| origin.host() == host);
    // Hosts below the domain of the cookie have the sessions of the others.
    let shares = config.cookies.domain.as_ref().is_some_and(|domain| {
        let below = host.strip_suffix(domain.as_str());
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    });
    // Without a host of our own, every host is one.
    (!own.is_empty() && !is_own && !shares).then(|| RoutesWarning::Host {
        route: route.id().to_owned(),
        host: host.to_owned(),
    })
}

// === impl RoutesWarning ===

impl fmt::Display for RoutesWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile(path) => write!(f, "{path} does not exist: the server forwards no calls to APIs"),
            Self::NoRoutes(path) => write!(f, "{path} has no routes: the server forwards no calls to APIs"),
            Self::Scopes { route, scopes } => write!(
                f,
                "the route `{route}` requires the scope {}, which logins do not request: unless the IdP grants it all the \
                 same, every call gets 403 insufficient_scope",
                scopes.join(" ")
            ),
            Self::Host { route, host } => write!(
                f,
                "the route `{route}` needs a session and applies to the host {host} only, where nobody can log in"
            ),
            Self::Times {
                service,
                total,
                first_byte,
            } => write!(
                f,
                "the service `{service}` has {first_byte:?} to begin its answer, but each call ends after {total:?}"
            ),
            Self::Certificate {
                service,
                end,
                has_ended,
            } => write!(
                f,
                "the client certificate for the service `{service}` {} at {}",
                if *has_ended { "has ended" } else { "ends" },
                end.rfc3339()
            ),
        }
    }
}

impl Explain for RoutesWarning {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::NoFile(_) => return None,
            Self::NoRoutes(_) => fix!(
                "add services and routes to {}, if this server has APIs",
                Knob::RoutesFile
            ),
            Self::Scopes { .. } => fix!(
                "add the scope to {}, or remove it from required_scopes in {}",
                Knob::Scopes,
                Knob::RoutesFile
            ),
            Self::Host { host, .. } => fix!(
                "correct host in {}, or add https://{}/auth/callback to {}",
                Knob::RoutesFile,
                host.clone(),
                Knob::RedirectUris
            ),
            Self::Times { .. } => fix!(
                "raise total of its timeout in {}, or lower first_byte",
                Knob::RoutesFile
            ),
            Self::Certificate { .. } => fix!(
                "replace the files of client_cert_path and client_key_path in {}; the server reads them again by itself",
                Knob::RoutesFile
            ),
        })
    }
}

#[cfg(test)]
mod tests;
