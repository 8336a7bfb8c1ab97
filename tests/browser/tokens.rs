//! The real tokens, as the IdP has issued them, and the search for them.

use std::sync::Arc;

use devstack_idp::Control;
use parking_lot::Mutex;

/// The tokens that no browser may see, and the one that it carries from one place to another.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<Issued>>);

#[derive(Default)]
struct Issued {
    access: Vec<String>,
    refresh: Vec<String>,
    id: Vec<String>,
}

/// The allowed place of an ID token: this parameter of the URL that ends the session at the IdP.
const HINT: &[u8] = b"id_token_hint=";

// === impl Tokens ===

impl Tokens {
    /// Collects all answers of the token endpoint.
    pub fn of(idp: &Control) -> Self {
        let tokens = Self::default();
        let issued = tokens.clone();
        idp.on_token_response(move |answer| {
            let mut issued = issued.0.lock();
            let Issued { access, refresh, id } = &mut *issued;
            for (name, list) in [
                ("access_token", access),
                ("refresh_token", refresh),
                ("id_token", id),
            ] {
                list.extend(answer[name].as_str().map(str::to_owned));
            }
        });
        tokens
    }

    /// How many access tokens there have been.
    pub fn count(&self) -> usize {
        self.0.lock().access.len()
    }

    /// Fails where an access or refresh token is in `bytes`, or an ID token that is not the hint at a logout.
    #[track_caller]
    pub fn must_not_be_in(&self, what: &str, bytes: &[u8]) {
        let hints = self.find_id_tokens(bytes);
        for at in hints {
            assert!(
                bytes[..at].ends_with(HINT),
                "an ID token is in {what} and is no id_token_hint"
            );
        }
        self.no_secret_in(what, bytes);
    }

    /// Fails where any token is in `bytes`.
    #[track_caller]
    pub fn must_all_be_absent_from(&self, what: &str, bytes: &[u8]) {
        assert_eq!(self.find_id_tokens(bytes).len(), 0, "an ID token is in {what}");
        self.no_secret_in(what, bytes);
    }

    /// The prefix of ID tokens.
    pub fn find_id_tokens(&self, bytes: &[u8]) -> Vec<usize> {
        let issued = self.0.lock();
        issued.id.iter().flat_map(|token| find(bytes, token)).collect()
    }

    #[track_caller]
    fn no_secret_in(&self, what: &str, bytes: &[u8]) {
        let issued = self.0.lock();
        assert!(!issued.access.is_empty() && !issued.refresh.is_empty() && !issued.id.is_empty());
        for (kind, tokens) in [
            ("an access token", &issued.access),
            ("a refresh token", &issued.refresh),
        ] {
            for token in tokens {
                assert!(find(bytes, token).is_empty(), "{kind} is in {what}");
                // Nor in parts: the signature of a JWT is long and random enough to be recognised alone.
                let tail = token.rsplit('.').next().unwrap_or(token);
                assert!(find(bytes, tail).is_empty(), "a part of {kind} is in {what}");
            }
        }
    }
}

/// The position of `needle` in `bytes`.
pub fn find(bytes: &[u8], needle: &str) -> Vec<usize> {
    let needle = needle.as_bytes();
    let mut found = Vec::new();
    let mut from = 0;
    // Searching for the first byte alone is fast; logs have some megabytes.
    while let Some(step) = bytes[from..].iter().position(|byte| *byte == needle[0]) {
        let at = from + step;
        if bytes[at..].starts_with(needle) {
            found.push(at);
        }
        from = at + 1;
    }
    found
}

#[test]
fn every_occurrence_is_found() {
    assert_eq!(find(b"abcabcab", "ab"), [0, 3, 6]);
    assert_eq!(find(b"aab", "ab"), [1]);
    assert!(find(b"", "ab").is_empty());
}
