//! Where a browser may be sent after a login or a logout.

use url::{Origin, Url};

/// A target longer than this is refused, in bytes: it travels in the login cookie, which is small.
pub const MAX_LENGTH: usize = 256;

/// The origins that a target may have.
#[derive(Clone, Debug)]
pub struct AllowedTargets {
    origins: Vec<Origin>,
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReturnToError {
    /// Longer than [`MAX_LENGTH`].
    #[error("return_to is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not a path that begins with one `/`, nor an absolute URL, or with characters that readers of URLs disagree on.
    #[error("return_to must be a path that begins with a single `/`, or an absolute URL")]
    Malformed,
    /// A URL of an origin that is not on the list.
    #[error("return_to points to an origin that is not allowed")]
    NotAllowed,
}

// === impl AllowedTargets ===

impl AllowedTargets {
    /// Targets on these origins are allowed.
    #[must_use]
    pub const fn new(origins: Vec<Origin>) -> Self {
        Self { origins }
    }

    /// The absolute URL that `target` means for a browser on `own` (an origin with the path `/`), if it may go there.
    ///
    /// Stricter than the URL standard on purpose: whatever a browser and this parser could read differently
    /// (backslashes, control characters, white space, non-ASCII, userinfo) is refused rather than repaired.
    ///
    /// # Errors
    ///
    /// [`ReturnToError`]: the reason.
    pub fn resolve(&self, target: &str, own: &Url) -> Result<Url, ReturnToError> {
        if target.len() > MAX_LENGTH {
            return Err(ReturnToError::TooLong);
        }
        if target
            .bytes()
            .any(|byte| !byte.is_ascii_graphic() || byte == b'\\')
        {
            return Err(ReturnToError::Malformed);
        }
        let absolute = target.starts_with("https://") || target.starts_with("http://");
        let relative = target.starts_with('/') && !target.starts_with("//");
        if !absolute && !relative {
            return Err(ReturnToError::Malformed);
        }
        let url = own.join(target).map_err(|_| ReturnToError::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() || authority_of(target).contains('@') {
            return Err(ReturnToError::Malformed);
        }
        let origin = url.origin();
        if origin == own.origin() || (absolute && self.origins.contains(&origin)) {
            Ok(url)
        } else {
            Err(ReturnToError::NotAllowed)
        }
    }
}

/// What stands between `//` and the next `/`, `?` or `#` of an absolute URL.
fn authority_of(target: &str) -> &str {
    let rest = target.split_once("//").map_or("", |(_, rest)| rest);
    if target.starts_with('/') {
        return "";
    }
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own() -> Url {
        Url::parse("https://automate.example/").unwrap()
    }

    fn targets() -> AllowedTargets {
        let allowed = ["https://automate.example", "https://spa.example:8443"];
        AllowedTargets::new(
            allowed
                .iter()
                .map(|origin| Url::parse(origin).unwrap().origin())
                .collect(),
        )
    }

    fn resolve(target: &str) -> Result<String, ReturnToError> {
        targets().resolve(target, &own()).map(String::from)
    }

    #[test]
    fn paths_and_listed_origins_are_allowed() {
        assert_eq!(resolve("/").unwrap(), "https://automate.example/");
        assert_eq!(
            resolve("/a/b?c=d#e").unwrap(),
            "https://automate.example/a/b?c=d#e"
        );
        assert_eq!(
            resolve("/a?u=https://x@y//z").unwrap(),
            "https://automate.example/a?u=https://x@y//z"
        );
        assert_eq!(
            resolve("https://automate.example/a").unwrap(),
            "https://automate.example/a"
        );
        assert_eq!(
            resolve("https://spa.example:8443/x").unwrap(),
            "https://spa.example:8443/x"
        );
        assert_eq!(
            resolve("/.//evil.example").unwrap(),
            "https://automate.example//evil.example"
        );
    }

    #[test]
    fn attack_8_no_return_to_leaves_the_allow_list() {
        for target in [
            "",
            "evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:\\\\evil.example",
            "HTTPS://evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/\u{0}/evil.example",
            "https://automate.example@evil.example/",
            "https://user@automate.example/",
            "https://@automate.example/",
            "https://:pw@automate.example/",
            "https://automate.example\u{3002}evil.example/",
            "/\u{ff0f}evil.example",
            "https://evil.example/https://automate.example",
            "https://automate.example.evil.example/",
            "https://spa.example/",
            "http://automate.example/",
            "https://automate.example:444/",
            "https://",
            "https:///evil.example",
            "https://[::1",
        ] {
            assert!(resolve(target).is_err(), "{target:?} gave {:?}", resolve(target));
        }
        assert_eq!(
            resolve(&format!("/{}", "a".repeat(MAX_LENGTH))),
            Err(ReturnToError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn attack_8_whatever_is_accepted_stays_on_the_list(target in "[/\\\\.@:a-z#?\\t%0-9 ]{0,24}", prefix in "(|/|//|https:|https://|https://automate\\.example)") {
            if let Ok(url) = targets().resolve(&format!("{prefix}{target}"), &own()) {
                let origin = url.origin().ascii_serialization();
                prop_assert!(origin == "https://automate.example" || origin == "https://spa.example:8443", "{}", url);
                prop_assert!(url.username().is_empty());
            }
        }
    }
}
