//! Runs the commands of the documents: each block is read out of its document, hosts, ports and paths are replaced,
//! and the result is checked. An unused block fails [`every_recipe_is_run`].

mod commands;
mod document;
mod first_registration;
mod links;
mod scripts;
mod try_it;

use std::{collections::BTreeSet, fs, path::Path};

pub use self::document::recipe;
use self::document::{Block, blocks, root};

/// Languages of blocks that people only read.
const READ: [&str; 3] = ["json", "mermaid", "text"];

/// Blocks that another phase of `scripts/test` runs: document, languages, and the source that reads them out of it, which
/// has to name the document and the first line of each block.
const PHASES: [(&str, &[&str], &str); 4] = [
    ("docs/install.md", &["sh"], "scripts/phases/packaging"),
    ("docker/README.md", &["sh"], "scripts/phases/docker"),
    ("docker/README.md", &["sh"], "tests/docker.sh"),
    (
        "docs/spa.md",
        &["js", "html"],
        "tests/browser/page_of_the_document.rs",
    ),
];

/// Documents whose blocks a test of their own reads, all of them: how many, and its source.
const READERS: [(&str, usize, &str); 6] = [
    ("docs/limits.md", 3, "src/gateway/routes/tests/documented.rs"),
    ("docs/bearer.md", 6, "src/gateway/routes/schema/tests.rs"),
    ("docs/pages.md", 2, "tests/it/endpoints/pages.rs"),
    ("docs/dev-server.md", 6, "tests/it/start/dev_server.rs"),
    ("docs/websockets.md", 1, "src/gateway/routes/tests.rs"),
    ("docs/redis.md", 2, "src/session/store/redis/tests/documented.rs"),
];

/// Languages of blocks that `packages/snippets.js` compiles, in the documents that the script in `package.json` names.
const COMPILED: [&str; 2] = ["ts", "tsx"];

#[test]
fn every_recipe_is_run() {
    let sources = sources(&root().join("tests"));
    let (mut calls, mut names) = (BTreeSet::new(), BTreeSet::new());
    for source in &sources {
        calls.extend(document::calls(source));
        names.extend(document::names(source));
    }
    let mut missing = Vec::new();
    let blocks = blocks();
    for (file, count, source) in READERS {
        let typed = |block: &&Block| block.file == file && !READ.contains(&block.language.as_str());
        assert_eq!(
            blocks.iter().filter(typed).count(),
            count,
            "{file} is read by {source}"
        );
        let source = fs::read_to_string(root().join(source)).unwrap();
        assert!(source.contains(file), "{file}");
    }
    for block in blocks {
        let has_reader = READERS.iter().any(|(file, ..)| *file == block.file);
        if !has_reader && !READ.contains(&block.language.as_str()) && !is_run(&block, &calls, &names) {
            missing.push(block.to_string());
        }
    }
    assert!(
        missing.is_empty(),
        "no test runs these (tests/it/recipes.rs says how; what is only read is ```text):\n{}",
        missing.join("\n")
    );
}

fn is_run(block: &Block, calls: &BTreeSet<(String, String)>, names: &BTreeSet<String>) -> bool {
    let by_test = calls
        .iter()
        .any(|(file, start)| *file == block.file && block.text.starts_with(start.as_str()));
    let by_name = block.name.as_ref().is_some_and(|name| names.contains(name));
    let by_phase = PHASES.iter().any(|(file, languages, source)| {
        *file == block.file
            && languages.contains(&block.language.as_str())
            && fs::read_to_string(root().join(source))
                .is_ok_and(|source| source.contains(file) && source.contains(block.first_line()))
    });
    let is_compiled = COMPILED.contains(&block.language.as_str())
        && fs::read_to_string(root().join("package.json")).is_ok_and(|scripts| {
            let mut words = scripts.split([' ', '"']);
            words.any(|word| word == "packages/snippets.js") && words.any(|word| word == block.file)
        });
    by_test || by_name || by_phase || is_compiled
}

/// The Rust sources below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// Documents whose tables name the test of each row.
#[test]
fn the_tests_that_documents_name_are_there() {
    let sources = ["src", "tests", "devstack"].map(|folder| sources(&root().join(folder)).concat());
    let sources = sources.concat();
    for document in ["docs/reliability.md", "docs/security.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
        // Files and settings are quoted too.
        let is_test = |name: &&str| name.matches('_').count() > 1 && name.chars().all(is_of_a_function);
        let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let named: Vec<_> = quoted.filter(is_test).collect();
        assert!(named.len() > 20, "{document}: {named:?}");
        for name in named {
            assert!(
                sources.contains(&format!("fn {name}(")),
                "{document} names {name}"
            );
        }
    }
}

/// Every attack of the table has its row, and every test that names an attack belongs to a row.
#[test]
fn every_attack_has_a_row_and_tests() {
    const ATTACKS: usize = 58;
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, defence, tests] = cells[..] else {
            continue;
        };
        let Ok(number) = number.parse::<usize>() else {
            continue;
        };
        assert!(
            tests.contains('`') || defence.starts_with("not built"),
            "row {number} names no test"
        );
        rows.push(number);
    }
    assert_eq!(rows, (1..=ATTACKS).collect::<Vec<_>>());
    let sources = ["src", "tests", "devstack"].map(|folder| sources(&root().join(folder)).concat());
    for name in sources.concat().split(concat!("fn ", "attack_")).skip(1) {
        let name = name.split('(').next().unwrap();
        let number = name.split('_').next().unwrap().parse::<usize>();
        assert!(
            number.as_ref().is_ok_and(|number| rows.contains(number)),
            "attack_{name} belongs to no row"
        );
    }
}

const fn is_of_a_function(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
}

#[test]
fn a_block_that_nobody_runs_is_noticed() {
    let block = |language: &str, text: &str| Block {
        file: "docs/keys.md".to_owned(),
        line: 1,
        name: None,
        language: language.to_owned(),
        text: text.to_owned(),
    };
    let calls =
        document::calls("let it = recipe(\n    \"docs/keys.md\",\n    \"bff keys list\",\n);").collect();
    let mut names: BTreeSet<String> = document::names("recipe(\"nginx-asks\", &[])").collect();
    assert!(is_run(&block("sh", "bff keys list\n"), &calls, &names));
    assert!(!is_run(&block("sh", "bff keys rotate\n"), &calls, &names));
    assert!(
        !is_run(&block("", "bff keys rotate\n"), &calls, &names),
        "also where it does not say what it is"
    );
    let with_a_mark = Block {
        name: Some("nginx-asks".to_owned()),
        ..block("nginx", "server {}\n")
    };
    assert!(is_run(&with_a_mark, &calls, &names));
    names.clear();
    assert!(!is_run(&with_a_mark, &calls, &names));
}
