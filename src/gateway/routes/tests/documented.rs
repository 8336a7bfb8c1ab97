//! The examples of docs/limits.md.

use std::{fs, path::Path};

use super::*;
use crate::{gateway::routes_schema, generated::Checker};

#[test]
fn the_documented_limits_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md");
    let text = fs::read_to_string(path).unwrap();
    let checker = Checker::new(&routes_schema());
    let mut seen = 0;
    for block in text.split("```yaml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let routes = Routes::parse(block).unwrap();
        assert!(!routes.is_empty());
        checker.accepts(block).unwrap();
        seen += 1;
    }
    assert!(seen > 1);
}
