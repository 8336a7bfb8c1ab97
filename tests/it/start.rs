//! The start: the order in which things come up, how the IdP is found, and the binary as an operator meets it.

mod command;
mod dev_server;
mod documented;
mod folders;
mod idp;
mod mounts;
mod network;
mod original;
mod panics;
mod planted;
mod recipe;
mod reviewed;
mod systemd;

use std::{fs, path::Path};

/// Makes a signing key of this kind in the file `path`.
pub fn make_key(path: &Path, kind: bff::keys::KeyKind) {
    bff::keys::generate_if_new(path, kind, &[]).unwrap();
}

/// An empty folder to start the binary in, with a table of no routes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(
        folder.path().join("config/routes.yaml"),
        "services: {}\nroutes: []\n",
    )
    .unwrap();
    folder
}
