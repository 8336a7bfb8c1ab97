//! `idps.yaml`: reading it.

use std::{
    fs::File,
    io::{self, Read as _},
    sync::Arc,
};

use super::{Ports, StartError};
use crate::{
    access::{Need, Refused},
    bearer::{self, Around, Bearers, Idps, MAX_FILE_SIZE},
    config::Config,
    gateway::{Gateway, Routes},
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
    let issuer = config.provider.issuer.as_str();
    let Some(text) = text else {
        let idps = Idps::of_logins(issuer, resource(config));
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

/// The checks of tokens that callers bring, and the text of the file.
pub(super) fn open(
    config: &Config,
    gateway: &Gateway,
    login: &RelyingParty,
    outbound: &Outbound,
    keys: &Keys,
    ports: &Ports,
) -> Result<(Bearers, Option<String>), StartError> {
    let text = text(config)?;
    let idps = parsed(config, text.as_deref(), gateway.table().routes())?;
    tell(config, &idps);
    let ports = bearer::Ports {
        login: login.clone(),
        outbound: outbound.clone(),
        keys: keys.clone(),
        allow_http: config.server.allow_http,
        clock: Arc::clone(&ports.clock),
        random: Arc::clone(&ports.random),
    };
    Ok((Bearers::new(&idps, ports), text))
}

/// The identifier of this server as a resource: its external origin, without a slash at its end.
pub(super) fn resource(config: &Config) -> Option<String> {
    let origin = config.server.base_url.as_ref()?;
    Some(origin.to_string().trim_end_matches('/').to_owned())
}
