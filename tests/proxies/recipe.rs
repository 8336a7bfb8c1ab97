//! The recipes of the document, unchanged.

use std::fs;

/// The recipe called `name`, with each of `replacements` made: hosts, ports and TLS, which a test cannot have.
#[track_caller]
pub fn recipe(name: &str, replacements: &[(&str, &str)]) -> String {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/proxies.md")).unwrap();
    let mark = format!("<!-- recipe: {name} -->\n```");
    let (_, rest) = document.split_once(&mark).expect("no such recipe");
    // The language follows the fence.
    let (_, rest) = rest.split_once('\n').unwrap();
    let (block, _) = rest.split_once("\n```").unwrap();
    let mut recipe = block.to_owned();
    for (from, to) in replacements {
        assert!(
            recipe.contains(from),
            "{from:?} does not stand in the recipe {name}"
        );
        recipe = recipe.replace(from, to);
    }
    recipe
}
