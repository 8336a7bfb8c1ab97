//! The checks of this machine: settings, routes, keys.

use super::{
    super::registered,
    finding::{Check, Kind, Report},
    text::clean,
};
use crate::{
    admin::{Socket, SocketError},
    app::{
        App, RoutesWarning, StartError,
        descriptors::few_files,
        one_shot::{InCommon, look_at_keys},
        preflight,
    },
    clock::Timestamp,
    config::{Config, ConfigError, Environment, Severity, StoreKind},
    diagnostic::{Diagnostic, Explained, Knob, fix},
    jose::Algorithm,
    keys::{Entry, Keeper, Keyring, Keys, OtherKey, Step, Upcoming, moment},
    server,
};

/// The protection by sealing if the secret lies beside the sealed data.
fn secret_beside() -> Explained {
    Explained::new(
        "sessions are sealed under session_secret in the same folder: a copy of the folder shows their tokens",
        fix!(
            "set {}, or leave session_secret in {} out of backups",
            Knob::SessionSecret,
            Knob::StateFolder
        ),
    )
}

/// The keys found.
pub(super) enum KeysFound {
    /// The keys in the folder, with the keyring's entries and the keys that do not sign.
    Found(Keys, Keyring, Vec<OtherKey>),
    /// No keys yet: a stand-in for the key that a first start would make.
    NotYet(Keys),
    /// The keys cannot be used; a stand-in.
    Broken(Keys),
}

// === impl KeysFound ===

impl KeysFound {
    /// Keys to put parts together with.
    pub(super) const fn any(&self) -> &Keys {
        match self {
            Self::Found(keys, ..) | Self::NotYet(keys) | Self::Broken(keys) => keys,
        }
    }

    /// The keys of the folder.
    pub(super) const fn found(&self) -> Option<&Keys> {
        match self {
            Self::Found(keys, ..) => Some(keys),
            Self::NotYet(_) | Self::Broken(_) => None,
        }
    }

    /// The keys that do not sign.
    pub(super) fn others(&self) -> &[OtherKey] {
        match self {
            Self::Found(_, _, others) => others,
            Self::NotYet(_) | Self::Broken(_) => &[],
        }
    }

    /// The keyring's entry for the key `kid`.
    pub(super) fn entry(&self, kid: &str) -> Option<&Entry> {
        match self {
            Self::Found(_, ring, _) => ring.find(kid),
            Self::NotYet(_) | Self::Broken(_) => None,
        }
    }
}

/// Settings, routes, hosts and cookies, as the start checks them.
pub(super) fn configuration(report: &mut Report) -> Option<Config> {
    let mut failed = false;
    let config = match Config::load(&Environment::of_process()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                if warning.severity == Severity::PreventsLogin {
                    failed = true;
                    report.fail(
                        Kind::Wrong,
                        Check::Configuration,
                        warning.variable,
                        warning.message,
                        "correct it before anybody is sent to log in; the server starts all the same",
                    );
                } else {
                    report.note(warning.to_string());
                }
            }
            report.call_settings(config.names.clone());
            config
        }
        Err(error) => {
            mistakes(report, error);
            return None;
        }
    };
    match App::check(&config) {
        Ok(warnings) => {
            failed |= !admin_socket(&config, report);
            failed |= !files(&config, report);
            let has_no_file = matches!(warnings.as_slice(), [RoutesWarning::NoFile(_)]);
            let what = if has_no_file {
                "the settings are consistent; there is no routes.yaml"
            } else {
                "settings and routes.yaml are consistent"
            };
            if !failed {
                report.ok(Check::Configuration, what);
            }
            for warning in &warnings {
                report.note_of(warning);
            }
            if let Some(few) = few_files(&config, server::open_files_of_a_start()) {
                report.note_of(&few);
            }
            if matches!(config.session.store, StoreKind::Disk | StoreKind::DiskIfPossible)
                && config.session.secrets.is_empty()
            {
                report.note_of(&secret_beside());
            }
        }
        Err(error) => {
            unusable(report, Check::Configuration, "the settings", &error);
            return None;
        }
    }
    Some(config)
}

