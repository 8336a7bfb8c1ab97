//! The sources of values: environment over `settings.yaml`, and the files of secrets.

mod settings;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    catalogue::{self, VARIABLES, Variable},
    damage,
    environment::Environment,
    legacy::{self, Effect, Legacy},
    names::Source,
    parse,
    path::{self, Leads},
    problem::{Complaint, Place, Problem, Warning, shown},
    settings_file,
};
use crate::{
    access::Need,
    private_file::{Exposed, Guard},
    secret::Secret,
};

/// A longer secret file is refused, in bytes.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// A longer value is refused, in bytes.
const MAX_VALUE: usize = 1024 * 1024;

/// The one variable where empty means something: it turns the prompt off.
const MAY_BE_EMPTY: &str = "OIDC_PROMPT";

/// The prefix of a secret's value that names its file.
const FILE: &str = "file:";

/// All set values, by the variable's name, and the mistakes in the way they are set.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) values: BTreeMap<&'static str, Raw>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    /// Entries that other names add to lists, each with that name.
    pub(super) added: BTreeMap<&'static str, Vec<(String, String)>>,
    /// The folder of `settings.yaml`.
    pub(super) config_dir: PathBuf,
}

/// A value as it was found. Not `Debug`: it may be a secret.
pub(super) struct Raw {
    /// The place where it was found.
    pub(super) source: Source,
    pub(super) content: Content,
    /// Whether it contained `${NAME}`: its present value is never printed.
    pub(super) expanded: bool,
}

/// The source of a value.
#[derive(PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    List(Vec<String>),
    /// The file with the secret.
    SecretFile(PathBuf),
    /// Set to something that has been complained of already.
    Refused,
}

/// The content of a secret's file.
pub(super) struct SecretFile {
    /// Empty if the file is empty.
    pub(super) secret: Option<Secret>,
    /// The accepted exposure to others.
    pub(super) exposed: Option<Exposed>,
}

// === impl Sources ===

impl Sources {
    /// Takes in the environment and the `settings.yaml` that it points to.
    pub(super) fn collect(environment: &Environment) -> Self {
        let mut sources = Self::default();
        for variable in VARIABLES {
            sources.take_from_environment(environment, variable);
        }
        for name in environment.names() {
            if let Some(legacy) = legacy::variable(name)
                && let Some(text) = sources.text(environment, name).filter(|text| !text.is_empty())
            {
                sources.take_legacy(Source::Environment(name.to_owned()), legacy, &text);
            }
        }
        sources.find_config_dir();
        let file = sources.settings_file();
        match settings_file::read(&file) {
            Ok(settings) => {
                for (key, setting) in settings {
                    sources.take_from_settings(environment, &key, setting);
                }
            }
            Err(complaint) => sources.problem(file.display().to_string(), None, complaint),
        }
        sources
    }

    /// Takes in `text` under a name of the original system.
    fn take_legacy(&mut self, source: Source, legacy: &Legacy, text: &str) {
        match legacy.effect(text) {
            Effect::Mistake(complaint) => self.problem(&source, None, complaint),
            Effect::Line(severity, message) => self.warnings.push(Warning {
                severity,
                ..Warning::new(source.to_string(), message)
            }),
            Effect::Value(name, text) => {
                let raw = Raw {
                    source,
                    content: Content::Text(text),
                    expanded: true,
                };
                self.take(name, raw);
            }
            Effect::Entries(lists) => match parse::list(text) {
                Ok(entries) => self.add(&source, lists, &entries),
                Err(complaint) => self.problem(&source, None, complaint),
            },
        }
    }

