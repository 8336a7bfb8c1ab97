//! Values by name from environment and `settings.yaml`, with every mistake collected on the way.

mod damaged;
mod secrets;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use url::Url;

use super::{
    address::{Origin, reach},
    catalogue::{self, Kind},
    environment::Environment,
    names::{Names, Source},
    parse,
    path::{self, Leads},
    problem::{Complaint, Place, Problem, Severity, Warning, shown},
    sources::{Content, Raw, Sources},
    unknown,
};
use crate::{
    private_file::Guard,
    quote::looks_like_a_secret,
    url_policy::{HttpPolicy, Reach},
};

/// Reads values and collects the mistakes in them.
pub(super) struct Reader {
    values: BTreeMap<&'static str, Raw>,
    config_dir: PathBuf,
    /// Further entries of lists, from other names, each with the name.
    added: BTreeMap<&'static str, Vec<(String, String)>>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    http: HttpPolicy,
    guard: Guard,
    /// Variables with a plain `http` URL that is accepted.
    plain_http: Vec<String>,
}

// === impl Reader ===

impl Reader {
    /// Takes in the environment and the `settings.yaml` that it points to.
    pub(super) fn new(environment: &Environment) -> Self {
        let sources = Sources::collect(environment);
        let mut reader = Self {
            config_dir: sources.config_dir,
            values: sources.values,
            problems: sources.problems,
            warnings: [unknown::warnings(environment), sources.warnings].concat(),
            added: sources.added,
            http: HttpPolicy::LocalOnly,
            guard: Guard::Strict,
            plain_http: Vec::new(),
        };
        reader.refuse_damaged();
        if reader.switch("BFF_DANGER_ALLOW_HTTP", false) {
            reader.http = HttpPolicy::Anywhere;
        }
        if reader.switch("BFF_DANGER_ALLOW_OPEN_FILES", false) {
            reader.warn(
                "BFF_DANGER_ALLOW_OPEN_FILES",
                "private keys, secrets and credentials that others can read or replace are accepted",
            );
            reader.guard = Guard::Off;
        }
        reader
    }

    /// No other mistake in the value of `name` is reported.
    fn mark_refused(&mut self, name: &str) {
        if let Some(raw) = self.values.get_mut(name) {
            raw.content = Content::Refused;
        }
    }

    /// The folder of `settings.yaml`.
    pub(super) fn config_dir(&self) -> PathBuf {
        self.config_dir.clone()
    }

    /// Adds a mistake at `place` whose printable value is `value`.
    pub(super) fn problem(&mut self, place: impl Into<Place>, value: Option<String>, complaint: Complaint) {
        let problem = Problem::new(place, value, complaint);
        // One entry may belong to several lists.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a mistake of the variable `name`, with its value if the catalogue marks the variable as public.
    pub(super) fn complain(
        &mut self,
        name: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.refuse(name, Complaint::new(message, fix));
    }

    /// The same with a complaint of a parser. Of a value that was complained of, nothing more is said.
    pub(super) fn refuse(&mut self, name: &'static str, complaint: Complaint) {
        if self.is_refused(name) {
            return;
        }
        let quotable = is_public(name) && !complaint.unquoted;
        let raw = self.values.get(name).filter(|raw| quotable && !raw.expanded);
        let value = raw.and_then(|raw| raw.content.shown());
        self.problem(self.place(name), value, complaint);
    }

    /// The same with a part of the value that may be printed, although the rest may not.
    pub(super) fn refuse_showing(&mut self, name: &'static str, complaint: Complaint, part: &str) {
        let raw = self.values.get(name);
        let value = raw.is_some_and(|raw| !raw.expanded).then(|| shown(part));
        self.problem(self.place(name), value, complaint);
    }

    /// The place of the variable `name`.
    pub(super) fn place(&self, name: &str) -> Place {
        self.values.get(name).map_or_else(
            || Place::Other(name.to_owned()),
            |raw| Place::Set(raw.source.clone()),
        )
    }

    pub(super) fn warn(&mut self, variable: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning::new(variable, message));
    }

    /// Warns of a setting that makes every login impossible, although the server can start.
    pub(super) fn warn_that_nobody_can_log_in(
        &mut self,
        variable: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.warnings.push(Warning {
            severity: Severity::PreventsLogin,
            ..Warning::new(variable, message)
        });
    }

    /// Whether `name` is set, also to something wrong.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The place of `name`, under its own name or an alias.
    pub(super) fn source(&self, name: &str) -> Option<&Source> {
        self.values.get(name).map(|raw| &raw.source)
    }

    /// The name under which `name` was found: its own, an alias, or its line of `settings.yaml`.
    fn label(&self, name: &str) -> String {
        self.source(name)
            .map_or_else(|| name.to_owned(), ToString::to_string)
    }

    /// The places of all settings.
    pub(super) fn names(&self) -> Names {
        Names::new(self.values.iter().map(|(name, raw)| (*name, raw.source.clone())))
    }

    /// The files that secrets are read from.
    pub(super) fn secret_files(&self) -> Vec<PathBuf> {
        let paths = self.values.values().filter_map(|raw| match &raw.content {
            Content::SecretFile(path) => Some(path.clone()),
            Content::Text(_) | Content::List(_) | Content::Refused => None,
        });
        paths.collect()
    }