/// Whether the start can write what it has to.
fn files(config: &Config, report: &mut Report) -> bool {
    for made in preflight::made(config) {
        report.note_of(&made);
    }
    if let Some(warning) = preflight::keeps_in_memory(config) {
        report.note_of(&warning);
    }
    let unmet = preflight::unmet(config);
    for unmet in &unmet {
        let what = "the start could not write what it has to";
        report.explain(Kind::Configuration, Check::Configuration, what, unmet);
    }
    unmet.is_empty()
}

/// Whether the operator's socket can be made. That a server listens there already is as it should be.
fn admin_socket(config: &Config, report: &mut Report) -> bool {
    match config.server.admin_socket.as_deref().map(Socket::look_at) {
        None | Some(Ok(()) | Err(SocketError::InUse(_))) => true,
        Some(Err(error)) => {
            let what = "the socket of the operator cannot be made";
            report.explain(Kind::Configuration, Check::Configuration, what, &error);
            false
        }
    }
}

fn mistakes(report: &mut Report, error: ConfigError) {
    for problem in error.problems {
        let what = match &problem.value {
            Some(value) => format!("{} = {value}", problem.variable),
            None => problem.variable.clone(),
        };
        let setting = problem.setting();
        let (cause, fix) = (problem.message.clone(), problem.fix.clone());
        report.fail(Kind::Configuration, Check::Configuration, what, cause, fix);
        report.blame(setting);
    }
    for warning in error.warnings {
        report.note(warning.to_string());
    }
}

/// The present keys; none is made.
pub(super) async fn keys(
    config: &Config,
    common: &InCommon,
    now: Timestamp,
    report: &mut Report,
) -> Option<KeysFound> {
    let path = config.keys.options.signing_key.display();
    match look_at_keys(config, common, now) {
        Ok(Some((keeper, keys, warnings))) => {
            for warning in warnings {
                report.note_of(&warning);
            }
            let signing = keys.signing();
            let algorithms: Vec<_> = signing.algorithms().iter().map(|one| one.name()).collect();
            // The name can be another one.
            let entry = keeper.keyring().find(signing.kid());
            let file = entry.map_or_else(
                || path.to_string(),
                |entry| config.keys.options.dir.join(&entry.file).display().to_string(),
            );
            let what = format!("{file}, {}, kid {}", algorithms.join(" or "), signing.kid());
            report.ok(Check::Keys, clean(&what));
            tell_next(&keeper, registered::algorithm(config, common).await, now, report);
            Some(KeysFound::Found(keys, keeper.keyring().clone(), keeper.others()))
        }
        Ok(None) => {
            let kind = config.keys.options.generate;
            report.skip(
                Check::Keys,
                format!("{path} does not exist yet: the first start makes it ({kind})"),
            );
            stand_in(config, report).map(KeysFound::NotYet)
        }
        Err(error) => {
            unusable(report, Check::Keys, &path.to_string(), &error.into());
            stand_in(config, report).map(KeysFound::Broken)
        }
    }
}

/// A waiting key is no mistake, but the operator should know.
fn tell_next(keeper: &Keeper, registered: Option<Algorithm>, now: Timestamp, report: &mut Report) {
    if let Some(Step::Adopt(named)) = keeper.step(now) {
        report.note(fix!(
            "the key {} that {} names is new: the server publishes it, and it signs {} later",
            named.kid,
            Knob::SigningKey,
            Knob::PublishAhead
        ));
    }
    let ring = keeper.keyring();
    for key in &ring.keys {
        if let Some(Upcoming::Signs(at)) = ring.upcoming(key, keeper.policy()) {
            let misfit = registered.and_then(|registered| keeper.misfit(&key.kid, registered));
            report.note(match misfit {
                Some(error) => format!(
                    "the next key is published, and does not sign: {}",
                    Diagnostic::of(&error, report.names())
                ),
                None => format!("the key {} is published and signs from {}", key.kid, moment(at)),
            });
        }
    }
}

fn stand_in(config: &Config, report: &mut Report) -> Option<Keys> {
    match Keys::throwaway(config.keys.options.generate) {
        Ok(keys) => Some(keys),
        Err(error) => {
            unusable(report, Check::Keys, "no key can be made", &error.into());
            None
        }
    }
}

/// Something with which no server would start.
pub(super) fn unusable(report: &mut Report, check: Check, what: &str, error: &StartError) {
    let kind = if error.is_configuration() {
        Kind::Configuration
    } else {
        Kind::Unreachable
    };
    report.explain(kind, check, clean(what), error);
}