    fn add(&mut self, source: &Source, lists: &[&'static str], entries: &[String]) {
        for list in lists {
            let added = self.added.entry(list).or_default();
            added.extend(entries.iter().map(|entry| (source.to_string(), entry.clone())));
        }
    }

    /// Takes `raw` for the variable `name`, unless the environment has it; two names of one variable must not differ.
    fn take(&mut self, name: &'static str, raw: Raw) {
        match self.values.get(name) {
            None => {
                self.values.insert(name, raw);
            }
            // The environment wins.
            Some(other) if raw.source.is_settings() && !other.source.is_settings() => {}
            Some(other) if !raw.source.is_settings() && other.content == raw.content => {}
            Some(other) => {
                let complaint = Complaint::new(
                    format!("is another name of {}", other.source),
                    "leave one of them",
                );
                self.problem(&raw.source, None, complaint);
            }
        }
    }

    /// The file of settings: in the configuration folder, or the one that `SETTINGS_FILE` names.
    fn settings_file(&mut self) -> PathBuf {
        let usual = self.config_dir.join("settings.yaml");
        let Some(Raw {
            source,
            content: Content::Text(text),
            ..
        }) = self.values.get("SETTINGS_FILE")
        else {
            return usual;
        };
        if is_damaged("SETTINGS_FILE", text) {
            return usual;
        }
        let (source, text) = (source.clone(), text.clone());
        match path::parse(&text, Leads::ToFile) {
            Err(complaint) => self.problem(&source, None, complaint),
            Ok(file) if file.is_file() => return file,
            Ok(file) => {
                let fix = "correct the path, or mount the file";
                let complaint = match file.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        Complaint::unreadable(&file, Need::Read, &error, fix)
                    }
                    _ => Complaint::new("names no file", fix),
                };
                self.problem(&source, Some(shown(&text)), complaint);
            }
        }
        usual
    }

    /// Finds the folder of `settings.yaml`; only the environment can name it. One that is named must be there.
    fn find_config_dir(&mut self) {
        self.config_dir = PathBuf::from("config");
        let Some(Raw {
            source,
            content: Content::Text(text),
            ..
        }) = self.values.get("BFF_CONFIG_DIR")
        else {
            return;
        };
        if is_damaged("BFF_CONFIG_DIR", text) {
            return;
        }
        let (source, text) = (source.clone(), text.clone());
        match path::parse(&text, Leads::ToFolder) {
            Err(complaint) => self.problem(&source, None, complaint),
            Ok(folder) if folder.is_dir() => self.config_dir = folder,
            Ok(folder) => {
                let fix = "correct the path or mount the folder, which holds settings.yaml and routes.yaml";
                let complaint = match folder.metadata() {
                    Ok(_) => Complaint::new("is not a folder", fix),
                    Err(error) => Complaint::unreadable(&folder, Need::Read, &error, fix),
                };
                self.problem(&source, Some(shown(&text)), complaint);
            }
        }
    }

    fn problem(&mut self, place: impl Into<Place>, value: Option<String>, complaint: Complaint) {
        self.problems.push(Problem::new(place, value, complaint));
    }

    fn take_from_environment(&mut self, environment: &Environment, variable: &'static Variable) {
        let mut found: Option<(&str, String)> = None;
        for name in std::iter::once(&variable.name).chain(variable.aliases) {
            let Some(text) = self.text(environment, name) else {
                continue;
            };
            // An empty variable counts as unset.
            if text.is_empty() && variable.name != MAY_BE_EMPTY {
                continue;
            }
            match &found {
                // Systems set both forms, and not always alike.
                Some((other, _)) if other.eq_ignore_ascii_case(name) => {}
                Some((other, earlier)) if *earlier != text => {
                    let complaint = Complaint::new(
                        format!("is another name of {other}, and the two differ"),
                        format!("remove {name}"),
                    );
                    // A path is quoted only if the parser of paths has accepted it.
                    let is_shown = variable.public && !variable.is_path();
                    self.problem(environment_name(name), is_shown.then(|| shown(&text)), complaint);
                }
                Some(_) => {}
                None => found = Some((name, text)),
            }
        }
        let mut raw = found.map(|(name, text)| {
            let content = match text.strip_prefix(FILE).filter(|_| variable.is_secret()) {
                Some(path) => self.file_of_secret(name, path),
                None => Content::Text(text),
            };
            Raw {
                source: Source::Environment(name.to_owned()),
                content,
                expanded: false,
            }
        });
        if variable.is_secret()
            && let Some(file) = self.secret_file(environment, variable, raw.is_some())
        {
            raw = raw.or(Some(file));
        }
        if let Some(raw) = raw {
            self.values.insert(variable.name, raw);
        }
    }

    /// `NAME_FILE` of a secret, which excludes `NAME`.
    fn secret_file(&mut self, environment: &Environment, variable: &Variable, is_set: bool) -> Option<Raw> {
        let label = format!("{}_FILE", variable.name);
        let text = self.text(environment, &label).filter(|path| !path.is_empty())?;
        let content = self.file_of_secret(&label, &text);
        if is_set {
            let complaint = Complaint::new(
                format!("is set, and {} too", variable.name),
                format!("remove one of {} and {label}", variable.name),
            );
            self.problem(environment_name(&label), content.shown(), complaint);
        }
        Some(Raw {
            source: Source::Environment(label),
            content,
            expanded: false,
        })
    }

    fn file_of_secret(&mut self, label: &str, path: &str) -> Content {
        match path::parse(path, Leads::ToFile) {
            Ok(path) => Content::SecretFile(path),
            Err(complaint) => {
                self.problem(environment_name(label), None, complaint);
                Content::Refused
            }
        }
    }

    fn text(&mut self, environment: &Environment, name: &str) -> Option<String> {
        let complaint = match environment.get(name)?.to_str() {
            Some(text) if text.len() <= MAX_VALUE => return Some(text.trim().to_owned()),
            Some(_) => Complaint::new("is longer than 1 MiB", "shorten it"),
            None => Complaint::new("is not UTF-8", "write it in UTF-8"),
        };
        self.problem(environment_name(name), None, complaint);
        None
    }
}

