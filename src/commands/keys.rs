//! `bff keys list|generate|rotate|retire`: works on the files, or on the shared state of replicas, with and without a
//! running server, which follows them.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Exit, complain, complain_of, process, registered, say};
use crate::{
    app::{Ports, one_shot::InCommon},
    clock::{Clock as _, SystemClock, Timestamp},
    config::{Config, check_argument},
    diagnostic::{Diagnostic, Explained, Knob, fix},
    jose::{Algorithm, SigningKey},
    keys::{self, ByHandError, Done, GenerateError, Keeper, Keys, State, Upcoming, Warning, moment},
    private_file::{folder_of, missing_folder},
};

/// The action on the keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Show the keys: key id, state, since when, file, and the next step.
    List,
    /// Make a private key of `BFF_KEY_TYPE` in a new file: the named signing key, or another one to name later.
    Generate {
        /// The file, instead of the one that `BFF_JWT_SIGNING_KEY` names.
        #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
        file: Option<PathBuf>,
        /// Say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make the next key now. It is published at once and signs after `BFF_JWK_PUBLISH_AHEAD`.
    Rotate {
        /// Let it sign at once. An IdP that keeps our keys for a while refuses us until it fetches them again; and where
        /// the type of key changes, until the registration has followed.
        #[arg(long)]
        now: bool,
        /// Say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop publishing a key that does not sign. Its file is left where it is.
    Retire {
        /// Its key id.
        // One in 64 of our ids begins with `-`.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn run(command: KeysCommand) -> Exit {
    let config = match process::settings() {
        Ok((config, _)) => config,
        Err(exit) => return exit,
    };
    let missing = missing_folders(&command, &config);
    let exit = process::block_on(async {
        let work = async |common: &InCommon| change(command, &config, common).await;
        let done = InCommon::with(&config, &Ports::default(), work).await;
        done.unwrap_or_else(|error| {
            complain_of(&error, &config);
            Exit::Configuration
        })
    });
    for folder in missing.iter().filter(|folder| folder.is_dir()) {
        say(&format!(
            "made the folder {}, which did not exist",
            folder.display()
        ));
    }
    exit
}

/// The folders that do not exist and that the command may make.
fn missing_folders(command: &KeysCommand, config: &Config) -> Vec<PathBuf> {
    let keys = &config.keys;
    let mut folders = vec![
        folder_of(&keys.options.signing_key),
        &keys.options.dir,
        &keys.state_dir,
        folder_of(&keys.credentials),
    ];
    if let KeysCommand::Generate { file: Some(file), .. } = command {
        folders.push(folder_of(file));
    }
    folders.retain(|folder| missing_folder(folder).is_some());
    folders.sort_unstable();
    folders.dedup();
    folders.into_iter().map(Path::to_owned).collect()
}

async fn change(command: KeysCommand, config: &Config, common: &InCommon) -> Exit {
    let registered = registered::algorithm(config, common).await;
    let now = SystemClock.wall();
    let with_keeper = |looks_only, work: &dyn Fn(&mut Keeper) -> Result<Done, ByHandError>| {
        with_keeper(config, common, now, looks_only, work)
    };
    match command {
        KeysCommand::Generate { file, dry_run } => generate(config, file, dry_run),
        KeysCommand::List => with_keeper(true, &|keeper| {
            Ok(Done(table(keeper, registered).trim_end().to_owned()))
        }),
        KeysCommand::Rotate {
            now: at_once,
            dry_run,
        } => with_keeper(dry_run, &|keeper| {
            let done = keeper.rotate(now, at_once, dry_run)?;
            if !at_once && let Some(registered) = registered {
                warn_of_misfit(config, keeper, registered, dry_run);
            }
            Ok(done)
        }),
        KeysCommand::Retire { kid, dry_run } => {
            with_keeper(dry_run, &|keeper| keeper.retire(now, &kid, dry_run))
        }
    }
}

/// Opens the keys as a server would, or read-only, and runs `work`.
fn with_keeper(
    config: &Config,
    common: &InCommon,
    now: Timestamp,
    looks_only: bool,
    work: &dyn Fn(&mut Keeper) -> Result<Done, ByHandError>,
) -> Exit {
    let opened = if looks_only {
        common.inspect(config, now)
    } else {
        common.open_by_hand(config, now)
    };
    let (mut keeper, _, warnings) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            complain_of(&error, config);
            return Exit::Configuration;
        }
    };
    for warning in warnings {
        // Told by `keys list`; an operator who changes something has seen it there.
        if !looks_only && matches!(warning, Warning::ForeignFiles { .. }) {
            continue;
        }
        complain(&format!("warning: {}", Diagnostic::of(&warning, &config.names)));
    }
    match tokio::task::block_in_place(|| work(&mut keeper)) {
        Ok(Done(text)) => {
            say(&text);
            Exit::Success
        }
        Err(error) => {
            complain_of(&error, config);
            match error {
                ByHandError::Generate(GenerateError::Library(_)) => Exit::Internal,
                _ => Exit::Configuration,
            }
        }
    }
}

