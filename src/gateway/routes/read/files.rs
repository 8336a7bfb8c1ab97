//! A service that is a folder, and the routes to it.

use std::sync::Arc;

use super::{
    super::{Methods, Service},
    mistakes::{Fields, Reader, shown},
    service::KEYS,
};
use crate::{
    gateway::files::{Fallback, Folder, FolderError},
    yaml::{At, Node, Value},
};

/// The keys of a service that is a folder.
const OF_FOLDERS: [&str; 2] = ["files", "fallback"];

/// Keys of a route that say how a call is passed on.
const OF_CALLS: [&str; 7] = [
    "streaming",
    "encoded_path",
    "csrf",
    "token_policy",
    "websocket",
    "max_body",
    "identity_headers",
];

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn folder(&mut self, id: &str, fields: &Fields<'_>, node: &Node) -> Option<Service> {
        let before = self.mistakes.len();
        let what = &fields.what;
        for key in KEYS.iter().filter(|key| !OF_FOLDERS.contains(key)) {
            if let Some(node) = fields.get(key) {
                let (problem, fix) = if *key == "base_url" {
                    (
                        "and files too".to_owned(),
                        "keep one of them: a service is a server or a folder",
                    )
                } else {
                    ("which has no meaning for a folder".to_owned(), "remove it")
                };
                self.mistake(node.at(), format!("{what} has {key}, {problem}"), fix);
            }
        }
        let text = self.text(node, &format!("files of {what}"));
        let fallback = match fields.get("fallback") {
            None => Some(Fallback::Index),
            Some(node) => self.fallback(node, what),
        };
        let (text, fallback) = (text?, fallback?);
        let Some(base) = self.given.folder.filter(|_| !text.is_empty()) else {
            self.mistake(
                node.at(),
                format!("files {} of {what} names no folder here", shown(text)),
                "name one, as in files: ./dist; a relative path begins in the folder of routes.yaml",
            );
            return None;
        };
        match Folder::open(base.join(text), fallback, self.given.private) {
            Ok(folder) if self.mistakes.len() == before => Service::of_folder(id, folder),
            Ok(_) => None,
            Err(error @ FolderError::NoFallback) => {
                let at = fields.get("fallback").unwrap_or(node);
                let problem = format!("fallback of {what}: {} {error}", shown(text));
                self.mistake(at.at(), problem, error.fix());
                None
            }
            Err(error) => {
                let problem = format!("files {} of {what} {error}", shown(text));
                self.mistake(node.at(), problem, error.fix());
                None
            }
        }
    }

    fn fallback<'a>(&mut self, node: &'a Node, what: &str) -> Option<Fallback<'a>> {
        let found = match &node.value {
            Value::Bool(false) => return Some(Fallback::Nothing),
            Value::Bool(true) => return Some(Fallback::Index),
            Value::Text(text) if text == "false" => return Some(Fallback::Nothing),
            Value::Text(text) if is_plain(text) => return Some(Fallback::File(text)),
            Value::Text(text) => shown(text),
            other => other.kind().to_owned(),
        };
        self.mistake(
            node.at(),
            format!("fallback of {what} is {found}"),
            "name a file in the folder, as in fallback: index.html, or write fallback: false",
        );
        None
    }

    /// No folder holds a file that the table itself names, such as a private key.
    pub(super) fn check_named_files(&mut self, folders: &[(At, Arc<Folder>)]) {
        let files = std::mem::take(&mut self.files);
        for (at, folder) in folders {
            if let Some(file) = files.iter().find(|file| folder.holds(file)) {
                self.mistake(
                    *at,
                    format!(
                        "this service would show {}, which another service names",
                        file.display()
                    ),
                    "serve a folder of its own, which holds only the files of the page, as in files: ./dist",
                );
            }
        }
        self.files = files;
    }

    /// A service that is a server has no key of a folder.
    pub(super) fn only_of_folders(&mut self, fields: &Fields<'_>) {
        if let Some(node) = fields.get("fallback") {
            self.mistake(
                node.at(),
                format!(
                    "fallback of {} has no effect: the service is no folder",
                    fields.what
                ),
                "remove it",
            );
        }
    }

    /// A route to a folder has no key of a call, and only methods that read.
    pub(super) fn check_of_files(&mut self, fields: &Fields<'_>, methods: Option<Methods>) {
        let what = &fields.what;
        for key in OF_CALLS {
            if let Some(node) = fields.get(key) {
                self.mistake(
                    node.at(),
                    format!("{key} of {what} has no meaning for files"),
                    "remove it",
                );
            }
        }
        if let (Some(node), Some(methods)) = (fields.get("methods"), methods)
            && !Methods::OF_FILES.contains(methods)
        {
            self.mistake(
                node.at(),
                format!("{what} has methods that change something, and its service is a folder"),
                "write methods: [GET], which includes HEAD, or leave it out",
            );
        }
    }
}

/// Whether a text names a file below the folder in the one way that there is: as in `index.html` or `pages/app.html`.
fn is_plain(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['%', '\\'])
            && !name.contains(char::is_control)
    };
    text.split('/').all(is_name)
}
