//! Tests: the arrows between modules go only downwards, and each library is named only where it belongs.

mod knobs;
mod sources;
mod words;

use std::collections::BTreeSet;

use self::sources::floors;
pub(crate) use self::sources::sources;

/// Who may name what beside the module that owns it.
const OWNERS: [(&str, &[&str]); 11] = [
    ("axum", &["web", "admin", "server", "gateway"]),
    ("hyper", &["web", "server", "gateway", "outage"]),
    ("hyper_util", &["web", "server", "gateway", "outage"]),
    ("reqwest", &["outbound"]),
    ("redis", &["session"]),
    // Only `Sessions` holds a store; `app` chooses which.
    ("SessionStore", &["session", "app"]),
    ("MemoryStore", &["session", "app"]),
    ("DiskStore", &["session", "app"]),
    ("RedisStore", &["session", "app"]),
    ("redb", &["session"]),
    ("serde_saphyr", &["yaml"]),
];

/// The modules of this crate that a file names.
fn named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, begin) in text.match_indices("crate::") {
        if text[..at].ends_with(|before: char| is_part(before) || before == '$') {
            continue;
        }
        let rest = &text[at + begin.len()..];
        match rest.strip_prefix('{') {
            Some(group) => named.extend(members(group).map(first_name)),
            None => {
                named.insert(first_name(rest));
            }
        }
    }
    named.retain(|name| name.starts_with(|first: char| first.is_lowercase()));
    named
}

/// The members of a group whose brace has been opened.
fn members(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 1_u32;
    let end = group.find(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let mut depth = 0_u32;
    group[..end.unwrap()].split(move |character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0 && character == ','
    })
}

fn first_name(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|letter| is_part(*letter))
        .collect()
}

fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn what_a_file_names_is_found_in_every_form() {
    let text = "use crate::{\n    clock::{Clock, Timestamp},\n    jose,\n    oidc::{self, call::{CallError, Meaning}},\n    secret::Secret,\n};\n\
                use crate::seal::Sealer;\nfn f() -> crate::web::Web {}\n$crate::app::x(); crate::Thing";
    let expected = ["clock", "jose", "oidc", "seal", "secret", "web"];
    assert_eq!(named(text), expected.map(str::to_owned).into());
}

#[test]
fn arrows_go_only_downwards() {
    let floors = floors();
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(&*source.module, "lib" | "main") {
            continue;
        }
        let own = floors[&source.module];
        for name in named(&source.text) {
            let Some(floor) = floors.get(&name) else {
                continue;
            };
            if name != source.module && *floor >= own {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_belongs_to_one_module_is_named_by_no_other() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, owners) in OWNERS {
            let is_named = source.text.match_indices(name).any(|(at, _)| {
                let (before, after) = (&source.text[..at], &source.text[at + name.len()..]);
                let is_crate = name.starts_with(|first: char| first.is_lowercase());
                // A module of ours may have the name of a library.
                let is_inside = before
                    .strip_suffix("::")
                    .is_some_and(|path| path.ends_with(is_part));
                let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
                is_word && (!is_crate || after.starts_with("::") && !is_inside)
            });
            if is_named && !owners.contains(&&*source.module) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
