//! The allowed targets after a login or a logout.

use url::{Host, Origin, Url};

use crate::own_paths;

/// A longer target is refused, in bytes: it travels in the login cookie
/// ([`MAX_LOGIN_COOKIE_LENGTH`](crate::session::MAX_LOGIN_COOKIE_LENGTH)).
pub const MAX_LENGTH: usize = 2 * 1024;

/// The origins that a target may have.
#[derive(Clone, Debug)]
pub struct AllowedTargets {
    origins: Vec<Origin>,
    /// A request for one of these hosts may reach this server, with any scheme and port.
    own_hosts: Vec<Host>,
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReturnToError {
    /// Longer than [`MAX_LENGTH`].
    #[error("the parameter return_to is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not a path that begins with one `/`, nor an absolute URL, or with characters that readers of URLs disagree on.
    #[error("the parameter return_to must be a path that begins with a single `/`, or an absolute URL")]
    Malformed,
    /// A URL of an origin that is not on the list.
    #[error("the parameter return_to points to an origin that is not allowed")]
    NotAllowed,
    /// A path of this server, on one of its own hosts: the browser would act there as if the person had intended it
    /// (attack 38).
    #[error(
        "the parameter return_to must not name a path that this server answers itself, such as those below /auth"
    )]
    OwnPath,
}

// === impl AllowedTargets ===

impl AllowedTargets {
    /// Targets on these origins are allowed, except the paths of this server on `own_hosts`.
    #[must_use]
    pub const fn new(origins: Vec<Origin>, own_hosts: Vec<Host>) -> Self {
        Self { origins, own_hosts }
    }

    /// The absolute URL that `target` means for a browser on `own` (an origin with the path `/`), if it may go there.
    ///
    /// Stricter than the URL standard on purpose: text that a browser and this parser could read differently
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
        if origin != own.origin() && !(absolute && self.origins.contains(&origin)) {
            return Err(ReturnToError::NotAllowed);
        }
        if self.is_own_host(&url, own) && own_paths::may_be_read_as_own(url.path()) {
            return Err(ReturnToError::OwnPath);
        }
        Ok(url)
    }

    fn is_own_host(&self, url: &Url, own: &Url) -> bool {
        let host = url.host().map(|host| host.to_owned());
        host == own.host().map(|host| host.to_owned())
            || host.is_some_and(|host| self.own_hosts.contains(&host))
    }
}

/// The authority of an absolute URL: the text between `//` and the next `/`, `?` or `#`.
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
        let allowed = [
            "https://automate.example",
            "https://spa.example:8443",
            "https://authn.example",
            "https://authn.example:5173",
        ];
        let own_hosts = ["automate.example", "authn.example"];
        AllowedTargets::new(
            allowed
                .iter()
                .map(|origin| Url::parse(origin).unwrap().origin())
                .collect(),
            own_hosts.map(|host| Host::Domain(host.to_owned())).to_vec(),
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

    #[test]
    fn attack_38_no_target_names_a_path_of_this_server() {
        for path in [
            "/auth/logout",
            "/AUTH/login?a=b",
            "/x/..%2fauth/logout#y",
            "//auth/logout",
            "/health",
        ] {
            for origin in [
                "https://automate.example",
                "https://automate.example:443",
                "https://authn.example",
                "https://AUTHN.example",
                "https://authn.example:5173",
            ] {
                let target = format!("{origin}{path}");
                assert_eq!(resolve(&target), Err(ReturnToError::OwnPath), "{target}");
            }
            if !path.starts_with("//") {
                assert_eq!(resolve(path), Err(ReturnToError::OwnPath), "{path}");
            }
        }
        // Nor if the browser is on an unlisted host.
        let elsewhere = Url::parse("https://bff.example/").unwrap();
        assert_eq!(
            targets().resolve("/auth/logout", &elsewhere),
            Err(ReturnToError::OwnPath)
        );
    }

    #[test]
    fn the_same_path_of_another_application_is_allowed() {
        assert!(resolve("https://spa.example:8443/auth/welcome").is_ok());
        assert!(resolve("/orders?next=/auth/logout").is_ok());
    }

    proptest! {
        #[test]
        fn attack_8_whatever_is_accepted_stays_on_the_list(target in "[/\\\\.@:a-z#?\\t%0-9 ]{0,24}", prefix in "(|/|//|https:|https://|https://automate\\.example)") {
            if let Ok(url) = targets().resolve(&format!("{prefix}{target}"), &own()) {
                let origin = url.origin().ascii_serialization();
                prop_assert!(origin == "https://automate.example" || origin == "https://spa.example:8443", "{}", url);
                prop_assert!(origin == "https://spa.example:8443" || !own_paths::is_own(url.path()), "{}", url);
                prop_assert!(url.username().is_empty());
            }
        }
    }
}
