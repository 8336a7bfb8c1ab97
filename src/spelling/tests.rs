use proptest::prelude::*;

use super::*;

#[test]
fn all_spellings_of_a_path_have_one_form() {
    for spelling in [
        "/public/private/x",
        "/PUBLIC/Private/X",
        "/public/%50rivate/x/",
        "/public/%2550rivate/x",
        "/public/%252550rivate/x",
        "/public/private%2Fx",
        "/public/private%5Cx",
        "/public/private%3Bv=1/x%3Fy%23z",
        "/public/private./x",
        "/public/private.%20./x%20",
        "/public/%20private/x",
        "/public/private%E3%80%80/x",
        // Control characters.
        "/public/pri%00vate/x%09",
        // Full-width letters, full stop and solidus.
        "/public/%EF%BD%90rivate/x",
        "/public/private%EF%BC%8E/x",
        "/public/private%EF%BC%8Fx",
        "/public/private%EF%BC%BCx",
        // A full-width `%2f`.
        "/public/private%EF%BC%852fx",
        // A script `i`, a dotless one, one with a dot, and a soft hyphen.
        "/public/pr%E2%84%B9vate/x",
        "/public/pr%C4%B1vate/x",
        "/public/PR%C4%B0VATE/x",
        "/public/pri%C2%ADvate/x",
        "/public/pri%E2%80%8Bvate/x",
        "/public/private::$INDEX_ALLOCATION/x",
        "/public/private%EF%BC%9Bv=1/x",
        "/public/.../private/x",
    ] {
        assert_eq!(fold(spelling).as_deref(), Some("/public/private/x"), "{spelling}");
    }
    assert_eq!(fold("/stra%C3%9Fe"), fold("/STRASSE"));
    assert_eq!(fold("/%CE%A3%CF%82"), fold("/%CF%83%CF%83"));
    assert_eq!(fold("/%C3%A9"), fold("/E%CC%81"));
}

#[test]
fn what_is_another_path_to_everybody_stays_another_one() {
    for (path, expected) in [
        ("/", ""),
        ("/a.b/.c/d-e_f~", "/a.b/.c/d-e_f~"),
        ("/a/b:c", "/a/b:c"),
        ("/100%25", "/100%"),
        ("/caf%C3%A9", "/caf\u{e9}"),
        ("/a+b", "/a+b"),
    ] {
        assert_eq!(fold(path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn what_has_no_form() {
    for path in [
        "/public/open/%EF%BC%8E%EF%BC%8E/private/x",
        "/public/open/%E2%80%A5/private/x",
        "/public%EF%BC%9F/%E2%80%A5/x",
    ] {
        assert_eq!(fold(path), None, "{path}");
        assert!(fold_beginnings(path).is_some(), "{path}");
    }
    for path in [
        "/%25252525252561uth",
        "/%c0%ae%c0%ae/x",
        "/%c1%a1uth",
        // An overlong full stop behind a full-width `%`.
        "/%EF%BC%85c0%EF%BC%85ae",
    ] {
        assert_eq!(fold(path), None, "{path}");
        assert_eq!(fold_beginnings(path), None, "{path}");
    }
}

#[test]
fn each_beginning_is_folded_for_itself() {
    assert_eq!(
        fold_beginnings("/A;/../b/").unwrap(),
        ["/a", "", "/b"],
        "a reader that stops at `;` is at /a"
    );
    assert_eq!(
        fold_beginnings("/A\\b//./%2E%2e/c").unwrap(),
        ["/a", "/a/b", "/a", "/a/c"]
    );
}

#[test]
fn every_character_is_folded_to_what_stays() {
    // Beyond the second plane no character has another case or another form for compatibility.
    for character in (char::MIN..='\u{1FFFF}').filter(|character| *character != '%') {
        let mut path = String::from("/x");
        path.push(character);
        let folded = fold_characters(&path);
        assert!(folded.is_some(), "{:x}", u32::from(character));
        let again = folded.as_deref().map(fold_case);
        assert_eq!(again, folded, "{:x}", u32::from(character));
    }
}

proptest! {
    #[test]
    fn a_path_that_counts_as_folded_is_its_own_form(path in "(/[a-z0-9.:~!$&'()*+,=@-]{1,6}){1,4}") {
        let has_dot_segments = path.split('/').any(|segment| segment.trim_matches('.').is_empty() && !segment.is_empty());
        if !has_dot_segments && is_folded(&path) {
            let characters = fold_characters(&path).unwrap();
            let segments: Vec<Step<'_>> = steps(&characters).collect();
            let own: Vec<Step<'_>> = path.split('/').skip(1).map(Step::Down).collect();
            prop_assert_eq!(segments, own);
        }
    }

    #[test]
    fn each_beginning_is_absolute_and_has_no_empty_segments(path in "(/|%[0-9a-f]{2}|\\.| |[A-Za-z%:]|\\PC){0,24}") {
        for folded in fold_beginnings(&path).into_iter().flatten() {
            prop_assert!(folded.is_empty() || folded.starts_with('/'));
            prop_assert!(!folded.ends_with('/') && !folded.contains("//"));
        }
    }
}
