//! The names that the release before gave our cookies: read for one release, and replaced at the next answer.
//!
//! An upgrade logs nobody out and loses no login under way. If a browser sends both, the new name counts.

use http::{HeaderMap, HeaderValue};

use super::{
    CookieName, CookiePolicy, HOST_HTTP_PREFIX, HOST_PREFIX, HTTP_PREFIX, SECURE_PREFIX,
    read::{Sent, sent},
};

// === impl CookieName ===

impl CookieName {
    /// Its name in the former release. `None` if the name has not changed.
    pub(super) fn former(&self) -> Option<Self> {
        let renamed = |prefix: &str, former: &str| {
            let base = self.0.strip_prefix(prefix)?;
            Some(Self(format!("{former}{base}")))
        };
        renamed(HOST_HTTP_PREFIX, HOST_PREFIX).or_else(|| renamed(HTTP_PREFIX, SECURE_PREFIX))
    }
}

// === impl CookiePolicy ===

impl CookiePolicy {
    /// `Set-Cookie` that removes the session cookie of the former release, if the browser sent one.
    #[must_use]
    pub fn clear_former_session(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let former = self.former_session.as_ref()?;
        was_sent(headers, former).then(|| self.clear(former))
    }

    /// `Set-Cookie` for each spelling of the login or logout cookie called `name` that the browser sent, which takes it
    /// away.
    pub fn clear_sent(&self, headers: &HeaderMap, name: &CookieName) -> impl Iterator<Item = HeaderValue> {
        let former = name.former();
        let names = [Some(name.clone()), former];
        names
            .into_iter()
            .flatten()
            .filter(|name| was_sent(headers, name))
            .map(|name| self.clear(&name))
    }
}

fn was_sent(headers: &HeaderMap, name: &CookieName) -> bool {
    !matches!(sent(headers, name.as_str()), Sent::Never)
}
