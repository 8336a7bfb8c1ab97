use proptest::prelude::*;

use super::*;

fn normal(path: &str) -> String {
    NormalPath::parse(path).unwrap().as_str().to_owned()
}

#[test]
fn one_form_is_left() {
    for (path, expected) in [
        ("/", "/"),
        ("/api/notes", "/api/notes"),
        ("/api/notes/", "/api/notes/"),
        ("/%61pi/%7Euser/%2d%5F", "/api/~user/-_"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b"),
        // Not equivalent to the literal character (RFC 3986 section 2.2), so it stays unchanged.
        ("/a%2cb", "/a%2Cb"),
        ("/[x]|{y}^\"<>`", "/%5Bx%5D%7C%7By%7D%5E%22%3C%3E%60"),
        ("/100%25", "/100%25"),
        ("/100%25-sure", "/100%25-sure"),
        ("/...", "/..."),
        ("/.well-known", "/.well-known"),
    ] {
        assert_eq!(normal(path), expected, "{path}");
    }
}

#[test]
fn attack_3_an_ambiguous_path_is_refused() {
    for (path, expected) in [
        ("/public%23/../admin", PathError::Ambiguous),
        ("/admin%23/public", PathError::Ambiguous),
        ("/admin#/public", PathError::Ambiguous),
        ("/admin?x=/public", PathError::Ambiguous),
        ("/admin%3fx=/public", PathError::Ambiguous),
        ("/public/..;/admin", PathError::Ambiguous),
        ("/public;/admin", PathError::Ambiguous),
        ("/public%3b/admin", PathError::Ambiguous),
        ("/public%2Fadmin", PathError::Ambiguous),
        ("/public%2f..%2fadmin", PathError::Ambiguous),
        ("/public\\admin", PathError::Ambiguous),
        ("/public%5cadmin", PathError::Ambiguous),
        ("//admin", PathError::EmptySegment),
        ("/public//admin", PathError::EmptySegment),
        ("/public//", PathError::EmptySegment),
        ("/public/../admin", PathError::DotSegment),
        ("/public/%2e%2e/admin", PathError::DotSegment),
        ("/public/%2E./admin", PathError::DotSegment),
        ("/public/..", PathError::DotSegment),
        ("/./admin", PathError::DotSegment),
        ("/public/%2e", PathError::DotSegment),
        ("/public/%252e%252e/admin", PathError::EncodedTwice),
        ("/public%252fadmin", PathError::EncodedTwice),
        ("/public%25%32%66admin", PathError::EncodedTwice),
        ("/public%c0%afadmin", PathError::NotUtf8),
        ("/%c0%ae%c0%ae/admin", PathError::NotUtf8),
        ("/%ff", PathError::NotUtf8),
        // A character split over two runs is invalid.
        ("/%c3x%a9", PathError::NotUtf8),
        ("/a%00", PathError::Control),
        ("/a%0d%0aHost:%20evil", PathError::Control),
        ("/a\u{7f}", PathError::Control),
        ("/a\0b", PathError::Control),
        ("/a%C2%85", PathError::Control),
        ("/caf\u{e9}", PathError::NotAscii),
        ("/a%", PathError::InvalidEncoding),
        ("/a%2", PathError::InvalidEncoding),
        ("/a%zz", PathError::InvalidEncoding),
        ("/a%u002e", PathError::InvalidEncoding),
        ("", PathError::Relative),
        ("*", PathError::Relative),
        ("admin", PathError::Relative),
    ] {
        assert_eq!(NormalPath::parse(path), Err(expected), "{path}");
    }
}

#[test]
fn attack_3_an_allowed_encoded_separator_is_read_both_ways() {
    for (path, expected) in [
        ("/files/a%2fb%2Fc", "/files/a%2Fb%2Fc"),
        ("/files/a%23b", "/files/a%23b"),
        ("/files/folder%2F", "/files/folder%2F"),
        ("/a%2Fb/%41", "/a%2Fb/A"),
    ] {
        let parsed = NormalPath::parse_encoded(path).unwrap();
        assert_eq!((parsed.as_str(), parsed.is_encoded()), (expected, true), "{path}");
        assert_eq!(NormalPath::parse(path), Err(PathError::Ambiguous), "{path}");
    }
    assert!(!NormalPath::parse_encoded("/files/a%25b").is_ok_and(|path| path.is_encoded()));
    for (path, expected) in [
        ("/files/a%2F..%2Fb", PathError::DotSegment),
        ("/files/..%2Fb", PathError::DotSegment),
        ("/files/a%2F%2e", PathError::DotSegment),
        ("/files/a%2F.", PathError::DotSegment),
        ("/files/%2Fetc", PathError::EmptySegment),
        ("/files/a%2F%2Fb", PathError::EmptySegment),
        ("/files/a%2F/b", PathError::EmptySegment),
        ("/files/a%5Cb", PathError::Ambiguous),
        ("/files/a%2Fb%5C..", PathError::Ambiguous),
        ("/files/a%3Bb", PathError::Ambiguous),
        ("/files/a%3Fb", PathError::Ambiguous),
        ("/files/a%2Fb%00", PathError::Control),
        ("/files/a%2F%0A", PathError::Control),
        ("/files/a%252Fb", PathError::EncodedTwice),
        ("/files/a%2F%2523", PathError::EncodedTwice),
        ("/files/a%2F%c0%af", PathError::NotUtf8),
        ("/files/a#b", PathError::Ambiguous),
    ] {
        assert_eq!(NormalPath::parse_encoded(path), Err(expected), "{path}");
    }
}

#[test]
fn a_path_has_a_bound_before_and_after_encoding() {
    let longest = format!("/{}", "a".repeat(MAX_PATH_LENGTH - 1));
    assert_eq!(normal(&longest), longest);
    let longer = format!("{longest}a");
    assert_eq!(NormalPath::parse(&longer), Err(PathError::TooLong));
    let grows = format!("/{}", "[".repeat(MAX_PATH_LENGTH / 2));
    assert_eq!(NormalPath::parse(&grows), Err(PathError::TooLong));
}

proptest! {
    #[test]
    fn any_text_is_refused_or_has_one_stable_form(path in "(/|%2[eEfF]|%5[cC]|%25|%[0-9a-fA-F]{2}|\\.|[a-z~;#?\\\\]|\\PC){0,24}") {
        if let Ok(path) = NormalPath::parse(&path) {
            let text = path.as_str();
            // Stable: a reader that normalises it again sees the same.
            let again = NormalPath::parse(text);
            prop_assert_eq!(again.as_ref(), Ok(&path));
            prop_assert!(text.starts_with('/') && text.is_ascii());
            prop_assert!(!text.contains("//") && !text.contains(['\\', '#', '?', ';']));
            prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(!text.to_ascii_lowercase().contains("%2f"));
            // A URL library parses it to the same path.
            let url = url::Url::parse(&format!("http://api{text}")).unwrap();
            prop_assert_eq!(url.path(), text);
        }
    }

    #[test]
    fn an_encoding_of_unreserved_characters_changes_nothing(path in "(/[a-z0-9._~-]{1,8}){1,6}", which: u64) {
        let encoded: String = path
            .chars()
            .enumerate()
            .map(|(at, character)| match (which >> (at % 64) & 1, character) {
                (1, character) if character != '/' => format!("%{:02x}", u32::from(character)),
                (_, character) => character.to_string(),
            })
            .collect();
        prop_assert_eq!(NormalPath::parse(&encoded), NormalPath::parse(&path));
    }
}