/// A next key that does not fit the registration would wait for ever: the command says so at once.
fn warn_of_misfit(config: &Config, keeper: &Keeper, registered: Algorithm, dry_run: bool) {
    if dry_run {
        let kind = config.keys.options.generate;
        if let Ok(keys) = Keys::throwaway(kind)
            && keeper.misfit_of(&keys.signing(), registered).is_some()
        {
            let what = format_args!(
                "warning: a {kind} key would not sign then: the client is registered with {registered} at the IdP"
            );
            let fix = fix!(
                "set {} to a type that can, or change the type of key on purpose with `bff keys rotate --now` (docs/keys.md says \
                 what that costs)",
                Knob::KeyType
            );
            complain_of(&Explained::new(what, fix), config);
        }
        return;
    }
    let next = keeper.keyring().next();
    if let Some(error) = next.and_then(|next| keeper.misfit(&next.kid, registered)) {
        complain(&format!(
            "warning: the next key does not sign: {}",
            Diagnostic::of(&error, &config.names)
        ));
    }
}

fn generate(config: &Config, file: Option<PathBuf>, dry_run: bool) -> Exit {
    if let Some(file) = &file
        && let Err(problem) = check_argument("--file", file)
    {
        complain(&problem.to_string());
        return Exit::Configuration;
    }
    let options = &config.keys.options;
    let kind = options.generate;
    // Another file than the named one makes no identity.
    let markers = if file.is_none() {
        options.identity_markers.as_slice()
    } else {
        &[]
    };
    let path = file.unwrap_or_else(|| options.signing_key.clone());
    let shown = path.display();
    if path.symlink_metadata().is_ok() {
        complain(&format!(
            "{shown} exists already; a private key is never overwritten"
        ));
        return Exit::Configuration;
    }
    if dry_run {
        say(&format!("a {kind} key would be made in {shown}"));
        let folder = folder_of(&path);
        if missing_folder(folder).is_some() {
            say(&format!(
                "the folder {} does not exist, and would be made",
                folder.display()
            ));
        }
        return Exit::Success;
    }
    match keys::generate_if_new(&path, kind, markers) {
        Ok(_) => {
            let print = thumbprint(&path).unwrap_or_default();
            say(&format!("made a {kind} key in {shown}, thumbprint {print}"));
            Exit::Success
        }
        Err(error) => {
            complain_of(&error, config);
            match error {
                GenerateError::Library(_) => Exit::Internal,
                _ => Exit::Configuration,
            }
        }
    }
}

fn thumbprint(path: &Path) -> Option<String> {
    let key = SigningKey::new(keys::read_key(path).ok()?, None).ok()?;
    Some(key.kid().to_owned())
}

/// The keyring as a table for a person, for a client that is registered with an algorithm.
fn table(keeper: &Keeper, registered: Option<Algorithm>) -> String {
    let ring = keeper.keyring();
    let mut rows = vec![["KID", "STATE", "SINCE", "FILE", "NEXT"].map(str::to_owned)];
    for key in &ring.keys {
        let upcoming = match ring.upcoming(key, keeper.policy()) {
            _ if key.state != State::Retired && keeper.is_lost(&key.kid) => {
                "lost: its file is missing or holds another key".to_owned()
            }
            Some(Upcoming::Signs(at)) => {
                match registered.filter(|registered| keeper.misfit(&key.kid, *registered).is_some()) {
                    Some(registered) => format!("does not sign: the client is registered with {registered}"),
                    None => format!("signs from {}", moment(at)),
                }
            }
            Some(Upcoming::Replaced(at)) => format!("a new key is made at {}", moment(at)),
            Some(Upcoming::Retires(at)) => format!("retires at {}", moment(at)),
            None => String::new(),
        };
        rows.push([
            key.kid.clone(),
            key.state.to_string(),
            moment(key.since),
            key.file.display().to_string(),
            upcoming,
        ]);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [kid, state, since, file, upcoming] in &rows {
        let [a, b, c, d] = widths;
        let line = format!("{kid:a$}  {state:b$}  {since:c$}  {file:d$}  {upcoming}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        keys::{KeyKind, Options, Policy, Rotation},
        private_file::Guard,
    };

    /// Two keys whose ids are always the same.
    const OLD: &[u8] = include_bytes!("../keys/fixtures/p256-pkcs8.pem");
    const NEW: &[u8] = include_bytes!("../keys/fixtures/rsa2048-pkcs8.pem");

    #[test]
    fn the_list_of_keys_is_as_reviewed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        let open = |signing_key: &str, key: &[u8], at| {
            crate::private_file::create_new(&path.join(signing_key), key).unwrap();
            let options = Options {
                signing_key: path.join(signing_key),
                kid: None,
                generate: KeyKind::P256,
                extra: Vec::new(),
                dir: path.clone(),
                identity_markers: Vec::new(),
                guard: Guard::Strict,
            };
            let rotation = Rotation {
                state_dir: path.clone(),
                policy: Policy::default(),
                algorithm: None,
            };
            Keeper::open(options, rotation, at).unwrap().0
        };
        let keeper = open("old.pem", OLD, start);
        insta::assert_snapshot!("keys_list", table(&keeper, None));
        let later = start.saturating_add(Duration::from_hours(24));
        let keeper = open("new.pem", NEW, later);
        insta::assert_snapshot!("keys_list_next", table(&keeper, None));
        insta::assert_snapshot!("keys_list_misfit", table(&keeper, Some(Algorithm::ES256)));
    }
}