    /// Whether `name` is set to something that has been complained of.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        let content = self.values.get(name).map(|raw| &raw.content);
        matches!(content, Some(Content::Refused))
    }

    /// The names that are set.
    pub(super) fn set_names(&self) -> impl Iterator<Item = &'static str> {
        self.values.keys().copied()
    }

    /// The text of `name`.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match &self.values.get(name)?.content {
            Content::Text(text) => Some(text.clone()),
            Content::List(_) | Content::SecretFile(_) | Content::Refused => None,
        }
    }

    /// The value of `name` through `parser`; `None` if it is not set or, then with a problem, wrong.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parser: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        match parser(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.refuse(name, complaint);
                None
            }
        }
    }

    pub(super) fn switch(&mut self, name: &'static str, default: bool) -> bool {
        self.parsed(name, parse::switch).unwrap_or(default)
    }

    pub(super) fn duration(&mut self, name: &'static str, default: Duration) -> Duration {
        self.parsed(name, parse::positive_duration).unwrap_or(default)
    }

    pub(super) fn number(&mut self, name: &'static str, default: u64, least: u64, most: u64) -> u64 {
        self.parsed(name, |text| parse::number(text, least, most))
            .unwrap_or(default)
    }

    /// The path that `name` holds, of a file or of a folder as the catalogue says.
    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let leads = match catalogue::find(name)?.kind {
            Kind::Folder => Leads::ToFolder,
            _ => Leads::ToFile,
        };
        self.parsed(name, |text| path::parse(text, leads))
    }

    /// The paths of the list `name`.
    pub(super) fn paths(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        // Pasted text is no longer in one piece once the list is split.
        if self.text(name).is_some_and(|text| path::is_content(&text)) {
            self.parsed(name, |text| path::parse(text, Leads::ToFile));
            return None;
        }
        self.entries(name, |text| path::parse(text, Leads::ToFile))
    }

    /// The value of `name` among `values`, whose words the catalogue lists in the same order.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, values: &[T]) -> Option<T> {
        let Some(Kind::Choice(words)) = catalogue::find(name).map(|variable| variable.kind) else {
            return None;
        };
        let index = self.parsed(name, |text| parse::choice(text, words))?;
        values.get(index).copied()
    }

    /// The entries of the list `name`; `None` if it is not set.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        if let Content::List(entries) = &self.values.get(name)?.content {
            return Some(entries.clone());
        }
        self.parsed(name, |text| {
            // Pieces of a key would no longer look like one.
            if looks_like_a_secret(text) {
                return Err(Complaint::unquoted(
                    "holds what looks like a key or a token",
                    "remove it; secrets have variables and files of their own",
                ));
            }
            parse::list(text)
        })
    }

    /// The entries of the list `name`, each through `parser`; each wrong one is omitted, with a problem.
    pub(super) fn entries<T>(
        &mut self,
        name: &'static str,
        parser: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<T>> {
        let entries = self.list(name)?;
        let mut values = Vec::new();
        for entry in entries {
            match parser(&entry) {
                Ok(value) => values.push(value),
                Err(complaint) => self.complain_of_entry(name, &entry, complaint),
            }
        }
        Some(values)
    }

    /// The entries that other names add to the list `name`, each with that name.
    pub(super) fn added(&self, name: &str) -> Vec<(String, String)> {
        self.added.get(name).cloned().unwrap_or_default()
    }

    /// Adds a mistake of one entry of the list `name`.
    pub(super) fn complain_of_entry(&mut self, name: &'static str, entry: &str, complaint: Complaint) {
        let raw = self.values.get(name);
        let quotable = is_public(name) && !complaint.unquoted && !raw.is_some_and(|raw| raw.expanded);
        let value = quotable.then(|| shown(entry));
        self.problem(self.place(name), value, complaint);
    }

    /// The URL `name` through `parser`, reached by `https` or where `http` is accepted.
    pub(super) fn url(
        &mut self,
        name: &'static str,
        parser: impl FnOnce(&str) -> Result<Url, Complaint>,
    ) -> Option<Url> {
        let url = self.parsed(name, parser)?;
        match self.check_reach(name, reach(&url)) {
            Ok(()) => Some(url),
            Err(complaint) => {
                self.refuse(name, complaint);
                None
            }
        }
    }

    /// The origin `name`.
    pub(super) fn origin(&mut self, name: &'static str) -> Option<Origin> {
        let origin = self.parsed(name, Origin::parse)?;
        match self.check_reach(name, origin.reach()) {
            Ok(()) => Some(origin),
            Err(complaint) => {
                self.refuse(name, complaint);
                None
            }
        }
    }

    /// Whether a URL of the variable `name` may be reached that way.
    pub(super) fn check_reach(&mut self, name: &str, reach: Reach) -> Result<(), Complaint> {
        match reach {
            Reach::Secure => Ok(()),
            reach if !self.http.accepts(reach) => Err(Complaint::new(
                "is plain http to a host that is neither loopback nor a name without a dot",
                "use https; if nobody else can listen on that network, set BFF_DANGER_ALLOW_HTTP=true",
            )),
            Reach::Loopback | Reach::Dotless | Reach::Elsewhere => {
                if !self.plain_http.iter().any(|known| known == name) {
                    self.plain_http.push(name.to_owned());
                }
                Ok(())
            }
        }
    }

    /// The connections that may use plain `http`.
    pub(super) const fn http(&self) -> HttpPolicy {
        self.http
    }

    /// The policy for files that others can use.
    pub(super) const fn guard(&self) -> Guard {
        self.guard
    }

    /// The one warning about plain `http`.
    pub(super) fn warn_of_plain_http(&mut self) {
        if !self.plain_http.is_empty() {
            let names = self.plain_http.join(", ");
            self.warn(
                names,
                "plain http: others on the way can read everything that is sent there, tokens included; use it only on one \
                 machine or in a container network",
            );
        }
    }
}

/// Whether messages may quote the value of the variable `name`.
fn is_public(name: &str) -> bool {
    catalogue::find(name).is_some_and(|variable| variable.public)
}
