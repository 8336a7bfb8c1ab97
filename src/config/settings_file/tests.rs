use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Node {
    parse(text).unwrap_or_else(|complaint| panic!("{complaint:?}"))["key"]
        .value
        .clone()
}

fn scalar(text: &str) -> String {
    match value(text) {
        Node::Scalar(value) => value,
        _ => panic!("no scalar: {text}"),
    }
}

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(complaint) => complaint.message,
    }
}

#[test]
fn values_keep_their_spelling() {
    for (text, expected) in [
        ("key: plain", "plain"),
        ("key: 8000", "8000"),
        ("key: 0123", "0123"),
        ("key: 1_000", "1_000"),
        ("key: -5", "-5"),
        ("key: true", "true"),
        ("key: no", "no"),
        ("key: yes", "yes"),
        ("key: '1.10'", "1.10"),
        ("key: \"a: b # c\"", "a: b # c"),
        ("key: https://idp.example/realm", "https://idp.example/realm"),
        ("key: 5m", "5m"),
        ("key: |\n  text\n", "text\n"),
    ] {
        assert_eq!(scalar(text), expected, "{text}");
    }
    assert!(value("key:") == Node::Null);
    assert!(value("key: ~") == Node::Null);
    assert!(value("key: 1.10") == Node::Unquoted);
    assert!(value("key: [a, b, 1]") == Node::List(vec!["a".into(), "b".into(), "1".into()]));
    assert!(value("key:\n  - a\n  - b\n") == Node::List(vec!["a".into(), "b".into()]));
    assert!(value("key: []") == Node::List(vec![]));
    for nested in ["key: [[a]]", "key: [{a: b}]", "key: [a, ~]", "key: [1.5]"] {
        assert!(value(nested) == Node::Nested, "{nested}");
    }
}

#[test]
fn entries_below_an_entry_keep_their_lines() {
    let Node::Map(entries) = value("key:\n  a: b\n  c: [d]\n") else {
        panic!("no map")
    };
    assert!(entries["a"].line == 2 && entries["a"].value == Node::Scalar("b".into()));
    assert!(entries["c"].line == 3 && entries["c"].value == Node::List(vec!["d".into()]));
}

#[test]
fn lines_are_known() {
    let settings = parse("# first\nport: 1\n\nhost: a\n").unwrap();
    assert_eq!(settings["port"].line, 2);
    assert_eq!(settings["host"].line, 4);
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "\n\n", "# a comment\n", "---\n", "{}"] {
        assert!(parse(text).is_ok_and(|settings| settings.is_empty()), "{text:?}");
    }
}

#[test]
fn what_is_no_flat_map_is_refused_with_its_place() {
    assert!(refusal("a: 1\nb: 2\na: 3\n").starts_with("line 3, column 1: \"a\" stands there twice"));
    assert!(refusal("a: 1\n---\nb: 2\n").contains("more than one document"));
    for text in [
        "- a\n- b\n",
        "text",
        "a: [1, 2",
        "a: 'open",
        "a: b: c",
        "a: &x 1\nb: *x\n",
        "a: *x",
        "<<: {a: b}",
        "a: !secret b",
        "? [a]\n: b",
    ] {
        let message = refusal(text);
        assert!(
            message.contains("line ") && message.contains("not a map of `name: value`"),
            "{text}: {message}"
        );
    }
}

#[test]
fn alias_bombs_and_deep_nests_are_refused() {
    let mut bomb = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        bomb.push(format!(
            "a{level}: &a{level} [{}]",
            [before.as_str(); 9].join(", ")
        ));
    }
    refusal(&bomb.join("\n"));
    refusal(&format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000)));
    refusal(&"- ".repeat(5_000));
    let many: Vec<String> = (0..30_000).map(|index| format!("a{index}: 1")).collect();
    refusal(&many.join("\n"));
}

#[test]
fn messages_never_hold_a_value() {
    for text in [
        "auth_client_secret: 'planted",
        "auth_client_secret: [planted",
        "auth_client_secret: !!int planted",
        "auth_client_secret: !planted x",
        "auth_client_secret: *planted",
        "auth_client_secret: planted: planted",
        "auth_client_secret: planted\n  other\n x: y",
        "planted",
        "\"planted",
        "a: \"\\planted\"",
        "%planted",
        "a: @planted",
        "a: `planted`",
    ] {
        match parse(text) {
            Ok(_) => {}
            Err(complaint) => assert!(!format!("{complaint:?}").contains("planted"), "{complaint:?}"),
        }
    }
}

#[test]
fn a_file_that_is_too_large_or_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.yaml");
    let message = || read(&folder.path().join("settings.yaml")).err().unwrap().message;
    assert!(read(&folder.path().join("settings.yaml")).is_ok_and(|settings| settings.is_empty()));
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert_eq!(message(), "is larger than 1 MiB");
    std::fs::write(&path, [0xff, 0xfe, b'a']).unwrap();
    assert_eq!(message(), "is not UTF-8");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(message(), "is not a file");
}

proptest! {
    #[test]
    fn hostile_text_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn yaml_like_text_never_panics(text in r#"([a-c_]{1,3}: ?|- |[\[\]{},&*!|>'"%@`#?~:\n ]|[0-9.e+-]{1,4}|\t|é|---\n|<<: ){0,40}"#) {
        let _ = parse(&text);
    }
}
