//! The links of the documents: each leads to a file that is there, and to a heading that the file has.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::document::{files, root};

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let files = files();
    let mut wrong = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for link in links(&text) {
            if let Err(why) = follow(file, &link) {
                let file = file.strip_prefix(root()).unwrap().display();
                wrong.push(format!("{file}: {link}: {why}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Follows a link of the document `file`.
fn follow(file: &Path, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target: PathBuf = if path.is_empty() {
        file.to_owned()
    } else {
        file.parent().unwrap().join(path)
    };
    if !target.exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let anchors = anchors(&fs::read_to_string(&target).map_err(|error| error.to_string())?);
    if anchors.iter().any(|known| known == anchor) {
        Ok(())
    } else {
        Err(format!(
            "there is no such heading; there are {}",
            anchors.join(", ")
        ))
    }
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    })
}

/// The targets of all `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let joined: Vec<&str> = prose(text).collect();
    let joined = joined.join("\n");
    let targets = joined.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned()))
        .collect()
}

/// The anchors of the headings, as GitHub makes them, and the explicit ids.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = Vec::new();
    for line in prose(text) {
        if let Some((_, rest)) = line.split_once("<a id=\"") {
            anchors.extend(rest.split('"').next().map(str::to_owned));
        }
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let Some(heading) = line[level..].strip_prefix(' ').filter(|_| level > 0) else {
            continue;
        };
        let name: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' '))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let count = seen.entry(name.clone()).or_default();
        anchors.push(match *count {
            0 => name,
            again => format!("{name}-{again}"),
        });
        *count += 1;
    }
    anchors
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let file = root().join("docs/install.md");
    for link in [
        "operating.md#files-and-backups",
        "../README.md",
        "#build",
        "https://host.example/x#y",
    ] {
        assert_eq!(follow(&file, link), Ok(()), "{link}");
    }
    for link in ["operating.md#files", "nowhere.md", "#no-such-heading"] {
        assert!(follow(&file, link).is_err(), "{link}");
    }
    let text = "[a](b.md) and [c\nd](e.md#f)\n```sh\n# [x](y)\n```\n";
    assert_eq!(links(text), ["b.md", "e.md#f"]);
    let text = "# The `a b`: c\n## Same\n```sh\n# no heading\n```\n## Same\n<a id=\"by-hand\"></a>\n";
    assert_eq!(anchors(text), ["the-a-b-c", "same", "same-1", "by-hand"]);
}
