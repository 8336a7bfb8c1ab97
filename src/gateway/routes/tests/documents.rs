//! The examples of a `routes.yaml` in the documents: the server reads each, they show every key, and calls go where the
//! text says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    tls::testing,
    yaml::{self, Aliases, Node, Value},
};

/// Those that explain keys of `routes.yaml`, the main one first.
const DOCUMENTS: [&str; 5] = [
    "docs/gateway.md",
    "docs/tokens-for-apis.md",
    "docs/bearer.md",
    "docs/websockets.md",
    "docs/limits.md",
];

/// The services that an example may name without describing them.
const USUAL: &str = "services:
  crud: { base_url: 'http://crud:8080/v1' }
  orders: { base_url: 'http://orders:8080' }
  page: { files: ./dist }
";

/// A document and its text, if it exists.
fn documents() -> impl Iterator<Item = (&'static str, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = move |name| Some((name, fs::read_to_string(root.join(name)).ok()?));
    DOCUMENTS.into_iter().filter_map(text)
}

/// Every example, with the place where it stands.
fn examples() -> Vec<(String, String)> {
    let mut examples = Vec::new();
    for (name, text) in documents() {
        let mut at = 1;
        for (index, part) in text.split("```").enumerate() {
            let mut block = part.split_once('\n').map_or("", |(_, block)| block);
            while let Some((comment, rest)) = block.split_once('\n')
                && comment.starts_with("# ")
            {
                block = rest;
            }
            if index % 2 == 1 && (block.starts_with("services:") || block.starts_with("routes:")) {
                let usual = if block.starts_with("routes:") { USUAL } else { "" };
                examples.push((format!("{name}:{at}"), format!("{usual}{block}")));
            }
            at += part.matches('\n').count();
        }
    }
    examples
}

/// A folder with the files that the examples name.
fn folder() -> tempfile::TempDir {
    crate::jose::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    fs::create_dir(at("dist")).unwrap();
    fs::write(at("dist/index.html"), "page").unwrap();
    for (name, pem) in [
        ("corp-ca.pem", testing::CA),
        ("bff-tls.crt", testing::CLIENT),
        ("bff-tls.key", testing::CLIENT_KEY),
    ] {
        fs::write(at(name), pem).unwrap();
    }
    folder
}

fn read(folder: &Path, yaml: &str) -> Result<Routes, RoutesError> {
    let around = Around {
        variables: &|_| None,
        folder: Some(folder),
        private: &Private::default(),
        unchecked: false,
        tokens: &TokenDefaults::NONE,
    };
    Routes::parse_with(yaml, &around)
}

#[test]
fn the_server_reads_every_example_of_the_documents() {
    let folder = folder();
    let examples = examples();
    assert!(examples.len() > 10, "{}", examples.len());
    for (place, example) in examples {
        if let Err(error) = read(folder.path(), &example) {
            panic!("{place}: {error}\n{example}");
        }
    }
}

/// The keys of the maps in the list or map below `key`.
fn keys_below(root: &Node, key: &str) -> BTreeSet<String> {
    let Value::Map(entries) = &root.value else {
        return BTreeSet::new();
    };
    let below = entries
        .iter()
        .find(|(found, _)| found.name == key)
        .map(|(_, node)| &node.value);
    let maps: Vec<&Node> = match below {
        Some(Value::Map(entries)) => entries.iter().map(|(_, node)| node).collect(),
        Some(Value::List(nodes)) => nodes.iter().collect(),
        _ => Vec::new(),
    };
    let keys = maps.into_iter().flat_map(|node| match &node.value {
        Value::Map(entries) => entries.iter().map(|(key, _)| key.name.clone()).collect(),
        _ => Vec::new(),
    });
    keys.collect()
}

#[test]
fn every_key_is_explained_and_has_an_example() {
    let text: String = documents().map(|(_, text)| text).collect();
    let mut shown = [BTreeSet::new(), BTreeSet::new()];
    for (_, example) in examples() {
        let root = yaml::read(&example, Aliases::Followed).unwrap().unwrap();
        shown[0].extend(keys_below(&root, "services"));
        shown[1].extend(keys_below(&root, "routes"));
    }
    for (keys, shown) in [(read::SERVICE_KEYS, &shown[0]), (read::ROUTE_KEYS, &shown[1])] {
        for key in keys {
            assert!(text.contains(&format!("`{key}`")), "no document explains {key}");
            // A route that names one of these does not start yet.
            let is_built = !["authz", "authz_map"].contains(key);
            assert!(!is_built || shown.contains(*key), "no example has {key}");
        }
    }
}

/// Calls that the documents speak of, with the example that decides on them.
#[test]
fn calls_go_where_the_documents_say() {
    let folder = folder();
    let examples = examples();
    for (id, method, at, expected) in [
        (
            "order-items",
            "GET",
            "/api/orders/7/items/3",
            "order-items http://crud:8080/v1/orders/7/lines/3",
        ),
        ("news", "GET", "/api/news", "news http://mail:8080/events"),
        (
            "report",
            "GET",
            "/reports/7",
            "report http://crud:8080/v1/reports/7",
        ),
        (
            "objects",
            "GET",
            "/api/objects/x",
            "objects http://crud:8080/v1/x",
        ),
        ("webhook", "GET", "/hooks/mail", "405 POST"),
    ] {
        let holds = |(_, example): &&(String, String)| example.contains(&format!("id: {id}"));
        let (_, example) = examples.iter().find(holds).unwrap();
        let routes = read(folder.path(), example).unwrap();
        assert_eq!(target(&routes, method, at), expected, "{at}");
    }
    let holds = |(_, example): &&(String, String)| example.contains("files: ./dist\n");
    let (_, example) = examples.iter().find(holds).unwrap();
    let routes = read(folder.path(), example).unwrap();
    for (at, expected) in [("/", "dist/index.html"), ("/assets/app.js", "dist/assets/app.js")] {
        let at = path(at);
        let Found::Match(matched) = routes.find("", &at, &Method::GET) else {
            panic!("{at:?}");
        };
        assert!(matched.file().unwrap().ends_with(expected), "{at:?}");
    }
}
