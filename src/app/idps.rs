//! `idps.yaml`: reading it.

use std::{
    fs::File,
    io::{self, Read as _},
    sync::Arc,
};

use super::{Ports, RoutesWarning, StartError, routes};
use crate::{
    access::{Need, Refused},
    bearer::{self, Around, Bearers, Idps, MAX_FILE_SIZE},
    clock::Timestamp,
    config::Config,
    gateway::Routes,
    keys::Keys,
    oidc::RelyingParty,
    outbound::Outbound,
};

/// The name of the file in the configuration folder.
const FILE: &str = "idps.yaml";

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
        Err(error) => Err(StartError::IdpsFile(Refused::of(&path, Need::Read, &error))),
    }
}

/// The issuers in the text of the file. Without a file, tokens of the login issuer for this server are good.
pub(super) fn parsed(config: &Config, text: Option<&str>, routes: &Routes) -> Result<Idps, StartError> {
    let idps = of_text(config, text, routes)?;
    match routes.without_exchange() {
        Some(error) if !idps.exchange() => Err(StartError::Routes {
            path: routes::file(config),
            error,
        }),
        _ => Ok(idps),
    }
}

fn of_text(config: &Config, text: Option<&str>, routes: &Routes) -> Result<Idps, StartError> {
    let issuer = config.provider.issuer.as_str();
    let Some(text) = text else {
        let audience = config.provider.callers_audience.clone();
        let idps = Idps::of_logins(
            issuer,
            audience.or_else(|| resource(config)),
            &config.provider.alias,
        );
        if idps.is_empty() && routes.has_bearers() {
            return Err(StartError::NoIdps { path: file(config) });
        }
        return Ok(idps);
    };
    let around = Around {
        variables: &|name| config.environment.text(name),
        folder: Some(&config.server.config_dir),
        allow_http: config.server.allow_http,
        login_issuer: issuer,
    };
    Idps::parse(text, &around).map_err(|error| StartError::Idps {
        path: file(config),
        error,
    })
}

/// Routes and issuers in the texts of their files, with warnings of `now`. An error has the mistakes of both files.
pub(super) fn with_routes(
    config: &Config,
    routes: Option<&str>,
    idps: Option<&str>,
    now: Timestamp,
) -> Result<(Routes, Vec<RoutesWarning>, Idps), StartError> {
    match routes::parsed(config, routes, now) {
        Ok((routes, warnings)) => {
            let idps = parsed(config, idps, &routes)?;
            Ok((routes, warnings, idps))
        }
        Err(error) => Err(match parsed(config, idps, &Routes::default()) {
            Err(other @ StartError::Idps { .. }) => StartError::RoutesAndIdps {
                routes: Box::new(error),
                idps: Box::new(other),
            },
            Ok(_) | Err(_) => error,
        }),
    }
}

/// The issuers of the file.
pub(super) fn read(config: &Config, routes: &Routes) -> Result<Idps, StartError> {
    parsed(config, text(config)?.as_deref(), routes)
}

/// Logs the notes of the reader.
pub(super) fn tell(config: &Config, idps: &Idps) {
    let path = file(config);
    for note in idps.notes() {
        tracing::info!("{path}: {note}");
    }
}

/// The checks of tokens that callers bring.
pub(super) fn open(
    config: &Config,
    idps: &Idps,
    login: &RelyingParty,
    outbound: &Outbound,
    keys: &Keys,
    ports: &Ports,
) -> Bearers {
    tell(config, idps);
    let ports = bearer::Ports {
        login: login.clone(),
        outbound: outbound.clone(),
        keys: keys.clone(),
        allow_http: config.server.allow_http,
        clock: Arc::clone(&ports.clock),
        random: Arc::clone(&ports.random),
    };
    Bearers::new(idps, ports)
}

/// The identifier of this server as a resource: its external origin, without a slash at its end.
pub(super) fn resource(config: &Config) -> Option<String> {
    let origin = config.server.base_url.as_ref()?;
    Some(origin.to_string().trim_end_matches('/').to_owned())
}
