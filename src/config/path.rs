//! The one parser of paths: for every variable that names a file or a folder, and for every `NAME_FILE`.
//!
//! People paste a key or a token where its path belongs. Such a value must not be printed, and nothing may be made under
//! its name.

use std::path::{Path, PathBuf};

use super::problem::{Complaint, Problem};
use crate::quote::{has_secret_start, looks_like_a_secret};

/// A longer segment is not a name that a person chose, in characters.
const MAX_SEGMENT: usize = 64;
/// A longer ending is not an extension, in characters.
const MAX_EXTENSION: usize = 8;

/// The expected kind of a path's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    ToFile,
    ToFolder,
}

/// `text` as a path. It counts as one if it begins with `/`, `./` or `../`, has `/` between segments of at most 64
/// characters, ends in an extension, or names something that exists; never if it looks like a key, a token or a URL.
///
/// # Errors
///
/// A complaint that keeps the value to itself.
pub(super) fn parse(text: &str, leads: Leads) -> Result<PathBuf, Complaint> {
    let path = Path::new(text);
    // A URL may contain a password.
    if !is_content(text) && !text.contains("://") && (has_form_of_path(text) || path.exists()) {
        return Ok(path.to_owned());
    }
    Err(match leads {
        Leads::ToFile => Complaint::unquoted(
            "the value must be the path of a file that holds it",
            "write the content to a file with mode 0600, and set the variable to the path of that file, beginning with `/` \
             or `./`",
        ),
        Leads::ToFolder => Complaint::unquoted(
            "the value must be the path of a folder",
            "write the path, beginning with `/` or `./`",
        ),
    })
}

/// Checks the path that the argument `label` of a command names.
///
/// # Errors
///
/// [`Problem`] if it is not a path by the rules for variables.
pub fn check_argument(label: &str, path: &Path) -> Result<(), Problem> {
    parse(&path.to_string_lossy(), Leads::ToFile)
        .map(|_| ())
        .map_err(|complaint| Problem::new(label.to_owned(), None, complaint))
}

/// Whether `text` is content that belongs in a file.
pub(super) fn is_content(text: &str) -> bool {
    text.contains(['\n', '\r', '\0']) || has_secret_start(text) || looks_like_a_secret(text)
}

fn has_form_of_path(text: &str) -> bool {
    if matches!(text, "." | "..") || ["/", "./", "../"].iter().any(|start| text.starts_with(start)) {
        return true;
    }
    if is_padded_base64(text) {
        return false;
    }
    if text.contains('/') {
        return text
            .split('/')
            .all(|segment| segment.chars().count() <= MAX_SEGMENT);
    }
    text.chars().count() <= MAX_SEGMENT
        && text.rsplit_once('.').is_some_and(|(stem, extension)| {
            !stem.is_empty()
                && (1..=MAX_EXTENSION).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Random bytes in base64 often contain a `/`, and usually a character that no relative path of a person has.
fn is_padded_base64(text: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    text.len() >= 16 && text.contains(['+', '=']) && text.bytes().all(base64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_the_form_of_a_path_is_one() {
        for text in [
            "/app/keys/key.pem",
            "/key",
            "./key",
            "../key",
            ".",
            "/run/secrets/session+secret=",
            "keys/bff",
            "secrets/session-secret",
            "key.pem",
            "bundle.p12",
            // The package's own folder is where tests run.
            "src",
            "Cargo.lock",
        ] {
            assert_eq!(parse(text, Leads::ToFile), Ok(PathBuf::from(text)), "{text}");
        }
    }

    /// It is refused.
    #[test]
    fn attack_47_content_instead_of_a_path_is_not_quoted() {
        let long = "x".repeat(65);
        for text in [
            "planted-secret",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
            "eyJ.pem",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj/AgEAAoIBAQ",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg",
            "/keys/\nkey.pem",
            "key.pem\r",
            "./-----BEGIN PRIVATE KEY-----",
            &format!("a/{long}"),
            &format!("{long}.pem"),
            "kO3c/f8Zp0Qv9tJ1x2yLr7sVbNmAqWeRtYuIoPlKjHg=",
            "hunter2",
            "https://user:planted@host/x",
            "hvs.CAESIJplantedplanted",
            "",
        ] {
            for leads in [Leads::ToFile, Leads::ToFolder] {
                let complaint = parse(text, leads).unwrap_err();
                assert!(complaint.unquoted, "{text}");
                assert!(complaint.message.starts_with("the value must be the path of a f"));
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text, Leads::ToFile);
        }
    }
}