/// The variable `name` of the environment.
fn environment_name(name: &str) -> Source {
    Source::Environment(name.to_owned())
}

// === impl Raw ===

impl Raw {
    /// Whether `${NAME}` would have been expanded where the value was found.
    pub(super) const fn expands_references(&self) -> bool {
        self.source.is_settings()
    }
}

// === impl Content ===

impl Content {
    /// The content of a public variable, or the path of a secret, as it may be printed.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(shown(text)),
            Self::List(entries) => Some(shown(&entries.join(", "))),
            Self::SecretFile(path) => Some(shown(&path.to_string_lossy())),
            Self::Refused => None,
        }
    }
}

/// Whether the value was damaged on its way, which is told later, as of every value.
fn is_damaged(name: &str, text: &str) -> bool {
    catalogue::find(name).is_some_and(|variable| damage::complaint(variable, text, false).is_some())
}

/// The secret in a file, without the line end that editors add. An empty file counts as unset.
pub(super) fn read_secret(path: &Path, guard: Guard) -> Result<SecretFile, Complaint> {
    let unreadable = |error: io::Error| {
        Complaint::unreadable(
            path,
            Need::ReadPrivate,
            &error,
            "correct the path, or put the file there",
        )
    };
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(Complaint::new(
            "is not a file",
            "name the file that holds the secret",
        ));
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(unreadable)?;
    let looked = guard
        .file(&file)
        .and_then(|file| Ok((file, guard.place_of(path)?)));
    let (file_exposed, place_exposed) = looked.map_err(|exposed| {
        let remedy = exposed.remedy();
        Complaint::new(
            exposed.to_string(),
            format!("{remedy}; only where that cannot be helped, set BFF_DANGER_ALLOW_OPEN_FILES=true"),
        )
    })?;
    let exposed = file_exposed.or(place_exposed);
    file.take(MAX_SECRET_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_SECRET_FILE) {
        return Err(Complaint::new(
            "is larger than 64 KiB",
            "name the file that holds the secret and nothing else",
        ));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Complaint::new(
            "is not UTF-8 text",
            "store the secret as text, binary ones as base64",
        )
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    Ok(SecretFile {
        secret: (!text.is_empty()).then(|| Secret::from(text)),
        exposed,
    })
}
