//! One-time notices to operators: signs of a mistake in the set-up that any browser can repeat at will.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use url::Host;

use super::Web;
use crate::{
    diagnostic::{Knob, fix, told},
    head,
    told::Told,
};

/// At most this many hosts are named: beyond them, a scanner invents them.
const MAX_HOSTS: usize = 8;

/// At most this many header fields are named, for the same reason.
const MAX_FIELDS: usize = 8;

/// The notices given so far.
#[derive(Debug)]
pub(super) struct Notices {
    doubled_session: AtomicBool,
    unknown_hosts: Told,
    large_heads: Told,
}

// === impl Notices ===

impl Default for Notices {
    fn default() -> Self {
        Self {
            doubled_session: AtomicBool::new(false),
            unknown_hosts: Told::at_most(MAX_HOSTS),
            large_heads: Told::at_most(MAX_FIELDS),
        }
    }
}

// === impl Web ===

impl Web {
    /// Tells of a browser that sends several session cookies under one name, and so stays logged out.
    pub(super) fn notice_doubled_session(&self, headers: &HeaderMap) {
        let is_told = &self.0.notices.doubled_session;
        if is_told.load(Ordering::Relaxed) || !self.cookies.session_is_doubled(headers) {
            return;
        }
        if !is_told.swap(true, Ordering::Relaxed) {
            let what = "a browser sends several session cookies of one name, so it counts as not logged in, also after a login; \
                        one of them was set for another domain or path, by an earlier setting or by another application on a \
                        sibling host";
            let fix = fix!(
                "set {} to a name that nothing else uses, or let people remove the cookies of this site; {} says for which domain \
                 this server sets its own",
                Knob::CookieName,
                Knob::CookieDomain
            );
            tracing::warn!(cookie = %self.cookies.session_name(), "{}", told(what, fix));
        }
    }

    /// Logs a request with an oversized header; once for each name of a field.
    pub(super) fn notice_large_head(&self, error: &head::TooLarge) {
        if self.0.notices.large_heads.first(&error.name) {
            tracing::warn!(
                field = error.name,
                size = error.size,
                fields = error.fields,
                bytes = error.bytes,
                max_fields = head::MAX_FIELDS,
                max_bytes = head::MAX_BYTES,
                "a request was refused with 431: its header is too large"
            );
        }
    }

    /// Logs a login on a host without a redirect URI, which therefore continues elsewhere.
    pub(super) fn notice_unknown_host(&self, host: &str) {
        let hosts = self.login.hosts();
        // Without the dynamic callback that is how it is meant.
        if !hosts.is_dynamic() || !is_host(host) {
            return;
        }
        if self.0.notices.unknown_hosts.first(host.to_ascii_lowercase()) {
            tracing::warn!(
                host,
                fallback = hosts.fallback().origin().as_str(),
                "{}",
                told(
                    "a login began on a host without a redirect URI, so it continues at the fallback",
                    fix!(
                        "add the host's /auth/callback to {}; if a proxy stands in front, it has to pass the Host header on, or be \
                         listed in {} and send X-Forwarded-Host",
                        Knob::RedirectUris,
                        Knob::TrustedProxies
                    )
                )
            );
        }
    }
}

/// Whether it is a host, with or without a port, rather than something made up to be logged.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    host.len() <= 260 && port.bytes().all(|digit| digit.is_ascii_digit()) && Host::parse(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_host_is_told() {
        for host in [
            "app.example",
            "app.example:8443",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:8000",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = "a".repeat(300);
        for host in ["", "a b", "a\nb", "a/b", "a.example:port", "a@b:c", "<x>", &long] {
            assert!(!is_host(host), "{host:?}");
        }
    }
}
